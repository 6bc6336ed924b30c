/* runtime/base: UTF-8. */
#include <string.h>

#include "runtime/base/utf8.h"
#include "tests/check.h"

static int is_surrogate(uint32_t code) { return code >= 0xD800 && code < 0xE000; }

/* A character is written and read, whole and cut short; its bytes. */
static int check_character(uint32_t code) {
  char text[4];
  uint32_t found = ~code;
  int length = pl_utf8_encode(code, text);
  assert_int_equal(pl_utf8_decode(text, (size_t)length, &found), length);
  assert_int_equal(found, code);
  assert_int_equal(pl_utf8_length(text, sizeof text), length);
  for (int cut = 0; cut < length; cut++) assert_int_equal(pl_utf8_length(text, (size_t)cut), 0);
  return length;
}

/* All of up to three bytes, some of those of four. */
static void characters_read_back(void **state) {
  (void)state;
  int longest = 0;
  for (uint32_t code = 0; code <= 0x10FFFF; code += code < 0x10000 ? 1 : 97) {
    if (is_surrogate(code)) continue;
    int length = check_character(code);
    assert_true(length >= longest); /* later characters take no fewer bytes */
    longest = length;
  }
  assert_int_equal(check_character(0x7F), 1);
  assert_int_equal(check_character(0x7FF), 2);
  assert_int_equal(check_character(0xFFFF), 3);
  assert_int_equal(check_character(0x10FFFF), 4);
}

/* Sequences that a reader without care takes for characters, RFC 3629, sections 3 and 10. */
static void what_is_none_is_refused(void **state) {
  static const char *const wrong[] = {
      "\x80",             /* goes on with nothing */
      "\xC0\xAF",         /* "/" in two bytes */
      "\xC1\xBF",         /* U+007F in two bytes */
      "\xE0\x9F\xBF",     /* U+07FF in three */
      "\xF0\x8F\xBF\xBF", /* U+FFFF in four */
      "\xED\xA0\x80",     /* a surrogate */
      "\xED\xBF\xBF",
      "\xF4\x90\x80\x80", /* U+110000 */
      "\xF8\x88\x80\x80",
      "\xFF",
      "\xC3(",
      "\xE2\x82(",
      "\xF0\x9F\x98(",
  };
  (void)state;
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    uint32_t code = 7;
    assert_int_equal(pl_utf8_decode(wrong[i], strlen(wrong[i]), &code), 0);
    assert_int_equal(code, 7);
  }
}

static void valid_text_ends_where_it_breaks(void **state) {
  static const char text[] = "caf\xC3\xA9 \xE2\x98\x95 and \xE9";
  (void)state;
  assert_int_equal(pl_utf8_valid(text, sizeof text - 1), sizeof text - 2);
  assert_int_equal(pl_utf8_valid(text, 5), 5);
  assert_int_equal(pl_utf8_valid(text, 4), 3);
  assert_int_equal(pl_utf8_valid(text, 0), 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(characters_read_back),
      cmocka_unit_test(what_is_none_is_refused),
      cmocka_unit_test(valid_text_ends_where_it_breaks),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
