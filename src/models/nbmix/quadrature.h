// Gauss quadrature of an empirical distribution: the few nodes and weights that integrate every
// polynomial of degree 2 m - 1 exactly as the sum over all points does.
// Reference: Golub & Welsch (1969), Math. Comp. 23:221; the Jacobi matrix comes from the Lanczos
// process on the points (Boley & Golub 1987, Inverse Problems 3:595).
#pragma once

#include <Eigen/Eigenvalues>
#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "core/types.h"

namespace mixology {

struct Rule {
  std::vector<double> node;
  std::vector<double> weight;  // sums to the number of points
  Index size() const { return static_cast<Index>(node.size()); }
};

namespace detail {

// Points that are already few. Lanczos with full reorthogonalisation: exact for m <= 100.
inline Rule lanczos_rule(const Rule& points, Index nodes) {
  const Index n = points.size();
  const Eigen::Map<const VectorXd> t(points.node.data(), n);
  const Eigen::Map<const VectorXd> w(points.weight.data(), n);
  const Index m = std::min(nodes, n);
  const double scale = std::max(t.cwiseAbs().maxCoeff(), 1e-300);
  MatrixXd basis(n, m);
  VectorXd diagonal(m);
  VectorXd off = VectorXd::Zero(std::max<Index>(m - 1, 1));
  basis.col(0) = (w.array() / w.sum()).sqrt();
  Index used = m;
  for (Index j = 0; j < m; ++j) {
    VectorXd next = t.cwiseProduct(basis.col(j));
    diagonal[j] = next.dot(basis.col(j));
    if (j + 1 == m) break;
    for (int pass = 0; pass < 2; ++pass) {
      const VectorXd along = basis.leftCols(j + 1).transpose() * next;
      next -= basis.leftCols(j + 1) * along;
    }
    off[j] = next.norm();
    if (off[j] < 1e-13 * scale) {  // fewer distinct points than nodes: the rule is exact
      used = j + 1;
      break;
    }
    basis.col(j + 1) = next / off[j];
  }
  Eigen::SelfAdjointEigenSolver<MatrixXd> solver;
  solver.computeFromTridiagonal(diagonal.head(used), off.head(std::max<Index>(used - 1, 0)));
  Rule rule;
  for (Index j = 0; j < used; ++j) {
    const double first = solver.eigenvectors()(0, j);
    rule.node.push_back(solver.eigenvalues()[j]);
    rule.weight.push_back(w.sum() * first * first);
  }
  return rule;
}

}  // namespace detail

// Long vectors go through rules of their pieces. Each rule keeps all moments up to 2 m - 1, so the
// rule of the pieces' rules is the rule of the whole. Empty when `stop` says so between two pieces.
template <class Stop>
Rule gauss_rule(Rule points, Index nodes, Stop stop) {
  constexpr Index kPiece = 2048;
  while (points.size() > 2 * kPiece) {
    Rule shorter;
    for (Index begin = 0; begin < points.size(); begin += kPiece) {
      if (stop()) return {};
      const Index end = std::min(begin + kPiece, points.size());
      Rule piece{{points.node.begin() + begin, points.node.begin() + end},
                 {points.weight.begin() + begin, points.weight.begin() + end}};
      piece = detail::lanczos_rule(piece, nodes);
      shorter.node.insert(shorter.node.end(), piece.node.begin(), piece.node.end());
      shorter.weight.insert(shorter.weight.end(), piece.weight.begin(), piece.weight.end());
    }
    points = std::move(shorter);
  }
  return detail::lanczos_rule(points, nodes);
}

inline Rule gauss_rule(Rule points, Index nodes) {
  return gauss_rule(std::move(points), nodes, [] { return false; });
}

}  // namespace mixology
