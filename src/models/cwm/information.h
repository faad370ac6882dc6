// Observed information of an EM fit (Louis 1982):
//   I = sum_i { s_i s_i' - sum_k r_ik (H_ik + s_ik s_ik') },  s_i = sum_k r_ik s_ik,
// s_ik and H_ik the gradient and Hessian of log(pi_k p(x_i, y_i | k)). The parameters of component
// k: pi_k, mu_k, the lower triangle of Sigma_k column by column, vec Theta_k, that of Psi_k; all in
// the coordinates of Data. Rows that lack values enter by s_i s_i' alone, with the expected score.
#pragma once

#include "models/cwm/em.h"

namespace mixology {
namespace cwm {

class Information {
 public:
  Information(const Em& model, const Em::State& state, const MatrixXd& responsibility)
      : data_(model.data()),
        state_(state),
        responsibility_(responsibility),
        k_(model.k()),
        d_(data_.d()),
        r_(data_.r()),
        m_(data_.m()),
        mean_at_(1),
        spread_at_(1 + d_),
        coef_at_(spread_at_ + d_ * (d_ + 1) / 2),
        noise_at_(coef_at_ + r_ * m_),
        size_(noise_at_ + m_ * (m_ + 1) / 2) {
    for (int k = 0; k < k_; ++k) {
      const Kernel& kernel = state.kernel[static_cast<std::size_t>(k)];
      px_.push_back(kernel.white_x.transpose() * kernel.white_x);
      py_.push_back(kernel.white_y.transpose() * kernel.white_y);
    }
  }

  // Where the parts of a component's parameters begin, and how many parameters it has.
  Index mean_at() const { return mean_at_; }
  Index spread_at() const { return spread_at_; }
  Index coef_at() const { return coef_at_; }
  Index noise_at() const { return noise_at_; }
  Index size() const { return size_; }

  MatrixXd matrix(Executor& executor) const {
    Sums sums = chunked_sum<Sums>(data_.n(), kChunk, executor, [&](Range range) {
      Sums part(k_, size_, d_, r_, m_);
      Work work(*this);
      for (const Pattern& p : data_.patterns) {
        const Range rows{std::max(range.begin, p.rows.begin), std::min(range.end, p.rows.end)};
        for (Index i = rows.begin; i < rows.end; i += kBlock) {
          add_block(p, i, std::min<Index>(kBlock, rows.end - i), work, part);
        }
      }
      return part;
    });
    sums.mirror();
    for (int k = 0; k < k_; ++k) subtract_hessian(k, sums);
    return sums.information;
  }

  // d(user's parameters) / d(these), the same for every component.
  MatrixXd to_user() const {
    MatrixXd out = MatrixXd::Zero(size_, size_);
    out(0, 0) = 1.0;
    out.block(mean_at_, mean_at_, d_, d_) = data_.scale.asDiagonal();
    triangle_units(data_.scale, spread_at_, out);
    for (Index j = 0; j < m_; ++j) {
      out.block(coef_at_ + j * r_, coef_at_ + j * r_, r_, r_) = data_.basis * data_.y_scale[j];
    }
    triangle_units(data_.y_scale, noise_at_, out);
    return out;
  }

 private:
  struct Sums {
    MatrixXd information;          // sum of s_i s_i'
    std::vector<MatrixXd> own;     // sum of r_ik s_ik s_ik', rows without gaps only
    std::vector<MatrixXd> xx, wy;  // as in Stats, of the same rows
    std::vector<double> rows_y;
    Sums() = default;
    Sums(int k, Index size, Index d, Index r, Index m)
        : information(MatrixXd::Zero(k * size, k * size)),
          own(static_cast<std::size_t>(k), MatrixXd::Zero(size, size)),
          xx(static_cast<std::size_t>(k), MatrixXd::Zero(d + 1, d + 1)),
          wy(static_cast<std::size_t>(k), MatrixXd::Zero(r + m, r + m)),
          rows_y(static_cast<std::size_t>(k), 0.0) {}
    Sums& operator+=(const Sums& other) {
      information += other.information;
      for (std::size_t k = 0; k < xx.size(); ++k) {
        own[k] += other.own[k];
        xx[k] += other.xx[k];
        wy[k] += other.wy[k];
        rows_y[k] += other.rows_y[k];
      }
      return *this;
    }
    void mirror() {  // sums are taken in the upper triangle
      const auto both = [](MatrixXd& a) {
        a.triangularView<Eigen::StrictlyLower>() = a.transpose().eval();
      };
      both(information);
      for (auto* group : {&own, &xx, &wy}) std::for_each(group->begin(), group->end(), both);
    }
  };

  static void triangle_units(const VectorXd& unit, Index at, MatrixXd& out) {
    for (Index b = 0; b < unit.size(); ++b) {
      for (Index a = b; a < unit.size(); ++a, ++at) out(at, at) = unit[a] * unit[b];
    }
  }

  // d/dSigma of the log density at second moments v v' given as precision-weighted `g g'`.
  static void triangle_score(const MatrixXd& gg, const MatrixXd& precision, Index at,
                             VectorXd& score) {
    for (Index b = 0; b < gg.cols(); ++b) {
      for (Index a = b; a < gg.cols(); ++a, ++at) {
        score[at] = (a == b ? 0.5 : 1.0) * (gg(a, b) - precision(a, b));
      }
    }
  }

  // The score of one row under component k from E[d], E[dd'], E[w e'], E[ee'].
  VectorXd score(int k, const VectorXd& d, const MatrixXd& dd, bool has_y, const MatrixXd& we,
                 const MatrixXd& ee) const {
    const auto slot = static_cast<std::size_t>(k);
    VectorXd out = VectorXd::Zero(size_);
    out[0] = 1.0 / std::exp(state_.log_weight[k]);
    const MatrixXd& px = px_[slot];
    out.segment(mean_at_, d_) = px * d;
    triangle_score(px * dd * px, px, spread_at_, out);
    if (!has_y) return out;
    const MatrixXd& py = py_[slot];
    const MatrixXd b = we * py;
    out.segment(coef_at_, r_ * m_) = Eigen::Map<const VectorXd>(b.data(), b.size());
    triangle_score(py * ee * py, py, noise_at_, out);
    return out;
  }

  using Columns = std::vector<const double*>;

  // A block of rows under one component, and its scores times responsibility under each; columns
  // point into the blocks.
  struct Work {
    Block x, w, y, d, e, g, h, scores, weight, mixed, ones, scratch;
    Columns of_w, of_d, of_e, one_d, w_e, of_scores, of_mixed;
    Work(const Work&) = delete;
    Work& operator=(const Work&) = delete;
    explicit Work(const Information& at)
        : x(kBlock, at.d_),
          w(kBlock, at.r_),
          y(kBlock, at.m_),
          d(kBlock, at.d_),
          e(kBlock, at.m_),
          g(kBlock, at.d_),
          h(kBlock, at.m_),
          scores(kBlock, at.size_),
          weight(kBlock, at.k_),
          mixed(kBlock, at.k_ * at.size_),
          ones(Block::Ones(kBlock, 1)),
          of_w(columns({&w})),
          of_d(columns({&d})),
          of_e(columns({&e})),
          one_d(columns({&ones, &d})),
          w_e(columns({&w, &e})),
          of_scores(columns({&scores})),
          of_mixed(columns({&mixed})) {}

    static Columns columns(const std::vector<const Block*>& blocks) {
      Columns out;
      for (const Block* block : blocks) {
        for (Index j = 0; j < block->cols(); ++j) out.push_back(block->col(j).data());
      }
      return out;
    }
    void add_gram(const Columns& columns, const double* by, MatrixXd& gram) {
      add_weighted_gram(columns.data(), static_cast<int>(columns.size()), by, scratch, gram);
    }
  };

  static void take(const MatrixXd& from, Index first, Index size, Block& to) {
    to.topRows(size) = from.middleRows(first, size);
    to.bottomRows(kBlock - size).setZero();
  }
  // out -= columns a
  static void subtract(const Columns& columns, const MatrixXd& a, Block& out) {
    for (Index j = 0; j < out.cols(); ++j) {
      block_kernels().subtract_product(columns.data(), static_cast<int>(columns.size()),
                                       a.col(j).data(), out.col(j).data());
    }
  }
  static void multiply(const Block& a, Index i, const double* by, Block& out, Index j) {
    block_kernels().multiply(a.col(i).data(), by, out.col(j).data());
  }

  void add_block(const Pattern& p, Index first, Index size, Work& work, Sums& sums) const {
    if (!p.plain()) return add_completed(p, first, size, sums);
    take(responsibility_, first, size, work.weight);
    take(data_.x, first, size, work.x);
    if (p.has_y) take(data_.w, first, size, work.w);
    if (p.has_y) take(data_.y, first, size, work.y);
    for (int k = 0; k < k_; ++k) {
      const auto slot = static_cast<std::size_t>(k);
      plain_scores(slot, p.has_y, work);
      const double* weight = work.weight.col(k).data();
      work.add_gram(work.of_scores, weight, sums.own[slot]);
      work.add_gram(work.one_d, weight, sums.xx[slot]);
      if (p.has_y) {
        work.add_gram(work.w_e, weight, sums.wy[slot]);
        sums.rows_y[slot] += vsum(weight, kBlock);
      }
      for (Index j = 0; j < size_; ++j) {
        multiply(work.scores, j, weight, work.mixed, k * size_ + j);
      }
    }
    work.add_gram(work.of_mixed, work.ones.data(), sums.information);
  }

  void plain_scores(std::size_t slot, bool has_y, Work& work) const {
    const auto k = static_cast<Index>(slot);
    work.d = work.x.rowwise() - state_.mean.col(k).transpose();
    work.g.setZero();
    subtract(work.of_d, -px_[slot], work.g);
    work.scores.col(0).setConstant(1.0 / std::exp(state_.log_weight[k]));
    work.scores.middleCols(mean_at_, d_) = work.g;
    triangle_scores(work.g, px_[slot], spread_at_, work.scores);
    work.scores.rightCols(size_ - coef_at_).setZero();
    if (!has_y) return;
    work.e = work.y;
    subtract(work.of_w, state_.coef[slot], work.e);
    work.h.setZero();
    subtract(work.of_e, -py_[slot], work.h);
    for (Index j = 0; j < m_; ++j) {
      for (Index l = 0; l < r_; ++l) {
        multiply(work.h, j, work.of_w[static_cast<std::size_t>(l)], work.scores,
                 coef_at_ + j * r_ + l);
      }
    }
    triangle_scores(work.h, py_[slot], noise_at_, work.scores);
  }

  static void triangle_scores(const Block& g, const MatrixXd& precision, Index at, Block& scores) {
    for (Index b = 0; b < g.cols(); ++b) {
      for (Index a = b; a < g.cols(); ++a, ++at) {
        scores.col(at) =
            (a == b ? 0.5 : 1.0) * (g.col(a).array() * g.col(b).array() - precision(a, b));
      }
    }
  }

  // Rows that lack values: the square of their expected score.
  void add_completed(const Pattern& p, Index first, Index size, Sums& sums) const {
    MatrixXd mixed(size, k_ * size_);
    for (int k = 0; k < k_; ++k) {
      MatrixXd scores(size, size_);
      completed_scores(p, first, size, k, scores);
      mixed.middleCols(k * size_, size_) =
          responsibility_.col(k).segment(first, size).asDiagonal() * scores;
    }
    sums.information.noalias() += mixed.transpose() * mixed;
  }

  void completed_scores(const Pattern& p, Index first, Index size, int k, MatrixXd& scores) const {
    const auto slot = static_cast<std::size_t>(k);
    const Kernel& kernel = state_.kernel[slot];
    const Completion completion(data_, p, kernel);
    const MatrixXd cov_d = completion.to_x * completion.cov * completion.to_x.transpose();
    const MatrixXd cov_we = completion.to_w * completion.cov * completion.to_y.transpose();
    const MatrixXd cov_ee = completion.to_y * completion.cov * completion.to_y.transpose();
    Filled filled = open_rows(data_, kernel, completion, p, first, size);
    completion.complete(filled);
    for (Index i = 0; i < size; ++i) {
      const VectorXd d = filled.d.col(i), w = filled.w.col(i);
      const VectorXd e = p.has_y ? VectorXd(filled.e.col(i)) : VectorXd();
      const MatrixXd we = p.has_y ? MatrixXd(w * e.transpose() + cov_we) : MatrixXd();
      const MatrixXd ee = p.has_y ? MatrixXd(e * e.transpose() + cov_ee) : MatrixXd();
      scores.row(i) = score(k, d, d * d.transpose() + cov_d, p.has_y, we, ee).transpose();
    }
  }

  void subtract_hessian(int k, Sums& sums) const {
    const auto slot = static_cast<std::size_t>(k);
    auto out = sums.information.block(k * size_, k * size_, size_, size_);
    out -= sums.own[slot];
    const MatrixXd &px = px_[slot], &py = py_[slot], &xx = sums.xx[slot], &wy = sums.wy[slot];
    const double rows = xx(0, 0);
    out(0, 0) += rows / std::exp(2.0 * state_.log_weight[k]);
    out.block(mean_at_, mean_at_, d_, d_) += rows * px;
    const VectorXd linear = px * xx.col(0).tail(d_);
    for_triangle(d_, [&](Index at, const MatrixXd& unit) {
      const VectorXd cross = px * unit * linear;
      out.block(mean_at_, spread_at_ + at, d_, 1) += cross;
      out.block(spread_at_ + at, mean_at_, 1, d_) += cross.transpose();
    });
    add_triangle_hessian(px, xx.bottomRightCorner(d_, d_), rows, spread_at_, out);
    if (m_ == 0) return;
    const MatrixXd ww = wy.topLeftCorner(r_, r_), we = wy.topRightCorner(r_, m_) * py;
    for (Index i = 0; i < m_; ++i) {
      for (Index j = 0; j < m_; ++j) {
        out.block(coef_at_ + i * r_, coef_at_ + j * r_, r_, r_) += ww * py(i, j);
      }
    }
    for_triangle(m_, [&](Index at, const MatrixXd& unit) {
      const MatrixXd cross = we * unit * py;
      const Eigen::Map<const VectorXd> flat(cross.data(), cross.size());
      out.block(coef_at_, noise_at_ + at, r_ * m_, 1) += flat;
      out.block(noise_at_ + at, coef_at_, 1, r_ * m_) += flat.transpose();
    });
    add_triangle_hessian(py, wy.bottomRightCorner(m_, m_), sums.rows_y[slot], noise_at_, out);
  }

  // Symmetric unit directions of a lower triangle, column by column.
  template <class Visitor>
  static void for_triangle(Index p, Visitor visit) {
    Index at = 0;
    for (Index b = 0; b < p; ++b) {
      for (Index a = b; a < p; ++a, ++at) {
        MatrixXd unit = MatrixXd::Zero(p, p);
        unit(a, b) = unit(b, a) = 1.0;
        visit(at, unit);
      }
    }
  }

  // -H[E, F] = tr(E P F T) - rows tr(P E P F) / 2, T = P (sum r v v') P
  template <class Target>
  static void add_triangle_hessian(const MatrixXd& precision, const MatrixXd& scatter, double rows,
                                   Index at0, Target& out) {
    const MatrixXd t = precision * scatter * precision;
    for_triangle(precision.rows(), [&](Index column, const MatrixXd& unit) {
      const MatrixXd a = precision * unit * (t - 0.5 * rows * precision);
      Index at = 0;
      for (Index j = 0; j < precision.rows(); ++j) {
        for (Index i = j; i < precision.rows(); ++i, ++at) {
          out(at0 + at, at0 + column) += i == j ? a(i, i) : a(i, j) + a(j, i);
        }
      }
    });
  }

  const Data& data_;
  const Em::State& state_;
  const MatrixXd& responsibility_;  // rows as in Data
  const int k_;
  const Index d_, r_, m_, mean_at_, spread_at_, coef_at_, noise_at_, size_;
  std::vector<MatrixXd> px_, py_;
};

}  // namespace cwm
}  // namespace mixology
