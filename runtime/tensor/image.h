/* From the master values of a slice to the compute image that kernels read
 * (runtime/tensor/space.h), both in memory of one device. */
#ifndef PL_TENSOR_IMAGE_H
#define PL_TENSOR_IMAGE_H

#include "runtime/tensor/device.h"
#include "runtime/tensor/space.h"

/* Where the blocks of a slice belong in the image, and as what. */
typedef struct pl_image_map pl_image_map;

/* device and slice must outlive it. */
pl_status pl_image_map_create(const pl_device *device, const pl_space *space, const pl_slice *slice,
                              pl_image_map **out);
void pl_image_map_destroy(pl_image_map **map);

/* Writes the slice's blocks of bucket `bucket`, or of all buckets, from master values
 * (slice->blocks * PL_BLOCK floats), converted to compute types, to where they belong in the
 * compute image. */
pl_status pl_image_write(const pl_image_map *map, int bucket, const float *master, void *image);
pl_status pl_image_write_all(const pl_image_map *map, const float *master, void *image);

#endif
