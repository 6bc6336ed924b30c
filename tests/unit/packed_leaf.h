/* Packed leaves (runtime/data/packed.h) of made images, in memory of a device's alloc_host. */
#ifndef TESTS_UNIT_PACKED_LEAF_H
#define TESTS_UNIT_PACKED_LEAF_H

#include "runtime/data/view_maker.h"

/* One view and the image it is of. */
typedef struct packed_source {
  pl_image image;
  pl_view_params params;
} packed_source;

/* Noise with runs of plain colours, the corners of the colour cube and greys among them; freed with
 * pl_image_free. */
pl_image packed_image(int width, int height, uint32_t seed);

/* Packs as the loader would. The leaf's block is the caller's (release_host). */
pl_packed_leaf packed_leaf(const pl_device *device, const pl_augment_options *options,
                           const packed_source *source, size_t views);

#endif
