// Fits of arbitrary counts and size factors: always an answer, weights that sum to one, finite
// estimates, a log likelihood that is at most 0 and never falls on the way.
#include <cmath>
#include <cstdint>
#include <vector>

#include "fuzz.h"
#include "models/nbmix/fit.h"

using namespace mixology;

namespace {

// Small, repeated and huge counts all occur.
double count_of(std::uint8_t kind, std::uint8_t value) {
  switch (kind % 5) {
    case 0:
      return 0.0;
    case 1:
      return value % 4;
    case 2:
      return value;
    case 3:
      return value * 977.0;
    default:
      return 2147483647.0 - value;
  }
}

void check(const NbmixFit& fit) {
  FUZZ_REQUIRE(std::abs(fit.weight.sum() - 1.0) < 1e-9);
  FUZZ_REQUIRE(fit.weight.minCoeff() >= 0.0);
  FUZZ_REQUIRE(fit.mean.allFinite() && fit.dispersion.allFinite());
  FUZZ_REQUIRE(fit.dispersion.minCoeff() >= 0.0);
  FUZZ_REQUIRE(fit.log_likelihood <= 1e-6);
  FUZZ_REQUIRE(fit.entropy >= 0.0);
  FUZZ_REQUIRE(fit.trace.status != Status::running && fit.trace.status != Status::not_finite);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  if (size < 8) return 0;
  NbmixOptions options;
  options.k = {1, 1 + bytes[0] % 3};
  if (options.k[1] == 1) options.k.pop_back();
  options.zero_inflated = bytes[1] % 2 == 1;
  options.cox_reid = bytes[1] % 4 == 0 && options.k.size() == 1;
  options.em.restarts = 1 + bytes[2] % 4;
  options.em.max_iterations = 30;
  options.em.short_iterations = 3;
  const bool equal = bytes[3] % 3 == 0;
  std::vector<double> s, count;
  std::vector<int> cell;
  for (std::size_t i = 4; i + 2 < size && s.size() < 200; i += 3) {
    const double x = count_of(bytes[i], bytes[i + 1]);
    if (x > 0.0) {
      cell.push_back(static_cast<int>(s.size()));
      count.push_back(x);
    }
    s.push_back(equal ? 1.0 : std::exp((bytes[i + 2] - 128.0) / 20.0));
  }
  if (s.empty()) return 0;
  const Cells cells(s);
  const GeneFitter fitter(cells, options);
  Executor serial;
  Monitor monitor;
  const SparseCounts data{cell.data(), count.data(), static_cast<Index>(cell.size())};
  const GeneFit fit = fitter.run(data, 0, serial, monitor);
  for (const NbmixFit& one : fit.fits) {
    if (one.weight.size() > 0) check(one);
  }
  return 0;
}
