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
// optionally
//   VectorXd own_step(const State&, const Stats&) const   a longer step in parameters() from the
//              point just evaluated, such as Newton's; tried before the extrapolation, kept if the
//              objective rises
//   double longest_step() const   the most by which an extrapolation may go beyond a plain sweep
// and for the Gibbs engine what gibbs.h asks. update_local may write to the items of its range in
// State and to nothing else. A model whose local update depends on what the last one left in State
// (coordinate ascent over the items) also supplies
//   void put_stats(Archive&, const Stats&) const, Stats get_stats(const Archive&) const
// so that a resumed fit need not repeat the last local update; its first local update counts as
// a sweep. A model whose objective is a small difference of large terms may supply
//   double rounding() const      how far rounding alone can move the objective; or, where that
//              depends on where the climb is, double rounding(const State&) const
// A model whose local update is one long loop may take a Monitor& as third argument of update_local
// and return early when its poll() says stop: the climb then goes back to where the sweep began. If
// that was the first sweep and it was long, Interrupted leaves the climb: there is no fit yet.
// A model whose objective has a size that says little (the density of measurements depends on their
// units) may supply
//   double objective_scale() const   what changes of the objective are small in comparison with
// and one whose objective is flat around its maximum
//   double movement(const State&, const Stats&) const   how far the last sweep moved, without units;
//              a climb has then converged only when this is within the parameter tolerance too
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <optional>
#include <type_traits>
#include <utility>

#include "core/archive.h"
#include "core/options.h"
#include "core/parallel.h"
#include "core/trace.h"

namespace mixology {

// Rounding may move the objective by this much of its size; more than that is a fall.
constexpr double kFallTolerance = 1e-9;
// Where the objective is flat a step may move far and change it by its last digits alone: points
// that differ by no more than this are as high as each other, so that rounding decides nothing.
constexpr double kTie = 1e-13;

// A step of the model's own that lowers the objective is tried again at a quarter of its length, this
// often.
constexpr int kStepTrials = 3;
// When all of them did, the next ones begin this much shorter, down to the shortest, which is
// followed by the whole step; one that rises takes it back. A curved valley needs short steps.
constexpr double kStepReach = 1.0 / 16.0;
constexpr double kShortestReach = 1.0 / 256.0;

// A sweep that follows one of more seconds than this is given up when the monitor says stop, and the
// climb goes back to where the sweep began: what that costs is little beside the sweep.
constexpr double kLongSweep = 0.25;

// A first sweep that is long can be left when the user interrupts it.
class FirstSweep : public Monitor {
 public:
  explicit FirstSweep(Monitor& outer) : outer_(outer) {}
  Action poll() override {
    if (clock_.elapsed() > kLongSweep) leave_if_interrupted(outer_);
    return Action::proceed;
  }

 private:
  Monitor& outer_;
  const Trace clock_;
};

// Where a climb stands beside its State: sweeps behind it, and the engine's own memory. Empty for
// a new climb; what a stopped climb leaves here makes the next one its exact continuation.
struct AscentProgress {
  int iteration = 0;
  Archive memory;
};

template <class Model, class = void>
struct has_stats_archive : std::false_type {};
template <class Model>
struct has_stats_archive<Model, std::void_t<decltype(std::declval<const Model&>().get_stats(
                                    std::declval<const Archive&>()))>> : std::true_type {};

template <class Model, class = void>
struct has_own_step : std::false_type {};
template <class Model>
struct has_own_step<Model, std::void_t<decltype(std::declval<const Model&>().own_step(
                               std::declval<const typename Model::State&>(),
                               std::declval<const typename Model::Stats&>()))>> : std::true_type {};

template <class Model, class = void>
struct has_rounding : std::false_type {};
template <class Model>
struct has_rounding<Model, std::void_t<decltype(std::declval<const Model&>().rounding())>>
    : std::true_type {};

template <class Model, class = void>
struct has_state_rounding : std::false_type {};
template <class Model>
struct has_state_rounding<Model, std::void_t<decltype(std::declval<const Model&>().rounding(
                                     std::declval<const typename Model::State&>()))>>
    : std::true_type {};

template <class Model, class = void>
struct has_scale : std::false_type {};
template <class Model>
struct has_scale<Model, std::void_t<decltype(std::declval<const Model&>().objective_scale())>>
    : std::true_type {};

template <class Model, class = void>
struct has_movement : std::false_type {};
template <class Model>
struct has_movement<Model, std::void_t<decltype(std::declval<const Model&>().movement(
                               std::declval<const typename Model::State&>(),
                               std::declval<const typename Model::Stats&>()))>> : std::true_type {};

template <class Model, class = void>
struct has_longest_step : std::false_type {};
template <class Model>
struct has_longest_step<Model, std::void_t<decltype(std::declval<const Model&>().longest_step())>>
    : std::true_type {};

template <class Model, class = void>
struct has_watched_update : std::false_type {};
template <class Model>
struct has_watched_update<
    Model, std::void_t<decltype(std::declval<const Model&>().update_local(
               std::declval<typename Model::State&>(), Range(), std::declval<Monitor&>()))>>
    : std::true_type {};

template <class Model>
class Ascent {
 public:
  using State = typename Model::State;
  using Stats = typename Model::Stats;

  Ascent(const Model& model, State& state, const AscentOptions& options, Executor& executor,
         Monitor& monitor)
      : model_(model), state_(state), options_(options), executor_(executor), monitor_(monitor) {}

  // Climbs from `state`, which ends at the last accepted point. A climb that others depend on, such
  // as one of several short runs, does not pause.
  Trace run(AscentProgress* progress = nullptr, bool may_pause = true) {
    may_pause_ = may_pause && progress != nullptr;
    begin(progress);
    while (trace_.status == Status::running) step();
    trace_.reached = iteration_;
    if (progress != nullptr) *progress = {iteration_, memory()};
    return trace_;
  }

  // The sums of the last local update, made at the final parameters.
  const Stats& stats() const { return stats_; }

 private:
  // When `watch` stopped it, `state` and the sums are half of something.
  Stats local(State& state, Monitor& watch) {
    const Trace clock;
    Stats sums =
        chunked_sum<Stats>(model_.items(), model_.chunk(), executor_, watch, [&](Range range) {
          if constexpr (has_watched_update<Model>::value) {
            return model_.update_local(state, range, watch);
          } else {
            return model_.update_local(state, range);
          }
        });
    seconds_ = clock.elapsed();
    return sums;
  }

  void begin(const AscentProgress* progress) {
    const bool resumed = progress != nullptr && progress->memory.has("position");
    if (progress != nullptr) iteration_ = progress->iteration;
    if (resumed) recall(progress->memory);
    last_ = iteration_ + options_.max_iterations;
    if (!resumed && has_stats_archive<Model>::value) ++iteration_;
    Monitor unstoppable;
    FirstSweep first(monitor_);
    Monitor& watch = has_watched_update<Model>::value ? first : unstoppable;
    if (!resumed || !has_stats_archive<Model>::value) stats_ = local(state_, watch);
    value_ = model_.objective(state_, stats_);
    trace_.record(iteration_, value_);
    if (!std::isfinite(value_)) {
      trace_.end(Status::not_finite, "the objective is not finite");
    } else if (monitor_.tick(iteration_, value_) == Action::stop) {
      stop();
    } else if (iteration_ >= last_) {
      check_limits();
    }
  }

  Archive memory() const {
    Archive archive;
    archive.put("position", static_cast<double>(position_));
    archive.put("reach", reach_);
    archive.put("theta0", theta0_);
    archive.put("theta1", theta1_);
    if constexpr (has_stats_archive<Model>::value) model_.put_stats(archive, stats_);
    return archive;
  }

  void recall(const Archive& archive) {
    position_ = static_cast<int>(archive.scalar("position"));
    if (archive.has("reach")) reach_ = archive.scalar("reach");
    theta0_ = archive.vector("theta0");
    theta1_ = archive.vector("theta1");
    if constexpr (has_stats_archive<Model>::value) stats_ = model_.get_stats(archive);
  }

  // A cycle: two plain sweeps and, with acceleration, a step of the model's own where it has one and
  // else an extrapolation through the sweeps (SQUAREM scheme S3 of Varadhan & Roland 2008, Scand. J.
  // Stat. 35:335). Either is kept only if the objective rises.
  void step() {
    const int position = position_;
    const double reach = reach_;
    advance();
    if (given_up_) position_ = position, reach_ = reach;
  }

  void advance() {
    if (position_ < 2) {
      VectorXd& before = position_ == 0 ? theta0_ : theta1_;
      before = model_.parameters(state_);
      ++position_;
      sweep(before);
    } else if (!options_.accelerate || theta0_.size() == 0) {
      position_ = 0;
    } else if (has_own_step<Model>::value && position_ < 2 + kStepTrials) {
      position_ = own_step(reach_ * std::pow(0.25, position_ - 2)) ? 0 : position_ + 1;
    } else {
      position_ = 0;
      reach_ = reach_ > kShortestReach ? reach_ * kStepReach : 1.0;
      extrapolate();
    }
  }

  void sweep(const VectorXd& before) {
    Monitor unstoppable;
    Watch watch(monitor_);
    std::optional<State> begun;
    if (seconds_ > kLongSweep) begun = state_;
    model_.update_global(state_, stats_);
    Stats sums = local(state_, begun ? watch : unstoppable);
    if (watch.stopped()) {
      state_ = std::move(*begun);
      return give_up();
    }
    stats_ = std::move(sums);
    const double old_value = value_;
    value_ = model_.objective(state_, stats_);
    trace_.record(++iteration_, value_);
    judge(value_ - old_value, before);
  }

  // The model's own step of the given length; true when it was taken.
  bool own_step(double length) {
    if constexpr (has_own_step<Model>::value) {
      const VectorXd theta = model_.parameters(state_);
      if (!try_point(theta + length * model_.own_step(state_, stats_))) return false;
      reach_ = std::min(length / kStepReach, 1.0);
      return true;
    }
    return false;
  }

  void extrapolate() {
    const VectorXd r = theta1_ - theta0_;
    const VectorXd v = model_.parameters(state_) - theta1_ - r;
    const double length = std::max(-r.norm() / v.norm(), -longest_step());
    if (!(length < -1.0) || !std::isfinite(length)) return;  // -1 is the plain step
    try_point(theta0_ - 2.0 * length * r + length * length * v);
  }

  double longest_step() const {
    if constexpr (has_longest_step<Model>::value) return model_.longest_step();
    return HUGE_VAL;
  }

  // Goes to `theta` if the objective is no lower there, but for rounding. Costs a sweep, taken or not.
  bool try_point(const VectorXd& theta) {
    State trial = state_;
    model_.set_parameters(trial, theta);
    Watch watch(monitor_);
    Stats trial_stats = local(trial, watch);
    if (watch.stopped()) {
      give_up();
      return false;
    }
    const double trial_value = model_.objective(trial, trial_stats);
    ++iteration_;
    const double tie = kTie * objective_scale(std::abs(value_) + 1.0) + rounding();
    const bool higher = trial_value >= value_ - tie;  // false also when the trial is not a number
    if (higher) {
      state_ = std::move(trial);
      stats_ = std::move(trial_stats);
      value_ = trial_value;
      trace_.record(iteration_, value_);
    }
    check_limits();
    return higher;
  }

  void judge(double gain, const VectorXd& before) {
    const double size = std::abs(value_) + 1.0;
    const double scale = objective_scale(size);
    if (!std::isfinite(value_)) {
      trace_.end(Status::not_finite, "the objective is not finite");
    } else if (gain < -kFallTolerance * size - rounding()) {
      trace_.end(Status::objective_fell, text("the objective fell by %.3g", -gain));
    } else if (settled() && std::abs(gain) <= options_.tolerance * scale + rounding()) {
      trace_.end(Status::converged, text("relative change of the objective %.2g", gain / scale));
    } else if (!has_stats_archive<Model>::value &&  // else q may move on without them
               parameter_change(before) <= options_.parameter_tolerance) {
      trace_.end(Status::converged, text("no parameter moved; the objective gained %.2g", gain));
    } else {
      check_limits();
    }
  }

  double rounding() const {
    if constexpr (has_rounding<Model>::value) return model_.rounding();
    if constexpr (has_state_rounding<Model>::value) return model_.rounding(state_);
    return 0.0;
  }

  double objective_scale(double size) const {
    if constexpr (has_scale<Model>::value) return model_.objective_scale();
    return size;
  }

  bool settled() const {
    if constexpr (has_movement<Model>::value) {
      return model_.movement(state_, stats_) <= options_.parameter_tolerance;
    }
    return true;
  }

  double parameter_change(const VectorXd& before) const {
    if (before.size() == 0) return HUGE_VAL;
    const VectorXd now = model_.parameters(state_);
    return ((now - before).array().abs() / (1.0 + before.array().abs())).maxCoeff();
  }

  void check_limits() {
    const Action action = monitor_.tick(iteration_, value_);
    if (action == Action::stop) {
      stop();
    } else if (iteration_ >= last_) {
      trace_.end(Status::max_iterations, "the iterations ran out before it converged");
    } else if (action == Action::pause && may_pause_) {
      trace_.end(Status::paused, "stopped to be saved");
    }
  }
  // The climb stands where the sweep that was stopped began, which a resumed one repeats.
  void give_up() {
    given_up_ = true;
    stop();
  }
  void stop() { trace_.end(stopped_status(monitor_.reason()), "stopped before it converged"); }

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
  VectorXd theta0_;   // parameters before the first and
  VectorXd theta1_;   // before the second sweep of the cycle
  int position_ = 0;  // what comes next: 0, 1 a plain sweep; 2 the own step; then the extrapolation
  double reach_ = 1.0;  // length of the next own step, 1 is all of it
  double value_ = 0.0;
  int iteration_ = 0;
  int last_ = 0;
  double seconds_ = 0.0;  // of the last local update
  bool may_pause_ = false;
  bool given_up_ = false;
};

}  // namespace mixology
