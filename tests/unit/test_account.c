/* runtime/base: what memory is counted under, and planning it without having it. */
#include <pthread.h>
#include <string.h>

#include "runtime/base/account.h"
#include "runtime/base/memory.h"
#include "tests/check.h"

enum { LARGE = 1 << 20 };

static size_t now_of(pl_memory_kind kind) {
  pl_memory_figures figures;
  pl_account_read(&figures);
  return figures.now[PL_ON_HOST][kind];
}

static void *alloc_for(pl_memory_kind kind, size_t bytes) {
  PL_MEMORY_FOR(kind);
  return pl_alloc(bytes, 1);
}

static void blocks_count_under_the_kind_that_was_named(void **state) {
  (void)state;
  size_t before = now_of(PL_MEMORY_LOSS), program = now_of(PL_MEMORY_PROGRAM);
  void *block = alloc_for(PL_MEMORY_LOSS, LARGE);
  size_t taken = now_of(PL_MEMORY_LOSS) - before;
  assert_true(taken >= LARGE && taken <= LARGE + 4 * PL_ALIGNMENT);
  /* Given back under it, too, whatever is named then. */
  PL_MEMORY_FOR(PL_MEMORY_DATA);
  pl_free(block);
  assert_int_equal(now_of(PL_MEMORY_LOSS), before);
  assert_int_equal(now_of(PL_MEMORY_PROGRAM), program);
}

static void the_outer_name_counts(void **state) {
  (void)state;
  size_t judging = now_of(PL_MEMORY_JUDGING), loss = now_of(PL_MEMORY_LOSS);
  PL_MEMORY_FOR(PL_MEMORY_JUDGING);
  void *block = alloc_for(PL_MEMORY_LOSS, LARGE);
  assert_true(now_of(PL_MEMORY_JUDGING) >= judging + LARGE);
  assert_int_equal(now_of(PL_MEMORY_LOSS), loss);
  pl_free(block);
}

/* The peak is that of all kinds together: a kind that was larger before does not count. */
static void the_peak_is_one_moment(void **state) {
  (void)state;
  pl_memory_figures figures;
  CHECK_OK(pl_account_plan_begin());
  void *first = alloc_for(PL_MEMORY_DATA, 2 * LARGE);
  pl_free(first);
  void *kept = alloc_for(PL_MEMORY_KEPT, 4 * LARGE);
  void *small = alloc_for(PL_MEMORY_DATA, LARGE);
  pl_free(small);
  pl_free(kept);
  pl_account_plan_end(&figures);
  size_t data = figures.peak[PL_ON_HOST][PL_MEMORY_DATA];
  assert_true(data >= LARGE && data < LARGE + LARGE / 2);
  assert_true(figures.peak[PL_ON_HOST][PL_MEMORY_KEPT] >= 4 * (size_t)LARGE);
  assert_int_equal(pl_memory_total(figures.now[PL_ON_HOST]), 0);
}

static void what_is_planned_is_not_had(void **state) {
  (void)state;
  const size_t bytes = (size_t)1 << 40; /* more than machines that run tests have */
  pl_memory_figures figures;
  size_t resident = pl_resident_bytes(), program = now_of(PL_MEMORY_PROGRAM);
  CHECK_OK(pl_account_plan_begin());
  assert_true(pl_account_is_planning());
  unsigned char *block = pl_alloc(bytes, 1);
  assert_non_null(block);
  assert_true((uintptr_t)block % PL_ALIGNMENT == 0);
  block[bytes - 1] = 7; /* may be written to, and is zero before */
  assert_int_equal(block[bytes / 2], 0);
  assert_true(pl_resident_bytes() < resident + (64u << 20));
  pl_free(block);
  pl_account_plan_end(&figures);
  assert_false(pl_account_is_planning());
  assert_true(figures.peak[PL_ON_HOST][PL_MEMORY_PROGRAM] >= bytes);
  assert_int_equal(now_of(PL_MEMORY_PROGRAM), program);
}

static void *plan_elsewhere(void *failed) {
  *(bool *)failed = pl_account_plan_begin() != PL_OK && !pl_account_is_planning();
  return NULL;
}

static void one_thread_plans(void **state) {
  (void)state;
  pthread_t other;
  bool failed = false;
  pl_memory_figures figures;
  CHECK_OK(pl_account_plan_begin());
  assert_int_equal(pthread_create(&other, NULL, plan_elsewhere, &failed), 0);
  pthread_join(other, NULL);
  assert_true(failed);
  pl_account_plan_end(&figures);
}

static void a_refusal_is_remembered(void **state) {
  (void)state;
  pl_memory_figures figures;
  pl_account_forget_refusal();
  assert_int_equal(pl_account_refusal().bytes, 0);
  CHECK_OK(pl_account_plan_begin()); /* where sanitizers don't end the program for it */
  assert_null(alloc_for(PL_MEMORY_KEPT, (size_t)1 << 62));
  pl_account_plan_end(&figures);
  assert_true(pl_account_refusal().bytes >= (size_t)1 << 62);
  assert_int_equal(pl_account_refusal().kind, PL_MEMORY_KEPT);
  assert_int_equal(pl_account_refusal().place, PL_ON_HOST);
  pl_account_forget_refusal();
  assert_int_equal(pl_account_refusal().bytes, 0);
}

static void every_kind_has_a_name(void **state) {
  (void)state;
  for (int a = 0; a < PL_MEMORY_KINDS; a++) {
    assert_string_not_equal(pl_memory_kind_name((pl_memory_kind)a), "unknown");
    for (int b = 0; b < a; b++) {
      assert_string_not_equal(pl_memory_kind_name((pl_memory_kind)a),
                              pl_memory_kind_name((pl_memory_kind)b));
    }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(blocks_count_under_the_kind_that_was_named),
      cmocka_unit_test(the_outer_name_counts),
      cmocka_unit_test(the_peak_is_one_moment),
      cmocka_unit_test(what_is_planned_is_not_had),
      cmocka_unit_test(one_thread_plans),
      cmocka_unit_test(a_refusal_is_remembered),
      cmocka_unit_test(every_kind_has_a_name),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
