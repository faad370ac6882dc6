// Array kernels on arbitrary bit patterns: no access outside the arrays, the same bits whatever
// the position, NaN in gives NaN out, and agreement between the instruction sets.
#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

#include "core/simd.h"
#include "fuzz.h"

using namespace mixology;

namespace {

using Kernel = void (*)(const double*, double*, std::size_t);

bool close(double a, double b, double tolerance) {
  if (std::isnan(a) || std::isnan(b)) return std::isnan(a) && std::isnan(b);
  if (std::isinf(a) || std::isinf(b)) return a == b;
  return std::fabs(a - b) <= tolerance * std::fmax(1.0, std::fmax(std::fabs(a), std::fabs(b)));
}

void check_unary(Kernel kernel, const std::vector<double>& x, std::vector<double>& first) {
  std::vector<double> y(x.size());
  kernel(x.data(), y.data(), x.size());
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (std::isnan(x[i])) FUZZ_REQUIRE(std::isnan(y[i]));
    double alone = x[i];
    kernel(&alone, &alone, 1);
    FUZZ_REQUIRE(std::isnan(alone) ? std::isnan(y[i])
                                   : std::memcmp(&alone, &y[i], sizeof alone) == 0);
  }
  if (first.empty()) first = y;
  for (std::size_t i = 0; i < x.size(); ++i) FUZZ_REQUIRE(close(y[i], first[i], 1e-12));
}

void check_rows(const std::vector<double>& x) {
  for (const std::size_t k : {1, 2, 3}) {
    const std::size_t n = x.size() / k;
    std::vector<double> p(x.begin(), x.begin() + static_cast<std::ptrdiff_t>(n * k)), lse(n);
    row_log_sum_exp(p.data(), n, k, n, lse.data());
    row_softmax(p.data(), n, k, n, lse.data());
    for (const double v : p) FUZZ_REQUIRE(std::isnan(v) || (v >= 0 && v <= 1 + 1e-14));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::vector<double> x(size / sizeof(double));
  if (!x.empty()) std::memcpy(x.data(), data, x.size() * sizeof(double));
  const Kernel kernels[] = {vexp, vlog, vlog1p, vlog1pexp, vlgamma, vdigamma, vtrigamma};
  constexpr std::size_t n_kernels = sizeof kernels / sizeof *kernels;
  std::vector<double> first[n_kernels];
  for (const simd::Level level : {simd::Level::baseline, simd::Level::avx2, simd::Level::avx512}) {
    if (simd::set_level(level) != level) continue;
    for (std::size_t k = 0; k < n_kernels; ++k) check_unary(kernels[k], x, first[k]);
    check_rows(x);
    const std::size_t half = x.size() / 2;
    std::vector<double> y(half);
    vlgamma_diff(x.data(), x.data() + half, y.data(), half);
    for (std::size_t i = 0; i < half; ++i) {
      const bool valid = x[i] >= 0 && x[half + i] > 0;
      FUZZ_REQUIRE(valid || std::isnan(y[i]));
      if (valid && x[i] < 1e15 && x[half + i] > 1e-290 && x[half + i] < 1e15)
        FUZZ_REQUIRE(std::isfinite(y[i]));
    }
    axpy(0.5, x.data(), y.data(), half);
    vsum(x.data(), x.size());
    dot(x.data(), x.data() + half, half);
    weighted_dot(x.data(), x.data() + half, y.data(), half);
    weighted_square_sum(x.data(), x.data() + half, 1.0, half);
    vlog_sum_exp(x.data(), x.size());
  }
  return 0;
}
