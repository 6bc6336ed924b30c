/* Blocks of the flat vector into the compute image. */
#include "runtime/cuda/code.h"
#include "runtime/tensor/device.h"
#include "runtime/tensor/space.h"

namespace {

enum { AT_ONCE = 4, THREADS = PL_BLOCK / AT_ONCE }; /* a block of threads for a block */

__global__ void write_blocks_kernel(char *to, const pl_block_place *place, const float *from) {
  pl_block_place own = place[blockIdx.x];
  size_t i = threadIdx.x * (size_t)AT_ONCE;
  float4 values = pl_read4(from + blockIdx.x * (size_t)PL_BLOCK, i);
  if (own.narrow)
    pl_write4((__nv_bfloat16 *)(to + own.offset), i, values);
  else
    pl_write4((float *)(to + own.offset), i, values);
}

}  // namespace

void pl_launch_write_blocks(pl_stream stream, void *to, const pl_block_place *place,
                            const float *from, int64_t blocks) {
  if (blocks > 0) PL_LAUNCH(write_blocks_kernel, blocks, THREADS, stream, (char *)to, place, from);
}
