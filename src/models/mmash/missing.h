// Missing responses. Samples are sorted so that those with the same conditions observed stand
// together; with P_m the inverse of the observed part of Sigma, padded by zeros,
//   phi_p = sum_m P_m R_m'x_pm,   L_p = sum_m d_pm P_m
// replace Sigma^-1 R'x_p and d_p Sigma^-1: the missing values are integrated out, not imputed.
#pragma once

#include <vector>

#include "core/types.h"
#include "models/mmash/residual.h"

namespace mixology {
namespace mmash {

struct Pattern {
  Index begin = 0;  // samples begin, ..., end - 1
  Index end = 0;
  std::vector<Index> seen;  // conditions observed
  Index size() const { return end - begin; }
};

struct Precisions {
  std::vector<MatrixXd> padded;  // P_m
  std::vector<double> log_det;   // of the observed part of Sigma
};

inline Precisions precisions(const std::vector<Pattern>& patterns, const MatrixXd& sigma) {
  Precisions out;
  for (const Pattern& pattern : patterns) {
    const Index k = static_cast<Index>(pattern.seen.size());
    MatrixXd part(k, k);
    for (Index a = 0; a < k; ++a) {
      for (Index b = 0; b < k; ++b) {
        part(a, b) = sigma(pattern.seen[static_cast<std::size_t>(a)],
                           pattern.seen[static_cast<std::size_t>(b)]);
      }
    }
    const Factored f = factor(part);
    MatrixXd padded = MatrixXd::Zero(sigma.rows(), sigma.cols());
    for (Index a = 0; a < k; ++a) {
      for (Index b = 0; b < k; ++b) {
        padded(pattern.seen[static_cast<std::size_t>(a)],
               pattern.seen[static_cast<std::size_t>(b)]) = f.inverse(a, b);
      }
    }
    out.padded.push_back(padded);
    out.log_det.push_back(f.log_det);
  }
  return out;
}

// Expected cross-product of complete residuals given the observed ones, over N: with the observed
// cross-products S_m (residuals and uncertainty of B),
//   C = sum_m [Sigma P_m S_m P_m Sigma + n_m (Sigma - Sigma P_m Sigma)] / N
inline MatrixXd completed_cross(const std::vector<Pattern>& patterns, const Precisions& precision,
                                const std::vector<MatrixXd>& observed, const MatrixXd& sigma) {
  MatrixXd inner = MatrixXd::Zero(sigma.rows(), sigma.cols());
  double n = 0.0;
  for (std::size_t m = 0; m < patterns.size(); ++m) {
    const double size = static_cast<double>(patterns[m].size());
    const MatrixXd& p = precision.padded[m];
    inner += p * observed[m] * p - size * p;
    n += size;
  }
  return sigma + sigma * inner * sigma / n;
}

}  // namespace mmash
}  // namespace mixology
