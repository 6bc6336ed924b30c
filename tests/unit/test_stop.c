/* launch/stop: signals raised at oneself, limits, the end of a Slurm job. What a signal leaves
 * behind lasts as long as the process, so each of those tests has a process of its own. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "launch/train/stop.h"
#include "tests/check.h"

/* Runs `body` in a process of its own and gives how it ended, as of waitpid. */
static int run_apart(int (*body)(void)) {
  fflush(NULL);
  pid_t child = fork();
  assert_true(child >= 0);
  if (child == 0) _exit(body());
  int ended;
  assert_int_equal(waitpid(child, &ended, 0), child);
  return ended;
}

static void check_exit(int (*body)(void), int code) {
  int ended = run_apart(body);
  assert_true(WIFEXITED(ended));
  assert_int_equal(WEXITSTATUS(ended), code);
}

static int asked_now(void) {
  pl_stop_clock clock = pl_stop_clock_start(0);
  return (int)pl_stop_asked(&clock, 0);
}

static int listen_and_raise(const int *signals, int count) {
  if (pl_stop_listen() != PL_OK || asked_now() != PL_STOP_NONE) return 100;
  for (int i = 0; i < count; i++) raise(signals[i]);
  return asked_now();
}

static int term(void) { return listen_and_raise((int[]){SIGTERM}, 1); }
static int usr1(void) { return listen_and_raise((int[]){SIGUSR1}, 1); }
static int interrupt_once(void) { return listen_and_raise((int[]){SIGINT}, 1); }
static int interrupt_twice(void) { return listen_and_raise((int[]){SIGINT, SIGINT}, 2); }
static int several(void) {
  return listen_and_raise((int[]){SIGUSR1, SIGTERM, SIGUSR1, SIGINT, SIGTERM}, 5);
}

static void signals_ask(void **state) {
  (void)state;
  check_exit(term, PL_STOP_TERM);
  check_exit(usr1, PL_STOP_USR1);
  check_exit(interrupt_once, PL_STOP_INT);
  check_exit(several, PL_STOP_USR1);
}

static void a_second_interrupt_ends_the_process(void **state) {
  (void)state;
  int ended = run_apart(interrupt_twice);
  assert_true(WIFSIGNALED(ended));
  assert_int_equal(WTERMSIG(ended), SIGINT);
}

/* Gives the pause time to begin, then a signal to its reader. */
static int read_through_a_signal(void) {
  int ends[2];
  char byte = 0;
  if (pl_stop_listen() != PL_OK || pipe(ends) != 0) return 100;
  pid_t reader = getpid(), child = fork();
  if (child == 0) {
    struct timespec pause = {.tv_nsec = 50000000};
    nanosleep(&pause, NULL);
    kill(reader, SIGUSR1);
    nanosleep(&pause, NULL);
    _exit(write(ends[1], "x", 1) != 1);
  }
  if (read(ends[0], &byte, 1) != 1 || byte != 'x') return 101;
  return asked_now();
}

static void waiting_calls_go_on(void **state) {
  (void)state;
  check_exit(read_through_a_signal, PL_STOP_USR1);
}

static int write_too_much(void) {
  char path[] = "/tmp/plenum-stop-XXXXXX";
  int file = mkstemp(path);
  struct rlimit limit = {.rlim_cur = 10, .rlim_max = 10};
  if (pl_stop_listen() != PL_OK || file < 0 || unlink(path) != 0) return 100;
  if (setrlimit(RLIMIT_FSIZE, &limit) != 0) return 101;
  char text[20] = {0};
  if (write(file, text, sizeof text) != 10) return 102;
  return write(file, text, sizeof text) == -1 ? 0 : 103;
}

static void a_file_size_limit_is_an_error(void **state) {
  (void)state;
  check_exit(write_too_much, 0);
}

static int no_job(void **state) {
  (void)state;
  return unsetenv("SLURM_JOB_END_TIME") || unsetenv("PLENUM_JOB_END_TIME");
}

static void limits(void **state) {
  (void)state;
  pl_stop_clock none = pl_stop_clock_start(0);
  assert_int_equal(pl_stop_asked(&none, 1e12), PL_STOP_NONE);
  pl_stop_clock hour = pl_stop_clock_start(3600);
  assert_int_equal(pl_stop_asked(&hour, 0), PL_STOP_NONE);
  assert_int_equal(pl_stop_asked(&hour, 3500e3), PL_STOP_NONE);
  assert_int_equal(pl_stop_asked(&hour, 3600e3), PL_STOP_LIMIT);
  pl_stop_clock moment = pl_stop_clock_start(0.02);
  struct timespec pause = {.tv_nsec = 30000000};
  nanosleep(&pause, NULL);
  assert_int_equal(pl_stop_asked(&moment, 0), PL_STOP_LIMIT);
}

/* Puts the time `seconds` from now in a variable of the environment. */
static void set_end(const char *variable, long seconds) {
  char text[32];
  snprintf(text, sizeof text, "%lld", (long long)time(NULL) + seconds);
  assert_int_equal(setenv(variable, text, 1), 0);
}

/* The clock of seconds may be up to one behind. */
static void check_job_end(double seconds) {
  pl_stop_clock clock = pl_stop_clock_start(0);
  assert_int_equal(pl_stop_asked(&clock, (seconds - 3) * 1e3), PL_STOP_NONE);
  assert_int_equal(pl_stop_asked(&clock, seconds * 1e3), PL_STOP_JOB);
}

static void the_job_ends(void **state) {
  (void)state;
  set_end("SLURM_JOB_END_TIME", 100);
  check_job_end(100);
  set_end("PLENUM_JOB_END_TIME", 50); /* Slurm knows better */
  check_job_end(100);
  unsetenv("SLURM_JOB_END_TIME");
  check_job_end(50);
  pl_stop_clock both = pl_stop_clock_start(50);
  assert_int_equal(pl_stop_asked(&both, 60e3), PL_STOP_LIMIT);
}

static void no_end_of_the_job(void **state) {
  (void)state;
  static const char *const texts[] = {"",     "NONE", "N/A", "2026-11-21T23:47:02", "12 ", "nan",
                                      "-100", "0",    "99",  "9999999999x"};
  for (size_t t = 0; t < sizeof texts / sizeof *texts; t++) {
    setenv("SLURM_JOB_END_TIME", texts[t], 1);
    pl_stop_clock clock = pl_stop_clock_start(0);
    if (pl_stop_asked(&clock, 1e12) != PL_STOP_NONE) fail_msg("'%s' is an end", texts[t]);
  }
  set_end("SLURM_JOB_END_TIME", -10);
  pl_stop_clock clock = pl_stop_clock_start(0);
  assert_int_equal(pl_stop_asked(&clock, 0), PL_STOP_NONE);
}

static void names(void **state) {
  (void)state;
  for (int stop = PL_STOP_NONE; stop <= PL_STOP_JOB; stop++) {
    for (int other = PL_STOP_NONE; other < stop; other++) {
      assert_string_not_equal(pl_stop_name((pl_stop)stop), pl_stop_name((pl_stop)other));
    }
  }
  assert_string_equal(pl_stop_name(PL_STOP_USR1), "SIGUSR1");
  assert_string_equal(pl_stop_name(PL_STOP_LIMIT), "run.time_limit");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup(signals_ask, no_job),
      cmocka_unit_test_setup(a_second_interrupt_ends_the_process, no_job),
      cmocka_unit_test_setup(waiting_calls_go_on, no_job),
      cmocka_unit_test(a_file_size_limit_is_an_error),
      cmocka_unit_test_setup(limits, no_job),
      cmocka_unit_test_setup(the_job_ends, no_job),
      cmocka_unit_test_setup(no_end_of_the_job, no_job),
      cmocka_unit_test(names),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
