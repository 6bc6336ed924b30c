/* launch/picture: PNG in base64, read back. */
#include <stdlib.h>
#include <string.h>

#include "launch/gallery/picture.h"
#include "runtime/base/memory.h"
#include "runtime/base/random.h"
#include "runtime/data/decode.h"
#include "tests/check.h"

static void check_base64(const char *bytes, const char *expected) {
  char *text = NULL;
  size_t size = 0;
  FILE *out = open_memstream(&text, &size);
  assert_non_null(out);
  pl_write_base64(out, (const uint8_t *)bytes, strlen(bytes));
  assert_int_equal(fclose(out), 0);
  assert_string_equal(text, expected);
  free(text);
}

/* RFC 4648, section 10, and bytes whose digits are the last of the alphabet. */
static void base64(void **state) {
  (void)state;
  check_base64("", "");
  check_base64("f", "Zg==");
  check_base64("fo", "Zm8=");
  check_base64("foo", "Zm9v");
  check_base64("foob", "Zm9vYg==");
  check_base64("fooba", "Zm9vYmE=");
  check_base64("foobar", "Zm9vYmFy");
  check_base64("\xfb\xff\xbf", "+/+/");
}

static int value_of(char digit) {
  if (digit >= 'A' && digit <= 'Z') return digit - 'A';
  if (digit >= 'a' && digit <= 'z') return digit - 'a' + 26;
  if (digit >= '0' && digit <= '9') return digit - '0' + 52;
  assert_true(digit == '+' || digit == '/');
  return digit == '+' ? 62 : 63;
}

/* The bytes of base64 text, in its place. */
static size_t read_base64(char *text) {
  size_t length = strlen(text), size = 0;
  assert_int_equal(length % 4, 0);
  for (size_t i = 0; i < length; i += 4) {
    int padding = (text[i + 2] == '=') + (text[i + 3] == '=');
    unsigned group = 0;
    for (size_t k = 0; k < 4; k++) {
      group = group << 6 | (text[i + k] == '=' ? 0 : (unsigned)value_of(text[i + k]));
    }
    for (int k = 0; k < 3 - padding; k++) text[size++] = (char)(group >> (16 - 8 * k));
  }
  return size;
}

static void fill(pl_image *image, int width, int height) {
  pl_random random = pl_random_stream(3, PL_RANDOM_TEST, 0, 0, 0);
  CHECK_OK(pl_image_resize(image, width, height));
  for (int i = 0; i < width * height * 3; i++) image->pixels[i] = (uint8_t)pl_random_bits(&random);
}

/* Random pixels, which nothing packs, come back as they were. */
static void png_comes_back(void **state) {
  (void)state;
  static const char start[] = "data:image/png;base64,";
  const int sizes[][2] = {{1, 1}, {2, 3}, {32, 32}, {96, 96}, {5, 200}};
  for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
    pl_image image = {0}, back = {0};
    char *text = NULL;
    size_t size = 0;
    fill(&image, sizes[s][0], sizes[s][1]);
    FILE *out = open_memstream(&text, &size);
    assert_non_null(out);
    CHECK_OK(pl_write_png_uri(out, &image));
    assert_int_equal(fclose(out), 0);
    assert_memory_equal(text, start, sizeof start - 1);
    char *file = text + sizeof start - 1;
    size_t file_size = read_base64(file);
    CHECK_OK(pl_decode_image((const uint8_t *)file, file_size, &back));
    assert_int_equal(back.width, image.width);
    assert_int_equal(back.height, image.height);
    assert_memory_equal(back.pixels, image.pixels, (size_t)(image.width * image.height * 3));
    free(text);
    pl_image_free(&image);
    pl_image_free(&back);
  }
}

static pl_augment_options options_for(int size) {
  return (pl_augment_options){.size = size,
                              .interpolation = PL_BICUBIC,
                              .centre_ratio = 1,
                              .mean = {0.5F, 0.4F, 0.3F},
                              .std = {0.2F, 0.3F, 0.4F}};
}

/* At its own size a picture is the image itself, whatever it is normalised with for the encoder. */
static void a_picture_is_not_normalised(void **state) {
  (void)state;
  pl_image image = {0};
  pl_picture picture = {0};
  pl_view_params params;
  fill(&image, 40, 32);
  pl_augment_options options = options_for(32);
  pl_augment_centre(&options, 40, 32, &params);
  CHECK_OK(pl_picture_take(&picture, &options, &params, &image));
  assert_int_equal(picture.image.width, 32);
  assert_int_equal(picture.image.height, 32);
  for (int y = 0; y < 32; y++) {
    assert_memory_equal(picture.image.pixels + y * 32 * 3, image.pixels + (y * 40 + 4) * 3, 32 * 3);
  }
  pl_picture_free(&picture);
  pl_image_free(&image);
}

/* Large views keep their proportions and mean colours: here each quarter has its own. */
static void large_views_are_scaled_down(void **state) {
  (void)state;
  enum { SIDE = 224 };
  pl_image image = {0};
  pl_picture picture = {0};
  pl_view_params params;
  CHECK_OK(pl_image_resize(&image, SIDE, SIDE));
  for (int i = 0; i < SIDE * SIDE; i++) {
    image.pixels[3 * i] = i % SIDE < SIDE / 2 ? 200 : 20;
    image.pixels[3 * i + 1] = i / SIDE < SIDE / 2 ? 150 : 50;
    image.pixels[3 * i + 2] = 99;
  }
  pl_augment_options options = options_for(SIDE);
  pl_augment_centre(&options, SIDE, SIDE, &params);
  params.flip = true;
  /* first a small one, whose memory does not suffice */
  pl_augment_options small = options_for(8);
  CHECK_OK(pl_picture_take(&picture, &small, &params, &image));
  assert_int_equal(picture.image.width, 8);
  CHECK_OK(pl_picture_take(&picture, &options, &params, &image));
  assert_int_equal(picture.image.width, PL_PICTURE_SIDE_MAX);
  assert_int_equal(picture.image.height, PL_PICTURE_SIDE_MAX);
  for (int y = 0; y < PL_PICTURE_SIDE_MAX; y++) {
    for (int x = 0; x < PL_PICTURE_SIDE_MAX; x++) {
      int middle = PL_PICTURE_SIDE_MAX / 2;
      if (abs(x - middle) < 4 || abs(y - middle) < 4) continue;
      const uint8_t *pixel = picture.image.pixels + (y * PL_PICTURE_SIDE_MAX + x) * 3;
      assert_int_equal(pixel[0], x < middle ? 20 : 200);
      assert_int_equal(pixel[1], y < middle ? 150 : 50);
      assert_int_equal(pixel[2], 99);
    }
  }
  pl_picture_free(&picture);
  pl_image_free(&image);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(base64),
      cmocka_unit_test(png_comes_back),
      cmocka_unit_test(a_picture_is_not_normalised),
      cmocka_unit_test(large_views_are_scaled_down),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
