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
      Sums part(k_ * size_, k_, d_, r_, m_);
      for (const Pattern& p : data_.patterns) {
        const Range rows{std::max(range.begin, p.rows.begin), std::min(range.end, p.rows.end)};
        for (Index i = rows.begin; i < rows.end; i += kBlock) {
          add_block(p, i, std::min<Index>(kBlock, rows.end - i), part);
        }
      }
      return part;
    });
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
    MatrixXd information;
    std::vector<MatrixXd> xx, wy;  // as in Stats, rows without gaps only
    std::vector<double> rows_y;
    Sums() = default;
    Sums(Index total, int k, Index d, Index r, Index m)
        : information(MatrixXd::Zero(total, total)),
          xx(static_cast<std::size_t>(k), MatrixXd::Zero(d + 1, d + 1)),
          wy(static_cast<std::size_t>(k), MatrixXd::Zero(r + m, r + m)),
          rows_y(static_cast<std::size_t>(k), 0.0) {}
    Sums& operator+=(const Sums& other) {
      information += other.information;
      for (std::size_t k = 0; k < xx.size(); ++k) {
        xx[k] += other.xx[k];
        wy[k] += other.wy[k];
        rows_y[k] += other.rows_y[k];
      }
      return *this;
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

  void add_block(const Pattern& p, Index first, Index size, Sums& sums) const {
    if (size <= 0) return;
    MatrixXd mixed(size, k_ * size_);
    for (int k = 0; k < k_; ++k) {
      MatrixXd scores(size, size_);
      if (p.plain()) {
        plain_scores(p, first, size, k, sums, scores);
      } else {
        completed_scores(p, first, size, k, scores);
      }
      const auto weight = responsibility_.col(k).segment(first, size);
      const MatrixXd weighted = weight.asDiagonal() * scores;
      if (p.plain()) {
        sums.information.block(k * size_, k * size_, size_, size_).noalias() -=
            weighted.transpose() * scores;
      }
      mixed.middleCols(k * size_, size_) = weighted;
    }
    sums.information.noalias() += mixed.transpose() * mixed;
  }

  void plain_scores(const Pattern& p, Index first, Index size, int k, Sums& sums,
                    MatrixXd& scores) const {
    const auto slot = static_cast<std::size_t>(k);
    const auto weight = responsibility_.col(k).segment(first, size);
    const MatrixXd d = data_.x.middleRows(first, size).rowwise() - state_.mean.col(k).transpose();
    const MatrixXd g = d * px_[slot];
    scores.setZero();
    scores.col(0).setConstant(1.0 / std::exp(state_.log_weight[k]));
    scores.middleCols(mean_at_, d_) = g;
    triangle_scores(g, px_[slot], spread_at_, scores);
    MatrixXd one_d(size, d_ + 1);
    one_d << VectorXd::Ones(size), d;
    sums.xx[slot].noalias() += one_d.transpose() * weight.asDiagonal() * one_d;
    if (!p.has_y) return;
    const MatrixXd w = data_.w.middleRows(first, size);
    const MatrixXd e = data_.y.middleRows(first, size) - w * state_.coef[slot];
    const MatrixXd h = e * py_[slot];
    for (Index j = 0; j < m_; ++j) {
      scores.middleCols(coef_at_ + j * r_, r_) = h.col(j).asDiagonal() * w;
    }
    triangle_scores(h, py_[slot], noise_at_, scores);
    MatrixXd we(size, r_ + m_);
    we << w, e;
    sums.wy[slot].noalias() += we.transpose() * weight.asDiagonal() * we;
    sums.rows_y[slot] += weight.sum();
  }

  static void triangle_scores(const MatrixXd& g, const MatrixXd& precision, Index at,
                              MatrixXd& scores) {
    for (Index b = 0; b < g.cols(); ++b) {
      for (Index a = b; a < g.cols(); ++a, ++at) {
        scores.col(at) =
            (a == b ? 0.5 : 1.0) * (g.col(a).array() * g.col(b).array() - precision(a, b));
      }
    }
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
