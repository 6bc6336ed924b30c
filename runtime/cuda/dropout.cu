#include "runtime/cuda/code.h"

namespace {

enum { THREADS = 256, AT_ONCE = 4 /* numbers of a counter */, ROUNDS = 10 };

/* Philox4x32-10 as Random123 has it: the numbers 4 * counter … of the stream. */
__device__ inline uint4 numbers_of(const pl_cuda_dropout_mask &mask, uint64_t counter) {
  uint32_t a = (uint32_t)counter, b = (uint32_t)(counter >> 32);
  uint32_t c = mask.counter[2], d = mask.counter[3];
  uint32_t key0 = mask.key[0], key1 = mask.key[1];
  for (int round = 0; round < ROUNDS; round++) {
    uint64_t first = (uint64_t)0xD2511F53 * a, second = (uint64_t)0xCD9E8D57 * c;
    a = (uint32_t)(second >> 32) ^ b ^ key0;
    b = (uint32_t)second;
    c = (uint32_t)(first >> 32) ^ d ^ key1;
    d = (uint32_t)first;
    key0 += 0x9E3779B9;
    key1 += 0xBB67AE85;
  }
  uint4 numbers = {a, b, c, d};
  return numbers;
}

__device__ inline float dropped(const pl_cuda_dropout_mask &mask, uint32_t number, float value) {
  return number < mask.threshold ? 0 : value * mask.scale;
}

template <typename T>
__global__ void dropout_kernel(pl_cuda_dropout_mask mask, const T *from, T *to, size_t n,
                               bool fours) {
  size_t counter = blockIdx.x * (size_t)blockDim.x + threadIdx.x, i = counter * AT_ONCE;
  if (i >= n) return;
  uint4 number = numbers_of(mask, counter);
  if (fours && i + AT_ONCE <= n) {
    float4 v = pl_read4(from, i);
    pl_write4(to, i,
              make_float4(dropped(mask, number.x, v.x), dropped(mask, number.y, v.y),
                          dropped(mask, number.z, v.z), dropped(mask, number.w, v.w)));
    return;
  }
  const uint32_t each[AT_ONCE] = {number.x, number.y, number.z, number.w};
  for (int j = 0; j < AT_ONCE && i + j < n; j++)
    pl_write(to, i + j, dropped(mask, each[j], pl_read(from, i + j)));
}

template <typename T>
void drop(pl_stream stream, const pl_cuda_dropout_mask &mask, const void *from, void *to,
          size_t n) {
  bool fours = pl_fours((const T *)from) && pl_fours((const T *)to);
  size_t threads = (n + AT_ONCE - 1) / AT_ONCE;
  PL_LAUNCH((dropout_kernel<T>), (threads + THREADS - 1) / THREADS, THREADS, stream, mask,
            (const T *)from, (T *)to, n, fours);
}

}  // namespace

void pl_launch_dropout(pl_stream stream, pl_dtype type, const pl_cuda_dropout_mask *mask,
                       const void *from, void *to, size_t n) {
  PL_BY_TYPE(type, drop, stream, *mask, from, to, n);
}
