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

/* The sum as it is defined: a tree of so many levels, below which leaves are added in order. */
static float defined_sum(const float *pieces, int64_t count, int levels) {
  if (count == 1) return *pieces;
  if (levels > 0) {
    int64_t left = count / 2;
    return defined_sum(pieces, left, levels - 1) +
           defined_sum(pieces + left, count - left, levels - 1);
  }
  float sum = *pieces;
  for (int64_t i = 1; i < count; i++) sum += pieces[i];
  return sum;
}

static void check_totals(const pl_gradsum *sums, const pl_space *space, int64_t leaves,
                         int levels) {
  for (int param = 0; param < PARAMS; param++) {
    const pl_param *p = pl_space_param(space, param);
    const float *total = pl_gradsum_total(sums) + p->first_block * PL_BLOCK;
    for (int64_t i = 0; i < p->count; i++) {
      float pieces[MOST_LEAVES];
      for (int64_t leaf = 0; leaf < leaves; leaf++) pieces[leaf] = leaf_gradient(leaf, param, i);
      float expected = defined_sum(pieces, leaves, levels);
      if (total[i] != expected) {
        print_error("leaves %d, parameter %d, element %d: %.9g, expected %.9g\n", (int)leaves,
                    param, (int)i, (double)total[i], (double)expected);
        fail();
      }
    }
    for (int64_t i = p->count; i < p->blocks * PL_BLOCK; i++) assert_true(total[i] == 0);
  }
}

static void sum_and_check(const pl_space *space, int64_t leaves, int levels) {
  pl_gradsum *sums = NULL;
  seen counts = {{0}};
  CHECK_OK(pl_gradsum_create(&pl_host_device, space, leaves, levels, &sums));
  pl_gradsum_on_done(sums, note_done, &counts);
  /* Twice: the second step must not see the first. Leaf by leaf, then parameter by parameter. */
  for (int64_t leaf = 0; leaf < leaves; leaf++) {
    for (int param = PARAMS - 1; param >= 0; param--) {
      push_leaf(sums, space, leaf, param);
      assert_int_equal(counts.done[param], leaf == leaves - 1);
    }
  }
  check_totals(sums, space, leaves, levels);
  for (int param = 0; param < PARAMS; param++) {
    for (int64_t leaf = 0; leaf < leaves; leaf++) push_leaf(sums, space, leaf, param);
    assert_int_equal(counts.done[param], 2);
  }
  check_totals(sums, space, leaves, levels);
  pl_gradsum_destroy(&sums);
  assert_null(sums);
}

static void totals_are_tree_sums(void **state) {
  (void)state;
  pl_space *space = make_space();
  const int64_t leaf_counts[] = {1, 2, 3, 4, 8, MOST_LEAVES};
  const int levels[] = {0, 1, 2, 3, PL_TREE_WHOLE};
  for (size_t k = 0; k < sizeof leaf_counts / sizeof *leaf_counts; k++) {
    for (size_t l = 0; l < sizeof levels / sizeof *levels; l++) {
      sum_and_check(space, leaf_counts[k], levels[l]);
    }
  }
  pl_space_destroy(&space);
}

/* The stack never needs more than pl_tree_depth says, and needs that. */
static void the_stack_is_as_deep_as_told(void **state) {
  (void)state;
  for (int64_t leaves = 1; leaves <= 70; leaves++) {
    for (int levels = 0; levels <= 8; levels++) {
      int used = 0, height = 0;
      for (int64_t leaf = 0; leaf < leaves; leaf++) {
        pl_tree_push push = pl_tree_place(leaves, levels, leaf);
        assert_int_equal(push.slot, height);
        height = push.slot + 1;
        if (height > used) used = height;
        height -= push.merges;
      }
      assert_int_equal(height, 1);
      assert_int_equal(used, pl_tree_depth(leaves, levels));
    }
  }
}

static void leaves_out_of_order_are_refused(void **state) {
  (void)state;
  pl_space *space = make_space();
  pl_gradsum *sums = NULL;
  CHECK_OK(pl_gradsum_create(&pl_host_device, space, 4, PL_TREE_WHOLE, &sums));
  CHECK_FAILS(PL_E_INTERNAL, "leaf 1 came where 0 is due", pl_gradsum_push(sums, 1, 2));
  pl_gradsum_destroy(&sums);
  pl_space_destroy(&space);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(totals_are_tree_sums),
      cmocka_unit_test(the_stack_is_as_deep_as_told),
      cmocka_unit_test(leaves_out_of_order_are_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
