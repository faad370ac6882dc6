// Nanoseconds per element of the array kernels beside the C library (or, where that has no such
// function, beside our scalar one), at each instruction set: comma-separated lines
//   kernel,level,ours,theirs,peer
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <vector>

#include "core/simd.h"
#include "core/special.h"

using namespace mixology;

namespace {

constexpr std::size_t kSize = 4096;  // fits the first-level cache
constexpr int kRepeats = 40;

volatile double sink;

// The best of several runs in CPU time: other processes only ever add to it.
template <typename Body>
double nanoseconds(Body body) {
  double best = 1e30;
  for (int repeat = 0; repeat < kRepeats; ++repeat) {
    const std::clock_t begin = std::clock();
    for (int inner = 0; inner < 25; ++inner) body();
    const double used = static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC;
    if (used < best) best = used;
  }
  return best * 1e9 / (25.0 * kSize);
}

using Array = std::vector<double>;

template <typename Kernel, typename Scalar>
void compare(const char* name, const char* peer, double low, double high, Kernel kernel,
             Scalar scalar) {
  Array x(kSize), y(kSize);
  std::srand(1);
  for (double& v : x) v = low + (high - low) * (std::rand() / (RAND_MAX + 1.0));
  const double theirs = nanoseconds([&] {
    for (std::size_t i = 0; i < kSize; ++i) y[i] = scalar(x[i]);
    sink = y[7];
  });
  for (const simd::Level level : {simd::Level::baseline, simd::Level::avx2, simd::Level::avx512}) {
    if (simd::set_level(level) != level) continue;
    const double ours = nanoseconds([&] {
      kernel(x.data(), y.data(), kSize);
      sink = y[7];
    });
    std::printf("%s,%s,%.3f,%.3f,%s\n", name, simd::level_name(level), ours, theirs, peer);
  }
}

double plain_lgamma_diff(double x, double r) { return std::lgamma(x + r) - std::lgamma(r); }

}  // namespace

int main() {
  compare("exp", "libm", -20, 20, vexp, [](double x) { return std::exp(x); });
  compare("log", "libm", 1e-3, 1e3, vlog, [](double x) { return std::log(x); });
  compare("log1p", "libm", -0.5, 5, vlog1p, [](double x) { return std::log1p(x); });
  compare("log1pexp", "libm", -20, 20, vlog1pexp, [](double x) { return std::log1p(std::exp(x)); });
  compare("lgamma", "libm", 0.01, 50, vlgamma, [](double x) { return std::lgamma(x); });
  compare("digamma", "scalar", 0.01, 50, vdigamma, [](double x) { return digamma(x); });
  compare("trigamma", "scalar", 0.01, 50, vtrigamma, [](double x) { return trigamma(x); });
  compare(
      "lgamma_diff count<=8", "libm", 0, 9,
      [](const double* x, double* y, std::size_t n) {
        static Array counts;
        if (counts.empty()) {
          for (std::size_t i = 0; i < n; ++i) counts.push_back(std::floor(x[i]));
        }
        vlgamma_diff(counts.data(), 1.7, y, n);
      },
      [](double x) { return plain_lgamma_diff(std::floor(x), 1.7); });
  compare(
      "lgamma_diff", "libm", 0, 100,
      [](const double* x, double* y, std::size_t n) { vlgamma_diff(x, 1.7, y, n); },
      [](double x) { return plain_lgamma_diff(x, 1.7); });
  compare(
      "log_sum_exp", "libm", -20, 20,
      [](const double* x, double* y, std::size_t n) { y[7] = vlog_sum_exp(x, n); },
      [](double x) { return std::exp(x - 20.0); });
  Array weights(kSize, 0.5);
  double total = 0;
  compare(
      "dot", "plain loop", -1, 1,
      [&](const double* x, double* y, std::size_t n) { y[7] = dot(x, weights.data(), n); },
      [&](double x) { return total += 0.5 * x; });
  compare(
      "row_softmax k=4", "libm", -20, 20,
      [](const double* x, double* y, std::size_t n) {
        for (std::size_t i = 0; i < n; ++i) y[i] = x[i];
        row_softmax(y, n / 4, 4, n / 4, nullptr);
      },
      [](double x) { return std::exp(x - 20.0); });
  return 0;
}
