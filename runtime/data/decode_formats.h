/* The decoders behind decode.h, one file each. Inside runtime/data only. */
#ifndef PL_DATA_DECODE_FORMATS_H
#define PL_DATA_DECODE_FORMATS_H

#include "runtime/data/decode.h"

/* Text of a decoder's message, as long as both libraries make them. */
enum { PL_DECODER_WORDS = 256 };

pl_status pl_decode_jpeg(const uint8_t *bytes, size_t size, pl_image *image);
pl_status pl_decode_png(const uint8_t *bytes, size_t size, pl_image *image);

/* Checks the size that a header claims before anything is reserved for it, then reserves. No file
 * of `size` bytes can hold more than `pixels_per_byte` pixels for each of them. */
pl_status pl_decode_reserve(pl_image *image, uint32_t width, uint32_t height, size_t size,
                            unsigned pixels_per_byte);

#endif
