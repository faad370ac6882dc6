// Compiles the loops of core/panel_kernels.h for several instruction sets and dispatches.
#include "core/panel.h"

#include <vector>

#include "core/simd.h"

namespace mixology {
namespace {

struct PanelTable {
  using Size = std::ptrdiff_t;
  void (*cross)(const double*, Size, Size, const double*, Size, Size, Size, double*, Size);
  void (*subtract)(const double*, Size, Size, const double*, double*, Size, Size, Size);
  void (*rotate)(const double*, Size, const double*, Size, Size, double*);
  void (*rotate_back)(const double*, Size, const double*, Size, Size, double*);
  void (*score)(const double*, const double*, const int*, Size, Size, const double*, double*);
  void (*blend)(const double*, const double*, const int*, Size, Size, double*);
  double (*largest)(const double*, Size);
  void (*shift)(double*, Size, double);
  double (*scale_to_one)(double*, Size);
  void (*scale_table)(const double*, Size, const double*, Size, double*, double*);
};

}  // namespace
}  // namespace mixology

#if defined(__x86_64__) && !defined(_WIN32) && !defined(MIXOLOGY_NO_CLONES) && \
    (defined(__GNUC__) || defined(__clang__))
#define MIXOLOGY_X86_LEVELS 1
#endif

#define MIXOLOGY_PANEL_NAMESPACE panel_baseline
#define MIXOLOGY_PANEL_BYTES 16
#include "core/panel_kernels.h"

#ifdef MIXOLOGY_X86_LEVELS

#ifdef __clang__
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#endif
#define MIXOLOGY_PANEL_NAMESPACE panel_avx2
#define MIXOLOGY_PANEL_BYTES 32
#include "core/panel_kernels.h"
#ifdef __clang__
#pragma clang attribute pop
#pragma clang attribute push(__attribute__((target("avx2,fma,avx512f,avx512dq,avx512vl"))), \
                             apply_to = function)
#else
#pragma GCC pop_options
#pragma GCC push_options
#pragma GCC target("avx2,fma,avx512f,avx512dq,avx512vl")
#endif
#define MIXOLOGY_PANEL_NAMESPACE panel_avx512
#define MIXOLOGY_PANEL_BYTES 64
#include "core/panel_kernels.h"
#ifdef __clang__
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#endif  // MIXOLOGY_X86_LEVELS

namespace mixology {
namespace panel {
namespace {

const PanelTable& kernels() {
#ifdef MIXOLOGY_X86_LEVELS
  const simd::Level level = simd::level();
  if (level == simd::Level::avx512) return *panel_avx512::table();
  if (level == simd::Level::avx2) return *panel_avx2::table();
#endif
  return *panel_baseline::table();
}

}  // namespace

void cross(const double* x, Size ldx, Size nx, const double* r, Size ldr, Size nr, Size rows,
           double* out, Size ldo) {
  kernels().cross(x, ldx, nx, r, ldr, nr, rows, out, ldo);
}
void subtract(const double* x, Size ldx, Size nx, const double* a, double* r, Size ldr, Size nr,
              Size rows) {
  kernels().subtract(x, ldx, nx, a, r, ldr, nr, rows);
}
void rotate(const double* q, Size ldq, const double* v, Size nj, Size m, double* z) {
  kernels().rotate(q, ldq, v, nj, m, z);
}
void rotate_back(const double* q, Size ldq, const double* w, Size nj, Size m, double* v) {
  kernels().rotate_back(q, ldq, w, nj, m, v);
}
void score(const double* g, const double* h, const int* start, Size matrices, Size lanes,
           const double* base, double* out) {
  kernels().score(g, h, start, matrices, lanes, base, out);
}
void blend(const double* g, const double* alpha, const int* start, Size matrices, Size lanes,
           double* u) {
  kernels().blend(g, alpha, start, matrices, lanes, u);
}

double softmax(double* x, Size n) {
  const PanelTable& use = kernels();
  const double top = use.largest(x, n);
  use.shift(x, n, -top);
  vexp(x, x, static_cast<std::size_t>(n));
  double log_sum = use.scale_to_one(x, n);
  vlog(&log_sum, &log_sum, 1);
  return top + log_sum;
}

void scale_tables(const double* c, const int* start, Size matrices, const double* s, Size lanes,
                  double* g, double* log_det) {
  constexpr Size kAtOnce = 8;  // a product of more factors might overflow
  std::vector<double> part(static_cast<std::size_t>(lanes));
  const PanelTable& use = kernels();
  for (Size k = 0; k < matrices; ++k) {
    double* out = log_det + k * lanes;
    for (Size l = 0; l < lanes; ++l) out[l] = 0.0;
    for (Size i = start[k]; i < start[k + 1]; i += kAtOnce) {
      const Size n = start[k + 1] - i < kAtOnce ? start[k + 1] - i : kAtOnce;
      use.scale_table(c + i, n, s, lanes, g + i * lanes, part.data());
      vlog(part.data(), part.data(), static_cast<std::size_t>(lanes));
      for (Size l = 0; l < lanes; ++l) out[l] += part[static_cast<std::size_t>(l)];
    }
  }
}

}  // namespace panel
}  // namespace mixology
