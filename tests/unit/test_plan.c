/* launch: sizes as people write them, what a host has, and plans as they are told. */
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "launch/plan/limits.h"
#include "launch/plan/plan.h"
#include "launch/plan/size.h"
#include "tests/check.h"

static void sizes_are_decimal_or_binary(void **state) {
  (void)state;
  static const struct {
    const char *text;
    size_t bytes;
  } sizes[] = {{"1", 1},
               {"512B", 512},
               {"80GB", 80000000000},
               {"1.5 MB", 1500000},
               {"80G", (size_t)80 << 30},
               {"64GiB", (size_t)64 << 30},
               {"4K", 4096},
               {"4kB", 4000},
               {"2TiB", (size_t)2 << 40}};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    size_t bytes = 0;
    assert_true(pl_size_parse(sizes[i].text, &bytes));
    assert_int_equal(bytes, sizes[i].bytes);
  }
  static const char *const none[] = {"",    "GB",   "much", "-1GB", "0",
                                     "1XB", "1GBs", "nan",  "1e40", "1 G B"};
  for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
    size_t bytes;
    if (pl_size_parse(none[i], &bytes)) fail_msg("'%s' was taken for a size", none[i]);
  }
}

static void sizes_are_told_in_three_digits(void **state) {
  (void)state;
  static const struct {
    size_t bytes;
    const char *text;
  } sizes[] = {{0, "0 B"},
               {999, "999 B"},
               {1000, "1.00 kB"},
               {9994, "9.99 kB"},
               {9996, "10.0 kB"},
               {99960, "100 kB"},
               {999499, "999 kB"},
               {999501, "1.00 MB"},
               {1530000000, "1.53 GB"},
               {96000000, "96.0 MB"},
               {2500000000000, "2.50 TB"}};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    char text[PL_SIZE_TEXT];
    assert_string_equal(pl_size_text(sizes[i].bytes, text), sizes[i].text);
  }
}

static void a_host_has_memory(void **state) {
  (void)state;
  pl_host_memory host = pl_host_memory_read();
  assert_true(host.physical > (size_t)64 << 20);
  assert_true(host.available > 0 && host.available <= host.physical);
}

static void a_limit_of_addresses_is_seen(void **state) {
  (void)state;
  struct rlimit before, narrow;
  assert_int_equal(getrlimit(RLIMIT_AS, &before), 0);
  narrow = before;
  narrow.rlim_cur = (rlim_t)1 << 45; /* above what sanitizers map */
  if (before.rlim_max < narrow.rlim_cur) skip();
  assert_int_equal(setrlimit(RLIMIT_AS, &narrow), 0);
  size_t left = pl_host_memory_read().process;
  assert_int_equal(setrlimit(RLIMIT_AS, &before), 0);
  assert_true(left < (size_t)1 << 45);
}

static pl_plan example(void) {
  pl_plan plan = {.ranks = 2, .leaves = 4, .micro = 8, .batch = 64, .gradient_sums = 3};
  plan.bytes[PL_ON_HOST][PL_MEMORY_KEPT] = 400000000;
  plan.bytes[PL_ON_HOST][PL_MEMORY_PROGRAM] = 900000000;
  plan.bytes[PL_ON_HOST][PL_MEMORY_MASTER] = 1000000;
  return plan;
}

static void a_line_begins_with_the_largest(void **state) {
  (void)state;
  pl_plan plan = example();
  char line[PL_PLAN_LINE];
  assert_int_equal(pl_plan_largest(&plan, PL_ON_HOST), PL_MEMORY_PROGRAM);
  pl_plan_line(&plan, PL_ON_HOST, line);
  assert_string_equal(line,
                      "program 900 MB, activations 400 MB, parameters 1.00 MB; together 1.30 GB");
}

static void a_table_says_what_would_help(void **state) {
  (void)state;
  pl_plan plan = example();
  pl_plan_choices choices = {.count = 1, .choice = {{.change = "batch.micro=4", .bytes = {5000}}}};
  char *text = NULL;
  size_t size;
  FILE *out = open_memstream(&text, &size);
  assert_non_null(out);
  pl_plan_print(out, &plan, &choices);
  assert_int_equal(fclose(out), 0);
  /* The program is larger, but nobody can choose another. */
  const char *line = strstr(text, "  activations");
  assert_non_null(line);
  assert_non_null(strstr(line, "4 micro-batches of 100 MB  <- largest; smaller with "));
  assert_non_null(strstr(text, "1.30 GB"));
  assert_non_null(strstr(text, "batch.micro=4"));
  assert_null(strstr(text, "GPU "));
  free(text);
}

/* Small amounts are one line, and what is shown still adds up. */
static void a_table_leaves_no_crumbs(void **state) {
  (void)state;
  pl_plan plan = example();
  const pl_plan_choices none = {0};
  plan.bytes[PL_ON_HOST][PL_MEMORY_MASTER] = 9000000;
  plan.bytes[PL_ON_HOST][PL_MEMORY_LOSS] = 1200000;
  plan.bytes[PL_ON_HOST][PL_MEMORY_BUFFERS] = 128;
  plan.bytes[PL_ON_DEVICE][PL_MEMORY_BUFFERS] = 5000000;
  plan.on_gpu = true;
  char *text = NULL;
  size_t size;
  FILE *out = open_memstream(&text, &size);
  assert_non_null(out);
  pl_plan_print(out, &plan, &none);
  assert_int_equal(fclose(out), 0);
  assert_null(strstr(text, " B"));
  assert_null(strstr(text, "  loss"));
  assert_non_null(strstr(text, "  parameters               9.00 MB           -  f32"));
  assert_non_null(strstr(text, "  running statistics             -     5.00 MB"));
  assert_non_null(strstr(text, "  the rest                 1.20 MB           -  each less"));
  free(text);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(sizes_are_decimal_or_binary),
      cmocka_unit_test(sizes_are_told_in_three_digits),
      cmocka_unit_test(a_host_has_memory),
      cmocka_unit_test(a_limit_of_addresses_is_seen),
      cmocka_unit_test(a_line_begins_with_the_largest),
      cmocka_unit_test(a_table_says_what_would_help),
      cmocka_unit_test(a_table_leaves_no_crumbs),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
