// The loop that EM and variational Bayes share: sweep, extrapolate, trace, stop.
//
// A model M is what the engines iterate. It supplies
//   M::State   everything that changes: parameters, and per-item quantities where it keeps them
//   M::Stats   sums over items (expected sufficient statistics), with operator+=
//   Index items() const, Index chunk() const      the local update may be cut into such chunks
//   Stats update_local(State&, Range) const       E step: q of the items given the parameters
//   void update_global(State&, const Stats&) const    M step: parameters given the sums
//   double objective(const State&, const Stats&) const   log likelihood or bound after a local update
//   VectorXd parameters(const State&) const, void set_parameters(State&, const VectorXd&) const
//              unconstrained parameters for the extrapolation; none (size 0) means no acceleration
//   Archive save(const State&) const, State load(const Archive&) const
// and for the Gibbs engine what gibbs.h asks. update_local may write to the items of its range in
// State and to nothing else.
#pragma once

#include <cmath>
#include <cstdio>

#include "core/options.h"
#include "core/parallel.h"
#include "core/trace.h"

namespace mixology {

// Rounding may move the objective by this much of its size; more than that is a fall.
constexpr double kFallTolerance = 1e-9;

template <class Model>
class Ascent {
 public:
  using State = typename Model::State;
  using Stats = typename Model::Stats;

  Ascent(const Model& model, State& state, const AscentOptions& options, Executor& executor,
         Monitor& monitor)
      : model_(model), state_(state), options_(options), executor_(executor), monitor_(monitor) {}

  // Climbs from `state`, which ends at the last accepted point. `first` numbers the sweeps of a
  // resumed fit on from where it stopped.
  Trace run(int first = 0) {
    iteration_ = first;
    last_ = first + options_.max_iterations;
    stats_ = local(state_);
    value_ = model_.objective(state_, stats_);
    trace_.record(iteration_, value_);
    if (!std::isfinite(value_)) trace_.end(Status::not_finite, "the objective is not finite");
    if (trace_.status == Status::running) check_limits();
    while (trace_.status == Status::running) cycle();
    return trace_;
  }

  // The sums of the last local update, made at the final parameters.
  const Stats& stats() const { return stats_; }

 private:
  Stats local(State& state) {
    return chunked_sum<Stats>(model_.items(), model_.chunk(), executor_,
                              [&](Range range) { return model_.update_local(state, range); });
  }

  // Two plain sweeps and, with acceleration, one extrapolation through them (SQUAREM scheme S3 of
  // Varadhan & Roland 2008, Scand. J. Stat. 35:335), kept only if the objective rises.
  void cycle() {
    const VectorXd theta0 = model_.parameters(state_);
    if (!sweep(theta0)) return;
    const VectorXd theta1 = model_.parameters(state_);
    if (!sweep(theta1)) return;
    if (options_.accelerate && theta0.size() > 0) {
      extrapolate(theta0, theta1, model_.parameters(state_));
    }
  }

  bool sweep(const VectorXd& before) {
    model_.update_global(state_, stats_);
    stats_ = local(state_);
    const double old_value = value_;
    value_ = model_.objective(state_, stats_);
    trace_.record(++iteration_, value_);
    judge(value_ - old_value, before);
    return trace_.status == Status::running;
  }

  void extrapolate(const VectorXd& theta0, const VectorXd& theta1, const VectorXd& theta2) {
    const VectorXd r = theta1 - theta0;
    const VectorXd v = theta2 - theta1 - r;
    const double step = -r.norm() / v.norm();
    if (!(step < -1.0) || !std::isfinite(step)) return;  // -1 is the plain step
    State trial = state_;
    model_.set_parameters(trial, theta0 - 2.0 * step * r + step * step * v);
    Stats trial_stats = local(trial);
    const double trial_value = model_.objective(trial, trial_stats);
    ++iteration_;  // an extrapolation costs a sweep, taken or not
    if (trial_value >= value_) {  // false also when the trial is not a number
      state_ = std::move(trial);
      stats_ = std::move(trial_stats);
      value_ = trial_value;
      trace_.record(iteration_, value_);
    }
    check_limits();
  }

  void judge(double gain, const VectorXd& before) {
    const double scale = std::abs(value_) + 1.0;
    if (!std::isfinite(value_)) {
      trace_.end(Status::not_finite, "the objective is not finite");
    } else if (gain < -kFallTolerance * scale) {
      trace_.end(Status::objective_fell, text("the objective fell by %.3g", -gain));
    } else if (std::abs(gain) <= options_.tolerance * scale) {
      trace_.end(Status::converged, text("relative change of the objective %.2g", gain / scale));
    } else if (parameter_change(before) <= options_.parameter_tolerance) {
      trace_.end(Status::converged, text("no parameter moved; the objective gained %.2g", gain));
    } else {
      check_limits();
    }
  }

  double parameter_change(const VectorXd& before) const {
    if (before.size() == 0) return HUGE_VAL;
    const VectorXd now = model_.parameters(state_);
    return ((now - before).array().abs() / (1.0 + before.array().abs())).maxCoeff();
  }

  void check_limits() {
    const Action action = monitor_.tick(iteration_, value_);
    if (action == Action::checkpoint) monitor_.checkpoint(iteration_, model_.save(state_));
    if (action == Action::stop) {
      trace_.end(stopped_status(monitor_.reason()), "stopped before it converged");
    } else if (iteration_ >= last_) {
      trace_.end(Status::max_iterations, "the iterations ran out before it converged");
    }
  }

  static std::string text(const char* format, double value) {
    char buffer[96];
    std::snprintf(buffer, sizeof buffer, format, value);
    return buffer;
  }

  const Model& model_;
  State& state_;
  const AscentOptions& options_;
  Executor& executor_;
  Monitor& monitor_;
  Trace trace_;
  Stats stats_;
  double value_ = 0.0;
  int iteration_ = 0;
  int last_ = 0;
};

}  // namespace mixology
