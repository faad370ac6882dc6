// Scalar special functions and random draws on arbitrary numbers: inside the domain never NaN,
// outside it never anything else, densities never above one, draws always end.
#include <cmath>
#include <cstdint>
#include <cstring>

#include "core/rng.h"
#include "core/special.h"
#include "fuzz.h"

using namespace mixology;

namespace {

void check_functions(double a, double b, double c) {
  const double values[] = {log_gamma(a), digamma(a), trigamma(a)};
  for (const double v : values) FUZZ_REQUIRE(std::isnan(v) == !(a >= 0));
  const bool valid = a >= 0 && b > 0 && std::isfinite(a) && std::isfinite(b);
  if (valid && a < 1e15 && b > 1e-150 && b < 1e300) {
    FUZZ_REQUIRE(std::isfinite(lgamma_diff(a, b)));
    FUZZ_REQUIRE(digamma_diff(a, b) >= 0);
    FUZZ_REQUIRE(trigamma_diff(a, b) <= 0);
    FUZZ_REQUIRE(std::isfinite(log_rising(a, b)));
  }
  if (!(a >= 0) || !(b > 0)) {
    FUZZ_REQUIRE(std::isnan(lgamma_diff(a, b)));
    FUZZ_REQUIRE(std::isnan(digamma_diff(a, b)));
    FUZZ_REQUIRE(std::isnan(trigamma_diff(a, b)));
  }
  const double count = std::floor(std::fabs(a));
  if (count < 1e15 && b >= 0 && c >= 0 && b < 1e300 && c < 1e300) {
    FUZZ_REQUIRE(log_negative_binomial(count, b, c) <= 1e-9 * (1 + count));
    FUZZ_REQUIRE(log_poisson(count, b) <= 1e-9);
  }
  if (!std::isnan(a)) {
    FUZZ_REQUIRE(log_normal_cdf(a) <= 0);
    FUZZ_REQUIRE(log1pexp(a) >= 0);
    if (a <= 0) FUZZ_REQUIRE(log1mexp(a) <= 0);
    if (a <= 0 && a > -1e300) FUZZ_REQUIRE(!std::isnan(normal_quantile_log(a)));
    if (!std::isnan(b)) FUZZ_REQUIRE(log_sum_exp(a, b) >= std::fmax(a, b));
  }
}

void check_draws(double a, double b, std::uint64_t seed) {
  Rng rng(seed, 1, 2, 3);
  const double mean = std::fabs(a);
  const double dispersion = std::fabs(b);
  if (mean < 1e100) FUZZ_REQUIRE(rng.poisson(mean) >= 0);
  if (mean < 1e100 && dispersion < 1e100)
    FUZZ_REQUIRE(rng.negative_binomial(mean, dispersion) >= 0);
  if (mean > 1e-300 && mean < 1e300) FUZZ_REQUIRE(std::isfinite(rng.log_gamma_unit(mean)));
  if (mean > 1e-300 && mean < 1e100 && dispersion > 1e-300 && dispersion < 1e100) {
    const double draw = rng.beta(mean, dispersion);
    FUZZ_REQUIRE(draw >= 0 && draw <= 1);
  }
  const double logs[3] = {a, b, a};
  if (a < 1e300 && b < 1e300 && (a > -1e300 || b > -1e300)) {
    FUZZ_REQUIRE(rng.categorical_log(logs, 3) < 3);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  double x[3];
  if (size < sizeof x) return 0;
  std::memcpy(x, data, sizeof x);
  check_functions(x[0], x[1], x[2]);
  check_draws(x[0], x[1], size);
  return 0;
}
