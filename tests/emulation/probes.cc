#include "tests/emulation/probes.h"

#include "runtime/cuda/code.h"

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

static __global__ void write_kernel(int *x, size_t at) { x[at] = 1; }

void probe_write(pl_stream stream, int *x, size_t at) {
  PL_LAUNCH(write_kernel, 1, 1, stream, x, at);
}
