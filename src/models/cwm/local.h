// The local update that the three engines share: score a row under each component, turn scores
// into responsibilities (or a draw of z), add up what the components need. Rows pass block by
// block; nothing of size n x K x D exists.
#pragma once

#include <cstdint>
#include <type_traits>

#include "core/blocks.h"
#include "core/rng.h"
#include "core/simd.h"
#include "models/cwm/kernel.h"

namespace mixology {
namespace cwm {

using Labels = std::vector<std::uint8_t>;

// What a pass over the rows is for: the components' sums (of expectations, or of drawn values), the
// weights alone, or E(y | x), whose weights see no response.
enum class Pass { sums, draws, weights, means };

// What turns the scores of a block (rows x K, in place) into weights. Padding rows come with
// whatever scores and must leave with weight zero; the sum of log normalisers is returned.
struct Softmax {
  static constexpr Pass pass = Pass::sums;
  double operator()(Block& scores, Index /*first*/, int size) const {
    double lse[kBlock];
    row_softmax(scores.data(), static_cast<std::size_t>(size),
                static_cast<std::size_t>(scores.cols()), kBlock, lse);
    double total = 0.0;
    for (int i = 0; i < size; ++i) total += lse[i];
    if (size < kBlock) scores.bottomRows(kBlock - size).setZero();
    return total;
  }
};

// Responsibilities kept: n x K, rows as in Data.
struct KeepSoftmax {
  static constexpr Pass pass = Pass::weights;
  MatrixXd& out;
  VectorXd& log_density;
  double operator()(Block& scores, Index first, int size) const {
    double* lse = log_density.data() + first;
    row_softmax(scores.data(), static_cast<std::size_t>(size),
                static_cast<std::size_t>(scores.cols()), kBlock, lse);
    out.middleRows(first, size) = scores.topRows(size);
    return log_density.segment(first, size).sum();
  }
};

// The regressions mixed by p(k | x): n x M, zeros to begin with, rows as in Data.
struct MixRegressions {
  static constexpr Pass pass = Pass::means;
  const std::vector<Kernel>& kernels;
  MatrixXd& out;
  double operator()(Block& scores, Index first, int size) const {
    return Softmax()(scores, first, size);
  }
  // `w`: rows of regression covariates, what they lack completed under component k.
  template <class Rows>
  void add(std::size_t k, Index first, const double* weight, const Rows& w) const {
    const Eigen::Map<const VectorXd> share(weight, w.rows());
    const MatrixXd mean = w * kernels[k].coef;
    out.middleRows(first, w.rows()) += share.asDiagonal() * mean;
  }
};

// Weights that are already there.
struct GivenLabels {
  static constexpr Pass pass = Pass::sums;
  const std::vector<std::uint8_t>& labels;
  double operator()(Block& scores, Index first, int size) const {
    scores.setZero();
    for (int i = 0; i < size; ++i) scores(i, labels[static_cast<std::size_t>(first + i)]) = 1.0;
    return 0.0;
  }
};

// z drawn from its conditional.
struct DrawLabels {
  static constexpr Pass pass = Pass::draws;
  std::vector<std::uint8_t>& labels;
  Rng& rng;
  double operator()(Block& scores, Index first, int size) const {
    const double total = Softmax()(scores, first, size);
    const Index k = scores.cols();
    for (int i = 0; i < size; ++i) {
      double left = rng.uniform();
      Index chosen = 0;
      for (Index j = 0; j < k; ++j) {
        if (!(scores(i, j) > 0.0)) continue;
        chosen = j;
        left -= scores(i, j);
        if (left < 0.0) break;
      }
      scores.row(i).setZero();
      scores(i, chosen) = 1.0;
      labels[static_cast<std::size_t>(first + i)] = static_cast<std::uint8_t>(chosen);
    }
    return total;
  }
};

template <class Rule>
class LocalPass {
 public:
  LocalPass(const Data& data, const std::vector<Kernel>& kernels, Rule rule)
      : data_(data),
        kernels_(kernels),
        rule_(rule),
        k_(static_cast<int>(kernels.size())),
        d_(static_cast<int>(data.d())),
        r_(static_cast<int>(data.r())),
        m_(static_cast<int>(data.m())),
        x_(kBlock, d_),
        w_(kBlock, r_),
        y_(kBlock, m_),
        deviation_(kBlock, k_ * d_),
        residual_(kBlock, k_ * m_),
        scores_(kBlock, k_),
        stats_(k_, d_, r_, m_) {
    for (const Kernel& kernel : kernels) {
      packed_x_.push_back(pack(kernel.white_x, kernel.diagonal_x));
      packed_y_.push_back(pack(kernel.white_y, false));
      packed_w_.push_back(pack(kernel.white_w, false));
    }
    ones_.setOnes(kBlock, 1);
    for (int k = 0; k < k_; ++k) {
      Columns one_d{ones_.data()}, w_e;
      for (int j = 0; j < d_; ++j) one_d.push_back(deviation_.col(k * d_ + j).data());
      for (int j = 0; j < r_; ++j) w_e.push_back(w_.col(j).data());
      for (int j = 0; j < m_; ++j) w_e.push_back(residual_.col(k * m_ + j).data());
      one_d_.push_back(std::move(one_d));
      w_e_.push_back(std::move(w_e));
    }
  }
  LocalPass(const LocalPass&) = delete;  // columns point into the blocks
  LocalPass& operator=(const LocalPass&) = delete;

  Stats run(Range range) {
    for (Pattern p : data_.patterns) {
      if (Rule::pass == Pass::means) p.has_y = false;
      const Range rows{std::max(range.begin, p.rows.begin), std::min(range.end, p.rows.end)};
      if (rows.size() <= 0) continue;
      completions_.clear();
      if (!p.plain()) {
        for (const Kernel& kernel : kernels_) completions_.emplace_back(data_, p, kernel);
      }
      for (Index first = rows.begin; first < rows.end; first += kBlock) {
        const int size = static_cast<int>(std::min<Index>(kBlock, rows.end - first));
        if (p.plain()) {
          plain_block(p, first, size);
        } else {
          patterned_block(p, first, size);
        }
      }
      if (!p.plain()) add_completion_covariance(p);
    }
    stats_.mirror();
    return std::move(stats_);
  }

 private:
  using Columns = std::vector<const double*>;

  static std::vector<double> pack(const MatrixXd& lower, bool diagonal) {
    std::vector<double> out;
    for (Index i = 0; i < lower.rows(); ++i) {
      for (Index j = diagonal ? i : 0; j <= i; ++j) out.push_back(lower(i, j));
    }
    return out;
  }
  static void take(const MatrixXd& from, Index first, int size, Block& to) {
    for (Index j = 0; j < from.cols(); ++j) {
      const double* column = from.col(j).data() + first;
      std::copy(column, column + size, to.col(j).data());
      std::fill(to.col(j).data() + size, to.col(j).data() + kBlock, 0.0);
    }
  }

  void plain_block(const Pattern& p, Index first, int size) {
    take(data_.x, first, size, x_);
    if (p.has_y) {
      take(data_.w, first, size, w_);
      take(data_.y, first, size, y_);
    }
    for (int k = 0; k < k_; ++k) score_plain(k, p.has_y);
    stats_.total += rule_(scores_, first, size);
    for (int k = 0; k < k_; ++k) {
      const auto slot = static_cast<std::size_t>(k);
      if constexpr (Rule::pass == Pass::means) {
        rule_.add(slot, first, scores_.col(k).data(), data_.w.middleRows(first, size));
      } else if (Rule::pass != Pass::weights) {
        accumulate(slot, scores_.col(k).data(), p.has_y);
      }
    }
  }

  void score_plain(int k, bool has_y) {
    const BlockKernels& kernels = block_kernels();
    const auto slot = static_cast<std::size_t>(k);
    const Kernel& kernel = kernels_[slot];
    double* score = scores_.col(k).data();
    scores_.col(k).setConstant(kernel.constant_x + (has_y ? kernel.constant_y : 0.0));
    for (int j = 0; j < d_; ++j) {
      deviation_.col(k * d_ + j).array() = x_.col(j).array() - kernel.mean[j];
    }
    (kernel.diagonal_x ? kernels.add_scaled_norm : kernels.add_whitened_norm)(
        one_d_[slot].data() + 1, d_, packed_x_[slot].data(), -0.5, score);
    if (!has_y) return;
    const double* const* w = w_e_[slot].data();
    for (int j = 0; j < m_; ++j) {
      residual_.col(k * m_ + j) = y_.col(j);
      kernels.subtract_product(w, r_, kernel.coef.col(j).data(), residual_.col(k * m_ + j).data());
    }
    kernels.add_whitened_norm(w + r_, m_, packed_y_[slot].data(), -0.5, score);
    if (kernel.white_w.size() > 0) {
      kernels.add_whitened_norm(w, r_, packed_w_[slot].data(), -0.5 * m_, score);
    }
  }

  void accumulate(std::size_t slot, const double* weight, bool has_y) {
    add_weighted_gram(one_d_[slot].data(), d_ + 1, weight, scratch_, stats_.xx[slot]);
    if (!has_y) return;
    add_weighted_gram(w_e_[slot].data(), r_ + m_, weight, scratch_, stats_.wy[slot]);
    stats_.rows_y[slot] += vsum(weight, kBlock);
  }

  // Rows that lack values, completed under each component in turn.
  void patterned_block(const Pattern& p, Index first, int size) {
    filled_.resize(static_cast<std::size_t>(k_));
    scores_.setZero();
    for (int k = 0; k < k_; ++k) {
      const auto slot = static_cast<std::size_t>(k);
      Filled& f = filled_[slot];
      f = open_rows(data_, kernels_[slot], completions_[slot], p, first, size);
      scores_.col(k).head(size) = completions_[slot].complete(f);
    }
    stats_.total += rule_(scores_, first, size);
    for (int k = 0; k < k_; ++k) {
      const auto slot = static_cast<std::size_t>(k);
      Filled& f = filled_[slot];
      const VectorXd weight = scores_.col(k).head(size);
      if constexpr (Rule::pass == Pass::means) {
        rule_.add(slot, first, weight.data(), f.w.transpose());
        continue;
      }
      if (Rule::pass == Pass::weights) continue;
      if constexpr (Rule::pass == Pass::draws) {
        MatrixXd u = MatrixXd::Zero(completions_[slot].cov.rows(), size);
        for (int i = 0; i < size; ++i) {
          if (weight[i] > 0.0) u.col(i) = rule_.rng.normal_vector(u.rows());
        }
        completions_[slot].shift(completions_[slot].cov_factor * u, f);
      }
      completions_[slot].weight += weight.sum();
      add_rows(slot, weight, p.has_y, f);
    }
  }

  void add_rows(std::size_t slot, const VectorXd& weight, bool has_y, const Filled& f) {
    MatrixXd one_d(d_ + 1, weight.size());
    one_d << Eigen::RowVectorXd::Ones(weight.size()), f.d;
    stats_.xx[slot].noalias() += one_d * weight.asDiagonal() * one_d.transpose();
    if (!has_y) return;
    MatrixXd we(r_ + m_, weight.size());
    we << f.w, f.e;
    stats_.wy[slot].noalias() += we * weight.asDiagonal() * we.transpose();
    stats_.rows_y[slot] += weight.sum();
  }

  // E[v v'] exceeds E[v] E[v]' by the covariance of what was completed; a draw has none.
  void add_completion_covariance(const Pattern& p) {
    if (Rule::pass != Pass::sums) return;
    for (std::size_t k = 0; k < completions_.size(); ++k) {
      const Completion& c = completions_[k];
      stats_.xx[k].bottomRightCorner(d_, d_) += c.weight * c.to_x * c.cov * c.to_x.transpose();
      if (!p.has_y) continue;
      MatrixXd to_wy(r_ + m_, c.cov.cols());
      to_wy << c.to_w, c.to_y;
      stats_.wy[k] += c.weight * to_wy * c.cov * to_wy.transpose();
    }
  }

  const Data& data_;
  const std::vector<Kernel>& kernels_;
  Rule rule_;
  const int k_, d_, r_, m_;
  Block x_, w_, y_, deviation_, residual_, scores_, ones_, scratch_;
  std::vector<Columns> one_d_, w_e_;  // (1, d) and (w, e) of each component
  std::vector<std::vector<double>> packed_x_, packed_y_, packed_w_;
  std::vector<Completion> completions_;
  std::vector<Filled> filled_;
  Stats stats_;
};

template <class Rule>
Stats local_pass(const Data& data, const std::vector<Kernel>& kernels, Range range, Rule rule) {
  return LocalPass<Rule>(data, kernels, rule).run(range);
}

// Rows per task of a parallel sum: many blocks, few enough that 1e5 rows feed two threads.
constexpr Index kChunk = 64 * kBlock;

}  // namespace cwm
}  // namespace mixology
