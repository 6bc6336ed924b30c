/* Image files into 8-bit RGB: JPEG through libjpeg-turbo, PNG through libpng. Grey, palette and
 * 16-bit images become RGB; alpha is laid over white; CMYK JPEG is converted. Colour profiles,
 * gamma and orientation tags are not applied. */
#ifndef PL_DATA_DECODE_H
#define PL_DATA_DECODE_H

#include "runtime/data/dataset.h"

/* Larger images are refused (PL_E_DATA): a header must not make us reserve all memory. */
enum { PL_IMAGE_SIDE_MAX = 16384 };

/* Decodes `size` bytes, which may lie in image->packed. PL_E_DATA for anything that isn't a whole,
 * valid image, with the decoder's words. Safe from several threads with different `image`s. */
pl_status pl_decode_image(const uint8_t *bytes, size_t size, pl_image *image);

#endif
