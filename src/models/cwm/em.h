// EM for cwm: maximum likelihood under one of six covariance families, noise equal or free.
#pragma once

#include "core/archive.h"
#include "models/cwm/covariance.h"
#include "models/cwm/floor.h"
#include "models/cwm/local.h"

namespace mixology {
namespace cwm {

// Weighted least squares as a correction of `coef`: cross = W'RW, right = W'R(Y - W coef). A
// direction that no row of the component informs (a factor level absent from it) takes the pooled
// regression's value.
struct Correction {
  MatrixXd step;
  bool deficient = false;
};

inline Correction solve_regression(const MatrixXd& cross, const MatrixXd& right,
                                   const MatrixXd& coef, const MatrixXd& pooled) {
  Correction out;
  if (cross.rows() == 0) {
    out.step = right;
    return out;
  }
  const Eigen::LDLT<MatrixXd> ldlt(cross);
  const VectorXd pivots = ldlt.vectorD();
  if (ldlt.info() == Eigen::Success && pivots.minCoeff() > 1e-8 * pivots.maxCoeff()) {
    out.step = ldlt.solve(right);
    return out;
  }
  const Eigen::SelfAdjointEigenSolver<MatrixXd> eigen(cross);
  const MatrixXd& vectors = eigen.eigenvectors();
  const VectorXd values = eigen.eigenvalues();
  const double limit = std::max(1e-12 * values.maxCoeff(), 1e-250);
  const MatrixXd by_cross = vectors.transpose() * right;
  const MatrixXd by_pooled = vectors.transpose() * (pooled - coef);
  MatrixXd step(right.rows(), right.cols());
  for (Index j = 0; j < values.size(); ++j) {
    const bool informed = values[j] > limit;
    step.row(j) = informed ? MatrixXd(by_cross.row(j) / values[j]) : MatrixXd(by_pooled.row(j));
    out.deficient = out.deficient || !informed;
  }
  out.step = vectors * step;
  return out;
}

// sum r (e - step' w)(e - step' w)'
inline MatrixXd residual_scatter(const MatrixXd& wy, const MatrixXd& step) {
  const Index r = step.rows(), m = step.cols();
  const MatrixXd cross = step.transpose() * wy.topRightCorner(r, m);
  return wy.bottomRightCorner(m, m) - cross - cross.transpose() +
         step.transpose() * wy.topLeftCorner(r, r) * step;
}

class Em {
 public:
  struct State {
    VectorXd log_weight;
    MatrixXd mean;                // D x K
    std::vector<Factor> spread;   // covariance of x
    std::vector<MatrixXd> coef;   // R x M
    std::vector<Factor> noise;    // covariance of y given x
    std::vector<Kernel> kernel;   // the same as quadratic forms
    VectorXd rows, rows_y;        // responsibilities that the parameters rest on
    std::vector<bool> deficient;  // coefficients that the rows do not determine
  };
  using Stats = cwm::Stats;

  Em(const Data& data, int k, Family family, bool equal_noise)
      : data_(data), k_(k), family_(family), equal_noise_(equal_noise) {}

  const Data& data() const { return data_; }
  int k() const { return k_; }
  Family family() const { return family_; }
  bool equal_noise() const { return equal_noise_; }
  Index items() const { return data_.n(); }
  Index chunk() const { return kChunk; }
  double objective_scale() const { return data_.objective_scale(); }

  Stats update_local(State& state, Range range) const {
    return local_pass(data_, state.kernel, range, Softmax{});
  }
  double objective(const State&, const Stats& stats) const { return stats.total + data_.jacobian; }

  // A smallest eigenvalue v of a covariance is known to eps / v of itself only, and with it the
  // log density of each row.
  double rounding(const State& state) const {
    double out = 0.0;
    for (int k = 0; k < k_; ++k) {
      const auto slot = static_cast<std::size_t>(k);
      out += state.rows[k] * state.spread[slot].inverse.squaredNorm() +
             state.rows_y[k] * state.noise[slot].inverse.squaredNorm();
    }
    return out * std::numeric_limits<double>::epsilon();
  }

  void update_global(State& state, const Stats& stats) const {
    const double n = static_cast<double>(data_.n());
    std::vector<MatrixXd> scatter, noise;
    for (int k = 0; k < k_; ++k) {
      const auto slot = static_cast<std::size_t>(k);
      state.rows[k] = stats.rows(k);
      state.rows_y[k] = stats.rows_y[slot];
      state.log_weight[k] = std::log(std::max(state.rows[k] / n, 1e-300));
      scatter.push_back(move_mean(state, stats.xx[slot], k));
      noise.push_back(move_coef(state, stats.wy[slot], k));
    }
    set_covariances(scatter, state.rows, family_, shared(family_), state.spread);
    set_covariances(noise, state.rows_y, Family::VVV, equal_noise_, state.noise);
    refresh(state);
  }

  // A state from hard labels, one M step away from one pooled component.
  State from_labels(const std::vector<std::uint8_t>& labels) const {
    State state = blank();
    const Stats stats = local_pass(data_, state.kernel, Range{0, data_.n()}, GivenLabels{labels});
    update_global(state, stats);
    return state;
  }

  // Components that rest on too few rows to have a covariance of their own, or that have shrunk onto
  // a lower dimension or onto rows on a line: their likelihood says nothing.
  std::vector<bool> degenerate_components(const State& state) const {
    std::vector<bool> out, noiseless;
    for (int k = 0; k < k_; ++k) {
      const auto slot = static_cast<std::size_t>(k);
      out.push_back(state.rows[k] < 1.0 || state.spread[slot].at_floor);
      noiseless.push_back(data_.m() > 0 && state.noise[slot].at_floor);
    }
    if (std::find(noiseless.begin(), noiseless.end(), true) == noiseless.end()) return out;
    const std::vector<bool> spurious = spurious_regressions(data_, state.kernel, noiseless);
    for (std::size_t k = 0; k < out.size(); ++k) out[k] = out[k] || spurious[k];
    return out;
  }
  bool degenerate(const State& state) const {
    const std::vector<bool> all = degenerate_components(state);
    return std::find(all.begin(), all.end(), true) != all.end();
  }

  // Log weights, means, log-Cholesky factors, coefficients; shared matrices once.
  VectorXd parameters(const State& state) const {
    std::vector<double> out;
    visit(const_cast<State&>(state),
          [&](double& value, bool log) { out.push_back(log ? std::log(value) : value); });
    return Eigen::Map<const VectorXd>(out.data(), static_cast<Index>(out.size()));
  }
  void set_parameters(State& state, const VectorXd& theta) const {
    Index i = 0;
    visit(state, [&](double& value, bool log) {
      value = log ? std::exp(std::max(-350.0, std::min(350.0, theta[i]))) : theta[i];
      ++i;
    });
    const double top = state.log_weight.maxCoeff();
    state.log_weight.array() -= top + std::log((state.log_weight.array() - top).exp().sum());
    state.log_weight = state.log_weight.cwiseMax(-690.0);
    for (auto* group : {&state.spread, &state.noise}) {
      for (std::size_t k = 0; k < group->size(); ++k) {
        Factor& f = (*group)[k];
        const bool same = group == &state.spread ? shared(family_) : equal_noise_;
        f = same && k > 0 ? group->front() : factor_covariance(f.lower * f.lower.transpose());
      }
    }
    refresh(state);
  }

  Archive save(const State& state) const {
    Archive out;
    out.put("log_weight", state.log_weight);
    out.put("mean", state.mean);
    out.put("rows", state.rows);
    out.put("rows_y", state.rows_y);
    for (int k = 0; k < k_; ++k) {
      const auto slot = static_cast<std::size_t>(k);
      const std::string id = std::to_string(k + 1);
      out.put("spread" + id, state.spread[slot].lower);
      out.put("coef" + id, state.coef[slot]);
      out.put("noise" + id, state.noise[slot].lower);
      out.put("flags" + id,
              VectorXd(Eigen::Vector3d(state.spread[slot].at_floor, state.noise[slot].at_floor,
                                       state.deficient[slot])));
    }
    return out;
  }
  State load(const Archive& archive) const {
    State state = blank();
    state.log_weight = archive.vector("log_weight");
    state.mean = archive.matrix("mean");
    state.rows = archive.vector("rows");
    state.rows_y = archive.vector("rows_y");
    for (int k = 0; k < k_; ++k) {
      const auto slot = static_cast<std::size_t>(k);
      const std::string id = std::to_string(k + 1);
      state.spread[slot] = factor_from_lower(archive.matrix("spread" + id));
      state.coef[slot] = archive.matrix("coef" + id);
      state.noise[slot] = factor_from_lower(archive.matrix("noise" + id));
      state.spread[slot].at_floor = archive.vector("flags" + id)[0] != 0.0;
      state.noise[slot].at_floor = archive.vector("flags" + id)[1] != 0.0;
      state.deficient[slot] = archive.vector("flags" + id)[2] != 0.0;
    }
    refresh(state);
    return state;
  }

  // Every component the pooled one.
  State blank() const {
    State state;
    const auto k = static_cast<std::size_t>(k_);
    const Index d = data_.d(), m = data_.m();
    state.log_weight = VectorXd::Constant(k_, -std::log(double(k_)));
    state.mean = MatrixXd::Zero(d, k_);
    state.spread.assign(k, factor_from_lower(MatrixXd::Identity(d, d)));
    state.coef.assign(k, data_.pooled);
    state.noise.assign(k, factor_from_lower(MatrixXd::Identity(m, m)));
    state.rows = VectorXd::Constant(k_, double(data_.n()) / k_);
    state.rows_y = state.rows;
    state.deficient.assign(k, false);
    refresh(state);
    return state;
  }

  void refresh(State& state) const {
    state.kernel.resize(static_cast<std::size_t>(k_));
    for (int k = 0; k < k_; ++k) {
      const auto slot = static_cast<std::size_t>(k);
      Kernel& kernel = state.kernel[slot];
      kernel.constant_x =
          state.log_weight[k] - 0.5 * (double(data_.d()) * kLog2Pi + state.spread[slot].log_det);
      kernel.constant_y = -0.5 * (double(data_.m()) * kLog2Pi + state.noise[slot].log_det);
      kernel.mean = state.mean.col(k);
      kernel.white_x = state.spread[slot].inverse;
      kernel.coef = state.coef[slot];
      kernel.white_y = state.noise[slot].inverse;
      kernel.diagonal_x = diagonal(family_);
    }
  }

 private:
  // Moves the mean to the weighted mean and returns the scatter about it.
  MatrixXd move_mean(State& state, const MatrixXd& xx, int k) const {
    const Index d = data_.d();
    MatrixXd scatter = xx.bottomRightCorner(d, d);
    if (xx(0, 0) < 1e-200) return scatter;
    const VectorXd step = xx.col(0).tail(d) / xx(0, 0);
    state.mean.col(k) += step;
    return scatter - xx(0, 0) * step * step.transpose();
  }
  MatrixXd move_coef(State& state, const MatrixXd& wy, int k) const {
    MatrixXd& coef = state.coef[static_cast<std::size_t>(k)];
    const Index r = data_.r(), m = data_.m();
    if (m == 0) return MatrixXd(0, 0);
    const Correction fit =
        solve_regression(wy.topLeftCorner(r, r), wy.topRightCorner(r, m), coef, data_.pooled);
    coef += fit.step;
    state.deficient[static_cast<std::size_t>(k)] = fit.deficient;
    return residual_scatter(wy, fit.step);
  }

  static void set_covariances(const std::vector<MatrixXd>& scatter, const VectorXd& rows,
                              Family family, bool same, std::vector<Factor>& out) {
    if (same) {
      MatrixXd total = scatter.front();
      for (std::size_t k = 1; k < scatter.size(); ++k) total += scatter[k];
      out.assign(scatter.size(), factor_covariance(project(total / rows.sum(), family)));
      return;
    }
    for (std::size_t k = 0; k < scatter.size(); ++k) {
      const double n = rows[static_cast<Index>(k)];
      if (n < 1e-200) continue;  // a component without rows keeps its shape
      out[k] = factor_covariance(project(scatter[k] / n, family));
    }
  }

  template <class Visitor>
  void visit(State& state, Visitor visitor) const {
    for (int k = 0; k < k_; ++k) visitor(state.log_weight[k], false);
    for (Index i = 0; i < state.mean.size(); ++i) visitor(state.mean.data()[i], false);
    for (auto& coef : state.coef) {
      for (Index i = 0; i < coef.size(); ++i) visitor(coef.data()[i], false);
    }
    visit_factors(state.spread, shared(family_), diagonal(family_), visitor);
    visit_factors(state.noise, equal_noise_, false, visitor);
  }
  template <class Visitor>
  static void visit_factors(std::vector<Factor>& factors, bool same, bool diagonal,
                            Visitor& visitor) {
    for (std::size_t k = 0; k < (same ? 1 : factors.size()); ++k) {
      MatrixXd& lower = factors[k].lower;
      for (Index j = 0; j < lower.cols(); ++j) {
        visitor(lower(j, j), true);
        for (Index i = j + 1; !diagonal && i < lower.rows(); ++i) visitor(lower(i, j), false);
      }
    }
  }

  const Data& data_;
  const int k_;
  const Family family_;
  const bool equal_noise_;
};

}  // namespace cwm
}  // namespace mixology
