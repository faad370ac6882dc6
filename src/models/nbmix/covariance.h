// Covariance of the estimates: the inverse of the observed information, and the delta method.
#pragma once

#include <cmath>
#include <vector>

#include "models/nbmix/information.h"

namespace mixology {

// A part with less weight than this is at the boundary: it holds no cells.
constexpr double kEmptyWeight = 1e-12;

// A pivot of the information, scaled to a diagonal of ones, below which a direction is not informed;
// and the information on a weight, over what it were with known labels: two components that coincide
// have weights that the data cannot tell apart.
constexpr double kUninformed = 1e-10;

namespace detail {

// A component that has run to the largest dispersion, as one whose counts are all zero does.
inline bool always_zero(double phi) { return phi >= std::exp(kMaxPsi) * (1.0 - 1e-9); }
inline bool at_edge(const Component& c) { return always_zero(c.phi); }

// J I^-1 J', empty where I is singular.
inline MatrixXd delta_method(const MatrixXd& jacobian, const MatrixXd& information) {
  const VectorXd unit = information.diagonal().cwiseMax(0.0).cwiseSqrt().cwiseInverse();
  if (!unit.allFinite()) return MatrixXd();
  const Eigen::LDLT<MatrixXd> factor(unit.asDiagonal() * information * unit.asDiagonal());
  const bool regular = factor.info() == Eigen::Success && factor.isPositive() &&
                       (factor.vectorD().array() > kUninformed).all();
  if (!regular) return MatrixXd();
  const MatrixXd scaled = jacobian * unit.asDiagonal();
  return scaled * factor.solve(scaled.transpose());
}

// Covariance of (weights, means, dispersions): inverse information and the delta method. Poisson
// dispersions, components at the edge and parts without cells are left out; their rows are NaN.
inline MatrixXd natural_covariance(const Mixture& m, const MatrixXd& hessian, double cells) {
  const Index parts = m.weight.size();
  const Index free = parts - 1;
  const Index k = m.k();
  std::vector<Index> active;
  const auto empty = [&](Index part) { return m.weight[part] < kEmptyWeight; };
  Index reference = parts - 1;  // the last part with cells: the others' weights are against it
  while (reference > 0 && empty(reference)) --reference;
  for (Index i = 0; i < hessian.rows(); ++i) {
    const bool psi = i >= free && (i - free) % 2 == 1;
    if (empty(i < free ? i : (i - free) / 2) || (i < free && i == reference)) continue;
    if (i >= free) {
      const Component& c = m.component[static_cast<std::size_t>((i - free) / 2)];
      if (at_edge(c) || (psi && c.phi == 0.0)) continue;
    }
    active.push_back(i);
  }
  const Index p = static_cast<Index>(active.size());
  MatrixXd information(p, p);
  MatrixXd jacobian = MatrixXd::Zero(parts + 2 * parts, p);
  for (Index c = 0; c < p; ++c) {
    const Index i = active[static_cast<std::size_t>(c)];
    for (Index r = 0; r < p; ++r) {
      information(r, c) = -hessian(active[static_cast<std::size_t>(r)], i);
    }
    if (i < free) {
      const double complete = cells * m.weight[i] * (1.0 - m.weight[i]);  // were labels known
      if (information(c, c) <= kUninformed * complete) {
        return MatrixXd::Constant(3 * parts, 3 * parts, kNaN);
      }
      for (Index j = 0; j < parts; ++j) jacobian(j, c) = m.weight[j] * ((i == j) - m.weight[i]);
      continue;
    }
    const Index j = (i - free) / 2;
    const Component& comp = m.component[static_cast<std::size_t>(j)];
    const bool psi = (i - free) % 2 == 1;
    jacobian((psi ? 2 : 1) * parts + j, c) = psi ? comp.phi : std::exp(comp.eta);
  }
  MatrixXd out = MatrixXd::Constant(3 * parts, 3 * parts, kNaN);
  const MatrixXd covariance = delta_method(jacobian, information);
  if (p > 0 && covariance.size() == 0) return out;
  out = p > 0 ? covariance : MatrixXd::Zero(3 * parts, 3 * parts);
  // A component whose counts are all zero shares its weight with the point mass as anything may.
  bool silent = false;
  for (Index j = 0; j < k; ++j) {
    silent |= parts > k && at_edge(m.component[static_cast<std::size_t>(j)]) && !empty(j);
  }
  const auto shares = [&](Index j) {
    return silent && (j >= k || at_edge(m.component[static_cast<std::size_t>(j)]));
  };
  const bool alone = parts > 1 && (m.weight.array() < kEmptyWeight).count() == parts - 1;
  for (Index j = 0; j < parts; ++j) {
    const bool none = j >= k || empty(j) || at_edge(m.component[static_cast<std::size_t>(j)]);
    if (empty(j) || alone || shares(j)) out.row(j).setConstant(kNaN), out.col(j).setConstant(kNaN);
    if (none || m.component[static_cast<std::size_t>(j)].phi == 0.0) {
      out.row(2 * parts + j).setConstant(kNaN);
      out.col(2 * parts + j).setConstant(kNaN);
    }
    if (none) out.row(parts + j).setConstant(kNaN), out.col(parts + j).setConstant(kNaN);
  }
  return out;
}

}  // namespace detail

}  // namespace mixology
