// Elementwise functions of arrays, by the vector kernels of core/simd.h.
#pragma once

#include "core/simd.h"
#include "core/types.h"

namespace mixology {

using Eigen::ArrayXd;

inline void array_log1p(const double* in, double* out, Index n) {
  vlog1p(in, out, static_cast<std::size_t>(n));
}
inline void array_log(const double* in, double* out, Index n) {
  vlog(in, out, static_cast<std::size_t>(n));
}
inline double array_dot(const ArrayXd& x, const ArrayXd& y) {
  constexpr Index kFew = 32;  // a call through the table costs more than it saves
  if (x.size() < kFew) return (x * y).sum();
  return dot(x.data(), y.data(), static_cast<std::size_t>(x.size()));
}
inline void array_exp(const double* in, double* out, Index n) {
  vexp(in, out, static_cast<std::size_t>(n));
}

}  // namespace mixology
