/* runtime/store/manifest: what is written reads back; what is hostile, foreign or cut is refused
 * with its place; differences to a model are all named. */
#include <stdlib.h>
#include <string.h>

#include "runtime/base/log.h"
#include "runtime/base/memory.h"
#include "runtime/store/manifest.h"
#include "tests/check.h"

typedef struct tensor {
  const char *name;
  pl_param_kind kind;
  int dims;
  int64_t dim[PL_MAX_DIMS];
} tensor;

static void add_tensor(pl_space *space, const tensor *t) {
  int index;
  CHECK_OK(pl_space_add(space, t->name, t->kind, t->dims, t->dim, (pl_init){0}, &index));
}

static void add_buffer(pl_space *space, const char *name, int64_t count) {
  int index;
  CHECK_OK(pl_space_add_buffer(space, name, count, 0, &index));
}

static pl_space *make_space(void) {
  static const tensor tensors[] = {{"stem.conv", PL_PARAM_WEIGHT, 4, {16, 3, 7, 7}},
                                   {"stem.gain", PL_PARAM_GAIN, 1, {16}},
                                   {"stem.bias", PL_PARAM_BIAS, 1, {16}},
                                   {"odd \"name\": \\ [x]", PL_PARAM_BIAS, 1, {100}}};
  pl_space *space;
  CHECK_OK(pl_space_create(&space));
  for (int t = 0; t < 4; t++) add_tensor(space, &tensors[t]);
  add_buffer(space, "stem.mean", 16);
  add_buffer(space, "stem.var", 16);
  CHECK_OK(pl_space_seal(space, PL_F32, 1 << 20));
  return space;
}

/* The text of a manifest of two parts; free() gives it back. */
static char *write_manifest(const pl_space *space, const char *config, double value) {
  const pl_checkpoint_part_record parts[] = {{90000, "99aa06d3014798d86001c324468d497f"},
                                             {90001, "0123456789abcdef0123456789abcdef"}};
  const pl_checkpoint_shard ledger[] = {{"part-00000.h5", 1000, 2, 1}, {"\"odd\"", 24, 0, 0}};
  const pl_checkpoint_vectors names = {.count = 2, .name = {"params", "momentum"}};
  const pl_checkpoint_vectors replicated = {.count = 2, .name = {"buffers", "average_buffers"}};
  const pl_checkpoint_manifest manifest = {.step = 1,
                                           .position = 512,
                                           .passed_over = 3,
                                           .dataset = "00112233445566778899aabbccddeeff",
                                           .shards = 2,
                                           .shard = ledger,
                                           .metric = "knn",
                                           .value = value,
                                           .parts = 2,
                                           .part = parts,
                                           .config_yaml = config,
                                           .build = "0.1.0 \"test\"",
                                           .state_hash = "0123456789abcdef0123456789abcdef"};
  char *text;
  CHECK_OK(pl_manifest_write(space, &names, &replicated, &manifest, &text));
  return text;
}

static pl_manifest *parse(const char *text) {
  pl_manifest *manifest;
  CHECK_OK(pl_manifest_parse("manifest.yaml", text, strlen(text), &manifest));
  return manifest;
}

static void what_is_written_reads_back(void **state) {
  (void)state;
  pl_space *space = make_space();
  char *text = write_manifest(space, "a: 1\n", 0.5);
  pl_manifest *manifest = parse(text);
  const pl_checkpoint_manifest *about = &manifest->about;
  assert_int_equal(about->step, 1);
  assert_int_equal(about->position, 512);
  assert_int_equal(about->passed_over, 3);
  assert_string_equal(about->dataset, "00112233445566778899aabbccddeeff");
  assert_int_equal(about->shards, 2);
  assert_string_equal(about->shard[1].name, "\"odd\"");
  assert_int_equal(about->shard[0].repeated, 2);
  assert_string_equal(about->metric, "knn");
  assert_true(about->value == 0.5);
  assert_string_equal(about->build, "0.1.0 \"test\"");
  assert_string_equal(about->state_hash, "0123456789abcdef0123456789abcdef");
  assert_int_equal(about->parts, 2);
  assert_int_equal(about->part[1].bytes, 90001);
  assert_string_equal(about->part[0].hash, "99aa06d3014798d86001c324468d497f");
  assert_int_equal(pl_manifest_find_vector(&manifest->sliced, "momentum"), 1);
  assert_int_equal(pl_manifest_find_vector(&manifest->sliced, "second"), -1);
  assert_int_equal(pl_manifest_find_vector(&manifest->replicated, "average_buffers"), 1);
  assert_int_equal(manifest->tensors, pl_space_params(space));
  for (int t = 0; t < manifest->tensors; t++) {
    const pl_param *param = pl_space_param(space, t);
    assert_int_equal(pl_manifest_find_tensor(manifest, param->name), t);
    assert_int_equal(manifest->tensor[t].first_block, param->first_block);
    assert_int_equal(manifest->tensor[t].blocks, param->blocks);
  }
  assert_int_equal(manifest->buffer[1].offset, 16);
  CHECK_OK(pl_manifest_compare("folder", manifest, space));
  pl_manifest_destroy(&manifest);
  assert_null(manifest);
  free(text);
  pl_space_destroy(&space);
}

/* Every bit of a value survives; what is not finite is none. */
static void values_read_back(void **state) {
  (void)state;
  const double values[] = {
      0, 1, -2.5, 0.1, 1.0 / 3, 5e-324, 1.7976931348623157e308, 0.8790000000001};
  const double none[] = {NAN, INFINITY, -INFINITY};
  pl_space *space = make_space();
  for (size_t k = 0; k < sizeof values / sizeof *values; k++) {
    char *text = write_manifest(space, "", values[k]);
    pl_manifest *manifest = parse(text);
    assert_true(manifest->about.value == values[k]);
    pl_manifest_destroy(&manifest);
    free(text);
  }
  for (size_t k = 0; k < sizeof none / sizeof *none; k++) {
    char *text = write_manifest(space, "", none[k]);
    pl_manifest *manifest = parse(text);
    assert_true(isnan(manifest->about.value));
    pl_manifest_destroy(&manifest);
    free(text);
  }
  pl_space_destroy(&space);
}

static void any_text_survives_as_configuration(void **state) {
  (void)state;
  const char *texts[] = {"",
                         "\n",
                         "\n\n",
                         "no line feed",
                         "  leading spaces\n",
                         "\ttab first\n\n \n",
                         "carriage\r\nreturn\n",
                         "bell \a and delete \x7F",
                         "next line \xC2\x85 and separators \xE2\x80\xA8 \xE2\x80\xA9",
                         "byte order mark \xEF\xBB\xBF",
                         "trailing space \n# comment\nkey: |\n  nested block\n"};
  pl_space *space = make_space();
  for (size_t k = 0; k < sizeof texts / sizeof *texts; k++) {
    char *written = write_manifest(space, texts[k], 0.5);
    pl_manifest *manifest = parse(written);
    assert_string_equal(manifest->about.config_yaml, texts[k]);
    pl_manifest_destroy(&manifest);
    free(written);
  }
  char *written = write_manifest(space, "not UTF-8: \xFF\xC3 \xED\xA0\x80", 0.5);
  pl_manifest *manifest = parse(written);
  assert_non_null(strstr(manifest->about.config_yaml, "not UTF-8: \xEF\xBF\xBD"));
  pl_manifest_destroy(&manifest);
  free(written);
  pl_space_destroy(&space);
}

static void check_refused(const char *text, size_t size, const char *words) {
  pl_manifest *manifest;
  CHECK_FAILS(PL_E_DATA, words, pl_manifest_parse("manifest.yaml", text, size, &manifest));
  assert_int_equal(strncmp(pl_last_reason()->message, "manifest.yaml:", 14), 0);
  assert_null(manifest);
}

/* `text` with `old` replaced by `new` must be refused with `words`. */
static void check_edit(const char *text, const char *old, const char *new, const char *words) {
  char edited[8192];
  const char *at = strstr(text, old);
  if (!at) fail_msg("\"%s\" is not in the manifest", old);
  int length =
      snprintf(edited, sizeof edited, "%.*s%s%s", (int)(at - text), text, new, at + strlen(old));
  assert_true(length < (int)sizeof edited);
  check_refused(edited, (size_t)length, words);
}

static void hostile_manifests_are_refused(void **state) {
  (void)state;
  const char *edits[][3] = {
      {"version: 2", "version: 3\nshiny: new", "format 3, newer than format 2"},
      {"version: 2", "version: 1\nskipped: 3", "format 1, older than format 2"},
      {"version: 2", "version: 0", "no format 0"},
      {"version: 2", "version: two", "not a whole number"},
      {"format: plenum-checkpoint", "format: other", "is not \"plenum-checkpoint\""},
      {"format: plenum-checkpoint\n", "", "the key \"format\" is missing"},
      {"step: 1\n", "step: 1\nstep: 1\n", "stands twice"},
      {"step: 1\n", "step: -1\n", "not a whole number"},
      {"step: 1\n", "step: 99999999999999999999\n", "not a whole number"},
      {"step: 1\n", "step: 1.5\n", "not a whole number"},
      {"step: 1\n", "step: [1]\n", "expected a word, found a list"},
      {"step: 1\n", "step: *a\n", "an alias"},
      {"step: 1\n", "stop: 1\n", "unknown key \"stop\""},
      {"block: 1024", "block: 512", "blocks of 512"},
      {"part-00000.h5", "../part-00000.h5", "\"../part-00000.h5\" stands where"},
      {"part-00001.h5", "/etc/passwd", "\"/etc/passwd\" stands where"},
      {"part-00001.h5", "part-00000.h5", "stands where \"part-00001.h5\""},
      {"part-00001.h5", "part-00001.h5\\0x", "zero byte"},
      {"kind: weight", "kind: wait", "is not weight, bias or gain"},
      {"[16, 3, 7, 7]", "[16, 3, 7, 7, 1]", "more than 4 dimensions"},
      {"[16, 3, 7, 7]", "[]", "has no shape"},
      {"[16, 3, 7, 7]", "16", "expected a list"},
      {"[16, 3, 7, 7]", "[0]", "must be above 0"},
      {"[16, 3, 7, 7]", "[4294967296, 4294967296]", "larger than any memory"},
      {"[16, 3, 7, 7]", "[9223372036854775807]", "larger than any memory"},
      {"[16, 3, 7, 7]", "[1099511627776]", "the parts have only"},
      {"[16, 3, 7, 7]", "[[[[[[[[[[[[[[[[[[[[[[[[", "expected a word, found a list"},
      {"count: 16", "count: 9223372036854775807", "larger than any memory"},
      {"count: 16", "count: 1099511627776", "the parts have only"},
      {"value: 0.5", "value: nan", "is not a number"},
      {"value: 0.5", "value: 1e999", "is not a number"},
      {"value: 0.5", "value: \"0.5 \"", "is not a number"},
      {"value: 0.5", "value:", "is not a number"},
      {"dataset: \"0", "dataset: \"", "is not a hash"},
      {"seen: 24", "seen: -1", "not a whole number"},
      {"seen: 24", "seen: 9223372036854775807", "more samples than can be counted"},
      {"seen: 24", "sawn: 24", "unknown key \"sawn\""},
      {"seen: 24, ", "", "the key \"seen\" is missing"},
      {"ledger:\n", "ledger: 1\n", ""},
      {"\"momentum\"", "\"../momentum\"", "\"../momentum\" is not a name for a vector"},
      {"\"momentum\"", "\".\"", "is not a name"},
      {"\"momentum\"", "\"\"", "is not a name"},
      {"\"average_buffers\"", "\"a b\"", "is not a name for a vector"},
      {"\"average_buffers\"", "\"buffers\"", "the vector \"buffers\" stands twice"},
      {"\"momentum\"", "\"params\"", "the vector \"params\" stands twice"},
      {"\"momentum\"", "a, b, c, d, e, f, g, h, i", "more than 8 vectors"},
      {"\"stem.gain\"", "\"stem.bias\"", "the tensor \"stem.bias\" stands twice"},
      {"\"stem.var\"", "\"stem.mean\"", "the buffer \"stem.mean\" stands twice"},
      {"\"stem.gain\"", "\"\"", "a name of 0 bytes"},
      {"hash: \"", "hash: \"0", "is not a hash"},
      {"state: \"0", "state: \"G", "is not a hash"},
      {"parts:", "parts: []\nother:", "unknown key \"other\""},
      {"buffers:", "buffers: {", ""},
      {"format:", "@format:", "not YAML"},
      {"format:", "- format:", ""},
      {"format:", "\xFF\xFE format:", ""}, /* now UTF-16 */
      {"format:", "\xC3\x28 format:", "not YAML"},
      {"config:", "---\nconfig:", "the key \"config\" is missing"},
  };
  pl_space *space = make_space();
  char *text = write_manifest(space, "a: 1\n", 0.5), name[200];
  for (size_t k = 0; k < sizeof edits / sizeof *edits; k++) {
    check_edit(text, edits[k][0], edits[k][1], edits[k][2]);
  }
  memset(name, 'x', sizeof name - 1);
  name[sizeof name - 1] = '\0';
  check_edit(text, "stem.gain", name, "a name of 199 bytes");
  free(text);
  pl_space_destroy(&space);
}

/* Cut anywhere before the last key. */
static void cut_manifests_are_refused(void **state) {
  (void)state;
  pl_space *space = make_space();
  char *text = write_manifest(space, "a: 1\n", 0.5);
  size_t required = (size_t)(strstr(text, "config: ") - text);
  for (size_t length = 0; length <= required; length++) check_refused(text, length, "");
  free(text);
  pl_space_destroy(&space);
}

static void differing_tensors_are_all_named(void **state) {
  (void)state;
  static const tensor others[] = {{"stem.conv", PL_PARAM_WEIGHT, 4, {16, 3, 3, 3}},
                                  {"stem.gain", PL_PARAM_BIAS, 1, {16}},
                                  {"head.extra", PL_PARAM_BIAS, 1, {100}}};
  const char *words[] = {
      "stem.conv has shape (16, 3, 7, 7) in the checkpoint, (16, 3, 3, 3) in the",
      "stem.gain is a gain in the checkpoint, a bias in the model",
      "head.extra is missing in the checkpoint",
      "stem.bias is not in the model",
      "odd \"name\": \\ [x] is not in the model",
      "stem.mean has 16 elements in the checkpoint, 8 in the model",
      "head.mean is missing in the checkpoint",
      "stem.var is not in the model",
      "differ in 8 tensors"};
  pl_space *space = make_space(), *other;
  char *text = write_manifest(space, "", 0.5);
  pl_manifest *manifest = parse(text);
  CHECK_OK(pl_space_create(&other));
  for (int t = 0; t < 3; t++) add_tensor(other, &others[t]);
  add_buffer(other, "stem.mean", 8);
  add_buffer(other, "head.mean", 8);
  CHECK_OK(pl_space_seal(other, PL_F32, 1 << 20));
  for (size_t k = 0; k < sizeof words / sizeof *words; k++) {
    CHECK_FAILS(PL_E_DATA, words[k], pl_manifest_compare("folder", manifest, other));
  }
  pl_space_destroy(&other);

  /* so many that no message holds them */
  CHECK_OK(pl_space_create(&other));
  for (int t = 0; t < 200; t++) {
    char name[32];
    snprintf(name, sizeof name, "layer%03d.weight", t);
    add_tensor(other, &(tensor){name, PL_PARAM_WEIGHT, 1, {1}});
  }
  CHECK_OK(pl_space_seal(other, PL_F32, 1 << 20));
  CHECK_FAILS(PL_E_DATA, "differ in 206 tensors", pl_manifest_compare("folder", manifest, other));
  assert_non_null(strstr(pl_last_reason()->message, "more, named in the log"));
  pl_space_destroy(&other);
  pl_manifest_destroy(&manifest);
  free(text);
  pl_space_destroy(&space);
}

int main(void) {
  pl_log_set_level(PL_LOG_ERROR);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(what_is_written_reads_back),
      cmocka_unit_test(values_read_back),
      cmocka_unit_test(any_text_survives_as_configuration),
      cmocka_unit_test(hostile_manifests_are_refused),
      cmocka_unit_test(cut_manifests_are_refused),
      cmocka_unit_test(differing_tensors_are_all_named),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
