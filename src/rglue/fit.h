// What every fitted model hands back to R in the same form: the trace and the chains.
#pragma once

#include <Rcpp.h>

#include "core/trace.h"
#include "engine/ascent.h"
#include "engine/gibbs.h"
#include "engine/multistart.h"
#include "rglue/archive.h"

namespace mixology {

inline Rcpp::List to_list(const Trace& trace) {
  using Rcpp::Named;
  return Rcpp::List::create(
      Named("iter") = Rcpp::wrap(trace.iteration), Named("value") = Rcpp::wrap(trace.value),
      Named("seconds") = Rcpp::wrap(trace.seconds), Named("status") = status_name(trace.status),
      Named("reason") = trace.reason, Named("converged") = trace.converged(),
      Named("iterations") = trace.iterations());
}

inline Rcpp::List to_list(const StartsReport& starts) {
  return Rcpp::List::create(Rcpp::Named("objective") = Rcpp::wrap(starts.objective),
                            Rcpp::Named("chosen") = starts.chosen + 1,
                            Rcpp::Named("complete") = starts.complete);
}

// What resume() needs beside the model's state; an empty list is a new climb.
inline Rcpp::List to_list(const AscentProgress& progress) {
  return Rcpp::List::create(Rcpp::Named("iteration") = progress.iteration,
                            Rcpp::Named("memory") = to_list(progress.memory));
}

inline AscentProgress to_progress(const Rcpp::List& list) {
  AscentProgress progress;
  if (list.size() == 0) return progress;
  progress.iteration = Rcpp::as<int>(list["iteration"]);
  progress.memory = to_archive(list["memory"]);
  return progress;
}

// draws: kept sweeps x parameters; labels: items x kept sweeps, as bytes counted from 0.
template <class Model>
Rcpp::List to_list(const Model& model, const Chain<typename Model::State>& chain) {
  const int kept = static_cast<int>(chain.draws.size());
  const int columns = kept == 0 ? 0 : static_cast<int>(chain.draws.front().size());
  Rcpp::NumericMatrix draws(kept, columns);
  for (int i = 0; i < kept; ++i) {
    for (int j = 0; j < columns; ++j) draws(i, j) = chain.draws[static_cast<std::size_t>(i)][j];
  }
  Rcpp::List out =
      Rcpp::List::create(Rcpp::Named("draws") = draws, Rcpp::Named("iteration") = chain.iteration,
                         Rcpp::Named("state") = to_list(model.save(chain.state)));
  if (!chain.labels.empty()) {
    const auto items = chain.labels.front().size();
    Rcpp::RawMatrix labels(static_cast<int>(items), kept);
    for (int i = 0; i < kept; ++i) {
      const auto& sweep = chain.labels[static_cast<std::size_t>(i)];
      std::copy(sweep.begin(), sweep.end(), labels.begin() + static_cast<R_xlen_t>(i) * items);
    }
    out["labels"] = labels;
  }
  return out;
}

}  // namespace mixology
