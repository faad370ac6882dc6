// Components whose regression has no noise left: is it the data that have none, or did a few rows
// that happen to lie on a line catch a component?
//
// A likelihood is unbounded where a component fits some rows exactly, so such a component always
// looks good. It is believed when it fits many more distinct rows than it has parameters, and
// either almost all rows are fitted exactly by some component (data without noise) or its rows
// are different from each other (values on a coarse grid fall on lines again and again).
#pragma once

#include <unordered_set>

#include "models/cwm/kernel.h"

namespace mixology {
namespace cwm {

struct ExactRows {
  double rows = 0.0, distinct = 0.0;
};

namespace detail {

inline std::uint64_t mix(std::uint64_t key, double value) {  // one billionth of a unit counts
  key ^= static_cast<std::uint64_t>(std::llround(std::max(-4e9, std::min(4e9, value)) * 1e9));
  key *= 0x9e3779b97f4a7c15ULL;
  return key ^ (key >> 29);
}

}  // namespace detail

// Rows with all responses that lie within ten standard deviations of the component's regression.
inline ExactRows exact_rows(const Data& data, const Kernel& kernel) {
  ExactRows out;
  std::unordered_set<std::uint64_t> seen;
  const double limit = 100.0 * static_cast<double>(data.m());
  for (const Pattern& p : data.patterns) {
    if (!p.has_y || !p.plain() || !p.y_missing.empty()) continue;
    for (Index i = p.rows.begin; i < p.rows.end; ++i) {
      const VectorXd e = data.y.row(i) - data.w.row(i) * kernel.coef;
      if ((kernel.white_y * e).squaredNorm() > limit) continue;
      std::uint64_t key = 1;
      for (Index j = 0; j < data.r(); ++j) key = detail::mix(key, data.w(i, j));
      for (Index j = 0; j < data.m(); ++j) key = detail::mix(key, data.y(i, j));
      seen.insert(key);
      out.rows += 1.0;
    }
  }
  out.distinct = static_cast<double>(seen.size());
  return out;
}

// `at_floor`: which components have no noise left. True where that is not to be believed.
inline std::vector<bool> spurious_regressions(const Data& data, const std::vector<Kernel>& kernels,
                                              const std::vector<bool>& at_floor) {
  std::vector<ExactRows> exact(kernels.size());
  double covered = 0.0, seen = 0.0;
  for (const Pattern& p : data.patterns) {
    if (p.has_y && p.y_missing.empty()) seen += static_cast<double>(p.rows.size());
  }
  for (std::size_t k = 0; k < kernels.size(); ++k) {
    if (at_floor[k]) exact[k] = exact_rows(data, kernels[k]);
    covered += exact[k].rows;
  }
  const double parameters = static_cast<double>(data.r() + data.m());
  std::vector<bool> out(kernels.size(), false);
  for (std::size_t k = 0; k < kernels.size(); ++k) {
    if (!at_floor[k]) continue;
    const bool many = exact[k].distinct > 2.0 * parameters;
    const bool all = covered >= 0.9 * seen;
    const bool different =
        exact[k].distinct > 10.0 * parameters && 2.0 * exact[k].distinct >= exact[k].rows;
    out[k] = !(many && (all || different));
  }
  return out;
}

}  // namespace cwm
}  // namespace mixology
