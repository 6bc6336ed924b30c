#include "runtime/tensor/image.h"

#include "runtime/base/memory.h"

struct pl_image_map {
  const pl_device *device;
  const pl_slice *slice;
  pl_block_place *place; /* (slice->blocks), in memory of the device */
};

static pl_block_place place_of(const pl_space *space, int64_t block) {
  const pl_param *param = pl_space_param(space, pl_space_block_param(space, block));
  return (pl_block_place){.offset = pl_space_block_offset(space, block),
                          .narrow = param->compute_type == PL_BF16};
}

static pl_status tell_places(const pl_space *space, pl_image_map *map) {
  size_t blocks = (size_t)map->slice->blocks;
  void *there = NULL;
  PL_TRY(map->device->alloc(blocks * sizeof *map->place, &there));
  map->place = there;
  pl_block_place *here = pl_alloc(blocks, sizeof *here);
  if (!here) return PL_E_INTERNAL;
  for (size_t b = 0; b < blocks; b++) here[b] = place_of(space, map->slice->block[b]);
  pl_status status = map->device->put(there, here, blocks * sizeof *here);
  pl_free(here);
  return status;
}

pl_status pl_image_map_create(const pl_device *device, const pl_space *space, const pl_slice *slice,
                              pl_image_map **out) {
  pl_image_map *map = pl_alloc(1, sizeof *map);
  if (!map) return PL_E_INTERNAL;
  map->device = device;
  map->slice = slice;
  pl_status status = tell_places(space, map);
  if (status != PL_OK) pl_image_map_destroy(&map);
  *out = map;
  return status;
}

void pl_image_map_destroy(pl_image_map **map) {
  if (!*map) return;
  (*map)->device->release((*map)->place);
  pl_free(*map);
  *map = NULL;
}

static pl_status write_blocks(const pl_image_map *map, int64_t first, int64_t end,
                              const float *master, void *image) {
  return map->device->write_blocks(image, map->place + first, master + first * PL_BLOCK,
                                   end - first);
}

pl_status pl_image_write(const pl_image_map *map, int bucket, const float *master, void *image) {
  const int64_t *offset = map->slice->bucket_offset + bucket;
  return write_blocks(map, offset[0], offset[1], master, image);
}

pl_status pl_image_write_all(const pl_image_map *map, const float *master, void *image) {
  return write_blocks(map, 0, map->slice->blocks, master, image);
}
