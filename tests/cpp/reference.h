// Slow, simple references in long double (64 bits of mantissa on x86), each from its definition
// or a textbook series, written apart from the code under test.
#ifndef MIXOLOGY_TESTS_REFERENCE_H
#define MIXOLOGY_TESTS_REFERENCE_H

#include <cmath>
#include <limits>
#include <vector>

namespace reference {

using Real = long double;

// The reference itself must be finer than what it judges (not so where long double is double).
constexpr bool kFine = std::numeric_limits<Real>::digits >= 64;

inline Real lgamma(Real x) { return std::lgamma(x); }

// Recurrence to x >= 40, then the asymptotic series to x^-12.
inline Real digamma(Real x) {
  Real shift = 0;
  for (; x < 40; x += 1) shift += 1 / x;
  const Real u = 1 / (x * x);
  return std::log(x) - 1 / (2 * x) -
         u * (1.0L / 12 -
              u * (1.0L / 120 -
                   u * (1.0L / 252 - u * (1.0L / 240 - u * (1.0L / 132 - u * (691.0L / 32760)))))) -
         shift;
}

inline Real trigamma(Real x) {
  Real shift = 0;
  for (; x < 40; x += 1) shift += 1 / (x * x);
  const Real u = 1 / (x * x);
  return shift + 1 / x + u / 2 +
         u / x *
             (1.0L / 6 -
              u * (1.0L / 30 -
                   u * (1.0L / 42 - u * (1.0L / 30 - u * (5.0L / 66 - u * (691.0L / 2730))))));
}

// Sums over the factors r + j of the rising factorial, for counts x.
template <typename Term>
Real sum_over_count(double x, Term term) {
  Real total = 0, carry = 0;  // Kahan
  for (Real j = 0; j < x; j += 1) {
    const Real add = term(j) - carry;
    const Real next = total + add;
    carry = (next - total) - add;
    total = next;
  }
  return total;
}
inline Real lgamma_diff(double x, double r) {
  return sum_over_count(x, [r](Real j) { return std::log(r + j); });
}
inline Real digamma_diff(double x, double r) {
  return sum_over_count(x, [r](Real j) { return 1 / (r + j); });
}
inline Real trigamma_diff(double x, double r) {
  return -sum_over_count(x, [r](Real j) { return 1 / ((r + j) * (r + j)); });
}
inline Real log_rising(double x, double phi) {
  return sum_over_count(x, [phi](Real j) { return std::log1p(phi * j); });
}

// Distance in units in the last place of the double nearest to the reference.
inline double ulps(double got, Real want) {
  const double nearest = static_cast<double>(want);
  if (std::isnan(got) || std::isnan(nearest)) {
    return std::isnan(got) && std::isnan(nearest) ? 0 : HUGE_VAL;
  }
  if (std::isinf(got) || std::isinf(nearest)) return got == nearest ? 0 : HUGE_VAL;
  const double up = std::nextafter(std::fabs(nearest), HUGE_VAL);
  const double unit = std::isinf(up) ? std::fabs(nearest) * 0x1p-53 : up - std::fabs(nearest);
  return static_cast<double>(std::fabs(got - want) / unit);
}

// Error relative to max(floor, |want|), in units of epsilon.
inline double epsilons(double got, Real want, double floor = 1.0) {
  if (std::isnan(got) || std::isinf(got)) {
    return got == static_cast<double>(want) ? 0 : HUGE_VAL;
  }
  const Real scale = std::max<Real>(std::fabs(want), floor);
  return static_cast<double>(std::fabs(got - want) / scale /
                             std::numeric_limits<double>::epsilon());
}

// n points with equal steps of the logarithm.
inline std::vector<double> log_grid(double low, double high, int n) {
  std::vector<double> out(n);
  for (int i = 0; i < n; ++i) {
    out[i] = std::exp(std::log(low) + (std::log(high) - std::log(low)) * i / (n - 1));
  }
  return out;
}
inline std::vector<double> grid(double low, double high, int n) {
  std::vector<double> out(n);
  for (int i = 0; i < n; ++i) out[i] = low + (high - low) * i / (n - 1);
  return out;
}

}  // namespace reference

#endif
