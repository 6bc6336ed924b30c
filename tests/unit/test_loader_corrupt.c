/* The loader: what it does about corrupt samples and read errors, and its ledger. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base/file.h"
#include "tests/check.h"
#include "tests/unit/loader_fixture.h"

static void corrupt_samples_are_replaced(void **state) {
  fixture *f = *state;
  served *whole = serve_all(&f->options, NULL);
  /* two in a row over a shard's end, and the last, which is followed by the first */
  damage(f, 11);
  damage(f, 12);
  damage(f, SAMPLES - 1);
  f->options.skip_limit = 3;
  int64_t skipped = -1;
  served *damaged = serve_all(&f->options, &skipped);
  assert_int_equal(skipped, 3); /* though each was met in three epochs */
  for (int k = 0; k < 6 * LEAVES; k++) {
    for (int i = 0; i < LEAF; i++) {
      int64_t sample = whole[k].sample[i];
      int64_t expected = sample == 11 || sample == 12 ? 13 : sample % (SAMPLES - 1);
      assert_int_equal(damaged[k].sample[i], expected);
    }
  }
  f->options.workers = 1;
  f->options.first_leaf = 1;
  f->options.leaves = 3;
  served *part = serve_all(&f->options, NULL);
  for (int step = 0; step < 6; step++) {
    assert_memory_equal(&damaged[step * LEAVES + 1], &part[step * 3], 3 * sizeof *part);
  }
  free(part);
  free(damaged);
  free(whole);
}

/* Asks until the loader fails, which it must, and keeps failing. */
static void expect_failure(const pl_loader_options *options, pl_status code, const char *words) {
  pl_loader *loader = NULL;
  CHECK_OK(pl_loader_create(options, &loader));
  pl_loader_leaf leaf;
  int64_t asked = 0, n = options->steps * options->leaves;
  while (asked < n && pl_loader_next(loader, &leaf) == PL_OK) asked++;
  assert_true(asked < n);
  CHECK_FAILS(code, words, pl_loader_next(loader, &leaf));
  CHECK_FAILS(code, words, pl_loader_next(loader, &leaf));
  pl_loader_destroy(&loader);
}

static void too_many_corrupt_samples_fail(void **state) {
  fixture *f = *state;
  damage(f, 3);
  damage(f, 30);
  f->options.skip_limit = 1;
  expect_failure(&f->options, PL_E_DATA, "2 corrupt samples, the limit is 1");
  f->options.skip_limit = 0;
  expect_failure(&f->options, PL_E_DATA, "part-0000");
  f->options.skip_limit = 2;
  free(serve_all(&f->options, NULL));
}

static void all_samples_corrupt_fail(void **state) {
  fixture *f = *state;
  for (int sample = 0; sample < SAMPLES; sample++) damage(f, sample);
  f->options.skip_limit = SAMPLES;
  expect_failure(&f->options, PL_E_DATA, "all 37 samples");
}

/* Lets reads of a shard fail: puts a folder behind its descriptor. */
static void break_reading(const fixture *f, int shard) {
  char path[PL_PATH_MAX], real[PL_PATH_MAX], target[PL_PATH_MAX];
  assert_non_null(realpath(pl_dataset_shard_path(f->dataset, shard), real));
  int folder = open("/", O_RDONLY | O_DIRECTORY), replaced = 0;
  assert_true(folder >= 0);
  for (int fd = 3; fd < 256; fd++) {
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(path, target, sizeof target - 1);
    if (length < 0) continue;
    target[length] = '\0';
    if (strcmp(target, real) == 0 && dup2(folder, fd) == fd) replaced++;
  }
  close(folder);
  assert_true(replaced > 0);
}

static void read_errors_fail_at_once(void **state) {
  fixture *f = *state;
  break_reading(f, 1);
  f->options.skip_limit = 1000;
  expect_failure(&f->options, PL_E_IO, "part-00001.h5");
}

/* Whole epochs: STEPS batches are EPOCHS times the dataset. */
enum { STEPS = SAMPLES, EPOCHS = BATCH };
_Static_assert(STEPS *BATCH == EPOCHS * SAMPLES, "only whole epochs");

/* What loaders have told, summed over them. */
typedef struct account {
  pl_ledger_line line[SHARDS];
  int served[EPOCHS][SAMPLES]; /* times, after replacement */
} account;

/* Runs a loader to its end and adds what it tells. At every moment its ledger must hold what was
 * handed out, and nothing of what was made ahead. */
static void add_loader(const pl_loader_options *options, account *sum) {
  pl_loader *loader = NULL;
  CHECK_OK(pl_loader_create(options, &loader));
  const pl_ledger_line *ledger = pl_loader_ledger(loader);
  int64_t expected = 0;
  for (int64_t k = 0; k < options->steps * options->passes * options->leaves; k++) {
    pl_loader_leaf leaf;
    CHECK_OK(pl_loader_next(loader, &leaf));
    bool first_pass = k % (options->passes * options->leaves) < options->leaves;
    if (first_pass) expected += LEAF;
    int64_t drawn = 0;
    for (int shard = 0; shard < SHARDS; shard++) {
      drawn += ledger[shard].seen + ledger[shard].skipped;
    }
    assert_int_equal(drawn, expected);
    for (int i = 0; first_pass && i < LEAF; i++) sum->served[leaf.epoch[i]][leaf.sample[i]]++;
  }
  for (int shard = 0; shard < SHARDS; shard++) {
    sum->line[shard].seen += ledger[shard].seen;
    sum->line[shard].repeated += ledger[shard].repeated;
    sum->line[shard].skipped += ledger[shard].skipped;
  }
  pl_loader_destroy(&loader);
}

/* The steps [first, end) by two loaders that own the leaves before and from `cut`. */
static void add_steps(pl_loader_options options, int first, int end, int cut, account *sum) {
  options.first_step = first;
  options.steps = end - first;
  options.first_leaf = 0;
  options.leaves = cut;
  if (options.leaves > 0) add_loader(&options, sum);
  options.first_leaf = cut;
  options.leaves = LEAVES - cut;
  if (options.leaves > 0) add_loader(&options, sum);
}

/* EPOCHS epochs in three starts, each with another cut of the batch into ranks; the second begins
 * and ends within an epoch. */
static void add_three_starts(const pl_loader_options *options, account *sum) {
  add_steps(*options, 0, 9, LEAVES, sum);
  add_steps(*options, 9, 20, 1, sum);
  add_steps(*options, 20, STEPS, 2, sum);
}

static void an_epoch_holds_each_sample_once(void **state) {
  fixture *f = *state;
  for (f->options.passes = 1; f->options.passes <= 2; f->options.passes++) {
    account sum = {0};
    add_three_starts(&f->options, &sum);
    for (int epoch = 0; epoch < EPOCHS; epoch++) {
      for (int sample = 0; sample < SAMPLES; sample++) {
        assert_int_equal(sum.served[epoch][sample], 1);
      }
    }
    for (int shard = 0; shard < SHARDS; shard++) {
      assert_int_equal(sum.line[shard].seen, (int64_t)EPOCHS * shard_samples(shard));
      assert_int_equal(sum.line[shard].repeated, 0);
      assert_int_equal(sum.line[shard].skipped, 0);
    }
  }
}

/* Samples 11 and 12 lie on both sides of a shard's end, and 13 stands in for both; 0 stands in for
 * the last. */
static void the_ledger_accounts_for_each_draw(void **state) {
  fixture *f = *state;
  damage(f, 11);
  damage(f, 12);
  damage(f, SAMPLES - 1);
  f->options.skip_limit = 3;
  static const int skipped[SHARDS] = {1, 1, 1}, repeated[SHARDS] = {1, 2, 0};
  for (f->options.passes = 1; f->options.passes <= 2; f->options.passes++) {
    account whole = {0}, parts = {0};
    add_steps(f->options, 0, STEPS, LEAVES, &whole);
    add_three_starts(&f->options, &parts);
    assert_memory_equal(&whole, &parts, sizeof whole);
    for (int shard = 0; shard < SHARDS; shard++) {
      const pl_ledger_line *line = &whole.line[shard];
      assert_int_equal(line->seen + line->skipped, (int64_t)EPOCHS * shard_samples(shard));
      assert_int_equal(line->skipped, EPOCHS * skipped[shard]);
      assert_int_equal(line->repeated, EPOCHS * repeated[shard]);
    }
    for (int epoch = 0; epoch < EPOCHS; epoch++) {
      for (int sample = 0; sample < SAMPLES; sample++) {
        bool corrupt = sample == 11 || sample == 12 || sample == SAMPLES - 1;
        int stands_in = sample == 13 ? 2 : sample == 0 ? 1 : 0;
        assert_int_equal(whole.served[epoch][sample], corrupt ? 0 : 1 + stands_in);
      }
    }
  }
}

int main(void) {
#define LOADER_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
  const struct CMUnitTest tests[] = {
      LOADER_TEST(corrupt_samples_are_replaced),    LOADER_TEST(too_many_corrupt_samples_fail),
      LOADER_TEST(all_samples_corrupt_fail),        LOADER_TEST(read_errors_fail_at_once),
      LOADER_TEST(an_epoch_holds_each_sample_once), LOADER_TEST(the_ledger_accounts_for_each_draw),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
