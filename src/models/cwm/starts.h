// Starting partitions. Four kinds in turn, because clusters may show in x, in (x, y), in directions
// of x that its spread hides, or in the slopes alone:
//   k-means on standardised x; on (x, y); on x made spherical; several regressions fitted by turns
// k-means is seeded as by Arthur & Vassilvitskii (2007) and fitted to a sample of large data. Its
// passes lead most seeds to the same few partitions, so only the first start of each kind has them:
// later ones keep the centres that were drawn and find more maxima.
#pragma once

#include "models/cwm/local.h"

namespace mixology {
namespace cwm {

namespace detail {

constexpr Index kStartSample = 4000;

inline std::vector<Index> sample_rows(Index n, Rng& rng) {
  const Index size = std::min(n, kStartSample);
  std::vector<Index> rows(static_cast<std::size_t>(n));
  std::iota(rows.begin(), rows.end(), Index{0});
  for (Index i = 0; i < size && n > size; ++i) {
    const auto j = i + static_cast<Index>(rng.below(static_cast<std::uint64_t>(n - i)));
    std::swap(rows[static_cast<std::size_t>(i)], rows[static_cast<std::size_t>(j)]);
  }
  rows.resize(static_cast<std::size_t>(size));
  return rows;
}

// Index drawn in proportion to `weight`; any where all are zero (fewer distinct rows than centres).
inline Index draw_row(const VectorXd& weight, Rng& rng) {
  if (!(weight.sum() > 0.0)) return static_cast<Index>(rng.below(std::uint64_t(weight.size())));
  return static_cast<Index>(rng.categorical(weight));
}

inline Labels nearest(const MatrixXd& points, const MatrixXd& centres) {
  Labels out(static_cast<std::size_t>(points.rows()));
  for (Index i = 0; i < points.rows(); ++i) {
    Index best = 0;
    (centres.rowwise() - points.row(i)).rowwise().squaredNorm().minCoeff(&best);
    out[static_cast<std::size_t>(i)] = static_cast<std::uint8_t>(best);
  }
  return out;
}

// Starting centres: rows far from those already chosen are likelier (k-means++).
inline MatrixXd seed_centres(const MatrixXd& sample, int k, Rng& rng) {
  MatrixXd centres(k, sample.cols());
  VectorXd distance = VectorXd::Ones(sample.rows());
  for (int j = 0; j < k; ++j) {
    centres.row(j) = sample.row(draw_row(distance, rng));
    const VectorXd d = (sample.rowwise() - centres.row(j)).rowwise().squaredNorm();
    distance = j == 0 ? d : VectorXd(distance.cwiseMin(d));
  }
  return centres;
}

inline Labels k_means(const MatrixXd& points, int k, int passes, Rng& rng) {
  const std::vector<Index> rows = sample_rows(points.rows(), rng);
  const MatrixXd sample = gather(points, rows);
  MatrixXd centres = seed_centres(sample, k, rng);
  for (int pass = 0; pass < passes; ++pass) {
    const Labels labels = nearest(sample, centres);
    MatrixXd sum = MatrixXd::Zero(k, sample.cols());
    VectorXd count = VectorXd::Zero(k);
    for (Index i = 0; i < sample.rows(); ++i) {
      const int j = labels[static_cast<std::size_t>(i)];
      sum.row(j) += sample.row(i);
      count[j] += 1.0;
    }
    for (int j = 0; j < k; ++j) {
      if (count[j] > 0.0) centres.row(j) = sum.row(j) / count[j];
    }
  }
  return nearest(points, centres);
}

inline MatrixXd standardise(MatrixXd points) {
  for (Index j = 0; j < points.cols(); ++j) {
    const auto ms = mean_and_sd(points.col(j));
    points.col(j).array() -= ms.first;
    if (ms.second > 0.0) points.col(j) /= ms.second;
  }
  return points;
}

inline MatrixXd make_spherical(const MatrixXd& points) {
  const MatrixXd centred = points.rowwise() - points.colwise().mean();
  const MatrixXd cov = centred.transpose() * centred / double(points.rows());
  const Eigen::SelfAdjointEigenSolver<MatrixXd> eigen(cov);
  const VectorXd values = eigen.eigenvalues().cwiseMax(1e-8 * eigen.eigenvalues().maxCoeff());
  return centred * eigen.eigenvectors() * values.cwiseSqrt().cwiseInverse().asDiagonal();
}

// Hard assignment to the regression with the smallest residual, and the sum of those residuals.
inline double assign_regressions(const MatrixXd& w, const MatrixXd& y,
                                 const std::vector<MatrixXd>& coef, Labels& labels) {
  labels.assign(static_cast<std::size_t>(w.rows()), 0);
  VectorXd best = VectorXd::Constant(w.rows(), HUGE_VAL);
  for (std::size_t k = 0; k < coef.size(); ++k) {
    const VectorXd loss = (y - w * coef[k]).rowwise().squaredNorm();
    for (Index i = 0; i < w.rows(); ++i) {
      if (loss[i] >= best[i]) continue;
      best[i] = loss[i];
      labels[static_cast<std::size_t>(i)] = static_cast<std::uint8_t>(k);
    }
  }
  return best.sum();
}

inline MatrixXd regress(const MatrixXd& w, const MatrixXd& y, const std::vector<Index>& rows,
                        const MatrixXd& pooled) {
  if (w.cols() == 0) return pooled;
  const MatrixXd ws = gather(w, rows), ys = gather(y, rows);
  // a little of the pooled regression keeps elemental fits from running away
  const MatrixXd cross = ws.transpose() * ws + 1e-6 * MatrixXd::Identity(w.cols(), w.cols());
  return pooled + cross.ldlt().solve(ws.transpose() * (ys - ws * pooled));
}

// Several regressions by turns (Spaeth 1979), from the best of a few random elemental fits.
inline Labels k_regressions(const Data& data, int k, Rng& rng) {
  std::vector<Index> seen;
  for (const Pattern& p : data.patterns) {
    for (Index i = p.rows.begin; i < p.rows.end && p.has_y; ++i) seen.push_back(i);
  }
  std::vector<Index> rows = sample_rows(static_cast<Index>(seen.size()), rng);
  for (Index& row : rows) row = seen[static_cast<std::size_t>(row)];
  const MatrixXd w = gather(data.w, rows), y = gather(data.y, rows);
  const Index elemental = data.r() + 1;
  double best = HUGE_VAL;
  std::vector<MatrixXd> chosen;
  Labels labels;
  for (int trial = 0; trial < 8; ++trial) {
    std::vector<MatrixXd> coef;
    for (int j = 0; j < k; ++j) {
      std::vector<Index> few;
      for (Index i = 0; i < elemental; ++i) {
        few.push_back(static_cast<Index>(rng.below(static_cast<std::uint64_t>(w.rows()))));
      }
      coef.push_back(regress(w, y, few, data.pooled));
    }
    double loss = HUGE_VAL;
    for (int pass = 0; pass < 6; ++pass) {
      loss = assign_regressions(w, y, coef, labels);
      std::vector<std::vector<Index>> members(static_cast<std::size_t>(k));
      for (std::size_t i = 0; i < labels.size(); ++i) {
        members[labels[i]].push_back(static_cast<Index>(i));
      }
      for (std::size_t j = 0; j < members.size(); ++j) {
        if (static_cast<Index>(members[j].size()) >= data.r()) {
          coef[j] = regress(w, y, members[j], data.pooled);
        }
      }
    }
    if (loss < best) {
      best = loss;
      chosen = coef;
    }
  }
  assign_regressions(data.w, data.y, chosen, labels);
  return labels;
}

}  // namespace detail

// Start number `s` of a fit.
inline Labels starting_labels(const Data& data, int k, int s, std::uint64_t seed) {
  Rng rng(seed, 0, static_cast<std::uint64_t>(s), static_cast<std::uint64_t>(k), 1);
  if (k == 1) return Labels(static_cast<std::size_t>(data.n()), 0);
  const bool has_x = data.d() > 0, has_y = data.m() > 0;
  const int passes = s < 4 ? 10 : 0;
  if (!has_x && !has_y) return Labels(static_cast<std::size_t>(data.n()), 0);
  if (!has_x && data.r() == 0) return detail::k_means(data.y.cwiseAbs(), k, passes, rng);
  if (!has_x || (has_y && s % 4 == 3)) return detail::k_regressions(data, k, rng);
  if (s % 4 == 2) return detail::k_means(detail::make_spherical(data.x), k, passes, rng);
  MatrixXd points = detail::standardise(data.x);
  if (has_y && s % 4 == 1) {
    points.conservativeResize(Eigen::NoChange, data.d() + data.m());
    points.rightCols(data.m()) = detail::standardise(data.y - data.w * data.pooled);
  }
  return detail::k_means(points, k, passes, rng);
}

}  // namespace cwm
}  // namespace mixology
