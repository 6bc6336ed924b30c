/* runtime/config: what concerns several keys at once, and what may change when a run goes on. */
#include <string.h>

#include "runtime/base/memory.h"
#include "runtime/config/config.h"
#include "runtime/config/keys.h"
#include "tests/check.h"

/* A configuration that passes all checks. */
static void parse(pl_config *config) {
  static const char yaml[] =
      "run: {name: one}\ndata: {train: data/train, val: data/val}\n"
      "batch: {global: 1024, micro: 64}\n";
  pl_config_defaults(config);
  CHECK_OK(pl_config_parse(config, "c.yaml", yaml, strlen(yaml)));
}

static void checks_between_keys(void **state) {
  (void)state;
  static const struct {
    const char *assignment, *words;
  } cases[] = {
      {"batch.global=1000",
       "batch.global 1000 is not a multiple of batch.micro 64: use batch.global=960 or 1024, or "
       "batch.micro=50"},
      {"batch.global=32", "batch.global 32 is smaller than batch.micro 64: use batch.micro=32"},
      {"batch={global: 74, micro: 36}", "use batch.global=72 or 108, or batch.micro=37"},
      {"batch.activations=recompute", "batch norm with model.norm.scope=global"},
      {"batch.activations=recompute", "use model.norm.scope=micro, or batch.activations=keep"},
      {"augment.crop_min=1.0e-4", NULL},
      {"augment={crop_min: 0.5, crop_max: 0.4}",
       "augment.crop_min 0.5 is above augment.crop_max 0.4"},
      {"augment.aspect_min=2", "augment.aspect_min 2 is above augment.aspect_max 1.33333"},
      {"augment.blur_sigma_max=0.05", "augment.blur_sigma_min 0.1 is above"},
      {"augment.blur_kernel=4", "augment.blur_kernel must be odd or auto, not 4"},
      {"augment.blur_kernel=5", NULL},
      {"optim.schedule=step", "optim.schedule=step needs optim.milestones"},
      {"optim={schedule: step, milestones: [10 epochs, 10 epochs]}",
       "optim.milestones must ascend, but 10 follows 10"},
      {"optim.milestones=[10 epochs, 2000 steps]", "optim.milestones mixes epochs and steps"},
      {"optim={schedule: step, milestones: [10 epochs, 20 epochs]}", NULL},
      {"optim={name: sgd, nesterov: true, momentum: 0}", "optim.nesterov needs optim.momentum"},
      {"optim={name: adamw, nesterov: true, momentum: 0}", NULL},
      {"method.projector=[]", "method.projector is empty"},
      {"data.train=''", "data.train is not given"},
      {"run.name=''", "run.name is empty"},
      {"run.name=a/b", "run.name 'a/b' can't be the name of a folder"},
      {"run.name=..", "run.name '..' can't be"},
      {"run={overwrite: true, resume: auto}",
       "run.overwrite removes the run that run.resume=auto would go on with"},
      {"run.resume=auto", NULL},
      {"run.overwrite=true", NULL},
      {"eval.every=1 epoch", NULL},
      {"data.val=''", NULL},
      {"eval.weights=average", "eval.weights=average needs optim.average above 0"},
      {"eval.linear.rates=[]", "eval.linear.rates is empty"},
      {"eval.linear.holdout=0",
       "eval.linear.holdout 0 leaves nothing to choose by among the 6 of eval.linear.rates"},
      {"eval.linear={holdout: 0, rates: [0.1]}", NULL},
      {"checkpoint.best=loss", NULL},
      {"checkpoint.best=knn", "checkpoint.best=knn needs eval.every above 0"},
      {"checkpoint.best=linear", "checkpoint.best=linear needs eval.every above 0"},
  };
  for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
    pl_config config;
    parse(&config);
    CHECK_OK(pl_config_override(&config, cases[k].assignment));
    if (cases[k].words) {
      CHECK_FAILS(PL_E_USAGE, cases[k].words, pl_config_check(&config));
    } else {
      CHECK_OK(pl_config_check(&config));
    }
  }
}

/* Keys of different groups, one override after another. */
static void checks_between_groups(void **state) {
  (void)state;
  static const struct {
    const char *assignment[4], *words;
  } cases[] = {
      {{"batch.activations=recompute", "model.norm.scope=micro"}, NULL},
      {{"batch.activations=recompute", "model.norm.scope=rank"}, "model.norm.scope=rank"},
      {{"data.val=''", "eval.every=10 steps"}, "eval.every needs data.val"},
      {{"eval.weights=average", "optim.average=0.99"}, NULL},
      {{"checkpoint.best=knn", "eval.every=1 epoch"}, NULL},
      {{"checkpoint.best=knn", "eval.every=1 epoch", "eval.kind=[knn, linear]"}, NULL},
      {{"checkpoint.best=knn", "eval.every=1 epoch", "eval.kind=linear"},
       "checkpoint.best=knn needs knn in eval.kind"},
      {{"checkpoint.best=linear", "eval.every=1 epoch", "eval.kind=linear"}, NULL},
      {{"checkpoint.best=linear", "eval.every=1 epoch", "eval.kind=[knn, linear]"}, NULL},
      {{"checkpoint.best=linear", "eval.every=1 epoch"},
       "checkpoint.best=linear needs linear in eval.kind"},
      {{"eval.kind=[knn, zeroshot]"}, "eval.kind zeroshot needs a method that reads texts"},
      {{"eval.kind=retrieval"}, "eval.kind retrieval needs a method that reads texts"},
      {{"method=clip", "data.vocabulary=v", "eval.every=1 epoch", "checkpoint.best=retrieval"},
       NULL},
      {{"method=clip", "data.vocabulary=v", "eval.every=1 epoch", "checkpoint.best=zeroshot"},
       "checkpoint.best=zeroshot needs zeroshot in eval.kind"},
      {{"method=siglip", "data.vocabulary=v", "eval.every=1 epoch", "eval.kind=[knn, retrieval]"},
       NULL},
  };
  for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
    pl_config config;
    parse(&config);
    for (int i = 0; i < 4 && cases[k].assignment[i]; i++) {
      CHECK_OK(pl_config_override(&config, cases[k].assignment[i]));
    }
    if (cases[k].words) {
      CHECK_FAILS(PL_E_USAGE, cases[k].words, pl_config_check(&config));
    } else {
      CHECK_OK(pl_config_check(&config));
    }
  }
}

/* The names that pl_config_changes gives after one override. */
static void expect_changes(const char *assignment, const char *expected) {
  pl_config then, now;
  char *names = NULL;
  parse(&then);
  parse(&now);
  CHECK_OK(pl_config_override(&now, assignment));
  CHECK_OK(pl_config_changes(&then, &now, &names));
  if (strcmp(names, expected) != 0) print_error("%s\n", assignment);
  assert_string_equal(names, expected);
  pl_free(names);
  CHECK_OK(pl_config_changes(&now, &then, &names));
  assert_string_equal(names, expected);
  pl_free(names);
}

static void changes_of_the_training_are_named(void **state) {
  (void)state;
  static const struct {
    const char *assignment, *expected;
  } cases[] = {
      {"run.seed=1", ""}, /* as it is */
      {"optim.lr=0.4", ""},
      {"run.seed=2", "run.seed"},
      {"optim={lr: 0.5, name: sgd, milestones: [1 epoch]}",
       "optim.name, optim.lr, optim.milestones"},
      {"optim.warmup=10 steps", "optim.warmup"}, /* the same number, of something else */
      {"method.projector=[512]", "method.projector"},
      {"method.projector=[512, 64]", "method.projector"},
      {"augment.std=[0.247, 0.2435, 0.26]", "augment.std"},
      {"model.zero_init_residual=true", "model.zero_init_residual"},
      {"train.epochs=90", "train.epochs"},
      {"run={name: other, dir: there, overwrite: yes, resume: auto, resume_force: yes, threads: 3, "
       "time_limit: 1 h, watchdog: none}",
       ""},
      {"data={train: a, val: b, workers: 7, skip_limit: 3}", ""},
      {"data={shuffle_block: 7, shuffle_window: 8}", "data.shuffle_block, data.shuffle_window"},
      {"batch={global: 512, micro: 32, activations: recompute}", "batch.global, batch.micro"},
      {"comm.bucket_bytes=4096", ""},
      {"train={diagnostics: never, nonfinite_limit: 0}", ""},
      {"checkpoint={every: 7 steps, keep: 9, best: loss}", ""},
      {"eval={every: 7 steps, kind: linear, weights: average, micro: 3, knn: {k: 3}, "
       "linear: {rates: [1], augment: true}}",
       ""},
      {"report.samples=0", ""},
  };
  for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
    expect_changes(cases[k].assignment, cases[k].expected);
  }
}

/* Whatever key differs is found, and only that one: each key in turn gets other bits. */
static void each_key_is_compared(void **state) {
  (void)state;
  for (int k = 0; k < pl_key_count; k++) {
    const pl_key *key = &pl_keys[k];
    pl_config then, now;
    pl_config_defaults(&then);
    now = then;
    /* the lowest byte of a number or of a list's count, the first letter of a text */
    *((char *)&now + key->offset) ^= 1;
    for (int other = 0; other < pl_key_count; other++) {
      assert_int_equal(pl_value_equal(&pl_keys[other], &then, &now), other != k);
    }
    char *names = NULL;
    CHECK_OK(pl_config_changes(&then, &now, &names));
    assert_string_equal(names, key->free ? "" : key->name);
    pl_free(names);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(checks_between_keys),
      cmocka_unit_test(checks_between_groups),
      cmocka_unit_test(changes_of_the_training_are_named),
      cmocka_unit_test(each_key_is_compared),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
