// Covariance families and the floor under their eigenvalues.
//
//   EII  lambda I, one for all     VII  lambda_k I
//   EEI  one diagonal              VVI  diagonals
//   EEE  one full matrix           VVV  full matrices
// (names of Banfield & Raftery 1993 as in Celeux & Govaert 1995). E in the first place of the
// family's name means that the components share the matrix.
#pragma once

#include <string>

#include "core/types.h"

namespace mixology {
namespace cwm {

enum class Family { EII, VII, EEI, VVI, EEE, VVV };

inline Family family_from(const std::string& name) {
  if (name == "EII") return Family::EII;
  if (name == "VII") return Family::VII;
  if (name == "EEI") return Family::EEI;
  if (name == "VVI") return Family::VVI;
  if (name == "EEE") return Family::EEE;
  if (name == "VVV") return Family::VVV;
  throw std::invalid_argument("no covariance family is called " + name);
}
inline bool shared(Family f) { return f == Family::EII || f == Family::EEI || f == Family::EEE; }
inline bool spherical(Family f) { return f == Family::EII || f == Family::VII; }
inline bool diagonal(Family f) { return f != Family::EEE && f != Family::VVV; }

// No eigenvalue of a covariance may fall below this, in units of the pooled variances: a standard
// deviation of 1e-5 of the pooled one. It keeps the likelihood bounded (a component on identical
// rows, a regression without noise) and is too small to touch anything else.
constexpr double kFloor = 1e-10;

// A covariance by its lower Cholesky factor.
struct Factor {
  MatrixXd lower;
  MatrixXd inverse;  // of `lower`
  double log_det = 0.0;
  bool at_floor = false;
};

inline Factor factor_from_lower(const MatrixXd& lower) {
  Factor out;
  const Index p = lower.rows();
  out.lower = lower;
  out.inverse = lower.triangularView<Eigen::Lower>().solve(MatrixXd::Identity(p, p));
  out.log_det = 2.0 * lower.diagonal().array().log().sum();
  return out;
}

// The nearest covariance (in likelihood) whose eigenvalues are at least the floor: clipping them is
// the constrained maximum of -log|S| - tr(S^-1 C).
inline Factor factor_covariance(MatrixXd covariance) {
  const Index p = covariance.rows();
  if (p == 0) return Factor{MatrixXd(0, 0), MatrixXd(0, 0), 0.0, false};
  const Eigen::LLT<MatrixXd> llt(covariance);
  if (llt.info() == Eigen::Success) {
    Factor out = factor_from_lower(llt.matrixL());
    // 1 / |L^-1|_F^2 bounds the smallest eigenvalue from below
    if (1.0 / out.inverse.squaredNorm() >= kFloor) return out;
  }
  const Eigen::SelfAdjointEigenSolver<MatrixXd> eigen(covariance);
  const VectorXd values = eigen.eigenvalues();
  const VectorXd clipped = values.cwiseMax(kFloor);
  covariance = eigen.eigenvectors() * clipped.asDiagonal() * eigen.eigenvectors().transpose();
  Factor out = factor_from_lower(covariance.llt().matrixL());
  out.at_floor = values.minCoeff() <= kFloor * (1.0 + 1e-6);
  return out;
}

// Keeps of a scatter matrix what the family lets vary.
inline MatrixXd project(const MatrixXd& scatter, Family family) {
  const Index p = scatter.rows();
  if (spherical(family) && p > 0) {
    return MatrixXd::Identity(p, p) * (scatter.trace() / static_cast<double>(p));
  }
  if (diagonal(family)) return scatter.diagonal().asDiagonal();
  return scatter;
}

}  // namespace cwm
}  // namespace mixology
