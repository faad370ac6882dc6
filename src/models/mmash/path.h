// Starting points along a penalised path. Coordinate ascent from B = 0 lets the first of many
// correlated SNPs take what belongs to others; the solutions of a group lasso,
//   min_B  1/2 tr[Sigma^-1 (Y - XB)'(Y - XB)] + lambda sum_p sqrt(d_p) |Sigma^-1/2 beta_p|,
// do not. One of a few of them is where the fit goes on. Each comes with the weights and the residual
// covariance that belong to it: a start that takes the whole variance of Y for noise loses most of
// its effects in the first sweeps.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "models/mmash.h"

namespace mixology {
namespace mmash {

struct PathOptions {
  double smallest = 0.01;   // of the penalty that sets every effect to 0
  double tolerance = 1e-3;  // largest change of an effect, in units of the penalty, that ends it
  int sweeps = 15;          // at most, for each penalty
};

class GroupLassoPath {
 public:
  GroupLassoPath(const Mmash& model, Mmash::State start, const PathOptions& options)
      : model_(model), state_(std::move(start)), options_(options) {
    state_.mixture->reserve(workspace_);
  }

  // The start itself and `count` solutions with smaller and smaller penalty, fewer when stopped.
  std::vector<Mmash::State> starts(int count, Monitor& monitor) {
    std::vector<Mmash::State> out{state_};
    if (model_.options().learn_residual) {
      model_.set_residual(state_, MatrixXd(state_.sigma.diagonal().asDiagonal()));
    }
    const double top = largest_penalty(monitor);
    if (!(top > 0.0)) return out;
    for (int i = 1; i <= count; ++i) {
      lambda_ = top * std::pow(options_.smallest, static_cast<double>(i) / count);
      for (int sweep = 0; sweep < options_.sweeps; ++sweep) {
        if (monitor.tick_batch(i - 1, count) == Action::stop) return out;
        if (descend(monitor) < options_.tolerance) break;
      }
      if (monitor.stopped()) return out;
      out.push_back(finished());
    }
    return out;
  }

 private:
  static constexpr double kOfStart = 0.01;  // keeps the residual covariance away from singular

  // The weight of the null is the share of effects that are zero.
  Mmash::State finished() const {
    Mmash::State out = state_;
    const Prior& prior = model_.prior();
    if (prior.null && model_.options().learn_weights) {
      const auto cols = static_cast<double>(model_.cols());
      double zeros = 1.0;
      for (Index p = 0; p < model_.cols(); ++p) zeros += out.mean.col(p).isZero(0.0) ? 1.0 : 0.0;
      const double others = static_cast<double>(prior.components() - 1);
      out.log_weights.setConstant(std::log((cols + 2.0 - zeros) / (cols + 2.0) / others));
      out.log_weights[0] = std::log(zeros / (cols + 2.0));
    }
    if (model_.options().learn_residual) {
      model_.set_residual(out, model_.plain_residual(out) + kOfStart * out.sigma);
    } else {
      model_.set_mixture(out);
    }
    return out;
  }

  double largest_penalty(Monitor& monitor) {
    double top = 0.0;
    Mmash::State at_zero = state_;
    model_.visit_all(
        at_zero, workspace_, monitor,
        [&](Index p, const Mixture&, const double* phi, double, Workspace& w) -> const VectorXd& {
          top = std::max(top, size(phi) / std::sqrt(model_.design().square(p)));
          w.mean = at_zero.mean.col(p);
          return w.mean;
        });
    return top;
  }

  // |Sigma^1/2 phi|
  double size(const double* phi) const {
    const Eigen::Map<const VectorXd> v(phi, model_.conditions());
    return std::sqrt(std::max(v.dot(state_.sigma * v), 0.0));
  }

  // Of the entries, over the residual standard deviations.
  double largest(const VectorXd& v) const {
    return (v.array().square() / state_.sigma.diagonal().array()).sqrt().maxCoeff();
  }

  double descend(Monitor& monitor) {
    double moved = 0.0;
    model_.visit_all(
        state_, workspace_, monitor,
        [&](Index p, const Mixture&, const double* phi, double, Workspace& w) -> const VectorXd& {
          const double d = model_.design().square(p);
          const double norm = size(phi);
          const double keep = 1.0 - lambda_ * std::sqrt(d) / norm;
          if (keep > 0.0) {
            w.mean =
                (keep / d) * (state_.sigma * Eigen::Map<const VectorXd>(phi, state_.sigma.rows()));
          } else {
            w.mean.setZero();
          }
          const VectorXd change = w.mean - state_.mean.col(p);
          moved = std::max(moved, largest(change) * std::sqrt(d) / lambda_);
          return w.mean;
        });
    return moved;
  }

  const Mmash& model_;
  Mmash::State state_;
  PathOptions options_;
  Workspace workspace_;
  double lambda_ = 0.0;
};

}  // namespace mmash
}  // namespace mixology
