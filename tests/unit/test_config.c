/* runtime/config: the table of keys, reading, overrides, presets, and the effective configuration.
 * Bad texts are in test_config_errors.c, what concerns several keys in test_config_check.c. */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/file.h"
#include "runtime/base/memory.h"
#include "runtime/config/config.h"
#include "runtime/config/keys.h"
#include "tests/check.h"

/* Parses `yaml` over the defaults. */
static pl_status parse(pl_config *config, const char *yaml) {
  pl_config_defaults(config);
  return pl_config_parse(config, "c.yaml", yaml, strlen(yaml));
}

/* The effective text must read back as the same bits; memcmp is fair since the defaults clear the
 * padding and nothing else writes there. */
static void assert_round_trip(const pl_config *config) {
  char *text = NULL, *again = NULL;
  CHECK_OK(pl_config_write(config, &text));
  pl_config read;
  CHECK_OK(parse(&read, text));
  CHECK_OK(pl_config_write(&read, &again));
  assert_string_equal(again, text);
  assert_memory_equal(&read, config, sizeof read);
  pl_free(text);
  pl_free(again);
}

static const char design_example[] =
    "run:    {name: simclr-cifar10, dir: runs/simclr-cifar10, seed: 1}\n"
    "data:   {train: data/cifar10-train, val: data/cifar10-test, workers: auto}\n"
    "model:  {encoder: resnet18, stem: cifar, width: 64, norm: {kind: batch, scope: global}}\n"
    "method: {name: simclr, projector: [512, 128], temperature: 0.2}\n"
    "augment: simclr-cifar\n"
    "batch:  {global: 1024, micro: 64, activations: keep}        # keep | recompute\n"
    "optim:  {name: lars, lr: 1.0, weight_decay: 1.0e-4, warmup: 10 epochs, schedule: cosine}\n"
    "train:  {epochs: 100, precision: auto}                      # or steps: N; f32 | bf16\n"
    "checkpoint: {every: 1 epoch, keep: 3}\n"
    "eval:   {every: 5 epochs, knn: {k: 200, temperature: 0.07}}\n";

static void values_reach_their_members(void **state) {
  (void)state;
  pl_config config;
  CHECK_OK(parse(&config, design_example));
  CHECK_OK(pl_config_check(&config));
  assert_string_equal(config.run.name, "simclr-cifar10");
  assert_string_equal(config.run.dir, "runs/simclr-cifar10");
  assert_string_equal(config.data.val, "data/cifar10-test");
  assert_int_equal(config.data.workers, 0);
  assert_int_equal(config.model.norm.scope, PL_CFG_SCOPE_GLOBAL);
  assert_int_equal(config.method.projector.count, 2);
  assert_int_equal(config.method.projector.value[0], 512);
  assert_int_equal(config.method.projector.value[1], 128);
  assert_true(config.method.temperature == 0.2);
  assert_int_equal(config.batch.global, 1024);
  assert_true(config.optim.lr == 1.0 && config.optim.weight_decay == 1e-4);
  assert_true(config.optim.warmup.amount == 10 && config.optim.warmup.epochs);
  assert_int_equal(config.train.steps, -1);
  assert_true(config.checkpoint.every.amount == 1 && config.checkpoint.every.epochs);
  assert_true(config.eval.every.amount == 5 && config.eval.every.epochs);
  assert_round_trip(&config);
}

/* Every key must have a default that its own rules accept, and a place of its own in pl_config. */
static void table_is_sound(void **state) {
  (void)state;
  pl_config config;
  pl_config_defaults(&config);
  assert_round_trip(&config);
  for (int k = 0; k < pl_key_count; k++) {
    const pl_key *key = &pl_keys[k];
    if (key->initial) {
      char assignment[256];
      const char *open = key->shape == PL_KEY_ONE ? "" : "[";
      const char *close = key->shape == PL_KEY_ONE ? "" : "]";
      const char *value = key->type == PL_KEY_TEXT && *key->initial == '\0' ? "''" : key->initial;
      snprintf(assignment, sizeof assignment, "%s=%s%s%s", key->name, open, value, close);
      pl_config again = config;
      CHECK_OK(pl_config_override(&again, assignment));
      assert_memory_equal(&again, &config, sizeof config);
    } else {
      assert_int_equal(strncmp(key->name, "augment.", 8), 0);
    }
    assert_int_equal(pl_key_find(key->name), k);
    assert_true(strlen(key->name) < PL_KEY_NAME);
    for (int other = 0; other < k; other++) assert_true(pl_keys[other].offset != key->offset);
  }
}

/* The words of the table and the enums of config.h must stay in the same order. */
static void words_match_their_enums(void **state) {
  (void)state;
  static const struct {
    const char *assignment;
    size_t offset;
    int64_t value;
  } cases[] = {
      {"model.encoder=resnet18", offsetof(pl_config, model.encoder), PL_CFG_ENCODER_RESNET18},
      {"model.encoder=resnet34", offsetof(pl_config, model.encoder), PL_CFG_ENCODER_RESNET34},
      {"model.encoder=resnet50", offsetof(pl_config, model.encoder), PL_CFG_ENCODER_RESNET50},
      {"model.stem=imagenet", offsetof(pl_config, model.stem), PL_CFG_STEM_IMAGENET},
      {"model.stem=cifar", offsetof(pl_config, model.stem), PL_CFG_STEM_CIFAR},
      {"model.norm.kind=batch", offsetof(pl_config, model.norm.kind), PL_CFG_NORM_BATCH},
      {"model.norm.scope=micro", offsetof(pl_config, model.norm.scope), PL_CFG_SCOPE_MICRO},
      {"model.norm.scope=rank", offsetof(pl_config, model.norm.scope), PL_CFG_SCOPE_RANK},
      {"model.norm.scope=global", offsetof(pl_config, model.norm.scope), PL_CFG_SCOPE_GLOBAL},
      {"method=simclr", offsetof(pl_config, method.name), PL_CFG_METHOD_SIMCLR},
      {"augment=simclr-cifar", offsetof(pl_config, augment.preset), PL_CFG_AUGMENT_CIFAR},
      {"augment=simclr-imagenet", offsetof(pl_config, augment.preset), PL_CFG_AUGMENT_IMAGENET},
      {"augment=none", offsetof(pl_config, augment.preset), PL_CFG_AUGMENT_NONE},
      {"augment.interpolation=bilinear", offsetof(pl_config, augment.interpolation),
       PL_CFG_INTERPOLATION_BILINEAR},
      {"augment.interpolation=bicubic", offsetof(pl_config, augment.interpolation),
       PL_CFG_INTERPOLATION_BICUBIC},
      {"batch.activations=keep", offsetof(pl_config, batch.activations), PL_CFG_ACTIVATIONS_KEEP},
      {"batch.activations=recompute", offsetof(pl_config, batch.activations),
       PL_CFG_ACTIVATIONS_RECOMPUTE},
      {"optim=sgd", offsetof(pl_config, optim.name), PL_CFG_OPTIM_SGD},
      {"optim=lars", offsetof(pl_config, optim.name), PL_CFG_OPTIM_LARS},
      {"optim=adamw", offsetof(pl_config, optim.name), PL_CFG_OPTIM_ADAMW},
      {"optim=lamb", offsetof(pl_config, optim.name), PL_CFG_OPTIM_LAMB},
      {"optim.scaling=none", offsetof(pl_config, optim.scaling), PL_CFG_SCALING_NONE},
      {"optim.scaling=linear", offsetof(pl_config, optim.scaling), PL_CFG_SCALING_LINEAR},
      {"optim.scaling=sqrt", offsetof(pl_config, optim.scaling), PL_CFG_SCALING_SQRT},
      {"optim.schedule=constant", offsetof(pl_config, optim.schedule), PL_CFG_SCHEDULE_CONSTANT},
      {"optim.schedule=cosine", offsetof(pl_config, optim.schedule), PL_CFG_SCHEDULE_COSINE},
      {"optim.schedule=linear", offsetof(pl_config, optim.schedule), PL_CFG_SCHEDULE_LINEAR},
      {"optim.schedule=step", offsetof(pl_config, optim.schedule), PL_CFG_SCHEDULE_STEP},
      {"run.resume=never", offsetof(pl_config, run.resume), PL_CFG_RESUME_NEVER},
      {"run.resume=auto", offsetof(pl_config, run.resume), PL_CFG_RESUME_AUTO},
      {"checkpoint.best=none", offsetof(pl_config, checkpoint.best), PL_CFG_BEST_NONE},
      {"checkpoint.best=loss", offsetof(pl_config, checkpoint.best), PL_CFG_BEST_LOSS},
      {"checkpoint.best=knn", offsetof(pl_config, checkpoint.best), PL_CFG_BEST_KNN},
      {"checkpoint.best=linear", offsetof(pl_config, checkpoint.best), PL_CFG_BEST_LINEAR},
      {"checkpoint.best=zeroshot", offsetof(pl_config, checkpoint.best), PL_CFG_BEST_ZEROSHOT},
      {"checkpoint.best=retrieval", offsetof(pl_config, checkpoint.best), PL_CFG_BEST_RETRIEVAL},
      {"eval.kind=knn", offsetof(pl_config, eval.kind.value[0]), PL_CFG_EVAL_KNN},
      {"eval.kind=linear", offsetof(pl_config, eval.kind.value[0]), PL_CFG_EVAL_LINEAR},
      {"eval.kind=[zeroshot]", offsetof(pl_config, eval.kind.value[0]), PL_CFG_EVAL_ZEROSHOT},
      {"eval.kind=[knn, retrieval]", offsetof(pl_config, eval.kind.value[1]),
       PL_CFG_EVAL_RETRIEVAL},
      {"eval.weights=trained", offsetof(pl_config, eval.weights), PL_CFG_WEIGHTS_TRAINED},
      {"eval.weights=average", offsetof(pl_config, eval.weights), PL_CFG_WEIGHTS_AVERAGE},
      {"train.precision=auto", offsetof(pl_config, train.precision), PL_CFG_PRECISION_AUTO},
      {"train.precision=f32", offsetof(pl_config, train.precision), PL_CFG_PRECISION_F32},
      {"train.precision=bf16", offsetof(pl_config, train.precision), PL_CFG_PRECISION_BF16}};
  for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
    pl_config config;
    pl_config_defaults(&config);
    memset((char *)&config + cases[k].offset, 0x7F, sizeof(int64_t));
    CHECK_OK(pl_config_override(&config, cases[k].assignment));
    int64_t value = 0;
    memcpy(&value, (const char *)&config + cases[k].offset, sizeof value);
    if (value != cases[k].value) print_error("%s\n", cases[k].assignment);
    assert_int_equal(value, cases[k].value);
  }
}

static void accepted_forms(void **state) {
  (void)state;
  pl_config config;
  CHECK_OK(
      parse(&config,
            "---\nrun.seed: 7\nrun: {overwrite: yes, name: 'it''s \"so\"'}\n"
            "optim: {warmup: 500, nesterov: true, lr: +1.5E2, milestones: [1 epoch, '2 epochs']}\n"
            "method:\n  projector:\n    - 64\n    - 32\n"
            "train: {steps: 0, diagnostics: never}\ndata: {train: \"gr\\u00fcn\"}\n...\n"));
  assert_int_equal(config.run.seed, 7);
  assert_true(config.run.overwrite && config.optim.nesterov);
  assert_string_equal(config.run.name, "it's \"so\"");
  assert_string_equal(config.data.train, "gr\xc3\xbcn");
  assert_true(config.optim.warmup.amount == 500 && !config.optim.warmup.epochs);
  assert_true(config.optim.lr == 150);
  assert_int_equal(config.optim.milestones.count, 2);
  assert_true(config.optim.milestones.value[1].amount == 2);
  assert_int_equal(config.method.projector.value[1], 32);
  assert_int_equal(config.train.steps, 0);
  assert_int_equal(config.train.diagnostics, 0);
  assert_round_trip(&config);
}

/* Times are read as people write them, and written in the largest unit that suits. */
static void times(void **state) {
  (void)state;
  static const struct {
    const char *given;
    double seconds;
    const char *written;
  } cases[] = {
      {"none", 0, "none"},        {"'none'", 0, "none"},          {"90 s", 90, "90 s"},
      {"120 s", 120, "2 min"},    {"45 min", 2700, "45 min"},     {"0.5 min", 30, "30 s"},
      {"8 h", 28800, "8 h"},      {"1.5 h", 5400, "90 min"},      {"\"24 h\"", 86400, "1 d"},
      {"2 d", 172800, "2 d"},     {"1e1 h", 36000, "10 h"},       {"2:30:00", 9000, "150 min"},
      {"0:00:01", 1, "1 s"},      {"100:00:00", 360000, "100 h"}, {"00:09:59", 599, "599 s"},
      {"1.25 s", 1.25, "1.25 s"}, {"10000 d", 864e6, "10000 d"}};
  for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
    char yaml[128], written[128], *text = NULL;
    snprintf(yaml, sizeof yaml, "run: {time_limit: %s}", cases[k].given);
    snprintf(written, sizeof written, "\n  time_limit: %s\n", cases[k].written);
    pl_config config;
    CHECK_OK(parse(&config, yaml));
    assert_true(config.run.time_limit == cases[k].seconds);
    CHECK_OK(pl_config_write(&config, &text));
    if (!strstr(text, written)) print_error("no '%s' in\n%s", written, text);
    assert_non_null(strstr(text, written));
    pl_free(text);
    assert_round_trip(&config);
  }
}

static void lists_of_numbers(void **state) {
  (void)state;
  pl_config config;
  CHECK_OK(parse(&config, "eval: {linear: {rates: [1, 0.1, 1.0e-3]}}"));
  const pl_real_list *rates = &config.eval.linear.rates;
  assert_int_equal(rates->count, 3);
  assert_true(rates->value[0] == 1 && rates->value[1] == 0.1 && rates->value[2] == 1e-3);
  assert_true(rates->value[3] == 0); /* nothing is left of the longer default */
  assert_round_trip(&config);
  CHECK_OK(pl_config_override(&config, "eval.linear.rates=[0.25]"));
  assert_int_equal(rates->count, 1);
  assert_true(rates->value[0] == 0.25);
  assert_round_trip(&config);
}

/* Empty texts leave the values as they were. */
static void empty_files_are_defaults(void **state) {
  (void)state;
  static const char *const texts[] = {"",           "\n\n", "# nothing\n", "---\n",
                                      "---\n...\n", "{}",   "\xEF\xBB\xBF"};
  pl_config defaults, config;
  pl_config_defaults(&defaults);
  for (size_t k = 0; k < sizeof texts / sizeof texts[0]; k++) {
    CHECK_OK(parse(&config, texts[k]));
    assert_memory_equal(&config, &defaults, sizeof config);
  }
}

static void overrides(void **state) {
  (void)state;
  pl_config config;
  CHECK_OK(parse(&config, design_example));
  CHECK_OK(pl_config_override(&config, "optim.lr=0.4"));
  CHECK_OK(pl_config_override(&config, "method.projector=[16,8, 4]"));
  CHECK_OK(pl_config_override(&config, "optim.warmup=1 epoch"));
  CHECK_OK(pl_config_override(&config, "data.train=a=b"));
  CHECK_OK(pl_config_override(&config, "model.norm={scope: micro, momentum: 0.5}"));
  CHECK_OK(pl_config_override(&config, "run.dir=\"\""));
  assert_true(config.optim.lr == 0.4 && config.optim.warmup.amount == 1);
  assert_int_equal(config.method.projector.count, 3);
  assert_int_equal(config.method.projector.value[2], 4);
  assert_string_equal(config.data.train, "a=b");
  assert_int_equal(config.model.norm.scope, PL_CFG_SCOPE_MICRO);
  assert_string_equal(config.run.dir, "");
  assert_round_trip(&config);
}

/* A preset sets the rest of its group, but never over what the same file says, in any order. */
static void presets(void **state) {
  (void)state;
  pl_config config;
  CHECK_OK(parse(&config, "augment: {blur: 0.25, preset: simclr-imagenet, hue: 0.1}"));
  assert_int_equal(config.augment.preset, PL_CFG_AUGMENT_IMAGENET);
  assert_true(config.augment.blur == 0.25 && config.augment.hue == 0.1);
  assert_true(config.augment.centre_ratio == 0.875 && config.augment.mean[0] == 0.485);
  assert_round_trip(&config);
  CHECK_OK(pl_config_override(&config, "augment=none"));
  assert_true(config.augment.blur == 0 && config.augment.flip == 0);
  assert_true(config.augment.crop_min == 1 && config.augment.aspect_max == 1);
  CHECK_OK(pl_config_override(&config, "augment.flip=0.5"));
  assert_true(config.augment.flip == 0.5);
  assert_int_equal(config.augment.preset, PL_CFG_AUGMENT_NONE);
  assert_round_trip(&config);
  pl_config_defaults(&config);
  assert_true(config.augment.crop_min == 0.08 && config.augment.aspect_max == 4.0 / 3);
  assert_true(config.augment.std[2] == 0.2616 && config.augment.jitter == 0.8);
}

static void run_folder(void **state) {
  (void)state;
  char folder[PL_PATH_MAX];
  pl_config config;
  CHECK_OK(parse(&config, "run: {name: one}"));
  pl_config_run_dir(&config, folder);
  assert_string_equal(folder, "runs/one");
  CHECK_OK(pl_config_override(&config, "run.dir=/elsewhere/two"));
  pl_config_run_dir(&config, folder);
  assert_string_equal(folder, "/elsewhere/two");
}

static void key_table_is_printed(void **state) {
  (void)state;
  char *text = NULL;
  size_t size = 0;
  FILE *out = open_memstream(&text, &size);
  assert_non_null(out);
  pl_config_print_keys(out);
  assert_int_equal(fclose(out), 0);
  for (int k = 0; k < pl_key_count; k++) {
    assert_non_null(strstr(text, pl_keys[k].name));
    assert_non_null(strstr(text, pl_keys[k].help));
  }
  assert_non_null(strstr(text, " none or 1 s to 10000 d "));
  free(text);
}

/* Every experiment that comes with the program must read and pass the checks. */
static void experiments_are_sound(void **state) {
  (void)state;
  static const char folder[] = PL_TEST_FOLDER "/../../configs";
  DIR *entries = opendir(folder);
  assert_non_null(entries);
  int found = 0;
  for (const struct dirent *entry = readdir(entries); entry; entry = readdir(entries)) {
    if (!strstr(entry->d_name, ".yaml")) continue;
    char path[PL_PATH_MAX];
    CHECK_OK(pl_path_join(folder, entry->d_name, path));
    pl_config config;
    CHECK_OK(pl_config_load(&config, path, (const char *const[]){"run.seed=3"}, 1));
    assert_int_equal(config.run.seed, 3);
    /* named after its file */
    assert_int_equal(strncmp(config.run.name, entry->d_name, strlen(config.run.name)), 0);
    assert_string_equal(entry->d_name + strlen(config.run.name), ".yaml");
    assert_round_trip(&config);
    found++;
  }
  closedir(entries);
  assert_true(found >= 4);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(values_reach_their_members),
      cmocka_unit_test(table_is_sound),
      cmocka_unit_test(words_match_their_enums),
      cmocka_unit_test(accepted_forms),
      cmocka_unit_test(times),
      cmocka_unit_test(lists_of_numbers),
      cmocka_unit_test(empty_files_are_defaults),
      cmocka_unit_test(overrides),
      cmocka_unit_test(presets),
      cmocka_unit_test(run_folder),
      cmocka_unit_test(key_table_is_printed),
      cmocka_unit_test(experiments_are_sound),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
