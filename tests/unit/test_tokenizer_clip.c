/* CLIP's own vocabulary. Its file is not ours to give: the environment variable PLENUM_BPE names
 * one; without it this test is skipped. */
#include <stdlib.h>

#include "tests/check.h"
#include "tests/unit/tokens_fixture.h"

static void test_clip(void **state) {
  (void)state;
  pl_tokenizer *tokenizer = NULL;
  tokens_cases cases = {0};
  CHECK_OK(pl_tokenizer_open(getenv("PLENUM_BPE"), &tokenizer));
  assert_int_equal(pl_tokenizer_vocabulary(tokenizer), 49408);
  assert_int_equal(pl_tokenizer_start(tokenizer), 49406);
  assert_int_equal(pl_tokenizer_end(tokenizer), 49407);
  tokens_load(&cases);
  tokens_check(tokenizer, &cases, TOKENS_CLIP);
  tokens_free(&cases);
  pl_tokenizer_close(&tokenizer);
}

int main(void) {
  if (!getenv("PLENUM_BPE")) {
    fprintf(stderr, "skipped: PLENUM_BPE names no bpe_simple_vocab_16e6.txt.gz\n");
    return 77;
  }
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_clip)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
