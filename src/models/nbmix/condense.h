// Short runs on condensed counts: neighbouring large counts put together, as a likelihood that is as
// good for telling starts apart and costs a fraction.
#pragma once

#include <algorithm>
#include <utility>
#include <vector>

#include "engine/em.h"
#include "engine/multistart.h"
#include "models/nbmix/em_model.h"

namespace mixology {

// A gene of one size factor with neighbouring large counts put together at their mean: a few hundred
// items that stand for any number of them. No group spans more than a twentieth of its counts or
// holds more than a 128th of the cells, so that neither a narrow mode nor a sparse tail is lost.
inline Gene condensed(const Gene& gene) {
  constexpr double kLeast = 32.0, kSpan = 1.05;
  const double most = gene.n / 128.0;
  Gene out = gene;
  out.item_count.clear(), out.item_weight.clear();
  std::vector<double> mean;
  double first = 0.0;
  for (Index i = 0; i < gene.items(); ++i) {
    const double x = gene.item_x(i);
    const double w = gene.item_weight[static_cast<std::size_t>(i)];
    if (first > kLeast && x <= kSpan * first && out.item_weight.back() + w <= most) {
      out.item_weight.back() += w;
      mean.back() += (x - mean.back()) * w / out.item_weight.back();
      continue;
    }
    first = x;
    out.item_count.push_back(static_cast<Index>(mean.size()));
    out.item_weight.push_back(w);
    mean.push_back(x);
  }
  out.first_item = {0, static_cast<Index>(mean.size())};
  out.table = RisingTable(std::move(mean));
  return out;
}

// Where the counts condense well, the short runs are made on condensed ones, and on all of them only
// two fifths of the sweeps. Returns what is left to be done.
inline EmOptions warm_up(const NbmixEm& model, std::vector<NbmixEm::State>& starts,
                         EmOptions options, Executor& executor, Monitor& monitor) {
  const Gene& gene = model.gene();
  const bool several = starts.size() > 1 && options.max_iterations > options.short_iterations;
  if (gene.sites() > 1 || !several) return options;
  const Gene coarse = condensed(gene);
  if (2 * coarse.items() > gene.items()) return options;
  const NbmixEm quick(coarse);
  std::vector<NbmixEm::State> walked;
  for (const NbmixEm::State& start : starts) walked.push_back(quick.init(start.mixture));
  short_runs(quick, walked, options, executor, monitor);
  for (std::size_t i = 0; i < starts.size(); ++i) starts[i] = model.init(walked[i].mixture);
  options.short_iterations = std::max(1, 2 * options.short_iterations / 5);
  return options;
}

}  // namespace mixology
