/* runtime/cuda: the device, emulated: what it refuses, its memory, copies, and whole arrays. */
#include <string.h>

#include "runtime/base/memory.h"
#include "runtime/cuda/cuda.h"
#include "runtime/tensor/dtype.h"
#include "tests/check.h"
#include "tests/emulation/runtime.h"

static const emulated_host usual = {.devices = 2, .driver = 13010, .major = 9};

static int open_usual(void **state) {
  (void)state;
  emulated_host_is(&usual);
  CHECK_OK(pl_cuda_open(1));
  return 0;
}

static int close_it(void **state) {
  (void)state;
  pl_cuda_close();
  return 0;
}

static void check_refused(emulated_host host, int index, const char *reason) {
  emulated_host_is(&host);
  CHECK_FAILS(PL_E_USAGE, reason, pl_cuda_open(index));
  pl_cuda_info info;
  CHECK_FAILS(PL_E_INTERNAL, "no CUDA device is open", pl_cuda_get_info(&info));
}

static void what_cannot_be_used_is_named(void **state) {
  (void)state;
  assert_true(pl_cuda_built());
  check_refused((emulated_host){0}, 0, "no CUDA driver");
  assert_int_equal(pl_cuda_devices(), 0);
  check_refused((emulated_host){.devices = 1, .driver = 12080, .major = 9}, 0, "for CUDA 12.8");
  assert_int_equal(pl_cuda_devices(), 0);
  check_refused((emulated_host){.driver = 13000}, 0, "finds no device");
  check_refused(usual, 2, "no CUDA device 2: this program sees 2");
  check_refused(usual, -1, "no CUDA device -1");
  check_refused((emulated_host){.devices = 1, .driver = 13000, .major = 7, .minor = 5}, 0,
                "capability 7.5, 8.0");
  emulated_host_is(&usual);
  assert_int_equal(pl_cuda_devices(), 2);
}

static void opens_and_closes(void **state) {
  (void)state;
  emulated_host_is(&usual);
  for (int time = 0; time < 2; time++) {
    pl_cuda_info info;
    CHECK_OK(pl_cuda_open(time));
    CHECK_FAILS(PL_E_INTERNAL, "open already", pl_cuda_open(0));
    CHECK_OK(pl_cuda_get_info(&info));
    assert_string_equal(info.name, "emulated device");
    assert_int_equal(info.driver, 13010);
    assert_int_equal(info.major, 9);
    assert_true(info.free_bytes <= info.total_bytes && info.total_bytes > 0);
    pl_cuda_close();
  }
  pl_cuda_close();
}

static const pl_device *device(void) { return pl_cuda_backend()->device; }

static void memory_is_zeroed(void **state) {
  (void)state;
  enum { BYTES = 1001 };
  void *memory, *nothing;
  char seen[BYTES];
  CHECK_OK(device()->alloc(BYTES, &memory));
  CHECK_OK(device()->alloc(0, &nothing));
  assert_non_null(nothing);
  assert_int_equal((uintptr_t)memory % PL_ALIGNMENT, 0);
  memset(seen, 1, BYTES);
  CHECK_OK(device()->get(seen, memory, BYTES));
  for (int i = 0; i < BYTES; i++) assert_int_equal(seen[i], 0);
  device()->release(memory);
  device()->release(nothing);
  device()->release(NULL);
}

static void too_little_memory_is_told(void **state) {
  (void)state;
  void *memory;
  CHECK_FAILS(PL_E_INTERNAL, "1048576.0 MiB asked for", device()->alloc((size_t)1 << 40, &memory));
  assert_null(memory);
  /* and nothing is wrong afterwards */
  CHECK_OK(device()->alloc(8, &memory));
  CHECK_OK(device()->add_f64(memory, memory, 1));
  CHECK_OK(device()->finish());
  device()->release(memory);
}

/* More than the ring of pinned pieces holds, in copies that end anywhere; the host's memory may
 * change as soon as `put` returns. */
static void copies_are_whole(void **state) {
  (void)state;
  const size_t sizes[] = {0, 1, 4 << 20, (4 << 20) + 1, (37 << 20) + 12345};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    size_t bytes = sizes[i];
    unsigned char *host = pl_alloc(bytes, 1), *back = pl_alloc(bytes, 1);
    void *first, *second;
    CHECK_OK(device()->alloc(bytes, &first));
    CHECK_OK(device()->alloc(bytes, &second));
    for (size_t j = 0; j < bytes; j++) host[j] = (unsigned char)(j * 7 + j / 251);
    CHECK_OK(device()->put(first, host, bytes));
    memset(host, 0, bytes);
    CHECK_OK(device()->copy(second, first, bytes));
    CHECK_OK(device()->put(first, host, bytes));
    CHECK_OK(device()->get(back, second, bytes));
    for (size_t j = 0; j < bytes; j++)
      if (back[j] != (unsigned char)(j * 7 + j / 251)) fail_msg("byte %zu of %zu", j, bytes);
    device()->release(first);
    device()->release(second);
    pl_free(host);
    pl_free(back);
  }
}

/* More fetches than there are events, each of what stands there when it is started; waited for from
 * the last to the first, and twice. */
static void fetches_run_beside(void **state) {
  (void)state;
  enum { FETCHES = 150, EACH = 5, BYTES = EACH * sizeof(float) };
  uint64_t ticket[FETCHES];
  void *pinned[2], *values, *one;
  const float ones[EACH] = {1, 1, 1, 1, 1};
  for (int order = 0; order < 2; order++) {
    emulated_others_first(order == 1);
    for (int k = 0; k < 2; k++) CHECK_OK(device()->alloc_host(FETCHES * BYTES, &pinned[k]));
    CHECK_OK(device()->alloc(FETCHES * BYTES, &values));
    CHECK_OK(device()->alloc(BYTES, &one));
    CHECK_OK(device()->put(one, ones, BYTES));
    float *from = pinned[0];
    const float *to = pinned[1];
    for (int i = 0; i < FETCHES * EACH; i++) from[i] = (float)i;
    CHECK_OK(device()->put_pinned(values, from, FETCHES * BYTES));
    for (int i = 0; i < FETCHES; i++) {
      CHECK_OK(device()->add_f32((float *)values + i * EACH, one, EACH));
      CHECK_OK(device()->start_get((char *)pinned[1] + i * BYTES, (char *)values + i * BYTES, BYTES,
                                   &ticket[i]));
    }
    for (int i = FETCHES - 1; i >= 0; i--) {
      CHECK_OK(device()->await_get(ticket[i]));
      for (int j = i * EACH; j < (i + 1) * EACH; j++) assert_true(to[j] == (float)j + 1);
    }
    CHECK_OK(device()->await_get(ticket[0]));
    CHECK_OK(device()->start_get(pinned[1], values, 0, &ticket[0]));
    CHECK_OK(device()->await_get(ticket[0]));
    for (int k = 0; k < 2; k++) device()->release_host(pinned[k]);
    device()->release_host(NULL);
    device()->release(values);
    device()->release(one);
  }
  emulated_others_first(false);
}

/* Some blocks, and less than one. */
enum { N = 5003, MOST_BYTES = N * sizeof(double) };

static void *on_device(const void *values, size_t bytes) {
  void *memory;
  CHECK_OK(device()->alloc(MOST_BYTES, &memory));
  if (values) CHECK_OK(device()->put(memory, values, bytes));
  return memory;
}

/* Also from addresses that are not those of four elements. */
static void sums_are_those_of_the_host(void **state) {
  (void)state;
  float a[N], b[N], sum[N];
  double wide_a[N], wide_b[N], wide_sum[N];
  for (int i = 0; i < N; i++) {
    wide_a[i] = a[i] = (float)i * 0.37F - 100;
    wide_b[i] = b[i] = 50 - (float)i * 0.11F;
  }
  for (int shift = 0; shift < 4; shift++) {
    float *da = on_device(a, sizeof a), *db = on_device(b, sizeof b);
    CHECK_OK(device()->add_f32(da + shift, db, (size_t)(N - shift)));
    CHECK_OK(device()->get(sum, da, sizeof sum));
    for (int i = 0; i < N; i++) assert_true(sum[i] == (i < shift ? a[i] : a[i] + b[i - shift]));
    device()->release(da);
    device()->release(db);
  }
  double *da = on_device(wide_a, sizeof wide_a), *db = on_device(wide_b, sizeof wide_b);
  CHECK_OK(device()->add_f64(da, db, N));
  CHECK_OK(device()->get(wide_sum, da, sizeof wide_sum));
  for (int i = 0; i < N; i++) assert_true(wide_sum[i] == wide_a[i] + wide_b[i]);
  device()->release(da);
  device()->release(db);
}

static void conversion_rounds_as_the_host_does(void **state) {
  (void)state;
  float values[N], back[N];
  pl_bf16 narrow[N], narrow_sum[N];
  for (int i = 0; i < N; i++) values[i] = ((float)i - 500) * 0.37F;
  const float special[] = {0.0F, -0.0F, INFINITY, -INFINITY, 3.4e38F, 1e-40F, 1.00390625F, NAN};
  memcpy(values, special, sizeof special);
  const pl_backend *cuda = pl_cuda_backend();
  float *wide = on_device(values, sizeof values);
  void *less = on_device(NULL, 0), *sum = on_device(NULL, 0);
  CHECK_OK(cuda->convert(PL_BF16, less, PL_F32, wide, N));
  CHECK_OK(cuda->add(PL_BF16, sum, less, less, N));
  CHECK_OK(cuda->convert(PL_F32, wide, PL_BF16, less, N));
  CHECK_OK(device()->get(narrow, less, sizeof narrow));
  CHECK_OK(device()->get(narrow_sum, sum, sizeof narrow_sum));
  CHECK_OK(device()->get(back, wide, sizeof back));
  for (int i = 0; i < N; i++) {
    if (isnan(values[i])) {
      assert_true(isnan(back[i]) && isnan(pl_bf16_to_f32(narrow_sum[i])));
      continue;
    }
    assert_int_equal(narrow[i], pl_f32_to_bf16(values[i]));
    assert_true(back[i] == pl_bf16_to_f32(narrow[i]));
    assert_int_equal(narrow_sum[i], pl_f32_to_bf16(2 * back[i]));
  }
  CHECK_FAILS(PL_E_INTERNAL, "no conversion", cuda->convert(PL_U8, less, PL_F32, wide, N));
  device()->release(wide);
  device()->release(less);
  device()->release(sum);
}

/* One channel of mean 2 and variance 9 over four elements, one of a single value. */
static void moments_are_unbiased(void **state) {
  (void)state;
  const double totals[] = {8, 20, 4 * (4 + 9), 4 * 25.0};
  double statistic[4];
  double *from = on_device(totals, sizeof totals), *to = on_device(NULL, 0);
  CHECK_OK(pl_cuda_backend()->moments(to, from, 2, 4));
  CHECK_OK(device()->get(statistic, to, sizeof statistic));
  assert_true(statistic[0] == 2 && statistic[1] == 5 && statistic[2] == 12 && statistic[3] == 0);
  CHECK_OK(pl_cuda_backend()->moments(to, from, 2, 1));
  CHECK_OK(device()->get(statistic, to, sizeof statistic));
  assert_true(statistic[0] == 8 && statistic[2] == 0);
  device()->release(from);
  device()->release(to);
}

/* Whatever stands in memory at a replay counts, not what stood there at the recording. */
static void recordings_are_done_at_replays(void **state) {
  (void)state;
  const float two = 2, ten = 10;
  float sum;
  float *from = on_device(&two, sizeof two), *to = on_device(NULL, 0);
  pl_recording *recording = NULL;
  CHECK_OK(device()->record_begin());
  CHECK_OK(device()->add_f32(to, from, 1));
  CHECK_OK(device()->add_f32(to, from, 1));
  CHECK_OK(device()->record_end(&recording));
  CHECK_OK(device()->get(&sum, to, sizeof sum));
  assert_true(sum == 0);
  CHECK_OK(device()->replay(recording));
  CHECK_OK(device()->put(from, &ten, sizeof ten));
  CHECK_OK(device()->replay(recording));
  CHECK_OK(device()->get(&sum, to, sizeof sum));
  assert_true(sum == 24);
  device()->forget(&recording);
  assert_null(recording);
  device()->forget(&recording);
  device()->release(from);
  device()->release(to);
}

static void what_cannot_be_recorded_is_told(void **state) {
  (void)state;
  float value = 3;
  void *more = NULL, *pinned = NULL;
  uint64_t ticket;
  float *memory = on_device(&value, sizeof value);
  pl_recording *recording = NULL;
  CHECK_OK(device()->alloc_host(sizeof value, &pinned));
  CHECK_OK(device()->record_begin());
  CHECK_FAILS(PL_E_INTERNAL, "can't be recorded", device()->put(memory, &value, sizeof value));
  CHECK_FAILS(PL_E_INTERNAL, "can't be recorded", device()->get(&value, memory, sizeof value));
  CHECK_FAILS(PL_E_INTERNAL, "can't be recorded",
              device()->put_pinned(memory, pinned, sizeof value));
  CHECK_FAILS(PL_E_INTERNAL, "can't be recorded",
              device()->start_get(pinned, memory, sizeof value, &ticket));
  CHECK_OK(device()->add_f32(memory, memory, 1));
  CHECK_FAILS(PL_E_INTERNAL, "cudaErrorStreamCaptureUnsupported", device()->alloc(64, &more));
  CHECK_FAILS(PL_E_INTERNAL, "cudaErrorStreamCaptureInvalidated", device()->record_end(&recording));
  assert_null(recording);
  CHECK_OK(device()->add_f32(memory, memory, 1));
  CHECK_OK(device()->get(&value, memory, sizeof value));
  assert_true(value == 6);
  device()->release(memory);
  device()->release_host(pinned);
}

#define OPEN(test) cmocka_unit_test_setup_teardown(test, open_usual, close_it)

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(what_cannot_be_used_is_named),
      cmocka_unit_test(opens_and_closes),
      OPEN(memory_is_zeroed),
      OPEN(too_little_memory_is_told),
      OPEN(copies_are_whole),
      OPEN(fetches_run_beside),
      OPEN(sums_are_those_of_the_host),
      OPEN(conversion_rounds_as_the_host_does),
      OPEN(moments_are_unbiased),
      OPEN(recordings_are_done_at_replays),
      OPEN(what_cannot_be_recorded_is_told),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
