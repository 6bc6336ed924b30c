/* runtime/tensor: gradients summed in the shape of the batch tree. */
#include "runtime/base/memory.h"
#include "runtime/base/random.h"
#include "runtime/base/tree.h"
#include "runtime/tensor/gradsum.h"
#include "tests/check.h"

enum { PARAMS = 3, MOST_LEAVES = 13 };

static pl_space *make_space(void) {
  pl_space *space = NULL;
  int index;
  const pl_init zero = {PL_INIT_CONSTANT, 0};
  const int64_t counts[PARAMS] = {5, 20 * PL_BLOCK + 7, PL_BLOCK};
  const char *names[PARAMS] = {"small", "large", "exact"};
  CHECK_OK(pl_space_create(&space));
  for (int i = 0; i < PARAMS; i++) {
    CHECK_OK(pl_space_add(space, names[i], PL_PARAM_WEIGHT, 1, &counts[i], zero, &index));
  }
  CHECK_OK(pl_space_seal(space, PL_F32, 1 << 20));
  return space;
}

/* Values of very different size, so that another order of additions gives other bits. */
static float leaf_gradient(int64_t leaf, int param, int64_t i) {
  pl_random random =
      pl_random_stream(3, PL_RANDOM_TEST, (uint32_t)param, (uint64_t)leaf, (uint32_t)i);
  return ldexpf(pl_random_normal(&random), (int)(leaf * 7 + i) % 19);
}

typedef struct seen {
  int done[PARAMS];
} seen;

static pl_status note_done(void *context, int param) {
  ((seen *)context)->done[param]++;
  return PL_OK;
}

static void push_leaf(pl_gradsum *sums, const pl_space *space, int64_t leaf, int param) {
  float *slot = pl_gradsum_slot(sums, leaf, param);
  for (int64_t i = 0; i < pl_space_param(space, param)->count; i++) {
    slot[i] = leaf_gradient(leaf, param, i);
  }
  CHECK_OK(pl_gradsum_push(sums, leaf, param));
}

/* The totals must be the very bits of pl_tree_sum_f32 over all leaves. */
static void check_totals(const pl_gradsum *sums, const pl_space *space, int64_t leaves) {
  for (int param = 0; param < PARAMS; param++) {
    const pl_param *p = pl_space_param(space, param);
    const float *total = pl_gradsum_total(sums) + p->first_block * PL_BLOCK;
    for (int64_t i = 0; i < p->count; i++) {
      float pieces[MOST_LEAVES];
      float expected;
      for (int64_t leaf = 0; leaf < leaves; leaf++) pieces[leaf] = leaf_gradient(leaf, param, i);
      pl_tree_sum_f32(&expected, pieces, (int)leaves, 1, 1);
      if (total[i] != expected) {
        print_error("leaves %d, parameter %d, element %d: %.9g, expected %.9g\n", (int)leaves,
                    param, (int)i, (double)total[i], (double)expected);
        fail();
      }
    }
    for (int64_t i = p->count; i < p->blocks * PL_BLOCK; i++) assert_true(total[i] == 0);
  }
}

static void totals_are_tree_sums(void **state) {
  (void)state;
  pl_space *space = make_space();
  const int64_t leaf_counts[] = {1, 2, 3, 4, 8, MOST_LEAVES};
  for (size_t k = 0; k < sizeof leaf_counts / sizeof *leaf_counts; k++) {
    int64_t leaves = leaf_counts[k];
    pl_gradsum *sums = NULL;
    seen counts = {{0}};
    CHECK_OK(pl_gradsum_create(&pl_host_device, space, leaves, &sums));
    pl_gradsum_on_done(sums, note_done, &counts);
    /* Twice: the second step must not see the first. Leaf by leaf, then parameter by parameter. */
    for (int64_t leaf = 0; leaf < leaves; leaf++) {
      for (int param = PARAMS - 1; param >= 0; param--) {
        push_leaf(sums, space, leaf, param);
        assert_int_equal(counts.done[param], leaf == leaves - 1);
      }
    }
    check_totals(sums, space, leaves);
    for (int param = 0; param < PARAMS; param++) {
      for (int64_t leaf = 0; leaf < leaves; leaf++) push_leaf(sums, space, leaf, param);
      assert_int_equal(counts.done[param], 2);
    }
    check_totals(sums, space, leaves);
    pl_gradsum_destroy(&sums);
    assert_null(sums);
  }
  pl_space_destroy(&space);
}

static void leaves_out_of_order_are_refused(void **state) {
  (void)state;
  pl_space *space = make_space();
  pl_gradsum *sums = NULL;
  CHECK_OK(pl_gradsum_create(&pl_host_device, space, 4, &sums));
  CHECK_FAILS(PL_E_INTERNAL, "leaf 1 came where 0 is due", pl_gradsum_push(sums, 1, 2));
  pl_gradsum_destroy(&sums);
  pl_space_destroy(&space);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(totals_are_tree_sums),
      cmocka_unit_test(leaves_out_of_order_are_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
