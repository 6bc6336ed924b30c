/* The language of device code (runtime/cuda/code.h) for a C++ compiler of the processor.
 *
 * A launch is queued and done when somebody waits for its stream, as late as a device may be: what
 * host code reads too early, or gives back too early, is then wrong every time (streams.cc). Blocks
 * are run one after another; the threads of a block take turns, each runs until it waits for
 * others. */
#ifndef TESTS_EMULATION_LANGUAGE_H
#define TESTS_EMULATION_LANGUAGE_H

#include <float.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <functional>
#include <tuple>

#include "tests/emulation/queue.h"

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)

/* One block runs at a time, so what all its threads share is what all calls share. It holds what
 * the block before left there. */
#define PL_SHARED static
#define PL_UNROLL

typedef struct emulated_index {
  unsigned x;
} emulated_index;

extern emulated_index threadIdx, blockIdx, blockDim, gridDim;
const int warpSize = 32;

/* ---- threads that wait for each other ---- */

/* Waits for all threads of the block that have not returned; they must be at the same place. */
#define __syncthreads() emulated_sync(__FILE__, __LINE__)
void emulated_sync(const char *file, int line);

/* Hands `bits` to the lanes of `mask`, and waits for theirs; gives those of lane `from`, which must
 * take part. */
uint64_t emulated_exchange(unsigned mask, uint64_t bits, unsigned from);
unsigned emulated_lane(void);

template <typename T>
inline T emulated_shuffle(unsigned mask, T value, unsigned from) {
  static_assert(sizeof(T) <= sizeof(uint64_t), "a register or two");
  uint64_t bits = 0;
  memcpy(&bits, &value, sizeof value);
  bits = emulated_exchange(mask, bits, from);
  memcpy(&value, &bits, sizeof value);
  return value;
}

template <typename T>
inline T __shfl_sync(unsigned mask, T value, int lane, int width = warpSize) {
  unsigned group = emulated_lane() / (unsigned)width * (unsigned)width;
  return emulated_shuffle(mask, value, group + (unsigned)lane % (unsigned)width);
}
template <typename T>
inline T __shfl_xor_sync(unsigned mask, T value, int bits, int width = warpSize) {
  unsigned lane = emulated_lane(), from = lane ^ (unsigned)bits;
  bool outside = from / (unsigned)width > lane / (unsigned)width;
  return emulated_shuffle(mask, value, outside ? lane : from);
}
template <typename T>
inline T __shfl_down_sync(unsigned mask, T value, unsigned step, int width = warpSize) {
  unsigned lane = emulated_lane(), from = lane + step;
  bool outside = from / (unsigned)width != lane / (unsigned)width;
  return emulated_shuffle(mask, value, outside ? lane : from);
}
template <typename T>
inline T __shfl_up_sync(unsigned mask, T value, unsigned step, int width = warpSize) {
  unsigned lane = emulated_lane();
  bool outside = lane % (unsigned)width < step;
  return emulated_shuffle(mask, value, outside ? lane : lane - step);
}
inline void __syncwarp(unsigned mask = 0xFFFFFFFFu) { emulated_exchange(mask, 0, emulated_lane()); }

/* All lanes of a warp come, each with something of its own; then `work` is done once, with what the
 * lanes brought in their order, and they go on. */
void emulated_together(void *own, void (*work)(void *const *lanes));

/* Copies to shared memory that are done as late as the device may: when their thread waits for the
 * group that they belong to. What is not there becomes zeros. */
void emulated_copy_async(void *shared, const void *from, size_t bytes, bool there);
void emulated_commit_copies(void);
void emulated_wait_for_copies(unsigned groups_left);

/* ---- launches ---- */

/* Arguments are copied at the launch, as types of the parameters. */
template <typename... Params, typename... Args>
inline void emulated_start(void (*kernel)(Params...), size_t blocks, size_t threads,
                           cudaStream_t stream, Args... args) {
  std::tuple<Params...> copied(args...);
  emulated_launch(stream, blocks, threads, [kernel, copied] { std::apply(kernel, copied); });
}

#define PL_LAUNCH(kernel, blocks, threads, stream, ...) \
  emulated_start(kernel, (blocks), (threads), (stream), __VA_ARGS__)

/* ---- numbers ---- */

struct __nv_bfloat16 {
  uint16_t bits;
};

inline float __bfloat162float(__nv_bfloat16 x) {
  uint32_t wide = (uint32_t)x.bits << 16;
  float value;
  memcpy(&value, &wide, sizeof value);
  return value;
}
/* To nearest, ties to even; every NaN becomes the one of all ones, as on the device. */
inline __nv_bfloat16 __float2bfloat16_rn(float value) {
  uint32_t wide;
  memcpy(&wide, &value, sizeof wide);
  if (value != value) return __nv_bfloat16{0x7FFF};
  return __nv_bfloat16{(uint16_t)((wide + 0x7FFFu + ((wide >> 16) & 1u)) >> 16)};
}

struct alignas(4) __nv_bfloat162 {
  __nv_bfloat16 x, y;
};
struct alignas(8) float2 {
  float x, y;
};
struct alignas(16) float4 {
  float x, y, z, w;
};
struct alignas(8) uint2 {
  unsigned x, y;
};
struct alignas(16) uint4 {
  unsigned x, y, z, w;
};
inline float2 make_float2(float x, float y) { return float2{x, y}; }
inline float4 make_float4(float x, float y, float z, float w) { return float4{x, y, z, w}; }
inline float2 __bfloat1622float2(__nv_bfloat162 v) {
  return float2{__bfloat162float(v.x), __bfloat162float(v.y)};
}
inline __nv_bfloat162 __floats2bfloat162_rn(float x, float y) {
  return __nv_bfloat162{__float2bfloat16_rn(x), __float2bfloat16_rn(y)};
}

template <typename T>
inline T __ldg(const T *from) {
  return *from;
}
template <typename To, typename From>
inline To emulated_bits(From from) {
  static_assert(sizeof(To) == sizeof(From), "the same bits");
  To to;
  memcpy(&to, &from, sizeof to);
  return to;
}
inline unsigned __float_as_uint(float x) { return emulated_bits<unsigned>(x); }
inline float __uint_as_float(unsigned x) { return emulated_bits<float>(x); }
inline int __float_as_int(float x) { return emulated_bits<int>(x); }
inline float __int_as_float(int x) { return emulated_bits<float>(x); }
inline unsigned __umulhi(unsigned a, unsigned b) { return (unsigned)((uint64_t)a * b >> 32); }
inline float __fmaf_rn(float a, float b, float c) { return fmaf(a, b, c); }
inline float __fdividef(float a, float b) { return a / b; }
inline float __expf(float x) { return expf(x); }
inline float __logf(float x) { return logf(x); }
inline float pl_exp2(float x) {
  float power = exp2f(x);
  return power < FLT_MIN ? 0 : power;
}
inline float __frcp_rn(float x) { return 1 / x; }
inline float __fsqrt_rn(float x) { return sqrtf(x); }
/* Never contracted with what comes next: the result is rounded, so it goes through memory. */
template <typename T>
inline T emulated_rounded(T value) {
  volatile T rounded = value;
  return rounded;
}
inline float __fadd_rn(float a, float b) { return emulated_rounded(a + b); }
inline float __fmul_rn(float a, float b) { return emulated_rounded(a * b); }
inline double __dadd_rn(double a, double b) { return emulated_rounded(a + b); }
inline double __dmul_rn(double a, double b) { return emulated_rounded(a * b); }
inline float rsqrtf(float x) { return 1 / sqrtf(x); }
inline double rsqrt(double x) { return 1 / sqrt(x); }

#define EMULATED_MIN_MAX(type)                              \
  inline type min(type a, type b) { return b < a ? b : a; } \
  inline type max(type a, type b) { return a < b ? b : a; }
EMULATED_MIN_MAX(int)
EMULATED_MIN_MAX(unsigned)
EMULATED_MIN_MAX(long)
EMULATED_MIN_MAX(unsigned long)
EMULATED_MIN_MAX(long long)
EMULATED_MIN_MAX(unsigned long long)
inline float min(float a, float b) { return fminf(a, b); }
inline float max(float a, float b) { return fmaxf(a, b); }
inline double min(double a, double b) { return fmin(a, b); }
inline double max(double a, double b) { return fmax(a, b); }

#endif
