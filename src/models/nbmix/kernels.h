// Elementwise functions of arrays, by the vector kernels of core/simd.h.
#pragma once

#include "core/simd.h"
#include "core/types.h"

namespace mixology {

inline void array_log1p(const double* in, double* out, Index n) {
  vlog1p(in, out, static_cast<std::size_t>(n));
}
inline void array_log(const double* in, double* out, Index n) {
  vlog(in, out, static_cast<std::size_t>(n));
}
inline void array_exp(const double* in, double* out, Index n) {
  vexp(in, out, static_cast<std::size_t>(n));
}

}  // namespace mixology
