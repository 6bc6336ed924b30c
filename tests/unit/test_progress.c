/* Progress lines on a terminal and elsewhere. Time is moved by setting back what a pl_progress
 * remembers, so that nothing sleeps. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base/clock.h"
#include "runtime/base/log.h"
#include "runtime/base/progress.h"
#include "tests/check.h"

enum { CAUGHT_MAX = 4096 };

/* Puts `to` in the place of stderr; returns what stood there. */
static int divert(int to) {
  int kept = dup(STDERR_FILENO);
  assert_true(kept >= 0);
  assert_int_equal(dup2(to, STDERR_FILENO), STDERR_FILENO);
  return kept;
}

static void restore(int kept) {
  assert_int_equal(dup2(kept, STDERR_FILENO), STDERR_FILENO);
  close(kept);
}

/* What `work` writes to stderr where that is a terminal, or a file. */
static void caught(bool terminal, void (*work)(void), char text[CAUGHT_MAX]) {
  int ends[2] = {-1, -1}; /* to read from, to write to */
  if (terminal) {
    ends[0] = posix_openpt(O_RDWR | O_NOCTTY);
    if (ends[0] < 0 || grantpt(ends[0]) != 0 || unlockpt(ends[0]) != 0) skip();
    ends[1] = open(ptsname(ends[0]), O_RDWR | O_NOCTTY);
  } else {
    assert_int_equal(pipe(ends), 0);
  }
  assert_true(ends[1] >= 0);
  int kept = divert(ends[1]);
  work();
  restore(kept);
  close(ends[1]);
  /* Until the end (a terminal's is an error): it hands over what it was given when it pleases. */
  size_t size = 0;
  ssize_t got = 0;
  do {
    size += (size_t)got;
    got = read(ends[0], text + size, CAUGHT_MAX - 1 - size);
  } while (got > 0);
  text[size] = '\0';
  close(ends[0]);
}

/* Lets so much time pass, or come back: what must not be due yet is then never due by a stall of
 * the machine, and an hour's rate does not show one either. */
static void pass(pl_progress *p, double seconds) {
  p->start_ms -= 1e3 * seconds;
  p->last_shown_ms -= 1e3 * seconds;
}

/* 1.2 of 5 million in 4000 s: 300/s, so that the others take 12667 s. */
static void a_while(void) {
  pl_progress p = pl_progress_start("packing", "images", 5000000, true);
  pass(&p, -1000);
  pl_progress_show(&p, 10);
  pass(&p, 5000);
  pl_progress_show(&p, 1200000);
  pass(&p, -1000);
  pl_progress_show(&p, 1200001);
  pass(&p, 7000);
  pl_progress_show(&p, 5000000);
  pl_progress_end(&p);
}

static void a_terminal_has_one_line(void **state) {
  (void)state;
  char text[CAUGHT_MAX];
  caught(true, a_while, text);
  assert_string_equal(text,
                      "\r\033[Kpacking: 1200000 of 5000000 images (24 %), 300/s, 3:31:07 left"
                      "\r\033[Kpacking: 5000000 of 5000000 images (100 %), 500/s, 0:00 left\r\n");
}

/* After 4 s a line on a terminal is due, a plain one is not. */
static void a_long_while(void) {
  pl_progress p = pl_progress_start("verifying", "shards", 20000, true);
  pass(&p, 4);
  pl_progress_show(&p, 1);
  p.start_ms -= 3936e3;
  pass(&p, 60);
  pl_progress_show(&p, 8000);
  pl_progress_end(&p);
}

static void elsewhere_lines_are_few_and_plain(void **state) {
  (void)state;
  char text[CAUGHT_MAX];
  caught(false, a_while, text);
  assert_string_equal(text,
                      "packing: 1200000 of 5000000 images (24 %), 300/s, 3:31:07 left\n"
                      "packing: 5000000 of 5000000 images (100 %), 500/s, 0:00 left\n");
  caught(false, a_long_while, text);
  assert_string_equal(text, "verifying: 8000 of 20000 shards (40 %), 2.0/s, 1:40:00 left\n");
  caught(true, a_long_while, text);
  assert_non_null(strstr(text, "\r\033[Kverifying: 1 of 20000 shards (0 %), "));
}

static void a_short_while(void) {
  pl_progress p = pl_progress_start("packing", "images", 2, true);
  pass(&p, -1000);
  pl_progress_show(&p, 1);
  pl_progress_show(&p, 2);
  pl_progress_end(&p);
}

static void another_rank(void) {
  pl_progress p = pl_progress_start("packing", "images", 2, false);
  pass(&p, 100);
  pl_progress_show(&p, 1);
  pl_progress_end(&p);
}

static void short_work_and_other_ranks_are_silent(void **state) {
  (void)state;
  char text[CAUGHT_MAX];
  caught(true, a_short_while, text);
  assert_string_equal(text, "");
  caught(true, another_rank, text);
  assert_string_equal(text, "");
}

static void a_pause_is_remembered(void **state) {
  (void)state;
  double last = pl_now_ms() + 60e3;
  assert_false(pl_progress_due(&last));
  last -= 120e3;
  double before = pl_now_ms();
  assert_true(pl_progress_due(&last));
  assert_true(last >= before && last <= pl_now_ms());
}

static void check_time(double seconds, const char *expected) {
  char text[32];
  pl_progress_time(seconds, text);
  assert_string_equal(text, expected);
}

static void times_are_told_as_on_clocks(void **state) {
  (void)state;
  check_time(0, "0:00");
  check_time(0.4, "0:00");
  check_time(41.6, "0:42");
  check_time(59.5, "1:00");
  check_time(3599.4, "59:59");
  check_time(3599.5, "1:00:00");
  check_time(3789, "1:03:09");
  check_time(360000, "100:00:00");
  check_time(-1, "0:00");
  check_time(NAN, "277777:46:40");
  check_time(INFINITY, "277777:46:40");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_terminal_has_one_line),
      cmocka_unit_test(elsewhere_lines_are_few_and_plain),
      cmocka_unit_test(short_work_and_other_ranks_are_silent),
      cmocka_unit_test(a_pause_is_remembered),
      cmocka_unit_test(times_are_told_as_on_clocks),
  };
  return cmocka_run_group_tests_name("progress", tests, NULL, NULL);
}
