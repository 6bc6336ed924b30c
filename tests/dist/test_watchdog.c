/* The watchdog where nothing hangs, and what it says; tests/dist/hangs has it end runs that do. */
#include "comm/watchdog.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "comm/roll_call.h"
#include "runtime/base/clock.h"
#include "runtime/base/file.h"
#include "tests/dist/ranks.h"

static void sleep_ms(double ms) { usleep((useconds_t)(ms * 1e3)); }

/* A folder that all ranks see, removed by remove_folder. */
static void make_folder(pl_comm *comm, char folder[PL_PATH_MAX]) {
  snprintf(folder, PL_PATH_MAX, "/tmp/plenum-watchdog-XXXXXX");
  if (pl_comm_rank(comm) == 0) assert_non_null(mkdtemp(folder));
  CHECK_OK(pl_comm_broadcast(comm, folder, PL_PATH_MAX, 0));
}

/* The watchdogs left nothing behind. */
static void remove_folder(pl_comm *comm, const char *folder) {
  CHECK_OK(pl_comm_barrier(comm));
  if (pl_comm_rank(comm) == 0) assert_int_equal(rmdir(folder), 0);
}

/* Far longer than the limit, with a sign now and then, while the others wait: their watchdogs ask,
 * and are content with the answer. */
static void long_work_is_no_hang(void **state) {
  pl_comm *comm = *state;
  char folder[PL_PATH_MAX];
  make_folder(comm, folder);
  pl_watchdog *watchdog = NULL;
  double limit_s = 1;
  CHECK_OK(pl_watchdog_start(comm, limit_s, folder, &watchdog));
  bool asked = false;
  if (pl_comm_rank(comm) == 0) {
    for (double start = pl_now_ms(); pl_now_ms() - start < 4e3 * limit_s;) {
      sleep_ms(limit_s * 100);
      pl_comm_alive(comm, 7, "long work");
      asked = asked || pl_roll_call_asked(folder);
    }
    assert_int_equal(asked, pl_comm_size(comm) > 1);
  }
  CHECK_OK(pl_comm_barrier(comm));
  /* Notes go as soon as the question is withdrawn. */
  sleep_ms(limit_s * 200);
  pl_watchdog_stop(&watchdog);
  assert_null(watchdog);
  pl_watchdog_stop(&watchdog);
  remove_folder(comm, folder);
}

static void what_an_earlier_run_left_is_removed(void **state) {
  pl_comm *comm = *state;
  char folder[PL_PATH_MAX];
  make_folder(comm, folder);
  const pl_note note = {
      .rank = pl_comm_rank(comm), .quiet_s = 5, .call = "sum", .doing = "training"};
  bool mine = false;
  CHECK_OK(pl_roll_call_ask(folder, &mine));
  double askers = mine;
  CHECK_OK(pl_comm_sum_f64(comm, &askers, 1));
  assert_int_equal((int)askers, 1);
  CHECK_OK(pl_roll_call_answer(folder, &note));
  CHECK_OK(pl_comm_barrier(comm));
  pl_watchdog *watchdog = NULL;
  CHECK_OK(pl_watchdog_start(comm, 100, folder, &watchdog));
  double start = pl_now_ms();
  pl_watchdog_stop(&watchdog);
  assert_true(pl_now_ms() - start < 500); /* a tick lasts a second */
  remove_folder(comm, folder);
}

static void a_missing_folder_fails_on_all(void **state) {
  pl_watchdog *watchdog = NULL;
  CHECK_FAILS(PL_E_IO, "/nowhere/at/all",
              pl_watchdog_start(*state, 1, "/nowhere/at/all", &watchdog));
  assert_null(watchdog);
}

static void notes_come_back_as_written(void **state) {
  pl_comm *comm = *state;
  char folder[PL_PATH_MAX];
  make_folder(comm, folder);
  int rank = pl_comm_rank(comm);
  const pl_note waits = {.rank = rank,
                         .step = (int64_t)1 << 40,
                         .quiet_s = 61.5,
                         .call = "start of an exchange",
                         .doing = "evaluation (linear)"};
  pl_note back = {.rank = rank};
  pl_roll_call_read(folder, &back);
  assert_false(back.there);
  CHECK_OK(pl_roll_call_answer(folder, &waits));
  pl_roll_call_read(folder, &back);
  assert_true(back.there);
  assert_true(back.step == waits.step);
  CHECK_NEAR(back.quiet_s, waits.quiet_s, 0.05);
  assert_string_equal(back.call, waits.call);
  assert_string_equal(back.doing, waits.doing);
  const pl_note works = {.rank = rank, .doing = "training"};
  CHECK_OK(pl_roll_call_answer(folder, &works));
  pl_roll_call_read(folder, &back);
  assert_string_equal(back.call, "");
  pl_roll_call_retract(folder, rank);
  remove_folder(comm, folder);
}

#define WAITS(k, at)                                                             \
  {                                                                              \
    .rank = (k), .host = "a", .there = true, .step = (at), .call = "all-gather", \
    .doing = "training"                                                          \
  }

static void the_cause_is_told_first(void **state) {
  (void)state;
  const pl_note note[] = {
      WAITS(0, 12),
      {.rank = 1, .host = "b"},
      WAITS(2, 12),
      WAITS(3, 12),
      {.rank = 4, .host = "a", .there = true, .step = 12, .quiet_s = 600.4, .doing = "evaluation"},
      {.rank = 5, .host = "c"},
      {.rank = 6, .host = "c"},
      WAITS(7, 11),
      WAITS(8, 12),
  };
  char text[1000];
  pl_roll_call_tell(note, 9, text, sizeof text);
  assert_string_equal(text,
                      "rank 1 on b is silent since step 12 (stopped or gone); "
                      "ranks 5-6 on c are silent since step 12 (stopped or gone); "
                      "rank 4 on a has been at 'evaluation' of step 12 for 600 s; "
                      "ranks 0, 2-3, 8 wait in 'all-gather' at step 12 (training); "
                      "rank 7 waits in 'all-gather' at step 11 (training)");
  pl_roll_call_tell(note + 2, 2, text, sizeof text);
  assert_string_equal(text,
                      "ranks 2-3 wait in 'all-gather' at step 12 (training): they miss each other, "
                      "or the network between them is down");
  pl_roll_call_tell(note, 9, text, 20);
  assert_string_equal(text, "rank 1 on b is sile");
}

/* Receives what nobody sends. */
static void miss_each_other(pl_comm *comm) {
  enum { MOST = 16 };
  static char send[MOST], recv[MOST];
  size_t none[MOST] = {0}, offset[MOST], expected[MOST];
  for (size_t k = 0; k < MOST; k++) {
    offset[k] = k;
    expected[k] = (int)k != pl_comm_rank(comm);
  }
  pl_request *request = NULL;
  CHECK_OK(pl_comm_start_alltoall(comm, send, none, offset, recv, expected, offset, &request));
  CHECK_OK(pl_comm_wait(comm, &request));
}

/* What the last rank does at step 12, while the others wait for it. */
static void hang(pl_comm *comm, const char *how, const char *folder) {
  if (strcmp(how, "stop") == 0) raise(SIGSTOP);
  if (strcmp(how, "work") == 0) pause();
  if (strcmp(how, "files") == 0) {
    /* Whoever opens this for writing waits for a reader. */
    char path[PL_PATH_MAX];
    CHECK_OK(pl_path_join(folder, "question", path));
    assert_int_equal(mkfifo(path, 0600), 0);
    for (int k = 0; k < pl_comm_size(comm); k++) {
      char name[40];
      snprintf(name, sizeof name, "rank-%05d.new", k);
      CHECK_OK(pl_path_join(folder, name, path));
      assert_int_equal(mkfifo(path, 0600), 0);
    }
    pause();
  }
}

/* `test_watchdog HOW FOLDER LIMIT`: hangs in this way ("nothing": waits for three limits, and
 * ends well). */
static int run_role(int argc, char **argv) {
  pl_comm *comm = NULL;
  pl_watchdog *watchdog = NULL;
  CHECK_OK(pl_comm_create(&argc, &argv, &comm));
  const char *how = argv[1], *folder = argv[2];
  double limit_s = strtod(argv[3], NULL);
  CHECK_OK(pl_watchdog_start(comm, limit_s, folder, &watchdog));
  printf("pid %d\n", (int)getpid());
  fflush(stdout);
  pl_comm_alive(comm, 12, "training");
  CHECK_OK(pl_comm_barrier(comm));
  if (strcmp(how, "miss") == 0) miss_each_other(comm);
  if (pl_comm_rank(comm) == pl_comm_size(comm) - 1) hang(comm, how, folder);
  for (int k = 0; k < 30; k++) {
    double one = 1;
    CHECK_OK(pl_comm_sum_f64(comm, &one, 1));
    sleep_ms(limit_s * 100);
  }
  pl_watchdog_stop(&watchdog);
  pl_comm_destroy(&comm);
  return 0;
}

int main(int argc, char **argv) {
  if (argc > 1) return run_role(argc, argv);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(long_work_is_no_hang),
      cmocka_unit_test(what_an_earlier_run_left_is_removed),
      cmocka_unit_test(a_missing_folder_fails_on_all),
      cmocka_unit_test(notes_come_back_as_written),
      cmocka_unit_test(the_cause_is_told_first),
  };
  return run_on_ranks(argc, argv, tests, sizeof tests / sizeof *tests);
}
