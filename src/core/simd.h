// Array kernels that use the widest vectors the processor offers, chosen at run time.
//
// simd_kernels.h holds the arithmetic once, on a vector type of the compiler; simd.cpp compiles
// it for the baseline, AVX2 with FMA, and AVX-512, each in its own namespace, and these
// functions call through the table chosen at first use. Nothing depends on compiler flags.
// (An ifunc, which target_clones would emit, is missing on several platforms and under the
// sanitizers, and GCC splits vector types before it clones.)
//
// Promises:
//   * an element's result depends on its value alone, never on its place in the array, so that
//     any chunking gives the same bits; a sum depends on its n elements in their order;
//   * NaN propagates; infinities, zeros and subnormal numbers are handled as by the C library;
//   * input and output may be the same array, but must not overlap otherwise;
//   * any thread may call any of these, except simd::set_level().
// Errors measured (tests/cpp holds looser bounds): exp 1.2, log and log1p 0.8, log1pexp 1.5 units
// in the last place; in epsilon * max(1, |result|) lgamma 3, digamma 11, lgamma_diff 5 for counts
// and 60 for any real x; trigamma 30 epsilon, relative.
//
// Environment: MIXOLOGY_SIMD=baseline|avx2|avx512 lowers the level, which makes results agree
// bitwise between machines of different generations.
// Macro MIXOLOGY_NO_CLONES: only the baseline is compiled (sanitizers, fuzzing).
#ifndef MIXOLOGY_CORE_SIMD_H
#define MIXOLOGY_CORE_SIMD_H

#include <cstddef>

namespace mixology {

// y_i = f(x_i).
void vexp(const double* x, double* y, std::size_t n);
void vlog(const double* x, double* y, std::size_t n);
void vlog1p(const double* x, double* y, std::size_t n);
void vlog1pexp(const double* x, double* y, std::size_t n);  // log(1 + exp(x))
// Gamma family for x > 0; NaN below 0.
void vlgamma(const double* x, double* y, std::size_t n);
void vdigamma(const double* x, double* y, std::size_t n);
void vtrigamma(const double* x, double* y, std::size_t n);

// y_i = lgamma(x_i + r_i) - lgamma(r_i) for x_i >= 0 and r_i > 0, accurate for large r.
void vlgamma_diff(const double* x, const double* r, double* y, std::size_t n);
// The same with one r for all: the table of one gene and component.
void vlgamma_diff(const double* x, double r, double* y, std::size_t n);

// y_i = sum_{j < x_i} log(1 + j / a) for x_i >= 0 and a >= 8, good through the limit of large a.
void vrising(const double* x, double a, double* y, std::size_t n);
// The same with its first and second derivative in phi = 1 / a.
void vrising_slopes(const double* x, double a, double* y, double* first, double* second,
                    std::size_t n);

double vsum(const double* x, std::size_t n);
double dot(const double* x, const double* y, std::size_t n);  // sum x y
double weighted_dot(const double* w, const double* x, const double* y, std::size_t n);
double weighted_square_sum(const double* w, const double* x, double center,
                           std::size_t n);                       // sum w (x - center)^2
void axpy(double a, const double* x, double* y, std::size_t n);  // y += a x

// log sum_i exp(x_i): -Inf for an empty sum.
double vlog_sum_exp(const double* x, std::size_t n);

// Column-major n x k matrix with leading dimension ld, one log-sum-exp per row.
void row_log_sum_exp(const double* x, std::size_t n, std::size_t k, std::size_t ld, double* out);
// Rows turned into probabilities in place; the log normalisers go to lse when it is not null.
// A row of -Inf alone becomes NaN, its log normaliser -Inf.
void row_softmax(double* x, std::size_t n, std::size_t k, std::size_t ld, double* lse);

namespace simd {

enum class Level { baseline, avx2, avx512 };

Level level();                  // in use
Level best_level();             // the highest this processor and build can run
Level set_level(Level wanted);  // main thread only; returns what is then in use
const char* level_name(Level level);

}  // namespace simd
}  // namespace mixology

#endif
