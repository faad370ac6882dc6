// Distribution functions of standard Gaussian and Student variables, exact and from a table.
#pragma once

#include <boost/math/distributions/normal.hpp>
#include <boost/math/distributions/students_t.hpp>

#include <array>
#include <cmath>
#include <utility>
#include <vector>

#include "core/special.h"
#include "models/cwm/kernel.h"

namespace mixology {
namespace cwm {
namespace detail {

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

}  // namespace detail

// The upper tail Q(z), z >= 0, by quintic Hermite interpolation of Q and its first two derivatives
// at knots: an error of h^6 |Q^(6)| / 46080, below 1e-12. Past the last knot a Gaussian tail is
// nothing (1e-33), a Student tail is computed.
class Tail {
 public:
  explicit Tail(double df) : df_(df), log_peak_(detail::log_peak(df)) {
    for (int i = 0; i < kPieces; ++i) pieces_.push_back(piece(knot(i), knot(i + 1)));
  }

  // cdf and density at z
  std::pair<double, double> at(double z) const {
    const double place = std::abs(z) / kStep;
    std::pair<double, double> upper{0.0, 0.0};
    if (place < kPieces) {
      const int i = static_cast<int>(place);
      const double t = place - i;
      const std::array<double, 6>& c = pieces_[static_cast<std::size_t>(i)];
      upper.first = c[0] + t * (c[1] + t * (c[2] + t * (c[3] + t * (c[4] + t * c[5]))));
      upper.second =
          -(c[1] + t * (2 * c[2] + t * (3 * c[3] + t * (4 * c[4] + t * 5 * c[5])))) / kStep;
    } else if (!std::isinf(df_)) {
      upper = {detail::cdf(-std::abs(z), df_), detail::pdf(z, df_, log_peak_)};
    }
    return {z > 0.0 ? 1.0 - upper.first : upper.first, upper.second};
  }

 private:
  static constexpr int kPieces = 384;
  static constexpr double kStep = 1.0 / 32;

  // Q, h Q', h^2 Q'' at z = i h
  std::array<double, 3> knot(int i) const {
    const double z = i * kStep;
    const double density = detail::pdf(z, df_, log_peak_);
    const double slope = std::isinf(df_) ? -z : -(df_ + 1.0) * z / (df_ + z * z);
    return {detail::cdf(-z, df_), -kStep * density, -kStep * kStep * slope * density};
  }
  static std::array<double, 6> piece(const std::array<double, 3>& a,
                                     const std::array<double, 3>& b) {
    const double rise = b[0] - a[0];
    return {a[0],
            a[1],
            0.5 * a[2],
            10 * rise - 6 * a[1] - 4 * b[1] - 1.5 * a[2] + 0.5 * b[2],
            -15 * rise + 8 * a[1] + 7 * b[1] + 1.5 * a[2] - b[2],
            6 * rise - 3 * a[1] - 3 * b[1] - 0.5 * a[2] + 0.5 * b[2]};
  }

  const double df_, log_peak_;
  std::vector<std::array<double, 6>> pieces_;
};

}  // namespace cwm
}  // namespace mixology
