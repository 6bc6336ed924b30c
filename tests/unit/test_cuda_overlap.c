/* Leaves that come to the device beside what it computes (emulated): in either order in which two
 * streams may go, views are those of leaves that come one at a time, and the memory of a leaf may
 * change where the maker says so. */
#include <string.h>

#include "runtime/base/memory.h"
#include "runtime/cuda/cuda.h"
#include "tests/check.h"
#include "tests/emulation/runtime.h"
#include "tests/unit/packed_leaf.h"

enum { LEAVES = 6, VIEWS = 3, SIZE = 9, N = VIEWS * SIZE * SIZE * 3 };

static const pl_augment_options options = {.size = SIZE,
                                           .random_crop = true,
                                           .crop_min = 0.3,
                                           .crop_max = 1,
                                           .aspect_min = 1,
                                           .aspect_max = 1,
                                           .jitter = 0.5,
                                           .contrast = 0.5,
                                           .blur = 0.3,
                                           .blur_sigma_min = 1,
                                           .blur_sigma_max = 1,
                                           .centre_ratio = 1,
                                           .std = {1, 1, 1}};

static const pl_device *device(void) { return pl_cuda_backend()->device; }

static pl_packed_leaf pack(int leaf) {
  packed_source source[VIEWS];
  for (int v = 0; v < VIEWS; v++) {
    pl_random random = pl_random_stream(31, PL_RANDOM_TEST, (uint32_t)leaf, (uint64_t)v, 0);
    source[v].image = packed_image(14, 12, (uint32_t)(leaf * VIEWS + v));
    pl_augment_draw(&options, 14, 12, &random, &source[v].params);
  }
  pl_packed_leaf packed = packed_leaf(device(), &options, source, VIEWS);
  for (int v = 0; v < VIEWS; v++) pl_image_free(&source[v].image);
  return packed;
}

static pl_views *open_views(void) {
  pl_views_options all = {.augment = options, .views = VIEWS, .packed_bytes = 1 << 16};
  pl_views *views = NULL;
  CHECK_OK(pl_cuda_view_maker()->create(&all, &views));
  return views;
}

static void spoil(const pl_packed_leaf *leaf) { memset((void *)leaf->view, 0, leaf->bytes); }

/* One at a time, everything done before the next begins. */
static void make_apart(float *out) {
  const pl_view_maker *maker = pl_cuda_view_maker();
  void *place;
  CHECK_OK(device()->alloc(N * sizeof(float), &place));
  for (int leaf = 0; leaf < LEAVES; leaf++) {
    pl_packed_leaf packed = pack(leaf);
    pl_views *views = open_views();
    CHECK_OK(maker->put(views, &packed));
    CHECK_OK(maker->make(views, PL_F32, place));
    CHECK_OK(device()->get(out + (size_t)leaf * N, place, N * sizeof(float)));
    maker->destroy(&views);
    device()->release_host((void *)packed.view);
  }
  device()->release(place);
}

/* As a feed does it: each leaf is put before views of the one in front of it are used, and
 * overwritten as soon as that is allowed; nobody waits for the device before the end. */
static void make_in_a_row(float *out) {
  const pl_view_maker *maker = pl_cuda_view_maker();
  pl_views *views = open_views();
  pl_packed_leaf packed[LEAVES];
  char *place;
  CHECK_OK(device()->alloc(LEAVES * N * sizeof(float), (void **)&place));
  for (int leaf = 0; leaf < LEAVES; leaf++) packed[leaf] = pack(leaf);
  CHECK_OK(maker->put(views, &packed[0]));
  for (int leaf = 0; leaf < LEAVES; leaf++) {
    CHECK_OK(maker->wait(views));
    if (leaf > 0) spoil(&packed[leaf - 1]);
    CHECK_OK(maker->make(views, PL_F32, place + (size_t)leaf * N * sizeof(float)));
    if (leaf + 1 < LEAVES) CHECK_OK(maker->put(views, &packed[leaf + 1]));
  }
  CHECK_OK(device()->get(out, place, LEAVES * N * sizeof(float)));
  maker->destroy(&views);
  for (int leaf = 0; leaf < LEAVES; leaf++) device()->release_host((void *)packed[leaf].view);
  device()->release(place);
}

static void leaves_in_a_row(void **state) {
  (void)state;
  static float apart[LEAVES * N], row[LEAVES * N];
  make_apart(apart);
  for (int order = 0; order < 2; order++) {
    emulated_others_first(order == 1);
    memset(row, 0xFF, sizeof row);
    make_in_a_row(row);
    assert_memory_equal(row, apart, sizeof row);
  }
  emulated_others_first(false);
}

/* A leaf that nobody made views of is on its way when all ends. */
static void ends_with_a_leaf_under_way(void **state) {
  (void)state;
  pl_views *views = open_views();
  pl_packed_leaf packed = pack(0);
  CHECK_OK(pl_cuda_view_maker()->put(views, &packed));
  pl_cuda_view_maker()->destroy(&views);
  device()->release_host((void *)packed.view);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(leaves_in_a_row),
      cmocka_unit_test(ends_with_a_leaf_under_way),
  };
  if (pl_cuda_open(0) != PL_OK) return 1;
  int failures = cmocka_run_group_tests(tests, NULL, NULL);
  pl_cuda_close();
  return failures;
}
