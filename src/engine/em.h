// Expectation-maximisation: the objective is the log likelihood (or log posterior).
#pragma once

#include "engine/ascent.h"

namespace mixology {

template <class Model>
Trace run_em(const Model& model, typename Model::State& state, const EmOptions& options,
             Executor& executor, Monitor& monitor, AscentProgress* progress = nullptr) {
  return Ascent<Model>(model, state, options, executor, monitor).run(progress);
}

}  // namespace mixology
