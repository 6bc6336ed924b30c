/* runtime/base: status, tree, random numbers, hashes, files. */
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base/file.h"
#include "runtime/base/hash.h"
#include "runtime/base/memory.h"
#include "runtime/base/random.h"
#include "runtime/base/threads.h"
#include "runtime/base/tree.h"
#include "tests/check.h"

static void reason_carries_context(void **state) {
  (void)state;
  pl_status status = PL_FAIL(PL_E_DATA, "shard %d is short", 7);
  status = pl_context(status, "reading %s", "cifar");
  assert_int_equal(status, PL_E_DATA);
  assert_int_equal(pl_last_reason()->code, PL_E_DATA);
  assert_string_equal(pl_last_reason()->message, "reading cifar: shard 7 is short");
  assert_non_null(strstr(pl_last_reason()->file, "test_base.c"));
  assert_int_equal(pl_context(PL_OK, "nothing"), PL_OK);
}

static void allocation_refuses_overflow(void **state) {
  (void)state;
  assert_null(pl_alloc(SIZE_MAX / 2, 4));
  assert_non_null(strstr(pl_last_reason()->message, "out of memory"));
  unsigned char *block = pl_alloc(100, 1);
  assert_non_null(block);
  assert_int_equal((uintptr_t)block % PL_ALIGNMENT, 0);
  for (int i = 0; i < 100; i++) assert_int_equal(block[i], 0);
  pl_free(block);
}

/* The parts of all ranks must tile the leaves in order, none empty. */
static void tree_parts_tile_the_leaves(void **state) {
  (void)state;
  for (int64_t leaves = 1; leaves <= 70; leaves++) {
    for (int ranks = 1; ranks <= leaves && ranks <= 9; ranks++) {
      int64_t next = 0;
      for (int rank = 0; rank < ranks; rank++) {
        int64_t first, count;
        pl_tree_part(leaves, ranks, rank, &first, &count);
        assert_int_equal(first, next);
        assert_true(count >= 1);
        next = first + count;
      }
      assert_int_equal(next, leaves);
    }
  }
}

/* Summing inside ranks and then over ranks gives the very bits of one rank, for powers of two. */
static void tree_sums_do_not_depend_on_ranks(void **state) {
  (void)state;
  enum { MOST = 40 };
  pl_random random = pl_random_stream(1, PL_RANDOM_TEST, 0, 0, 0);
  double leaf[MOST];
  for (int i = 0; i < MOST; i++) leaf[i] = ldexp(pl_random_normal(&random), i % 30);
  for (int64_t leaves = 1; leaves <= MOST; leaves++) {
    double whole = 0;
    for (int ranks = 1; ranks <= leaves && ranks <= 16; ranks *= 2) {
      double parts[16];
      for (int rank = 0; rank < ranks; rank++) {
        double sums[16];
        int64_t first, count;
        pl_tree_part(leaves, ranks, rank, &first, &count);
        assert_true(pl_tree_depth(count, PL_TREE_WHOLE) <= 16);
        for (int64_t i = 0; i < count; i++) {
          assert_true(pl_tree_place(count, PL_TREE_WHOLE, i).slot <
                      pl_tree_depth(count, PL_TREE_WHOLE));
          pl_tree_push_f64(sums, 1, count, i, &leaf[first + i]);
        }
        parts[rank] = sums[0];
      }
      double sum;
      pl_tree_sum_f64(&sum, parts, ranks, 1, 1);
      if (ranks == 1) whole = sum;
      assert_memory_equal(&sum, &whole, sizeof sum);
    }
  }
}

static float sum_by_definition_f32(const float *from, int pieces, size_t stride) {
  if (pieces == 1) return *from;
  int left = pieces / 2;
  return sum_by_definition_f32(from, left, stride) +
         sum_by_definition_f32(from + (size_t)left * stride, pieces - left, stride);
}

static double sum_by_definition_f64(const double *from, int pieces, size_t stride) {
  if (pieces == 1) return *from;
  int left = pieces / 2;
  return sum_by_definition_f64(from, left, stride) +
         sum_by_definition_f64(from + (size_t)left * stride, pieces - left, stride);
}

/* Lengths around the chunk that is summed at a time and the length from which threads share; into
 * another array and over the first piece. */
static void tree_sums_add_in_the_order_of_the_tree(void **state) {
  (void)state;
  enum { MOST = 9, STRIDE = 40007 };
  static const size_t lengths[] = {0, 1, 1023, 1024, 1025, 5000, 40000};
  float *from = pl_alloc(MOST * STRIDE, sizeof *from);
  float *out = pl_alloc(STRIDE, sizeof *out);
  double *from_double = pl_alloc(MOST * STRIDE, sizeof *from_double);
  double *out_double = pl_alloc(STRIDE, sizeof *out_double);
  assert_true(from && out && from_double && out_double);
  pl_random random = pl_random_stream(2, PL_RANDOM_TEST, 0, 0, 0);
  for (int i = 0; i < MOST * STRIDE; i++) {
    float uniform = pl_random_range(&random, -1, 1);
    from[i] = ldexpf(uniform, (int)pl_random_below(&random, 20));
    from_double[i] = (double)from[i] * 1.1;
  }
  for (int pieces = 1; pieces <= MOST; pieces++) {
    for (size_t l = 0; l < sizeof lengths / sizeof *lengths; l++) {
      size_t n = lengths[l];
      pl_tree_sum_f32(out, from, pieces, STRIDE, n);
      pl_tree_sum_f64(out_double, from_double, pieces, STRIDE, n);
      for (size_t i = 0; i < n; i++) {
        float expected = sum_by_definition_f32(from + i, pieces, STRIDE);
        double expected_double = sum_by_definition_f64(from_double + i, pieces, STRIDE);
        assert_true(out[i] == expected && out_double[i] == expected_double);
      }
    }
  }
  pl_tree_sum_f32(from, from, 1, STRIDE, STRIDE);
  pl_tree_sum_f32(out, from, MOST, STRIDE, STRIDE);
  pl_tree_sum_f32(from, from, MOST, STRIDE, STRIDE);
  assert_memory_equal(from, out, STRIDE * sizeof *out);
  pl_tree_sum_f64(out_double, from_double, 2, STRIDE, STRIDE);
  pl_tree_sum_f64(from_double, from_double, 2, STRIDE, STRIDE);
  assert_memory_equal(from_double, out_double, STRIDE * sizeof *out_double);
  pl_free(from);
  pl_free(out);
  pl_free(from_double);
  pl_free(out_double);
}

static void threads_follow_the_affinity_mask(void **state) {
  (void)state;
  pl_processors allowed = pl_processors_allowed();
  pl_processors none = {{0}};
  assert_true(pl_processors_overlap(&allowed, &allowed));
  assert_false(pl_processors_overlap(&allowed, &none));
  cpu_set_t before, one;
  assert_int_equal(sched_getaffinity(0, sizeof before, &before), 0);
  assert_int_equal(pl_threads_allowed(), CPU_COUNT(&before));
  int processor = 0;
  while (!CPU_ISSET(processor, &before)) processor++;
  CPU_ZERO(&one);
  CPU_SET(processor, &one);
  assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
  int bound = pl_threads_allowed();
  pl_processors mask = pl_processors_allowed();
  assert_int_equal(sched_setaffinity(0, sizeof before, &before), 0);
  assert_int_equal(bound, 1);
  assert_true(mask.word[processor / 64] == UINT64_C(1) << processor % 64);
  assert_int_equal(pl_threads_per_rank(1, 0), CPU_COUNT(&before));
  assert_int_equal(pl_threads_per_rank(4, 1), CPU_COUNT(&before));
  assert_int_equal(pl_threads_per_rank(1000000, 0), 1);
}

static void random_streams_are_pure_and_distinct(void **state) {
  (void)state;
  pl_random a = pl_random_stream(1, PL_RANDOM_TEST, 2, 3, 4);
  pl_random b = pl_random_stream(1, PL_RANDOM_TEST, 2, 3, 4);
  for (int i = 0; i < 100; i++) assert_int_equal(pl_random_bits(&a), pl_random_bits(&b));
  pl_random other[] = {pl_random_stream(2, PL_RANDOM_TEST, 2, 3, 4),
                       pl_random_stream(1, PL_RANDOM_INIT, 2, 3, 4),
                       pl_random_stream(1, PL_RANDOM_TEST, 3, 3, 4),
                       pl_random_stream(1, PL_RANDOM_TEST, 2, UINT64_C(1) << 40, 4),
                       pl_random_stream(1, PL_RANDOM_TEST, 2, 3, 5)};
  for (size_t k = 0; k < sizeof other / sizeof *other; k++) {
    pl_random base = pl_random_stream(1, PL_RANDOM_TEST, 2, 3, 4);
    int same = 0;
    for (int i = 0; i < 64; i++) same += pl_random_bits(&base) == pl_random_bits(&other[k]);
    assert_int_equal(same, 0);
  }
}

static void random_moments_are_right(void **state) {
  (void)state;
  enum { N = 200000 };
  pl_random random = pl_random_stream(3, PL_RANDOM_TEST, 0, 0, 0);
  double mean = 0, square = 0, normal_mean = 0, normal_square = 0;
  int64_t histogram[7] = {0};
  for (int i = 0; i < N; i++) {
    double u = pl_random_uniform(&random);
    assert_true(u >= 0 && u < 1);
    mean += u / N;
    square += u * u / N;
    double x = pl_random_normal(&random);
    normal_mean += x / N;
    normal_square += x * x / N;
    histogram[pl_random_below(&random, 7)]++;
  }
  assert_true(fabs(mean - 0.5) < 0.005);
  assert_true(fabs(square - 1.0 / 3) < 0.005);
  assert_true(fabs(normal_mean) < 0.01);
  assert_true(fabs(normal_square - 1) < 0.02);
  for (int i = 0; i < 7; i++) assert_true(fabs((double)histogram[i] * 7 / N - 1) < 0.05);
}

static void permutation_holds_each_once(void **state) {
  (void)state;
  uint32_t order[257];
  int seen[257] = {0};
  pl_random random = pl_random_stream(4, PL_RANDOM_TEST, 0, 0, 0);
  pl_random_permutation(&random, order, 257);
  int at_home = 0;
  for (uint32_t i = 0; i < 257; i++) {
    seen[order[i]]++;
    at_home += order[i] == i;
  }
  for (int i = 0; i < 257; i++) assert_int_equal(seen[i], 1);
  assert_true(at_home < 10);
}

/* Check values from RFC 3720 (B.4) and the xxHash documentation's XXH3 of the empty input. */
static void hashes_have_their_published_values(void **state) {
  (void)state;
  assert_int_equal(pl_crc32c(0, "123456789", 9), 0xE3069283u);
  unsigned char zeros[32] = {0};
  assert_int_equal(pl_crc32c(0, zeros, 32), 0x8A9136AAu);
  assert_int_equal(pl_crc32c(pl_crc32c(0, "1234", 4), "56789", 5), 0xE3069283u);
  char text[PL_HASH_TEXT];
  pl_hash_text(pl_hash("", 0), text);
  assert_string_equal(text, "99aa06d3014798d86001c324468d497f");
}

static void files_are_replaced_whole(void **state) {
  (void)state;
  char folder[] = "/tmp/plenum-base-XXXXXX";
  assert_non_null(mkdtemp(folder));
  char nested[PL_PATH_MAX], path[PL_PATH_MAX];
  assert_int_equal(pl_path_join(folder, "a/b/c", nested), PL_OK);
  assert_int_equal(pl_make_folders(nested), PL_OK);
  assert_int_equal(pl_make_folders(nested), PL_OK);
  assert_int_equal(pl_path_join(nested, "file", path), PL_OK);
  assert_int_equal(pl_write_file_durably(path, "old", 3), PL_OK);
  assert_int_equal(pl_write_file_durably(path, "newer", 5), PL_OK);
  char *text;
  size_t size;
  assert_int_equal(pl_read_file(path, 100, &text, &size), PL_OK);
  assert_int_equal(size, 5);
  assert_string_equal(text, "newer");
  pl_free(text);
  assert_int_equal(pl_read_file(path, 4, &text, &size), PL_E_DATA);
  assert_int_equal(pl_read_file(folder, 100, &text, &size), PL_E_DATA);
  char below[PL_PATH_MAX];
  assert_int_equal(pl_path_join(path, "under-a-file", below), PL_OK);
  assert_int_equal(pl_make_folders(below), PL_E_IO);
  assert_non_null(strstr(pl_last_reason()->message, path));
  assert_int_equal(pl_remove_tree(folder), PL_OK);
  assert_false(pl_path_exists(folder));
  assert_int_equal(pl_remove_tree(folder), PL_OK);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(reason_carries_context),
      cmocka_unit_test(allocation_refuses_overflow),
      cmocka_unit_test(tree_parts_tile_the_leaves),
      cmocka_unit_test(tree_sums_do_not_depend_on_ranks),
      cmocka_unit_test(tree_sums_add_in_the_order_of_the_tree),
      cmocka_unit_test(threads_follow_the_affinity_mask),
      cmocka_unit_test(random_streams_are_pure_and_distinct),
      cmocka_unit_test(random_moments_are_right),
      cmocka_unit_test(permutation_holds_each_once),
      cmocka_unit_test(hashes_have_their_published_values),
      cmocka_unit_test(files_are_replaced_whole),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
