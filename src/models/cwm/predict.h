// Prediction from a mixture: p(y | x) = sum_c p(c | x) p(y | x, c).
//
// The mixture may be a point estimate (Gaussian components), the variational predictive (Student
// components) or an average over posterior draws (the components of all draws, each weighted by one
// over their number). Quantiles are roots of the mixture's distribution function.
#pragma once

#include <boost/math/distributions/normal.hpp>
#include <boost/math/distributions/students_t.hpp>

#include <cmath>

#include "core/parallel.h"
#include "core/rng.h"
#include "core/special.h"
#include "models/cwm/kernel.h"

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

inline double cdf(double z, double df) {
  if (std::isinf(df)) return 0.5 * std::erfc(-z * M_SQRT1_2);
  return boost::math::cdf(boost::math::students_t(df), z);
}
inline double pdf(double z, double df) {
  if (std::isinf(df)) return std::exp(-0.5 * (z * z + kLog2Pi));
  return boost::math::pdf(boost::math::students_t(df), z);
}
inline double quantile(double p, double df) {
  if (std::isinf(df)) return boost::math::quantile(boost::math::normal(), p);
  return boost::math::quantile(boost::math::students_t(df), p);
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

// One response of a row: a univariate mixture.
struct Univariate {
  VectorXd weight, mean, sd, df;

  double cdf(double y) const {
    double out = 0.0;
    for (Index c = 0; c < weight.size(); ++c) {
      if (weight[c] > 0.0) out += weight[c] * detail::cdf((y - mean[c]) / sd[c], df[c]);
    }
    return out;
  }
  double pdf(double y) const {
    double out = 0.0;
    for (Index c = 0; c < weight.size(); ++c) {
      if (weight[c] > 0.0) out += weight[c] * detail::pdf((y - mean[c]) / sd[c], df[c]) / sd[c];
    }
    return out;
  }
  // Newton steps kept inside a bracket that bisection shrinks: the mixture's quantile lies between
  // the least and the greatest of the components'.
  double quantile(double p) const {
    double low = HUGE_VAL, high = -HUGE_VAL;
    for (Index c = 0; c < weight.size(); ++c) {
      if (!(weight[c] > 0.0)) continue;
      const double q = mean[c] + sd[c] * detail::quantile(p, df[c]);
      low = std::min(low, q);
      high = std::max(high, q);
    }
    double y = 0.5 * (low + high);
    for (int pass = 0; pass < 200 && high - low > 1e-12 * (1.0 + std::abs(y)); ++pass) {
      const double excess = cdf(y) - p;
      (excess > 0.0 ? high : low) = y;
      const double newton = y - excess / pdf(y);
      const double next = newton > low && newton < high ? newton : 0.5 * (low + high);
      if (std::abs(next - y) <= 1e-12 * (1.0 + std::abs(y))) return next;
      // every third step bisects, so that a flat stretch cannot stall the bracket
      y = pass % 3 == 2 ? 0.5 * (low + high) : next;
    }
    return y;
  }
};

class Predictive {
 public:
  Predictive(std::vector<PredictiveComponent> components, int clusters)
      : components_(std::move(components)), clusters_(clusters) {}

  int clusters() const { return clusters_; }

  // log weight + log density of what is seen of x (and of y when it has entries).
  VectorXd scores(const VectorXd& x, const VectorXd& w, const VectorXd& y) const {
    VectorXd out(size());
    for (Index c = 0; c < size(); ++c) {
      const PredictiveComponent& k = at(c);
      out[c] = k.log_weight +
               (k.independent ? detail::log_independent_seen(x, k.mean, k.spread, k.spread_df)
                              : detail::log_elliptic_seen(x, k.mean, k.spread, k.spread_df, 1.0));
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
    for (Index c = 0; c < size(); ++c) out += probability[c] * (at(c).coef.transpose() * w);
    return out;
  }

  Univariate response(const VectorXd& probability, const VectorXd& w, Index j) const {
    Univariate out;
    out.weight = (probability.array() > 1e-14).select(probability, 0.0);
    out.weight /= out.weight.sum();
    out.mean.resize(size());
    out.sd.resize(size());
    out.df.resize(size());
    for (Index c = 0; c < size(); ++c) {
      const PredictiveComponent& k = at(c);
      out.mean[c] = k.coef.col(j).dot(w);
      out.sd[c] = k.noise.row(j).norm() * std::sqrt(inflation(k, w));
      out.df[c] = k.noise_df;
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

  std::vector<PredictiveComponent> components_;
  int clusters_;
};

}  // namespace cwm
}  // namespace mixology
