// What every cwm engine reads: rows grouped by what they lack, in coordinates where sums are well
// conditioned.
//
//   x~ = (x - centre) / scale      clustering covariates
//   w~ = w basis                   regression covariates, orthogonal with mean square one
//   y~ = y / y_scale               responses
//
// A row that lacks values belongs to a pattern: which x and which y are missing. Missing x are set
// to the pooled mean (zero), and the regression covariates that are plain copies of them follow:
// w~(x~) = w~ + slope x~ restricted to what is missing.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <stdexcept>
#include <tuple>
#include <utility>
#include <vector>

#include "core/parallel.h"
#include "core/types.h"

namespace mixology {
namespace cwm {

using Eigen::Ref;

struct Pattern {
  Range rows;
  std::vector<int> x_missing;
  std::vector<int> y_missing;
  bool has_y = true;  // at least one response observed

  bool plain() const { return x_missing.empty() && (y_missing.empty() || !has_y); }
};

struct Data {
  MatrixXd x, w, y;           // rows in the order of `patterns`
  std::vector<Index> source;  // row i here is row source[i] of the user's; empty: the same
  std::vector<Pattern> patterns;
  VectorXd centre, scale, y_scale;
  MatrixXd basis;   // w~ = w basis
  MatrixXd slope;   // R x D: dw~ / dx~
  MatrixXd pooled;  // R x M: the regression over all rows, start and fallback of the components'
  double jacobian = 0.0;  // log density of the user's data minus that of these

  Index n() const { return x.rows(); }
  Index d() const { return x.cols(); }
  Index r() const { return w.cols(); }
  Index m() const { return y.cols(); }
  // What a change of a log density is small beside: it has a unit-free part per value.
  double objective_scale() const { return double(n()) * double(d() + m()) + 1.0; }
  Index row(Index i) const { return source.empty() ? i : source[static_cast<std::size_t>(i)]; }

  // the same for one row of a pattern
  double log_jacobian(const Pattern& p) const {
    double out = -scale.array().log().sum();
    for (int j : p.x_missing) out += std::log(scale[j]);
    if (m() == 0 || !p.has_y) return out;
    out -= y_scale.array().log().sum();
    for (int j : p.y_missing) out += std::log(y_scale[j]);
    return out;
  }
};

namespace detail {

inline std::pair<double, double> mean_and_sd(const Ref<const VectorXd>& column) {
  double sum = 0.0, count = 0.0;
  for (Index i = 0; i < column.size(); ++i) {
    if (!std::isnan(column[i])) sum += column[i], count += 1.0;
  }
  const double mean = count > 0.0 ? sum / count : 0.0;
  double squares = 0.0;
  for (Index i = 0; i < column.size(); ++i) {
    if (!std::isnan(column[i])) squares += (column[i] - mean) * (column[i] - mean);
  }
  return {mean, count > 0.0 ? std::sqrt(squares / count) : 0.0};
}

// Rows sorted by what they lack; complete rows first.
inline void group_rows(const Ref<const MatrixXd>& x, const Ref<const MatrixXd>& y, Data& out) {
  if (!std::isnan(x.sum() + y.sum())) {  // a sum shows every NaN
    out.patterns.push_back({Range{0, x.rows()}, {}, {}, y.cols() > 0});
    return;
  }
  using Key = std::vector<bool>;
  std::map<Key, std::vector<Index>> groups;
  const Index d = x.cols(), m = y.cols();
  Key key(static_cast<std::size_t>(d + m));
  for (Index i = 0; i < x.rows(); ++i) {
    for (Index j = 0; j < d; ++j) key[static_cast<std::size_t>(j)] = std::isnan(x(i, j));
    for (Index j = 0; j < m; ++j) key[static_cast<std::size_t>(d + j)] = std::isnan(y(i, j));
    groups[key].push_back(i);
  }
  Index begin = 0;
  for (const auto& group : groups) {
    Pattern p;
    p.rows = {begin, begin + static_cast<Index>(group.second.size())};
    begin = p.rows.end;
    for (int j = 0; j < d; ++j) {
      if (group.first[static_cast<std::size_t>(j)]) p.x_missing.push_back(j);
    }
    for (int j = 0; j < m; ++j) {
      if (group.first[static_cast<std::size_t>(d + j)]) p.y_missing.push_back(j);
    }
    p.has_y = m > 0 && static_cast<Index>(p.y_missing.size()) < m;
    out.patterns.push_back(p);
    if (groups.size() > 1) {
      out.source.insert(out.source.end(), group.second.begin(), group.second.end());
    }
  }
}

inline MatrixXd gather(const Ref<const MatrixXd>& a, const std::vector<Index>& rows) {
  MatrixXd out(static_cast<Index>(rows.size()), a.cols());
  for (Index j = 0; j < a.cols(); ++j) {
    for (Index i = 0; i < out.rows(); ++i) out(i, j) = a(rows[static_cast<std::size_t>(i)], j);
  }
  return out;
}
inline MatrixXd reorder(const Ref<const MatrixXd>& a, const std::vector<Index>& source) {
  return source.empty() ? MatrixXd(a) : gather(a, source);
}

// Each linear regression on the rows that have the response.
inline MatrixXd pooled_regression(const Data& data) {
  MatrixXd out(data.r(), data.m());
  for (Index j = 0; j < data.m() && data.r() > 0; ++j) {
    MatrixXd cross = MatrixXd::Zero(data.r(), data.r());
    VectorXd right = VectorXd::Zero(data.r());
    for (const Pattern& p : data.patterns) {
      const auto& gone = p.y_missing;
      if (std::find(gone.begin(), gone.end(), static_cast<int>(j)) != gone.end()) continue;
      const auto w = data.w.middleRows(p.rows.begin, p.rows.size());
      cross.noalias() += w.transpose() * w;
      right.noalias() += w.transpose() * data.y.col(j).segment(p.rows.begin, p.rows.size());
    }
    out.col(j) = cross.completeOrthogonalDecomposition().solve(right);
  }
  return out;
}

}  // namespace detail

// `link` (R x D, zeros and ones): which regression covariates are plain copies of clustering
// covariates. `common_scale`: one unit for all columns of x, for families that compare columns.
inline Data make_data(const Ref<const MatrixXd>& x, const Ref<const MatrixXd>& w,
                      const Ref<const MatrixXd>& y, const Ref<const MatrixXd>& link,
                      bool common_scale) {
  Data out;
  const Index n = x.rows(), d = x.cols(), r = w.cols(), m = y.cols();
  detail::group_rows(x, y, out);
  out.x = detail::reorder(x, out.source);
  out.w = detail::reorder(w, out.source);
  out.y = detail::reorder(y, out.source);
  out.centre.resize(d);
  out.scale.resize(d);
  for (Index j = 0; j < d; ++j) {
    std::tie(out.centre[j], out.scale[j]) = detail::mean_and_sd(out.x.col(j));
  }
  if (common_scale && d > 0) out.scale.setConstant(out.scale.norm() / std::sqrt(double(d)));
  for (Index j = 0; j < d; ++j) {
    if (!(out.scale[j] > 0.0)) out.scale[j] = 1.0;
    for (Index l = 0; l < r; ++l) {
      if (link(l, j) == 0.0) continue;
      auto column = out.w.col(l);
      column = column.array().isNaN().select(out.centre[j], column);
    }
    auto column = out.x.col(j);
    column = column.array().isNaN().select(0.0, (column.array() - out.centre[j]) / out.scale[j]);
  }
  out.basis = MatrixXd::Identity(r, r);
  if (r > 0) {
    const Eigen::HouseholderQR<MatrixXd> qr(out.w);
    const MatrixXd factor = qr.matrixQR().topRows(std::min(n, r));
    if (n >= r && factor.diagonal().cwiseAbs().minCoeff() > 0.0) {
      out.basis = factor.triangularView<Eigen::Upper>().solve(MatrixXd::Identity(r, r)) *
                  std::sqrt(double(n));
      out.w *= out.basis;
    }
  }
  out.slope = out.basis.transpose() * link * out.scale.asDiagonal();
  out.y_scale.resize(m);
  for (Index j = 0; j < m; ++j) {
    const double sd = detail::mean_and_sd(out.y.col(j)).second;
    out.y_scale[j] = sd > 0.0 ? sd : 1.0;
    auto column = out.y.col(j);
    column = column.array().isNaN().select(0.0, column.array() / out.y_scale[j]);
  }
  out.pooled = detail::pooled_regression(out);
  for (const Pattern& p : out.patterns) out.jacobian += double(p.rows.size()) * out.log_jacobian(p);
  return out;
}

// Coefficients of w as those of w~.
inline MatrixXd in_basis(const Data& data, const MatrixXd& coef) {
  return data.r() > 0 ? MatrixXd(data.basis.partialPivLu().solve(coef)) : coef;
}

}  // namespace cwm
}  // namespace mixology
