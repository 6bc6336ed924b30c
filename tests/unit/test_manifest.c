/* dataset.yaml: what is wrong in it is named by line. */
#include <stdio.h>
#include <string.h>

#include "runtime/data/manifest.h"
#include "tests/check.h"

#define HEAD                                                                   \
  "format: plenum-dataset\nversion: 1\nkind: image\nsamples: 5\ncaptions: 0\n" \
  "storage: pixels\nheight: 4\nwidth: 6\n"
#define CLASSES "classes: [cat, \"dog\"]\n"
#define HASH "hash: \"0123456789abcdef0123456789abcdef\"}\n"
#define SHARDS                                                                    \
  "shards:\n  - {name: part-00000.h5, samples: 3, captions: 0, bytes: 100, " HASH \
  "  - {name: part-00001.h5, samples: 2, captions: 0, bytes: 90, " HASH

static const char good[] = HEAD CLASSES SHARDS;

static void test_good(void **state) {
  (void)state;
  pl_dataset_manifest *m = NULL;
  CHECK_OK(pl_dataset_manifest_parse("x", good, strlen(good), &m));
  assert_int_equal(m->info.samples, 5);
  assert_int_equal(m->info.shards, 2);
  assert_int_equal(m->info.classes, 2);
  assert_int_equal(m->info.bytes, 190);
  assert_int_equal(m->info.height, 4);
  assert_int_equal(m->info.width, 6);
  assert_int_equal(m->info.storage, PL_IMAGE_PIXELS);
  assert_string_equal(m->class_name[1], "dog");
  assert_string_equal(m->shards[1].name, "part-00001.h5");
  assert_int_equal(m->shards[1].samples, 2);
  assert_int_equal(m->shards[1].bytes, 90);
  pl_dataset_manifest_destroy(&m);
  assert_null(m);
}

typedef struct change {
  const char *from, *to, *words;
} change;

/* Each replaces the first `from` of the good text. */
static const change changes[] = {
    {"version: 1", "version: 2", "x:2: version: format version 2; this program reads version 1"},
    {"version: 1\n", "", "the key \"version\" is missing"},
    {"plenum-dataset", "other", "x:1: format: \"other\" is not plenum-dataset"},
    {"kind: image", "kind: sound", "kind: \"sound\" is neither image nor image-text"},
    {"kind: image", "kind: image-text", "kind is image-text, but there are 0 captions"},
    {"samples: 5", "samples: 0", "x:4: samples: 0 is not from 1 to"},
    {"samples: 5", "samples: -5", "x:4: samples: \"-5\" is not a whole number"},
    {"samples: 5", "samples: 5.0", "is not a whole number"},
    {"samples: 5", "samples: 0x5", "is not a whole number"},
    {"samples: 5", "samples: [5]", "x:4: samples: expected a word, found a list"},
    {"samples: 5", "samples: 99999999999999999999", "is not a whole number"},
    {"samples: 5", "samples: 9223372036854775807", "is not from 1 to"},
    {"samples: 5", "samples: 6", "the shards hold 5 samples and 0 captions together"},
    {"samples: 5", "samples: 5\nsamples: 5", "x:5: the key \"samples\" stands twice"},
    {"samples: 5", "samples: 5\nsimples: 5", "x:5: unknown key \"simples\""},
    {"samples: 5\n", "", "the key \"samples\" is missing"},
    {"storage: pixels", "storage: jpeg", "storage: \"jpeg\" is neither pixels nor encoded"},
    {"height: 4", "height: 0", "height 0 and width 6 do not fit"},
    {"height: 4\nwidth: 6", "height: 0\nwidth: 0", "height 0 and width 0 do not fit"},
    {"width: 6", "width: 16385", "16385 is not from 0 to 16384"},
    {"[cat, \"dog\"]", "5", "classes: expected a list, found a word"},
    {"cat", "\"\"", "a class without a name"},
    {"cat", "\"a\\0b\"", "a zero byte"},
    {"cat", "[cat]", "expected a word, found a list"},
    {"part-00000.h5", "../part-00000.h5", "name: \"../part-00000.h5\" where part-00000.h5"},
    {"part-00001.h5", "part-00000.h5", "x:12: name: \"part-00000.h5\" where part-00001.h5"},
    {"samples: 3", "samples: 0", "samples: 0 is not from 1 to"},
    {"bytes: 100", "bytes: 4398046511105", "is not from 1 to"},
    {"0123456789abcdef", "0123456789ABCDEF", "is not a hash of 32 hex digits"},
    {"0123456789abcdef", "", "is not a hash of 32 hex digits"},
    {", bytes: 100", "", "the key \"bytes\" is missing"},
    {"{name: part-00000.h5", "[name: part-00000.h5",
     "x:11: shards: expected a group of keys, found a list"},
    {"kind: image", "kind: @image", "x:3: not YAML"},
    {"shards:", "? shards\n:", NULL}, /* another way to write the same */
    {good, "", "x:1: expected a document, found an end"},
    {good, "just words", "x:1: expected a group of keys, found a word"},
    {good, "- a\n- list", "x:1: expected a group of keys, found a list"},
};

static void test_changes(void **state) {
  (void)state;
  char text[2 * sizeof good];
  for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
    const change *c = &changes[i];
    pl_dataset_manifest *m = NULL;
    const char *at = strstr(good, c->from);
    assert_non_null(at);
    snprintf(text, sizeof text, "%.*s%s%s", (int)(at - good), good, c->to, at + strlen(c->from));
    if (c->words) {
      CHECK_FAILS(PL_E_DATA, c->words, pl_dataset_manifest_parse("x", text, strlen(text), &m));
      assert_null(m);
    } else {
      CHECK_OK(pl_dataset_manifest_parse("x", text, strlen(text), &m));
    }
    pl_dataset_manifest_destroy(&m);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_good), cmocka_unit_test(test_changes)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
