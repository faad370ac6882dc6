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

// Two stretches of one climb as one trace; the second begins where the first ended.
inline Trace joined(Trace before, const Trace& rest) {
  const double seconds = before.seconds.back();
  for (std::size_t i = 1; i < rest.iteration.size(); ++i) {
    before.iteration.push_back(rest.iteration[i]);
    before.value.push_back(rest.value[i]);
    before.seconds.push_back(seconds + rest.seconds[i]);
  }
  before.end(rest.status, rest.reason);
  before.reached = rest.reached;
  return before;
}

// Goes on with `run` to `options.max_iterations` sweeps in all, unless it has ended before; `merit` is
// that of where it leads.
template <class Model>
void go_on(const Model& model, typename Model::State& state, AscentOptions options,
           Executor& executor, Monitor& monitor, bool may_pause, ShortRun& run,
           double* merit = nullptr) {
  const bool begun = !run.trace.iteration.empty();
  if (begun && run.trace.status != Status::max_iterations) return;
  if (begun) options.max_iterations -= run.progress.iteration;
  Ascent<Model> climb(model, state, options, executor, monitor);
  const Trace rest = climb.run(&run.progress, may_pause);
  run.trace = begun ? joined(std::move(run.trace), rest) : rest;
  if (merit == nullptr) return;
  *merit = std::isfinite(rest.last()) ? start_merit(model, state, climb.stats(), rest.last())
                                      : -std::numeric_limits<double>::infinity();
}

// Takes the starts at `slots` to `iterations` sweeps and reports what they are worth there.
template <class Model>
void run_round(const Model& model, std::vector<typename Model::State>& starts,
               const std::vector<int>& slots, AscentOptions options, int iterations,
               Executor& executor, Monitor& monitor, std::vector<ShortRun>& runs,
               StartsReport& report) {
  options.max_iterations = iterations;
  std::vector<char> degenerate(slots.size(), 0);  // not vector<bool>: written by several threads
  executor.run(
      static_cast<Index>(slots.size()),
      [&](Index i) {
        Executor serial;
        const auto slot = static_cast<std::size_t>(slots[static_cast<std::size_t>(i)]);
        go_on(model, starts[slot], options, serial, monitor, false, runs[slot],
              &report.objective[slot]);
        degenerate[static_cast<std::size_t>(i)] = is_degenerate(model, starts[slot]);
        if constexpr (has_forget<Model>::value) model.forget(starts[slot]);
      },
      monitor);
  for (std::size_t i = 0; i < slots.size(); ++i) {
    report.degenerate[static_cast<std::size_t>(slots[i])] = degenerate[i] != 0;
  }
  report.chosen = ranking(report).front();
  report.complete = !monitor.stopped();
}

// Replaces `starts` by where their short runs end and says which is best.
template <class Model>
StartsReport short_runs(const Model& model, std::vector<typename Model::State>& starts,
                        const AscentOptions& options, Executor& executor, Monitor& monitor,
                        std::vector<ShortRun>* runs = nullptr) {
  StartsReport report;
  report.objective.assign(starts.size(), -std::numeric_limits<double>::infinity());
  report.degenerate.assign(starts.size(), false);
  std::vector<ShortRun> ended(starts.size());
  std::vector<int> all(starts.size());
  std::iota(all.begin(), all.end(), 0);
  run_round(model, starts, all, options, options.short_iterations, executor, monitor, ended,
            report);
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

// What is ahead after a short run need not be at the end. Of this many starts the best fifth goes on
// to three times the length before one is chosen.
constexpr std::size_t kManyStarts = 20;

// Short runs, then the whole climb from the best start, or from the next best (four at most) when
// that one ends degenerate. The chosen start's slot holds the final state.
template <class Model>
Trace climb_from_starts(const Model& model, std::vector<typename Model::State>& starts,
                        const AscentOptions& options, Executor& executor, Monitor& monitor,
                        StartsReport& report, AscentProgress& progress) {
  monitor.tick(0, 0.0);  // short runs end sooner than a poll would notice that time is up
  std::vector<ShortRun> runs(starts.size());
  const bool many = starts.size() >= kManyStarts;
  const int longest = (many ? 3 : 1) * options.short_iterations;
  // With fewer sweeps than short runs have, the chosen start climbs anew from where it began.
  const bool anew = options.max_iterations <= longest;
  const std::vector<typename Model::State> begun =
      anew ? starts : std::vector<typename Model::State>();
  if (starts.size() == 1) {
    report.objective.assign(1, -std::numeric_limits<double>::infinity());
    report.degenerate.assign(1, false);
  } else {
    report = short_runs(model, starts, options, executor, monitor, &runs);
    if (many && !monitor.stopped()) {
      std::vector<int> best = ranking(report);
      best.resize(starts.size() / 5);
      run_round(model, starts, best, options, longest, executor, monitor, runs, report);
    }
    if (anew) runs.assign(starts.size(), ShortRun());
  }
  Trace best;
  const std::vector<int> order = ranking(report);
  for (std::size_t i = 0; i < std::min<std::size_t>(order.size(), 4); ++i) {
    const auto slot = static_cast<std::size_t>(order[i]);
    if (anew) starts[slot] = begun[slot];
    go_on(model, starts[slot], options, executor, monitor, true, runs[slot]);
    const Trace& trace = runs[slot].trace;
    const bool good =
        !is_degenerate(model, starts[slot]) || monitor.stopped() || trace.status == Status::paused;
    if (good || i == 0) {  // the first stands when all are degenerate
      report.chosen = order[i];
      progress = runs[slot].progress;
      best = trace;
    }
    if (good) break;
  }
  return best;
}

}  // namespace mixology
