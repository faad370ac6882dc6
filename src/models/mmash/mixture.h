// One effect under the mixture prior: beta ~ sum_t pi_t N(0, V_t), V_t = omega_l^2 A_k A_k',
// given a likelihood proportional to exp(beta'phi - beta'L beta / 2) of precision L = d Sigma^-1.
//
// The base matrices alone are decomposed, never the V_t: with A_k'L A_k = E diag(c) E' and
// Q_k = A_k E,
//   g_kl = omega_l^2 / (1 + omega_l^2 c),  z = Q_k'phi
//   log BF_kl = -1/2 sum log(1 + omega_l^2 c) + 1/2 sum g_kl z^2
//   mean = Q_k (g_kl o z),  covariance = Q_k diag(g_kl) Q_k'            (notebook eq. 20-24)
// For another d the c only scale. Components are numbered null first (when there is one), then
// scale after scale within matrix after matrix.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <stdexcept>
#include <vector>

#include "core/panel.h"
#include "core/types.h"

namespace mixology {
namespace mmash {

struct Prior {
  std::vector<MatrixXd> factors;  // A_k, J x rank
  VectorXd variances;             // omega^2
  bool null = true;
  double null_penalty = 1.0;  // Dirichlet parameter of the null weight; the others have 1

  Index conditions() const { return factors.front().rows(); }
  Index matrices() const { return static_cast<Index>(factors.size()); }
  Index scales() const { return variances.size(); }
  Index components() const { return (null ? 1 : 0) + matrices() * scales(); }
};

struct Profile;

// Buffers of one thread.
struct Workspace {
  const Profile* profile = nullptr;  // of the effect visited, where responses have gaps
  std::vector<double> z, h, alpha, u, w, g, base, log_det, c;
  VectorXd mean;
};

class Mixture {
 public:
  explicit Mixture(const Prior& prior) : prior_(prior) {
    lanes_ = panel::padded(prior.scales());
    start_.push_back(0);
    for (const MatrixXd& a : prior.factors) {
      start_.push_back(start_.back() + static_cast<int>(a.cols()));
    }
    width_ = panel::padded(start_.back());
    scale_.assign(static_cast<std::size_t>(lanes_), 0.0);
    for (Index l = 0; l < prior.scales(); ++l) {
      scale_[static_cast<std::size_t>(l)] = prior.variances[l];
    }
    q_.assign(static_cast<std::size_t>(width_ * conditions()), 0.0);
    c_.assign(static_cast<std::size_t>(width_), 0.0);
    awake_.resize(static_cast<std::size_t>(matrices()));
    std::iota(awake_.begin(), awake_.end(), Index{0});
    g_.assign(static_cast<std::size_t>(width_ * lanes_), 0.0);
    log_det_.assign(static_cast<std::size_t>(matrices() * lanes_), 0.0);
    log_pi_.assign(static_cast<std::size_t>(size()), kNever);
    pi_.assign(log_pi_.size(), 0.0);
  }

  Index conditions() const { return prior_.conditions(); }
  Index matrices() const { return prior_.matrices(); }
  Index lanes() const { return lanes_; }
  Index width() const { return width_; }
  Index size() const { return matrices() * lanes_ + panel::kPad; }  // of alpha, null at the end
  int start(Index k) const { return start_[static_cast<std::size_t>(k)]; }
  const Prior& prior() const { return prior_; }

  // Position in alpha of component t.
  Index slot(Index t) const {
    if (prior_.null && t == 0) return matrices() * lanes_;
    const Index i = prior_.null ? t - 1 : t;
    return i / prior_.scales() * lanes_ + i % prior_.scales();
  }

  std::vector<Index> matrices_of(const std::vector<Index>& components) const {
    std::vector<Index> out;
    for (Index t : components) {
      const Index k = slot(t) / lanes_;
      if (k < matrices() && (out.empty() || out.back() != k)) out.push_back(k);
    }
    return out;
  }

  void set_weights(const VectorXd& log_weights) {
    for (Index t = 0; t < prior_.components(); ++t) {
      const auto at = static_cast<std::size_t>(slot(t));
      log_pi_[at] = std::max(log_weights[t], kNever);
      pi_[at] = std::exp(log_pi_[at]);
    }
  }

  // Q and c for L = d * precision; with d > 0 also the tables for this one d.
  void decompose(const MatrixXd& precision, double common) {
    for (Index k : awake_) decompose_one(precision, k);
    common_ = common;
    if (common > 0.0) fill_tables(common, g_.data(), log_det_.data());
  }

  // The same of some matrices only.
  void decompose(const MatrixXd& precision, std::vector<Index> awake) {
    awake_ = std::move(awake);
    decompose(precision, 0.0);
  }

  // Matrices that can matter to an effect no Bayes factor of which exceeds exp(most): the others
  // together have less than kUnheard of the weight that the null has.
  std::vector<Index> audible(double most) const {
    std::vector<Index> out;
    const double null = prior_.null ? pi_[static_cast<std::size_t>(matrices() * lanes_)] : 0.0;
    const double least = null * kUnheard / static_cast<double>(matrices()) * std::exp(-most);
    for (Index k = 0; k < matrices(); ++k) {
      const auto from = pi_.begin() + static_cast<std::ptrdiff_t>(k * lanes_);
      if (std::accumulate(from, from + lanes_, 0.0) >= least) out.push_back(k);
    }
    return out;
  }

  // Adds q's weights to `counts`; components that are left out keep those of the prior.
  void count(const Workspace& w, VectorXd& counts) const {
    counts += Eigen::Map<const VectorXd>(w.alpha.data(), counts.size());
    std::size_t next = 0;
    for (Index k = 0; k < matrices(); ++k) {
      if (next < awake_.size() && awake_[next] == k) {
        ++next;
        continue;
      }
      counts.segment(k * lanes_, lanes_) +=
          Eigen::Map<const VectorXd>(pi_.data() + k * lanes_, lanes_);
    }
  }

  void reserve(Workspace& w) const {
    const auto m = static_cast<std::size_t>(width_);
    w.z.assign(m, 0.0);
    w.h.assign(m, 0.0);
    w.u.assign(m, 0.0);
    w.w.assign(m, 0.0);
    w.c.assign(m, 0.0);
    w.alpha.assign(static_cast<std::size_t>(size()), 0.0);
    w.base.assign(static_cast<std::size_t>(size()), kNever);
    w.mean = VectorXd::Zero(conditions());
    w.g = g_;
    w.log_det = log_det_;
    base_from(log_det_.data(), w.base.data());
  }

  // Afterwards w.alpha, w.z, w.u (sum_l alpha_kl g_kl per direction) and w.mean describe q.
  // Returns log sum_t pi_t BF_t.
  double update(const double* phi, double d, Workspace& w) const {
    const Index nj = conditions();
    if (common_ <= 0.0) {
      for (std::size_t i = 0; i < w.c.size(); ++i) w.c[i] = d * c_[i];
      for (Index k : awake_) {
        panel::scale_tables(w.c.data(), start_.data() + k, 1, scale_.data(), lanes_, w.g.data(),
                            w.log_det.data() + k * lanes_);
      }
      base_from(w.log_det.data(), w.base.data());
    }
    panel::rotate(q_.data(), width_, phi, nj, width_, w.z.data());
    for (Index i = 0; i < width_; ++i) {
      const auto s = static_cast<std::size_t>(i);
      w.h[s] = 0.5 * w.z[s] * w.z[s];
    }
    panel::score(w.g.data(), w.h.data(), start_.data(), matrices(), lanes_, w.base.data(),
                 w.alpha.data());
    std::copy(w.base.end() - panel::kPad, w.base.end(), w.alpha.end() - panel::kPad);
    const double log_bf = panel::softmax(w.alpha.data(), size());
    panel::blend(w.g.data(), w.alpha.data(), start_.data(), matrices(), lanes_, w.u.data());
    for (Index i = 0; i < width_; ++i) {
      const auto s = static_cast<std::size_t>(i);
      w.w[s] = w.u[s] * w.z[s];
    }
    panel::rotate_back(q_.data(), width_, w.w.data(), nj, width_, w.mean.data());
    return log_bf;
  }

  double g(const Workspace& w, Index l, Index i) const {
    return w.g[static_cast<std::size_t>(l + i * lanes_)];
  }
  double q(Index j, Index i) const { return q_[static_cast<std::size_t>(i + j * width_)]; }
  // Q_k, rows of a panel.
  MatrixXd directions(Index k) const {
    MatrixXd out = MatrixXd::Zero(panel::padded(conditions()), start(k + 1) - start(k));
    for (Index i = 0; i < out.cols(); ++i) {
      for (Index j = 0; j < conditions(); ++j) out(j, i) = q(j, start(k) + i);
    }
    return out;
  }

  static constexpr double kNever = -1e300;   // log of a weight that is zero
  static constexpr double kUnheard = 1e-16;  // of the null's weight

 private:
  void decompose_one(const MatrixXd& precision, Index k) {
    const MatrixXd& a = prior_.factors[static_cast<std::size_t>(k)];
    if (a.cols() == 1) {
      put(start(k), a, VectorXd::Constant(1, quadratic_form(a.col(0), precision)));
      return;
    }
    const Eigen::SelfAdjointEigenSolver<MatrixXd> eigen(a.transpose() * precision * a);
    if (eigen.info() != Eigen::Success) {
      throw std::runtime_error("mmash: a prior matrix has no eigen-decomposition");
    }
    put(start(k), a * eigen.eigenvectors(), eigen.eigenvalues());
  }

  // a'L a; many a are of one condition.
  static double quadratic_form(const Eigen::Ref<const VectorXd>& a, const MatrixXd& precision) {
    double sum = 0.0;
    for (Index j = 0; j < a.size(); ++j) {
      if (a[j] != 0.0) sum += a[j] * precision.col(j).dot(a);
    }
    return sum;
  }

  void put(Index first, const MatrixXd& q, const VectorXd& c) {
    for (Index i = 0; i < q.cols(); ++i) {
      c_[static_cast<std::size_t>(first + i)] = std::max(c[i], 0.0);
      for (Index j = 0; j < conditions(); ++j) {
        q_[static_cast<std::size_t>(first + i + j * width_)] = q(j, i);
      }
    }
  }

  void fill_tables(double d, double* g, double* log_det) const {
    std::vector<double> c(c_);
    for (double& value : c) value *= d;
    panel::scale_tables(c.data(), start_.data(), matrices(), scale_.data(), lanes_, g, log_det);
  }

  // log pi_t - 1/2 log det(I + ...), and never for the lanes that only fill up a register
  void base_from(const double* log_det, double* base) const {
    const Index n = matrices() * lanes_;
    std::fill(base, base + n, kNever);
    for (Index k : awake_) {
      for (Index i = k * lanes_; i < (k + 1) * lanes_; ++i) {
        base[i] = log_pi_[static_cast<std::size_t>(i)] - 0.5 * log_det[i];
      }
    }
    std::copy(log_pi_.end() - panel::kPad, log_pi_.end(), base + n);
  }

  Prior prior_;
  Index lanes_ = 0;
  Index width_ = 0;
  double common_ = 0.0;
  std::vector<int> start_;
  std::vector<Index> awake_;  // matrices in use, the others weigh nothing
  std::vector<double> scale_, q_, c_, g_, log_det_, log_pi_, pi_;
};

// sum += a b', where a and sum have rows of a panel.
inline void add_product(const Eigen::Ref<const MatrixXd>& a, const Eigen::Ref<const MatrixXd>& b,
                        MatrixXd& sum) {
  const MatrixXd minus = -b;
  panel::subtract(a.data(), a.outerStride(), a.cols(), minus.data(), sum.data(), sum.rows(),
                  sum.cols(), sum.rows());
}

// sum_p d_p sum_t alpha_pt (S_pt + mu_pt mu_pt'), gathered in the bases of the prior matrices and
// mapped back once.
class SecondMoments {
 public:
  explicit SecondMoments(const Mixture& mixture) : mixture_(mixture) {
    for (Index k = 0; k < mixture.matrices(); ++k) {
      const Index r = mixture.start(k + 1) - mixture.start(k);
      outer_.emplace_back(MatrixXd::Zero(panel::padded(r), r));
      columns_.emplace_back(MatrixXd::Zero(panel::padded(r), r > 1 ? kColumns : 0));
      filled_.push_back(0);
    }
    touched_.assign(filled_.size(), false);
    spread_ = VectorXd::Zero(mixture.width());
  }

  void add(const Workspace& w, double d) {
    spread_ += d * Eigen::Map<const VectorXd>(w.u.data(), mixture_.width());
    for (Index k = 0; k < mixture_.matrices(); ++k) {
      const double* alpha = w.alpha.data() + k * mixture_.lanes();
      if (*std::max_element(alpha, alpha + mixture_.lanes()) == 0.0) continue;
      touched_[static_cast<std::size_t>(k)] = true;
      for (Index l = 0; l < mixture_.prior().scales(); ++l) {
        if (alpha[l] > kNegligible) add_component(w, k, l, d * alpha[l]);
      }
    }
  }

  void clear() {
    for (MatrixXd& outer : outer_) outer.setZero();
    std::fill(filled_.begin(), filled_.end(), Index{0});
    std::fill(touched_.begin(), touched_.end(), false);
    spread_.setZero();
  }

  MatrixXd total() {
    const Index nj = mixture_.conditions();
    MatrixXd sum = MatrixXd::Zero(panel::padded(nj), nj);
    for (Index k = 0; k < mixture_.matrices(); ++k) {
      if (!touched_[static_cast<std::size_t>(k)]) continue;
      flush(k);
      const MatrixXd q = mixture_.directions(k);
      MatrixXd inner = outer_[static_cast<std::size_t>(k)].topRows(q.cols());
      inner.diagonal() += spread_.segment(mixture_.start(k), q.cols());
      MatrixXd image = MatrixXd::Zero(q.rows(), q.cols());
      add_product(q, inner, image);
      add_product(image, q.topRows(nj), sum);
    }
    return 0.5 * (sum.topRows(nj) + sum.topRows(nj).transpose());
  }

 private:
  static constexpr double kNegligible = 1e-12;
  static constexpr Index kColumns = 64;

  void add_component(const Workspace& w, Index k, Index l, double weight) {
    const auto s = static_cast<std::size_t>(k);
    const Index from = mixture_.start(k);
    const Index r = mixture_.start(k + 1) - from;
    if (r == 1) {
      const double gz = mixture_.g(w, l, from) * w.z[static_cast<std::size_t>(from)];
      outer_[s](0, 0) += weight * gz * gz;
      return;
    }
    const double root = std::sqrt(weight);
    auto column = columns_[s].col(filled_[s]);
    for (Index i = 0; i < r; ++i) {
      column[i] = root * mixture_.g(w, l, from + i) * w.z[static_cast<std::size_t>(from + i)];
    }
    if (++filled_[s] == kColumns) flush(k);
  }

  // outer += columns columns'
  void flush(Index k) {
    const auto s = static_cast<std::size_t>(k);
    const Index n = filled_[s];
    if (n == 0) return;
    const Index r = outer_[s].cols();
    add_product(columns_[s].leftCols(n), columns_[s].topLeftCorner(r, n), outer_[s]);
    filled_[s] = 0;
  }

  const Mixture& mixture_;
  std::vector<MatrixXd> outer_, columns_;
  std::vector<Index> filled_;
  std::vector<bool> touched_;  // matrices that took part
  VectorXd spread_;
};

}  // namespace mmash
}  // namespace mixology
