#include "runtime/data/decode.h"

#include <string.h>

#include "runtime/data/decode_formats.h"

pl_status pl_decode_reserve(pl_image *image, uint32_t width, uint32_t height, size_t size,
                            unsigned pixels_per_byte) {
  if (width == 0 || height == 0 || width > PL_IMAGE_SIDE_MAX || height > PL_IMAGE_SIDE_MAX) {
    return PL_FAIL(PL_E_DATA, "image of %u x %u pixels; each side must be 1 to %d", width, height,
                   PL_IMAGE_SIDE_MAX);
  }
  if ((uint64_t)width * height / pixels_per_byte > size) {
    return PL_FAIL(PL_E_DATA, "damaged header: %u x %u pixels cannot be held by %zu bytes", width,
                   height, size);
  }
  return pl_image_resize(image, (int)width, (int)height);
}

pl_status pl_decode_image(const uint8_t *bytes, size_t size, pl_image *image) {
  static const uint8_t jpeg[] = {0xff, 0xd8, 0xff};
  static const uint8_t png[] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
  image->decoder_bytes = 0;
  if (size >= sizeof jpeg && memcmp(bytes, jpeg, sizeof jpeg) == 0) {
    return pl_decode_jpeg(bytes, size, image);
  }
  if (size >= sizeof png && memcmp(bytes, png, sizeof png) == 0) {
    return pl_decode_png(bytes, size, image);
  }
  return PL_FAIL(PL_E_DATA, "neither JPEG nor PNG (%zu bytes)", size);
}
