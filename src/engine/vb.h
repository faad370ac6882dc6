// Coordinate-ascent variational Bayes: the objective is the evidence lower bound, taken after the
// local update, when every factor of q is at its optimum given the others.
#pragma once

#include "engine/ascent.h"

namespace mixology {

template <class Model>
Trace run_vb(const Model& model, typename Model::State& state, const VbOptions& options,
             Executor& executor, Monitor& monitor, AscentProgress* progress = nullptr) {
  return Ascent<Model>(model, state, options, executor, monitor).run(progress);
}

// Coordinate ascent ends in local optima with components that one would do. A model may therefore
// supply `std::vector<State> proposals(const State&, const Stats&) const`: states to climb from
// once a climb has converged. One that ends higher is taken, and the search begins again.
template <class Model>
void try_proposals(const Model& model, typename Model::State& state, const VbOptions& options,
                   Executor& executor, Monitor& monitor, Trace& trace) {
  VbOptions once = options;
  once.max_iterations = 1;
  bool better = true;
  for (int round = 0; better && trace.converged() && round < 100; ++round) {
    better = false;
    typename Model::State here = state;
    Executor& inner = executor;
    Ascent<Model> at(model, here, once, inner, monitor);
    at.run();
    for (typename Model::State& trial : model.proposals(here, at.stats())) {
      const Trace climb = Ascent<Model>(model, trial, options, executor, monitor).run();
      if (monitor.stopped()) return;
      const double margin = options.tolerance * (std::abs(trace.last()) + 1.0);
      if (!climb.converged() || climb.last() <= trace.last() + margin) continue;
      state = std::move(trial);
      trace.record(trace.iterations() + climb.iterations(), climb.last());
      trace.end(climb.status, climb.reason + ", after merging components");
      better = true;
      break;
    }
  }
}

}  // namespace mixology
