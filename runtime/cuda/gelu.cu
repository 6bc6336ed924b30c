/* GELU. Not as the last step of the product before, which cuBLASLt could do in passing: its GELU is
 * the form with tanh, neither of those that are promised. */
#include "runtime/cuda/map.h"

#define PL_GELU_CODE __device__ static inline
#define PL_GELU_EXP2(x) pl_exp2(x)
#define PL_GELU_INVERSE(x) __fdividef(1.0F, (x))
#include "runtime/net/gelu_element.h"

namespace {

template <bool QUICK>
__device__ inline float share_of(float x, float *slope) {
  return QUICK ? pl_gelu_quick_share(x, slope) : pl_gelu_normal_share(x, slope);
}

template <bool QUICK>
struct value {
  __device__ static float of(float x) {
    float slope;
    return x * share_of<QUICK>(x, &slope);
  }
};

template <bool QUICK>
struct gradient {
  __device__ static float of(float x, float dy) {
    float slope, share = share_of<QUICK>(x, &slope);
    return dy * (share + x * slope);
  }
};

}  // namespace

void pl_launch_gelu(pl_stream stream, pl_dtype type, bool quick, void *y, const void *x, size_t n) {
  if (quick)
    pl_map_typed<value<true>>(stream, type, n, y, x);
  else
    pl_map_typed<value<false>>(stream, type, n, y, x);
}

void pl_launch_gelu_gradient(pl_stream stream, pl_dtype type, bool quick, void *dx, const void *x,
                             const void *dy, size_t n) {
  if (quick)
    pl_map_typed<gradient<true>>(stream, type, n, dx, x, dy);
  else
    pl_map_typed<gradient<false>>(stream, type, n, dx, x, dy);
}
