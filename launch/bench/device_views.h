/* Views that a device makes out of what a loader packs, stage by stage. */
#ifndef LAUNCH_BENCH_DEVICE_VIEWS_H
#define LAUNCH_BENCH_DEVICE_VIEWS_H

#include "launch/feed.h"
#include "runtime/data/view_maker.h"

typedef struct pl_device_views {
  const pl_view_maker *maker;
  int64_t samples;     /* of a leaf */
  pl_config *config;   /* says where the feed's views are made */
  pl_feed *feed;       /* as training has it */
  pl_packed_leaf leaf; /* the feed's first, until pl_device_views_load */
  void *packed;        /* room for it on the device */
  pl_views *views;     /* beside the feed's */
  void *out;           /* (views, size, size, 3) bf16, on the device */
} pl_device_views;

/* Starts a loader of these options, `packed_for` aside, on the GPU that is open, and waits for its
 * first leaf. To be freed also after a failure. */
pl_status pl_device_views_make(const pl_loader_options *options, pl_device_views *v);
void pl_device_views_free(pl_device_views *v);

/* The stages, each a pl_bench_work of a pl_device_views that counts samples. Copying the first leaf
 * to the device, over and over. */
pl_status pl_device_views_upload(void *state, double *samples);
/* Its views, while it is copied for the next ones. */
pl_status pl_device_views_draw(void *state, double *samples);
/* Packing by the loader alone; it ends what is known of the first leaf. */
pl_status pl_device_views_load(void *state, double *samples);
/* All of it at the same time, as training gets it. */
pl_status pl_device_views_feed(void *state, double *samples);

#endif
