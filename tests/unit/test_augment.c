/* Augmentation: views against torchvision's (tests/parity/augment_reference.py), the distribution
 * of drawn parameters, and bad input. */
#include <string.h>

#include "runtime/base/file.h"
#include "runtime/base/memory.h"
#include "runtime/data/augment.h"
#include "tests/check.h"

/* As in augment_reference.py. */
typedef struct record {
  char name[32];
  int32_t image_width, image_height, size, bicubic;
  int32_t top, left, height, width;
  int32_t flip, jitter, grey, kernel, solarize;
  int32_t order[4];
  float brightness, contrast, saturation, hue, sigma;
  float mean[3], std[3];
} record;
_Static_assert(sizeof(record) == 144, "the stored record has no gaps");

static pl_augment_options plain_options(int size) {
  return (pl_augment_options){.size = size,
                              .crop_min = 0.08,
                              .crop_max = 1,
                              .aspect_min = 3.0 / 4,
                              .aspect_max = 4.0 / 3,
                              .blur_sigma_min = 0.1,
                              .blur_sigma_max = 2,
                              .centre_ratio = 1,
                              .std = {1, 1, 1}};
}

static pl_augment_options simclr_options(int size) {
  pl_augment_options options = plain_options(size);
  options.random_crop = true;
  options.flip = 0.5;
  options.jitter = 0.8;
  options.brightness = options.contrast = options.saturation = 0.8;
  options.hue = 0.2;
  options.grey = 0.2;
  options.blur = 0.5;
  options.solarize = 0.1;
  return options;
}

static void make_noise_image(int width, int height, pl_image *image) {
  static const uint8_t corners[10][3] = {
      {0, 0, 0},     {255, 255, 255}, {255, 0, 0},   {0, 255, 0},     {0, 0, 255},
      {255, 255, 0}, {0, 255, 255},   {255, 0, 255}, {128, 128, 128}, {127, 128, 128}};
  size_t bytes = (size_t)width * height * 3;
  *image = (pl_image){.width = width, .height = height, .capacity = bytes};
  image->pixels = pl_alloc(bytes, 1);
  uint32_t state = 1;
  for (size_t i = 0; i < bytes; i++) {
    state = state * 1664525 + 1013904223;
    image->pixels[i] = (uint8_t)(state >> 24);
  }
  memcpy(image->pixels, corners, sizeof corners[0] * (width < 10 ? width : 10));
}

static void compare_view(const record *r, const float *expected, pl_augment_scratch *scratch) {
  pl_augment_options options = plain_options(r->size);
  options.interpolation = r->bicubic ? PL_BICUBIC : PL_BILINEAR;
  options.blur_kernel = r->kernel;
  memcpy(options.mean, r->mean, sizeof options.mean);
  memcpy(options.std, r->std, sizeof options.std);
  CHECK_OK(pl_augment_check(&options));
  pl_view_params params = {.top = r->top,
                           .left = r->left,
                           .height = r->height,
                           .width = r->width,
                           .flip = r->flip != 0,
                           .jitter = r->jitter != 0,
                           .grey = r->grey != 0,
                           .blur = r->kernel != 0,
                           .solarize = r->solarize != 0,
                           .brightness = r->brightness,
                           .contrast = r->contrast,
                           .saturation = r->saturation,
                           .hue = r->hue,
                           .sigma = r->sigma};
  for (int i = 0; i < 4; i++) params.jitter_order[i] = r->order[i];

  pl_image image;
  make_noise_image(r->image_width, r->image_height, &image);
  size_t n = (size_t)r->size * r->size * 3;
  float *view = pl_alloc(n, sizeof *view);
  CHECK_OK(pl_augment_apply(&options, &params, &image, scratch, view));
  double worst = 0;
  for (size_t i = 0; i < n; i++) {
    double error = fabs((double)view[i] - (double)expected[i]);
    if (!(error <= worst)) worst = error; /* takes a NaN, too */
  }
  /* Values in [0, 1]; normalising divides their error by the deviation. The large shrink factors
   * and the hue of nearly grey pixels magnify rounding most. */
  double tolerance = 2e-6 / r->std[0];
  print_message("%-32s largest difference %.2g\n", r->name, worst);
  if (!(worst <= tolerance)) {
    print_error("%s: differs by %g, more than %g\n", r->name, worst, tolerance);
    fail();
  }
  pl_free(view);
  pl_image_free(&image);
}

static void views_match_torchvision(void **state) {
  (void)state;
  char *file = NULL;
  size_t size = 0;
  CHECK_OK(pl_read_file(PL_TEST_FOLDER "/../parity/augment/views.bin", 1 << 20, &file, &size));
  int32_t count = 0;
  memcpy(&count, file, sizeof count);
  assert_in_range(count, 40, 100);
  const char *at = file + sizeof count;
  pl_augment_scratch scratch = {0};
  for (int32_t k = 0; k < count; k++) {
    record r;
    memcpy(&r, at, sizeof r);
    at += sizeof r;
    size_t bytes = (size_t)r.size * r.size * 3 * sizeof(float);
    float *expected = pl_alloc(bytes, 1);
    memcpy(expected, at, bytes);
    at += bytes;
    compare_view(&r, expected, &scratch);
    pl_free(expected);
  }
  assert_ptr_equal(at, file + size);
  pl_augment_scratch_free(&scratch);
  pl_free(file);
}

/* Neither what scratch held before nor where it lies may show in a view. */
static void scratch_leaves_no_trace(void **state) {
  (void)state;
  enum { SIZE = 19, N = SIZE * SIZE * 3 };
  pl_augment_options options = simclr_options(SIZE);
  pl_image image;
  make_noise_image(40, 30, &image);
  pl_augment_scratch used = {0};
  float first[N], again[N];
  for (uint32_t v = 0; v < 50; v++) {
    pl_random random = pl_random_stream(1, PL_RANDOM_TEST, v, 0, 0);
    pl_view_params params;
    pl_augment_draw(&options, image.width, image.height, &random, &params);
    pl_augment_scratch fresh = {0};
    CHECK_OK(pl_augment_apply(&options, &params, &image, &fresh, first));
    pl_augment_scratch_free(&fresh);
    if (used.block) memset(used.block, 0xff, used.capacity); /* NaNs */
    CHECK_OK(pl_augment_apply(&options, &params, &image, &used, again));
    assert_memory_equal(first, again, sizeof first);
  }
  pl_augment_scratch_free(&used);
  pl_image_free(&image);
}

/* What is reserved does for every view of an image that is no larger. */
static void what_is_reserved_does(void **state) {
  (void)state;
  enum { SIZE = 11, N = SIZE * SIZE * 3 };
  pl_augment_options options = simclr_options(SIZE);
  options.blur = 1;
  pl_augment_scratch scratch = {0};
  CHECK_OK(pl_augment_reserve(&options, 64, 48, &scratch));
  const unsigned char *block = scratch.block;
  const int sides[][2] = {{64, 48}, {5, 48}, {64, 3}};
  for (uint32_t v = 0; v < 90; v++) {
    pl_image image;
    make_noise_image(sides[v % 3][0], sides[v % 3][1], &image);
    pl_random random = pl_random_stream(3, PL_RANDOM_TEST, v, 0, 0);
    pl_view_params params;
    float view[N];
    pl_augment_draw(&options, image.width, image.height, &random, &params);
    if (v < 3)
      params =
          (pl_view_params){.width = image.width, .height = image.height, .blur = true, .sigma = 1};
    CHECK_OK(pl_augment_apply(&options, &params, &image, &scratch, view));
    assert_ptr_equal(scratch.block, block);
    pl_image_free(&image);
  }
  pl_augment_scratch_free(&scratch);
}

static void values_stay_in_range(void **state) {
  (void)state;
  enum { SIZE = 16, N = SIZE * SIZE * 3 };
  pl_augment_options options = simclr_options(SIZE);
  options.hue = 0.5;
  pl_image image;
  make_noise_image(33, 31, &image);
  pl_augment_scratch scratch = {0};
  for (uint32_t v = 0; v < 400; v++) {
    options.interpolation = v % 2 ? PL_BICUBIC : PL_BILINEAR;
    pl_random random = pl_random_stream(2, PL_RANDOM_TEST, v, 0, 0);
    pl_view_params params;
    pl_augment_draw(&options, image.width, image.height, &random, &params);
    float view[N];
    CHECK_OK(pl_augment_apply(&options, &params, &image, &scratch, view));
    for (int i = 0; i < N; i++) assert_true(view[i] >= -1e-6F && view[i] <= 1 + 1e-6F);
  }
  pl_augment_scratch_free(&scratch);
  pl_image_free(&image);
}

typedef struct tally {
  int flips, jitters, greys, blurs, solarized, first_operation[4], box_fits;
  double area, log_aspect, brightness, hue, sigma, left;
} tally;

static tally draw_many(const pl_augment_options *options, int n, int width, int height) {
  tally sum = {0};
  for (int k = 0; k < n; k++) {
    pl_random random = pl_random_stream(3, PL_RANDOM_TEST, 0, (uint64_t)k, 0);
    pl_view_params p;
    pl_augment_draw(options, width, height, &random, &p);
    assert_true(p.width >= 1 && p.height >= 1 && p.left >= 0 && p.top >= 0);
    assert_true(p.left + p.width <= width && p.top + p.height <= height);
    assert_int_equal((1 << p.jitter_order[0]) + (1 << p.jitter_order[1]) +
                         (1 << p.jitter_order[2]) + (1 << p.jitter_order[3]),
                     15);
    sum.flips += p.flip;
    sum.jitters += p.jitter;
    sum.greys += p.grey;
    sum.blurs += p.blur;
    sum.solarized += p.solarize;
    sum.first_operation[p.jitter_order[0]]++;
    sum.area += (double)p.width * p.height / width / height / n;
    sum.log_aspect += log((double)p.width / p.height) / n;
    sum.brightness += (double)p.brightness / n;
    sum.hue += (double)p.hue / n;
    sum.sigma += (double)p.sigma / n;
    sum.left += (double)p.left / (width - p.width + 1) / n;
  }
  return sum;
}

static void draws_follow_the_options(void **state) {
  (void)state;
  enum { N = 20000 };
  pl_augment_options options = simclr_options(32);
  options.crop_max = 0.5; /* all first tries fit a large square: the plain distribution shows */
  tally t = draw_many(&options, N, 1000, 1000);
  /* five standard deviations or more */
  CHECK_NEAR(t.flips / (double)N, 0.5, 0.02);
  CHECK_NEAR(t.jitters / (double)N, 0.8, 0.02);
  CHECK_NEAR(t.greys / (double)N, 0.2, 0.02);
  CHECK_NEAR(t.blurs / (double)N, 0.5, 0.02);
  CHECK_NEAR(t.solarized / (double)N, 0.1, 0.02);
  for (int i = 0; i < 4; i++) CHECK_NEAR(t.first_operation[i] / (double)N, 0.25, 0.02);
  CHECK_NEAR(t.area, 0.29, 0.005);
  CHECK_NEAR(t.log_aspect, 0, 0.007);
  CHECK_NEAR(t.brightness, 1, 0.02);
  CHECK_NEAR(t.hue, 0, 0.005);
  CHECK_NEAR(t.sigma, 1.05, 0.02);
  CHECK_NEAR(t.left, 0.5, 0.015);
}

static void fallback_is_the_largest_centred_box(void **state) {
  (void)state;
  pl_augment_options options = simclr_options(32);
  pl_random random = pl_random_stream(4, PL_RANDOM_TEST, 0, 0, 0);
  pl_view_params p;
  options.crop_min = 0.999; /* can't fit at any allowed aspect ratio */
  pl_augment_draw(&options, 10, 1000, &random, &p);
  assert_int_equal(p.width, 10);
  assert_int_equal(p.height, 13);
  assert_int_equal(p.top, 493);
  pl_augment_draw(&options, 1000, 10, &random, &p);
  assert_int_equal(p.width, 13);
  assert_int_equal(p.height, 10);
  assert_int_equal(p.left, 493);
  options.aspect_min = options.aspect_max = 2;
  pl_augment_draw(&options, 1, 1, &random, &p);
  assert_int_equal(p.width, 1);
  assert_int_equal(p.height, 1);
}

/* Turning one decision off must not change the numbers of the others. */
static void decisions_are_apart(void **state) {
  (void)state;
  pl_augment_options with = simclr_options(32), without = with;
  without.flip = without.jitter = without.blur = without.hue = 0;
  for (uint32_t k = 0; k < 100; k++) {
    pl_random a = pl_random_stream(5, PL_RANDOM_TEST, k, 0, 0), b = a;
    pl_view_params p, q;
    pl_augment_draw(&with, 32, 32, &a, &p);
    pl_augment_draw(&without, 32, 32, &b, &q);
    assert_false(q.flip || q.jitter || q.blur);
    assert_true(p.top == q.top && p.left == q.left && p.width == q.width && p.height == q.height);
    assert_true(p.grey == q.grey && p.solarize == q.solarize && p.brightness == q.brightness);
    assert_memory_equal(p.jitter_order, q.jitter_order, sizeof p.jitter_order);
  }
}

static void evaluation_view_is_centred(void **state) {
  (void)state;
  pl_augment_options options = plain_options(224);
  options.centre_ratio = 0.875;
  pl_view_params p;
  pl_augment_centre(&options, 400, 256, &p);
  assert_int_equal(p.width, 224);
  assert_int_equal(p.height, 224);
  assert_int_equal(p.left, 88);
  assert_int_equal(p.top, 16);
  assert_false(p.flip || p.jitter || p.grey || p.blur || p.solarize);

  pl_view_params drawn;
  pl_random random = pl_random_stream(6, PL_RANDOM_TEST, 0, 0, 0);
  pl_augment_draw(&options, 400, 256, &random, &drawn);
  assert_true(drawn.left == 88 && drawn.top == 16 && drawn.width == 224 && drawn.height == 224);
}

static void bad_input_is_refused(void **state) {
  (void)state;
  pl_augment_options options = simclr_options(32);
  CHECK_OK(pl_augment_check(&options));
  options.size = 0;
  CHECK_FAILS(PL_E_USAGE, "size", pl_augment_check(&options));
  options = simclr_options(32);
  options.crop_min = NAN;
  CHECK_FAILS(PL_E_USAGE, "smallest crop", pl_augment_check(&options));
  options = simclr_options(32);
  options.hue = 0.6;
  CHECK_FAILS(PL_E_USAGE, "hue", pl_augment_check(&options));
  options = simclr_options(32);
  options.blur_kernel = 4;
  CHECK_FAILS(PL_E_USAGE, "odd", pl_augment_check(&options));
  options = simclr_options(32);
  options.std[2] = 0;
  CHECK_FAILS(PL_E_USAGE, "deviation", pl_augment_check(&options));

  options = simclr_options(4);
  pl_image image;
  make_noise_image(8, 6, &image);
  pl_augment_scratch scratch = {0};
  float view[4 * 4 * 3];
  pl_view_params params = {.top = 2, .left = 0, .height = 5, .width = 8};
  CHECK_FAILS(PL_E_INTERNAL, "crop of 8x5",
              pl_augment_apply(&options, &params, &image, &scratch, view));
  params = (pl_view_params){.height = 0, .width = 3};
  CHECK_FAILS(PL_E_INTERNAL, "crop of 3x0",
              pl_augment_apply(&options, &params, &image, &scratch, view));
  pl_augment_scratch_free(&scratch);
  pl_image_free(&image);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(views_match_torchvision),
      cmocka_unit_test(scratch_leaves_no_trace),
      cmocka_unit_test(what_is_reserved_does),
      cmocka_unit_test(values_stay_in_range),
      cmocka_unit_test(draws_follow_the_options),
      cmocka_unit_test(fallback_is_the_largest_centred_box),
      cmocka_unit_test(decisions_are_apart),
      cmocka_unit_test(evaluation_view_is_centred),
      cmocka_unit_test(bad_input_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
