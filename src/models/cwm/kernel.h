// A component as what a row is scored with, and the sums that a component needs.
//
// The score is a quadratic form. For EM and Gibbs it is the log density itself, for variational
// Bayes its expectation:
//   score = constant_x - |white_x (x - mean)|^2 / 2
//         + [y seen] ( constant_y - |white_y (y - coef' w)|^2 / 2 - M |white_w w|^2 / 2 )
// Sums are taken about the component's own mean and regression, so that a nearly perfect fit
// loses no digits: a global update corrects both rather than making them anew.
#pragma once

#include "models/cwm/data.h"

namespace mixology {
namespace cwm {

constexpr double kLog2Pi = 1.8378770664093454836;

struct Kernel {
  double constant_x = 0.0;  // log weight included
  double constant_y = 0.0;
  VectorXd mean;
  MatrixXd white_x;  // D x D, lower triangular
  MatrixXd coef;     // R x M
  MatrixXd white_y;  // M x M, lower triangular
  MatrixXd white_w;  // R x R, lower triangular; 0 x 0 unless variational
  bool diagonal_x = false;
};

// Sums of one component: xx = sum r [1; d][1; d]' with d = x - mean, and over the rows with a
// response wy = sum r [w; e][w; e]' with e = y - coef' w.
struct Stats {
  std::vector<MatrixXd> xx, wy;
  std::vector<double> rows_y;  // sum of r over the rows with a response
  double total = 0.0;          // sum of the log normalisers

  Stats() = default;
  Stats(int k, Index d, Index r, Index m)
      : xx(static_cast<std::size_t>(k), MatrixXd::Zero(d + 1, d + 1)),
        wy(static_cast<std::size_t>(k), MatrixXd::Zero(r + m, r + m)),
        rows_y(static_cast<std::size_t>(k), 0.0) {}

  double rows(int k) const { return xx[static_cast<std::size_t>(k)](0, 0); }
  Stats& operator+=(const Stats& other) {
    for (std::size_t k = 0; k < xx.size(); ++k) {
      xx[k] += other.xx[k];
      wy[k] += other.wy[k];
      rows_y[k] += other.rows_y[k];
    }
    total += other.total;
    return *this;
  }
  void mirror() {  // sums are taken in the upper triangle
    for (auto* group : {&xx, &wy}) {
      for (MatrixXd& a : *group) {
        a.triangularView<Eigen::StrictlyLower>() = a.transpose().eval();
      }
    }
  }
};

// Rows of a pattern under one component, one a column.
struct Filled {
  MatrixXd d, e, w;  // e without rows where no response is seen
};

// The missing values of a pattern under one component: u = (x_missing - mean, residual of
// y_missing) is Gaussian given what is seen, with a precision that the rows share.
//   d = d0 + to_x u,  e = e0 + to_y u,  w = w0 + to_w u
struct Completion {
  MatrixXd to_x, to_y, to_w, precision, cov, cov_factor;
  MatrixXd gain_d, gain_e, gain_w;  // u^ = gain_d d0 + gain_e e0 + gain_w w0
  MatrixXd px, py, pw;              // precisions of d, e and w
  VectorXd w_shift;                 // what mean - centre adds to w
  double constant = 0.0;
  double weight = 0.0;  // responsibilities that passed through

  Completion(const Data& data, const Pattern& p, const Kernel& kernel) {
    const auto& xm = p.x_missing;
    const Index m = p.has_y ? data.m() : 0, mx = static_cast<Index>(xm.size());
    const Index my = p.has_y ? static_cast<Index>(p.y_missing.size()) : 0, u = mx + my;
    to_x = MatrixXd::Zero(data.d(), u);
    to_y = MatrixXd::Zero(m, u);
    to_w = MatrixXd::Zero(data.r(), u);
    w_shift = VectorXd::Zero(data.r());
    for (Index j = 0; j < mx; ++j) {
      const int column = xm[static_cast<std::size_t>(j)];
      to_x(column, j) = 1.0;
      to_w.col(j) = data.slope.col(column);
      w_shift += data.slope.col(column) * kernel.mean[column];
      if (m > 0) to_y.col(j) = -kernel.coef.transpose() * data.slope.col(column);
    }
    for (Index j = 0; j < my; ++j) {
      const int row = p.y_missing[static_cast<std::size_t>(j)];
      to_y.row(row).setZero();
      to_y(row, mx + j) = 1.0;
    }
    px = kernel.white_x.transpose() * kernel.white_x;
    precision = to_x.transpose() * px * to_x;
    constant = kernel.constant_x;
    if (m > 0) {
      py = kernel.white_y.transpose() * kernel.white_y;
      precision += to_y.transpose() * py * to_y;
      constant += kernel.constant_y;
      if (kernel.white_w.size() > 0) {
        pw = double(m) * kernel.white_w.transpose() * kernel.white_w;
        precision += to_w.transpose() * pw * to_w;
      }
    }
    const Eigen::LLT<MatrixXd> llt(precision);
    cov = llt.solve(MatrixXd::Identity(u, u));
    cov_factor = llt.matrixU().solve(MatrixXd::Identity(u, u));
    const MatrixXd lower = llt.matrixL();
    constant += 0.5 * double(u) * kLog2Pi - lower.diagonal().array().log().sum();
    gain_d = -cov * to_x.transpose() * px;
    gain_e = m > 0 ? MatrixXd(-cov * to_y.transpose() * py) : MatrixXd::Zero(u, 0);
    gain_w = pw.size() > 0 ? MatrixXd(-cov * to_w.transpose() * pw) : MatrixXd::Zero(u, data.r());
  }

  // Completes the rows in place (the mode of u) and returns their scores.
  VectorXd complete(Filled& f) const {
    Eigen::RowVectorXd q = f.d.cwiseProduct(px * f.d).colwise().sum();
    MatrixXd u = gain_d * f.d + gain_w * f.w;
    if (f.e.rows() > 0) {
      q += f.e.cwiseProduct(py * f.e).colwise().sum();
      u += gain_e * f.e;
    }
    if (pw.size() > 0) q += f.w.cwiseProduct(pw * f.w).colwise().sum();
    q -= u.cwiseProduct(precision * u).colwise().sum();
    shift(u, f);
    return constant - 0.5 * q.transpose().array();
  }
  void shift(const MatrixXd& u, Filled& f) const {
    f.d += to_x * u;
    if (f.e.rows() > 0) f.e += to_y * u;
    f.w += to_w * u;
  }
};

// Rows with their gaps at zero: what Completion::complete() starts from.
inline Filled open_rows(const Data& data, const Kernel& kernel, const Completion& completion,
                        const Pattern& p, Index first, Index size) {
  Filled out;
  out.d = data.x.middleRows(first, size).transpose().colwise() - kernel.mean;
  for (int j : p.x_missing) out.d.row(j).setZero();
  out.w = data.w.middleRows(first, size).transpose().colwise() + completion.w_shift;
  if (!p.has_y) return out;
  out.e = data.y.middleRows(first, size).transpose() - kernel.coef.transpose() * out.w;
  for (int j : p.y_missing) out.e.row(j).setZero();
  return out;
}

}  // namespace cwm
}  // namespace mixology
