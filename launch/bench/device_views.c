#include "launch/bench/device_views.h"

#include "runtime/base/memory.h"
#include "runtime/cuda/cuda.h"

/* Leaves before the device is waited for: enough to hide the wait. */
enum { LEAVES_QUEUED = 8 };

static pl_status reserve(const pl_loader_options *options, pl_device_views *v) {
  const pl_device *device = v->maker->device;
  const size_t side = (size_t)options->augment.size;
  const pl_views_options views = {
      .augment = options->augment, .views = v->leaf.views, .packed_bytes = v->leaf.bytes};
  PL_TRY(v->maker->create(&views, &v->views));
  PL_TRY(device->alloc(v->leaf.bytes, &v->packed));
  return device->alloc(v->leaf.views * side * side * 3 * pl_dtype_bytes(PL_BF16), &v->out);
}

pl_status pl_device_views_make(const pl_loader_options *options, pl_device_views *v) {
  pl_loader_leaf first;
  v->maker = pl_cuda_view_maker();
  v->samples = options->leaf_samples;
  v->config = pl_alloc(1, sizeof *v->config);
  if (!v->config) return PL_E_INTERNAL;
  pl_config_defaults(v->config);
  v->config->run.device = PL_CFG_DEVICE_CUDA;
  PL_TRY(pl_feed_create(v->config, options, &v->feed));
  PL_TRY(pl_loader_next(pl_feed_loader(v->feed), &first));
  v->leaf = first.packed;
  return reserve(options, v);
}

void pl_device_views_free(pl_device_views *v) {
  if (v->views) v->maker->destroy(&v->views); /* before what it may still read */
  if (v->out) v->maker->device->release(v->out);
  if (v->packed) v->maker->device->release(v->packed);
  pl_feed_destroy(&v->feed);
  pl_free(v->config);
  *v = (pl_device_views){0};
}

pl_status pl_device_views_upload(void *state, double *samples) {
  pl_device_views *v = state;
  const pl_device *device = v->maker->device;
  for (int i = 0; i < LEAVES_QUEUED; i++)
    PL_TRY(device->put_pinned(v->packed, v->leaf.view, v->leaf.bytes));
  *samples += (double)(LEAVES_QUEUED * v->samples);
  return device->finish();
}

pl_status pl_device_views_draw(void *state, double *samples) {
  pl_device_views *v = state;
  PL_TRY(v->maker->put(v->views, &v->leaf));
  for (int i = 0; i < LEAVES_QUEUED; i++) {
    if (i + 1 < LEAVES_QUEUED) PL_TRY(v->maker->put(v->views, &v->leaf));
    PL_TRY(v->maker->make(v->views, PL_BF16, v->out));
  }
  *samples += (double)(LEAVES_QUEUED * v->samples);
  return v->maker->device->finish();
}

pl_status pl_device_views_load(void *state, double *samples) {
  pl_device_views *v = state;
  pl_loader_leaf leaf;
  *samples += (double)v->samples;
  return pl_loader_next(pl_feed_loader(v->feed), &leaf);
}

pl_status pl_device_views_feed(void *state, double *samples) {
  pl_device_views *v = state;
  pl_exec_input images = {.place = v->out, .type = PL_BF16};
  pl_loader_leaf leaf;
  *samples += (double)v->samples;
  return pl_feed_next(v->feed, &images, &leaf);
}
