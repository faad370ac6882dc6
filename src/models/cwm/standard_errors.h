// The covariance of the estimates: the observed information over all parameters, restricted to the
// directions in which they may move, inverted, and spread out again in the user's units.
#pragma once

#include <Eigen/SparseCore>

#include "models/cwm/information.h"

namespace mixology {
namespace cwm {

using Sparse = Eigen::SparseMatrix<double>;

// Columns: directions in which the parameters of the components may move.
class FreeDirections {
 public:
  FreeDirections(const Em& model, const Em::State& state, const Information& at)
      : k_(model.k()), size_(at.size()) {
    const Index d = model.data().d(), m = model.data().m();
    for (int j = 0; j + 1 < k_; ++j) add({row(j, 0), row(k_ - 1, 0)}, {1.0, -1.0});
    for (int j = 0; j < k_; ++j) add_each(j, at.mean_at(), at.spread_at());
    add_spread(model.family(), d, at.spread_at());
    for (int j = 0; j < k_; ++j) {
      if (!state.deficient[static_cast<std::size_t>(j)]) add_each(j, at.coef_at(), at.noise_at());
    }
    add_noise(model.equal_noise(), state, m, at.noise_at());
  }

  Sparse matrix() const {
    Sparse out(k_ * size_, count_);
    out.setFromTriplets(entries_.begin(), entries_.end());
    return out;
  }

 private:
  Index row(int component, Index parameter) const { return component * size_ + parameter; }
  void add(const std::vector<Index>& rows, const std::vector<double>& values) {
    for (std::size_t i = 0; i < rows.size(); ++i) entries_.emplace_back(rows[i], count_, values[i]);
    ++count_;
  }
  void add_together(const std::vector<Index>& rows) {
    if (!rows.empty()) add(rows, std::vector<double>(rows.size(), 1.0));
  }
  void add_each(int component, Index from, Index to) {
    for (Index i = from; i < to; ++i) add_together({row(component, i)});
  }
  // Every component's parameter at `parameter`, as one where they are the same.
  void add_across(Index parameter, bool same) {
    std::vector<Index> rows;
    for (int j = 0; j < k_; ++j) rows.push_back(row(j, parameter));
    if (same) return add_together(rows);
    for (const Index one : rows) add_together({one});
  }
  void add_spread(Family family, Index d, Index first) {
    if (!diagonal(family)) {
      for (Index i = 0; i < d * (d + 1) / 2; ++i) add_across(first + i, shared(family));
      return;
    }
    std::vector<Index> variances;
    for (Index i = 0, at = first; i < d; at += d - i, ++i) variances.push_back(at);
    if (!spherical(family)) {
      for (const Index at : variances) add_across(at, shared(family));
      return;
    }
    std::vector<Index> rows;
    for (int j = 0; j < k_; ++j) {
      for (const Index at : variances) rows.push_back(row(j, at));
      if (shared(family)) continue;
      add_together(rows);
      rows.clear();
    }
    add_together(rows);
  }
  void add_noise(bool same, const Em::State& state, Index m, Index first) {
    const Index last = first + m * (m + 1) / 2;
    bool any_at_floor = false;
    for (const Factor& f : state.noise) any_at_floor = any_at_floor || f.at_floor;
    if (same && any_at_floor) return;
    if (same) {
      for (Index i = first; i < last; ++i) add_across(i, true);
      return;
    }
    for (int j = 0; j < k_; ++j) {
      if (!state.noise[static_cast<std::size_t>(j)].at_floor) add_each(j, first, last);
    }
  }

  const int k_;
  const Index size_;
  Index count_ = 0;
  std::vector<Eigen::Triplet<double>> entries_;
};

// Of all components' parameters; NaN for those that are held where they are. 0 x 0 where the
// information is not positive definite.
inline MatrixXd estimate_covariance(const Em& model, const Em::State& state,
                                    const MatrixXd& responsibility, Executor& executor) {
  const Information information(model, state, responsibility);
  const Sparse free = FreeDirections(model, state, information).matrix();
  const MatrixXd inner = free.transpose() * information.matrix(executor) * free;
  const Eigen::LLT<MatrixXd> llt(inner);
  if (llt.info() != Eigen::Success) return MatrixXd(0, 0);
  const Index size = information.size(), total = model.k() * size;
  MatrixXd to_user = MatrixXd::Zero(total, total);
  for (Index at = 0; at < total; at += size) {
    to_user.block(at, at, size, size) = information.to_user();
  }
  const Sparse in_user_units = to_user.sparseView();
  const Sparse spread = in_user_units * free;
  const MatrixXd inverse = llt.solve(MatrixXd::Identity(inner.rows(), inner.rows()));
  MatrixXd out = spread * inverse * spread.transpose();
  const auto hold = [&](Index first, Index count) {
    out.middleRows(first, count).setConstant(std::numeric_limits<double>::quiet_NaN());
    out.middleCols(first, count).setConstant(std::numeric_limits<double>::quiet_NaN());
  };
  for (int k = 0; k < model.k(); ++k) {
    const auto slot = static_cast<std::size_t>(k);
    const Index coef = information.coef_at(), noise = information.noise_at();
    if (state.deficient[slot]) hold(k * size + coef, noise - coef);
    if (state.noise[slot].at_floor) hold(k * size + noise, size - noise);
  }
  return out;
}

}  // namespace cwm
}  // namespace mixology
