#include "tests/emulation/probes.h"

#include "runtime/cuda/tensor_core.h"

static __global__ void sum_kernel(float *out, const float *x, size_t n) {
  PL_SHARED float of_warp[PL_WARP];
  size_t i = blockIdx.x * (size_t)blockDim.x + threadIdx.x;
  if (i >= n) return;
  size_t left = n - blockIdx.x * (size_t)blockDim.x;
  unsigned here = left < blockDim.x ? (unsigned)left : blockDim.x;
  unsigned warp = threadIdx.x / PL_WARP, warps = (here + PL_WARP - 1) / PL_WARP;
  float sum = pl_warp_sum(x[i]);
  if (threadIdx.x % PL_WARP == 0) of_warp[warp] = sum;
  __syncthreads();
  if (threadIdx.x != 0) return;
  sum = 0;
  for (unsigned w = 0; w < warps; w++) sum += of_warp[w];
  out[blockIdx.x] = sum;
}

void probe_sum_blocks(pl_stream stream, float *out, const float *x, size_t n, size_t threads) {
  PL_LAUNCH(sum_kernel, (n + threads - 1) / threads, threads, stream, out, x, n);
}

static __global__ void shuffle_kernel(int *out) {
  int lane = (int)threadIdx.x;
  out[lane] = __shfl_xor_sync(0xFFFFFFFFu, lane, 5);
  out[PL_WARP + lane] = __shfl_down_sync(0xFFFFFFFFu, lane, 3);
  out[2 * PL_WARP + lane] = __shfl_up_sync(0xFFFFFFFFu, lane, 3);
  out[3 * PL_WARP + lane] = __shfl_sync(0xFFFFFFFFu, lane, 7, 8);
}

void probe_shuffles(pl_stream stream, int *out) {
  PL_LAUNCH(shuffle_kernel, 1, PL_WARP, stream, out);
}

static __global__ void reverse_kernel(int *x, bool waits) {
  PL_SHARED int values[1024];
  values[threadIdx.x] = x[threadIdx.x];
  if (waits) __syncthreads();
  x[threadIdx.x] = values[blockDim.x - 1 - threadIdx.x];
}

void probe_reverse(pl_stream stream, int *x, size_t n, bool waits) {
  PL_LAUNCH(reverse_kernel, 1, n, stream, x, waits);
}

static __global__ void part_ways_kernel(int *out) {
  if (threadIdx.x < 40) {
    __syncthreads();
    out[threadIdx.x] = 1;
  } else {
    __syncthreads();
    out[threadIdx.x] = 2;
  }
}

void probe_part_ways(pl_stream stream, int *out) {
  PL_LAUNCH(part_ways_kernel, 1, 64, stream, out);
}

static __global__ void missing_lanes_kernel(int *out) {
  out[threadIdx.x] = __shfl_down_sync(0xFFFFFFFFu, (int)threadIdx.x, 1);
}

void probe_missing_lanes(pl_stream stream, int *out) {
  PL_LAUNCH(missing_lanes_kernel, 1, 20, stream, out);
}

/* Lines of matrices are two or one chunk of 16 bytes. */
static __global__ void product_kernel(float *out, const uint4 *left, const uint4 *right,
                                      const uint4 *right_transposed, bool from_transposed) {
  PL_SHARED uint4 chunks[16 * 2 + 16];
  unsigned lane = threadIdx.x;
  chunks[lane] = left[lane];
  if (lane < 16) chunks[32 + lane] = from_transposed ? right_transposed[lane] : right[lane];
  __syncwarp();
  uint32_t l[4], r[4];
  float result[4] = {};
  pl_load_matrices(l, chunks + lane % 16 * 2 + lane / 16);
  /* only the first two matrices count */
  if (from_transposed)
    pl_load_matrices(r, chunks + 32 + lane % 8 * 2 + lane / 8 % 2);
  else
    pl_load_transposed(r, chunks + 32 + lane % 16);
  pl_multiply_add(result, l, r[0], r[1]);
  for (unsigned i = 0; i < 4; i++)
    out[(lane / 4 + i / 2 * 8) * 8 + lane % 4 * 2 + i % 2] = result[i];
}

void probe_product(pl_stream stream, float *out, const void *left, const void *right,
                   const void *right_transposed, bool from_transposed) {
  PL_LAUNCH(product_kernel, 1, PL_WARP, stream, out, (const uint4 *)left, (const uint4 *)right,
            (const uint4 *)right_transposed, from_transposed);
}

template <int LEFT>
static __global__ void copies_kernel(float *out, const float *x) {
  PL_SHARED uint4 room[2];
  float *shared = reinterpret_cast<float *>(room);
  for (int i = 0; i < 8; i++) shared[i] = -1;
  pl_copy_async(room, reinterpret_cast<const uint4 *>(x), true);
  pl_commit_copies();
  for (int i = 4; i < 8; i++) pl_copy_async(shared + i, x, false);
  pl_commit_copies();
  pl_wait_for_copies<LEFT>();
  for (int i = 0; i < 8; i++) out[i] = shared[i];
  pl_wait_for_copies<0>();
}

void probe_copies(pl_stream stream, float *out, const float *x, int left) {
  if (left == 0)
    PL_LAUNCH(copies_kernel<0>, 1, 1, stream, out, x);
  else if (left == 1)
    PL_LAUNCH(copies_kernel<1>, 1, 1, stream, out, x);
  else
    PL_LAUNCH(copies_kernel<2>, 1, 1, stream, out, x);
}

static __global__ void load_kernel(int *out, int offset) {
  PL_SHARED uint4 chunks[PL_WARP + 1];
  uint32_t to[4];
  const float *line = reinterpret_cast<const float *>(chunks + threadIdx.x) + offset;
  pl_load_matrices(to, reinterpret_cast<const uint4 *>(line));
  out[threadIdx.x] = (int)to[0];
}

void probe_load(pl_stream stream, int *out, int offset) {
  PL_LAUNCH(load_kernel, 1, PL_WARP, stream, out, offset);
}

static __global__ void lone_product_kernel(float *out) {
  const uint32_t left[4] = {};
  float result[4] = {};
  if (threadIdx.x != 7) pl_multiply_add(result, left, 0, 0);
  out[threadIdx.x] = result[0];
}

void probe_lone_product(pl_stream stream, float *out) {
  PL_LAUNCH(lone_product_kernel, 1, PL_WARP, stream, out);
}

static __global__ void powers_kernel(float *out, const float *x) {
  out[threadIdx.x] = pl_exp2(x[threadIdx.x]);
}

void probe_powers(pl_stream stream, float *out, const float *x) {
  PL_LAUNCH(powers_kernel, 1, 1024, stream, out, x);
}

static __global__ void write_kernel(int *x, size_t at) { x[at] = 1; }

void probe_write(pl_stream stream, int *x, size_t at) {
  PL_LAUNCH(write_kernel, 1, 1, stream, x, at);
}
