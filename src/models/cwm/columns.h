// Quick looks at the columns of a matrix, before anything is made of them.
#pragma once

#include <Eigen/Cholesky>

#include <cmath>
#include <limits>

#include "core/types.h"

namespace mixology {
namespace cwm {

using Eigen::Ref;

// Least and greatest value of each column, NaN left out; (Inf, -Inf) where nothing is left.
inline MatrixXd column_ranges(const Ref<const MatrixXd>& a) {
  MatrixXd out(2, a.cols());
  for (Index j = 0; j < a.cols(); ++j) {
    double low = std::numeric_limits<double>::infinity(), high = -low;
    for (Index i = 0; i < a.rows(); ++i) {
      const double value = a(i, j);
      low = value < low ? value : low;
      high = value > high ? value : high;
    }
    out.col(j) << low, high;
  }
  return out;
}

// Equal, or NaN in the same places.
inline bool same_numbers(const Ref<const VectorXd>& a, const Ref<const VectorXd>& b) {
  if (a.size() != b.size()) return false;
  for (Index i = 0; i < a.size(); ++i) {
    if (a[i] != b[i] && !(std::isnan(a[i]) && std::isnan(b[i]))) return false;
  }
  return true;
}

// Are the columns independent beyond doubt? By their cross-products (about the means if `centred`),
// which take a small part of the time of the decomposition that decides where this says no.
inline bool clearly_independent(const Ref<const MatrixXd>& a, bool centred) {
  MatrixXd cross = a.transpose() * a;
  const VectorXd length = cross.diagonal();
  if (centred) {
    const VectorXd sum = a.colwise().sum();
    cross -= sum * sum.transpose() / static_cast<double>(a.rows());
  }
  const VectorXd left = cross.diagonal();
  if (!cross.allFinite() || (left.array() <= 1e-6 * length.array()).any()) return false;
  const VectorXd unit = left.cwiseSqrt().cwiseInverse();
  const Eigen::LLT<MatrixXd> root(unit.asDiagonal() * cross * unit.asDiagonal());
  return root.info() == Eigen::Success &&
         (root.matrixLLT().diagonal().array().square() > 1e-8).all();
}

}  // namespace cwm
}  // namespace mixology
