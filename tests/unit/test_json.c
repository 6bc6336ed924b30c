/* launch: strings and numbers as JSON. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "launch/json.h"
#include "tests/check.h"

static void check_text(const char *text, const char *expected) {
  char *written = NULL;
  size_t size;
  FILE *file = open_memstream(&written, &size);
  assert_non_null(file);
  pl_json_text(file, text);
  assert_int_equal(fclose(file), 0);
  assert_string_equal(written, expected);
  free(written);
}

static void strings_are_escaped(void **state) {
  (void)state;
  check_text("", "\"\"");
  check_text("a \"b\" \\c", "\"a \\\"b\\\" \\\\c\"");
  check_text("line\nend\x7F", "\"line\\u000aend\\u007f\"");
  check_text("Gr\xC3\xBC\xC3\x9F\x65 \xF0\x9F\x8C\x8D",
             "\"Gr\xC3\xBC\xC3\x9F\x65 \xF0\x9F\x8C\x8D\"");
  check_text("next\xC2\x85line", "\"next\\u0085line\"");
}

/* What is no UTF-8 is told as such, byte by byte, and never read beyond its end. */
static void bad_bytes_are_replaced(void **state) {
  (void)state;
  check_text("\xFF", "\"\\ufffd\"");
  check_text("a\xC3", "\"a\\ufffd\"");
  check_text("\xE2\x82", "\"\\ufffd\\ufffd\"");
  check_text("\xC0\xAF", "\"\\ufffd\\ufffd\"");
  check_text("\xED\xA0\x80", "\"\\ufffd\\ufffd\\ufffd\"");
}

static void numbers_are_told_or_null(void **state) {
  (void)state;
  const double values[] = {1.5, -3e20, NAN, INFINITY};
  const char *const expected[] = {"1.5", "-3e+20", "null", "null"};
  for (size_t k = 0; k < sizeof values / sizeof *values; k++) {
    char *written = NULL;
    size_t size;
    FILE *file = open_memstream(&written, &size);
    assert_non_null(file);
    pl_json_number(file, values[k]);
    assert_int_equal(fclose(file), 0);
    assert_string_equal(written, expected[k]);
    free(written);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(strings_are_escaped),
      cmocka_unit_test(bad_bytes_are_replaced),
      cmocka_unit_test(numbers_are_told_or_null),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
