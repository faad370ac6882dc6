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

// Doubles throughout: Boost's default of long doubles costs several times as much.
using InDouble = boost::math::policies::policy<boost::math::policies::promote_double<false>>;
using Student = boost::math::students_t_distribution<double, InDouble>;

inline double cdf(double z, double df) {
  if (std::isinf(df)) return 0.5 * std::erfc(-z * M_SQRT1_2);
  return boost::math::cdf(Student(df), z);
}
inline double quantile(double p, double df) {
  if (std::isinf(df)) return boost::math::quantile(boost::math::normal(), p);
  return boost::math::quantile(Student(df), p);
}
// log of the density at zero
inline double log_peak(double df) {
  if (std::isinf(df)) return -0.5 * kLog2Pi;
  return log_gamma(0.5 * (df + 1.0)) - log_gamma(0.5 * df) - 0.5 * std::log(df * M_PI);
}
inline double pdf(double z, double df, double log_peak) {
  if (std::isinf(df)) return std::exp(log_peak - 0.5 * z * z);
  return std::exp(log_peak - 0.5 * (df + 1.0) * std::log1p(z * z / df));
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
    double weight, mean, sd, df, log_peak;
    Index component;
  };
  std::vector<Part> parts;

  // cdf and density at y
  std::pair<double, double> at(double y) const {
    double cdf = 0.0, pdf = 0.0;
    for (const Part& c : parts) {
      const double z = (y - c.mean) / c.sd;
      cdf += c.weight * detail::cdf(z, c.df);
      pdf += c.weight * detail::pdf(z, c.df, c.log_peak) / c.sd;
    }
    return {cdf, pdf};
  }
  // `standard[c]`: that quantile of component c with mean 0 and scale 1. Newton steps kept inside a
  // bracket: the mixture's quantile lies between the least and the greatest of the components'.
  // Where a step leaves the bracket, or is not half as long as the one before, the bracket is halved.
  double quantile(double p, const std::vector<double>& standard) const {
    double low = HUGE_VAL, high = -HUGE_VAL, y = 0.0;
    for (const Part& c : parts) {
      const double q = c.mean + c.sd * standard[static_cast<std::size_t>(c.component)];
      low = std::min(low, q);
      high = std::max(high, q);
      y += c.weight * q;
    }
    y = std::max(low, std::min(high, y));
    double last = high - low;
    for (int pass = 0; pass < 200 && high - low > 1e-12 * (1.0 + std::abs(y)); ++pass) {
      const std::pair<double, double> here = at(y);
      const double excess = here.first - p;
      (excess > 0.0 ? high : low) = y;
      double next = y - excess / here.second;
      const bool inside = next > low && next < high;
      if (!inside || std::abs(next - y) > 0.5 * last) next = 0.5 * (low + high);
      last = std::abs(next - y);
      y = next;
      if (last <= 1e-13 * (1.0 + std::abs(y))) break;
    }
    return y;
  }
};

class Predictive {
 public:
  Predictive(std::vector<PredictiveComponent> components, int clusters)
      : components_(std::move(components)), clusters_(clusters) {
    for (const PredictiveComponent& k : components_) {
      log_peak_.push_back(detail::log_peak(k.noise_df));
    }
  }

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

  // For Univariate::quantile(); the same for all rows.
  std::vector<double> standard_quantiles(double p) const {
    std::vector<double> out;
    for (const PredictiveComponent& k : components_) {
      const bool repeated = !out.empty() && k.noise_df == components_[out.size() - 1].noise_df;
      out.push_back(repeated ? out.back() : detail::quantile(p, k.noise_df));
    }
    return out;
  }

  // Components without a part in a thousand million million of the weight are left out.
  Univariate response(const VectorXd& probability, const VectorXd& w, Index j) const {
    Univariate out;
    const double total = (probability.array() > 1e-14).select(probability, 0.0).sum();
    for (Index c = 0; c < size(); ++c) {
      if (!(probability[c] > 1e-14)) continue;
      const PredictiveComponent& k = at(c);
      out.parts.push_back({probability[c] / total, k.coef.col(j).dot(w),
                           k.noise.row(j).norm() * std::sqrt(inflation(k, w)), k.noise_df,
                           log_peak_[static_cast<std::size_t>(c)], c});
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
  std::vector<double> log_peak_;  // of p(y | x, c) in units of its scale
  int clusters_;
};

}  // namespace cwm
}  // namespace mixology
