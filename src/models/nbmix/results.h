// What the fits of one gene are asked for, and what they give back.
#pragma once

#include <string>
#include <vector>

#include "engine/ascent.h"
#include "engine/multistart.h"
#include "models/nbmix/component.h"

namespace mixology {

enum class Criterion { bic, icl, aic };

struct NbmixOptions {
  EmOptions em;
  std::vector<int> k = {1};
  bool zero_inflated = false;
  bool cox_reid = false;
  Criterion criterion = Criterion::bic;
  std::uint64_t seed = 0;
  // Where to begin instead: nothing, a state for all genes (with the engine's progress when
  // resumed), or one for each gene from first_item on, some of them empty.
  std::vector<Archive> starts;
  std::uint64_t first_item = 0;

  const Archive& start(std::uint64_t item) const {
    static const Archive none;
    if (starts.empty()) return none;
    return starts.size() == 1 ? starts[0] : starts.at(item - first_item);
  }
};

enum class GeneStatus { ok, all_zero, one_value, too_few_cells, invalid, not_converged, stopped };

inline const char* gene_status_name(GeneStatus status) {
  switch (status) {
    case GeneStatus::ok:
      return "ok";
    case GeneStatus::all_zero:
      return "all_zero";
    case GeneStatus::one_value:
      return "one_value";
    case GeneStatus::too_few_cells:
      return "too_few_cells";
    case GeneStatus::invalid:
      return "invalid";
    case GeneStatus::not_converged:
      return "not_converged";
    case GeneStatus::stopped:
      return "stopped";
  }
  return "unknown";
}

// One K. Parts (components, and the point mass where there is one) are numbered by decreasing
// weight; the point mass has mean 0.
struct NbmixFit {
  int k = 0;
  int df = 0;
  VectorXd weight, mean, dispersion;
  MatrixXd covariance;  // of (weights, means, dispersions); NaN where there is none
  double log_likelihood = kNaN;
  double entropy = kNaN;
  double evidence = kNaN;  // variational: what the choice of K compares
  Trace trace;
  StartsReport starts;
  bool exact_zeros = false;  // the quadrature was not good enough here
  Archive state;             // of the climb, to go on from

  double criterion(Criterion which, double n) const {
    const double deviance = -2.0 * log_likelihood;
    if (which == Criterion::aic) return deviance + 2.0 * df;
    const double bic = deviance + df * std::log(n);
    return which == Criterion::bic ? bic : bic + 2.0 * entropy;
  }
};

// Adds to the saved state what a resumed climb needs of the engine.
inline void remember(NbmixFit& fit, const AscentProgress& progress) {
  fit.state.put("iteration", static_cast<double>(progress.iteration));
  if (fit.trace.converged()) fit.state.put("converged", fit.trace.last());
  for (const auto& item : progress.memory.items()) fit.state.add(item.first, item.second);
}

struct GeneFit {
  GeneStatus status = GeneStatus::ok;
  std::string message;
  std::vector<NbmixFit> fits;  // one per K tried
  int chosen = 0;
};

}  // namespace mixology
