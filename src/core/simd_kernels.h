// The arithmetic behind simd.h. Included once per instruction set by simd.cpp, which defines
//   MIXOLOGY_SIMD_NAMESPACE   where this copy lives,
//   MIXOLOGY_SIMD_BYTES       bytes of one vector register,
// and so without an include guard. Nothing here may instantiate an inline function of the
// standard library: the linker might keep a copy that only newer processors can run.
//
// Each array kernel has one body that serves whole blocks and, through a padded buffer, the
// last partial one: the same instructions whatever the position of an element.

namespace mixology {
namespace MIXOLOGY_SIMD_NAMESPACE {
namespace {

#define MIXOLOGY_VECTOR __attribute__((vector_size(MIXOLOGY_SIMD_BYTES)))
#define MIXOLOGY_INLINE static inline __attribute__((always_inline))
// At -O2 GCC leaves short loops of constant length rolled, and arrays of vectors in memory.
#if defined(__GNUC__) && !defined(__clang__)
#define MIXOLOGY_UNROLL _Pragma("GCC unroll 16")
#else
#define MIXOLOGY_UNROLL
#endif

typedef double V MIXOLOGY_VECTOR;
typedef long long I MIXOLOGY_VECTOR;           // also the type of comparisons
typedef unsigned long long U MIXOLOGY_VECTOR;  // bit patterns

constexpr std::size_t kWidth = MIXOLOGY_SIMD_BYTES / sizeof(double);
constexpr double kInf = __builtin_inf();
using namespace coefficients;

MIXOLOGY_INLINE V splat(double a) { return a - V{}; }
MIXOLOGY_INLINE V load(const double* p) {
  V v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}
MIXOLOGY_INLINE void store(double* p, V v) { __builtin_memcpy(p, &v, sizeof v); }
MIXOLOGY_INLINE V select(I mask, V yes, V no) { return mask ? yes : no; }
MIXOLOGY_INLINE V larger(V a, V b) { return select(a > b, a, b); }
MIXOLOGY_INLINE V absolute(V x) { return (V)((U)x & 0x7fffffffffffffffULL); }

MIXOLOGY_INLINE bool any(I mask) {
  long long lane[kWidth];
  __builtin_memcpy(lane, &mask, sizeof mask);
  long long all = 0;
  for (std::size_t i = 0; i < kWidth; ++i) all |= lane[i];
  return all != 0;
}

// Not a template: those are instantiated at the end of the file, outside the instruction set.
MIXOLOGY_INLINE V polynomial(const double* c, int n, V u) {
  V value = splat(c[n - 1]);
  MIXOLOGY_UNROLL
  for (int k = n - 2; k >= 0; --k) value = value * u + c[k];
  return value;
}

// ---- exponential -------------------------------------------------------------------------

// x = k log 2 + r; exp(x) = 2^k exp(r). The power is applied in two halves, so that a result
// in the subnormal range is rounded once and overflow gives infinity.
MIXOLOGY_INLINE V exp_v(V x) {
  const double magic = 0x1.8p52;  // adding it rounds to an integer held in the low bits
  x = select(x > 1000.0, splat(1000.0), x);
  x = select(x < -1000.0, splat(-1000.0), x);
  const V shifted = x * 1.4426950408889634 + magic;
  const V k = shifted - magic;
  const V r = (x - k * 0x1.62e42feep-1) - k * 0x1.a39ef35793c76p-33;
  const V value = 1.0 + (r + r * r * (0.5 + r * polynomial(kExp, 9, r)));
  const U biased = (U)shifted - 0x4338000000000000ULL + 4096;  // k + 4096, so positive
  const U half = biased >> 1;
  const V scale_a = (V)((half - (2048 - 1023)) << 52);
  const V scale_b = (V)((biased - half - (2048 - 1023)) << 52);
  return value * scale_a * scale_b;
}

// ---- logarithms --------------------------------------------------------------------------

// log(x) + small for positive finite normal x: x = 2^k (1 + f), s = f / (2 + f),
// log(1 + f) = f - f^2 / 2 + s (f^2 / 2 + s^2 P(s^2)).
MIXOLOGY_INLINE V log_normal_v(V x, V small) {
  const U bits = (U)x + (0x3ff0000000000000ULL - 0x3fe6a09e667f3bcdULL);
  const V k = (V)((bits >> 52) | 0x4330000000000000ULL) - (0x1p52 + 1023.0);
  const V f = (V)((bits & 0x000fffffffffffffULL) + 0x3fe6a09e667f3bcdULL) - 1.0;
  const V s = f / (2.0 + f);
  const V z = s * s;
  const V half_square = 0.5 * f * f;
  const V series = z * polynomial(kLog, 7, z);
  return k * 0x1.62e42feep-1 -
         ((half_square - (s * (half_square + series) + (k * 0x1.a39ef35793c76p-33 + small))) - f);
}

MIXOLOGY_INLINE V log_v(V x) {
  // Subnormal numbers are raised by 2^54; -37.4 = -54 log 2 goes in with the small part.
  const I tiny = x < 0x1p-1022;
  V y = log_normal_v(select(tiny, x * 0x1p54, x), V{});
  y = select(tiny, y - 54.0 * 0x1.62e42fefa39efp-1, y);
  y = select(x == 0.0, splat(-kInf), y);
  y = select(x == kInf, x, y);
  return select(x >= 0.0, y, splat(__builtin_nan("")));
}

// With u = fl(1 + x), log(1 + x) = log(u) + (x - (u - 1)) / u.
MIXOLOGY_INLINE V log1p_v(V x) {
  const V u = 1.0 + x;
  V y = log_normal_v(u, (x - (u - 1.0)) / u);
  y = select(x == -1.0, splat(-kInf), y);
  y = select((x == kInf) | (x == 0.0), x, y);
  return select(x >= -1.0, y, splat(__builtin_nan("")));
}

MIXOLOGY_INLINE V log1pexp_v(V x) {
  const V e = exp_v(-absolute(x));  // in [0, 1]: none of log1p's special cases but zero
  const V u = 1.0 + e;
  const V y = log_normal_v(u, (e - (u - 1.0)) / u);
  return select(x > 0.0, x, V{}) + select(e > 0.0, y, e);
}

// ---- gamma family ------------------------------------------------------------------------

// x (x + 1) ... (x + 7)
MIXOLOGY_INLINE V rising_eight(V x) {
  V product = x;
  MIXOLOGY_UNROLL
  for (int j = 1; j < 8; ++j) product = product * (x + (double)j);
  return product;
}

// Stirling from 8 on. Below, a recurrence leads to y in [1.5, 2.5] and
// lgamma(x) = lgamma(y) + log(rise / fall), so that both roots keep their relative accuracy.
MIXOLOGY_INLINE V lgamma_v(V x) {
  const I low = x < 8.0;
  V y = select(low, x, splat(2.0));
  V ratio = splat(1.0);
  MIXOLOGY_UNROLL
  for (int j = 0; j < 6; ++j) {
    const I step = y >= 2.5;
    y = select(step, y - 1.0, y);
    ratio = select(step, ratio * y, ratio);
  }
  ratio = select(x < 1.5, x, ratio);
  ratio = select(x < 0.5, x * (x + 1.0), ratio);
  y = select(x < 1.5, y + 1.0, y);
  y = select(x < 0.5, y + 1.0, y);
  const V z = y - 2.0;
  const V near = z * polynomial(kLgammaNearTwo, 19, z);
  const V log_part = log_v(select(low, ratio, x));
  const V inverse = 1.0 / x;
  const V series = inverse * polynomial(kStirling, 9, inverse * inverse);
  const V far = (x - 0.5) * log_part - x + kHalfLogTwoPi + series;
  V out = select(low, select(x < 1.5, near - log_part, near + log_part), far);
  out = select((x == 0.0) | (x == kInf), splat(kInf), out);
  return select(x >= 0.0, out, splat(__builtin_nan("")));
}

// P = x ... (x + 7) with its derivatives: sum 1 / (x + j) = P' / P.
struct Rising {
  V p, d1, d2;
};
MIXOLOGY_INLINE Rising rising_eight_derivatives(V x) {
  Rising r = {x, splat(1.0), V{}};
  MIXOLOGY_UNROLL
  for (int j = 1; j < 8; ++j) {
    const V t = x + (double)j;
    r.d2 = r.d2 * t + 2.0 * r.d1;
    r.d1 = r.d1 * t + r.p;
    r.p = r.p * t;
  }
  return r;
}

MIXOLOGY_INLINE V digamma_v(V x) {
  const I low = x < 8.0;
  const V a = select(low, x + 8.0, x);
  const Rising r = rising_eight_derivatives(select(low, x, splat(1.0)));
  const V inverse = 1.0 / a;
  const V u = inverse * inverse;
  V y = (log_v(a) - 0.5 * inverse) - u * polynomial(kDigamma, 9, u);
  y = select(low, y - r.d1 / r.p, y);
  y = select(x == 0.0, splat(-kInf), y);
  y = select(x == kInf, x, y);
  return select(x >= 0.0, y, splat(__builtin_nan("")));
}

MIXOLOGY_INLINE V trigamma_v(V x) {
  const I low = x < 8.0;
  const V a = select(low, x + 8.0, x);
  // sum 1 / (x + j)^2 = (P'^2 - P P'') / P^2
  const Rising r = rising_eight_derivatives(select(low, x, splat(1.0)));
  const V slope = r.d1 / r.p;
  const V inverse = 1.0 / a;
  const V u = inverse * inverse;
  V y = inverse + u * (0.5 + inverse * polynomial(kTrigamma, 9, u));
  y = select(low, y + (slope * slope - r.d2 / r.p), y);
  y = select(x < 1e-150, 1.0 / (x * x), y);  // where P'^2 overflows
  y = select(x == kInf, V{}, y);
  return select(x >= 0.0, y, splat(__builtin_nan("")));
}

// lgamma(x + r) - lgamma(r). Counts up to 8 are the log of a product. Otherwise, with a and b
// standing for r and x + r, raised by 8 where below 8, and t = (b - a) / a,
//   (b - a) log b + a (log(1 + t) - t) - log(1 + t) / 2 + series(b) - series(a).
MIXOLOGY_INLINE V lgamma_diff_v(V x, V r) {
  // r + j and the product stay in range for r < 1e30; above, no count up to 8 matters
  V product = r;
  MIXOLOGY_UNROLL
  for (int j = 1; j < 8; ++j) product = select(x > (double)j, product * (r + (double)j), product);
  const V whole = (x + 0x1p52) - 0x1p52;
  const I small = (x <= 8.0) & (x >= 1.0) & (x == whole) & (r < 1e30);
  V y = log_v(product);
  if (any(~small)) {
    const V total = x + r;
    const I low_a = r < 8.0;
    const I low_b = total < 8.0;
    const V a = select(low_a, r + 8.0, r);
    const V b = select(low_b, total + 8.0, total);
    const V rise_a = select(low_a, rising_eight(r), splat(1.0));
    const V rise_b = select(low_b, rising_eight(total), splat(1.0));
    const V gap = select(low_a == low_b, x, b - a);
    const V t = gap / a;
    const V log1p_t = log1p_v(t);
    // log(1 + t) - t by 2 atanh(s), s = t / (2 + t), where cancellation would hurt
    const V s = t / (2.0 + t);
    const V z = s * s;
    const V near = s * (z * polynomial(kLog, 7, z) - t);
    const V minus_t = select((t > -0.29) & (t < 0.41), near, log1p_t - t);
    const V inverse_a = 1.0 / a;
    const V inverse_b = 1.0 / b;
    const V series = inverse_b * polynomial(kStirling, 9, inverse_b * inverse_b) -
                     inverse_a * polynomial(kStirling, 9, inverse_a * inverse_a);
    V wide = gap * log_v(b) + a * minus_t - 0.5 * log1p_t + series;
    wide = wide + log_v(rise_a / rise_b);
    wide = select(r >= 1e100, x * log_v(r), wide);
    y = select(small, y, wide);
  }
  y = select(x == 0.0, V{}, y);
  y = select((x >= 0.0) & (r > 0.0), y, splat(__builtin_nan("")));
  return y;
}

// ---- arrays ------------------------------------------------------------------------------

// One body for whole blocks and for the padded tail, so that both are the same instructions.
#define MIXOLOGY_UNARY_KERNEL(name, function, pad)                        \
  static void name(const double* x, double* y, std::size_t n) {           \
    double buffer[kWidth];                                                \
    for (std::size_t i = 0; i < n; i += kWidth) {                         \
      const std::size_t m = n - i;                                        \
      const double* from = x + i;                                         \
      double* to = y + i;                                                 \
      if (__builtin_expect(m < kWidth, 0)) {                              \
        for (std::size_t j = 0; j < kWidth; ++j) buffer[j] = pad;         \
        for (std::size_t j = 0; j < m; ++j) buffer[j] = x[i + j];         \
        from = to = buffer;                                               \
      }                                                                   \
      store(to, function(load(from)));                                    \
      if (__builtin_expect(to == buffer, 0)) {                            \
        for (std::size_t j = 0; j < m; ++j) y[i + j] = buffer[j];         \
      }                                                                   \
    }                                                                     \
  }
MIXOLOGY_UNARY_KERNEL(exp_array, exp_v, 0.0)
MIXOLOGY_UNARY_KERNEL(log_array, log_v, 1.0)
MIXOLOGY_UNARY_KERNEL(log1p_array, log1p_v, 0.0)
MIXOLOGY_UNARY_KERNEL(log1pexp_array, log1pexp_v, 0.0)
MIXOLOGY_UNARY_KERNEL(lgamma_array, lgamma_v, 1.0)
MIXOLOGY_UNARY_KERNEL(digamma_array, digamma_v, 1.0)
MIXOLOGY_UNARY_KERNEL(trigamma_array, trigamma_v, 1.0)
#undef MIXOLOGY_UNARY_KERNEL

// r_stride is 1, or 0 for one r shared by all.
static void lgamma_diff_array(const double* x, const double* r, std::size_t r_stride, double* y,
                              std::size_t n) {
  double buffer[kWidth], r_buffer[kWidth];
  for (std::size_t j = 0; j < kWidth; ++j) r_buffer[j] = r_stride == 0 && n > 0 ? r[0] : 1.0;
  for (std::size_t i = 0; i < n; i += kWidth) {
    const std::size_t m = n - i;
    const double* from = x + i;
    const double* r_from = r_stride == 0 ? r_buffer : r + i;
    double* to = y + i;
    if (__builtin_expect(m < kWidth, 0)) {
      for (std::size_t j = 0; j < kWidth; ++j) buffer[j] = 1.0;
      for (std::size_t j = 0; j < m; ++j) buffer[j] = x[i + j];
      for (std::size_t j = 0; j < m; ++j) r_buffer[j] = r[(i + j) * r_stride];
      from = to = buffer;
      r_from = r_buffer;
    }
    store(to, lgamma_diff_v(load(from), load(r_from)));
    if (__builtin_expect(to == buffer, 0)) {
      for (std::size_t j = 0; j < m; ++j) y[i + j] = buffer[j];
    }
  }
}

// ---- sums --------------------------------------------------------------------------------

// Sixteen partial sums whatever the register width, added pairwise at the end: the order of
// the additions is the same for every instruction set.
constexpr std::size_t kLanes = 16;
constexpr std::size_t kParts = kLanes / kWidth;

MIXOLOGY_INLINE double collapse(const V* part) {
  double lane[kLanes];
  MIXOLOGY_UNROLL
  for (std::size_t p = 0; p < kParts; ++p) store(lane + p * kWidth, part[p]);
  for (std::size_t half = kLanes / 2; half > 0; half /= 2) {
    for (std::size_t j = 0; j < half; ++j) lane[j] += lane[j + half];
  }
  return lane[0];
}

// `term` reads its operands at an offset; the tail reads them from buffers padded with zeros.
#define MIXOLOGY_REDUCTION(n_arrays, term)                                            \
  V part[kParts];                                                                     \
  double buffer[n_arrays][kLanes];                                                    \
  MIXOLOGY_UNROLL \
  for (std::size_t p = 0; p < kParts; ++p) part[p] = V{};                             \
  for (std::size_t i = 0; i < n; i += kLanes) {                                       \
    const double* from[n_arrays];                                                     \
    MIXOLOGY_UNROLL \
    for (std::size_t a = 0; a < n_arrays; ++a) from[a] = arrays[a] + i;               \
    if (__builtin_expect(n - i < kLanes, 0)) {                                        \
      MIXOLOGY_UNROLL \
      for (std::size_t a = 0; a < n_arrays; ++a) {                                    \
        for (std::size_t j = 0; j < kLanes; ++j) {                                    \
          buffer[a][j] = i + j < n ? arrays[a][i + j] : 0.0;                          \
        }                                                                             \
        from[a] = buffer[a];                                                          \
      }                                                                               \
    }                                                                                 \
    MIXOLOGY_UNROLL \
    for (std::size_t p = 0; p < kParts; ++p) {                                        \
      const std::size_t o = p * kWidth;                                               \
      part[p] = part[p] + (term);                                                     \
    }                                                                                 \
  }                                                                                   \
  return collapse(part)

static double sum_array(const double* x, std::size_t n) {
  const double* arrays[1] = {x};
  MIXOLOGY_REDUCTION(1, load(from[0] + o));
}
static double dot_array(const double* x, const double* y, std::size_t n) {
  const double* arrays[2] = {x, y};
  MIXOLOGY_REDUCTION(2, load(from[0] + o) * load(from[1] + o));
}
static double weighted_dot_array(const double* w, const double* x, const double* y,
                                 std::size_t n) {
  const double* arrays[3] = {w, x, y};
  MIXOLOGY_REDUCTION(3, load(from[0] + o) * load(from[1] + o) * load(from[2] + o));
}
static double weighted_square_array(const double* w, const double* x, double center,
                                    std::size_t n) {
  const double* arrays[2] = {w, x};
  MIXOLOGY_REDUCTION(2, load(from[0] + o) * (load(from[1] + o) - center) *
                            (load(from[1] + o) - center));
}
#undef MIXOLOGY_REDUCTION

static void axpy_array(double a, const double* x, double* y, std::size_t n) {
  double x_buffer[kWidth], y_buffer[kWidth];
  for (std::size_t i = 0; i < n; i += kWidth) {
    const std::size_t m = n - i;
    const double* from = x + i;
    double* to = y + i;
    if (__builtin_expect(m < kWidth, 0)) {
      for (std::size_t j = 0; j < kWidth; ++j) x_buffer[j] = j < m ? x[i + j] : 0.0;
      for (std::size_t j = 0; j < kWidth; ++j) y_buffer[j] = j < m ? y[i + j] : 0.0;
      from = x_buffer;
      to = y_buffer;
    }
    store(to, load(to) + a * load(from));
    if (__builtin_expect(to == y_buffer, 0)) {
      for (std::size_t j = 0; j < m; ++j) y[i + j] = y_buffer[j];
    }
  }
}

static double log_sum_exp_array(const double* x, std::size_t n) {
  V top_v = splat(-kInf);
  double top = -kInf;
  std::size_t i = 0;
  for (; i + kWidth <= n; i += kWidth) top_v = larger(load(x + i), top_v);
  for (; i < n; ++i) top = x[i] > top ? x[i] : top;
  for (std::size_t j = 0; j < kWidth; ++j) top = top_v[j] > top ? top_v[j] : top;
  const double center = top == -kInf || top == kInf ? 0.0 : top;
  double buffer[kLanes];
  V part[kParts];
  MIXOLOGY_UNROLL
  for (std::size_t p = 0; p < kParts; ++p) part[p] = V{};
  for (i = 0; i < n; i += kLanes) {
    const double* from = x + i;
    if (__builtin_expect(n - i < kLanes, 0)) {
      for (std::size_t j = 0; j < kLanes; ++j) buffer[j] = i + j < n ? x[i + j] : -kInf;
      from = buffer;
    }
    MIXOLOGY_UNROLL
    for (std::size_t p = 0; p < kParts; ++p) {
      part[p] = part[p] + exp_v(load(from + p * kWidth) - center);
    }
  }
  double total = collapse(part);
  log_array(&total, &total, 1);
  return center + total;
}

// ---- rows of a column-major matrix -------------------------------------------------------

// Softmax when probabilities is not null (it may be x itself), and log normalisers when lse
// is not null. A block is kWidth rows; the last one goes through gathered columns.
MIXOLOGY_INLINE void row_block(const double* x, std::size_t rows, std::size_t k, std::size_t ld,
                               double* probabilities, double* lse) {
  double buffer[kWidth];
  const bool whole = rows == kWidth;
  for (std::size_t j = 0; j < kWidth; ++j) buffer[j] = 0.0;
#define MIXOLOGY_ROWS(pointer) \
  (whole ? (pointer) : (__builtin_memcpy(buffer, (pointer), rows * sizeof(double)), buffer))
  V top = splat(-kInf);
  for (std::size_t c = 0; c < k; ++c) top = larger(load(MIXOLOGY_ROWS(x + c * ld)), top);
  const V center = select(absolute(top) == kInf, V{}, top);
  V total = V{};
  for (std::size_t c = 0; c < k; ++c) {
    const V e = exp_v(load(MIXOLOGY_ROWS(x + c * ld)) - center);
    total = total + e;
    if (probabilities != nullptr) {
      double* to = probabilities + c * ld;
      store(whole ? to : buffer, e);
      if (!whole) __builtin_memcpy(to, buffer, rows * sizeof(double));
    }
  }
  if (probabilities != nullptr) {
    for (std::size_t c = 0; c < k; ++c) {
      double* to = probabilities + c * ld;
      const V p = load(MIXOLOGY_ROWS(to)) / total;
      store(whole ? to : buffer, p);
      if (!whole) __builtin_memcpy(to, buffer, rows * sizeof(double));
    }
  }
  if (lse != nullptr) {
    store(whole ? lse : buffer, center + log_v(total));
    if (!whole) __builtin_memcpy(lse, buffer, rows * sizeof(double));
  }
#undef MIXOLOGY_ROWS
}

static void rows_array(const double* x, std::size_t n, std::size_t k, std::size_t ld,
                       double* probabilities, double* lse) {
  for (std::size_t i = 0; i < n; i += kWidth) {
    const std::size_t rows = n - i < kWidth ? n - i : kWidth;
    row_block(x + i, rows, k, ld, probabilities == nullptr ? nullptr : probabilities + i,
              lse == nullptr ? nullptr : lse + i);
  }
}

#undef MIXOLOGY_VECTOR
#undef MIXOLOGY_INLINE
#undef MIXOLOGY_UNROLL

}  // namespace

const KernelTable* table() {
  static const KernelTable kernels = {
      exp_array,     log_array,         log1p_array, log1pexp_array,     lgamma_array,
      digamma_array, trigamma_array,    lgamma_diff_array, sum_array,    dot_array,
      weighted_dot_array, weighted_square_array, axpy_array, log_sum_exp_array, rows_array};
  return &kernels;
}

}  // namespace MIXOLOGY_SIMD_NAMESPACE
}  // namespace mixology

#undef MIXOLOGY_SIMD_NAMESPACE
#undef MIXOLOGY_SIMD_BYTES
