/* Who makes views out of packed leaves (packed.h) on a device: one table of functions, which
 * backends fill.
 *
 * Views are those of pl_augment_apply within rounding, and the same bits each time, whatever else
 * the leaf holds. Copies to the device go on beside what it computes: while it works with one leaf,
 * the next one may be put. */
#ifndef PL_DATA_VIEW_MAKER_H
#define PL_DATA_VIEW_MAKER_H

#include "runtime/base/status.h"
#include "runtime/data/augment.h"
#include "runtime/data/packed.h"
#include "runtime/tensor/device.h"
#include "runtime/tensor/dtype.h"

typedef struct pl_views pl_views; /* belongs to the maker */

typedef struct pl_views_options {
  pl_augment_options augment;
  size_t views;        /* of a leaf */
  size_t packed_bytes; /* of the largest leaf */
} pl_views_options;

typedef struct pl_view_maker {
  const pl_device *device;
  /* Memory of the device that pl_views of these options hold. */
  size_t (*bytes)(const pl_views_options *options);
  pl_status (*create)(const pl_views_options *options, pl_views **out);
  void (*destroy)(pl_views **views); /* NULL is allowed; waits for what is under way */

  /* Begins to copy a leaf, which lies in memory of the device's alloc_host. At most one leaf may be
   * waiting to be made when the next one is put. */
  pl_status (*put)(pl_views *views, const pl_packed_leaf *leaf);
  /* Queues the views of the leaf that was put first of those not made yet: (views, size, size, 3)
   * of `type`, f32 or bf16, into memory of the device. */
  pl_status (*make)(pl_views *views, pl_dtype type, void *place);
  /* Waits until the leaf that was made last has been copied: its block may change. */
  pl_status (*wait)(pl_views *views);
} pl_view_maker;

#endif
