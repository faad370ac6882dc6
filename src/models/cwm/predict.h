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
  MatrixXd leverage;  // R x R, lower: scale grows by sqrt(1 + |leverage' w|^2); 0 x 0 for none
};

namespace detail {

// log density of a Gaussian or Student vector, by its deviation from the centre, with what does not
// depend on that made once. Past 1e100 an entry counts as 1e100: its square would be infinite under
// every component, and no component the likeliest.
class Elliptic {
 public:
  Elliptic(const MatrixXd& factor, double df)
      : white_(factor.triangularView<Eigen::Lower>().solve(
            MatrixXd::Identity(factor.rows(), factor.rows()))),
        df_(df),
        p_(static_cast<double>(factor.rows())),
        constant_(-factor.diagonal().array().log().sum()) {
    if (std::isinf(df)) {
      constant_ -= 0.5 * p_ * kLog2Pi;
    } else {
      constant_ +=
          log_gamma(0.5 * (df + p_)) - log_gamma(0.5 * df) - 0.5 * p_ * std::log(df * M_PI);
    }
  }

  double log_density(const VectorXd& deviation, double stretch = 1.0) const {
    double q = 0.0;
    for (Index i = 0; i < deviation.size(); ++i) {
      double e = 0.0;
      for (Index j = 0; j <= i; ++j) {
        e += white_(i, j) * std::max(-1e100, std::min(1e100, deviation[j]));
      }
      q += (e / stretch) * (e / stretch);
    }
    const double constant = constant_ - p_ * std::log(stretch);
    if (std::isinf(df_)) return constant - 0.5 * q;
    return constant - 0.5 * (df_ + p_) * std::log1p(q / df_);
  }

 private:
  MatrixXd white_;  // inverse of the factor
  double df_, p_, constant_;
};

inline std::vector<Index> seen_entries(const VectorXd& v) {
  std::vector<Index> out;
  for (Index j = 0; j < v.size(); ++j) {
    if (!std::isnan(v[j])) out.push_back(j);
  }
  return out;
}

// The same for the entries of `v` that are seen; the others are integrated out. `whole`: for a `v`
// that is seen all over.
inline double log_density_seen(const VectorXd& v, const VectorXd& mean, const Elliptic& whole,
                               const MatrixXd& factor, double df, double stretch) {
  const std::vector<Index> seen = seen_entries(v);
  const auto s = static_cast<Index>(seen.size());
  if (s == v.size()) return whole.log_density(v - mean, stretch);
  if (s == 0) return 0.0;
  const MatrixXd scale = factor * factor.transpose();
  VectorXd deviation(s);
  MatrixXd part(s, s);
  for (Index a = 0; a < s; ++a) {
    const Index i = seen[static_cast<std::size_t>(a)];
    deviation[a] = v[i] - mean[i];
    for (Index b = 0; b < s; ++b) part(a, b) = scale(i, seen[static_cast<std::size_t>(b)]);
  }
  return Elliptic(part.llt().matrixL(), df).log_density(deviation, stretch);
}

// A diagonal family: each entry of x by itself.
inline double log_independent_seen(const VectorXd& x, const VectorXd& mean, const MatrixXd& factor,
                                   double df) {
  double out = 0.0;
  for (const Index j : seen_entries(x)) {
    out += Elliptic(factor.block(j, j, 1, 1), df).log_density(x.segment(j, 1) - mean.segment(j, 1));
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
    for (const PredictiveComponent& k : components_) {
      of_x_.emplace_back(k.spread, k.spread_df);
      of_y_.emplace_back(k.noise, k.noise_df);
    }
  }

  int clusters() const { return clusters_; }
  const std::vector<PredictiveComponent>& components() const { return components_; }

  // log weight + log density of what is seen of x (and of y when it has entries).
  VectorXd scores(const VectorXd& x, const VectorXd& w, const VectorXd& y) const {
    VectorXd out(size());
    for (Index c = 0; c < size(); ++c) {
      const auto slot = static_cast<std::size_t>(c);
      const PredictiveComponent& k = at(c);
      out[c] = k.log_weight;
      out[c] += k.independent
                    ? detail::log_independent_seen(x, k.mean, k.spread, k.spread_df)
                    : detail::log_density_seen(x, k.mean, of_x_[slot], k.spread, k.spread_df, 1.0);
      if (y.size() == 0) continue;
      out[c] += detail::log_density_seen(y, k.coef.transpose() * w, of_y_[slot], k.noise,
                                         k.noise_df, stretch(k, w));
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

  VectorXd draw(const VectorXd& probability, const VectorXd& w, Rng& rng) const {
    const PredictiveComponent& k = at(static_cast<Index>(rng.categorical(probability)));
    VectorXd z = k.noise * rng.normal_vector(k.noise.rows()) * stretch(k, w);
    if (!std::isinf(k.noise_df)) z /= std::sqrt(rng.chi_squared(k.noise_df) / k.noise_df);
    return k.coef.transpose() * w + z;
  }

  // How much wider the scale of y is where the coefficients are uncertain.
  static double stretch(const PredictiveComponent& k, const VectorXd& w) {
    if (k.leverage.size() == 0) return 1.0;
    return std::hypot(1.0, VectorXd(k.leverage.transpose() * w).stableNorm());
  }

 private:
  Index size() const { return static_cast<Index>(components_.size()); }
  const PredictiveComponent& at(Index c) const { return components_[static_cast<std::size_t>(c)]; }

  std::vector<PredictiveComponent> components_;
  std::vector<detail::Elliptic> of_x_, of_y_;
  int clusters_;
};

// Intervals of p(y | x): the tails and quantiles that rows share, made once.
class PredictiveIntervals {
 public:
  explicit PredictiveIntervals(const Predictive& predictive) : predictive_(predictive) {
    for (const PredictiveComponent& k : predictive.components()) {
      std::shared_ptr<Tail>& tail = tails_[k.noise_df];
      if (!tail) tail = std::make_shared<Tail>(k.noise_df);
      tail_.push_back(tail.get());
      row_scale_.push_back(k.noise.rowwise().norm());
    }
  }

  // For Univariate::quantile(); the same for all rows.
  std::vector<double> standard_quantiles(double p) const {
    const std::vector<PredictiveComponent>& components = predictive_.components();
    std::vector<double> out;
    for (const PredictiveComponent& k : components) {
      const bool repeated = !out.empty() && k.noise_df == components[out.size() - 1].noise_df;
      out.push_back(repeated ? out.back() : detail::quantile(p, k.noise_df));
    }
    return out;
  }

  // Components without a part in a thousand million million of the weight are left out.
  Univariate response(const VectorXd& probability, const VectorXd& w, Index j) const {
    Univariate out;
    const double total = (probability.array() > 1e-14).select(probability, 0.0).sum();
    for (Index c = 0; c < probability.size(); ++c) {
      if (!(probability[c] > 1e-14)) continue;
      const auto slot = static_cast<std::size_t>(c);
      const PredictiveComponent& k = predictive_.components()[slot];
      out.parts.push_back({probability[c] / total, k.coef.col(j).dot(w),
                           row_scale_[slot][j] * Predictive::stretch(k, w), tail_[slot], c});
    }
    return out;
  }

 private:
  const Predictive& predictive_;
  std::map<double, std::shared_ptr<Tail>> tails_;  // by degrees of freedom
  std::vector<const Tail*> tail_;                  // of p(y | x, c) in units of its scale
  std::vector<VectorXd> row_scale_;
};

}  // namespace cwm
}  // namespace mixology
