// What a local maximum of the bound is worth. q takes the effects of correlated SNPs as
// independent, so the bound falls short of the log evidence by the more the more such effects q
// has, and among local maxima it prefers those that leave real effects out. Around its mean q is
// close to normal, and for a normal posterior the gap is known: with S_p the covariance of beta_p
// within components,
//   gap = -1/2 log det(I + S^1/2 O S^1/2),   O_pq = x_p'x_q Sigma^-1 for p != q, O_pp = 0
// Starting points are compared by the bound plus this; a climb maximises the bound alone.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "models/mmash.h"

namespace mixology {
namespace mmash {

// Directions of effects in units in which the data's precision is I: a SNP with effect certain to
// be there and a flat prior has `size` 1 in every direction.
struct Direction {
  double size;
  Index snp;
  VectorXd unit;
};

constexpr double kSmallestDirection = 0.05;
constexpr std::size_t kMostDirections = 600;

inline MatrixXd within_covariance(const Mixture& mixture, const Workspace& w) {
  const Index nj = mixture.conditions();
  MatrixXd out = MatrixXd::Zero(nj, nj);
  for (Index k = 0; k < mixture.matrices(); ++k) {
    const Index from = mixture.start(k), r = mixture.start(k + 1) - from;
    const Eigen::Map<const VectorXd> u(w.u.data() + from, r);
    if (u.maxCoeff() <= 0.0) continue;
    const MatrixXd q = mixture.directions(k).topRows(mixture.conditions());
    out += q * u.asDiagonal() * q.transpose();
  }
  return out;
}

// d: of the mixture; precision: what the data say of beta_p, d included.
inline void add_directions(const Mixture& mixture, const double* phi, double d,
                           const MatrixXd& precision, Index p, Workspace& w,
                           std::vector<Direction>& out) {
  mixture.update(phi, d, w);
  const auto null = static_cast<std::size_t>(mixture.matrices() * mixture.lanes());
  if (w.alpha[null] > 1.0 - kSmallestDirection) return;
  const MatrixXd root = Eigen::LLT<MatrixXd>(precision).matrixU();
  const Eigen::SelfAdjointEigenSolver<MatrixXd> eigen(root * within_covariance(mixture, w) *
                                                      root.transpose());
  for (Index j = root.rows() - 1; j >= 0 && eigen.eigenvalues()[j] > kSmallestDirection; --j) {
    out.push_back({eigen.eigenvalues()[j], p, eigen.eigenvectors().col(j)});
  }
}

inline std::vector<Direction> directions(const Mmash& model, const Mmash::State& s) {
  std::vector<Direction> out;
  Workspace w;
  s.mixture->reserve(w);
  for (Index p = 0; p < model.cols(); ++p) {
    const double d = model.design().square(p);
    if (d <= 0.0) continue;
    const double* phi = s.phi.col(p).data();
    if (model.complete()) {
      add_directions(*s.mixture, phi, d, d * s.inverse.inverse, p, w, out);
    } else {
      const Mixture mixture = model.mixture_of(s, p);
      mixture.reserve(w);
      add_directions(mixture, phi, 1.0, profile(s.precision, model.pattern_sums(), p).precision, p,
                     w, out);
    }
  }
  std::stable_sort(out.begin(), out.end(),
                   [](const Direction& a, const Direction& b) { return a.size > b.size; });
  if (out.size() > kMostDirections) out.resize(kMostDirections);
  return out;
}

inline double correlation_gap(const Mmash& model, const Mmash::State& s) {
  const std::vector<Direction> at = directions(model, s);
  std::vector<Index> snps;
  for (const Direction& direction : at) snps.push_back(direction.snp);
  std::sort(snps.begin(), snps.end());
  snps.erase(std::unique(snps.begin(), snps.end()), snps.end());
  if (snps.size() < 2) return 0.0;
  const MatrixXd r = correlations(model.design(), snps);
  const auto n = static_cast<Index>(at.size());
  MatrixXd m = MatrixXd::Identity(n, n);
  auto place = [&](const Direction& direction) {
    return std::lower_bound(snps.begin(), snps.end(), direction.snp) - snps.begin();
  };
  for (Index i = 0; i < n; ++i) {
    const Direction& a = at[static_cast<std::size_t>(i)];
    for (Index j = 0; j < i; ++j) {
      const Direction& b = at[static_cast<std::size_t>(j)];
      if (a.snp == b.snp) continue;
      m(i, j) = m(j, i) = r(place(a), place(b)) * std::sqrt(a.size * b.size) * a.unit.dot(b.unit);
    }
  }
  const Eigen::LLT<MatrixXd> llt(m);
  if (llt.info() != Eigen::Success) return 0.0;
  const MatrixXd lower = llt.matrixL();
  return -lower.diagonal().array().log().sum();
}

}  // namespace mmash

inline double Mmash::merit(const State& s, const Stats&, double objective) const {
  return options_.marginal ? objective : objective + mmash::correlation_gap(*this, s);
}

}  // namespace mixology
