/* launch/report: whole pages of small runs. */
#include "launch/report/report.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/page.h"
#include "tests/unit/checkpoint_fixture.h"

enum { STEPS = 40, PAGE_MOST = 4 << 20 };

static char *root; /* the folder that all runs of a test lie in */

static int make_root(void **state) {
  static char path[64];
  (void)state;
  snprintf(path, sizeof path, "/tmp/plenum-report-XXXXXX");
  root = mkdtemp(path);
  return root ? 0 : -1;
}

static int remove_root(void **state) {
  (void)state;
  CHECK_OK(pl_remove_tree(root));
  return 0;
}

/* Path of a run, or of a file in it. */
static const char *in_run(const char *run, const char *name) {
  static char path[PL_PATH_MAX];
  snprintf(path, sizeof path, "%s/%s%s%s", root, run, name ? "/" : "", name ? name : "");
  return path;
}

static void write_text(const char *run, const char *name, const char *text) {
  CHECK_OK(pl_make_folders(in_run(run, NULL)));
  CHECK_OK(pl_write_file_durably(in_run(run, name), text, strlen(text)));
}

static void put_step(FILE *file, int i, double loss) {
  fprintf(file,
          "{\"step\":%d,\"epoch\":%g,\"samples\":%d,\"loss\":%g,\"lr\":0.1,\"gradient_norm\":1.5,"
          "\"accuracy\":0.25,\"alignment\":0.9,\"uniformity\":null,\"skipped\":1,\"passed_over\":0,"
          "\"memory_mb\":812.5,\"step_ms\":100,\"samples_per_second\":%d,\"slowest_rank\":0,"
          "\"slowest_ms\":{\"data\":1,\"forward\":30,\"gather\":0,\"loss\":4,\"backward\":60,"
          "\"reduce\":2,\"optimizer\":1,\"checkpoint\":0}}\n",
          i, (i + 1) / 10.0, (i + 1) * 512, loss, i == 0 ? 7 : 5120);
}

static void put_start(FILE *file, int step) {
  fprintf(file,
          "{\"event\":\"start\",\"time\":\"2026-11-21T23:40:0%dZ\",\"step\":%d,\"steps\":50,"
          "\"batch\":512,\"steps_per_epoch\":10,\"samples\":5120,\"shards\":2,"
          "\"train\":\"data/<train>\",\"dataset\":\"00ff\",\"parameters\":716880,"
          "\"precision\":\"bf16\",\"build\":\"0.1.0 ab\","
          "\"hosts\":[{\"host\":\"node<1>&\",\"ranks\":2,\"threads\":3,\"device\":\"cpu\"}]}\n",
          step / 10, step);
}

/* A run of STEPS steps, resumed at half of them, judged twice, stopped by a signal. */
static void make_run(const char *run, double last_loss, const char *yaml) {
  char *text = NULL;
  size_t size = 0;
  FILE *file = open_memstream(&text, &size);
  put_start(file, 0);
  for (int i = 0; i < STEPS; i++) {
    if (i == STEPS / 2) {
      fputs(
          "{\"event\":\"eval\",\"step\":20,\"epoch\":2,\"kind\":\"knn\",\"accuracy\":0.625,"
          "\"right\":5,\"queries\":8,\"ms\":21000}\n"
          "{\"event\":\"checkpoint\",\"step\":20,\"bytes\":5734400,\"stall_ms\":3.25,"
          "\"write_ms\":40.5}\n",
          file);
      put_start(file, i);
    }
    put_step(file, i, i < 10 ? 9 : last_loss);
  }
  fputs(
      "{\"event\":\"eval\",\"step\":40,\"epoch\":4,\"kind\":\"knn\",\"accuracy\":0.5,"
      "\"right\":4,\"queries\":8,\"ms\":21000}\n"
      "{\"event\":\"end\",\"time\":\"T\",\"step\":40,\"reason\":\"SIGTERM\","
      "\"state\":\"0123456789abcdef0123456789abcdef\"}\n",
      file);
  assert_int_equal(fclose(file), 0);
  write_text(run, "metrics.jsonl", text);
  write_text(run, "run.yaml", yaml);
  free(text);
}

/* The page about runs, as its visible text where tags count as one blank; checked to be well formed
 * and to need nothing from outside. The caller frees it. */
static char *page_of(const char *const *runs, int count) {
  char paths[3][PL_PATH_MAX], out[PL_PATH_MAX];
  const char *folders[3];
  char *text;
  for (int r = 0; r < count; r++) {
    snprintf(paths[r], sizeof paths[r], "%s", in_run(runs[r], NULL));
    folders[r] = paths[r];
  }
  snprintf(out, sizeof out, "%s/page.html", root);
  CHECK_OK(pl_report_write(folders, count, out));
  CHECK_OK(pl_read_file(out, PAGE_MOST, &text, NULL));
  assert_true(page_is_well_formed(text));
  assert_null(strstr(text, " src=\"http"));
  assert_null(strstr(text, " href="));
  assert_null(strstr(text, "@import"));
  assert_null(strstr(text, "url("));
  assert_true(page_is_drawn(text));
  return text;
}

static void strip_tags(char *text) {
  char *to = text;
  bool inside = false, blank = false;
  for (const char *from = text; *from; from++) {
    if (*from == '<') inside = true;
    bool gap = inside || *from == '\n' || *from == ' ';
    if (!gap || !blank) *to++ = gap ? ' ' : *from;
    blank = gap;
    if (*from == '>') inside = false;
  }
  *to = '\0';
}

static void check_holds(const char *text, const char *words) {
  if (strstr(text, words)) return;
  print_error("not in the page: %s\n", words);
  fail();
}

static int occurrences(const char *text, const char *words) {
  int count = 0;
  for (; (text = strstr(text, words)) != NULL; text += strlen(words)) count++;
  return count;
}

static void one_run(void **state) {
  (void)state;
  make_run("one", 4.5, "run: {name: 'a <b> & \"c\"'}\noptim: {lr: 0.1}\n");
  char *text = page_of((const char *[]){"one"}, 1);
  /* loss, accuracy, picked, alignment, rate, norm, memory, learning rate, skipped, and the time */
  assert_int_equal(occurrences(text, "<figure"), 10);
  assert_int_equal(occurrences(text, "class=\"mark\" d="), 10);
  assert_int_equal(occurrences(text, "class=\"layer\""), 7); /* six parts took time, and others */
  assert_int_equal(occurrences(text, "class=\"dot\""), 2);
  strip_tags(text);
  check_holds(text, "a &lt;b&gt; &amp; &quot;c&quot;");
  check_holds(text, "Accuracy, kNN 50.0 % best 62.5 % at step 20");
  check_holds(text, "Loss 5.625 mean of the last 40 steps");
  check_holds(text, "Positives picked 25.0 %");
  check_holds(text, "Steps 40 of 50, 4 epochs");
  check_holds(text, "Samples per second 5,120 median");
  check_holds(text, "Time in steps 4.0 s");
  check_holds(text, "Memory 812 MB");
  check_holds(text, "stopped: SIGTERM \xC2\xB7 state 0123456789abcdef0123456789abcdef");
  check_holds(text, "716,880 parameters, bf16 \xC2\xB7 batch 512 of 5,120 samples");
  check_holds(text, "2026-11-21T23:40:02Z 20 T 40 SIGTERM 2 0.1.0 ab");
  check_holds(text, "0 node&lt;1&gt;&amp; 2 3 cpu");
  check_holds(text, "20 2 kNN 62.5 % \xE2\x80\x93 \xE2\x80\x93 5 8 \xE2\x80\x93 21.0 s");
  check_holds(text, "20 5.73 MB 3.25 ms 40.5 ms");
  check_holds(text, "forward 30.0 \xC2\xB7 30.0 %");
  check_holds(text, "other 2.0 \xC2\xB7 2.0 %");
  check_holds(text, "Configuration run: {name: &#39;a ");
  pl_free(text);
}

/* Points of the paths of a class lie in the frame. */
static void check_points(const char *text, const char *class) {
  char start[64];
  snprintf(start, sizeof start, "<path class=\"%s\"", class);
  assert_non_null(strstr(text, start));
  for (const char *path = text; (path = strstr(path, start)) != NULL; path++) {
    const char *at = strstr(path, " d=\"") + 4;
    int points = 0;
    for (char *end = NULL; *at == 'M' || *at == 'L'; at = end, points++) {
      double x = strtod(at + 1, &end), y = strtod(end, &end);
      if (!(x >= 46 && x <= 406 && y >= 8 && y <= 188)) print_error("%g %g\n", x, y);
      assert_true(x >= 46 && x <= 406 && y >= 8 && y <= 188);
    }
    assert_in_range(points, 2, 2000);
  }
}

static void inside_frames(void **state) {
  (void)state;
  make_run("frames", 0.001, "run: {name: a}\n"); /* from 9: more than two decades */
  char *text = page_of((const char *[]){"frames"}, 1);
  check_holds(text, "nats, logarithmic");
  check_points(text, "curve");
  check_points(text, "layer");
  pl_free(text);
}

static void pictures(void **state) {
  (void)state;
  make_run("pictures", 4, "run: {name: a}\n");
  write_text("pictures", "pictures.html", "<section class=\"pictures\"><b>&lt;3</b></section>\n");
  char *text = page_of((const char *[]){"pictures"}, 1);
  check_holds(text, "<section class=\"pictures\"><b>&lt;3</b></section>\n");
  pl_free(text);
}

/* A run that saved an untrained state, or was killed before its first step was done. */
static void no_steps(void **state) {
  (void)state;
  write_text("empty", "metrics.jsonl", "");
  write_text("empty", "run.yaml", "run: {seed: 1}\n");
  char *text = page_of((const char *[]){"empty"}, 1);
  assert_int_equal(occurrences(text, "<figure"), 0);
  check_holds(text, "<h1>empty</h1>"); /* after its folder */
  pl_free(text);
  write_text("empty", "metrics.jsonl",
             "{\"event\":\"start\",\"step\":0,\"steps\":0}\n"
             "{\"event\":\"eval\",\"step\":0,\"kind\":\"linear\",\"accuracy\":0.5}\n");
  text = page_of((const char *[]){"empty"}, 1);
  assert_int_equal(occurrences(text, "<figure"), 1);
  check_holds(text, "still going on, or broken off");
  pl_free(text);
}

/* Judgements with several cuts have a chart each, those with one share a chart. */
static void judgements_of_texts(void **state) {
  (void)state;
  static const char head[] = "{\"event\":\"eval\",\"step\":";
  char *text = NULL;
  size_t size = 0;
  FILE *file = open_memstream(&text, &size);
  put_start(file, 0);
  for (int step = 0; step <= 20; step += 10) {
    double accuracy = step / 100.0;
    fprintf(file, "%s%d,\"kind\":\"knn\",\"accuracy\":%g}\n", head, step, accuracy);
    fprintf(file, "%s%d,\"kind\":\"zeroshot\",\"accuracy\":%g,\"top5\":%g}\n", head, step, accuracy,
            2 * accuracy);
    fprintf(file, "%s%d,\"kind\":\"texts_for_images\",\"accuracy\":%g,\"top5\":%g,\"top10\":%g}\n",
            head, step, accuracy, 2 * accuracy, 0.4371 + accuracy);
  }
  assert_int_equal(fclose(file), 0);
  write_text("texts", "metrics.jsonl", text);
  write_text("texts", "run.yaml", "run: {name: texts}\n");
  free(text);
  char *page = page_of((const char *[]){"texts"}, 1);
  assert_int_equal(occurrences(page, "<figure"), 3);
  assert_int_equal(occurrences(page, "class=\"curve\""), 1 + 2 + 3);
  strip_tags(page);
  check_holds(page, "Class told by its name, held-out samples");
  check_holds(page, "R@1, captions for images 20.0 % the best so far");
  check_holds(page, "20 \xE2\x80\x93 captions for images 20.0 % 40.0 % 63.7 %");
  pl_free(page);
}

static void several_runs(void **state) {
  (void)state;
  make_run("x", 4, "run: {name: x}\noptim: {lr: 0.1, milestones: [1, 2]}\nsame: 1\n");
  make_run("y", 3, "run: {name: y}\noptim: {lr: 0.1, milestones: [1, 3]}\nsame: 1\nnew: on\n");
  write_text("y", "pictures.html", "<b>of one run</b>");
  char *text = page_of((const char *[]){"x", "y"}, 2);
  assert_int_equal(occurrences(text, "<figure"), 9);
  assert_int_equal(occurrences(text, "class=\"curve\""), 18);
  assert_null(strstr(text, "of one run"));
  strip_tags(text);
  check_holds(text, "50.0 % 62.5 % 5.25 25.0 % 40 4 5,120 4.0 s 812 MB SIGTERM 0123456789ab ");
  check_holds(text, "run.name x y ");
  check_holds(text, "optim.milestones [1, 2] [1, 3] ");
  check_holds(text, "new \xE2\x80\x93 on ");
  assert_null(strstr(text, "optim.lr"));
  assert_null(strstr(text, " same "));
  pl_free(text);
}

static void save_checkpoint(const char *run, int64_t step, int64_t position) {
  fixture f = {.space = make_space(false)};
  pl_checkpoint_part_record record;
  const pl_checkpoint_vectors names = {.count = VECTORS, .name = {"params", "momentum"}};
  const pl_checkpoint_vectors replicated = {.count = REPLICATED,
                                            .name = {"buffers", "average_buffers"}};
  const pl_checkpoint_shard shards[] = {{"part-<0>.h5", 1000, 2, 3}, {"part-1.h5", 500, 1, 0}};
  int length = snprintf(f.parent, sizeof f.parent, "%s", in_run(run, "checkpoints"));
  assert_in_range(length, 1, sizeof f.parent - 1);
  CHECK_OK(pl_checkpoint_clean(f.parent));
  CHECK_OK(write_parts(&f, 1, step, &record));
  pl_checkpoint_manifest manifest = make_manifest(1, step, &record, "a: 1\n");
  manifest.position = position;
  manifest.shard = shards;
  CHECK_OK(pl_checkpoint_commit(f.parent, f.space, &names, &replicated, &manifest));
  pl_space_destroy(&f.space);
}

static void ledger_of_samples(void **state) {
  (void)state;
  make_run("ledger", 4, "run: {name: a}\n");
  save_checkpoint("ledger", 20, 1503);
  char *text = page_of((const char *[]){"ledger"}, 1);
  strip_tags(text);
  check_holds(text, "At step 20 the sample stream stands at 1,503;");
  check_holds(text, "each sample is accounted for");
  check_holds(text, "part-&lt;0&gt;.h5 1,000 2 3 part-1.h5 500 1 0 all 1,500 3 3 ");
  pl_free(text);
  save_checkpoint("ledger", 40, 1600);
  text = page_of((const char *[]){"ledger"}, 1);
  strip_tags(text);
  check_holds(text, "At step 40 the sample stream stands at 1,600;");
  check_holds(text, "97 too few");
  pl_free(text);
  /* The newest one that can be read. */
  write_text("ledger/checkpoints/step-00000040", "manifest.yaml", "damaged");
  text = page_of((const char *[]){"ledger"}, 1);
  check_holds(text, "At step 20");
  pl_free(text);
}

static pl_status report_on(const char *run) {
  char out[PL_PATH_MAX];
  const char *folder = in_run(run, NULL);
  snprintf(out, sizeof out, "%s/refused.html", root);
  pl_status status = pl_report_write(&folder, 1, out);
  assert_false(pl_path_exists(out));
  return status;
}

static void refusals(void **state) {
  (void)state;
  CHECK_FAILS(PL_E_DATA, "nowhere", report_on("nowhere"));
  write_text("bare", "other", "");
  CHECK_FAILS(PL_E_DATA, "bare/metrics.jsonl", report_on("bare"));
  write_text("bare", "metrics.jsonl", "{\"step\":0}\nwords\n");
  CHECK_FAILS(PL_E_DATA, "bare/metrics.jsonl:2: ", report_on("bare"));
  write_text("bare", "metrics.jsonl", "{\"step\":0}\n");
  CHECK_FAILS(PL_E_DATA, "bare/run.yaml", report_on("bare"));
  write_text("bare", "run.yaml", "a: [\n");
  CHECK_FAILS(PL_E_DATA, "bare/run.yaml:", report_on("bare"));
  write_text("bare", "run.yaml", "a: 1\n");
  const char *folder = in_run("bare", NULL);
  CHECK_FAILS(PL_E_IO, "/no/such", pl_report_write(&folder, 1, "/no/such/page.html"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(one_run),
      cmocka_unit_test(inside_frames),
      cmocka_unit_test(pictures),
      cmocka_unit_test(no_steps),
      cmocka_unit_test(judgements_of_texts),
      cmocka_unit_test(several_runs),
      cmocka_unit_test(ledger_of_samples),
      cmocka_unit_test(refusals),
  };
  pl_log_set_level(PL_LOG_ERROR);
  return cmocka_run_group_tests(tests, make_root, remove_root);
}
