// Compiles the kernels of core/simd_kernels.h for several instruction sets and dispatches.
#include "core/simd.h"

#include <atomic>
#include <cstdlib>
#include <cstring>

#include "core/coefficients.h"

namespace mixology {
namespace {

struct KernelTable {
  using Unary = void (*)(const double*, double*, std::size_t);
  Unary exp, log, log1p, log1pexp, lgamma, digamma, trigamma;
  void (*lgamma_diff)(const double*, const double*, std::size_t, double*, std::size_t);
  void (*rising)(const double*, std::size_t, double, double*, double*, double*);
  double (*sum)(const double*, std::size_t);
  double (*dot)(const double*, const double*, std::size_t);
  double (*weighted_dot)(const double*, const double*, const double*, std::size_t);
  double (*weighted_square)(const double*, const double*, double, std::size_t);
  void (*axpy)(double, const double*, double*, std::size_t);
  double (*log_sum_exp)(const double*, std::size_t);
  void (*rows)(const double*, std::size_t, std::size_t, std::size_t, double*, double*);
};

}  // namespace
}  // namespace mixology

#if defined(__x86_64__) && !defined(MIXOLOGY_NO_CLONES) && (defined(__GNUC__) || defined(__clang__))
#define MIXOLOGY_X86_LEVELS 1
// The Windows ABI keeps the stack aligned to 16 bytes only, and GCC there spills wider registers
// with aligned moves (GCC bug 54412): the new instructions on short registers are safe.
#ifdef _WIN32
#define MIXOLOGY_AVX2_BYTES 16
#define MIXOLOGY_AVX512_BYTES 16
#else
#define MIXOLOGY_AVX2_BYTES 32
#define MIXOLOGY_AVX512_BYTES 64
#endif
#endif

#define MIXOLOGY_SIMD_NAMESPACE simd_baseline
#define MIXOLOGY_SIMD_BYTES 16
#include "core/simd_kernels.h"

#ifdef MIXOLOGY_X86_LEVELS

#ifdef __clang__
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#endif
#define MIXOLOGY_SIMD_NAMESPACE simd_avx2
#define MIXOLOGY_SIMD_BYTES MIXOLOGY_AVX2_BYTES
#include "core/simd_kernels.h"
#ifdef __clang__
#pragma clang attribute pop
#pragma clang attribute push(__attribute__((target("avx2,fma,avx512f,avx512dq,avx512vl"))), \
                             apply_to = function)
#else
#pragma GCC pop_options
#pragma GCC push_options
#pragma GCC target("avx2,fma,avx512f,avx512dq,avx512vl")
#endif
#define MIXOLOGY_SIMD_NAMESPACE simd_avx512
#define MIXOLOGY_SIMD_BYTES MIXOLOGY_AVX512_BYTES
#include "core/simd_kernels.h"
#ifdef __clang__
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#endif  // MIXOLOGY_X86_LEVELS

namespace mixology {
namespace {

const KernelTable* table_of(simd::Level level) {
#ifdef MIXOLOGY_X86_LEVELS
  if (level == simd::Level::avx512) return simd_avx512::table();
  if (level == simd::Level::avx2) return simd_avx2::table();
#endif
  (void)level;
  return simd_baseline::table();
}

simd::Level initial_level() {
  const simd::Level best = simd::best_level();
  const char* wanted = std::getenv("MIXOLOGY_SIMD");
  if (wanted == nullptr || best == simd::Level::baseline) return best;
  if (std::strcmp(wanted, "baseline") == 0) return simd::Level::baseline;
  return std::strcmp(wanted, "avx2") == 0 ? simd::Level::avx2 : best;
}

struct Dispatch {
  std::atomic<simd::Level> level;
  std::atomic<const KernelTable*> kernels;
  Dispatch() : level(initial_level()), kernels(table_of(level)) {}
};

Dispatch& dispatch() {
  static Dispatch instance;
  return instance;
}

const KernelTable& kernels() { return *dispatch().kernels.load(std::memory_order_relaxed); }

}  // namespace

namespace simd {

Level level() { return dispatch().level; }

Level best_level() {
#ifdef MIXOLOGY_X86_LEVELS
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
    const bool wide = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
                      __builtin_cpu_supports("avx512vl");
    return wide ? Level::avx512 : Level::avx2;
  }
#endif
  return Level::baseline;
}

Level set_level(Level wanted) {
  const Level best = best_level();
  const Level level = wanted < best ? wanted : best;
  dispatch().level = level;
  dispatch().kernels = table_of(level);
  return level;
}

const char* level_name(Level level) {
  switch (level) {
    case Level::avx512:
      return "avx512";
    case Level::avx2:
      return "avx2";
    default:
      return "baseline";
  }
}

}  // namespace simd

void vexp(const double* x, double* y, std::size_t n) { kernels().exp(x, y, n); }
void vlog(const double* x, double* y, std::size_t n) { kernels().log(x, y, n); }
void vlog1p(const double* x, double* y, std::size_t n) { kernels().log1p(x, y, n); }
void vlog1pexp(const double* x, double* y, std::size_t n) { kernels().log1pexp(x, y, n); }
void vlgamma(const double* x, double* y, std::size_t n) { kernels().lgamma(x, y, n); }
void vdigamma(const double* x, double* y, std::size_t n) { kernels().digamma(x, y, n); }
void vtrigamma(const double* x, double* y, std::size_t n) { kernels().trigamma(x, y, n); }
void vlgamma_diff(const double* x, const double* r, double* y, std::size_t n) {
  kernels().lgamma_diff(x, r, 1, y, n);
}
void vlgamma_diff(const double* x, double r, double* y, std::size_t n) {
  kernels().lgamma_diff(x, &r, 0, y, n);
}
void vrising(const double* x, double a, double* value, std::size_t n) {
  kernels().rising(x, n, a, value, nullptr, nullptr);
}
void vrising_slopes(const double* x, double a, double* value, double* first, double* second,
                    std::size_t n) {
  kernels().rising(x, n, a, value, first, second);
}
double vsum(const double* x, std::size_t n) { return kernels().sum(x, n); }
double dot(const double* x, const double* y, std::size_t n) { return kernels().dot(x, y, n); }
double weighted_dot(const double* w, const double* x, const double* y, std::size_t n) {
  return kernels().weighted_dot(w, x, y, n);
}
double weighted_square_sum(const double* w, const double* x, double center, std::size_t n) {
  return kernels().weighted_square(w, x, center, n);
}
void axpy(double a, const double* x, double* y, std::size_t n) { kernels().axpy(a, x, y, n); }
double vlog_sum_exp(const double* x, std::size_t n) { return kernels().log_sum_exp(x, n); }
void row_log_sum_exp(const double* x, std::size_t n, std::size_t k, std::size_t ld, double* out) {
  kernels().rows(x, n, k, ld, nullptr, out);
}
void row_softmax(double* x, std::size_t n, std::size_t k, std::size_t ld, double* lse) {
  kernels().rows(x, n, k, ld, x, lse);
}

}  // namespace mixology
