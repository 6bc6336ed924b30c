/* The loader: the same leaves whatever the number of threads and whoever owns them; ending at any
 * moment. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/data/order.h"
#include "tests/check.h"
#include "tests/unit/loader_fixture.h"

static void follows_the_stream(void **state) {
  fixture *f = *state;
  served *all = serve_all(&f->options, NULL);
  pl_order *order = NULL;
  CHECK_OK(pl_order_create(SAMPLES, 4, 3, 7, true, &order));
  for (int64_t k = 0; k < 6 * LEAVES; k++) {
    assert_int_equal(all[k].step, k / LEAVES);
    assert_int_equal(all[k].leaf, k % LEAVES);
    for (int i = 0; i < LEAF; i++) {
      int64_t sample = -1, epoch = -1;
      CHECK_OK(pl_order_at(order, k * LEAF + i, &sample, &epoch));
      assert_int_equal(all[k].sample[i], sample);
      assert_int_equal(all[k].epoch[i], epoch);
    }
  }
  pl_order_destroy(&order);
  free(all);
}

/* A view is what draw and apply give for the stream that the header names. */
static void views_are_those_of_their_keys(void **state) {
  fixture *f = *state;
  served *all = serve_all(&f->options, NULL);
  uint8_t pixels[IMAGE_BYTES];
  pl_image image = {.width = WIDTH, .height = HEIGHT, .pixels = pixels};
  pl_augment_scratch scratch = {0};
  for (int k = 0; k < 6 * LEAVES; k += 5) {
    for (int v = 0; v < VIEWS; v++) {
      for (int i = 0; i < LEAF; i++) {
        make_image((int)all[k].sample[i], pixels);
        pl_random random = pl_random_stream(7, PL_RANDOM_AUGMENT, (uint32_t)all[k].epoch[i],
                                            (uint64_t)all[k].sample[i], (uint32_t)v);
        pl_view_params params;
        pl_augment_draw(&f->options.augment, WIDTH, HEIGHT, &random, &params);
        float view[SIZE * SIZE * 3];
        CHECK_OK(pl_augment_apply(&f->options.augment, &params, &image, &scratch, view));
        assert_memory_equal(view, all[k].images + (size_t)(v * LEAF + i) * SIZE * SIZE * 3,
                            sizeof view);
      }
    }
  }
  pl_augment_scratch_free(&scratch);
  free(all);
}

static void threads_change_nothing(void **state) {
  fixture *f = *state;
  f->options.workers = 1;
  served *one = serve_all(&f->options, NULL);
  for (int workers = 2; workers <= 7; workers += 5) {
    f->options.workers = workers;
    served *many = serve_all(&f->options, NULL);
    assert_memory_equal(one, many, 6 * LEAVES * sizeof *one);
    free(many);
  }
  free(one);
}

static void owners_change_nothing(void **state) {
  fixture *f = *state;
  served *whole = serve_all(&f->options, NULL);
  f->options.first_leaf = 2;
  f->options.leaves = 2;
  served *half = serve_all(&f->options, NULL);
  for (int step = 0; step < 6; step++) {
    assert_memory_equal(&whole[step * LEAVES + 2], &half[step * 2], 2 * sizeof *half);
  }
  free(half);
  free(whole);
}

static void second_pass_is_the_first(void **state) {
  fixture *f = *state;
  served *once = serve_all(&f->options, NULL);
  f->options.passes = 2;
  served *twice = serve_all(&f->options, NULL);
  for (int step = 0; step < 6; step++) {
    for (int pass = 0; pass < 2; pass++) {
      assert_memory_equal(&once[step * LEAVES], &twice[(2 * step + pass) * LEAVES],
                          LEAVES * sizeof *once);
    }
  }
  free(twice);
  free(once);
}

static void resumes_in_the_middle(void **state) {
  fixture *f = *state;
  served *whole = serve_all(&f->options, NULL);
  f->options.first_step = 4;
  f->options.steps = 2;
  served *rest = serve_all(&f->options, NULL);
  assert_memory_equal(&whole[4 * LEAVES], rest, 2 * LEAVES * sizeof *rest);
  free(rest);
  free(whole);
}

static void evaluation_views_are_alike(void **state) {
  fixture *f = *state;
  f->options.random = false;
  f->options.shuffle = false;
  served *all = serve_all(&f->options, NULL);
  uint8_t pixels[IMAGE_BYTES];
  pl_image image = {.width = WIDTH, .height = HEIGHT, .pixels = pixels};
  pl_augment_scratch scratch = {0};
  pl_view_params params;
  pl_augment_centre(&f->options.augment, WIDTH, HEIGHT, &params);
  for (int k = 0; k < 6 * LEAVES; k++) {
    for (int i = 0; i < LEAF; i++) {
      assert_int_equal(all[k].sample[i], (k * LEAF + i) % SAMPLES);
      make_image((int)all[k].sample[i], pixels);
      float view[SIZE * SIZE * 3];
      CHECK_OK(pl_augment_apply(&f->options.augment, &params, &image, &scratch, view));
      for (int v = 0; v < VIEWS; v++) {
        assert_memory_equal(view, all[k].images + (size_t)(v * LEAF + i) * SIZE * SIZE * 3,
                            sizeof view);
      }
    }
  }
  pl_augment_scratch_free(&scratch);
  free(all);
}

static void ends_at_any_moment(void **state) {
  fixture *f = *state;
  f->options.steps = 1000;
  for (int round = 0; round < 60; round++) {
    f->options.workers = 1 + round % 4;
    pl_loader *loader = NULL;
    CHECK_OK(pl_loader_create(&f->options, &loader));
    pl_loader_leaf leaf;
    for (int k = 0; k < round / 3; k++) CHECK_OK(pl_loader_next(loader, &leaf));
    if (round % 7 == 0) usleep(2000); /* so that workers wait for room */
    pl_loader_destroy(&loader);
  }
}

static void bad_use_is_refused(void **state) {
  fixture *f = *state;
  pl_loader *loader = NULL;
  pl_loader_destroy(&loader);
  pl_loader_options bad = f->options;
  bad.workers = 0;
  CHECK_FAILS(PL_E_USAGE, "workers", pl_loader_create(&bad, &loader));
  bad = f->options;
  bad.first_leaf = 1;
  CHECK_FAILS(PL_E_USAGE, "first leaf", pl_loader_create(&bad, &loader));
  bad = f->options;
  bad.leaves = LEAVES + 1;
  CHECK_FAILS(PL_E_USAGE, "leaves", pl_loader_create(&bad, &loader));
  bad = f->options;
  bad.augment.size = 0;
  CHECK_FAILS(PL_E_USAGE, "size", pl_loader_create(&bad, &loader));
  assert_null(loader);

  f->options.steps = 0;
  CHECK_OK(pl_loader_create(&f->options, &loader));
  pl_loader_leaf leaf;
  CHECK_FAILS(PL_E_INTERNAL, "more than", pl_loader_next(loader, &leaf));
  pl_loader_destroy(&loader);
}

int main(void) {
#define LOADER_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
  const struct CMUnitTest tests[] = {
      LOADER_TEST(follows_the_stream),         LOADER_TEST(views_are_those_of_their_keys),
      LOADER_TEST(threads_change_nothing),     LOADER_TEST(owners_change_nothing),
      LOADER_TEST(second_pass_is_the_first),   LOADER_TEST(resumes_in_the_middle),
      LOADER_TEST(evaluation_views_are_alike), LOADER_TEST(ends_at_any_moment),
      LOADER_TEST(bad_use_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
