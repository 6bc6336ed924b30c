/* Leaves whose views are still to be made: of each view what it is made of, and how.
 *
 * A packed leaf is one block of bytes: an array of pl_packed_view, (views, samples), and behind it
 * their sources. The source of a view is its crop as it was decoded, (height, width, 3) bytes. Only
 * where a crop would be shrunk by more than PL_PACKED_SHRINK, or holds more bytes than what it
 * becomes, the loader has resized it: then it is what pl_augment_resize gives. So a source never is
 * larger than the view in f32, however large the image. */
#ifndef PL_DATA_PACKED_H
#define PL_DATA_PACKED_H

#include <stddef.h>
#include <stdint.h>

#include "runtime/data/view.h"

enum {
  PL_PACKED_SHRINK = 4,     /* in each direction, and in area */
  PL_PACKED_ALIGNMENT = 16, /* of every source */
};

typedef struct pl_packed_view {
  pl_view_params params; /* top and left are 0: the source is the crop */
  bool resized;    /* the source is planes of f32, (3, size, size), flipped where it is said */
  uint64_t source; /* where in the block */
} pl_packed_view;

typedef struct pl_packed_leaf {
  const pl_packed_view *view; /* the block */
  size_t views;               /* of all samples */
  size_t bytes;               /* of the block */
} pl_packed_leaf;

/* Whether crops of that size are left as they are for views of side `size`. */
static inline bool pl_packed_keeps(int size, int height, int width) {
  const int64_t most = (int64_t)PL_PACKED_SHRINK * size, side = size;
  return height <= most && width <= most &&
         (int64_t)height * width <= PL_PACKED_SHRINK * side * side;
}

#endif
