/* tests/emulation: what runs on it gives what a GPU would, and what a GPU would not forgive fails.
 */
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/cuda/cuda.h"
#include "runtime/cuda/kernel.h"
#include "tests/check.h"
#include "tests/emulation/probes.h"
#include "tests/emulation/runtime.h"

static void *room(size_t bytes) {
  void *memory;
  CHECK_OK(pl_cuda_device.alloc(bytes, &memory));
  return memory;
}

static int *pinned_room(size_t bytes) {
  void *memory = NULL;
  CHECK_OK(pl_cuda_device.alloc_host(bytes, &memory));
  memset(memory, 0, bytes);
  return memory;
}

static void blocks_sum_whatever_their_size(void **state) {
  (void)state;
  enum { MOST = 3000 };
  const size_t sizes[] = {32, 96, 1024};
  float x[MOST], sums[MOST];
  for (int i = 0; i < MOST; i++) x[i] = (float)(i % 17);
  float *from = room(sizeof x), *to = room(sizeof sums);
  CHECK_OK(pl_cuda_device.put(from, x, sizeof x));
  for (int i = 0; i < 3; i++) {
    size_t threads = sizes[i], n = 2976; /* whole warps, but a block that is not full */
    probe_sum_blocks(pl_cuda_stream(), to, from, n, threads);
    CHECK_OK(pl_cuda_device.get(sums, to, sizeof sums));
    for (size_t b = 0; b * threads < n; b++) {
      float expected = 0;
      for (size_t j = b * threads; j < n && j < (b + 1) * threads; j++) expected += x[j];
      assert_true(sums[b] == expected);
    }
  }
  pl_cuda_device.release(from);
  pl_cuda_device.release(to);
}

static void shuffles_read_other_lanes(void **state) {
  (void)state;
  int out[4][32];
  int *to = room(sizeof out);
  probe_shuffles(pl_cuda_stream(), to);
  CHECK_OK(pl_cuda_device.get(out, to, sizeof out));
  for (int lane = 0; lane < 32; lane++) {
    assert_int_equal(out[0][lane], lane ^ 5);
    assert_int_equal(out[1][lane], lane + 3 < 32 ? lane + 3 : lane);
    assert_int_equal(out[2][lane], lane < 3 ? lane : lane - 3);
    assert_int_equal(out[3][lane], lane / 8 * 8 + 7);
  }
  pl_cuda_device.release(to);
}

typedef struct matrices {
  pl_bf16 left[16][16], right[16][8], transposed[8][16];
} matrices;

static void set_right(matrices *m, int k, int j, float value) {
  m->transposed[j][k] = m->right[k][j] = pl_f32_to_bf16(value);
}

static void multiply(const matrices *m, bool from_transposed, float result[16][8]) {
  void *l = room(sizeof m->left), *r = room(sizeof m->right), *t = room(sizeof m->transposed);
  float *out = room(16 * sizeof *result);
  CHECK_OK(pl_cuda_device.put(l, m->left, sizeof m->left));
  CHECK_OK(pl_cuda_device.put(r, m->right, sizeof m->right));
  CHECK_OK(pl_cuda_device.put(t, m->transposed, sizeof m->transposed));
  probe_product(pl_cuda_stream(), out, l, r, t, from_transposed);
  CHECK_OK(pl_cuda_device.get(result, out, 16 * sizeof *result));
  void *blocks[] = {l, r, t, out};
  for (int i = 0; i < 4; i++) pl_cuda_device.release(blocks[i]);
}

/* Whole numbers, whose products and sums are exact: each element is another. */
static void tensor_cores_multiply(void **state) {
  (void)state;
  matrices m;
  float result[16][8];
  for (int k = 0; k < 16; k++) {
    for (int i = 0; i < 16; i++) m.left[i][k] = pl_f32_to_bf16((float)(i * 3 - k * 5));
    for (int j = 0; j < 8; j++) set_right(&m, k, j, (float)(k * 7 - j * 11));
  }
  for (int from_transposed = 0; from_transposed < 2; from_transposed++) {
    multiply(&m, from_transposed, result);
    for (int i = 0; i < 16; i++)
      for (int j = 0; j < 8; j++) {
        int expected = 0;
        for (int k = 0; k < 16; k++) expected += (i * 3 - k * 5) * (k * 7 - j * 11);
        assert_int_equal((int)result[i][j], expected);
      }
  }
}

/* One, and 15 times the half of its last bit: none of those is left. */
static void tensor_cores_cut_terms_off(void **state) {
  (void)state;
  matrices m;
  float result[16][8];
  for (int k = 0; k < 16; k++) {
    for (int i = 0; i < 16; i++) m.left[i][k] = pl_f32_to_bf16(k == 0 ? 1 : 0x1p-12F);
    for (int j = 0; j < 8; j++) set_right(&m, k, j, k == 0 ? 1 : 0x1p-12F);
  }
  multiply(&m, false, result);
  for (int i = 0; i < 16; i++)
    for (int j = 0; j < 8; j++) assert_true(result[i][j] == 1);
}

/* Two steps off, either way, but where the result has to be exact. */
static void powers_are_as_inexact_as_a_device_has_them(void **state) {
  (void)state;
  enum { N = 1024 };
  float x[N], power[N];
  int above = 0, below = 0;
  for (int i = 0; i < N; i++) x[i] = (float)i / 64 - 8;
  x[0] = -INFINITY;
  x[1] = NAN;
  float *from = room(sizeof x), *to = room(sizeof power);
  CHECK_OK(pl_cuda_device.put(from, x, sizeof x));
  probe_powers(pl_cuda_stream(), to, from);
  CHECK_OK(pl_cuda_device.get(power, to, sizeof power));
  assert_true(power[0] == 0 && isnan(power[1]) && power[N / 2] == 1);
  for (int i = 2; i < N; i++) {
    double off = (double)power[i] / exp2((double)x[i]) - 1;
    above += off > 1e-7;
    below += off < -1e-7;
    assert_true(fabs(off) < 3 * 0x1p-23);
  }
  assert_true(above > N / 4 && below > N / 4);
  pl_cuda_device.release(from);
  pl_cuda_device.release(to);
}

static void copies_come_when_waited_for(void **state) {
  (void)state;
  const float x[4] = {3, 1, 4, 1};
  float shared[8];
  float *from = room(sizeof x), *to = room(sizeof shared);
  CHECK_OK(pl_cuda_device.put(from, x, sizeof x));
  for (int left = 0; left < 3; left++) {
    probe_copies(pl_cuda_stream(), to, from, left);
    CHECK_OK(pl_cuda_device.get(shared, to, sizeof shared));
    for (int i = 0; i < 4; i++) {
      assert_true(shared[i] == (left < 2 ? x[i] : -1));
      assert_true(shared[4 + i] == (left < 1 ? 0 : -1));
    }
  }
  pl_cuda_device.release(from);
  pl_cuda_device.release(to);
}

/* Whether 100 numbers are reversed: others each time, as shared memory holds what the block before
 * left there. */
static bool reverses(bool waits, bool backwards) {
  enum { N = 100 };
  static int first;
  int x[N];
  bool right = true;
  int *values = room(sizeof x);
  first += N;
  for (int i = 0; i < N; i++) x[i] = first + i;
  CHECK_OK(pl_cuda_device.put(values, x, sizeof x));
  emulated_turn_backwards(backwards);
  probe_reverse(pl_cuda_stream(), values, N, waits);
  CHECK_OK(pl_cuda_device.get(x, values, sizeof x));
  emulated_turn_backwards(false);
  for (int i = 0; i < N; i++) right = right && x[i] == first + N - 1 - i;
  pl_cuda_device.release(values);
  return right;
}

static void a_missing_wait_is_seen(void **state) {
  (void)state;
  assert_true(reverses(true, false));
  assert_true(reverses(true, true));
  assert_false(reverses(false, false));
  assert_false(reverses(false, true));
}

static void launches_that_cannot_be_are_refused(void **state) {
  (void)state;
  probe_reverse(pl_cuda_stream(), NULL, 1025, true);
  CHECK_FAILS(PL_E_INTERNAL, "InvalidConfiguration", pl_cuda_check("probe", cudaGetLastError()));
  probe_sum_blocks(pl_cuda_stream(), NULL, NULL, 0, 32);
  CHECK_FAILS(PL_E_INTERNAL, "InvalidConfiguration", pl_cuda_check("probe", cudaGetLastError()));
  CHECK_OK(pl_cuda_check("probe", cudaGetLastError()));
}

/* ---- two streams ---- */

/* Numbers go to the device in a stream of their own, are reversed in the device's stream, and the
 * memory they came in is then overwritten. Whether that gives the numbers reversed, with the events
 * that it needs or without one of them. */
static bool passes_over(bool wait_for_copy, bool wait_for_use) {
  enum { N = 64 };
  int back[N];
  bool right = true;
  cudaStream_t copies;
  cudaEvent_t copied, used;
  CHECK_OK(pl_cuda_check("stream", cudaStreamCreateWithFlags(&copies, cudaStreamNonBlocking)));
  CHECK_OK(pl_cuda_check("event", cudaEventCreateWithFlags(&copied, cudaEventDisableTiming)));
  CHECK_OK(pl_cuda_check("event", cudaEventCreateWithFlags(&used, cudaEventDisableTiming)));
  int *values = room(sizeof back), *result = room(sizeof back);
  int *x = pinned_room(sizeof back), *none = pinned_room(sizeof back);
  CHECK_OK(pl_cuda_device.finish());
  for (int i = 0; i < N; i++) x[i] = i + 1;
  /* nothing was recorded yet: no wait */
  cudaStreamWaitEvent(copies, used, 0);
  cudaMemcpyAsync(values, x, sizeof back, cudaMemcpyHostToDevice, copies);
  cudaEventRecord(copied, copies);
  if (wait_for_copy) cudaStreamWaitEvent(pl_cuda_stream(), copied, 0);
  probe_reverse(pl_cuda_stream(), values, N, true);
  CHECK_OK(pl_cuda_device.copy(result, values, sizeof back));
  cudaEventRecord(used, pl_cuda_stream());
  if (wait_for_use) cudaStreamWaitEvent(copies, used, 0);
  cudaMemcpyAsync(values, none, sizeof back, cudaMemcpyHostToDevice, copies);
  CHECK_OK(pl_cuda_device.get(back, result, sizeof back));
  for (int i = 0; i < N; i++) right = right && back[i] == N - i;
  cudaStreamDestroy(copies);
  cudaEventDestroy(copied);
  cudaEventDestroy(used);
  pl_cuda_device.release(values);
  pl_cuda_device.release(result);
  pl_cuda_device.release_host(x);
  pl_cuda_device.release_host(none);
  return right;
}

/* In one of the two orders at least. */
static void a_missing_event_is_seen(void **state) {
  (void)state;
  for (int order = 0; order < 2; order++) {
    emulated_others_first(order == 1);
    assert_true(passes_over(true, true));
  }
  emulated_others_first(true);
  assert_false(passes_over(true, false));
  emulated_others_first(false);
  assert_false(passes_over(false, true));
}

/* Waiting for an event is waiting for all before it, and for nothing behind it. */
static void an_event_is_a_place(void **state) {
  (void)state;
  int x[2] = {1, 2};
  int *values = room(sizeof x), *back = pinned_room(sizeof *back);
  cudaEvent_t event;
  CHECK_OK(pl_cuda_check("event", cudaEventCreateWithFlags(&event, cudaEventDisableTiming)));
  CHECK_OK(pl_cuda_check("event", cudaEventSynchronize(event)));
  CHECK_OK(pl_cuda_device.put(values, x, sizeof x));
  cudaMemcpyAsync(back, values, sizeof *back, cudaMemcpyDeviceToHost, pl_cuda_stream());
  cudaEventRecord(event, pl_cuda_stream());
  cudaMemcpyAsync(back, values + 1, sizeof *back, cudaMemcpyDeviceToHost, pl_cuda_stream());
  assert_int_equal(*back, 0);
  CHECK_OK(pl_cuda_check("event", cudaEventSynchronize(event)));
  assert_int_equal(*back, 1);
  CHECK_OK(pl_cuda_device.finish());
  assert_int_equal(*back, 2);
  cudaEventDestroy(event);
  pl_cuda_device.release(values);
  pl_cuda_device.release_host(back);
}

/* ---- mistakes that end the program ---- */

static void part_ways(int *memory) { probe_part_ways(pl_cuda_stream(), memory); }
static void miss_lanes(int *memory) { probe_missing_lanes(pl_cuda_stream(), memory); }
static void load_unaligned(int *memory) { probe_load(pl_cuda_stream(), memory, 1); }
static void multiply_without_a_lane(int *memory) {
  probe_lone_product(pl_cuda_stream(), (float *)memory);
}
static void write_behind(int *memory) {
  probe_write(pl_cuda_stream(), memory, 64);
  pl_cuda_device.release(memory);
}
static void touch_from_host(int *memory) { *(volatile int *)memory = 1; }
static void copy_to_host_memory(int *memory) {
  static int host[4];
  pl_cuda_device.copy(host, memory, sizeof host);
}
static void fetch_to_unpinned(int *memory) {
  static int host[4];
  uint64_t ticket;
  (void)pl_cuda_device.start_get(host, memory, sizeof host, &ticket);
}
static void give_back_twice(int *memory) {
  pl_cuda_device.release(memory);
  pl_cuda_device.release(memory);
}

static void check_ends(void (*mistake)(int *memory)) {
  pid_t child = fork();
  assert_true(child >= 0);
  if (child == 0) {
    const struct rlimit no_core = {0, 0};
    setrlimit(RLIMIT_CORE, &no_core);
    if (!freopen("/dev/null", "w", stderr)) _exit(0);
    int *memory = room(64 * sizeof(int));
    /* cmocka's own handlers would go on with the next test */
    signal(SIGSEGV, SIG_DFL);
    signal(SIGABRT, SIG_DFL);
    mistake(memory);
    (void)pl_cuda_device.finish();
    _exit(0);
  }
  int status;
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_false(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void mistakes_end_the_program(void **state) {
  (void)state;
  check_ends(part_ways);
  check_ends(miss_lanes);
  check_ends(load_unaligned);
  check_ends(multiply_without_a_lane);
  check_ends(write_behind);
  check_ends(touch_from_host);
  check_ends(copy_to_host_memory);
  check_ends(fetch_to_unpinned);
  check_ends(give_back_twice);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(blocks_sum_whatever_their_size),
      cmocka_unit_test(shuffles_read_other_lanes),
      cmocka_unit_test(tensor_cores_multiply),
      cmocka_unit_test(tensor_cores_cut_terms_off),
      cmocka_unit_test(powers_are_as_inexact_as_a_device_has_them),
      cmocka_unit_test(copies_come_when_waited_for),
      cmocka_unit_test(a_missing_wait_is_seen),
      cmocka_unit_test(launches_that_cannot_be_are_refused),
      cmocka_unit_test(a_missing_event_is_seen),
      cmocka_unit_test(an_event_is_a_place),
      cmocka_unit_test(mistakes_end_the_program),
  };
  if (pl_cuda_open(0) != PL_OK) return 1;
  int failures = cmocka_run_group_tests(tests, NULL, NULL);
  pl_cuda_close();
  return failures;
}
