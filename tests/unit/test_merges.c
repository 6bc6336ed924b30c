/* Words merged by a list, of all lengths about where the way of merging changes, against the plain
 * rule: of all pairs in the word the one with the earliest line, leftmost first, becomes one. */
#include <stdlib.h>
#include <string.h>

#include "runtime/base/random.h"
#include "runtime/data/tokenizer_merges.h"
#include "tests/check.h"

enum { LONGEST = 80, WORDS = 20000 };

/* Merges that overlap, nest and begin anew at the end of a word. */
static const char list[] =
    "#version: test\n"
    "a b\n"
    "b a\n"
    "a a\n"
    "ab a\n"
    "b c</w>\n"
    "aa aa\n"
    "c ab\n"
    "ba b</w>\n"
    "aa b\n"
    "cab aba\n"
    "c c\n"
    "cc aaaa\n"
    "a b</w>\n";

static size_t merge_plainly(const pl_merges *merges, const char *word, size_t size, int32_t *ids) {
  for (size_t i = 0; i < size; i++) {
    ids[i] = merges->byte_symbol[(unsigned char)word[i]];
    if (i + 1 == size) ids[i] += PL_BYTE_SYMBOLS / 2;
  }
  for (;;) {
    uint32_t best = 0;
    size_t at = 0;
    for (size_t i = 0; i + 1 < size; i++) {
      uint32_t found = pl_merges_find(merges, (uint32_t)ids[i], (uint32_t)ids[i + 1]);
      if (found == 0 || (best != 0 && found >= best)) continue;
      best = found;
      at = i;
    }
    if (best == 0) return size;
    ids[at] = (int32_t)best;
    memmove(ids + at + 1, ids + at + 2, (size - at - 2) * sizeof *ids);
    size--;
  }
}

static void test_words(void **state) {
  (void)state;
  pl_merges merges = {0};
  pl_merge_work work = {0};
  int64_t merged = 0;
  CHECK_OK(pl_merges_parse("list", list, strlen(list), &merges));
  pl_random random = pl_random_stream(1, PL_RANDOM_TEST, 0, 0, 0);
  for (int k = 0; k < WORDS; k++) {
    char word[LONGEST];
    int32_t expected[LONGEST];
    size_t count, size = 1 + pl_random_below(&random, LONGEST);
    for (size_t i = 0; i < size; i++) word[i] = (char)('a' + pl_random_below(&random, 3));
    CHECK_OK(pl_merges_apply(&merges, word, size, &work, &count));
    size_t left = merge_plainly(&merges, word, size, expected);
    assert_int_equal(count, left);
    assert_memory_equal(work.ids, expected, left * sizeof *expected);
    merged += (int64_t)(size - left);
  }
  assert_true(merged > WORDS * (LONGEST / 8));
  pl_merge_work_free(&work);
  pl_merges_free(&merges);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_words)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
