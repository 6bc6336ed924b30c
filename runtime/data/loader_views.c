/* Leaves of finished views: each worker augments what it has read. */
#include <string.h>

#include "runtime/data/loader_sample.h"

static size_t view_floats(const pl_loader_options *o) {
  const size_t side = (size_t)o->augment.size;
  return side * side * 3;
}

static size_t finished_bytes(const pl_loader_options *o) {
  return (size_t)o->views * (size_t)o->leaf_samples * view_floats(o) * sizeof(float);
}

static pl_status make_finished(const pl_loader_options *o, pl_loader_tools *tools,
                               const pl_loader_row *row, pl_loader_room *room) {
  const size_t floats = view_floats(o), stride = floats * (size_t)o->leaf_samples;
  float *first = (float *)room->views + floats * (size_t)row->index;
  for (int v = 0; v < o->views; v++) {
    float *view = first + stride * (size_t)v;
    if (v > 0 && !o->random) {
      memcpy(view, first, floats * sizeof *view);
      continue;
    }
    pl_view_params params;
    pl_loader_view_params(o, row, v, &tools->image, &params);
    PL_TRY(pl_augment_apply(&o->augment, &params, &tools->image, &tools->augment, view));
  }
  return PL_OK;
}

const pl_loader_form pl_loader_finished = {finished_bytes, make_finished};
