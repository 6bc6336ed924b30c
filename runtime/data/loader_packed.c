/* Packed leaves (packed.h), for a device that makes the views: workers read, decode, draw, and copy
 * the crops. JPEG is decoded here also for a GPU: nvJPEG comes with few installations of CUDA, and
 * its pixels are not libjpeg's to the last bit. */
#include <string.h>

#include "runtime/data/loader_sample.h"

static size_t align_up(size_t bytes) {
  return (bytes + PL_PACKED_ALIGNMENT - 1) / PL_PACKED_ALIGNMENT * PL_PACKED_ALIGNMENT;
}

static size_t all_views(const pl_loader_options *o) {
  return (size_t)o->views * (size_t)o->leaf_samples;
}

/* Where the sources begin. */
static size_t head_bytes(const pl_loader_options *o) {
  return align_up(all_views(o) * sizeof(pl_packed_view));
}

static size_t resized_bytes(const pl_loader_options *o) {
  const size_t side = (size_t)o->augment.size;
  return 3 * side * side * sizeof(float);
}

/* The largest source: no crop is larger than its image. */
static size_t most_bytes(const pl_loader_options *o) {
  const pl_dataset_info *info = pl_dataset_get_info(o->dataset);
  const size_t pixels = (size_t)info->height * (size_t)info->width;
  if (pixels > 0 && pl_packed_keeps(o->augment.size, info->height, info->width)) return 3 * pixels;
  return resized_bytes(o);
}

static size_t packed_bytes(const pl_loader_options *o) {
  return head_bytes(o) + all_views(o) * align_up(most_bytes(o));
}

static void copy_crop(const pl_image *image, const pl_view_params *params, unsigned char *to) {
  const size_t line = 3 * (size_t)params->width;
  for (int y = 0; y < params->height; y++) {
    size_t first = (size_t)(params->top + y) * (size_t)image->width + (size_t)params->left;
    memcpy(to + line * (size_t)y, image->pixels + 3 * first, line);
  }
}

/* Sources lie in the order in which workers come for room, which no view depends on. */
static pl_status pack(const pl_loader_options *o, pl_loader_tools *tools, pl_loader_room *room,
                      pl_packed_view *view) {
  pl_view_params *params = &view->params;
  view->resized = !pl_packed_keeps(o->augment.size, params->height, params->width);
  size_t bytes = view->resized ? resized_bytes(o) : 3 * (size_t)params->height * params->width;
  view->source = head_bytes(o) +
                 atomic_fetch_add_explicit(&room->taken, align_up(bytes), memory_order_relaxed);
  unsigned char *source = (unsigned char *)room->views + view->source;
  if (view->resized) {
    PL_TRY(pl_augment_resize(&o->augment, params, &tools->image, &tools->augment,
                             (float *)(void *)source));
  } else {
    copy_crop(&tools->image, params, source);
  }
  params->top = params->left = 0;
  return PL_OK;
}

static pl_status make_packed(const pl_loader_options *o, pl_loader_tools *tools,
                             const pl_loader_row *row, pl_loader_room *room) {
  pl_packed_view *first = (pl_packed_view *)room->views + row->index;
  for (int v = 0; v < o->views; v++) {
    pl_packed_view *view = first + (size_t)v * (size_t)o->leaf_samples;
    if (v > 0 && !o->random) {
      *view = *first;
      continue;
    }
    pl_loader_view_params(o, row, v, &tools->image, &view->params);
    PL_TRY(pack(o, tools, room, view));
  }
  return PL_OK;
}

pl_packed_leaf pl_loader_packed_leaf(const pl_loader_options *o, const pl_loader_room *room) {
  return (pl_packed_leaf){
      .view = room->views, .views = all_views(o), .bytes = head_bytes(o) + room->taken};
}

const pl_loader_form pl_loader_packed = {packed_bytes, make_packed};
