// Several starts: each gets a short run, the best goes on. The answer depends on the order of the
// starts (ties go to the earlier) and not on the number of threads.
//
// A model may supply `bool degenerate(const State&) const`: a state whose objective says nothing
// (a component on a single point). Such a state is taken only when there is no other. It may also
// supply `double merit(const State&, const Stats&, double objective) const`: what starts are compared
// by where the objective compares local maxima badly; a merit that is not a number leaves it. And it
// may supply `void forget(State&) const`: drops what the first local update of a climb makes anew, so
// that starts that wait for the others take no room.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <type_traits>
#include <utility>
#include <vector>

#include "engine/ascent.h"

namespace mixology {

struct StartsReport {
  std::vector<double> objective;  // or merit, after the short run; -inf for a start that failed
  std::vector<bool> degenerate;
  int chosen = 0;
  bool complete = true;  // false: stopped before every start had its short run
};

template <class Model, class = void>
struct has_degenerate : std::false_type {};
template <class Model>
struct has_degenerate<Model, std::void_t<decltype(std::declval<const Model&>().degenerate(
                                 std::declval<const typename Model::State&>()))>> : std::true_type {
};

template <class Model, class = void>
struct has_merit : std::false_type {};
template <class Model>
struct has_merit<Model, std::void_t<decltype(std::declval<const Model&>().merit(
                            std::declval<const typename Model::State&>(),
                            std::declval<const typename Model::Stats&>(), 0.0))>> : std::true_type {
};

template <class Model, class = void>
struct has_forget : std::false_type {};
template <class Model>
struct has_forget<Model, std::void_t<decltype(std::declval<const Model&>().forget(
                             std::declval<typename Model::State&>()))>> : std::true_type {};

template <class Model>
double start_merit(const Model& model, const typename Model::State& state,
                   const typename Model::Stats& stats, double objective) {
  if constexpr (has_merit<Model>::value) {
    const double merit = model.merit(state, stats, objective);
    if (std::isfinite(merit)) return merit;
  }
  return objective;
}

template <class Model>
bool is_degenerate(const Model& model, const typename Model::State& state) {
  if constexpr (has_degenerate<Model>::value) return model.degenerate(state);
  return false;
}

// The starts from best to worst.
inline std::vector<int> ranking(const StartsReport& report) {
  std::vector<int> order(report.objective.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int a, int b) {
    const auto i = static_cast<std::size_t>(a), j = static_cast<std::size_t>(b);
    if (report.degenerate[i] != report.degenerate[j]) return bool(report.degenerate[j]);
    return report.objective[i] > report.objective[j];
  });
  return order;
}

// Where a start's short run ended.
struct ShortRun {
  Trace trace;
  AscentProgress progress;
};

// Replaces `starts` by where their short runs end and says which is best.
template <class Model>
StartsReport short_runs(const Model& model, std::vector<typename Model::State>& starts,
                        AscentOptions options, Executor& executor, Monitor& monitor,
                        std::vector<ShortRun>* runs = nullptr) {
  StartsReport report;
  report.objective.assign(starts.size(), -std::numeric_limits<double>::infinity());
  std::vector<char> degenerate(starts.size(), 0);  // not vector<bool>: written by several threads
  std::vector<ShortRun> ended(starts.size());
  options.max_iterations = options.short_iterations;
  executor.run(
      static_cast<Index>(starts.size()),
      [&](Index i) {
        Executor serial;
        const auto slot = static_cast<std::size_t>(i);
        ShortRun& end = ended[slot];
        Ascent<Model> climb(model, starts[slot], options, serial, monitor);
        end.trace = climb.run(&end.progress, false);
        if (std::isfinite(end.trace.last())) {
          report.objective[slot] =
              start_merit(model, starts[slot], climb.stats(), end.trace.last());
        }
        degenerate[slot] = is_degenerate(model, starts[slot]);
        if constexpr (has_forget<Model>::value) model.forget(starts[slot]);
      },
      monitor);
  report.degenerate.assign(degenerate.begin(), degenerate.end());
  report.chosen = ranking(report).front();
  report.complete = !monitor.stopped();
  if (runs != nullptr) *runs = std::move(ended);
  return report;
}

// Rounds of short runs: after each, the best third goes on, for three times as many sweeps, until
// one is left. `starts` holds where each got to.
template <class Model>
StartsReport run_off(const Model& model, std::vector<typename Model::State>& starts,
                     AscentOptions options, Executor& executor, Monitor& monitor) {
  StartsReport report;
  report.objective.assign(starts.size(), -std::numeric_limits<double>::infinity());
  report.degenerate.assign(starts.size(), false);
  std::vector<std::size_t> alive(starts.size());
  std::iota(alive.begin(), alive.end(), std::size_t{0});
  while (!monitor.stopped()) {
    std::vector<typename Model::State> some;
    for (std::size_t i : alive) some.push_back(std::move(starts[i]));
    const StartsReport round = short_runs(model, some, options, executor, monitor);
    for (std::size_t i = 0; i < alive.size(); ++i) {
      starts[alive[i]] = std::move(some[i]);
      report.objective[alive[i]] = round.objective[i];
      report.degenerate[alive[i]] = round.degenerate[i];
    }
    report.chosen = static_cast<int>(alive[static_cast<std::size_t>(round.chosen)]);
    if (alive.size() == 1) break;
    const std::vector<int> order = ranking(round);
    std::vector<std::size_t> kept;
    for (std::size_t i = 0; i < (alive.size() + 2) / 3; ++i) {
      kept.push_back(alive[static_cast<std::size_t>(order[i])]);
    }
    if (kept.size() == 1) break;
    alive = std::move(kept);
    options.short_iterations *= 3;
  }
  return report;
}

// Goes on from a short run for the sweeps that are left, as one climb with one trace.
template <class Model>
Trace climb_on(const Model& model, typename Model::State& state, AscentOptions options,
               Executor& executor, Monitor& monitor, ShortRun run, AscentProgress& progress) {
  progress = std::move(run.progress);
  if (run.trace.iteration.empty() || run.trace.status != Status::max_iterations) {
    if (!run.trace.iteration.empty()) return run.trace;
    return Ascent<Model>(model, state, options, executor, monitor).run(&progress);
  }
  options.max_iterations -= options.short_iterations;
  Trace rest = Ascent<Model>(model, state, options, executor, monitor).run(&progress);
  const double before = run.trace.seconds.back();
  for (std::size_t i = 1; i < rest.iteration.size(); ++i) {
    run.trace.iteration.push_back(rest.iteration[i]);
    run.trace.value.push_back(rest.value[i]);
    run.trace.seconds.push_back(before + rest.seconds[i]);
  }
  run.trace.end(rest.status, rest.reason);
  run.trace.reached = rest.reached;
  return run.trace;
}

// Short runs, then the whole climb from the best start, or from the next best (four at most) when
// that one ends degenerate. The chosen start's slot holds the final state.
template <class Model>
Trace climb_from_starts(const Model& model, std::vector<typename Model::State>& starts,
                        const AscentOptions& options, Executor& executor, Monitor& monitor,
                        StartsReport& report, AscentProgress& progress) {
  monitor.tick(0, 0.0);  // short runs end sooner than a poll would notice that time is up
  std::vector<ShortRun> runs(starts.size());
  // With fewer sweeps than a short run has, the chosen start climbs anew from where it began.
  const bool anew = options.max_iterations <= options.short_iterations;
  const std::vector<typename Model::State> begun =
      anew ? starts : std::vector<typename Model::State>();
  if (starts.size() == 1) {
    report.objective.assign(1, -std::numeric_limits<double>::infinity());
    report.degenerate.assign(1, false);
  } else {
    report = short_runs(model, starts, options, executor, monitor, &runs);
    if (anew) runs.assign(starts.size(), ShortRun());
  }
  Trace best;
  const std::vector<int> order = ranking(report);
  for (std::size_t i = 0; i < std::min<std::size_t>(order.size(), 4); ++i) {
    const auto slot = static_cast<std::size_t>(order[i]);
    if (anew) starts[slot] = begun[slot];
    AscentProgress here;
    Trace trace = climb_on(model, starts[slot], options, executor, monitor, runs[slot], here);
    const bool good =
        !is_degenerate(model, starts[slot]) || monitor.stopped() || trace.status == Status::paused;
    if (good || i == 0) {  // the first stands when all are degenerate
      report.chosen = order[i];
      progress = std::move(here);
      best = std::move(trace);
    }
    if (good) break;
  }
  return best;
}

}  // namespace mixology
