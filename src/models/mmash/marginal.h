// Least squares of each response on each SNP alone.
#pragma once

#include <cmath>
#include <limits>
#include <vector>

#include "models/mmash.h"

namespace mixology {
namespace mmash {

struct Marginal {
  MatrixXd estimate, error;  // P x J
};

namespace marginal_detail {

// Sums over the samples that have a response; x and y come centred over all samples.
inline void one_pair(const double* x, const double* y, const std::vector<Index>& rows, double used,
                     double& estimate, double& error) {
  double sx = 0.0, sy = 0.0, xx = 0.0, xy = 0.0, yy = 0.0;
  for (Index i : rows) {
    sx += x[i];
    sy += y[i];
    xx += x[i] * x[i];
    xy += x[i] * y[i];
    yy += y[i] * y[i];
  }
  const double n = static_cast<double>(rows.size());
  xx -= sx * sx / n;
  xy -= sx * sy / n;
  yy -= sy * sy / n;
  const double df = n - 2.0 - used;
  if (!(xx > 0.0) || !(df > 0.0)) return;
  estimate = xy / xx;
  error = std::sqrt(std::max(yy - estimate * xy, 0.0) / (df * xx));
}

}  // namespace marginal_detail

// Of complete responses or of sufficient statistics, from X'Y and Y'Y.
inline void from_products(const Mmash::Data& data, double used, Marginal& out) {
  const Design& design = *data.design;
  const MatrixXd xy = data.gram ? data.response : products(design, data.response);
  const VectorXd yy =
      data.gram ? VectorXd(data.cross.diagonal()) : VectorXd(data.response.colwise().squaredNorm());
  const double df = data.n - 2.0 - used;
  for (Index p = 0; p < design.cols(); ++p) {
    const double d = design.square(p);
    if (d <= 0.0 || !(df > 0.0)) continue;
    for (Index j = 0; j < out.estimate.cols(); ++j) {
      const double left = std::max(yy[j] - xy(p, j) * xy(p, j) / d, 0.0);
      out.estimate(p, j) = xy(p, j) / d;
      out.error(p, j) = std::sqrt(left / (df * d));
    }
  }
}

// `used`: degrees of freedom that covariates have taken.
inline Marginal marginal_effects(const Mmash::Data& data, double used) {
  const Design& design = *data.design;
  const Index nj = data.response.cols();
  Marginal out;
  out.estimate = out.error =
      MatrixXd::Constant(design.cols(), nj, std::numeric_limits<double>::quiet_NaN());
  if (data.patterns.empty()) {
    from_products(data, used, out);
    return out;
  }
  std::vector<std::vector<Index>> rows(static_cast<std::size_t>(nj));
  for (Index j = 0; j < nj; ++j) {
    auto& list = rows[static_cast<std::size_t>(j)];
    for (const Pattern& pattern : data.patterns) {
      bool seen = false;
      for (Index s : pattern.seen) seen = seen || s == j;
      for (Index i = pattern.begin; seen && i < pattern.end; ++i) list.push_back(i);
    }
  }
  std::vector<double> column(static_cast<std::size_t>(design.leading()));
  for (Index p = 0; p < design.cols(); ++p) {
    if (design.square(p) <= 0.0) continue;
    design.column(p, column.data());
    for (Index j = 0; j < nj; ++j) {
      marginal_detail::one_pair(column.data(), data.response.col(j).data(),
                                rows[static_cast<std::size_t>(j)], used, out.estimate(p, j),
                                out.error(p, j));
    }
  }
  return out;
}

}  // namespace mmash
}  // namespace mixology
