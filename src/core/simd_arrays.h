// Array kernels over the vector functions of simd_kernels.h, which includes this file once per
// instruction set.
//
// Each kernel has one body that serves whole blocks and, through a padded buffer, the last
// partial one: the same instructions whatever the position of an element.

namespace mixology {
namespace MIXOLOGY_SIMD_NAMESPACE {
namespace {

// ---- arrays ------------------------------------------------------------------------------

// One body for whole blocks and for the padded tail, so that both are the same instructions.
#define MIXOLOGY_UNARY_KERNEL(name, function, pad)                \
  static void name(const double* x, double* y, std::size_t n) {   \
    double buffer[kWidth];                                        \
    for (std::size_t i = 0; i < n; i += kWidth) {                 \
      const std::size_t m = n - i;                                \
      const double* from = x + i;                                 \
      double* to = y + i;                                         \
      if (__builtin_expect(m < kWidth, 0)) {                      \
        for (std::size_t j = 0; j < kWidth; ++j) buffer[j] = pad; \
        for (std::size_t j = 0; j < m; ++j) buffer[j] = x[i + j]; \
        from = to = buffer;                                       \
      }                                                           \
      store(to, function(load(from)));                            \
      if (__builtin_expect(to == buffer, 0)) {                    \
        for (std::size_t j = 0; j < m; ++j) y[i + j] = buffer[j]; \
      }                                                           \
    }                                                             \
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

// The slopes only when `first` is not null.
static void rising_array(const double* x, std::size_t n, double a, double* value, double* first,
                         double* second) {
  const RisingAt at = rising_at(a);
  const bool slopes = first != nullptr;
  double from[kWidth], to[3][kWidth];
  for (std::size_t i = 0; i < n; i += kWidth) {
    const std::size_t m = n - i;
    if (__builtin_expect(m >= kWidth, 1)) {
      const RisingValues r = rising_v(load(x + i), at, slopes);
      store(value + i, r.value);
      if (slopes) {
        store(first + i, r.first);
        store(second + i, r.second);
      }
      continue;
    }
    for (std::size_t j = 0; j < kWidth; ++j) from[j] = 1.0;
    for (std::size_t j = 0; j < m; ++j) from[j] = x[i + j];
    const RisingValues r = rising_v(load(from), at, slopes);
    store(to[0], r.value);
    store(to[1], r.first);
    store(to[2], r.second);
    for (std::size_t j = 0; j < m; ++j) {
      value[i + j] = to[0][j];
      if (!slopes) continue;
      first[i + j] = to[1][j];
      second[i + j] = to[2][j];
    }
  }
}

// ---- sums --------------------------------------------------------------------------------

// Sixteen partial sums whatever the register width, added pairwise at the end: the order of
// the additions is the same for every instruction set.
constexpr std::size_t kLanes = 16;
constexpr std::size_t kParts = kLanes / kWidth;

MIXOLOGY_INLINE double collapse(V* part) {
  MIXOLOGY_UNROLL
  for (std::size_t half = kParts / 2; half > 0; half /= 2) {
    MIXOLOGY_UNROLL
    for (std::size_t p = 0; p < half; ++p) part[p] = part[p] + part[p + half];
  }
  double lane[kWidth];
  store(lane, part[0]);
  MIXOLOGY_UNROLL
  for (std::size_t half = kWidth / 2; half > 0; half /= 2) {
    MIXOLOGY_UNROLL
    for (std::size_t j = 0; j < half; ++j) lane[j] += lane[j + half];
  }
  return lane[0];
}

// `term` reads its operands at an offset; the tail reads them from buffers padded with zeros.
#define MIXOLOGY_REDUCTION(n_arrays, term)                              \
  V part[kParts];                                                       \
  double buffer[n_arrays][kLanes];                                      \
  MIXOLOGY_UNROLL                                                       \
  for (std::size_t p = 0; p < kParts; ++p) part[p] = V{};               \
  for (std::size_t i = 0; i < n; i += kLanes) {                         \
    const double* from[n_arrays];                                       \
    MIXOLOGY_UNROLL                                                     \
    for (std::size_t a = 0; a < n_arrays; ++a) from[a] = arrays[a] + i; \
    if (__builtin_expect(n - i < kLanes, 0)) {                          \
      MIXOLOGY_UNROLL                                                   \
      for (std::size_t a = 0; a < n_arrays; ++a) {                      \
        __builtin_memset(buffer[a], 0, sizeof buffer[a]);               \
        __builtin_memcpy(buffer[a], from[a], (n - i) * sizeof(double)); \
        from[a] = buffer[a];                                            \
      }                                                                 \
    }                                                                   \
    MIXOLOGY_UNROLL                                                     \
    for (std::size_t p = 0; p < kParts; ++p) {                          \
      const std::size_t o = p * kWidth;                                 \
      part[p] = part[p] + (term);                                       \
    }                                                                   \
  }                                                                     \
  return collapse(part)

static double sum_array(const double* x, std::size_t n) {
  const double* arrays[1] = {x};
  MIXOLOGY_REDUCTION(1, load(from[0] + o));
}
static double dot_array(const double* x, const double* y, std::size_t n) {
  const double* arrays[2] = {x, y};
  MIXOLOGY_REDUCTION(2, load(from[0] + o) * load(from[1] + o));
}
static double weighted_dot_array(const double* w, const double* x, const double* y, std::size_t n) {
  const double* arrays[3] = {w, x, y};
  MIXOLOGY_REDUCTION(3, load(from[0] + o) * load(from[1] + o) * load(from[2] + o));
}
static double weighted_square_array(const double* w, const double* x, double center,
                                    std::size_t n) {
  const double* arrays[2] = {w, x};
  MIXOLOGY_REDUCTION(
      2, load(from[0] + o) * (load(from[1] + o) - center) * (load(from[1] + o) - center));
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
    const V inverse = 1.0 / total;
    for (std::size_t c = 0; c < k; ++c) {
      double* to = probabilities + c * ld;
      const V p = load(MIXOLOGY_ROWS(to)) * inverse;
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

}  // namespace

const KernelTable* table() {
  static const KernelTable kernels = {
      exp_array,     log_array,          log1p_array,           log1pexp_array, lgamma_array,
      digamma_array, trigamma_array,     lgamma_diff_array,     rising_array,   sum_array,
      dot_array,     weighted_dot_array, weighted_square_array, axpy_array,     log_sum_exp_array,
      rows_array};
  return &kernels;
}

}  // namespace MIXOLOGY_SIMD_NAMESPACE
}  // namespace mixology

#undef MIXOLOGY_VECTOR
#undef MIXOLOGY_INLINE
#undef MIXOLOGY_UNROLL
#undef MIXOLOGY_SIMD_NAMESPACE
#undef MIXOLOGY_SIMD_BYTES
