// Kernels over a block of rows stored column by column: whitened norms, residuals and weighted
// cross-products. One block fits the first-level cache, so a fit streams over its data once per
// sweep. The arithmetic is compiled for several instruction sets and chosen at run time, as in
// simd.h.
#pragma once

#include <algorithm>

#include "core/types.h"

namespace mixology {

constexpr int kBlock = 128;  // rows of a block
constexpr int kSmallGram = 4;
// A block of columns; rows past the end of the data hold zeros.
using Block = Eigen::Matrix<double, kBlock, Eigen::Dynamic>;

struct BlockKernels {
  // out[i] -= sum_j coefficient[j] columns[j][i]
  void (*subtract_product)(const double* const* columns, int p, const double* coefficient,
                           double* out);
  // out[i] += factor |L v_i|^2 with v_i = row i of the columns, L lower triangular, packed by rows
  void (*add_whitened_norm)(const double* const* columns, int p, const double* packed,
                            double factor, double* out);
  // the same for diagonal L
  void (*add_scaled_norm)(const double* const* columns, int p, const double* diagonal,
                          double factor, double* out);
  void (*multiply)(const double* a, const double* b, double* out);
  // out[2 i + j] = a[i] . b[j] for four columns a and two columns b
  void (*dot_tile)(const double* const* a, const double* const* b, double* out);
  // out = sum over rows of weight v_i v_j for i <= j < p <= kSmallGram, packed by columns
  void (*small_gram)(const double* const* columns, int p, const double* weight, double* out);
};

// Those for the instruction set in use (simd::level()).
const BlockKernels& block_kernels();

// gram(i, j) += sum over rows of weight v_i v_j, for i <= j.
inline void add_weighted_gram(const double* const* columns, int p, const double* weight,
                              Block& scratch, MatrixXd& gram) {
  const BlockKernels& kernels = block_kernels();
  if (p <= kSmallGram) {
    double sums[kSmallGram * (kSmallGram + 1) / 2];
    kernels.small_gram(columns, p, weight, sums);
    const double* sum = sums;
    for (int j = 0; j < p; ++j) {
      for (int i = 0; i <= j; ++i) gram(i, j) += *sum++;
    }
    return;
  }
  if (scratch.cols() < p) scratch.resize(kBlock, p);
  for (int j = 0; j < p; ++j) kernels.multiply(columns[j], weight, scratch.col(j).data());
  for (int j = 0; j < p; j += 2) {
    const int j1 = std::min(j + 1, p - 1);
    const double* b[2] = {columns[j], columns[j1]};
    for (int i = 0; i <= j1; i += 4) {
      const double* a[4];
      for (int l = 0; l < 4; ++l) a[l] = scratch.col(std::min(i + l, p - 1)).data();
      double dots[8];
      kernels.dot_tile(a, b, dots);
      for (int l = 0; l < 4 && i + l <= j1; ++l) {
        if (i + l <= j) gram(i + l, j) += dots[2 * l];
        if (j1 != j) gram(i + l, j1) += dots[2 * l + 1];
      }
    }
  }
}

}  // namespace mixology
