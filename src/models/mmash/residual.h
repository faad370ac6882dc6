// The residual covariance: what its M step makes of the expected residual cross-product C, and
// what the bound needs of it.
#pragma once

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "core/types.h"

namespace mixology {
namespace mmash {

enum class Residual { fixed, diagonal, full, low_rank };

struct Factored {
  MatrixXd inverse;
  double log_det = 0.0;
};

inline Factored factor(const MatrixXd& sigma) {
  const Eigen::LLT<MatrixXd> llt(sigma);
  if (llt.info() != Eigen::Success) {
    throw std::runtime_error(
        "mmash: the residual covariance has become singular: some combination of the conditions is "
        "fitted without error; try residual = \"diagonal\", low_rank(), or a matrix");
  }
  Factored out;
  out.inverse = llt.solve(MatrixXd::Identity(sigma.rows(), sigma.cols()));
  out.inverse = (0.5 * (out.inverse + out.inverse.transpose())).eval();
  const MatrixXd lower = llt.matrixL();
  out.log_det = 2.0 * lower.diagonal().array().log().sum();
  return out;
}

// A covariance with no direction of less variance than `floor` allows, the likelihood's best: in
// units of `floor` its eigenvalues are at least 1. Conditions that are (nearly) combinations of
// others, and responses without noise, would else let the likelihood grow without bound.
inline MatrixXd raised(const MatrixXd& c, const VectorXd& floor) {
  const VectorXd root = floor.cwiseSqrt();
  const VectorXd by = root.cwiseInverse();
  const Eigen::SelfAdjointEigenSolver<MatrixXd> eigen(by.asDiagonal() * c * by.asDiagonal());
  if (eigen.eigenvalues()[0] >= 1.0) return c;
  const MatrixXd q = root.asDiagonal() * eigen.eigenvectors();
  return q * eigen.eigenvalues().cwiseMax(1.0).asDiagonal() * q.transpose();
}

// sigma2 I + W W' nearest to C in likelihood: W = Q (Lambda - sigma2 I)^1/2 of the `rank` largest
// eigenvalues, sigma2 the mean of the others (Tipping & Bishop 1999, JRSS B 61:611, eq. 7, 8).
inline MatrixXd probabilistic_pca(const MatrixXd& c, Index rank, double floor) {
  const Index nj = c.rows();
  const Eigen::SelfAdjointEigenSolver<MatrixXd> eigen(c);
  VectorXd values = eigen.eigenvalues();  // increasing
  const double noise = std::max(values.head(nj - rank).mean(), floor);
  values.head(nj - rank).setConstant(noise);
  values = values.cwiseMax(noise);
  return eigen.eigenvectors() * values.asDiagonal() * eigen.eigenvectors().transpose();
}

// floor: the least variance of each condition that counts as noise.
inline MatrixXd residual_update(const MatrixXd& c, Residual kind, Index rank,
                                const VectorXd& floor) {
  switch (kind) {
    case Residual::diagonal:
      return MatrixXd(c.diagonal().cwiseMax(floor).asDiagonal());
    case Residual::low_rank:
      if (rank < c.rows()) return probabilistic_pca(c, rank, floor.mean());
      [[fallthrough]];
    default:
      return raised(0.5 * (c + c.transpose()), floor);
  }
}

}  // namespace mmash
}  // namespace mixology
