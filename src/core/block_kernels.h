// The arithmetic behind blocks.h. Included once per instruction set by blocks.cpp, which defines
//   MIXOLOGY_BLOCKS_NAMESPACE   where this copy lives,
//   MIXOLOGY_BLOCKS_BYTES       bytes of one vector register,
// and so without an include guard; see simd_kernels.h for why.

namespace mixology {
namespace MIXOLOGY_BLOCKS_NAMESPACE {

typedef double Lanes __attribute__((vector_size(MIXOLOGY_BLOCKS_BYTES), aligned(8), may_alias));
constexpr int kLanes = MIXOLOGY_BLOCKS_BYTES / 8;
static inline __attribute__((always_inline)) const Lanes& load(const double* p) {
  return *reinterpret_cast<const Lanes*>(p);
}
static inline __attribute__((always_inline)) Lanes& at(double* p) {
  return *reinterpret_cast<Lanes*>(p);
}

void subtract_product(const double* const* columns, int p, const double* coefficient, double* out) {
  for (int i = 0; i < kBlock; i += 2 * kLanes) {
    Lanes a = load(out + i);
    Lanes b = load(out + i + kLanes);
    for (int j = 0; j < p; ++j) {
      a -= coefficient[j] * load(columns[j] + i);
      b -= coefficient[j] * load(columns[j] + i + kLanes);
    }
    at(out + i) = a;
    at(out + i + kLanes) = b;
  }
}

void add_whitened_norm(const double* const* columns, int p, const double* packed, double factor,
                       double* out) {
  for (int i = 0; i < kBlock; i += 2 * kLanes) {
    Lanes norm_a = Lanes{};
    Lanes norm_b = Lanes{};
    const double* entry = packed;
    for (int row = 0; row < p; ++row) {
      Lanes a = Lanes{};
      Lanes b = Lanes{};
      for (int j = 0; j <= row; ++j, ++entry) {
        a += *entry * load(columns[j] + i);
        b += *entry * load(columns[j] + i + kLanes);
      }
      norm_a += a * a;
      norm_b += b * b;
    }
    at(out + i) += factor * norm_a;
    at(out + i + kLanes) += factor * norm_b;
  }
}

void add_scaled_norm(const double* const* columns, int p, const double* diagonal, double factor,
                     double* out) {
  for (int i = 0; i < kBlock; i += kLanes) {
    Lanes norm = Lanes{};
    for (int j = 0; j < p; ++j) {
      const Lanes a = diagonal[j] * load(columns[j] + i);
      norm += a * a;
    }
    at(out + i) += factor * norm;
  }
}

void multiply(const double* a, const double* b, double* out) {
  for (int i = 0; i < kBlock; i += kLanes) at(out + i) = load(a + i) * load(b + i);
}

static inline __attribute__((always_inline)) double sum_lanes(const Lanes& a) {
  double part[kLanes];
  for (int lane = 0; lane < kLanes; ++lane) part[lane] = a[lane];
  for (int half = kLanes / 2; half > 0; half /= 2) {
    for (int lane = 0; lane < half; ++lane) part[lane] += part[lane + half];
  }
  return part[0];
}

void dot_tile(const double* const* a, const double* const* b, double* out) {
  Lanes s[8] = {};
  for (int i = 0; i < kBlock; i += kLanes) {
    const Lanes b0 = load(b[0] + i);
    const Lanes b1 = load(b[1] + i);
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) {
      const Lanes aj = load(a[j] + i);
      s[2 * j] += aj * b0;
      s[2 * j + 1] += aj * b1;
    }
  }
  for (int j = 0; j < 8; ++j) out[j] = sum_lanes(s[j]);
}

// The columns of a row stay in registers, and so do the sums.
template <int P>
static void gram_of(const double* const* columns, const double* weight, double* out) {
  Lanes s[P * (P + 1) / 2] = {};
  for (int i = 0; i < kBlock; i += kLanes) {
    Lanes v[P];
    int at = 0;
#pragma GCC unroll 4
    for (int j = 0; j < P; ++j) {
      v[j] = load(columns[j] + i);
      const Lanes weighted = load(weight + i) * v[j];
#pragma GCC unroll 4
      for (int l = 0; l <= j; ++l, ++at) s[at] += weighted * v[l];
    }
  }
  for (int at = 0; at < P * (P + 1) / 2; ++at) out[at] = sum_lanes(s[at]);
}

void small_gram(const double* const* columns, int p, const double* weight, double* out) {
  switch (p) {
    case 1:
      return gram_of<1>(columns, weight, out);
    case 2:
      return gram_of<2>(columns, weight, out);
    case 3:
      return gram_of<3>(columns, weight, out);
    case 4:
      return gram_of<4>(columns, weight, out);
  }
}

}  // namespace MIXOLOGY_BLOCKS_NAMESPACE
}  // namespace mixology
