/* Passes of optimizers over a slice: all reading and writing is of neighbours at once, and what is
 * done to an element is runtime/optim/element.h, as on the host. */
#include "runtime/cuda/code.h"

#define PL_OPTIM_CODE __device__ static inline
#include "runtime/optim/element.h"

namespace {

enum {
  AT_ONCE = 4,
  UPDATE_THREADS = PL_BLOCK / AT_ONCE, /* a block of threads for a block of elements */
  MEASURE_THREADS = 256,
  MEASURED_AT_ONCE = MEASURE_THREADS / PL_WARP /* a warp for a block of elements */
};

/* Moments that a rule lacks stay zero. */
struct sgd {
  enum { MOMENTS = 1, LAYERWISE = false };
  __device__ static void update(const pl_optim_rates *r, float g, float *w, float *m, float *) {
    pl_optim_sgd_element(r, g, w, m);
  }
  __device__ static float direction(const pl_optim_rates *, float, float, float, float) {
    return 0;
  }
};

struct lars {
  enum { MOMENTS = 1, LAYERWISE = true };
  __device__ static void update(const pl_optim_rates *r, float g, float *w, float *m, float *) {
    pl_optim_lars_element(r, g, w, m);
  }
  __device__ static float direction(const pl_optim_rates *r, float g, float w, float, float) {
    return pl_optim_lars_direction(r, g, w);
  }
};

struct adamw {
  enum { MOMENTS = 2, LAYERWISE = false };
  __device__ static void update(const pl_optim_rates *r, float g, float *w, float *m, float *v) {
    pl_optim_adamw_element(r, g, w, m, v);
  }
  __device__ static float direction(const pl_optim_rates *, float, float, float, float) {
    return 0;
  }
};

struct lamb {
  enum { MOMENTS = 2, LAYERWISE = true };
  __device__ static void update(const pl_optim_rates *r, float g, float *w, float *m, float *v) {
    pl_optim_lamb_element(r, g, w, m, v);
  }
  __device__ static float direction(const pl_optim_rates *r, float g, float w, float m, float v) {
    return pl_optim_lamb_direction(r, g, w, &m, &v);
  }
};

/* ---- sums ---- */

__device__ double square(float x) { return (double)x * (double)x; }

/* Adds in the order of the host: a lane's terms one after another, then lanes in halves
 * (runtime/base/lanes.h). */
template <typename Rule>
__global__ void measure_kernel(pl_optim_pass pass, double *sums) {
  int64_t block = blockIdx.x * (int64_t)MEASURED_AT_ONCE + threadIdx.x / PL_WARP;
  if (block >= pass.blocks) return;
  unsigned lane = threadIdx.x % PL_WARP;
  bool layerwise = Rule::LAYERWISE && pass.own[pass.param[block]].weight;
  int64_t first = block * PL_BLOCK + lane;
  double gradient = 0, master = 0, direction = 0;
  for (int k = 0; k < PL_BLOCK / PL_WARP; k++) {
    int64_t i = first + k * PL_WARP;
    float g = pass.gradient[i];
    gradient += square(g);
    if (!layerwise) continue;
    float w = pass.master[i];
    float m = pass.moment[0][i], v = Rule::MOMENTS > 1 ? pass.moment[1][i] : 0;
    master += square(w);
    direction += square(Rule::direction(&pass.rates[1], g, w, m, v));
  }
  const double sum[PL_OPTIM_SUMS] = {pl_warp_sum(gradient), pl_warp_sum(master),
                                     pl_warp_sum(direction)};
  const int width = Rule::LAYERWISE ? PL_OPTIM_SUMS : 1;
  if (lane == 0)
    for (int k = 0; k < width; k++) sums[block * width + k] = sum[k];
}

template <typename Rule>
void measure(pl_stream stream, const pl_optim_pass *pass, double *sums) {
  size_t blocks = ((size_t)pass->blocks + MEASURED_AT_ONCE - 1) / MEASURED_AT_ONCE;
  PL_LAUNCH(measure_kernel<Rule>, blocks, MEASURE_THREADS, stream, *pass, sums);
}

}  // namespace

void pl_launch_optim_measure(pl_stream stream, const pl_optim_pass *pass, double *sums) {
  if (pass->blocks == 0) return;
  switch (pass->kind) {
    case PL_OPTIM_SGD: measure<sgd>(stream, pass, sums); break;
    case PL_OPTIM_LARS: measure<lars>(stream, pass, sums); break;
    case PL_OPTIM_ADAMW: measure<adamw>(stream, pass, sums); break;
    case PL_OPTIM_LAMB: measure<lamb>(stream, pass, sums); break;
  }
}

/* ---- steps ---- */

namespace {

template <typename Rule>
__global__ void update_kernel(pl_optim_pass pass) {
  pl_optim_rates rates = pl_optim_rates_of(&pass, &pass.own[pass.param[blockIdx.x]]);
  size_t i = blockIdx.x * (size_t)PL_BLOCK + threadIdx.x * AT_ONCE;
  float4 g = pl_read4(pass.gradient, i), w = pl_read4(pass.master, i);
  float4 m = pl_read4(pass.moment[0], i), v = make_float4(0, 0, 0, 0);
  if (Rule::MOMENTS > 1) v = pl_read4(pass.moment[1], i);
  Rule::update(&rates, g.x, &w.x, &m.x, &v.x);
  Rule::update(&rates, g.y, &w.y, &m.y, &v.y);
  Rule::update(&rates, g.z, &w.z, &m.z, &v.z);
  Rule::update(&rates, g.w, &w.w, &m.w, &v.w);
  pl_write4(pass.master, i, w);
  pl_write4(pass.moment[0], i, m);
  if (Rule::MOMENTS > 1) pl_write4(pass.moment[1], i, v);
}

template <typename Rule>
void update(pl_stream stream, const pl_optim_pass *pass) {
  PL_LAUNCH(update_kernel<Rule>, pass->blocks, UPDATE_THREADS, stream, *pass);
}

}  // namespace

void pl_launch_optim_update(pl_stream stream, const pl_optim_pass *pass) {
  if (pass->blocks == 0) return;
  switch (pass->kind) {
    case PL_OPTIM_SGD: update<sgd>(stream, pass); break;
    case PL_OPTIM_LARS: update<lars>(stream, pass); break;
    case PL_OPTIM_ADAMW: update<adamw>(stream, pass); break;
    case PL_OPTIM_LAMB: update<lamb>(stream, pass); break;
  }
}

/* ---- vectors ---- */

namespace {

enum { THREADS = 256 };

size_t blocks_for(size_t n) {
  return (n + (size_t)THREADS * AT_ONCE - 1) / ((size_t)THREADS * AT_ONCE);
}

__global__ void scale_kernel(float *values, size_t n, float factor) {
  size_t i = (blockIdx.x * (size_t)THREADS + threadIdx.x) * AT_ONCE;
  if (i + AT_ONCE <= n) {
    float4 v = pl_read4(values, i);
    pl_write4(values, i, make_float4(v.x * factor, v.y * factor, v.z * factor, v.w * factor));
  } else {
    for (; i < n; i++) values[i] *= factor;
  }
}

__device__ float moved(float average, float value, float rate) {
  return average + rate * (value - average);
}

__global__ void follow_kernel(float *average, const float *values, size_t n, float rate) {
  size_t i = (blockIdx.x * (size_t)THREADS + threadIdx.x) * AT_ONCE;
  if (i + AT_ONCE <= n) {
    float4 a = pl_read4(average, i), v = pl_read4(values, i);
    pl_write4(average, i,
              make_float4(moved(a.x, v.x, rate), moved(a.y, v.y, rate), moved(a.z, v.z, rate),
                          moved(a.w, v.w, rate)));
  } else {
    for (; i < n; i++) average[i] = moved(average[i], values[i], rate);
  }
}

}  // namespace

void pl_launch_scale(pl_stream stream, float *values, size_t n, float factor) {
  if (n > 0) PL_LAUNCH(scale_kernel, blocks_for(n), THREADS, stream, values, n, factor);
}

void pl_launch_follow(pl_stream stream, float *average, const float *values, size_t n, float rate) {
  if (n > 0) PL_LAUNCH(follow_kernel, blocks_for(n), THREADS, stream, average, values, n, rate);
}
