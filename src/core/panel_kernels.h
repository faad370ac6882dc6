// The loops behind panel.h. Included once per instruction set by panel.cpp, which defines
//   MIXOLOGY_PANEL_NAMESPACE   where this copy lives,
//   MIXOLOGY_PANEL_BYTES       bytes of one vector register,
// and so without an include guard. No inline function of the standard library may be used here.

namespace mixology {
namespace MIXOLOGY_PANEL_NAMESPACE {
namespace {

#define MIXOLOGY_INLINE static inline __attribute__((always_inline))
#if defined(__GNUC__) && !defined(__clang__)
#define MIXOLOGY_UNROLL _Pragma("GCC unroll 8")
#else
#define MIXOLOGY_UNROLL
#endif

typedef std::ptrdiff_t Size;
typedef double V __attribute__((vector_size(MIXOLOGY_PANEL_BYTES)));
constexpr Size kWidth = MIXOLOGY_PANEL_BYTES / sizeof(double);

MIXOLOGY_INLINE V splat(double a) { return a - V{}; }
MIXOLOGY_INLINE V load(const double* p) {
  V v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}
MIXOLOGY_INLINE void store(double* p, V v) { __builtin_memcpy(p, &v, sizeof v); }
MIXOLOGY_INLINE double total(V v) {
  double lane[kWidth];
  __builtin_memcpy(lane, &v, sizeof v);
  for (Size half = kWidth / 2; half > 0; half /= 2) {
    for (Size i = 0; i < half; ++i) lane[i] += lane[i + half];
  }
  return lane[0];
}

// Rows handled at a time: the panels of x and r then stay in the first two caches.
constexpr Size kRowPanel = 1024;

// A x B inner products over one panel of rows.
#define MIXOLOGY_CROSS_TILE(name, A, B)                                                          \
  static void name(const double* x, Size ldx, const double* r, Size ldr, Size rows, double* out, \
                   Size ldo) {                                                                   \
    V sum[A][B];                                                                                 \
    MIXOLOGY_UNROLL                                                                              \
    for (int a = 0; a < A; ++a) {                                                                \
      MIXOLOGY_UNROLL                                                                            \
      for (int b = 0; b < B; ++b) sum[a][b] = V{};                                               \
    }                                                                                            \
    for (Size i = 0; i < rows; i += kWidth) {                                                    \
      V right[B];                                                                                \
      MIXOLOGY_UNROLL                                                                            \
      for (int b = 0; b < B; ++b) right[b] = load(r + i + b * ldr);                              \
      MIXOLOGY_UNROLL                                                                            \
      for (int a = 0; a < A; ++a) {                                                              \
        const V left = load(x + i + a * ldx);                                                    \
        MIXOLOGY_UNROLL                                                                          \
        for (int b = 0; b < B; ++b) sum[a][b] += left * right[b];                                \
      }                                                                                          \
    }                                                                                            \
    for (int a = 0; a < A; ++a) {                                                                \
      for (int b = 0; b < B; ++b) out[a + b * ldo] += total(sum[a][b]);                          \
    }                                                                                            \
  }
MIXOLOGY_CROSS_TILE(cross_4_2, 4, 2)
MIXOLOGY_CROSS_TILE(cross_4_1, 4, 1)
MIXOLOGY_CROSS_TILE(cross_1_2, 1, 2)
MIXOLOGY_CROSS_TILE(cross_1_1, 1, 1)
#undef MIXOLOGY_CROSS_TILE

static void cross(const double* x, Size ldx, Size nx, const double* r, Size ldr, Size nr, Size rows,
                  double* out, Size ldo) {
  for (Size first = 0; first < rows; first += kRowPanel) {
    const Size n = rows - first < kRowPanel ? rows - first : kRowPanel;
    for (Size p = 0; p < nx;) {
      const bool four = nx - p >= 4;
      const double* xp = x + first + p * ldx;
      for (Size j = 0; j < nr;) {
        const bool two = nr - j >= 2;
        auto tile = four ? (two ? cross_4_2 : cross_4_1) : (two ? cross_1_2 : cross_1_1);
        tile(xp, ldx, r + first + j * ldr, ldr, n, out + p + j * ldo, ldo);
        j += two ? 2 : 1;
      }
      p += four ? 4 : 1;
    }
  }
}

// One strip of 2 or 1 registers of rows, B columns of r.
#define MIXOLOGY_SUBTRACT_TILE(name, A, B)                                                  \
  static void name(const double* x, Size ldx, Size nx, const double* a, Size nr, double* r, \
                   Size ldr) {                                                              \
    V left[A][B];                                                                           \
    MIXOLOGY_UNROLL                                                                         \
    for (int i = 0; i < A; ++i) {                                                           \
      MIXOLOGY_UNROLL                                                                       \
      for (int b = 0; b < B; ++b) left[i][b] = load(r + i * kWidth + b * ldr);              \
    }                                                                                       \
    for (Size p = 0; p < nx; ++p) {                                                         \
      V column[A];                                                                          \
      MIXOLOGY_UNROLL                                                                       \
      for (int i = 0; i < A; ++i) column[i] = load(x + i * kWidth + p * ldx);               \
      MIXOLOGY_UNROLL                                                                       \
      for (int b = 0; b < B; ++b) {                                                         \
        const V factor = splat(a[p * nr + b]);                                              \
        MIXOLOGY_UNROLL                                                                     \
        for (int i = 0; i < A; ++i) left[i][b] -= column[i] * factor;                       \
      }                                                                                     \
    }                                                                                       \
    MIXOLOGY_UNROLL                                                                         \
    for (int i = 0; i < A; ++i) {                                                           \
      MIXOLOGY_UNROLL                                                                       \
      for (int b = 0; b < B; ++b) store(r + i * kWidth + b * ldr, left[i][b]);              \
    }                                                                                       \
  }
MIXOLOGY_SUBTRACT_TILE(subtract_2_4, 2, 4)
MIXOLOGY_SUBTRACT_TILE(subtract_2_1, 2, 1)
MIXOLOGY_SUBTRACT_TILE(subtract_1_4, 1, 4)
MIXOLOGY_SUBTRACT_TILE(subtract_1_1, 1, 1)
#undef MIXOLOGY_SUBTRACT_TILE

static void subtract(const double* x, Size ldx, Size nx, const double* a, double* r, Size ldr,
                     Size nr, Size rows) {
  for (Size first = 0; first < rows;) {
    const bool two = rows - first >= 2 * kWidth;
    for (Size j = 0; j < nr;) {
      const bool four = nr - j >= 4;
      auto tile = two ? (four ? subtract_2_4 : subtract_2_1) : (four ? subtract_1_4 : subtract_1_1);
      tile(x + first, ldx, nx, a + j, nr, r + first + j * ldr, ldr);
      j += four ? 4 : 1;
    }
    first += two ? 2 * kWidth : kWidth;
  }
}

static void rotate(const double* q, Size ldq, const double* v, Size nj, Size m, double* z) {
  for (Size i = 0; i < m; i += kWidth) {
    V sum = V{};
    for (Size j = 0; j < nj; ++j) sum += load(q + i + j * ldq) * v[j];
    store(z + i, sum);
  }
}

static void rotate_back(const double* q, Size ldq, const double* w, Size nj, Size m, double* v) {
  for (Size j = 0; j < nj; ++j) {
    V sum = V{};
    for (Size i = 0; i < m; i += kWidth) sum += load(q + i + j * ldq) * load(w + i);
    v[j] = total(sum);
  }
}

static void score(const double* g, const double* h, const int* start, Size matrices, Size lanes,
                  const double* base, double* out) {
  for (Size k = 0; k < matrices; ++k) {
    for (Size l = 0; l < lanes; l += kWidth) {
      V sum = load(base + l + k * lanes);
      for (Size i = start[k]; i < start[k + 1]; ++i) sum += load(g + l + i * lanes) * h[i];
      store(out + l + k * lanes, sum);
    }
  }
}

static void blend(const double* g, const double* alpha, const int* start, Size matrices, Size lanes,
                  double* u) {
  for (Size k = 0; k < matrices; ++k) {
    for (Size i = start[k]; i < start[k + 1]; ++i) {
      V sum = V{};
      for (Size l = 0; l < lanes; l += kWidth) {
        sum += load(alpha + l + k * lanes) * load(g + l + i * lanes);
      }
      u[i] = total(sum);
    }
  }
}

static double largest(const double* x, Size n) {
  V top = load(x);
  for (Size i = kWidth; i < n; i += kWidth) {
    const V next = load(x + i);
    top = next > top ? next : top;
  }
  double value = top[0];
  for (Size i = 1; i < kWidth; ++i) value = top[i] > value ? top[i] : value;
  return value;
}

static void shift(double* x, Size n, double by) {
  for (Size i = 0; i < n; i += kWidth) store(x + i, load(x + i) + by);
}

static double scale_to_one(double* x, Size n) {
  V sum = V{};
  for (Size i = 0; i < n; i += kWidth) sum += load(x + i);
  const double all = total(sum);
  const double factor = 1.0 / all;
  for (Size i = 0; i < n; i += kWidth) store(x + i, load(x + i) * factor);
  return all;
}

// `product` holds the products over at most eight directions, whose logs the caller adds up.
static void scale_table(const double* c, Size directions, const double* s, Size lanes, double* g,
                        double* product) {
  for (Size l = 0; l < lanes; l += kWidth) {
    const V scale = load(s + l);
    V all = splat(1.0);
    for (Size i = 0; i < directions; ++i) {
      const V one = 1.0 + scale * c[i];
      store(g + l + i * lanes, scale / one);
      all *= one;
    }
    store(product + l, all);
  }
}

#undef MIXOLOGY_INLINE
#undef MIXOLOGY_UNROLL

}  // namespace

const PanelTable* table() {
  static const PanelTable kernels = {cross, subtract, rotate, rotate_back,  score,
                                     blend, largest,  shift,  scale_to_one, scale_table};
  return &kernels;
}

}  // namespace MIXOLOGY_PANEL_NAMESPACE
}  // namespace mixology

#undef MIXOLOGY_PANEL_NAMESPACE
#undef MIXOLOGY_PANEL_BYTES
