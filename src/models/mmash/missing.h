// Missing responses. Samples are sorted so that those with the same conditions observed stand
// together; with P_m the inverse of the observed part of Sigma, padded by zeros,
//   phi_p = sum_m P_m R_m'x_pm,   L_p = sum_m d_pm P_m
// replace Sigma^-1 R'x_p and d_p Sigma^-1: the missing values are integrated out, not imputed. What
// Z (intercept, covariates) explains depends on the pattern too, so it is profiled out of each
// effect: with K = sum_m P_m x Z_m'Z_m, G_p = sum_m P_m x Z_m'x_pm and T_p = K^-1 G_p,
//   L_p = sum_m d_pm P_m - G_p'T_p,   and R changes by (x_p - Z T_p) (change of beta_p).
#pragma once

#include <cmath>
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
  MatrixXd stacked;              // the same, vec(P_m) in column m
  std::vector<double> log_det;   // of the observed part of Sigma
  Eigen::LLT<MatrixXd> fixed;    // of K
};

// Inner products within a pattern.
struct PatternSums {
  MatrixXd square;           // d_pm, patterns x P
  std::vector<MatrixXd> zx;  // Z_m'x_pm, f x P
  std::vector<MatrixXd> by;  // the same, patterns x P for each column of Z
  std::vector<MatrixXd> zz;  // Z_m'Z_m
};

// sum_m P_m x B_m for matrices B_m of f rows: block (a, b) is sum_m P_m(a, b) B_m.
template <class Block>
MatrixXd kronecker_sum(const Precisions& precision, Index f, Index cols, Block block) {
  const Index nj = precision.padded.front().rows();
  MatrixXd out = MatrixXd::Zero(f * nj, cols * nj);
  for (std::size_t m = 0; m < precision.padded.size(); ++m) {
    const MatrixXd b = block(m);
    for (Index i = 0; i < nj; ++i) {
      for (Index j = 0; j < nj; ++j) {
        out.block(i * f, j * cols, f, cols) += precision.padded[m](i, j) * b;
      }
    }
  }
  return out;
}

// L_p and T_p of one effect.
struct Profile {
  MatrixXd precision;           // J x J
  MatrixXd shift;               // f J x J; its rows a f, ..., a f + f - 1 belong to condition a
  Eigen::LLT<MatrixXd> factor;  // of L_p
  // The largest log Bayes factor that any prior could have against the null: phi'L^-1 phi / 2.
  double most(const VectorXd& phi) const {
    if (factor.info() != Eigen::Success) return HUGE_VAL;
    return 0.5 * factor.matrixL().solve(phi).squaredNorm();
  }
  // What a change of beta_p moves the coefficients of Z by, f x J.
  MatrixXd moved(const VectorXd& change, Index f) const {
    const VectorXd all = shift * change;
    return Eigen::Map<const MatrixXd>(all.data(), f, change.size());
  }
  MatrixXd part(Index row, Index f) const {  // J x J: the part of T_p that goes with column of Z
    MatrixXd out(precision.rows(), precision.cols());
    for (Index a = 0; a < out.rows(); ++a) out.row(a) = shift.row(a * f + row);
    return out;
  }
};

// What profiles of effects first, ..., first + count - 1 are made of: sums over the patterns, as
// products with all P_m at once.
struct ProfileParts {
  MatrixXd square;              // vec(sum_m d_pm P_m), a column for each effect
  std::vector<MatrixXd> cross;  // vec(sum_m z_m'x_pm P_m), for each column of Z
};

inline ProfileParts profile_parts(const Precisions& precision, const PatternSums& sums, Index first,
                                  Index count) {
  ProfileParts out;
  out.square = precision.stacked * sums.square.middleCols(first, count);
  for (const MatrixXd& one : sums.by) {
    out.cross.push_back(precision.stacked * one.middleCols(first, count));
  }
  return out;
}

inline Profile profile(const Precisions& precision, const ProfileParts& parts, Index column) {
  const Index nj = precision.padded.front().rows();
  const Index f = static_cast<Index>(parts.cross.size());
  Profile out;
  out.precision = Eigen::Map<const MatrixXd>(parts.square.col(column).data(), nj, nj);
  MatrixXd g(f * nj, nj);
  for (Index i = 0; i < f; ++i) {
    const Eigen::Map<const MatrixXd> one(
        parts.cross[static_cast<std::size_t>(i)].col(column).data(), nj, nj);
    for (Index a = 0; a < nj; ++a) g.row(a * f + i) = one.row(a);
  }
  out.shift = precision.fixed.solve(g);
  out.precision.noalias() -= g.transpose() * out.shift;
  out.precision = (0.5 * (out.precision + out.precision.transpose())).eval();
  out.factor.compute(out.precision);
  return out;
}

inline Profile profile(const Precisions& precision, const PatternSums& sums, Index p) {
  return profile(precision, profile_parts(precision, sums, p, 1), 0);
}

// Sums over the effects, for every pattern m, of what the uncertainty of the effects adds to the
// cross-product of its residuals: sum over its samples of M_i Cov M_i', M_i = x_ip I - sum_f z_if
// T_pf.
class PatternSpread {
 public:
  PatternSpread(const PatternSums& sums, Index nj)
      : sums_(sums),
        nj_(nj),
        f_(static_cast<Index>(sums.by.size())),
        total_(MatrixXd::Zero(nj * nj, sums.square.rows())),
        shapes_(nj * nj, (1 + f_) * kEffects),
        sizes_(sums.square.rows(), (1 + f_) * kEffects),
        quadratic_(static_cast<std::size_t>(f_ * f_), MatrixXd::Zero(nj, nj)) {}

  void add(Index p, const Profile& profile, const MatrixXd& cov) {
    put(cov, sums_.square.col(p));
    for (Index i = 0; i < f_; ++i) {
      const MatrixXd ti = profile.part(i, f_) * cov;
      put(-(ti + ti.transpose()), sums_.by[static_cast<std::size_t>(i)].col(p));
      for (Index j = 0; j < f_; ++j) {
        quadratic_[static_cast<std::size_t>(i * f_ + j)].noalias() +=
            ti * profile.part(j, f_).transpose();
      }
    }
    if (filled_ == shapes_.cols()) flush();
  }

  std::vector<MatrixXd> totals() {
    flush();
    std::vector<MatrixXd> out;
    for (Index m = 0; m < total_.cols(); ++m) {
      MatrixXd one = Eigen::Map<const MatrixXd>(total_.col(m).data(), nj_, nj_);
      for (Index i = 0; i < f_; ++i) {
        for (Index j = 0; j < f_; ++j) {
          one += sums_.zz[static_cast<std::size_t>(m)](i, j) *
                 quadratic_[static_cast<std::size_t>(i * f_ + j)];
        }
      }
      out.push_back(std::move(one));
    }
    return out;
  }

 private:
  static constexpr Index kEffects = 32;  // gathered before they are added up by a matrix product

  void put(const MatrixXd& shape, const Eigen::Ref<const VectorXd>& size) {
    shapes_.col(filled_) = Eigen::Map<const VectorXd>(shape.data(), shape.size());
    sizes_.col(filled_++) = size;
  }

  void flush() {
    if (filled_ == 0) return;
    total_.noalias() += shapes_.leftCols(filled_) * sizes_.leftCols(filled_).transpose();
    filled_ = 0;
  }

  const PatternSums& sums_;
  Index nj_, f_;
  MatrixXd total_, shapes_, sizes_;
  std::vector<MatrixXd> quadratic_;
  Index filled_ = 0;
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
  out.stacked.resize(sigma.size(), static_cast<Index>(patterns.size()));
  for (Index m = 0; m < out.stacked.cols(); ++m) {
    const MatrixXd& one = out.padded[static_cast<std::size_t>(m)];
    out.stacked.col(m) = Eigen::Map<const VectorXd>(one.data(), one.size());
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
