/* Views of packed leaves. Passes with a thread for each pixel, in the order of pl_augment_apply:
 * crops are resized and coloured up to the contrast, which needs the mean over the view; then the
 * rest; blurred views take two more. Each value is summed in the order in which the processor does
 * it, so that the two differ by no more than the rounding of products and sums that CUDA fuses. */
#include "runtime/cuda/code.h"

namespace {

enum { THREADS = 256, WARPS = THREADS / PL_WARP };

struct colour {
  float r, g, b;
};

/* What a thread works on. */
struct spot {
  size_t view; /* of the job */
  unsigned pixel;
  bool inside; /* the last block of a view has threads to spare */
};

__host__ __device__ inline unsigned blocks_of(int size) {
  return ((unsigned)size * (unsigned)size + THREADS - 1) / THREADS;
}

__device__ inline size_t pixels_of(const pl_cuda_view_job &job) {
  return (size_t)job.size * (size_t)job.size;
}

__device__ inline spot my_spot(const pl_cuda_view_job &job) {
  unsigned blocks = blocks_of(job.size);
  unsigned pixel = blockIdx.x % blocks * THREADS + threadIdx.x;
  return {blockIdx.x / blocks, pixel, pixel < pixels_of(job)};
}

__device__ inline float *planes_of(float *planes, const pl_cuda_view_job &job, size_t view) {
  return planes + view * 3 * pixels_of(job);
}

__device__ inline colour read_planes(const float *planes, size_t n, unsigned pixel) {
  return {planes[pixel], planes[n + pixel], planes[2 * n + pixel]};
}

__device__ inline void write_planes(float *planes, size_t n, unsigned pixel, colour c) {
  planes[pixel] = c.r;
  planes[n + pixel] = c.g;
  planes[2 * n + pixel] = c.b;
}

/* The sum over the block's threads, in thread 0, in a fixed order. */
__device__ double block_sum(double value) {
  PL_SHARED double of_warp[WARPS];
  value = pl_warp_sum(value);
  if (threadIdx.x % PL_WARP == 0) of_warp[threadIdx.x / PL_WARP] = value;
  __syncthreads();
  value = 0;
  if (threadIdx.x == 0) {
    for (int w = 0; w < WARPS; w++) value += of_warp[w];
  }
  return value;
}

/* ---- crop and resize (runtime/data/resize.c) ---- */

__device__ double interpolation_weight(bool bicubic, double x) {
  x = fabs(x);
  if (!bicubic) return x < 1 ? 1 - x : 0;
  const double a = -0.5; /* Keys' cubic convolution kernel (1981) */
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  if (x < 2) return ((x - 5) * x + 8) * x * a - 4 * a;
  return 0;
}

/* A thread for each output across and down of each view. Weights lie tap by tap, as neighbours read
 * those of one tap together. */
__global__ void filter_kernel(pl_cuda_view_job job) {
  size_t i = blockIdx.x * (size_t)blockDim.x + threadIdx.x, line = i / (size_t)job.size;
  int output = (int)(i % (size_t)job.size);
  if (line >= 2 * job.count) return;
  const pl_packed_view &view = job.view[job.first + line / 2];
  if (view.resized) return;
  bool across = line % 2 == 0;
  int in = across ? view.params.width : view.params.height;
  double shrink = in > job.size ? (double)in / job.size : 1, by_shrink = 1 / shrink;
  double support = (job.bicubic ? 2 : 1) * shrink, centre = (output + 0.5) * in / job.size;
  double low = centre - support + 0.5, high = centre + support + 0.5;
  int first = low > 0 ? (int)low : 0, end = high < in ? (int)high : in;
  int count = min(end - first, (int)ceil(2 * support));

  int at = across && view.params.flip ? job.size - 1 - output : output;
  float *weight = job.weight + line * (size_t)job.most_taps * (size_t)job.size + at;
  double sum = 0;
  for (int t = 0; t < count; t++) {
    double value = interpolation_weight(job.bicubic, (first + t + 0.5 - centre) * by_shrink);
    weight[(size_t)t * job.size] = (float)value;
    sum += value;
  }
  float norm = (float)((across ? 1.0 / 255 : 1) / sum); /* bytes become [0, 1] on the way */
  for (int t = 0; t < count; t++) weight[(size_t)t * job.size] *= norm;
  job.taps[line * (size_t)job.size + at] = {first, count};
}

/* Crops shrink by PL_PACKED_SHRINK at most: so few taps that a pass of its own across, and what it
 * would write and read again, cost more than the sums across that neighbours repeat. */
__device__ colour resize(const pl_cuda_view_job &job, const pl_packed_view &view, const spot &at) {
  size_t size = (size_t)job.size, x = at.pixel % size, y = at.pixel / size;
  const unsigned char *source = reinterpret_cast<const unsigned char *>(job.view) + view.source;
  pl_cuda_taps across = job.taps[2 * at.view * size + x];
  pl_cuda_taps down = job.taps[(2 * at.view + 1) * size + y];
  const float *weight_across = job.weight + 2 * at.view * job.most_taps * size + x;
  const float *weight_down = job.weight + (2 * at.view + 1) * job.most_taps * size + y;
  colour sum = {0, 0, 0};
  for (int j = 0; j < down.count; j++) {
    size_t first = (size_t)(down.first + j) * view.params.width + across.first;
    const unsigned char *from = source + 3 * first;
    colour row = {0, 0, 0};
    for (int t = 0; t < across.count; t++, from += 3) {
      float w = weight_across[t * size];
      row.r += w * from[0];
      row.g += w * from[1];
      row.b += w * from[2];
    }
    float w = weight_down[j * size];
    sum.r += w * row.r;
    sum.g += w * row.g;
    sum.b += w * row.b;
  }
  return sum;
}

/* ---- colours (runtime/data/colour.c) ---- */

__device__ inline float clamp01(float x) {
  x = x > 0 ? x : 0;
  return x < 1 ? x : 1;
}

__device__ inline colour clamped(colour c) { return {clamp01(c.r), clamp01(c.g), clamp01(c.b)}; }

__device__ inline float luma(colour c) { return 0.2989f * c.r + 0.587f * c.g + 0.114f * c.b; }

/* factor * c + shift */
__device__ inline colour blended(colour c, float factor, float shift) {
  return clamped({factor * c.r + shift, factor * c.g + shift, factor * c.b + shift});
}

/* One channel of a colour given by hue `turn` in [0, 6): constant high, falling, constant low,
 * rising; `offset` puts its falling edge where it belongs. */
__device__ inline float hue_channel(float turn, float offset, float high, float chroma) {
  float at = turn + offset;
  at = at >= 6 ? at - 6 : at;
  return high - chroma * clamp01(at < 4 - at ? at : 4 - at);
}

__device__ colour hue_shifted(colour c, float shift) {
  float high = fmaxf(fmaxf(c.r, c.g), c.b), chroma = high - fminf(fminf(c.r, c.g), c.b);
  float inverse = 1 / (chroma > 0 ? chroma : 1);
  float turn = high == c.r ? (c.g - c.b) * inverse
                           : (high == c.g ? 2 + (c.b - c.r) * inverse : 4 + (c.r - c.g) * inverse);
  turn += 6 * shift; /* in [-1, 5] + [-3, 3] */
  turn = turn < 0 ? turn + 6 : turn;
  turn = turn >= 6 ? turn - 6 : turn;
  return {hue_channel(turn, 5, high, chroma), hue_channel(turn, 3, high, chroma),
          hue_channel(turn, 1, high, chroma)};
}

__device__ inline bool has_contrast(const pl_view_params &p) { return p.jitter && p.contrast != 1; }

/* The contrast's place among the four operations of the jitter; 4 where it changes nothing. */
__device__ int contrast_place(const pl_view_params &p) {
  int place = 0;
  if (!has_contrast(p)) return 4;
  while (p.jitter_order[place] != PL_JITTER_CONTRAST) place++;
  return place;
}

/* Operations [from, to) of the jitter. `mean` is read by the contrast. */
__device__ colour jittered(const pl_view_params &p, int from, int to, colour c, float mean) {
  if (!p.jitter) return c;
  for (int i = from; i < to; i++) {
    switch (p.jitter_order[i]) {
      case PL_JITTER_BRIGHTNESS:
        if (p.brightness != 1) c = blended(c, p.brightness, 0);
        break;
      case PL_JITTER_CONTRAST:
        if (p.contrast != 1) c = blended(c, p.contrast, (float)(1 - (double)p.contrast) * mean);
        break;
      case PL_JITTER_SATURATION:
        if (p.saturation != 1)
          c = blended(c, p.saturation, (float)(1 - (double)p.saturation) * luma(c));
        break;
      default:
        if (p.hue != 0) c = hue_shifted(c, p.hue);
    }
  }
  return c;
}

/* ---- the passes ---- */

/* Up to the contrast, and the sums that it needs. */
__global__ void begin_kernel(pl_cuda_view_job job) {
  spot at = my_spot(job);
  const pl_packed_view &view = job.view[job.first + at.view];
  size_t n = pixels_of(job);
  colour c = {0, 0, 0};
  if (at.inside) {
    if (view.resized) {
      const char *block = reinterpret_cast<const char *>(job.view);
      c = read_planes(reinterpret_cast<const float *>(block + view.source), n, at.pixel);
    } else {
      c = resize(job, view, at);
    }
    if (job.bicubic) c = clamped(c);
    c = jittered(view.params, 0, contrast_place(view.params), c, 0);
    write_planes(planes_of(job.planes, job, at.view), n, at.pixel, c);
  }
  if (!has_contrast(view.params)) return; /* the whole block */
  double sum = block_sum(at.inside ? (double)luma(c) : 0);
  if (threadIdx.x == 0) job.luma[blockIdx.x] = sum;
}

/* A block for each view. */
__global__ void mean_kernel(pl_cuda_view_job job) {
  size_t view = blockIdx.x, blocks = blocks_of(job.size);
  if (!has_contrast(job.view[job.first + view].params)) return;
  double sum = 0;
  for (size_t i = threadIdx.x; i < blocks; i += THREADS) sum += job.luma[view * blocks + i];
  sum = block_sum(sum);
  if (threadIdx.x == 0) job.mean_luma[view] = (float)(sum / (double)pixels_of(job));
}

template <typename T>
__device__ void finish(const pl_cuda_view_job &job, const spot &at, bool solarize, colour c) {
  size_t to = 3 * ((job.first + at.view) * pixels_of(job) + at.pixel);
  const float value[3] = {c.r, c.g, c.b};
  for (int i = 0; i < 3; i++) {
    float v = solarize && value[i] >= 0.5f ? 1 - value[i] : value[i];
    pl_write((T *)job.out, to + i, (v - job.mean[i]) * job.by_std[i]);
  }
}

/* From the contrast on; a view that is to be blurred goes back where it came from. */
template <typename T>
__global__ void end_kernel(pl_cuda_view_job job) {
  spot at = my_spot(job);
  if (!at.inside) return;
  const pl_view_params &p = job.view[job.first + at.view].params;
  float *planes = planes_of(job.planes, job, at.view);
  size_t n = pixels_of(job);
  colour c = read_planes(planes, n, at.pixel);
  float mean = has_contrast(p) ? job.mean_luma[at.view] : 0;
  c = jittered(p, contrast_place(p), 4, c, mean);
  if (p.grey) c.r = c.g = c.b = luma(c);
  if (p.blur)
    write_planes(planes, n, at.pixel, c);
  else
    finish<T>(job, at, p.solarize, c);
}

/* ---- blur (runtime/data/blur.c) ---- */

/* A block for each view. */
__global__ void gaussian_kernel(pl_cuda_view_job job) {
  PL_SHARED double sum;
  const pl_view_params &p = job.view[job.first + blockIdx.x].params;
  float *weight = job.gaussian + (size_t)blockIdx.x * job.blur_kernel;
  if (!p.blur) return;
  for (int t = (int)threadIdx.x; t < job.blur_kernel; t += THREADS) {
    double x = (t - job.blur_kernel / 2) / (double)p.sigma;
    weight[t] = (float)exp(-0.5 * x * x);
  }
  __syncthreads();
  if (threadIdx.x == 0) {
    sum = 0;
    for (int t = 0; t < job.blur_kernel; t++) sum += weight[t];
  }
  __syncthreads();
  for (int t = (int)threadIdx.x; t < job.blur_kernel; t += THREADS)
    weight[t] = (float)(weight[t] / sum);
}

/* Place of `i` in 0 … n-1 when a line is mirrored at its ends, which are not repeated. */
__device__ inline int reflect(int i, int n) {
  if (i >= 0 && i < n) return i;
  if (n == 1) return 0;
  int period = 2 * (n - 1);
  i = (i % period + period) % period;
  return i < n ? i : period - i;
}

/* Element `at` of a line of `size`, neighbours `stride` apart, blurred along it. */
__device__ float blurred(const pl_cuda_view_job &job, const float *weight, const float *line,
                         int stride, int at) {
  int radius = job.blur_kernel / 2;
  float sum = weight[radius] * line[(size_t)at * stride];
  for (int t = 0; t < radius; t++) {
    float before = line[(size_t)reflect(at + t - radius, job.size) * stride];
    float behind = line[(size_t)reflect(at + radius - t, job.size) * stride];
    sum += weight[t] * (before + behind);
  }
  return sum;
}

__global__ void blur_across_kernel(pl_cuda_view_job job) {
  spot at = my_spot(job);
  if (!at.inside || !job.view[job.first + at.view].params.blur) return;
  const float *weight = job.gaussian + at.view * job.blur_kernel;
  const float *line = planes_of(job.planes, job, at.view);
  float *to = planes_of(job.blurred, job, at.view);
  int x = (int)(at.pixel % (unsigned)job.size);
  line += at.pixel - (unsigned)x;
  for (int c = 0; c < 3; c++, line += pixels_of(job))
    to[c * pixels_of(job) + at.pixel] = blurred(job, weight, line, 1, x);
}

template <typename T>
__global__ void blur_down_kernel(pl_cuda_view_job job) {
  spot at = my_spot(job);
  if (!at.inside) return;
  const pl_view_params &p = job.view[job.first + at.view].params;
  if (!p.blur) return;
  const float *weight = job.gaussian + at.view * job.blur_kernel;
  int x = (int)(at.pixel % (unsigned)job.size), y = (int)(at.pixel / (unsigned)job.size);
  const float *line = planes_of(job.blurred, job, at.view) + x;
  size_t n = pixels_of(job);
  finish<T>(job, at, p.solarize,
            {blurred(job, weight, line, job.size, y), blurred(job, weight, line + n, job.size, y),
             blurred(job, weight, line + 2 * n, job.size, y)});
}

template <typename T>
void make(pl_stream stream, const pl_cuda_view_job &job) {
  size_t lines = 2 * job.count * (size_t)job.size, blocks = job.count * blocks_of(job.size);
  PL_LAUNCH(filter_kernel, (lines + THREADS - 1) / THREADS, THREADS, stream, job);
  PL_LAUNCH(begin_kernel, blocks, THREADS, stream, job);
  if (job.contrast) PL_LAUNCH(mean_kernel, job.count, THREADS, stream, job);
  PL_LAUNCH((end_kernel<T>), blocks, THREADS, stream, job);
  if (!job.blur) return;
  PL_LAUNCH(gaussian_kernel, job.count, THREADS, stream, job);
  PL_LAUNCH(blur_across_kernel, blocks, THREADS, stream, job);
  PL_LAUNCH((blur_down_kernel<T>), blocks, THREADS, stream, job);
}

}  // namespace

size_t pl_launch_view_blocks(int size) { return blocks_of(size); }

void pl_launch_views(pl_stream stream, const pl_cuda_view_job *job) {
  PL_BY_TYPE(job->type, make, stream, *job);
}
