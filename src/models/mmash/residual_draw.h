// Draws of the residual covariance given the cross-product S = E'E of n residuals (rows of E).
//
//   full      Sigma ~ inverse Wishart(J + 2, diag(v)), v the prior mean of the variances
//   diagonal  sigma_j^2 ~ inverse gamma(3/2, v_j / 2), the inverse Wishart of one dimension
//   low rank  Sigma = sigma2 I + W W', e_i = W f_i + noise, f_i ~ N(0, I):
//             sigma2 ~ inverse gamma(3/2, s / 2),  w_jk ~ N(0, s / q),  s = mean(v) / 2
//             (s = mean(v) without a column); so the prior mean of a variance is mean(v)
// A low-rank sweep draws F | E, W | F, E and sigma2 | W, F, E. Only F'F and F'E matter, and their
// distribution needs S and n alone: nothing here depends on the number of samples. The prior of W
// does not see rotations, so W is found again from Sigma and no state beside Sigma is kept.
#pragma once

#include <algorithm>
#include <cmath>

#include "core/rng.h"
#include "models/mmash/residual.h"

namespace mixology {
namespace mmash {

class ResidualDraw {
 public:
  ResidualDraw(Residual kind, Index rank, VectorXd prior_variance)
      : kind_(kind),
        rank_(std::min(rank, prior_variance.size() - 1)),
        variance_(std::move(prior_variance)),
        share_(variance_.mean() / (rank_ > 0 ? 2.0 : 1.0)) {}

  MatrixXd operator()(const MatrixXd& sigma, const MatrixXd& cross, double n, Rng& rng) const {
    if (kind_ == Residual::diagonal) return diagonal(cross, n, rng);
    if (kind_ == Residual::low_rank) return low_rank(sigma, cross, n, rng);
    MatrixXd scale = cross;
    scale.diagonal() += variance_;
    return rng.inverse_wishart(static_cast<double>(scale.rows()) + 2.0 + n, scale.llt().matrixL());
  }

 private:
  MatrixXd diagonal(const MatrixXd& cross, double n, Rng& rng) const {
    MatrixXd sigma = MatrixXd::Zero(cross.rows(), cross.cols());
    for (Index j = 0; j < cross.rows(); ++j) {
      sigma(j, j) = rng.inverse_gamma(0.5 * (3.0 + n), 0.5 * (variance_[j] + cross(j, j)));
    }
    return sigma;
  }

  MatrixXd low_rank(const MatrixXd& sigma, const MatrixXd& cross, double n, Rng& rng) const {
    const Index nj = cross.rows();
    const Eigen::SelfAdjointEigenSolver<MatrixXd> now(sigma);
    const double noise = now.eigenvalues().head(nj - rank_).mean();
    const VectorXd top = now.eigenvalues().tail(rank_).cwiseMax(noise);
    const MatrixXd w =
        now.eigenvectors().rightCols(rank_) * (top.array() - noise).sqrt().matrix().asDiagonal();
    const Factors f = draw_factors(w, top, noise, cross, n, rng);
    MatrixXd inner = f.ff;
    inner.diagonal().array() += noise * static_cast<double>(rank_) / share_;
    const Eigen::LLT<MatrixXd> llt(inner);
    MatrixXd loadings = llt.solve(f.fe);
    loadings += std::sqrt(noise) * llt.matrixU().solve(normals(rank_, nj, rng));
    const double rss = cross.trace() - 2.0 * loadings.cwiseProduct(f.fe).sum() +
                       (f.ff * loadings).cwiseProduct(loadings).sum();
    const double count = 3.0 + n * static_cast<double>(nj);
    MatrixXd out = loadings.transpose() * loadings;
    out.diagonal().array() += rng.inverse_gamma(0.5 * count, 0.5 * (share_ + std::max(rss, 0.0)));
    return out;
  }

  struct Factors {
    MatrixXd ff, fe;  // F'F, F'E
  };

  // F = E G + Z D with standard normal Z (n x q), G = W M^-1, D^2 = sigma2 M^-1 and
  // M = W'W + sigma2 I, which is the diagonal matrix of the leading eigenvalues of Sigma.
  Factors draw_factors(const MatrixXd& w, const VectorXd& top, double noise, const MatrixXd& cross,
                       double n, Rng& rng) const {
    const Eigen::SelfAdjointEigenSolver<MatrixXd> s(cross);
    const Index r = std::min(cross.rows(), static_cast<Index>(std::floor(n)));
    const MatrixXd along = normals(rank_, r, rng);  // Z in the directions that E spans
    const VectorXd root = s.eigenvalues().tail(r).cwiseMax(0.0).cwiseSqrt();
    const MatrixXd ze = along * root.asDiagonal() * s.eigenvectors().rightCols(r).transpose();
    const MatrixXd zz = along * along.transpose() + remainder(n - static_cast<double>(r), rng);
    const MatrixXd g = w * top.cwiseInverse().asDiagonal();
    const auto d = (noise * top.cwiseInverse()).cwiseSqrt().asDiagonal();
    const MatrixXd mixed = d * (ze * g);
    Factors out;
    out.ff = g.transpose() * cross * g + mixed + mixed.transpose() + d * zz * d;
    out.fe = g.transpose() * cross + d * ze;
    return out;
  }

  // Z'Z of df rows outside the span of E.
  MatrixXd remainder(double df, Rng& rng) const {
    if (df >= static_cast<double>(rank_)) return rng.wishart(df, MatrixXd::Identity(rank_, rank_));
    const MatrixXd z = normals(rank_, static_cast<Index>(std::lround(df)), rng);
    return z * z.transpose();
  }

  static MatrixXd normals(Index rows, Index cols, Rng& rng) {
    MatrixXd out(rows, cols);
    rng.normal(out.data(), static_cast<std::size_t>(out.size()));
    return out;
  }

  Residual kind_;
  Index rank_;
  VectorXd variance_;
  double share_;
};

}  // namespace mmash
}  // namespace mixology
