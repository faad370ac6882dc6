// Block kernels for each instruction set, and the choice among them (core/blocks.h).
#include "core/blocks.h"

#include "core/simd.h"

#define MIXOLOGY_BLOCKS_NAMESPACE blocks_baseline
#define MIXOLOGY_BLOCKS_BYTES 16
#include "core/block_kernels.h"
#undef MIXOLOGY_BLOCKS_NAMESPACE
#undef MIXOLOGY_BLOCKS_BYTES

#if defined(__GNUC__) && !defined(__clang__) && defined(__x86_64__) && !defined(MIXOLOGY_NO_CLONES)
#define MIXOLOGY_BLOCKS_CLONES
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#define MIXOLOGY_BLOCKS_NAMESPACE blocks_avx2
#define MIXOLOGY_BLOCKS_BYTES 32
#include "core/block_kernels.h"
#undef MIXOLOGY_BLOCKS_NAMESPACE
#undef MIXOLOGY_BLOCKS_BYTES
#pragma GCC pop_options
#pragma GCC push_options
#pragma GCC target("avx512f,avx512vl,avx512dq,fma,prefer-vector-width=512")
#define MIXOLOGY_BLOCKS_NAMESPACE blocks_avx512
#define MIXOLOGY_BLOCKS_BYTES 64
#include "core/block_kernels.h"
#undef MIXOLOGY_BLOCKS_NAMESPACE
#undef MIXOLOGY_BLOCKS_BYTES
#pragma GCC pop_options
#endif

namespace mixology {

#define MIXOLOGY_BLOCKS_TABLE(space)                                                            \
  {                                                                                             \
    space::subtract_product, space::add_whitened_norm, space::add_scaled_norm, space::multiply, \
        space::dot_tile, space::small_gram                                                      \
  }

const BlockKernels& block_kernels() {
  static const BlockKernels baseline = MIXOLOGY_BLOCKS_TABLE(blocks_baseline);
#ifdef MIXOLOGY_BLOCKS_CLONES
  static const BlockKernels avx2 = MIXOLOGY_BLOCKS_TABLE(blocks_avx2);
  static const BlockKernels avx512 = MIXOLOGY_BLOCKS_TABLE(blocks_avx512);
  if (simd::level() == simd::Level::avx512) return avx512;
  if (simd::level() == simd::Level::avx2) return avx2;
#endif
  return baseline;
}

}  // namespace mixology
