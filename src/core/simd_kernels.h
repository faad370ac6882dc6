// The arithmetic behind simd.h. Included once per instruction set by simd.cpp, which defines
//   MIXOLOGY_SIMD_NAMESPACE   where this copy lives,
//   MIXOLOGY_SIMD_BYTES       bytes of one vector register,
// and so without an include guard. Nothing here may instantiate an inline function of the
// standard library: the linker might keep a copy that only newer processors can run.
// Functions of one vector are here; simd_arrays.h, included at the end, walks over arrays.

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

// Is any lane of a comparison true? Used to skip work that no lane of the block needs; what a
// lane computes must not depend on it.
MIXOLOGY_INLINE bool any(I mask) {
#if defined(__AVX512DQ__) && MIXOLOGY_SIMD_BYTES == 64
  return __builtin_ia32_cvtq2mask512(mask) != 0;
#elif defined(__AVX__) && MIXOLOGY_SIMD_BYTES == 32
  return __builtin_ia32_movmskpd256((V)mask) != 0;
#elif defined(__SSE2__) && MIXOLOGY_SIMD_BYTES == 16
  return __builtin_ia32_movmskpd((V)mask) != 0;
#else
  long long all = 0;
  for (std::size_t i = 0; i < kWidth; ++i) all |= mask[i];
  return all != 0;
#endif
}

// Estrin's scheme: half as deep as Horner's, for the processor to overlap. (Functions for each
// length, not a template: those are instantiated at the end of the file, outside the
// instruction set.)
MIXOLOGY_INLINE V polynomial7(const double* c, V u) {
  const V u2 = u * u;
  const V low = (c[0] + u * c[1]) + u2 * (c[2] + u * c[3]);
  return low + (u2 * u2) * ((c[4] + u * c[5]) + u2 * c[6]);
}
MIXOLOGY_INLINE V polynomial8(const double* c, V u, V u2, V u4) {
  const V low = (c[0] + u * c[1]) + u2 * (c[2] + u * c[3]);
  const V high = (c[4] + u * c[5]) + u2 * (c[6] + u * c[7]);
  return low + u4 * high;
}
MIXOLOGY_INLINE V polynomial9(const double* c, V u) {
  const V u2 = u * u;
  const V u4 = u2 * u2;
  return polynomial8(c, u, u2, u4) + (u4 * u4) * c[8];
}
MIXOLOGY_INLINE V polynomial19(const double* c, V u) {
  const V u2 = u * u;
  const V u4 = u2 * u2;
  const V u8 = u4 * u4;
  const V high = polynomial8(c + 8, u, u2, u4) + u8 * ((c[16] + u * c[17]) + u2 * c[18]);
  return polynomial8(c, u, u2, u4) + u8 * high;
}

// ---- exponential -------------------------------------------------------------------------

// x = k log 2 + r; exp(x) = 2^k exp(r). Near the ends of the range the power is applied in two
// halves, so that a result in the subnormal range is rounded once and overflow gives infinity.
MIXOLOGY_INLINE V exp_v(V x) {
  const double magic = 0x1.8p52;  // adding it rounds to an integer held in the low bits
  const I edge = ~(absolute(x) < 708.0);
  if (any(edge)) {
    x = select(x > 1000.0, splat(1000.0), x);
    x = select(x < -1000.0, splat(-1000.0), x);
  }
  const V shifted = x * 1.4426950408889634 + magic;
  const V k = shifted - magic;
  const V r = (x - k * 0x1.62e42feep-1) - k * 0x1.a39ef35793c76p-33;
  const V value = 1.0 + (r + r * r * (0.5 + r * polynomial9(kExp, r)));
  const U power = (U)shifted - 0x4338000000000000ULL;
  V result = value * (V)((power + 1023) << 52);
  if (any(edge)) {
    const U half = ((power + 4096) >> 1) - 2048;
    const V twice = value * (V)((half + 1023) << 52) * (V)((power - half + 1023) << 52);
    result = select(edge, twice, result);
  }
  return result;
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
  const V series = z * polynomial7(kLog, z);
  return k * 0x1.62e42feep-1 -
         ((half_square - (s * (half_square + series) + (k * 0x1.a39ef35793c76p-33 + small))) - f);
}

MIXOLOGY_INLINE V log_v(V x) {
  const double largest = 0x1.fffffffffffffp1023;
  V y = log_normal_v(x, V{});
  if (any(~((x >= 0x1p-1022) & (x <= largest)))) {
    // Subnormal numbers are raised by 2^54.
    const V raised = log_normal_v(x * 0x1p54, V{}) - 54.0 * 0x1.62e42fefa39efp-1;
    y = select(x < 0x1p-1022, raised, y);
    y = select(x == 0.0, splat(-kInf), y);
    y = select(x == kInf, x, y);
    y = select(x >= 0.0, y, splat(__builtin_nan("")));
  }
  return y;
}

// With u = fl(1 + x), log(1 + x) = log(u) + (x - (u - 1)) / u.
MIXOLOGY_INLINE V log1p_v(V x) {
  const V u = 1.0 + x;
  V y = log_normal_v(u, (x - (u - 1.0)) / u);
  if (any(~((x > -1.0) & (x < kInf)))) {
    y = select(x == -1.0, splat(-kInf), y);
    y = select(x == kInf, x, y);
    y = select(x >= -1.0, y, splat(__builtin_nan("")));
  }
  return select(x == 0.0, x, y);  // the sign of zero
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
  V argument = x;  // of the one logarithm
  V near = V{};
  if (any(low)) {
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
    near = z * polynomial19(kLgammaNearTwo, z);
    argument = select(low, ratio, x);
  }
  const V log_part = log_v(argument);
  const V inverse = 1.0 / x;
  const V series = inverse * polynomial9(kStirling, inverse * inverse);
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
  const V inverse = 1.0 / a;
  const V u = inverse * inverse;
  V y = (log_normal_v(a, V{}) - 0.5 * inverse) - u * polynomial9(kDigamma, u);
  if (any(low)) {
    const Rising r = rising_eight_derivatives(select(low, x, splat(1.0)));
    y = select(low, y - r.d1 / r.p, y);
  }
  y = select(x == 0.0, splat(-kInf), y);
  y = select(x == kInf, x, y);
  return select(x >= 0.0, y, splat(__builtin_nan("")));
}

MIXOLOGY_INLINE V trigamma_v(V x) {
  const I low = x < 8.0;
  const V a = select(low, x + 8.0, x);
  const V inverse = 1.0 / a;
  const V u = inverse * inverse;
  V y = inverse + u * (0.5 + inverse * polynomial9(kTrigamma, u));
  if (any(low)) {
    // sum 1 / (x + j)^2 = (P'^2 - P P'') / P^2
    const Rising r = rising_eight_derivatives(select(low, x, splat(1.0)));
    const V slope = r.d1 / r.p;
    y = select(low, y + (slope * slope - r.d2 / r.p), y);
    y = select(x < 1e-150, 1.0 / (x * x), y);  // where P'^2 overflows
  }
  y = select(x == kInf, V{}, y);
  return select(x >= 0.0, y, splat(__builtin_nan("")));
}

// lgamma(x + r) - lgamma(r). Counts up to 8 are the log of a product. Otherwise, with a and b
// standing for r and x + r, raised by 8 where below 8, and t = (b - a) / a,
//   (b - a) log b + a (log(1 + t) - t) - log(1 + t) / 2 + series(b) - series(a).
MIXOLOGY_INLINE V lgamma_diff_v(V x, V r) {
  // For r < 1e30 the product stays in range; above, the other way is as good.
  V product = r;
  MIXOLOGY_UNROLL
  for (int j = 1; j < 8; ++j) product = select(x > (double)j, product * (r + (double)j), product);
  const V whole = (x + 0x1p52) - 0x1p52;
  const I small = (x <= 8.0) & (x == whole) & (r < 1e30);
  V wide = V{};
  if (any(~small)) {
    const V total = x + r;
    const I low_a = r < 8.0;
    const I low_b = total < 8.0;
    const V a = select(low_a, r + 8.0, r);
    const V b = select(low_b, total + 8.0, total);
    const V rise_a = select(low_a, rising_eight(r), splat(1.0));
    const V rise_b = select(low_b, rising_eight(total), splat(1.0));
    product = select(small, product, rise_a / rise_b);
    const V gap = select(low_a == low_b, x, b - a);
    const V t = gap / a;
    const V u = 1.0 + t;
    const V log1p_t = log_normal_v(u, (t - (u - 1.0)) / u);
    // log(1 + t) - t by 2 atanh(s), s = t / (2 + t), where cancellation would hurt
    const V s = t / (2.0 + t);
    const V z = s * s;
    const V near = s * (z * polynomial7(kLog, z) - t);
    const V minus_t = select((t > -0.29) & (t < 0.41), near, log1p_t - t);
    const V inverse_a = 1.0 / a;
    const V inverse_b = 1.0 / b;
    const V series = inverse_b * polynomial9(kStirling, inverse_b * inverse_b) -
                     inverse_a * polynomial9(kStirling, inverse_a * inverse_a);
    wide = gap * log_normal_v(b, V{}) + a * minus_t - 0.5 * log1p_t + series;
  }
  const V y = log_v(product) + select(small, V{}, wide);
  V out = select((x == kInf) | (r == kInf), splat(kInf), y);
  out = select(x == 0.0, V{}, out);
  return select((x >= 0.0) & (r > 0.0), out, splat(__builtin_nan("")));
}

// R(x) = sum_{j < x} log(1 + j / a) for a >= 8, and with phi = 1 / a its slopes in phi. With b = a + x,
// t = x / a and w = a / b the difference of Stirling's series is
//   R = x log(1 + t) + a (log(1 + t) - t) - log(1 + t) / 2 + S(b) - S(a),
// and R', R'' those of the digamma and trigamma functions with what cancels taken out by hand: the
// first terms in t, and the first of each series.
struct RisingAt {
  V a, inverse;  // a and 1 / a
  V s, d, t;     // the series of log gamma, digamma and trigamma there, the latter two rests
};
MIXOLOGY_INLINE V series_rest(const double* c, V u) {
  const V u2 = u * u;
  return u2 * polynomial8(c + 1, u, u2, u2 * u2);
}
MIXOLOGY_INLINE RisingAt rising_at(double a) {
  const V inverse = splat(1.0 / a);
  const V u = inverse * inverse;
  return {splat(a), inverse, inverse * polynomial9(kStirling, u), series_rest(kDigamma, u),
          inverse * series_rest(kTrigamma, u)};
}

struct RisingValues {
  V value, first, second;
};
MIXOLOGY_INLINE RisingValues rising_v(V x, const RisingAt& at, bool slopes) {
  const V a = at.a;
  const V t = x * at.inverse;
  const V u = 1.0 + t;
  const V w = 1.0 / u;
  const V log1p_t = log_normal_v(u, (t - (u - 1.0)) * w);
  V minus_t = log1p_t - t;
  // log(1 + t) = 2 s + s^3 P(s^2), s = t / (2 + t), where cancellation would hurt
  const I close = t < 0.41;
  const bool some = any(close);
  V half = V{}, s = V{}, p = V{};
  if (some) {
    half = 1.0 / (2.0 + t);
    s = t * half;
    const V z = s * s;
    p = polynomial7(kLog, z);
    minus_t = select(close, s * (z * p - t), minus_t);
  }
  const V inverse_b = w * at.inverse;
  const V ub = inverse_b * inverse_b;
  RisingValues out = {};
  out.value = (x - 0.5) * log1p_t + a * minus_t + (inverse_b * polynomial9(kStirling, ub) - at.s);
  if (slopes) {
    const V share = t * w;  // x / b
    const V digamma_rest = at.d - series_rest(kDigamma, ub);
    const V trigamma_rest = inverse_b * series_rest(kTrigamma, ub) - at.t;
    out.first =
        -(a * (a * (minus_t + digamma_rest) + 0.5 * share)) - share * (1.0 + w) * (1.0 / 12.0);
    V cubic = (t + share) - 2.0 * log1p_t;
    if (some) cubic = select(close, t * t * s * (w - 2.0 * p * (half * half)), cubic);
    const V leading = share * w * w * (1.0 / 6.0) * at.inverse;
    out.second = a * a *
                 (0.5 * share * share + a * (2.0 * digamma_rest + a * trigamma_rest) -
                  (a * cubic + leading));
  }
  return out;
}

}  // namespace
}  // namespace MIXOLOGY_SIMD_NAMESPACE
}  // namespace mixology

#include "simd_arrays.h"
