/* Views made on the device (runtime/data/view_maker.h).
 *
 * Leaves are copied in a stream of their own into two buffers in turn, so that one comes in while
 * views are made of the other and the network works on them; kernels run in the backend's stream.
 * Two events for each buffer keep them apart: `filled` behind the copy, which kernels wait for, and
 * `used` behind the kernels, which the next copy waits for. */
#include <math.h>

#include "runtime/base/memory.h"
#include "runtime/cuda/cuda.h"
#include "runtime/cuda/kernel.h"
#include "runtime/cuda/launch.h"

enum {
  BUFFERS = 2,
  SCRATCH_BYTES = 32 << 20 /* of planes: what passes from kernel to kernel stays in a GPU's cache */
};

typedef struct buffer {
  void *packed;
  cudaEvent_t filled, used;
  bool contrast, blur; /* whether a view of the leaf has it */
} buffer;

struct pl_views {
  pl_views_options options;
  cudaStream_t copies;
  buffer buffer[BUFFERS];
  uint64_t put, made;   /* leaves so far */
  size_t at_once;       /* views that scratch is for */
  pl_cuda_view_job job; /* but for the leaf */
};

/* Scratch for `at_once` views, part by part. */
typedef struct scratch_sizes {
  size_t at_once, weight, taps, gaussian, planes, luma, mean; /* elements */
} scratch_sizes;

static int most_taps(const pl_augment_options *o) {
  return (o->interpolation == PL_BICUBIC ? 4 : 2) * PL_PACKED_SHRINK;
}

static scratch_sizes sizes_of(const pl_views_options *options) {
  const pl_augment_options *o = &options->augment;
  size_t side = (size_t)o->size, plane = 3 * side * side;
  scratch_sizes s = {.at_once = SCRATCH_BYTES / (2 * plane * sizeof(float))};
  if (s.at_once < 1) s.at_once = 1;
  if (s.at_once > options->views) s.at_once = options->views;
  s.weight = s.at_once * 2 * side * (size_t)most_taps(o);
  s.taps = s.at_once * 2 * side;
  s.gaussian = s.at_once * (size_t)pl_augment_blur_kernel(o);
  s.planes = s.at_once * plane;
  s.luma = s.at_once * pl_launch_view_blocks(o->size);
  s.mean = s.at_once;
  return s;
}

static size_t views_bytes(const pl_views_options *options) {
  scratch_sizes s = sizes_of(options);
  return BUFFERS * options->packed_bytes + s.weight * sizeof(float) +
         s.taps * sizeof(pl_cuda_taps) + s.gaussian * sizeof(float) + 2 * s.planes * sizeof(float) +
         s.luma * sizeof(double) + s.mean * sizeof(float);
}

static void views_destroy(pl_views **views) {
  pl_views *v = *views;
  if (!v) return;
  if (v->copies) cudaStreamSynchronize(v->copies);
  pl_cuda_device.release(v->job.weight);
  pl_cuda_device.release(v->job.taps);
  pl_cuda_device.release(v->job.gaussian);
  pl_cuda_device.release(v->job.planes);
  pl_cuda_device.release(v->job.blurred);
  pl_cuda_device.release(v->job.luma);
  pl_cuda_device.release(v->job.mean_luma);
  for (int b = 0; b < BUFFERS; b++) {
    pl_cuda_device.release(v->buffer[b].packed);
    if (v->buffer[b].filled) cudaEventDestroy(v->buffer[b].filled);
    if (v->buffer[b].used) cudaEventDestroy(v->buffer[b].used);
  }
  if (v->copies) cudaStreamDestroy(v->copies);
  pl_free(v);
  *views = NULL;
}

static pl_status reserve_scratch(const pl_views_options *options, pl_cuda_view_job *job) {
  scratch_sizes s = sizes_of(options);
  PL_TRY(pl_cuda_device.alloc(s.weight * sizeof *job->weight, (void **)&job->weight));
  PL_TRY(pl_cuda_device.alloc(s.taps * sizeof *job->taps, (void **)&job->taps));
  PL_TRY(pl_cuda_device.alloc(s.gaussian * sizeof *job->gaussian, (void **)&job->gaussian));
  PL_TRY(pl_cuda_device.alloc(s.planes * sizeof *job->planes, (void **)&job->planes));
  PL_TRY(pl_cuda_device.alloc(s.planes * sizeof *job->blurred, (void **)&job->blurred));
  PL_TRY(pl_cuda_device.alloc(s.luma * sizeof *job->luma, (void **)&job->luma));
  return pl_cuda_device.alloc(s.mean * sizeof *job->mean_luma, (void **)&job->mean_luma);
}

static pl_status create_buffer(size_t bytes, buffer *b) {
  PL_TRY(pl_cuda_device.alloc(bytes, &b->packed));
  PL_TRY(pl_cuda_check("an event", cudaEventCreateWithFlags(&b->filled, cudaEventDisableTiming)));
  PL_TRY(pl_cuda_check("an event", cudaEventCreateWithFlags(&b->used, cudaEventDisableTiming)));
  /* New memory is cleared in the backend's stream, which the first copy must not overtake. */
  return pl_cuda_check("an event", cudaEventRecord(b->used, pl_cuda_stream()));
}

static void describe(const pl_augment_options *o, pl_cuda_view_job *job) {
  job->size = o->size;
  job->bicubic = o->interpolation == PL_BICUBIC;
  job->most_taps = most_taps(o);
  job->blur_kernel = pl_augment_blur_kernel(o);
  for (int c = 0; c < 3; c++) {
    job->mean[c] = o->mean[c];
    job->by_std[c] = 1 / o->std[c];
  }
}

static pl_status views_create(const pl_views_options *options, pl_views **out) {
  pl_status status = PL_OK;
  PL_TRY(pl_augment_check(&options->augment));
  pl_views *v = pl_alloc(1, sizeof *v);
  if (!v) return PL_E_INTERNAL;
  v->options = *options;
  v->at_once = sizes_of(options).at_once;
  describe(&options->augment, &v->job);
  PL_TRY_OR(
      done, status,
      pl_cuda_check("a stream", cudaStreamCreateWithFlags(&v->copies, cudaStreamNonBlocking)));
  for (int b = 0; b < BUFFERS; b++) {
    PL_TRY_OR(done, status, create_buffer(options->packed_bytes, &v->buffer[b]));
  }
  PL_TRY_OR(done, status, reserve_scratch(options, &v->job));
  *out = v;
  v = NULL;
done:
  views_destroy(&v);
  return status;
}

static pl_status views_put(pl_views *views, const pl_packed_leaf *leaf) {
  buffer *b = &views->buffer[views->put % BUFFERS];
  if (views->put - views->made == BUFFERS || leaf->views != views->options.views ||
      leaf->bytes > views->options.packed_bytes)
    return PL_FAIL(PL_E_INTERNAL, "a leaf of %zu views, %zu bytes, %d waiting", leaf->views,
                   leaf->bytes, (int)(views->put - views->made));
  b->contrast = b->blur = false;
  for (size_t i = 0; i < leaf->views; i++) {
    const pl_view_params *params = &leaf->view[i].params;
    b->contrast = b->contrast || (params->jitter && params->contrast != 1);
    b->blur = b->blur || params->blur;
  }
  PL_TRY(pl_cuda_check("waiting for a leaf", cudaStreamWaitEvent(views->copies, b->used, 0)));
  PL_TRY(pl_cuda_check("copy of a leaf", cudaMemcpyAsync(b->packed, leaf->view, leaf->bytes,
                                                         cudaMemcpyHostToDevice, views->copies)));
  PL_TRY(pl_cuda_check("copy of a leaf", cudaEventRecord(b->filled, views->copies)));
  views->put++;
  return PL_OK;
}

static pl_status views_make(pl_views *views, pl_dtype type, void *place) {
  buffer *b = &views->buffer[views->made % BUFFERS];
  cudaStream_t stream = pl_cuda_stream();
  if (views->made == views->put) return PL_FAIL(PL_E_INTERNAL, "no leaf was put");
  if (type != PL_F32 && type != PL_BF16)
    return PL_FAIL(PL_E_INTERNAL, "no views of %s", pl_dtype_name(type));
  PL_TRY(pl_cuda_check("waiting for a leaf", cudaStreamWaitEvent(stream, b->filled, 0)));
  pl_cuda_view_job job = views->job;
  job.view = b->packed;
  job.contrast = b->contrast;
  job.blur = b->blur;
  job.type = type;
  job.out = place;
  for (job.first = 0; job.first < views->options.views; job.first += job.count) {
    size_t left = views->options.views - job.first;
    job.count = left < views->at_once ? left : views->at_once;
    pl_launch_views(stream, &job);
  }
  PL_TRY(pl_cuda_check("views", cudaGetLastError()));
  PL_TRY(pl_cuda_check("views", cudaEventRecord(b->used, stream)));
  views->made++;
  return PL_OK;
}

/* The buffer of the leaf made last has not been filled anew: only one more leaf can have been put.
 */
static pl_status views_wait(pl_views *views) {
  if (views->made == 0) return PL_OK;
  return pl_cuda_check("copy of a leaf",
                       cudaEventSynchronize(views->buffer[(views->made - 1) % BUFFERS].filled));
}

const pl_view_maker *pl_cuda_view_maker(void) {
  static const pl_view_maker maker = {.device = &pl_cuda_device,
                                      .bytes = views_bytes,
                                      .create = views_create,
                                      .destroy = views_destroy,
                                      .put = views_put,
                                      .make = views_make,
                                      .wait = views_wait};
  return &maker;
}
