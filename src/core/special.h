// Scalar special functions: thread-safe, accurate at the edges of the parameter space.
// The standard library's lgamma is never called: it writes the global signgam.
// References: Abramowitz and Stegun (1964), chapters 6 and 26; Maechler (2012), "Accurately
// computing log(1 - exp(-|a|))"; Loader (2000), "Fast and accurate computation of binomial
// probabilities".
#ifndef MIXOLOGY_CORE_SPECIAL_H
#define MIXOLOGY_CORE_SPECIAL_H

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>

#include "coefficients.h"

namespace mixology {

constexpr double kLog2 = 0.693147180559945309417;
constexpr double kLogPi = 1.144729885849400174143;
constexpr double kHalfLog2Pi = coefficients::kHalfLogTwoPi;
constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

// ---- logarithms and exponentials --------------------------------------------------------

// log(1 + exp(x)) (Maechler 2012, equation 10).
inline double log1pexp(double x) {
  if (x > 33.3) return x > 40.0 ? x : x + std::exp(-x);
  return std::log1p(std::exp(x));
}

// log(1 - exp(x)) for x <= 0 (Maechler 2012, equation 7).
inline double log1mexp(double x) {
  return x > -kLog2 ? std::log(-std::expm1(x)) : std::log1p(-std::exp(x));
}

// log(1 + t) - t without cancellation. With s = t / (2 + t),
// log(1 + t) = 2 atanh(s) and t - 2 s = s t.
inline double log1pmx(double t) {
  if (!(t > -0.4 && t < 0.7)) return std::log1p(t) - t;
  const double s = t / (2.0 + t);
  const double q = s * s;
  double tail = 0.0;  // sum over j >= 1 of q^j / (2 j + 1)
  for (int j = 17; j >= 1; --j) tail = q * (1.0 / (2 * j + 1) + tail);
  return s * (2.0 * tail - t);
}

// log(1 + t) / t, equal to 1 at t = 0.
inline double log1p_over(double t) { return t == 0.0 ? 1.0 : std::log1p(t) / t; }

inline double log_sum_exp(double a, double b) {
  if (a == b) return a + kLog2;  // equal infinities too
  return std::max(a, b) + std::log1p(std::exp(-std::fabs(a - b)));
}

// log sum_i exp(x_i); -Inf for the empty sum, NaN when any term is NaN.
inline double log_sum_exp(const double* x, std::size_t n) {
  double top = -kInfinity;
  for (std::size_t i = 0; i < n; ++i) {
    if (std::isnan(x[i])) return kNaN;
    top = std::max(top, x[i]);
  }
  if (top == -kInfinity || top == kInfinity) return top;
  double total = 0.0;
  for (std::size_t i = 0; i < n; ++i) total += std::exp(x[i] - top);
  return top + std::log(total);
}

// ---- gamma family -----------------------------------------------------------------------

namespace detail {

using namespace coefficients;

// Below this the argument is raised by the recurrence.
constexpr double kAsymptotic = 10.0;

inline double polynomial(const double* c, int n, double u) {
  double value = c[n - 1];
  for (int k = n - 2; k >= 0; --k) value = c[k] + u * value;
  return value;
}

// (q(u) - q(v)) / (u - v) by Horner's scheme for divided differences: no cancellation.
inline double divided_difference(const double* c, int n, double u, double v) {
  double value = c[n - 1];
  double slope = 0.0;
  for (int k = n - 2; k >= 0; --k) {
    slope = value + v * slope;
    value = c[k] + u * value;
  }
  return slope;
}

inline double lgamma_near_two(double z) { return z * polynomial(kLgammaNearTwo, 19, z); }

}  // namespace detail

// log_gamma(x) - Stirling's leading terms, for x >= 10.
inline double stirling_correction(double x) {
  return detail::polynomial(detail::kStirling, 9, 1.0 / (x * x)) / x;
}

// log Gamma(x) for x > 0; +Inf at 0, NaN below.
inline double log_gamma(double x) {
  if (!(x > 0.0)) return x == 0.0 ? kInfinity : kNaN;
  if (x < 0.5) return detail::lgamma_near_two(x) - std::log1p(x) - std::log(x);
  if (x < 1.5) return detail::lgamma_near_two(x - 1.0) - std::log1p(x - 1.0);
  if (x < 2.5) return detail::lgamma_near_two(x - 2.0);
  if (x < detail::kAsymptotic) {
    double product = 1.0;
    while (x >= 2.5) {
      x -= 1.0;
      product *= x;
    }
    return std::log(product) + detail::lgamma_near_two(x - 2.0);
  }
  if (x > 1e305) return x == kInfinity ? x : x * (std::log(x) - 1.0);
  return (x - 0.5) * std::log(x) - x + kHalfLog2Pi + stirling_correction(x);
}

// Derivative of lgamma for x > 0; -Inf at 0, NaN below.
inline double digamma(double x) {
  if (!(x > 0.0)) return x == 0.0 ? -kInfinity : kNaN;
  double shift = 0.0;
  for (; x < detail::kAsymptotic; x += 1.0) shift -= 1.0 / x;
  const double inverse = 1.0 / x;
  const double u = inverse * inverse;
  return shift + (std::log(x) - 0.5 * inverse - u * detail::polynomial(detail::kDigamma, 9, u));
}

// Second derivative of lgamma for x > 0; +Inf at 0, NaN below.
inline double trigamma(double x) {
  if (!(x > 0.0)) return x == 0.0 ? kInfinity : kNaN;
  double shift = 0.0;
  for (; x < detail::kAsymptotic; x += 1.0) shift += 1.0 / (x * x);
  const double inverse = 1.0 / x;
  const double u = inverse * inverse;
  return shift + inverse + u * (0.5 + inverse * detail::polynomial(detail::kTrigamma, 9, u));
}

// log Gamma_p(a), the multivariate gamma function, for a > (p - 1) / 2.
inline double log_multivariate_gamma(double a, int p) {
  double total = 0.25 * p * (p - 1) * kLogPi;
  for (int j = 0; j < p; ++j) total += log_gamma(a - 0.5 * j);
  return total;
}

// ---- differences of the gamma family ----------------------------------------------------
// x is a count, or any x >= 0, and r > 0 up to infinity. A plain difference loses
// log10(r log r) digits: at r = 1e12, x = 100 it is off by 3e-3.

namespace detail {

// log Gamma(b) - log Gamma(a) - x log(b) for a, b = a + x >= 10 (difference of 6.1.40).
inline double lgamma_diff_tail(double x, double a, double b) {
  const double t = x / a;
  const double u = 1.0 / (b * b);
  const double v = 1.0 / (a * a);
  // q(u) / b - q(v) / a = [q(u) - q(v)] / b + q(v) (1 / b - 1 / a); u - v = -x (a + b) u v,
  // written so that nothing overflows before it is divided
  const double series = -(x / b) * ((a + b) / b) * v * divided_difference(kStirling, 9, u, v) / b -
                        polynomial(kStirling, 9, v) * (x / a / b);
  return a * log1pmx(t) - 0.5 * std::log1p(t) + series;
}

}  // namespace detail

// log_gamma(x + r) - log_gamma(r).
inline double lgamma_diff(double x, double r) {
  if (!(r > 0.0) || !(x >= 0.0)) return kNaN;
  if (x == 0.0) return 0.0;
  if (x <= 8.0 && x == std::floor(x) && r < 1e30) {
    double product = r;
    for (double j = 1.0; j < x; j += 1.0) product *= r + j;
    return std::log(product);
  }
  if (r >= 1e100) return x * std::log(r);
  // Raise r, and x + r with it when that is small too, to where the series holds.
  double b = x + r;
  double gap = x;
  double log_ratio = 0.0;
  if (r < detail::kAsymptotic) {
    const bool both = b < detail::kAsymptotic;
    double product = 1.0;
    for (; r < detail::kAsymptotic; r += 1.0) {
      if (both && x < 0.5) {
        log_ratio -= std::log1p(x / r);
      } else {
        product *= both ? r / b : r;
      }
      if (both) b += 1.0;
    }
    log_ratio += std::log(product);
    if (!both) gap = b - r;
  }
  return log_ratio + (gap * std::log(b) + detail::lgamma_diff_tail(gap, r, b));
}

// d/dr lgamma_diff = digamma(x + r) - digamma(r).
inline double digamma_diff(double x, double r) {
  if (!(r > 0.0) || !(x >= 0.0)) return kNaN;
  if (x == 0.0) return 0.0;
  double shift = 0.0;
  for (; r < detail::kAsymptotic; r += 1.0) shift += x / (r * (r + x));
  const double b = x + r;
  const double u = 1.0 / (b * b);
  const double v = 1.0 / (r * r);
  // -[u q(u) - v q(v)] = -(u - v) [q(v) + u q[u, v]], u - v = -x (r + b) u v
  const double series = (x / b) * ((r + b) / b) * v *
                        (detail::polynomial(detail::kDigamma, 9, v) +
                         u * detail::divided_difference(detail::kDigamma, 9, u, v));
  return shift + (std::log1p(x / r) + 0.5 * x / r / b + series);
}

// d2/dr2 lgamma_diff = trigamma(x + r) - trigamma(r), never positive.
inline double trigamma_diff(double x, double r) {
  if (!(r > 0.0) || !(x >= 0.0)) return kNaN;
  if (x == 0.0) return 0.0;
  double shift = 0.0;
  for (; r < detail::kAsymptotic; r += 1.0) {
    const double b = r + x;
    shift -= (x / r / b) * (1.0 / r + 1.0 / b);
  }
  const double b = x + r;
  const double u = 1.0 / (b * b);
  const double v = 1.0 / (r * r);
  const double gap = x / r / b;  // 1/r - 1/b
  const double sum = 1.0 / r + 1.0 / b;
  // u q(u) / b - v q(v) / r with q the series of 6.4.12
  const double product_slope = detail::polynomial(detail::kTrigamma, 9, v) +
                               u * detail::divided_difference(detail::kTrigamma, 9, u, v);
  const double series =
      -gap * sum * product_slope / b - v * detail::polynomial(detail::kTrigamma, 9, v) * gap;
  return shift - gap - 0.5 * gap * sum + series;
}

// sum_{j < x} log(1 + j phi) = lgamma(x + 1/phi) - lgamma(1/phi) + x log(phi): the part of
// a negative binomial log density that is smooth through the Poisson limit phi = 0.
inline double log_rising(double x, double phi) {
  if (!(x >= 0.0) || !(phi >= 0.0)) return kNaN;
  if (x <= 1.0 && x == std::floor(x)) return 0.0;
  // Here the next term of the expansion is below rounding.
  if (phi * x < 1e-17) return 0.5 * phi * x * (x - 1.0);
  const double r = 1.0 / phi;
  if (r < detail::kAsymptotic) return lgamma_diff(x, r) + x * std::log(phi);
  return x * std::log1p(phi * x) + detail::lgamma_diff_tail(x, r, x + r);
}

// ---- densities --------------------------------------------------------------------------

namespace detail {

// x log(m / x) - (m - x), never positive, given m - x and m / x computed without cancellation
// (Loader 2000, "Fast and accurate computation of binomial probabilities": the deviance).
inline double minus_deviance(double x, double m_minus_x, double m_over_x) {
  const double t = m_minus_x / x;
  return x * (std::fabs(t) < 0.3 ? log1pmx(t) : std::log(m_over_x) - t);
}

// log_gamma(x) - (x - 1/2) log x + x - log(2 pi) / 2 for every x > 0.
inline double stirling_error(double x) {
  if (x >= kAsymptotic) return stirling_correction(x);
  return log_gamma(x) - (x - 0.5) * std::log(x) + x - kHalfLog2Pi;
}

}  // namespace detail

// Log Poisson probability, free of cancellation for large x and mean.
inline double log_poisson(double x, double mean) {
  if (!(mean >= 0.0) || std::isnan(x)) return kNaN;
  if (x < 0.0) return -kInfinity;
  if (mean == 0.0) return x == 0.0 ? 0.0 : -kInfinity;
  if (x == 0.0) return -mean;
  if (mean == kInfinity || x == kInfinity) return -kInfinity;
  return detail::minus_deviance(x, mean - x, mean / x) - 0.5 * std::log(x) - kHalfLog2Pi -
         detail::stirling_error(x);
}

// Log negative binomial probability with variance mean + dispersion mean^2. With r the
// inverse dispersion this is Loader's binomial form: two deviances and Stirling errors, so
// that no two large terms cancel and the Poisson is the limit term by term.
inline double log_negative_binomial(double x, double mean, double dispersion) {
  if (!(mean >= 0.0) || !(dispersion >= 0.0) || std::isnan(x)) return kNaN;
  if (x < 0.0) return -kInfinity;
  if (mean == 0.0) return x == 0.0 ? 0.0 : -kInfinity;
  if (mean == kInfinity || dispersion == kInfinity || x == kInfinity) return -kInfinity;
  // Below 1e-100 the result is that of the Poisson to the last bit, and 1 / phi may overflow.
  if (dispersion < 1e-100) return log_poisson(x, mean);
  const double scaled_mean = dispersion * mean;
  const double r = 1.0 / dispersion;
  if (dispersion > 1e100 || scaled_mean > 1e200) {  // where phi x or phi m may overflow
    const double log_total = std::log(mean + r);
    return lgamma_diff(x, r) - log_gamma(x + 1.0) + x * (std::log(mean) - log_total) +
           r * (std::log(r) - log_total);
  }
  if (x == 0.0) return -mean * log1p_over(scaled_mean);
  const double scaled_x = dispersion * x;
  const double odds = (1.0 + scaled_x) / (1.0 + scaled_mean);
  const double distance = (mean - x) / (1.0 + scaled_mean);
  return detail::minus_deviance(x, distance, mean / x * odds) +
         detail::minus_deviance(r, -distance, odds) + detail::stirling_error(x + r) -
         detail::stirling_error(r) - detail::stirling_error(x) - 0.5 * std::log1p(scaled_x) -
         0.5 * std::log(x) - kHalfLog2Pi;
}

// ---- normal distribution ----------------------------------------------------------------

inline double log_normal_pdf(double z) { return -0.5 * z * z - kHalfLog2Pi; }
inline double normal_pdf(double z) { return std::exp(log_normal_pdf(z)); }
inline double normal_cdf(double z) { return 0.5 * std::erfc(-z * 0.707106781186547524401); }

namespace detail {

// -z Phi(z) / phi(z) - 1 for z < -20, by the asymptotic series of Mills' ratio (Abramowitz and
// Stegun 26.2.12).
inline double mills_series(double z) {
  const double u = 1.0 / (z * z);
  double series = 0.0;
  for (int k = 19; k >= 1; k -= 2) series = -u * k * (1.0 + series);
  return series;
}

}  // namespace detail

inline double log_normal_cdf(double z) {
  if (z > -1.0) return std::log1p(-normal_cdf(-z));
  if (z > -20.0) return std::log(normal_cdf(z));
  if (z == -kInfinity || std::isnan(z)) return z;
  return log_normal_pdf(z) - std::log(-z) + std::log1p(detail::mills_series(z));
}

// Phi(z) / phi(z), the reciprocal slope of log Phi.
inline double mills_ratio(double z) {
  if (z < -20.0) return -(1.0 + detail::mills_series(z)) / z;
  return normal_cdf(z) / normal_pdf(z);
}

// z with log Phi(z) = log_p: the start 26.2.23, then Newton on the log scale, where the
// function is concave and smooth through both tails.
inline double normal_quantile_log(double log_p) {
  if (!(log_p <= 0.0)) return kNaN;
  if (log_p == 0.0) return kInfinity;
  if (log_p == -kInfinity) return -kInfinity;
  // Work in the lower half: the upper one by symmetry.
  const bool upper = log_p > -kLog2;
  const double target = upper ? log1mexp(log_p) : log_p;
  const double t = std::sqrt(-2.0 * target);
  double z = (2.515517 + t * (0.802853 + t * 0.010328)) /
                 (1.0 + t * (1.432788 + t * (0.189269 + t * 0.001308))) -
             t;
  for (int step = 0; step < 4; ++step) {
    z -= (log_normal_cdf(z) - target) * mills_ratio(z);
  }
  return upper ? -z : z;
}

inline double normal_quantile(double p) {
  if (!(p >= 0.0 && p <= 1.0)) return kNaN;
  return p < 0.5 ? normal_quantile_log(std::log(p)) : -normal_quantile_log(std::log1p(-p));
}

}  // namespace mixology

#endif
