/* Decoding: every kind of JPEG and PNG against the pixels it was made from, and nothing that is cut
 * or damaged passes. */
#include <png.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/data/decode.h"
#include "tests/check.h"

/* needs size_t and FILE, which it does not include itself */
#include <jpeglib.h>

enum { WIDTH = 19, HEIGHT = 13, FILE_MAX = 64 * 1024 };

typedef struct file {
  uint8_t bytes[FILE_MAX];
  size_t size;
} file;

/* A smooth picture, so that JPEG keeps close to it. */
static int picture(int x, int y, int channel) {
  static const int slope[4][3] = {{40, 9, 3}, {200, -7, -2}, {90, 2, 8}, {30, 10, 1}};
  return slope[channel][0] + slope[channel][1] * x + slope[channel][2] * y;
}

static void append(png_structp png, png_bytep data, size_t size) {
  file *f = png_get_io_ptr(png);
  if (f->size + size > FILE_MAX) abort();
  memcpy(f->bytes + f->size, data, size);
  f->size += size;
}

static void flush_nothing(png_structp png) { (void)png; }

/* One PNG to make: values of `depth` bits each, `channels` of a pixel, as a function of place. */
typedef struct png_kind {
  const char *name;
  int colour_type, depth, channels;
  bool interlaced, transparent, gamma;
} png_kind;

static const png_kind png_kinds[] = {
    {"rgb", PNG_COLOR_TYPE_RGB, 8, 3, false, false, false},
    {"rgb interlaced", PNG_COLOR_TYPE_RGB, 8, 3, true, false, false},
    {"rgb with gamma", PNG_COLOR_TYPE_RGB, 8, 3, false, false, true},
    {"rgb 16", PNG_COLOR_TYPE_RGB, 16, 3, false, false, false},
    {"rgb with a transparent colour", PNG_COLOR_TYPE_RGB, 8, 3, false, true, false},
    {"rgba", PNG_COLOR_TYPE_RGB_ALPHA, 8, 4, false, false, false},
    {"rgba interlaced with gamma", PNG_COLOR_TYPE_RGB_ALPHA, 8, 4, true, false, true},
    {"rgba 16", PNG_COLOR_TYPE_RGB_ALPHA, 16, 4, false, false, false},
    {"grey", PNG_COLOR_TYPE_GRAY, 8, 1, false, false, false},
    {"grey 1", PNG_COLOR_TYPE_GRAY, 1, 1, false, false, false},
    {"grey 2", PNG_COLOR_TYPE_GRAY, 2, 1, true, false, false},
    {"grey 4", PNG_COLOR_TYPE_GRAY, 4, 1, false, false, false},
    {"grey 4 with a transparent colour", PNG_COLOR_TYPE_GRAY, 4, 1, false, true, false},
    {"grey 16", PNG_COLOR_TYPE_GRAY, 16, 1, false, false, false},
    {"grey alpha", PNG_COLOR_TYPE_GRAY_ALPHA, 8, 2, false, false, false},
    {"grey alpha 16", PNG_COLOR_TYPE_GRAY_ALPHA, 16, 2, true, false, false},
    {"palette 8", PNG_COLOR_TYPE_PALETTE, 8, 1, false, false, false},
    {"palette 4", PNG_COLOR_TYPE_PALETTE, 4, 1, true, false, false},
    {"palette 8 with alpha", PNG_COLOR_TYPE_PALETTE, 8, 1, false, true, false},
    {"palette 1 with alpha", PNG_COLOR_TYPE_PALETTE, 1, 1, false, true, false},
};

static unsigned stored_value(const png_kind *kind, int x, int y, int channel) {
  unsigned most = (1U << kind->depth) - 1;
  if (kind->depth == 16) return ((unsigned)picture(x, y, channel) * 257U + 100U * x) & most;
  return kind->depth == 8 ? (unsigned)picture(x, y, channel) : (unsigned)(x + 3 * y) & most;
}

/* The transparent colour, where there is one, is that of the pixel at (5, 5). */
static unsigned key_value(const png_kind *kind) { return stored_value(kind, 5, 5, 0); }

static void palette_entry(unsigned index, uint8_t rgb[3]) {
  for (int c = 0; c < 3; c++) rgb[c] = (uint8_t)(index * (37U + 20U * (unsigned)c) + 11U);
}

static uint8_t palette_alpha(unsigned index) { return (uint8_t)(255 - 9 * index); }

static void write_palette(png_structp png, png_infop info, const png_kind *kind) {
  png_color palette[256];
  uint8_t alpha[256];
  int entries = 1 << kind->depth;
  for (int i = 0; i < entries; i++) {
    uint8_t rgb[3];
    palette_entry((unsigned)i, rgb);
    palette[i] = (png_color){rgb[0], rgb[1], rgb[2]};
    alpha[i] = palette_alpha((unsigned)i);
  }
  png_set_PLTE(png, info, palette, entries);
  if (kind->transparent) png_set_tRNS(png, info, alpha, entries, NULL);
}

static void write_key(png_structp png, png_infop info, const png_kind *kind) {
  png_color_16 key = {.gray = (png_uint_16)key_value(kind),
                      .red = (png_uint_16)stored_value(kind, 5, 5, 0),
                      .green = (png_uint_16)stored_value(kind, 5, 5, 1),
                      .blue = (png_uint_16)stored_value(kind, 5, 5, 2)};
  png_set_tRNS(png, info, NULL, 0, &key);
}

static void write_png_rows(png_structp png, const png_kind *kind) {
  uint8_t rows[HEIGHT][WIDTH * 8] = {{0}};
  png_bytep pointers[HEIGHT];
  for (int y = 0; y < HEIGHT; y++) {
    pointers[y] = rows[y];
    for (int i = 0; i < WIDTH * kind->channels; i++) {
      unsigned value = stored_value(kind, i / kind->channels, y, i % kind->channels);
      if (kind->depth == 16) {
        rows[y][2 * i] = (uint8_t)(value >> 8);
        rows[y][2 * i + 1] = (uint8_t)value;
      } else {
        int bit = i * kind->depth;
        rows[y][bit / 8] |= (uint8_t)(value << (8 - kind->depth - bit % 8));
      }
    }
  }
  png_write_image(png, pointers);
}

static void make_png(const png_kind *kind, file *f) {
  png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
  png_infop info = png_create_info_struct(png);
  if (setjmp(png_jmpbuf(png)) != 0) abort();
  f->size = 0;
  png_set_write_fn(png, f, append, flush_nothing);
  png_set_IHDR(png, info, WIDTH, HEIGHT, kind->depth, kind->colour_type,
               kind->interlaced ? PNG_INTERLACE_ADAM7 : PNG_INTERLACE_NONE,
               PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  if (kind->colour_type == PNG_COLOR_TYPE_PALETTE) {
    write_palette(png, info, kind);
  } else if (kind->transparent) {
    write_key(png, info, kind);
  }
  if (kind->gamma) png_set_gAMA(png, info, 0.8);
  png_write_info(png, info);
  write_png_rows(png, kind);
  png_write_end(png, info);
  png_destroy_write_struct(&png, &info);
}

static double over_white(double value, double alpha) { return value * alpha + 255 * (1 - alpha); }

static bool is_key(const png_kind *kind, int x, int y) {
  if (kind->channels == 1) return stored_value(kind, x, y, 0) == key_value(kind);
  bool same = true;
  for (int c = 0; c < 3; c++) same &= stored_value(kind, x, y, c) == stored_value(kind, 5, 5, c);
  return same;
}

static double expected_png(const png_kind *kind, int x, int y, int channel) {
  double most = (1U << kind->depth) - 1;
  unsigned first = stored_value(kind, x, y, 0);
  if (kind->colour_type == PNG_COLOR_TYPE_PALETTE) {
    uint8_t rgb[3];
    palette_entry(first, rgb);
    return over_white(rgb[channel], kind->transparent ? palette_alpha(first) / 255.0 : 1);
  }
  bool grey = kind->channels < 3;
  double value = 255 * stored_value(kind, x, y, grey ? 0 : channel) / most;
  if (kind->transparent) return over_white(value, !is_key(kind, x, y));
  if (kind->channels % 2 == 1) return value;
  return over_white(value, stored_value(kind, x, y, kind->channels - 1) / most);
}

static void check_png(const png_kind *kind, const pl_image *image) {
  assert_int_equal(image->width, WIDTH);
  assert_int_equal(image->height, HEIGHT);
  /* 16-bit values and alpha are rounded to 8 bits each, and blended then. */
  double tolerance = kind->depth == 16 && kind->channels % 2 == 0 ? 1.01 : 0.51;
  for (int i = 0; i < WIDTH * HEIGHT * 3; i++) {
    double expected = expected_png(kind, i / 3 % WIDTH, i / 3 / WIDTH, i % 3);
    if (!(fabs(image->pixels[i] - expected) <= tolerance)) {
      fail_msg("%s: value %d is %d, expected %.2f", kind->name, i, image->pixels[i], expected);
    }
  }
}

static void test_png(void **state) {
  (void)state;
  file *f = malloc(sizeof *f);
  pl_image image = {0};
  assert_non_null(f);
  for (size_t k = 0; k < sizeof png_kinds / sizeof *png_kinds; k++) {
    make_png(&png_kinds[k], f);
    CHECK_OK(pl_decode_image(f->bytes, f->size, &image));
    check_png(&png_kinds[k], &image);
    for (size_t size = 0; size < f->size; size++) {
      assert_int_equal(pl_decode_image(f->bytes, size, &image), PL_E_DATA);
    }
  }
  pl_image_free(&image);
  free(f);
}

typedef struct jpeg_kind {
  const char *name;
  int channels;
  J_COLOR_SPACE in, stored;
  bool progressive, arithmetic;
  double tolerance;
} jpeg_kind;

static const jpeg_kind jpeg_kinds[] = {
    {"colour", 3, JCS_RGB, JCS_YCbCr, false, false, 6},
    {"colour, progressive", 3, JCS_RGB, JCS_YCbCr, true, false, 6},
    {"colour, arithmetic", 3, JCS_RGB, JCS_YCbCr, false, true, 6},
    {"stored as RGB", 3, JCS_RGB, JCS_RGB, false, false, 4},
    {"grey", 1, JCS_GRAYSCALE, JCS_GRAYSCALE, false, false, 4},
    {"CMYK", 4, JCS_CMYK, JCS_CMYK, false, false, 6},
    {"YCCK", 4, JCS_CMYK, JCS_YCCK, false, false, 8},
};

static void make_jpeg(const jpeg_kind *kind, file *f) {
  struct jpeg_compress_struct jpeg;
  struct jpeg_error_mgr errors;
  unsigned char *bytes = NULL;
  unsigned long size = 0;
  jpeg.err = jpeg_std_error(&errors);
  jpeg_create_compress(&jpeg);
  jpeg_mem_dest(&jpeg, &bytes, &size);
  jpeg.image_width = WIDTH;
  jpeg.image_height = HEIGHT;
  jpeg.input_components = kind->channels;
  jpeg.in_color_space = kind->in;
  jpeg_set_defaults(&jpeg);
  jpeg_set_colorspace(&jpeg, kind->stored);
  jpeg_set_quality(&jpeg, 98, TRUE);
  for (int c = 0; c < jpeg.num_components; c++) {
    jpeg.comp_info[c].h_samp_factor = jpeg.comp_info[c].v_samp_factor = 1;
  }
  jpeg.arith_code = kind->arithmetic;
  if (kind->progressive) jpeg_simple_progression(&jpeg);
  jpeg_start_compress(&jpeg, TRUE);
  for (int y = 0; y < HEIGHT; y++) {
    uint8_t values[WIDTH * 4];
    uint8_t *row = values;
    for (int i = 0; i < WIDTH * kind->channels; i++) {
      values[i] = (uint8_t)picture(i / kind->channels, y, i % kind->channels);
    }
    jpeg_write_scanlines(&jpeg, &row, 1);
  }
  jpeg_finish_compress(&jpeg);
  jpeg_destroy_compress(&jpeg);
  if (size > FILE_MAX) abort();
  memcpy(f->bytes, bytes, size);
  f->size = size;
  free(bytes);
}

/* libjpeg marks both kinds of CMYK with Adobe's marker or not, as it writes them: YCCK with it,
 * and values then count the light that ink leaves. */
static double expected_jpeg(const jpeg_kind *kind, int x, int y, int channel) {
  if (kind->channels == 1) return picture(x, y, 0);
  if (kind->channels == 3) return picture(x, y, channel);
  return picture(x, y, channel) * picture(x, y, 3) / 255.0;
}

static void test_jpeg(void **state) {
  (void)state;
  file *f = malloc(sizeof *f);
  pl_image image = {0};
  assert_non_null(f);
  for (size_t k = 0; k < sizeof jpeg_kinds / sizeof *jpeg_kinds; k++) {
    const jpeg_kind *kind = &jpeg_kinds[k];
    make_jpeg(kind, f);
    CHECK_OK(pl_decode_image(f->bytes, f->size, &image));
    assert_int_equal(image.width, WIDTH);
    assert_int_equal(image.height, HEIGHT);
    for (int i = 0; i < WIDTH * HEIGHT * 3; i++) {
      double expected = expected_jpeg(kind, i / 3 % WIDTH, i / 3 / WIDTH, i % 3);
      if (fabs(image.pixels[i] - expected) > kind->tolerance) {
        fail_msg("%s: value %d is %d, expected %.1f", kind->name, i, image.pixels[i], expected);
      }
    }
    for (size_t size = 0; size < f->size; size++) {
      assert_int_equal(pl_decode_image(f->bytes, size, &image), PL_E_DATA);
    }
  }
  pl_image_free(&image);
  free(f);
}

/* Without Adobe's marker, CMYK counts ink. */
static void test_cmyk_of_ink(void **state) {
  (void)state;
  static const uint8_t adobe[] = {0xff, 0xee, 0, 14, 'A', 'd', 'o', 'b', 'e'};
  enum { MARKER_BYTES = 16 };
  file *f = malloc(sizeof *f);
  pl_image image = {0};
  assert_non_null(f);
  make_jpeg(&jpeg_kinds[5], f);
  uint8_t *marker = memmem(f->bytes, f->size, adobe, sizeof adobe);
  assert_non_null(marker);
  f->size -= MARKER_BYTES;
  memmove(marker, marker + MARKER_BYTES, f->size - (size_t)(marker - f->bytes));
  CHECK_OK(pl_decode_image(f->bytes, f->size, &image));
  for (int i = 0; i < WIDTH * HEIGHT * 3; i++) {
    int x = i / 3 % WIDTH;
    int y = i / 3 / WIDTH;
    double expected = (255 - picture(x, y, i % 3)) * (255 - picture(x, y, 3)) / 255.0;
    if (fabs(image.pixels[i] - expected) > 6) {
      fail_msg("value %d is %d, expected %.1f", i, image.pixels[i], expected);
    }
  }
  pl_image_free(&image);
  free(f);
}

static void test_damage_is_named(void **state) {
  (void)state;
  file *f = malloc(sizeof *f);
  pl_image image = {0};
  assert_non_null(f);
  CHECK_FAILS(PL_E_DATA, "neither JPEG nor PNG (5 bytes)",
              pl_decode_image((const uint8_t *)"GIF89", 5, &image));
  make_jpeg(&jpeg_kinds[0], f);
  CHECK_FAILS(PL_E_DATA, "damaged JPEG: Premature end of JPEG file",
              pl_decode_image(f->bytes, f->size - 20, &image));
  make_png(&png_kinds[0], f);
  CHECK_FAILS(PL_E_DATA, "damaged PNG: the file ends early",
              pl_decode_image(f->bytes, f->size - 20, &image));
  f->bytes[f->size - 20] ^= 1; /* in the last piece of pixels or its checksum */
  CHECK_FAILS(PL_E_DATA, "damaged PNG: ", pl_decode_image(f->bytes, f->size, &image));
  pl_image_free(&image);
  free(f);
}

/* Headers that claim more than the file can hold must not be believed, nor memory be reserved. */
static void test_header_is_not_believed(void **state) {
  (void)state;
  file *f = malloc(sizeof *f);
  pl_image image = {0};
  assert_non_null(f);
  make_jpeg(&jpeg_kinds[0], f);
  static const uint8_t frame[] = {0xff, 0xc0, 0, 17, 8};
  uint8_t *sides = (uint8_t *)memmem(f->bytes, f->size, frame, sizeof frame) + sizeof frame;
  memcpy(sides, (uint8_t[]){0x40, 0x00, 0x40, 0x00}, 4); /* 16384 x 16384 */
  CHECK_FAILS(PL_E_DATA, "damaged header: 16384 x 16384 pixels cannot be held by",
              pl_decode_image(f->bytes, f->size, &image));
  memcpy(sides, (uint8_t[]){0x00, 0x01, 0x40, 0x01}, 4);
  CHECK_FAILS(PL_E_DATA, "image of 16385 x 1 pixels; each side must be 1 to 16384",
              pl_decode_image(f->bytes, f->size, &image));
  assert_null(image.pixels);
  free(f);
}

/* The same buffer serves images of any size, one after another. */
static void test_buffer_is_reused(void **state) {
  (void)state;
  file *f = malloc(sizeof *f);
  pl_image image = {0};
  assert_non_null(f);
  make_png(&png_kinds[0], f);
  CHECK_OK(pl_image_resize(&image, 100, 100));
  const uint8_t *before = image.pixels;
  CHECK_OK(pl_image_reserve_packed(&image, f->size));
  memcpy(image.packed, f->bytes, f->size);
  CHECK_OK(pl_decode_image(image.packed, f->size, &image));
  assert_ptr_equal(image.pixels, before);
  check_png(&png_kinds[0], &image);
  pl_image_free(&image);
  assert_null(image.pixels);
  free(f);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_png),
      cmocka_unit_test(test_jpeg),
      cmocka_unit_test(test_cmyk_of_ink),
      cmocka_unit_test(test_damage_is_named),
      cmocka_unit_test(test_header_is_not_believed),
      cmocka_unit_test(test_buffer_is_reused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
