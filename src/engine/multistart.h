// Several starts: each gets a short run, the best goes on. The answer depends on the order of the
// starts (ties go to the earlier) and not on the number of threads.
#pragma once

#include <cmath>
#include <limits>
#include <vector>

#include "engine/ascent.h"

namespace mixology {

struct StartsReport {
  std::vector<double> objective;  // after the short run; -inf for a start that failed
  int chosen = 0;
};

// Replaces `starts` by where their short runs end and says which is best.
template <class Model>
StartsReport short_runs(const Model& model, std::vector<typename Model::State>& starts,
                        AscentOptions options, Executor& executor, Monitor& monitor) {
  StartsReport report;
  report.objective.assign(starts.size(), -std::numeric_limits<double>::infinity());
  options.max_iterations = options.short_iterations;
  executor.run(
      static_cast<Index>(starts.size()),
      [&](Index i) {
        Executor serial;
        const auto slot = static_cast<std::size_t>(i);
        Trace trace = Ascent<Model>(model, starts[slot], options, serial, monitor).run();
        if (std::isfinite(trace.last())) report.objective[slot] = trace.last();
      },
      monitor);
  for (std::size_t i = 1; i < starts.size(); ++i) {
    if (report.objective[i] > report.objective[static_cast<std::size_t>(report.chosen)]) {
      report.chosen = static_cast<int>(i);
    }
  }
  return report;
}

}  // namespace mixology
