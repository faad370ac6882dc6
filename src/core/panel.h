// Products of tall panels with few columns, and the inner loops of a mixture of normals on a grid
// of scales, on the widest vectors the processor offers (see simd.h for how that is chosen).
//
// Column-major storage. Row counts and leading dimensions of what is marked (8) must be multiples
// of 8, padded by zeros: no kernel has a tail. A result depends on the instruction set and on
// nothing else.
#pragma once

#include <cstddef>

namespace mixology {
namespace panel {

using Size = std::ptrdiff_t;

constexpr Size kPad = 8;
inline Size padded(Size n) { return (n + kPad - 1) / kPad * kPad; }

// out(p, j) += x_p' r_j for p < nx, j < nr, over `rows` (8) rows.
void cross(const double* x, Size ldx, Size nx, const double* r, Size ldr, Size nr, Size rows,
           double* out, Size ldo);

// r_j -= sum_p x_p a(p, j): `rows` (8) rows; a has leading dimension nr and is stored by rows.
void subtract(const double* x, Size ldx, Size nx, const double* a, double* r, Size ldr, Size nr,
              Size rows);

// z_i = sum_j q(i, j) v_j for i < m (8).
void rotate(const double* q, Size ldq, const double* v, Size nj, Size m, double* z);
// v_j = sum_i q(i, j) w_i over m (8).
void rotate_back(const double* q, Size ldq, const double* w, Size nj, Size m, double* v);

// Directions start[k] .. start[k + 1] - 1 belong to matrix k; g holds `lanes` (8) scales of each.
// out(l, k) = base(l, k) + sum_i h_i g(l, i)
void score(const double* g, const double* h, const int* start, Size matrices, Size lanes,
           const double* base, double* out);
// u_i = sum_l alpha(l, k(i)) g(l, i)
void blend(const double* g, const double* alpha, const int* start, Size matrices, Size lanes,
           double* u);

// x (8) becomes exp(x) / sum exp(x); returns log sum exp(x).
double softmax(double* x, Size n);

// g(l, i) = s_l / (1 + s_l c_i) and log_det(l, k) = sum_i log(1 + s_l c_i).
void scale_tables(const double* c, const int* start, Size matrices, const double* s, Size lanes,
                  double* g, double* log_det);

}  // namespace panel
}  // namespace mixology
