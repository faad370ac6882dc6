// Counter-based random numbers: Threefry-4x64 with 20 rounds (Salmon, Moraes, Dror and Shaw,
// 2011, "Parallel random numbers: as easy as 1, 2, 3"), through the sitmo headers.
//
//   key     = (seed, chain, 0, 0)
//   counter = (block of four draws, item, iteration, site)
//
// A draw depends on nothing but these five numbers and its place in the sequence, so the order
// in which threads reach the items does not matter and a resumed chain continues bitwise.
// `site` tells apart different updates of one item inside one iteration.
// Distributions are Boost.Random's or written here: those of the standard library differ
// between implementations.
#ifndef MIXOLOGY_CORE_RNG_H
#define MIXOLOGY_CORE_RNG_H

#include <Eigen/Dense>
#include <boost/random/exponential_distribution.hpp>
#include <boost/random/normal_distribution.hpp>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <threefry.h>
#include <utility>

#include "special.h"

namespace mixology {

class Rng {
 public:
  using result_type = std::uint64_t;

  explicit Rng(std::uint64_t seed, std::uint64_t chain = 0, std::uint64_t iteration = 0,
               std::uint64_t item = 0, std::uint64_t site = 0)
      : engine_(make_engine(seed, chain)) {
    move_to(iteration, item, site);
  }

  // Jump to the first draw of another (iteration, item, site) under the same key.
  Rng& move_to(std::uint64_t iteration, std::uint64_t item, std::uint64_t site = 0) {
    engine_.set_counter(0, item, iteration, site);
    return *this;
  }

  static constexpr result_type min() { return 0; }
  static constexpr result_type max() { return std::numeric_limits<result_type>::max(); }
  result_type operator()() { return engine_(); }

  // ---- continuous, one value -----------------------------------------------------------

  // Uniform on the open interval (0, 1): the midpoints of 2^52 equal cells.
  double uniform() { return (static_cast<double>((*this)() >> 12) + 0.5) * 0x1p-52; }
  double uniform(double low, double high) { return low + (high - low) * uniform(); }

  double normal() { return boost::random::normal_distribution<double>()(*this); }
  double normal(double mean, double sd) { return mean + sd * normal(); }

  double exponential() { return boost::random::exponential_distribution<double>()(*this); }
  double exponential(double rate) { return exponential() / rate; }

  // Log of a gamma variate with unit scale. Finite for shapes where the variate itself
  // underflows: log G(a) = log G(a + 1) - E / a with E a unit exponential.
  double log_gamma_unit(double shape) {
    check(shape > 0.0 && shape < infinity(), "gamma shape must be positive and finite");
    if (shape >= 1.0) return std::log(gamma_at_least_one(shape));
    const double boosted = std::log(gamma_at_least_one(shape + 1.0));
    return boosted - exponential() / shape;
  }

  // Mean shape / rate.
  double gamma_rate(double shape, double rate) { return gamma_unit(shape) / rate; }
  // Mean shape * scale.
  double gamma_scale(double shape, double scale) { return gamma_unit(shape) * scale; }
  // 1 / gamma_rate(shape, scale): mean scale / (shape - 1).
  double inverse_gamma(double shape, double scale) {
    return std::exp(std::log(scale) - log_gamma_unit(shape));
  }
  double chi_squared(double df) { return 2.0 * gamma_unit(0.5 * df); }
  double student_t(double df) { return normal() / std::sqrt(chi_squared(df) / df); }

  // (log B, log(1 - B)) of a beta variate: both ends keep full relative accuracy, as stick
  // breaking needs.
  std::pair<double, double> log_beta(double a, double b) {
    const double la = log_gamma_unit(a);
    const double lb = log_gamma_unit(b);
    const double total = log_sum_exp(la, lb);
    return {la - total, lb - total};
  }
  double beta(double a, double b) {
    const double la = log_gamma_unit(a);
    const double lb = log_gamma_unit(b);
    return 1.0 / (1.0 + std::exp(lb - la));
  }

  // ---- discrete ------------------------------------------------------------------------

  // Uniform on 0, ..., n - 1, without modulo bias.
  std::uint64_t below(std::uint64_t n) {
    check(n > 0, "the number of alternatives must be positive");
    const std::uint64_t limit = max() - max() % n;
    std::uint64_t draw;
    do draw = (*this)();
    while (draw >= limit);
    return draw % n;
  }

  bool bernoulli(double probability) { return uniform() < probability; }

  // Poisson count, as a double because means above 2^31 are legitimate.
  double poisson(double mean) {
    check(mean >= 0.0 && mean < infinity(), "Poisson mean must be non-negative and finite");
    if (mean == 0.0) return 0.0;
    return mean < 10.0 ? poisson_by_inversion(mean) : poisson_by_rejection(mean);
  }

  // Variance mean + dispersion * mean^2; dispersion = 0 is the Poisson, and no double tells
  // dispersions below 1e-100 from it.
  double negative_binomial(double mean, double dispersion) {
    check(dispersion >= 0.0, "negative binomial dispersion must be non-negative");
    if (dispersion < 1e-100 || mean == 0.0) return poisson(mean);
    return poisson(mean * dispersion * gamma_unit(1.0 / dispersion));
  }

  // Index drawn with probability proportional to non-negative weights.
  std::size_t categorical(const double* weights, std::size_t n) {
    double total = 0.0;
    for (std::size_t k = 0; k < n; ++k) total += weights[k];
    check(total > 0.0 && total < infinity(), "categorical weights must have a positive sum");
    double left = uniform() * total;
    std::size_t last = 0;
    for (std::size_t k = 0; k < n; ++k) {
      if (!(weights[k] > 0.0)) continue;
      last = k;  // rounding may leave a residue: then the last possible index is drawn
      left -= weights[k];
      if (left < 0.0) break;
    }
    return last;
  }
  std::size_t categorical(const Eigen::VectorXd& weights) {
    return categorical(weights.data(), static_cast<std::size_t>(weights.size()));
  }

  // The same from log weights; -Inf is probability zero.
  std::size_t categorical_log(const double* log_weights, std::size_t n) {
    double top = -infinity();
    for (std::size_t k = 0; k < n; ++k) top = log_weights[k] > top ? log_weights[k] : top;
    check(top > -infinity() && top < infinity(), "categorical log weights need a finite maximum");
    double total = 0.0;
    for (std::size_t k = 0; k < n; ++k) total += std::exp(log_weights[k] - top);
    check(total > 0.0, "categorical log weights must not be NaN");
    double left = uniform() * total;
    std::size_t last = 0;
    for (std::size_t k = 0; k < n; ++k) {
      const double weight = std::exp(log_weights[k] - top);
      if (!(weight > 0.0)) continue;
      last = k;
      left -= weight;
      if (left < 0.0) break;
    }
    return last;
  }
  std::size_t categorical_log(const Eigen::VectorXd& log_weights) {
    return categorical_log(log_weights.data(), static_cast<std::size_t>(log_weights.size()));
  }

  // ---- vectors and matrices ------------------------------------------------------------

  void normal(double* out, std::size_t n) {
    for (std::size_t i = 0; i < n; ++i) out[i] = normal();
  }
  Eigen::VectorXd normal_vector(Eigen::Index n) {
    Eigen::VectorXd z(n);
    normal(z.data(), static_cast<std::size_t>(n));
    return z;
  }

  // Logs of a Dirichlet vector: never -Inf, however small the concentrations.
  Eigen::VectorXd log_dirichlet(const Eigen::VectorXd& alpha) {
    Eigen::VectorXd out(alpha.size());
    for (Eigen::Index k = 0; k < alpha.size(); ++k) out[k] = log_gamma_unit(alpha[k]);
    const double total = log_sum_exp(out.data(), static_cast<std::size_t>(out.size()));
    out.array() -= total;
    return out;
  }
  Eigen::VectorXd dirichlet(const Eigen::VectorXd& alpha) {
    Eigen::VectorXd out = log_dirichlet(alpha).array().exp();
    return out / out.sum();
  }

  // mean + L z with covariance L L'.
  Eigen::VectorXd mvn(const Eigen::VectorXd& mean, const Eigen::MatrixXd& chol_covariance) {
    return mean + chol_covariance.triangularView<Eigen::Lower>() * normal_vector(mean.size());
  }
  // mean + L^-T z with precision L L'.
  Eigen::VectorXd mvn_precision(const Eigen::VectorXd& mean,
                                const Eigen::MatrixXd& chol_precision) {
    Eigen::VectorXd z = normal_vector(mean.size());
    chol_precision.triangularView<Eigen::Lower>().transpose().solveInPlace(z);
    return mean + z;
  }

  // Lower Cholesky factor of a Wishart draw with mean df L L' (Bartlett decomposition).
  Eigen::MatrixXd wishart_chol(double df, const Eigen::MatrixXd& chol_scale) {
    return chol_scale.triangularView<Eigen::Lower>() * bartlett(df, chol_scale.rows());
  }
  Eigen::MatrixXd wishart(double df, const Eigen::MatrixXd& chol_scale) {
    const Eigen::MatrixXd factor = wishart_chol(df, chol_scale);
    return factor * factor.transpose();
  }
  // Inverse Wishart with mean L L' / (df - p - 1), L L' its scale matrix:
  // X = F F', F = L A^-T with A Bartlett's factor.
  Eigen::MatrixXd inverse_wishart(double df, const Eigen::MatrixXd& chol_scale) {
    const Eigen::MatrixXd a = bartlett(df, chol_scale.rows());
    const Eigen::MatrixXd lower = chol_scale.triangularView<Eigen::Lower>();
    const Eigen::MatrixXd factor_t = a.triangularView<Eigen::Lower>().solve(lower.transpose());
    return factor_t.transpose() * factor_t;
  }

 private:
  using Engine = sitmo::threefry_engine<std::uint64_t, 64, 20>;
  Engine engine_;

  // sitmo's set_key() leaves the key's parity word stale; its seed sequence route does not.
  struct KeySequence {
    using result_type = std::uint32_t;
    std::uint64_t seed, chain;
    void generate(result_type* begin, result_type* end) const {
      const std::uint64_t key[4] = {seed, chain, 0, 0};
      for (int i = 0; begin != end; ++i, ++begin) {
        *begin = static_cast<result_type>(i % 2 == 0 ? key[i / 2] >> 32 : key[i / 2]);
      }
    }
  };
  static Engine make_engine(std::uint64_t seed, std::uint64_t chain) {
    KeySequence sequence{seed, chain};
    return Engine(sequence);
  }

  static constexpr double infinity() { return std::numeric_limits<double>::infinity(); }
  static void check(bool ok, const char* message) {
    if (!ok) throw std::invalid_argument(message);
  }

  double gamma_unit(double shape) {
    if (shape >= 1.0 && shape < infinity()) return gamma_at_least_one(shape);
    return std::exp(log_gamma_unit(shape));
  }

  // Marsaglia and Tsang (2000), "A simple method for generating gamma variables".
  double gamma_at_least_one(double shape) {
    const double d = shape - 1.0 / 3.0;
    const double c = 1.0 / std::sqrt(9.0 * d);
    for (;;) {
      const double z = normal();
      const double cube_root = 1.0 + c * z;
      if (cube_root <= 0.0) continue;
      const double v = cube_root * cube_root * cube_root;
      const double u = uniform();
      if (u < 1.0 - 0.0331 * z * z * z * z) return d * v;
      if (std::log(u) < 0.5 * z * z + d * (1.0 - v + std::log(v))) return d * v;
    }
  }

  double poisson_by_inversion(double mean) {
    double left = uniform();
    double probability = std::exp(-mean);
    double count = 0.0;
    // Beyond 200 the probability left is below 1e-100: what remains is rounding.
    while (left > probability && count < 200.0) {
      left -= probability;
      count += 1.0;
      probability *= mean / count;
    }
    return count;
  }

  // Hoermann (1993), "The transformed rejection method for generating Poisson random
  // variables", algorithm PTRS.
  double poisson_by_rejection(double mean) {
    const double b = 0.931 + 2.53 * std::sqrt(mean);
    const double a = -0.059 + 0.02483 * b;
    const double log_inverse_alpha = std::log(1.1239 + 1.1328 / (b - 3.4));
    const double v_r = 0.9277 - 3.6224 / (b - 2.0);
    for (;;) {
      const double u = uniform() - 0.5;
      const double v = uniform();
      const double us = 0.5 - std::fabs(u);
      const double k = std::floor((2.0 * a / us + b) * u + mean + 0.43);
      if (us >= 0.07 && v <= v_r) return k;
      if (k < 0.0 || (us < 0.013 && v > us)) continue;
      const double accept = std::log(v) + log_inverse_alpha - std::log(a / (us * us) + b);
      if (accept <= log_poisson(k, mean)) return k;
    }
  }

  Eigen::MatrixXd bartlett(double df, Eigen::Index p) {
    check(df > static_cast<double>(p - 1), "Wishart degrees of freedom must exceed p - 1");
    Eigen::MatrixXd a = Eigen::MatrixXd::Zero(p, p);
    for (Eigen::Index i = 0; i < p; ++i) {
      for (Eigen::Index j = 0; j < i; ++j) a(i, j) = normal();
      a(i, i) = std::sqrt(chi_squared(df - static_cast<double>(i)));
    }
    return a;
  }
};

}  // namespace mixology

#endif
