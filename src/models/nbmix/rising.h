// R(x; phi) = sum_{j < x} log(1 + j phi) for the distinct counts of a gene: the part of the
// negative binomial log density that holds the dispersion, exact through the Poisson limit.
// Summed over weighted counts it is sum_j W_j log(1 + j phi), W_j the weight of counts above j.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/special.h"
#include "core/types.h"

namespace mixology {

using Eigen::ArrayXd;

namespace detail {

// First and second derivative of R in phi at a large count.
struct RisingSlopes {
  double first = 0.0;
  double second = 0.0;
};

// sum_{j < x} j^p for p = 1, ..., 6 (Faulhaber), in n = x - 1.
inline void power_sums(double x, double sum[6]) {
  const double n = x - 1.0;
  const double a = 0.5 * n * x;
  const double q = n * x;  // n (n + 1)
  const double two = 2.0 * n + 1.0;
  sum[0] = a;
  sum[1] = q * two / 6.0;
  sum[2] = a * a;
  sum[3] = q * two * (3.0 * q - 1.0) / 30.0;
  sum[4] = a * a * (2.0 * q - 1.0) / 3.0;
  sum[5] = q * two * (3.0 * q * q - 3.0 * q + 1.0) / 42.0;
}

// With y = x phi small the series in phi; else differences of digamma and trigamma, whose
// cancellation costs a factor 3 / y^2 of rounding at worst.
inline RisingSlopes rising_slopes(double x, double phi) {
  RisingSlopes out;
  if (x <= 1.0) return out;
  if (x * phi < 2e-3) {
    double sum[6];
    power_sums(x, sum);
    double power = 1.0;
    for (int p = 0; p < 6; ++p) {
      out.first += power * sum[p];
      if (p < 5) out.second -= (p + 1) * power * sum[p + 1];
      power *= -phi;
    }
    return out;
  }
  const double r = 1.0 / phi;
  const double psi = digamma_diff(x, r);
  out.first = r * (x - r * psi);
  out.second = -r * r * (x - 2.0 * r * psi - r * r * trigamma_diff(x, r));
  return out;
}

}  // namespace detail

class RisingTable {
 public:
  RisingTable() = default;
  // `counts`: distinct positive counts in increasing order.
  explicit RisingTable(std::vector<double> counts) : x_(std::move(counts)) {
    const double top = x_.empty() ? 0.0 : x_.back();
    cumulative_ = top <= 8.0 * static_cast<double>(x_.size()) + 256.0;
  }

  Index size() const { return static_cast<Index>(x_.size()); }
  double x(Index d) const { return x_[static_cast<std::size_t>(d)]; }
  const std::vector<double>& counts() const { return x_; }

  ArrayXd value(double phi) const {
    ArrayXd out = ArrayXd::Zero(size());
    if (phi == 0.0) return out;
    if (!cumulative_) {
      for (Index d = 0; d < size(); ++d) out[d] = log_rising(x(d), phi);
      return out;
    }
    walk([&](double j, double& sum) { sum += std::log1p(j * phi); }, out);
    return out;
  }

  // R' and R'' in phi.
  void slopes(double phi, ArrayXd& first, ArrayXd& second) const {
    first = ArrayXd::Zero(size());
    second = ArrayXd::Zero(size());
    if (!cumulative_) {
      for (Index d = 0; d < size(); ++d) {
        const detail::RisingSlopes s = detail::rising_slopes(x(d), phi);
        first[d] = s.first;
        second[d] = s.second;
      }
      return;
    }
    auto ratio = [phi](double j) { return j / (1.0 + j * phi); };
    walk([&](double j, double& sum) { sum += ratio(j); }, first);
    walk([&](double j, double& sum) { sum -= ratio(j) * ratio(j); }, second);
  }

 private:
  // out[d] = sum of the terms j = 1, ..., x_d - 1.
  template <class Add>
  void walk(Add add, ArrayXd& out) const {
    double sum = 0.0;
    double j = 1.0;
    for (Index d = 0; d < size(); ++d) {
      for (; j < x(d); j += 1.0) add(j, sum);
      out[d] = sum;
    }
  }

  std::vector<double> x_;
  bool cumulative_ = true;
};

}  // namespace mixology
