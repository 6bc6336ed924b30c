/* Any bytes as an image file: refused as bad data, or decoded to an image of a sane size that is
 * the same when decoded again. */
#include <stdio.h>
#include <stdlib.h>

#include "runtime/base/hash.h"
#include "runtime/data/decode.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  pl_image image = {0};
  pl_image again = {0};
  pl_status status = pl_decode_image(data, size, &image);
  if (status == PL_OK) {
    size_t bytes = (size_t)image.width * (size_t)image.height * 3;
    if (image.width < 1 || image.width > PL_IMAGE_SIDE_MAX || image.height < 1 ||
        image.height > PL_IMAGE_SIDE_MAX || bytes > image.capacity ||
        pl_decode_image(data, size, &again) != PL_OK ||
        !pl_hash_equal(pl_hash(image.pixels, bytes), pl_hash(again.pixels, bytes))) {
      fprintf(stderr, "a decoded image of %d x %d is odd\n", image.width, image.height);
      abort();
    }
  } else if (status != PL_E_DATA) {
    fprintf(stderr, "a bad image is bad data, not: %s\n", pl_last_reason()->message);
    abort();
  }
  pl_image_free(&image);
  pl_image_free(&again);
  return 0;
}
