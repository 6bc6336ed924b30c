#include "runtime/base/memory.h"
#include "runtime/data/dataset.h"

void pl_image_free(pl_image *image) {
  pl_free(image->pixels);
  pl_free(image->packed);
  *image = (pl_image){0};
}

static pl_status grow(uint8_t **block, size_t *capacity, size_t bytes) {
  if (bytes <= *capacity) return PL_OK;
  pl_free(*block);
  *capacity = 0;
  *block = pl_alloc(bytes, 1);
  if (!*block) return PL_E_INTERNAL;
  *capacity = bytes;
  return PL_OK;
}

pl_status pl_image_resize(pl_image *image, int width, int height) {
  PL_TRY(grow(&image->pixels, &image->capacity, (size_t)width * (size_t)height * 3));
  image->width = width;
  image->height = height;
  return PL_OK;
}

pl_status pl_image_reserve_packed(pl_image *image, size_t bytes) {
  return grow(&image->packed, &image->packed_capacity, bytes);
}
