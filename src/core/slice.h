// Slice sampling of one variable: stepping out, then shrinking (Neal 2003, Annals of Statistics
// 31:705, figures 3 and 5). It leaves exp(log_density) invariant whatever the width.
#pragma once

#include <cmath>

#include "core/rng.h"

namespace mixology {

// The density at `from` must be positive; outside its support log_density gives -Inf. `width` may
// depend on anything but the variable itself.
template <class LogDensity>
double slice_sample(Rng& rng, double from, double width, LogDensity log_density) {
  constexpr int kMaxSteps = 100;  // of the stepping out, both sides together
  const double level = log_density(from) - rng.exponential();
  double left = from - width * rng.uniform();
  double right = left + width;
  int down = static_cast<int>(rng.below(kMaxSteps));
  int up = kMaxSteps - 1 - down;
  while (down-- > 0 && log_density(left) > level) left -= width;
  while (up-- > 0 && log_density(right) > level) right += width;
  while (right - left > 1e-14 * (1.0 + std::abs(from))) {
    const double to = rng.uniform(left, right);
    if (log_density(to) > level) return to;
    (to < from ? left : right) = to;
  }
  return from;  // rounding left nothing else
}

}  // namespace mixology
