#include <png.h>
#include <stdio.h>
#include <string.h>

#include "runtime/data/decode_formats.h"

/* Deflate packs at most 1032 bytes into one, each of them eight pixels of one bit. */
enum { PIXELS_PER_BYTE = 1032 * 8 };

typedef struct png_reader {
  png_structp png;
  png_infop info;
  const uint8_t *bytes;
  size_t left;
  pl_status refused; /* a failure that already has its reason */
  char words[PL_DECODER_WORDS];
} png_reader;

static void on_error(png_structp png, png_const_charp words) {
  png_reader *reader = png_get_error_ptr(png);
  snprintf(reader->words, sizeof reader->words, "%s", words);
  png_longjmp(png, 1);
}

/* libpng warns of what does not concern the pixels: odd profiles, damaged comments. */
static void ignore_warning(png_structp png, png_const_charp words) {
  (void)png;
  (void)words;
}

static void read_bytes(png_structp png, png_bytep into, size_t size) {
  png_reader *reader = png_get_io_ptr(png);
  if (size > reader->left) png_error(png, "the file ends early");
  memcpy(into, reader->bytes, size);
  reader->bytes += size;
  reader->left -= size;
}

/* With a gamma in the file libpng would blend in linear light; without these chunks it blends in
 * stored values, and nothing of them is parsed. */
static void skip_colour_chunks(png_structp png) {
  static const png_byte names[] = "gAMA\0cHRM\0sRGB\0iCCP";
  png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, names, sizeof names / 5);
}

/* Whatever is stored comes out as 8-bit RGB, with transparency blended over white in stored
 * (not linear) values, as browsers and image viewers do. */
static void ask_for_rgb(png_structp png, png_infop info) {
  /* of 8 bits, since libpng blends what is left of 16-bit values */
  static const png_color_16 white = {.red = 255, .green = 255, .blue = 255, .gray = 255};
  bool transparent = (png_get_color_type(png, info) & PNG_COLOR_MASK_ALPHA) != 0 ||
                     png_get_valid(png, info, PNG_INFO_tRNS) != 0;
  png_set_expand(png);
  png_set_scale_16(png);
  png_set_gray_to_rgb(png);
  if (transparent) png_set_background(png, &white, PNG_BACKGROUND_GAMMA_SCREEN, 0, 1.0);
}

/* The part that libpng may leave by longjmp: nothing here owns memory. */
static void decode_rows(png_reader *reader, size_t size, pl_image *image) {
  png_structp png = reader->png;
  png_set_read_fn(png, reader, read_bytes);
  skip_colour_chunks(png);
  png_read_info(png, reader->info);
  reader->refused =
      pl_decode_reserve(image, png_get_image_width(png, reader->info),
                        png_get_image_height(png, reader->info), size, PIXELS_PER_BYTE);
  if (reader->refused != PL_OK) return;
  ask_for_rgb(png, reader->info);
  int passes = png_set_interlace_handling(png);
  png_read_update_info(png, reader->info);
  size_t row_bytes = (size_t)image->width * 3;
  if (png_get_rowbytes(png, reader->info) != row_bytes) png_error(png, "unexpected row size");
  for (int pass = 0; pass < passes; pass++) {
    for (int y = 0; y < image->height; y++) {
      png_read_row(png, image->pixels + (size_t)y * row_bytes, NULL);
    }
  }
  png_read_end(png, NULL);
}

/* `reader` belongs to the caller, so that what it holds is certain after a longjmp. */
static pl_status decode_guarded(png_reader *reader, size_t size, pl_image *image) {
  if (setjmp(png_jmpbuf(reader->png)) != 0) {
    return PL_FAIL(PL_E_DATA, "damaged PNG: %s", reader->words);
  }
  png_set_user_limits(reader->png, PL_IMAGE_SIDE_MAX, PL_IMAGE_SIDE_MAX);
  decode_rows(reader, size, image);
  return reader->refused;
}

pl_status pl_decode_png(const uint8_t *bytes, size_t size, pl_image *image) {
  png_reader reader = {.bytes = bytes, .left = size, .refused = PL_OK};
  reader.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &reader, on_error, ignore_warning);
  if (reader.png) reader.info = png_create_info_struct(reader.png);
  pl_status status = reader.info ? decode_guarded(&reader, size, image)
                                 : PL_FAIL(PL_E_INTERNAL, "libpng cannot start");
  png_destroy_read_struct(&reader.png, &reader.info, NULL);
  return status;
}
