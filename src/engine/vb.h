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

}  // namespace mixology
