/* The loader's packed leaves: what it would have made views of, whatever the number of threads, the
 * passes, and the samples that are corrupt. */
#include <stdlib.h>
#include <string.h>

#include "runtime/base/account.h"
#include "tests/check.h"
#include "tests/unit/loader_fixture.h"

/* A view that is made of a packed one by the processor. */
static void make_view(const pl_augment_options *augment, const pl_packed_leaf *leaf, size_t index,
                      float view[SIZE * SIZE * 3]) {
  const pl_packed_view *packed = &leaf->view[index];
  pl_augment_scratch scratch = {0};
  assert_false(packed->resized);
  assert_int_equal(packed->source % PL_PACKED_ALIGNMENT, 0);
  size_t bytes = 3 * (size_t)(packed->params.width * packed->params.height);
  assert_true(packed->source >= leaf->views * sizeof *leaf->view);
  assert_true(packed->source + bytes <= leaf->bytes);
  const pl_image crop = {.width = packed->params.width,
                         .height = packed->params.height,
                         .pixels = (uint8_t *)leaf->view + packed->source};
  CHECK_OK(pl_augment_apply(augment, &packed->params, &crop, &scratch, view));
  pl_augment_scratch_free(&scratch);
}

/* All leaves of a loader that packs, made views of, are those of one that makes them itself. */
static void check_same(const pl_loader_options *options) {
  int64_t skipped = 0, n = options->steps * options->passes * options->leaves;
  served *finished = serve_all(options, &skipped);
  pl_loader_options packing = *options;
  packing.packed_for = &pl_host_device;
  pl_loader *loader = NULL;
  CHECK_OK(pl_loader_create(&packing, &loader));
  for (int64_t k = 0; k < n; k++) {
    pl_loader_leaf leaf;
    CHECK_OK(pl_loader_next(loader, &leaf));
    assert_null(leaf.images);
    assert_int_equal(leaf.packed.views, VIEWS * LEAF);
    assert_true(leaf.packed.bytes <= pl_loader_packed_bytes(&packing));
    assert_memory_equal(leaf.sample, finished[k].sample, sizeof finished[k].sample);
    if (leaf.tokens)
      assert_memory_equal(leaf.tokens, finished[k].tokens, sizeof finished[k].tokens);
    for (size_t i = 0; i < VIEWS * LEAF; i++) {
      float view[SIZE * SIZE * 3];
      make_view(&options->augment, &leaf.packed, i, view);
      assert_memory_equal(view, finished[k].images + i * SIZE * SIZE * 3, sizeof view);
    }
  }
  assert_int_equal(pl_loader_skipped(loader), skipped);
  pl_loader_destroy(&loader);
  free(finished);
}

static void views_are_those_of_finished_leaves(void **state) {
  fixture *f = *state;
  for (int workers = 1; workers <= 7; workers += 3) {
    f->options.workers = workers;
    check_same(&f->options);
  }
  f->options.augment.interpolation = PL_BICUBIC;
  f->options.passes = 2;
  check_same(&f->options);
}

static void corrupt_samples_are_replaced(void **state) {
  fixture *f = *state;
  pl_tokenizer *tokenizer = open_tokenizer(f);
  f->options.tokenizer = tokenizer;
  f->options.context = CONTEXT;
  f->options.skip_limit = 3;
  damage(f, 11);
  damage(f, 12);
  damage(f, 30);
  check_same(&f->options);
  pl_tokenizer_close(&tokenizer);
}

/* All views of a sample are one, which is held once. */
static void evaluation_views_share_their_source(void **state) {
  fixture *f = *state;
  f->options.random = f->options.shuffle = false;
  check_same(&f->options);
  f->options.packed_for = &pl_host_device;
  pl_loader *loader = NULL;
  pl_loader_leaf leaf;
  CHECK_OK(pl_loader_create(&f->options, &loader));
  CHECK_OK(pl_loader_next(loader, &leaf));
  for (size_t i = 0; i < LEAF; i++) {
    assert_int_equal(leaf.packed.view[i].source, leaf.packed.view[LEAF + i].source);
  }
  pl_loader_destroy(&loader);
}

/* For views of 3 x 3 pixels, crops beyond 12 x 12 or 36 pixels are resized: as pl_augment_resize
 * does it. */
static void large_crops_come_resized(void **state) {
  fixture *f = *state;
  enum { SMALL = 3, PLANES = 3 * SMALL * SMALL };
  int resized = 0, kept = 0;
  f->options.augment.size = SMALL;
  f->options.packed_for = &pl_host_device;
  pl_loader *loader = NULL;
  CHECK_OK(pl_loader_create(&f->options, &loader));
  for (int k = 0; k < LEAVES; k++) {
    pl_loader_leaf leaf;
    CHECK_OK(pl_loader_next(loader, &leaf));
    for (int i = 0; i < VIEWS * LEAF; i++) {
      const pl_packed_view *packed = &leaf.packed.view[i];
      int64_t sample = leaf.sample[i % LEAF];
      pl_random random = pl_random_stream(7, PL_RANDOM_AUGMENT, (uint32_t)leaf.epoch[i % LEAF],
                                          (uint64_t)sample, (uint32_t)(i / LEAF));
      pl_view_params params;
      pl_augment_draw(&f->options.augment, WIDTH, HEIGHT, &random, &params);
      assert_int_equal(packed->params.width, params.width);
      assert_int_equal(packed->params.height, params.height);
      bool small = params.width <= 12 && params.height <= 12 && params.width * params.height <= 36;
      assert_int_equal(packed->resized, !small);
      resized += packed->resized;
      kept += !packed->resized;
      if (!packed->resized) continue;
      uint8_t pixels[IMAGE_BYTES];
      float planes[PLANES];
      pl_augment_scratch scratch = {0};
      make_image((int)sample, pixels);
      const pl_image image = {.width = WIDTH, .height = HEIGHT, .pixels = pixels};
      CHECK_OK(pl_augment_resize(&f->options.augment, &params, &image, &scratch, planes));
      assert_memory_equal(planes, (const char *)leaf.packed.view + packed->source, sizeof planes);
      pl_augment_scratch_free(&scratch);
    }
  }
  assert_true(resized > 0 && kept > 0);
  pl_loader_destroy(&loader);
}

/* A leaf is looked at as often as one likes before it is served, and counted when it is. */
static void the_next_leaf_can_be_seen(void **state) {
  fixture *f = *state;
  f->options.packed_for = &pl_host_device;
  pl_loader *loader = NULL;
  CHECK_OK(pl_loader_create(&f->options, &loader));
  int64_t n = f->options.steps * LEAVES;
  for (int64_t k = 0; k < n; k++) {
    pl_loader_leaf seen, leaf;
    while (!pl_loader_peek(loader, &seen)) continue;
    assert_true(pl_loader_peek(loader, &seen));
    int64_t counted = 0;
    for (int shard = 0; shard < SHARDS; shard++) counted += pl_loader_ledger(loader)[shard].seen;
    assert_int_equal(counted, k * LEAF);
    CHECK_OK(pl_loader_next(loader, &leaf));
    assert_memory_equal(&seen, &leaf, sizeof leaf);
  }
  pl_loader_leaf none;
  assert_false(pl_loader_peek(loader, &none));
  pl_loader_destroy(&loader);
}

/* What a loader would take before it serves anything. */
static size_t planned(const pl_loader_options *given) {
  pl_loader_options options = *given;
  pl_loader *loader = NULL;
  pl_memory_figures figures;
  options.steps = 0; /* its threads don't plan, and would take memory */
  CHECK_OK(pl_account_plan_begin());
  CHECK_OK(pl_loader_create(&options, &loader));
  pl_loader_destroy(&loader);
  pl_account_plan_end(&figures);
  return figures.peak[PL_ON_HOST][PL_MEMORY_DATA];
}

/* Images of 12 x 10 are smaller than views of 8 x 8 in f32. */
static void packed_leaves_take_less_memory(void **state) {
  fixture *f = *state;
  pl_loader_options packing = f->options;
  packing.packed_for = &pl_host_device;
  assert_true(planned(&packing) < planned(&f->options));
  assert_true(planned(&packing) >= 3 * pl_loader_packed_bytes(&packing));
  assert_true(pl_loader_packed_bytes(&packing) >= VIEWS * LEAF * (size_t)IMAGE_BYTES);
}

#define EACH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void) {
  const struct CMUnitTest tests[] = {
      EACH(views_are_those_of_finished_leaves),  EACH(corrupt_samples_are_replaced),
      EACH(evaluation_views_share_their_source), EACH(large_crops_come_resized),
      EACH(the_next_leaf_can_be_seen),           EACH(packed_leaves_take_less_memory),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
