/* The texts that a measurement of the tokenizer reads or makes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "launch/bench/texts.h"
#include "runtime/base/utf8.h"
#include "tests/check.h"
#include "tests/unit/tokens_fixture.h"

static void write_file(char path[64], const char *bytes, size_t size) {
  snprintf(path, 64, "/tmp/plenum-test-texts-XXXXXX");
  int fd = mkstemp(path);
  assert_true(fd >= 0);
  assert_int_equal(write(fd, bytes, size), (ssize_t)size);
  assert_int_equal(close(fd), 0);
}

static void test_made(void **state) {
  (void)state;
  pl_names texts = {0}, again = {0};
  CHECK_OK(pl_bench_texts_make(TOKENS_FOLDER "/merges.txt", &texts));
  CHECK_OK(pl_bench_texts_make(TOKENS_FOLDER "/merges.txt", &again));
  assert_int_equal(texts.bytes, again.bytes);
  assert_memory_equal(texts.text, again.text, (size_t)texts.bytes);
  int64_t foreign = 0;
  for (int64_t k = 0; k < texts.count; k++) {
    const char *text = pl_names_at(&texts, k);
    size_t size = strlen(text), plain = 0;
    assert_true(size > 0);
    assert_int_equal(pl_utf8_valid(text, size), size);
    while (plain < size && (unsigned char)text[plain] < 0x80) plain++;
    foreign += plain < size;
  }
  /* One in 16 has letters, one in 16 a face. */
  assert_in_range(foreign, texts.count / 10, texts.count / 7);
  pl_names_free(&again);
  pl_names_free(&texts);
}

static void test_read(void **state) {
  (void)state;
  static const char bytes[] = "\nfirst\n\n\nse\0cond\nlast";
  char path[64];
  pl_names texts = {0};
  write_file(path, bytes, sizeof bytes - 1);
  CHECK_OK(pl_bench_texts_read(path, &texts));
  assert_int_equal(texts.count, 3);
  assert_string_equal(pl_names_at(&texts, 0), "first");
  assert_memory_equal(pl_names_at(&texts, 1), "se\0cond", sizeof "se\0cond");
  assert_string_equal(pl_names_at(&texts, 2), "last");
  pl_names_free(&texts);
  assert_int_equal(unlink(path), 0);
}

static void test_none(void **state) {
  (void)state;
  char path[64];
  pl_names texts = {0};
  write_file(path, "\n\n", 2);
  CHECK_FAILS(PL_E_DATA, "holds no text", pl_bench_texts_read(path, &texts));
  CHECK_FAILS(PL_E_DATA, "no English words", pl_bench_texts_make(path, &texts));
  pl_names_free(&texts);
  assert_int_equal(unlink(path), 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_made),
      cmocka_unit_test(test_read),
      cmocka_unit_test(test_none),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
