/* Softmax over lines of scores, and its gradient. A warp works on one line; each lane comes back to
 * the elements that it alone reads and writes, so results may replace what they come from. */
#include "runtime/cuda/code.h"

namespace {

enum { WARPS = 8 };

/* The line that the calling warp works on; lines beyond the last have none. */
__device__ inline size_t line_of_warp() {
  return blockIdx.x * (size_t)WARPS + threadIdx.x / PL_WARP;
}

/* How many positions the query of a line sees. */
__device__ inline int seen_by(const pl_softmax &s, size_t line) {
  return s.causal ? (int)(line % (size_t)s.length) + 1 : s.length;
}

__device__ inline float warp_largest(float value) {
  for (int step = PL_WARP / 2; step > 0; step /= 2)
    value = fmaxf(value, __shfl_xor_sync(0xFFFFFFFFu, value, step));
  return value;
}

/* Probabilities are 2^(score factor - saved), here and in the gradient, so both have the same. */
template <typename T>
__global__ void softmax_kernel(pl_softmax s, T *p, const float *score) {
  size_t line = line_of_warp();
  if (line >= s.lines) return;
  int lane = threadIdx.x % PL_WARP, seen = seen_by(s, line);
  const float *from = score + line * s.line;
  float largest = -INFINITY, sum = 0;
  for (int j = lane; j < seen; j += PL_WARP) largest = fmaxf(largest, from[j]);
  largest = warp_largest(largest) * s.factor;
  for (int j = lane; j < seen; j += PL_WARP) sum += pl_exp2(from[j] * s.factor - largest);
  float offset = largest + log2f(pl_warp_sum(sum));
  for (int j = lane; j < s.length; j += PL_WARP)
    pl_write(p, line * s.line + j, j < seen ? pl_exp2(from[j] * s.factor - offset) : 0);
  if (s.saved && lane == 0) s.saved[line] = offset;
}

template <typename T>
__global__ void gradient_kernel(pl_softmax s, T *p, T *ds, const float *score, const float *slope) {
  size_t line = line_of_warp();
  if (line >= s.lines) return;
  int lane = threadIdx.x % PL_WARP, seen = seen_by(s, line);
  size_t first = line * s.line;
  float offset = s.saved[line], along = 0;
  for (int j = lane; j < seen; j += PL_WARP)
    along += pl_exp2(score[first + j] * s.factor - offset) * slope[first + j];
  along = pl_warp_sum(along);
  for (int j = lane; j < s.length; j += PL_WARP) {
    bool sees = j < seen;
    float probability = sees ? pl_exp2(score[first + j] * s.factor - offset) : 0;
    float gradient = sees ? probability * (slope[first + j] - along) * s.scale : 0;
    pl_write(p, first + j, probability);
    pl_write(ds, first + j, gradient);
  }
}

size_t blocks_for(const pl_softmax *s) { return (s->lines + WARPS - 1) / WARPS; }

template <typename T>
void softmax(pl_stream stream, const pl_softmax *s, void *p, const float *score) {
  PL_LAUNCH(softmax_kernel<T>, blocks_for(s), WARPS * PL_WARP, stream, *s, (T *)p, score);
}

template <typename T>
void gradient(pl_stream stream, const pl_softmax *s, void *p, void *ds, const float *score,
              const float *slope) {
  PL_LAUNCH(gradient_kernel<T>, blocks_for(s), WARPS * PL_WARP, stream, *s, (T *)p, (T *)ds, score,
            slope);
}

}  // namespace

void pl_launch_softmax(pl_stream stream, pl_dtype type, const pl_softmax *s, void *p,
                       const float *score) {
  PL_BY_TYPE(type, softmax, stream, s, p, score);
}

void pl_launch_softmax_gradient(pl_stream stream, pl_dtype type, const pl_softmax *s, void *p,
                                void *ds, const float *score, const float *slope) {
  PL_BY_TYPE(type, gradient, stream, s, p, ds, score, slope);
}
