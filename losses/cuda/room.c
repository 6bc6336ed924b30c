#include "losses/cuda/room.h"

#include "runtime/cuda/product.h"

enum { ROW_STEP = 8 };

void pl_pair_room_of(const pl_pair_part *part, pl_pair_room *out) {
  const pl_pair_options *options = &part->options;
  int64_t stride = ((int64_t)options->tile_cols + ROW_STEP - 1) / ROW_STEP * ROW_STEP;
  size_t tile = (size_t)stride * (size_t)options->tile_rows, width = (size_t)options->width;
  size_t local = (size_t)part->local_rows, total = (size_t)part->total_rows;
  size_t element = pl_dtype_bytes(options->type);
  *out = (pl_pair_room){
      .stride = stride,
      .tile = (int64_t)tile,
      .column_bytes = total * width * element,
      .tile_bytes = tile * sizeof(float),
      .weight_bytes = options->type == PL_F32 ? 0 : tile * element,
      .state_bytes = local * PL_PAIR_MAX_STATE,
      .row_stat_bytes = local * PL_PAIR_MAX_STATS * sizeof(float),
      .col_stat_bytes = total * PL_PAIR_MAX_STATS * sizeof(float),
      .scratch_bytes = PL_PRODUCT_MOST_SCRATCH,
  };
}

size_t pl_pair_room_bytes(const pl_pair_room *room, bool mirror) {
  if (mirror) return room->column_bytes;
  return room->column_bytes + room->tile_bytes + room->weight_bytes + room->state_bytes +
         room->row_stat_bytes + room->col_stat_bytes + room->scratch_bytes;
}
