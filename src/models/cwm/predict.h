// Prediction from a mixture: p(y | x) = sum_c p(c | x) p(y | x, c).
//
// The mixture may be a point estimate (Gaussian components), the variational predictive (Student
// components) or an average over posterior draws (the components of all draws, each weighted by one
// over their number). Quantiles are roots of the mixture's distribution function.
#pragma once

#include <cmath>
#include <map>
#include <memory>

#include "core/parallel.h"
#include "core/rng.h"
#include "core/special.h"
#include "models/cwm/kernel.h"
#include "models/cwm/tail.h"

namespace mixology {
namespace cwm {

// In the user's units. df = infinity is the Gaussian.
struct PredictiveComponent {
  double log_weight = 0.0;
  int cluster = 0;
  VectorXd mean;    // D
  MatrixXd spread;  // lower Cholesky factor of the scale matrix of x
  double spread_df = HUGE_VAL;
  bool independent = false;  // x: a product of Student densities rather than a joint one
  MatrixXd coef;             // R x M
  MatrixXd noise;            // lower Cholesky factor of the scale matrix of y
  double noise_df = HUGE_VAL;
  MatrixXd leverage;  // R x R, lower: scale grows by 1 + |leverage' w|^2; 0 x 0 for none
};

namespace detail {

// log density of a Gaussian or Student vector, seen entries only.
inline double log_elliptic(const VectorXd& deviation, const MatrixXd& factor, double df,
                           double inflation) {
  const double p = static_cast<double>(deviation.size());
  if (p == 0.0) return 0.0;
  const VectorXd white = factor.triangularView<Eigen::Lower>().solve(deviation);
  const double q = white.squaredNorm() / inflation;
  const double log_det = factor.diagonal().array().log().sum() + 0.5 * p * std::log(inflation);
  if (std::isinf(df)) return -0.5 * (p * kLog2Pi + q) - log_det;
  return log_gamma(0.5 * (df + p)) - log_gamma(0.5 * df) - 0.5 * p * std::log(df * M_PI) - log_det -
         0.5 * (df + p) * std::log1p(q / df);
}

inline std::vector<Index> seen_entries(const VectorXd& v) {
  std::vector<Index> out;
  for (Index j = 0; j < v.size(); ++j) {
    if (!std::isnan(v[j])) out.push_back(j);
  }
  return out;
}

// The same for the entries of `v` that are seen; the others are integrated out.
inline double log_elliptic_seen(const VectorXd& v, const VectorXd& mean, const MatrixXd& factor,
                                double df, double inflation) {
  const std::vector<Index> seen = seen_entries(v);
  const auto s = static_cast<Index>(seen.size());
  if (s == v.size()) return log_elliptic(v - mean, factor, df, inflation);
  if (s == 0) return 0.0;
  const MatrixXd scale = factor * factor.transpose();
  VectorXd deviation(s);
  MatrixXd part(s, s);
  for (Index a = 0; a < s; ++a) {
    const Index i = seen[static_cast<std::size_t>(a)];
    deviation[a] = v[i] - mean[i];
    for (Index b = 0; b < s; ++b) part(a, b) = scale(i, seen[static_cast<std::size_t>(b)]);
  }
  return log_elliptic(deviation, part.llt().matrixL(), df, inflation);
}

// A diagonal family: each entry of x by itself.
inline double log_independent_seen(const VectorXd& x, const VectorXd& mean, const MatrixXd& factor,
                                   double df) {
  double out = 0.0;
  for (const Index j : seen_entries(x)) {
    out += log_elliptic(x.segment(j, 1) - mean.segment(j, 1), factor.block(j, j, 1, 1), df, 1.0);
  }
  return out;
}

}  // namespace detail

// One response of a row: a univariate mixture of the components that have weight there.
struct Univariate {
  struct Part {
    double weight, mean, sd;
    const Tail* tail;
    Index component;
  };
  std::vector<Part> parts;

  // cdf and density at y
  std::pair<double, double> at(double y) const {
    double cdf = 0.0, pdf = 0.0;
    for (const Part& c : parts) {
      const std::pair<double, double> here = c.tail->at((y - c.mean) / c.sd);
      cdf += c.weight * here.first;
      pdf += c.weight * here.second / c.sd;
    }
    return {cdf, pdf};
  }
  // `standard[c]`: that quantile of component c with mean 0 and scale 1. Newton steps kept inside a
  // bracket: the mixture's quantile lies between the least and the greatest of the components'.
  // Where a step leaves the bracket, or is not half as long as the one before, the bracket is
  // halved. A Newton step of 1e-8 of the narrowest part leaves an error of the order of its square.
  double quantile(double p, const std::vector<double>& standard) const {
    double low = HUGE_VAL, high = -HUGE_VAL, y = 0.0, narrowest = HUGE_VAL;
    for (const Part& c : parts) {
      const double q = c.mean + c.sd * standard[static_cast<std::size_t>(c.component)];
      low = std::min(low, q);
      high = std::max(high, q);
      narrowest = std::min(narrowest, c.sd);
      y += c.weight * q;
    }
    y = std::max(low, std::min(high, y));
    double last = high - low;
    for (int pass = 0; pass < 200 && high - low > 1e-12 * (1.0 + std::abs(y)); ++pass) {
      const std::pair<double, double> here = at(y);
      const double excess = here.first - p;
      (excess > 0.0 ? high : low) = y;
      double next = y - excess / here.second;
      const bool newton = next > low && next < high && std::abs(next - y) <= 0.5 * last;
      if (!newton) next = 0.5 * (low + high);
      last = std::abs(next - y);
      y = next;
      if (last <= 1e-13 * (1.0 + std::abs(y)) || (newton && last <= 1e-8 * narrowest)) break;
    }
    return y;
  }
};

class Predictive {
 public:
  Predictive(std::vector<PredictiveComponent> components, int clusters)
      : components_(std::move(components)), clusters_(clusters) {
    for (const PredictiveComponent& k : components_) gate_.emplace_back(k);
  }

  int clusters() const { return clusters_; }

  // log weight + log density of what is seen of x (and of y when it has entries).
  VectorXd scores(const VectorXd& x, const VectorXd& w, const VectorXd& y) const {
    VectorXd out(size());
    const bool complete = !x.hasNaN();
    for (Index c = 0; c < size(); ++c) {
      const PredictiveComponent& k = at(c);
      if (k.independent) {
        out[c] = k.log_weight + detail::log_independent_seen(x, k.mean, k.spread, k.spread_df);
      } else if (complete) {
        out[c] = gate_[static_cast<std::size_t>(c)].score(k, x);
      } else {
        out[c] = k.log_weight + detail::log_elliptic_seen(x, k.mean, k.spread, k.spread_df, 1.0);
      }
      if (y.size() == 0) continue;
      out[c] += detail::log_elliptic_seen(y, k.coef.transpose() * w, k.noise, k.noise_df,
                                          inflation(k, w));
    }
    return out;
  }

  static double total(const VectorXd& scores) {
    return log_sum_exp(scores.data(), static_cast<std::size_t>(scores.size()));
  }
  static VectorXd probabilities(const VectorXd& scores) {
    return (scores.array() - total(scores)).exp();
  }

  VectorXd cluster_probabilities(const VectorXd& scores) const {
    const VectorXd p = probabilities(scores);
    VectorXd out = VectorXd::Zero(clusters_);
    for (Index c = 0; c < size(); ++c) out[at(c).cluster] += p[c];
    return out;
  }

  VectorXd mean(const VectorXd& probability, const VectorXd& w) const {
    VectorXd out = VectorXd::Zero(at(0).coef.cols());
    for (Index c = 0; c < size(); ++c) {
      for (Index j = 0; j < out.size(); ++j) out[j] += probability[c] * at(c).coef.col(j).dot(w);
    }
    return out;
  }

  // For Univariate::quantile(); the same for all rows.
  std::vector<double> standard_quantiles(double p) const {
    std::vector<double> out;
    for (const PredictiveComponent& k : components_) {
      const bool repeated = !out.empty() && k.noise_df == components_[out.size() - 1].noise_df;
      out.push_back(repeated ? out.back() : detail::quantile(p, k.noise_df));
    }
    return out;
  }

  // To be called before response().
  void make_tails() {
    for (const PredictiveComponent& k : components_) {
      std::shared_ptr<Tail>& tail = tails_[k.noise_df];
      if (!tail) tail = std::make_shared<Tail>(k.noise_df);
      tail_.push_back(tail.get());
      row_scale_.push_back(k.noise.rowwise().norm());
    }
  }

  // Components without a part in a thousand million million of the weight are left out.
  Univariate response(const VectorXd& probability, const VectorXd& w, Index j) const {
    Univariate out;
    const double total = (probability.array() > 1e-14).select(probability, 0.0).sum();
    for (Index c = 0; c < size(); ++c) {
      if (!(probability[c] > 1e-14)) continue;
      const auto slot = static_cast<std::size_t>(c);
      const PredictiveComponent& k = at(c);
      out.parts.push_back({probability[c] / total, k.coef.col(j).dot(w),
                           row_scale_[slot][j] * std::sqrt(inflation(k, w)), tail_[slot], c});
    }
    return out;
  }

  VectorXd draw(const VectorXd& probability, const VectorXd& w, Rng& rng) const {
    const PredictiveComponent& k = at(static_cast<Index>(rng.categorical(probability)));
    VectorXd z = k.noise * rng.normal_vector(k.noise.rows()) * std::sqrt(inflation(k, w));
    if (!std::isinf(k.noise_df)) z /= std::sqrt(rng.chi_squared(k.noise_df) / k.noise_df);
    return k.coef.transpose() * w + z;
  }

 private:
  Index size() const { return static_cast<Index>(components_.size()); }
  const PredictiveComponent& at(Index c) const { return components_[static_cast<std::size_t>(c)]; }
  static double inflation(const PredictiveComponent& k, const VectorXd& w) {
    return k.leverage.size() == 0 ? 1.0 : 1.0 + (k.leverage.transpose() * w).squaredNorm();
  }

  // log weight + log density of complete x, with what does not depend on x made once.
  struct Gate {
    MatrixXd white;  // inverse of the factor
    double constant;
    explicit Gate(const PredictiveComponent& k)
        : white(k.spread.triangularView<Eigen::Lower>().solve(
              MatrixXd::Identity(k.spread.rows(), k.spread.rows()))),
          constant(k.log_weight + detail::log_elliptic(VectorXd::Zero(k.mean.size()), k.spread,
                                                       k.spread_df, 1.0)) {}
    double score(const PredictiveComponent& k, const VectorXd& x) const {
      const Index p = k.mean.size();
      double q = 0.0;
      for (Index i = 0; i < p; ++i) {
        double e = 0.0;
        for (Index j = 0; j <= i; ++j) e += white(i, j) * (x[j] - k.mean[j]);
        q += e * e;
      }
      if (std::isinf(k.spread_df)) return constant - 0.5 * q;
      return constant - 0.5 * (k.spread_df + double(p)) * std::log1p(q / k.spread_df);
    }
  };

  std::vector<PredictiveComponent> components_;
  std::vector<Gate> gate_;
  std::map<double, std::shared_ptr<Tail>> tails_;  // by degrees of freedom
  std::vector<const Tail*> tail_;                  // of p(y | x, c) in units of its scale
  std::vector<VectorXd> row_scale_;
  int clusters_;
};

}  // namespace cwm
}  // namespace mixology
