/* launch/report: metrics.jsonl and run.yaml as they are read. */
#include <stdlib.h>
#include <string.h>

#include "launch/report/run.h"
#include "runtime/base/log.h"
#include "tests/check.h"

static pl_status read_text(const char *text, pl_report_run *run) {
  *run = (pl_report_run){.rows = 0};
  FILE *file = fmemopen((void *)text, strlen(text), "r");
  assert_non_null(file);
  pl_status status = pl_report_read_metrics(file, "m", run);
  fclose(file);
  return status;
}

/* Reads what must be readable. */
static pl_report_run read_good(const char *text) {
  pl_report_run run;
  CHECK_OK(read_text(text, &run));
  return run;
}

static void check_bad(const char *text, const char *words) {
  pl_report_run run;
  CHECK_FAILS(PL_E_DATA, words, read_text(text, &run));
  pl_report_run_clear(&run);
}

static void columns(void **state) {
  (void)state;
  pl_report_run run = read_good(
      "{\"step\":0,\"epoch\":0.5,\"loss\":5.25,\"lr\":1e-3,\"uniformity\":null,\"later_key\":[1],"
      "\"slowest_ms\":{\"data\":0.5,\"backward\":300,\"new_part\":1}}\n"
      "{\"slowest_ms\":{\"forward\":2.5},\"uniformity\":-2.5,\"loss\":null,\"step\":1}\n");
  assert_int_equal(run.rows, 2);
  assert_true(run.column[PL_COLUMN_STEP][1] == 1);
  assert_true(run.column[PL_COLUMN_LOSS][0] == 5.25 && isnan(run.column[PL_COLUMN_LOSS][1]));
  assert_true(run.column[PL_COLUMN_LR][0] == 1e-3 && isnan(run.column[PL_COLUMN_LR][1]));
  assert_true(isnan(run.column[PL_COLUMN_UNIFORMITY][0]));
  assert_true(run.column[PL_COLUMN_UNIFORMITY][1] == -2.5);
  assert_true(run.column[PL_COLUMN_DATA][0] == 0.5 && run.column[PL_COLUMN_BACKWARD][0] == 300);
  assert_true(run.column[PL_COLUMN_FORWARD][1] == 2.5);
  pl_report_run_clear(&run);
}

static void many_steps(void **state) {
  (void)state;
  enum { STEPS = 1000 };
  char *text = NULL;
  size_t size = 0;
  FILE *file = open_memstream(&text, &size);
  for (int i = 0; i < STEPS; i++) fprintf(file, "{\"step\":%d,\"loss\":%d.5}\n", i, i);
  assert_int_equal(fclose(file), 0);
  pl_report_run run = read_good(text);
  assert_int_equal(run.rows, STEPS);
  for (int i = 0; i < STEPS; i++) assert_true(run.column[PL_COLUMN_LOSS][i] == i + 0.5);
  pl_report_run_clear(&run);
  free(text);
}

static void events(void **state) {
  (void)state;
  pl_report_run run = read_good(
      "{\"event\":\"start\",\"time\":\"T0\",\"step\":0,\"steps\":9,\"batch\":512,"
      "\"steps_per_epoch\":97.5,\"hosts\":[{\"host\":\"a\",\"ranks\":2,\"threads\":3,"
      "\"device\":\"cpu\"},{\"host\":\"b\\u00e9\",\"ranks\":1,\"threads\":8,\"device\":\"x\"}]}\n"
      "{\"event\":\"eval\",\"step\":3,\"epoch\":0.5,\"kind\":\"linear\",\"accuracy\":0.25,"
      "\"right\":1,\"queries\":4,\"rate\":0.1,\"ms\":12}\n"
      "{\"event\":\"checkpoint\",\"step\":3,\"bytes\":100,\"stall_ms\":1.5,\"write_ms\":2}\n"
      "{\"event\":\"weather\",\"sun\":true}\n"
      "{\"event\":\"end\",\"time\":\"T1\",\"step\":3,\"reason\":\"SIGTERM\",\"state\":\"ab\"}\n");
  assert_int_equal(run.session_count, 1);
  const pl_report_session *s = run.sessions;
  assert_int_equal(s->host_count, 2);
  assert_string_equal(s->hosts[1].host, "b\xC3\xA9");
  assert_int_equal(s->hosts[0].ranks, 2);
  assert_int_equal(s->hosts[0].threads, 3);
  assert_int_equal(s->hosts[1].threads, 8);
  assert_int_equal(s->batch, 512);
  assert_true(s->steps_per_epoch == 97.5 && s->ended && s->end_step == 3);
  assert_string_equal(s->reason, "SIGTERM");
  assert_string_equal(s->end_time, "T1");
  assert_int_equal(run.judgement_count, 1);
  assert_true(run.judgements[0].accuracy == 0.25 && run.judgements[0].rate == 0.1);
  assert_int_equal(run.judgements[0].queries, 4);
  assert_int_equal(run.checkpoint_count, 1);
  assert_true(run.checkpoints[0].stall_ms == 1.5 && run.checkpoints[0].bytes == 100);
  pl_report_run_clear(&run);
}

/* What came after the step from which a run was resumed counts as it was done again. */
static void resumed(void **state) {
  (void)state;
  pl_report_run run = read_good(
      "{\"event\":\"start\",\"step\":0}\n"
      "{\"step\":0,\"loss\":9,\"step_ms\":10}\n"
      "{\"event\":\"eval\",\"step\":1,\"accuracy\":0.1}\n"
      "{\"event\":\"checkpoint\",\"step\":1,\"bytes\":1}\n"
      "{\"step\":1,\"loss\":8,\"step_ms\":10}\n"
      "{\"event\":\"eval\",\"step\":2,\"accuracy\":0.2}\n"
      "{\"event\":\"checkpoint\",\"step\":2,\"bytes\":2}\n"
      "{\"step\":2,\"loss\":7,\"step_ms\":10}\n"
      "{\"event\":\"start\",\"step\":1}\n"
      "{\"step\":1,\"loss\":6,\"step_ms\":10}\n");
  assert_int_equal(run.rows, 2);
  assert_int_equal(run.repeated, 2);
  assert_true(run.column[PL_COLUMN_LOSS][0] == 9 && run.column[PL_COLUMN_LOSS][1] == 6);
  assert_true(run.spent_ms == 40);
  assert_int_equal(run.session_count, 2);
  assert_int_equal(run.judgement_count, 1);
  assert_int_equal(run.checkpoint_count, 1);
  assert_false(run.sessions[0].ended);
  pl_report_run_clear(&run);
}

static void last_line(void **state) {
  (void)state;
  pl_report_run run = read_good("{\"step\":0}\n{\"step\":1,\"lo");
  assert_int_equal(run.rows, 1);
  pl_report_run_clear(&run);
  run = read_good("{\"step\":0}\n{\"step\":1}"); /* whole but for its newline */
  assert_int_equal(run.rows, 2);
  pl_report_run_clear(&run);
  check_bad("{\"step\":0}\n{\"step\":1,\"lo\n{\"step\":2}\n", "m:2: ");
}

static void bad_lines(void **state) {
  (void)state;
  check_bad("{\"step\":0}\n[1]\n", "m:2: this is no JSON object");
  check_bad("step: 0\n", "m:1: this is no JSON object");
  check_bad("{\"step\":0}{\"step\":1}\n", "m:1: ");
  check_bad("{\"loss\":1}\n", "m:1: the line tells no step");
  check_bad("{\"step\":null}\n", "m:1: the line tells no step");
  check_bad("\n{\"step\":\"0\"}\n", "m:2: step is '0', which is no number");
  check_bad("{\"step\":-1}\n", "step is '-1', which is no count");
  check_bad("{\"step\":0.5}\n", "which is no count");
  check_bad("{\"step\":0,\"loss\":nan}\n", "loss is 'nan', which is no number");
  check_bad("{\"step\":0,\"loss\":1e99}\n", "which is no number");
  check_bad("{\"step\":0,\"slowest_ms\":{\"data\":\"x\"}}\n", "slowest_ms.data is 'x'");
  check_bad("{\"event\":\"start\",\"step\":0,\"hosts\":[{\"ranks\":-2}]}\n", "hosts.ranks is '-2'");
  check_bad("{\"step\":&a 0,\"loss\":*a}\n", "m:1: aliases are not accepted");
  check_bad("{\"event\":\"x\\0y\"}\n", "m:1: a text holds a zero byte");
  check_bad("{a: {a: {a: {a: {a: {a: {a: {a: {a: {a: 1}}}}}}}}}}\n", "nested too deeply");
}

static void long_texts(void **state) {
  (void)state;
  char text[3 * PL_REPORT_TEXT], name[2 * PL_REPORT_TEXT];
  memset(name, 'n', sizeof name);
  name[sizeof name - 1] = '\0';
  snprintf(text, sizeof text, "{\"event\":\"start\",\"step\":0,\"train\":\"%s\"}\n", name);
  pl_report_run run = read_good(text);
  assert_int_equal(strlen(run.sessions[0].train), PL_REPORT_TEXT - 1);
  pl_report_run_clear(&run);
  snprintf(text, sizeof text, "{\"step\":0,\"%s\":1}\n", name);
  check_bad(text, "a name is too long");
}

static void yaml(void **state) {
  (void)state;
  const char text[] =
      "run: {name: a, dir: 'b: c'}\nmethod:\n  projector: [512, 128]\n  norm: {kind: batch}\n"
      "optim:\n  milestones: []\n  lr: 0.1\n";
  pl_report_run run = {.rows = 0};
  CHECK_OK(pl_report_read_yaml("y", text, strlen(text), &run));
  assert_string_equal(pl_report_value(&run, "run.dir"), "b: c");
  assert_string_equal(pl_report_value(&run, "method.projector"), "[512, 128]");
  assert_string_equal(pl_report_value(&run, "method.norm.kind"), "batch");
  assert_string_equal(pl_report_value(&run, "optim.milestones"), "[]");
  assert_string_equal(pl_report_value(&run, "optim.lr"), "0.1");
  assert_null(pl_report_value(&run, "lr"));
  assert_int_equal(run.key_count, 6);
  pl_report_run_clear(&run);
  CHECK_FAILS(PL_E_DATA, "y:2: ", pl_report_read_yaml("y", "a: 1\n}", 6, &run));
  pl_report_run_clear(&run);
  CHECK_FAILS(PL_E_DATA, "y:1: no mapping", pl_report_read_yaml("y", "- 1\n", 4, &run));
  pl_report_run_clear(&run);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(columns),    cmocka_unit_test(many_steps), cmocka_unit_test(events),
      cmocka_unit_test(resumed),    cmocka_unit_test(last_line),  cmocka_unit_test(bad_lines),
      cmocka_unit_test(long_texts), cmocka_unit_test(yaml),
  };
  pl_log_set_level(PL_LOG_ERROR);
  return cmocka_run_group_tests(tests, NULL, NULL);
}
