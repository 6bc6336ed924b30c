/* runtime/config: what bad configurations are told, and the small texts that messages are made of.
 */
#include <string.h>

#include "runtime/base/memory.h"
#include "runtime/config/config.h"
#include "runtime/config/text.h"
#include "tests/check.h"

/* Parses `yaml` over the defaults. */
static pl_status parse(const char *yaml) {
  pl_config config;
  pl_config_defaults(&config);
  return pl_config_parse(&config, "c.yaml", yaml, strlen(yaml));
}

/* Bad texts, and what the message must hold: place, key, value, and what would be right. */
static void errors_have_a_place_and_a_name(void **state) {
  (void)state;
  static const struct {
    const char *yaml, *words;
  } cases[] = {
      {"optim:\n  lr: 0.1\noptm:\n  lr: 0.4\n",
       "c.yaml:4:3: unknown key 'optm.lr'; did you mean 'optim.lr'?"},
      {"train: {lr: 0.4}", "c.yaml:1:9: unknown key 'train.lr'; did you mean 'optim.lr'?"},
      {"model: {widht: 4}", "unknown key 'model.widht'; did you mean 'model.width'?"},
      {"eval: {temperature: 1}", "did you mean 'eval.knn.temperature'?"},
      {"zzzzzz: 1", "c.yaml:1:1: unknown key 'zzzzzz'; the nearest is"},
      {"optm: {}", "c.yaml:1:7: unknown key 'optm'"},
      {"\"\": {run: {seed: 1}}", "unknown key '.run.seed'"},
      {"optim: {lr: fast}", "c.yaml:1:13: optim.lr wants a finite decimal number, not 'fast'"},
      {"optim: {lr: 0.4x}", "not '0.4x'"},
      {"optim: {lr: .nan}", "not '.nan'"},
      {"optim: {lr: nan}", "not 'nan'"},
      {"optim: {lr: .inf}", "not '.inf'"},
      {"optim: {lr: 1e999}", "not '1e999'"},
      {"optim: {lr: 0x10}", "not '0x10'"},
      {"optim: {lr: \"0.4\"}", "not \"0.4\""},
      {"optim: {lr: -0.1}", "optim.lr must be from 0 to 1000000, not -0.1"},
      {"run: {seed: -1}", "run.seed must be at least 0, not -1"},
      {"run: {seed: 9223372036854775808}", "run.seed wants a whole number"},
      {"batch: {global: 1e3}", "batch.global wants a whole number, not '1e3'"},
      {"batch: {global: 1_000}", "not '1_000'"},
      {"batch: {micro: 0}", "batch.micro must be from 1 to 65536, not 0"},
      {"data: {workers: many}", "data.workers wants a whole number or 'auto', not 'many'"},
      {"run: {overwrite: 1}", "run.overwrite wants true or false, not '1'"},
      {"optim: {name: adam}", "optim.name wants sgd|lars|adamw|lamb, not 'adam'"},
      {"optim: adam", "c.yaml:1:8: optim.name wants sgd|lars"},
      {"optim: {lr: }", "optim.lr has no value"},
      {"optim: {lr: ~}", "optim.lr has no value"},
      {"run: {dir: null}", "run.dir has no value; write \"\" for an empty text"},
      {"optim: {lr: {a: 1}}", "c.yaml:1:13: optim.lr wants a value, not a group of keys"},
      {"optim: {lr: [1]}", "optim.lr wants a single value, not a list"},
      {"data: 5", "c.yaml:1:7: data is a group of keys, not a value"},
      {"model: {norm: batch}", "model.norm is a group of keys, not a value"},
      {"optim: [lars]", "optim is a group of keys, not a list"},
      {"optim: {lr: 1, lr: 2}", "c.yaml:1:16: optim.lr is given twice"},
      {"optim: {lr: 1}\noptim.lr: 2", "c.yaml:2:1: optim.lr is given twice"},
      {"optim: {lr: 1}\noptim: {beta1: 0}", "c.yaml:2:1: group optim is given twice"},
      {"method: {projector: wide}", "method.projector wants a whole number"},
      {"method: {projector: [1, [2]]}", "c.yaml:1:25: method.projector wants single values"},
      {"method: {projector: [1, 0]}", "c.yaml:1:25: method.projector must be from 1 to 65536"},
      {"method: {projector: [1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]}", "too many values: at most 16"},
      {"augment: {mean: [0.5, 0.5]}", "augment.mean wants three values, not 2"},
      {"augment: {mean: [0, 0, 0, 0]}", "augment.mean has too many values: at most 3"},
      {"optim: {warmup: ten epochs}", "optim.warmup wants a duration"},
      {"optim: {warmup: 10 eons}", "optim.warmup wants a duration"},
      {"optim: {warmup: 10  epochs}", "optim.warmup wants a duration"},
      {"optim: {warmup: 1.5 steps}", "optim.warmup wants whole steps, not '1.5 steps'"},
      {"optim: {warmup: -1 epoch}", "optim.warmup must be from 0"},
      {"run: {time_limit: 90}",
       "c.yaml:1:19: run.time_limit needs a unit: '90 s', '90 min', '90 h' or '90 d'?"},
      {"run: {time_limit: '90'}", "run.time_limit needs a unit"},
      {"run: {time_limit: 90 m}", "run.time_limit wants a time such as '90 s', '45 min', '1.5 h'"},
      {"run: {time_limit: 90s}", "not '90s'"},
      {"run: {time_limit: 90  s}", "not '90  s'"},
      {"run: {time_limit: 1 h 30 min}", "not '1 h 30 min'"},
      {"run: {time_limit: '90 '}", "not \"90 \""},
      {"run: {time_limit: ' s'}", "not \" s\""},
      {"run: {time_limit: never}", "or 'none', not 'never'"},
      {"run: {time_limit: 2:30}", "not '2:30'"},
      {"run: {time_limit: 2:60:00}", "not '2:60:00'"},
      {"run: {time_limit: 2:30:60}", "not '2:30:60'"},
      {"run: {time_limit: 2:030:00}", "not '2:030:00'"},
      {"run: {time_limit: 2:30:00:00}", "not '2:30:00:00'"},
      {"run: {time_limit: -2:30:00}", "not '-2:30:00'"},
      {"run: {time_limit: 1:30:1.5}", "not '1:30:1.5'"},
      {"run: {time_limit: 1000000000:00:00}", "not '1000000000:00:00'"},
      {"run: {time_limit: 0:00:00}", "run.time_limit must be from 1 s to 10000 d, not 0 d"},
      {"run: {time_limit: 1e9 d}", "must be from 1 s to 10000 d, not 1000000000 d"},
      {"run: {time_limit: 1e308 d}", "run.time_limit wants a time"},
      {"run: {watchdog: 0.5 s}", "run.watchdog must be from 1 s to 10000 d, not 0.5 s"},
      {"run: {watchdog: -1 h}", "run.watchdog must be from 1 s to 10000 d, not -1 h"},
      {"augment: {mean: 0.5}", "augment.mean wants three values in brackets"},
      {"eval: {kind: [knn, both]}", "eval.kind wants knn|linear|zeroshot|retrieval, not 'both'"},
      {"eval: {linear: {rates: [0.1, fast]}}",
       "c.yaml:1:30: eval.linear.rates wants a finite decimal number, not 'fast'"},
      {"eval: {linear: {rates: [0.1, 0]}}", "eval.linear.rates must be from 1.0e-09 to 1000000"},
      {"eval: {linear: {rates: [1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]}}", "at most 16"},
      {"optim: {average: 1}", "optim.average must be from 0 to 0.9999999, not 1"},
      {"checkpoint: {keep: 0}", "checkpoint.keep must be from 1"},
      {"checkpoint: {best: accuracy}", "checkpoint.best wants none|loss|knn|linear"},
      {"optim: &x {lr: 1}", "c.yaml:1:8: anchors and aliases are not accepted: 'x'"},
      {"optim: {lr: *x}", "anchors and aliases are not accepted: 'x'"},
      {"optim: {lr: !!float 1}", "c.yaml:1:13: tags are not accepted"},
      {"? [a]\n: b", "the name of a key must be a word"},
      {"run: {seed: 1}\n---\nrun: {seed: 2}", "c.yaml:2:1: only one document is accepted"},
      {"just words", "c.yaml:1:1: a configuration is made of lines 'key: value'"},
      {"- run", "c.yaml:1:1: a configuration is made of lines"},
      {"''", "a configuration is made of lines"},
      {"run: {name: \"a\\0b\"}", "a text holds a zero byte"},
      {"run: {name: \"a\\nb\"}", "run.name holds a control character: 'a?b'"},
      {"run: {name: \"a\\u2028b\"}", "run.name holds a control character"},
      {"run: {name: \"a\\x85b\"}", "run.name holds a control character"},
      {"run: {name: a\n", "c.yaml:2:1: did not find expected ',' or '}'"},
      {"run:\n\tseed: 1", "c.yaml:2:1: found character that cannot start any token"},
      {"run: {name: \xff\xfe}", "c.yaml: invalid leading UTF-8 octet at byte 12"},
      {"a: {b: {c: {d: {e: {f: {g: {h: {i: 1}}}}}}}}", "groups nested over 8 deep"},
  };
  for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
    CHECK_FAILS(PL_E_USAGE, cases[k].words, parse(cases[k].yaml));
  }
}

static void long_texts_are_refused(void **state) {
  (void)state;
  char yaml[PL_CONFIG_TEXT + 64] = "run: {name: ";
  size_t start = strlen(yaml);
  memset(yaml + start, 'a', PL_CONFIG_TEXT);
  memcpy(yaml + start + PL_CONFIG_TEXT, "}", 2);
  CHECK_FAILS(PL_E_USAGE, "run.name is too long: 512 bytes, at most 511", parse(yaml));
  memcpy(yaml + start + PL_CONFIG_TEXT - 1, "}", 2);
  CHECK_OK(parse(yaml));
}

static void deep_nesting_is_refused(void **state) {
  (void)state;
  enum { DEEP = 5000 };
  char *yaml = pl_alloc(DEEP + 16, 1);
  assert_non_null(yaml);
  memcpy(yaml, "optim: ", 8);
  memset(yaml + 7, '[', DEEP);
  CHECK_FAILS(PL_E_USAGE, "c.yaml:1:", parse(yaml));
  memset(yaml + 7, '{', DEEP);
  CHECK_FAILS(PL_E_USAGE, "c.yaml:1:", parse(yaml));
  pl_free(yaml);
}

static void an_error_changes_nothing(void **state) {
  (void)state;
  pl_config config, before;
  pl_config_defaults(&config);
  before = config;
  static const char yaml[] = "run: {seed: 99}\noptim: {lr: 9, momentum: x}";
  CHECK_FAILS(PL_E_USAGE, "c.yaml:2:26", pl_config_parse(&config, "c.yaml", yaml, strlen(yaml)));
  assert_memory_equal(&config, &before, sizeof config);
  CHECK_FAILS(PL_E_USAGE, "'bad'", pl_config_override(&config, "method.projector=[1, bad]"));
  assert_memory_equal(&config, &before, sizeof config);
}

static void overrides_say_what_is_wrong(void **state) {
  (void)state;
  pl_config config;
  pl_config_defaults(&config);
  CHECK_FAILS(PL_E_USAGE, "'optim.lr' is no override", pl_config_override(&config, "optim.lr"));
  CHECK_FAILS(PL_E_USAGE, "'=1' is no override", pl_config_override(&config, "=1"));
  CHECK_FAILS(PL_E_USAGE, "override 'optim.lr=': there is no value",
              pl_config_override(&config, "optim.lr="));
  CHECK_FAILS(PL_E_USAGE, "override 'optm.lr=1': unknown key 'optm.lr'; did you mean 'optim.lr'?",
              pl_config_override(&config, "optm.lr=1"));
  CHECK_FAILS(PL_E_USAGE, "override 'optim.lr=x': optim.lr wants a finite decimal number",
              pl_config_override(&config, "optim.lr=x"));
  CHECK_FAILS(PL_E_USAGE, "override 'method.projector=[1': did not find",
              pl_config_override(&config, "method.projector=[1"));
}

static void missing_file_is_a_usage_error(void **state) {
  (void)state;
  pl_config config;
  CHECK_FAILS(PL_E_USAGE, "no-such-file.yaml",
              pl_config_load(&config, "no-such-file.yaml", NULL, 0));
}

/* Reals are printed as people write them, and come back bit for bit. */
static void reals_round_trip(void **state) {
  (void)state;
  static const struct {
    double value;
    const char *text;
  } cases[] = {{0.2, "0.2"},
               {1, "1"},
               {-0.0, "-0"},
               {1e6, "1000000"},
               {1e-8, "1.0e-08"},
               {1.0 / 3, "0.3333333333333333"},
               {0.1 + 0.2, "0.30000000000000004"},
               {5e-324, "5.0e-324"},
               {1.5e-7, "1.5e-07"},
               {1e300, "1.0e+300"}};
  for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
    char text[PL_REAL_TEXT];
    pl_format_real(cases[k].value, text);
    assert_string_equal(text, cases[k].text);
    double back = 42;
    assert_true(pl_parse_real(text, &back));
    assert_memory_equal(&back, &cases[k].value, sizeof back);
  }
}

/* Times outside of what keys accept keep their bits as well. */
static void times_round_trip(void **state) {
  (void)state;
  static const struct {
    double seconds;
    const char *text;
  } cases[] = {{0, "0 d"},
               {-0.0, "-0 d"},
               {-7200, "-2 h"},
               {0.1 + 0.2, "0.30000000000000004 s"},
               {60.5, "60.5 s"},
               {86400e10, "10000000000 d"},
               {86400e15, "8.64e+19 s"},
               {5e-324, "5.0e-324 s"},
               {-1.7976931348623157e308, "-1.7976931348623157e+308 s"}};
  for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
    char text[PL_REAL_TEXT];
    pl_format_time(cases[k].seconds, text);
    assert_string_equal(text, cases[k].text);
    double back = 42;
    assert_true(pl_parse_time(text, &back));
    assert_memory_equal(&back, &cases[k].seconds, sizeof back);
  }
}

static void edit_distances(void **state) {
  (void)state;
  assert_int_equal(pl_edit_distance("", ""), 0);
  assert_int_equal(pl_edit_distance("", "abc"), 3);
  assert_int_equal(pl_edit_distance("kitten", "sitting"), 3);
  assert_int_equal(pl_edit_distance("sitting", "kitten"), 3);
  assert_int_equal(pl_edit_distance("flaw", "lawn"), 2);
}

static void shown_text_is_safe(void **state) {
  (void)state;
  char out[PL_SHOWN_TEXT], text[200];
  assert_string_equal(pl_shown("a\x1b[31m", out), "a?[31m");
  memset(text, 'x', sizeof text);
  text[sizeof text - 1] = '\0';
  for (size_t length = 0; length < sizeof text; length++) {
    const char *end = text + sizeof text - 1 - length;
    if (length < PL_SHOWN_TEXT) {
      assert_string_equal(pl_shown(end, out), end);
    } else {
      assert_int_equal(strlen(pl_shown(end, out)), PL_SHOWN_TEXT - 1);
    }
  }
  memcpy(text + PL_SHOWN_TEXT - 6, "\xe2\x82\xac", 3); /* would be cut in two */
  pl_shown(text, out);
  assert_int_equal(strlen(out), PL_SHOWN_TEXT - 6 + 3);
  assert_string_equal(out + PL_SHOWN_TEXT - 6, "...");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(errors_have_a_place_and_a_name),
      cmocka_unit_test(long_texts_are_refused),
      cmocka_unit_test(deep_nesting_is_refused),
      cmocka_unit_test(an_error_changes_nothing),
      cmocka_unit_test(overrides_say_what_is_wrong),
      cmocka_unit_test(missing_file_is_a_usage_error),
      cmocka_unit_test(reals_round_trip),
      cmocka_unit_test(times_round_trip),
      cmocka_unit_test(edit_distances),
      cmocka_unit_test(shown_text_is_safe),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
