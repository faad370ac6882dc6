// R(x; phi) = sum_{j < x} log(1 + j phi) for the distinct counts of a gene: the part of the
// negative binomial log density that holds the dispersion, exact through the Poisson limit.
//
// vrising() sums it in closed form where phi <= 1/8. A larger phi has its first eight terms summed
// one by one, and those from j = 8 + i on are
//   log(1 + j phi) = log(1 + 8 phi) + log(1 + i phi'),  1 / phi' = 8 + 1 / phi.
#pragma once

#include <cmath>
#include <vector>

#include "core/simd.h"
#include "core/types.h"

namespace mixology {

using Eigen::ArrayXd;

// R of all distinct counts, and its derivatives in phi.
struct RisingSlopes {
  ArrayXd value, first, second;
};

class RisingTable {
 public:
  RisingTable() = default;
  // `counts`: distinct positive counts in increasing order.
  explicit RisingTable(std::vector<double> counts) : x_(std::move(counts)) {
    for (const double x : x_) {
      if (x <= kShift) ++few_;
    }
    for (std::size_t d = few_; d < x_.size(); ++d) beyond_.push_back(x_[d] - kShift);
  }

  Index size() const { return static_cast<Index>(x_.size()); }
  double x(Index d) const { return x_[static_cast<std::size_t>(d)]; }
  Eigen::Map<const ArrayXd> counts() const { return {x_.data(), size()}; }

  ArrayXd log_factorials() const {
    ArrayXd out = counts() + 1.0;
    vlgamma(out.data(), out.data(), x_.size());
    return out;
  }

  ArrayXd value(double phi) const {
    if (phi == 0.0 || x_.empty()) return ArrayXd::Zero(size());
    ArrayXd out(size());
    if (phi * kShift <= 1.0) {
      vrising(x_.data(), 1.0 / phi, out.data(), x_.size());
      return out;
    }
    const Head head(phi);
    for (std::size_t d = 0; d < few_; ++d) out[d] = head.log[static_cast<int>(x_[d])];
    if (beyond_.empty()) return out;
    vrising(beyond_.data(), kShift + 1.0 / phi, &out[few_], beyond_.size());
    out.tail(beyond().size()) += head.log[kShift] + std::log1p(kShift * phi) * beyond();
    return out;
  }

  // Of a Poisson all are 0, as the value is: nothing there asks for the slopes.
  RisingSlopes slopes(double phi) const {
    if (phi == 0.0) return {ArrayXd::Zero(size()), ArrayXd::Zero(size()), ArrayXd::Zero(size())};
    RisingSlopes out{ArrayXd(size()), ArrayXd(size()), ArrayXd(size())};
    if (x_.empty()) return out;
    if (phi * kShift <= 1.0) {
      vrising_slopes(x_.data(), 1.0 / phi, out.value.data(), out.first.data(), out.second.data(),
                     x_.size());
      return out;
    }
    const Head head(phi);
    for (std::size_t d = 0; d < few_; ++d) {
      const int x = static_cast<int>(x_[d]);
      out.value[d] = head.log[x], out.first[d] = head.first[x], out.second[d] = -head.square[x];
    }
    if (!beyond_.empty()) shifted_slopes(phi, head, out);
    return out;
  }

 private:
  static constexpr int kShift = 8;

  // Sums over j < k for k = 0, ..., 8 of log(1 + j phi), j / (1 + j phi) and its square.
  struct Head {
    explicit Head(double phi) {
      double product[kShift + 1] = {1.0, 1.0};
      for (int j = 1; j < kShift; ++j) {
        const double ratio = j / (1.0 + j * phi);
        product[j + 1] = product[j] * (1.0 + j * phi);
        first[j + 1] = first[j] + ratio;
        square[j + 1] = square[j] + ratio * ratio;
      }
      vlog(product, log, kShift + 1);
    }
    double log[kShift + 1];
    double first[kShift + 1] = {}, square[kShift + 1] = {};
  };

  Eigen::Map<const ArrayXd> beyond() const {
    return {beyond_.data(), static_cast<Index>(beyond_.size())};
  }

  // With a = 1 / phi', part = 8 / a and the sums S1, S2 of i / (a + i) and of its square,
  //   sum (8 + i) / (a + i)    = part y + (1 - part) S1,
  //   sum ((8 + i) / (a + i))^2 = part^2 y + 2 part (1 - part) S1 + (1 - part)^2 S2.
  void shifted_slopes(double phi, const Head& head, RisingSlopes& out) const {
    const double r = 1.0 / phi;
    const double a = kShift + r;
    vrising_slopes(beyond_.data(), a, &out.value[few_], &out.first[few_], &out.second[few_],
                   beyond_.size());
    const double part = kShift / a;
    const double rest = r / a;  // 1 - part
    const auto y = beyond();
    auto value = out.value.tail(y.size());
    auto first = out.first.tail(y.size());    // a S1 on entry
    auto second = out.second.tail(y.size());  // -a^2 S2 on entry
    value += head.log[kShift] + std::log1p(kShift * phi) * y;
    second = rest * rest * rest * rest * second - r * r * part * part * y -
             2.0 * r * rest * rest * part * first - head.square[kShift];
    first = head.first[kShift] + r * part * y + rest * rest * first;
  }

  std::vector<double> x_;
  std::vector<double> beyond_;  // counts above 8, less 8
  std::size_t few_ = 0;         // how many are not
};

}  // namespace mixology
