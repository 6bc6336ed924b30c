/* runtime/cuda/augment: views made on the device are those of pl_augment_apply. */
#include <string.h>

#include "runtime/base/memory.h"
#include "runtime/cuda/cuda.h"
#include "tests/check.h"
#include "tests/unit/cuda_test.h"
#include "tests/unit/packed_leaf.h"

enum { MOST = 32 }; /* views of a leaf */

static const pl_device *device(void) { return pl_cuda_backend()->device; }

/* Not normalised, so that differences are those of values in [0, 1]. */
static pl_augment_options options_of(int size) {
  return (pl_augment_options){.size = size,
                              .random_crop = true,
                              .crop_min = 0.08,
                              .crop_max = 1,
                              .aspect_min = 3.0 / 4,
                              .aspect_max = 4.0 / 3,
                              .flip = 0.5,
                              .jitter = 0.8,
                              .brightness = 0.8,
                              .contrast = 0.8,
                              .saturation = 0.8,
                              .hue = 0.4,
                              .grey = 0.2,
                              .blur = 0.5,
                              .blur_sigma_min = 0.1,
                              .blur_sigma_max = 2,
                              .solarize = 0.3,
                              .centre_ratio = 1,
                              .std = {1, 1, 1}};
}

static size_t view_elements(const pl_augment_options *options) {
  return 3 * (size_t)options->size * (size_t)options->size;
}

/* What the device makes of them, as `type`, into `out` on the host. */
static void make(const pl_augment_options *options, const packed_source *source, size_t views,
                 pl_dtype type, void *out) {
  const pl_view_maker *maker = pl_cuda_view_maker();
  size_t bytes = views * view_elements(options) * pl_dtype_bytes(type);
  pl_packed_leaf leaf = packed_leaf(device(), options, source, views);
  const pl_views_options all = {.augment = *options, .views = views, .packed_bytes = leaf.bytes};
  pl_views *maker_views = NULL;
  void *place;
  CHECK_OK(device()->alloc(bytes, &place));
  CHECK_OK(maker->create(&all, &maker_views));
  CHECK_OK(maker->put(maker_views, &leaf));
  CHECK_OK(maker->make(maker_views, type, place));
  CHECK_OK(device()->get(out, place, bytes));
  maker->destroy(&maker_views);
  assert_null(maker_views);
  device()->release(place);
  device()->release_host((void *)leaf.view);
}

/* The largest difference to the processor's views. */
static double compare(const char *name, const pl_augment_options *options,
                      const packed_source *source, size_t views) {
  size_t n = view_elements(options);
  float *made = pl_alloc(views * n, sizeof *made), *expected = pl_alloc(n, sizeof *expected);
  pl_augment_scratch scratch = {0};
  double worst = 0;
  make(options, source, views, PL_F32, made);
  for (size_t v = 0; v < views; v++) {
    CHECK_OK(pl_augment_apply(options, &source[v].params, &source[v].image, &scratch, expected));
    for (size_t i = 0; i < n; i++) {
      double error = fabs((double)made[v * n + i] - (double)expected[i]);
      if (!(error <= worst)) worst = error; /* takes a NaN, too */
    }
  }
  pl_augment_scratch_free(&scratch);
  pl_free(made);
  pl_free(expected);
  print_message("%-28s %2zu views, largest difference %.2g\n", name, views, worst);
  return worst;
}

static void check(const char *name, const pl_augment_options *options, const packed_source *source,
                  size_t views) {
  double worst = compare(name, options, source, views);
  if (!(worst <= 1e-5)) fail_msg("%s: differs by %g", name, worst);
}

/* A view that leaves the image's box as it is. */
static packed_source plain(pl_image image) {
  packed_source source = {.image = image};
  const pl_augment_options whole = {.centre_ratio = 1};
  pl_augment_centre(&whole, image.width, image.height, &source.params);
  source.params.top = source.params.left = 0;
  source.params.width = image.width;
  source.params.height = image.height;
  return source;
}

static void each_operation_alone(void **state) {
  (void)state;
  pl_augment_options options = options_of(19);
  pl_image image = packed_image(33, 31, 1);
  packed_source source[12];
  for (int i = 0; i < 12; i++) source[i] = plain(image);
  source[1].params.flip = true;
  source[2].params.brightness = 1.7F;
  source[3].params.contrast = 0.3F;
  source[4].params.contrast = 1.8F;
  source[5].params.saturation = 1.6F;
  source[6].params.hue = 0.31F;
  source[7].params.hue = -0.5F;
  for (int i = 2; i < 8; i++) source[i].params.jitter = true;
  source[8].params.grey = true;
  source[9].params.blur = true;
  source[9].params.sigma = 1.3F;
  source[10].params.solarize = true;
  source[11].params.left = 3;
  source[11].params.top = 4;
  source[11].params.width = 11;
  source[11].params.height = 24;
  for (int i = 0; i < 12; i++) {
    char name[32];
    snprintf(name, sizeof name, "operation %d", i);
    check(name, &options, &source[i], 1);
  }
  for (int i = 0; i < 3; i++) {
    options.mean[i] = 0.4F + 0.1F * (float)i;
    options.std[i] = 0.2F + 0.05F * (float)i;
  }
  assert_true(compare("normalised", &options, source, 12) <= 1e-5 / 0.2);
  pl_image_free(&image);
}

static void jitter_in_every_order(void **state) {
  (void)state;
  pl_augment_options options = options_of(17);
  pl_image image = packed_image(17, 20, 2);
  packed_source source[24];
  size_t count = 0;
  for (int order = 0; order < 256; order++) {
    const int at[4] = {order & 3, order >> 2 & 3, order >> 4 & 3, order >> 6};
    if ((1 << at[0] | 1 << at[1] | 1 << at[2] | 1 << at[3]) != 15) continue;
    source[count] = plain(image);
    pl_view_params *p = &source[count++].params;
    memcpy(p->jitter_order, at, sizeof at);
    p->jitter = true;
    p->brightness = 1.4F;
    p->contrast = 0.6F;
    p->saturation = 1.5F;
    p->hue = 0.17F;
  }
  assert_int_equal(count, 24);
  check("orders of the jitter", &options, source, count);
  pl_image_free(&image);
}

static void drawn_views(void **state) {
  (void)state;
  const struct {
    int size, width, height, views;
    pl_interpolation interpolation;
  } cases[] = {{32, 32, 32, MOST, PL_BILINEAR},
               {32, 51, 40, MOST, PL_BICUBIC},
               {96, 150, 100, 5, PL_BILINEAR},
               {20, 200, 160, MOST, PL_BICUBIC}}; /* many crops are resized by the loader */
  for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
    packed_source source[MOST];
    char name[64];
    pl_augment_options options = options_of(cases[k].size);
    options.interpolation = cases[k].interpolation;
    for (int v = 0; v < cases[k].views; v++) {
      pl_random random = pl_random_stream(21, PL_RANDOM_TEST, (uint32_t)k, (uint64_t)v, 0);
      source[v].image = packed_image(cases[k].width, cases[k].height, (uint32_t)v);
      pl_augment_draw(&options, cases[k].width, cases[k].height, &random, &source[v].params);
    }
    snprintf(name, sizeof name, "drawn, %dx%d to %d", cases[k].width, cases[k].height,
             cases[k].size);
    check(name, &options, source, (size_t)cases[k].views);
    for (int v = 0; v < cases[k].views; v++) pl_image_free(&source[v].image);
  }
}

/* From and to any size, blurred and not, mirrored and not. */
static void odd_sizes(void **state) {
  (void)state;
  const struct {
    int size, width, height;
  } cases[] = {{32, 1, 1},   {32, 3, 500}, {32, 500, 3}, {96, 3, 300}, {32, 128, 128},
               {32, 129, 8}, {32, 7, 5},   {1, 4, 4},    {1, 3, 2},    {2, 1, 8},
               {31, 31, 31}, {3, 3, 3},    {33, 16, 64}};
  for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
    pl_augment_options options = options_of(cases[k].size);
    pl_image image = packed_image(cases[k].width, cases[k].height, 5);
    packed_source source[3] = {plain(image), plain(image), plain(image)};
    char name[64];
    source[1].params.flip = true;
    source[1].params.jitter = true;
    source[1].params.contrast = 1.5F;
    source[2].params.blur = true;
    source[2].params.sigma = 2;
    for (int bicubic = 0; bicubic < 2; bicubic++) {
      options.interpolation = bicubic ? PL_BICUBIC : PL_BILINEAR;
      options.blur_kernel = bicubic ? 9 : 0;
      snprintf(name, sizeof name, "%dx%d to %d", image.width, image.height, options.size);
      check(name, &options, source, 3);
    }
    pl_image_free(&image);
  }
}

/* The last of the views is the same bits when it is made alone. */
static void check_alone(const pl_augment_options *options, const packed_source *source,
                        size_t views) {
  size_t n = view_elements(options);
  float *together = pl_alloc(views * n, sizeof *together), *alone = pl_alloc(n, sizeof *alone);
  make(options, source, views, PL_F32, together);
  make(options, &source[views - 1], 1, PL_F32, alone);
  assert_memory_equal(alone, together + (views - 1) * n, n * sizeof *alone);
  pl_free(together);
  pl_free(alone);
}

/* Neither what else the leaf holds, nor how views are cut into those that scratch is for at once,
 * shows in a view: large ones are made two at a time. */
static void company_changes_nothing(void **state) {
  (void)state;
  pl_augment_options options = options_of(40);
  packed_source source[MOST];
  for (int v = 0; v < MOST; v++) {
    source[v] = plain(packed_image(9 + v, 8, (uint32_t)v));
    source[v].params.flip = v % 2 == 1;
    source[v].params.jitter = v % 3 == 1;
    source[v].params.contrast = 0.5F;
    source[v].params.blur = v == MOST - 1;
    source[v].params.sigma = 1;
  }
  assert_true(source[MOST - 1].params.jitter);
  check_alone(&options, source, MOST);
  options = options_of(700);
  for (int v = 0; v < 3; v++) source[v].params.jitter = false;
  check_alone(&options, source, 3);
  for (int v = 0; v < MOST; v++) pl_image_free(&source[v].image);
}

static void bf16_is_f32_rounded(void **state) {
  (void)state;
  enum { VIEWS = 6, SIZE = 21, N = VIEWS * 3 * SIZE * SIZE };
  static float wide[N];
  static pl_bf16 narrow[N];
  pl_augment_options options = options_of(SIZE);
  pl_image image = packed_image(40, 30, 3);
  packed_source source[VIEWS];
  for (int v = 0; v < VIEWS; v++) {
    pl_random random = pl_random_stream(22, PL_RANDOM_TEST, 0, (uint64_t)v, 0);
    source[v].image = image;
    pl_augment_draw(&options, image.width, image.height, &random, &source[v].params);
  }
  make(&options, source, VIEWS, PL_F32, wide);
  make(&options, source, VIEWS, PL_BF16, narrow);
  for (int i = 0; i < N; i++) assert_int_equal(narrow[i], pl_f32_to_bf16(wide[i]));
  pl_image_free(&image);
}

static void misuse_is_refused(void **state) {
  (void)state;
  const pl_view_maker *maker = pl_cuda_view_maker();
  pl_augment_options options = options_of(8);
  pl_image image = packed_image(8, 8, 4);
  packed_source source = plain(image);
  pl_packed_leaf leaf = packed_leaf(device(), &options, &source, 1), larger = leaf;
  pl_views_options all = {.augment = options, .views = 1, .packed_bytes = leaf.bytes};
  pl_views *views = NULL;
  void *place;
  CHECK_OK(device()->alloc(view_elements(&options) * sizeof(float), &place));
  CHECK_OK(maker->create(&all, &views));
  CHECK_OK(maker->wait(views));
  CHECK_FAILS(PL_E_INTERNAL, "no leaf", maker->make(views, PL_F32, place));
  larger.bytes++;
  CHECK_FAILS(PL_E_INTERNAL, "1 views", maker->put(views, &larger));
  CHECK_OK(maker->put(views, &leaf));
  CHECK_FAILS(PL_E_INTERNAL, "no views of", maker->make(views, PL_I32, place));
  CHECK_OK(maker->put(views, &leaf));
  CHECK_FAILS(PL_E_INTERNAL, "2 waiting", maker->put(views, &leaf));
  maker->destroy(&views);
  maker->destroy(&views);
  all.augment.size = 0;
  CHECK_FAILS(PL_E_USAGE, "size", maker->create(&all, &views));
  all.augment.size = 8;
  all.packed_bytes = (size_t)1 << 45;
  CHECK_FAILS(PL_E_INTERNAL, "no memory left", maker->create(&all, &views));
  assert_null(views);
  device()->release(place);
  device()->release_host((void *)leaf.view);
  pl_image_free(&image);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(each_operation_alone),
      cmocka_unit_test(jitter_in_every_order),
      cmocka_unit_test(drawn_views),
      cmocka_unit_test(odd_sizes),
      cmocka_unit_test(company_changes_nothing),
      cmocka_unit_test(bf16_is_f32_rounded),
      cmocka_unit_test(misuse_is_refused),
  };
  if (!cuda_test_open()) return CUDA_TEST_SKIPPED;
  int failures = cmocka_run_group_tests(tests, NULL, NULL);
  pl_cuda_close();
  return failures;
}
