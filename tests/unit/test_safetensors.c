/* Safetensors files: what is written is read back and is what the format asks for; what is no such
 * file is refused with a reason. */
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "runtime/base/file.h"
#include "runtime/base/memory.h"
#include "runtime/store/safetensors.h"
#include "tests/check.h"

enum { FILE_MAX = 4096 };

static char folder[] = "/tmp/plenum-safetensors-XXXXXX";
static char path[PL_PATH_MAX];

static int make_folder(void **state) {
  (void)state;
  return mkdtemp(folder) && pl_path_join(folder, "file.safetensors", path) == PL_OK ? 0 : -1;
}

static int remove_folder(void **state) {
  (void)state;
  return pl_remove_tree(folder) == PL_OK ? 0 : -1;
}

/* ---- files by hand ---- */

/* Writes a file of this header, whose length is told as `told` (or as it is, for -1), in front of
 * `data_bytes` bytes. */
static void put_file_of(const char *header, size_t header_bytes, int64_t told, const void *data,
                        size_t data_bytes) {
  uint64_t length = told < 0 ? header_bytes : (uint64_t)told;
  FILE *out = fopen(path, "wb");
  assert_non_null(out);
  assert_int_equal(fwrite(&length, sizeof length, 1, out), 1);
  assert_int_equal(fwrite(header, 1, header_bytes, out), header_bytes);
  assert_int_equal(fwrite(data, 1, data_bytes, out), data_bytes);
  assert_int_equal(fclose(out), 0);
}

static void put_file(const char *header, const void *data, size_t data_bytes) {
  put_file_of(header, strlen(header), -1, data, data_bytes);
}

static void check_refused(const char *header, size_t data_bytes, const char *words) {
  static const char zeros[FILE_MAX];
  pl_safetensors *file = NULL;
  put_file(header, zeros, data_bytes);
  CHECK_FAILS(PL_E_DATA, words, pl_safetensors_open(path, &file));
  assert_null(file);
  assert_non_null(strstr(pl_last_reason()->message, path));
}

/* ---- tests ---- */

static void reads_what_it_wrote(void **state) {
  (void)state;
  const float matrix[] = {1, -2, 0.1F, 1e-40F, INFINITY, -0.0F}, one[] = {42};
  const int64_t steps[] = {INT64_C(1) << 40};
  const pl_safetensor tensors[] = {
      {"steps", PL_SAFETENSORS_I64, .count = 1, .values = steps},
      {"a \"matrix\" \\ é", PL_SAFETENSORS_F32, 2, {2, 3}, 6, matrix},
      {"none", PL_SAFETENSORS_F32, 2, {0, 7}, 0, NULL},
      {"one", PL_SAFETENSORS_F32, .count = 1, .values = one},
  };
  const char *const metadata[] = {"format", "pt", "tab\tand \"more\"", "", NULL};
  enum { COUNT = sizeof tensors / sizeof *tensors };
  float read[6];
  pl_safetensors *file = NULL;
  CHECK_OK(pl_safetensors_write(path, tensors, COUNT, metadata));
  CHECK_OK(pl_safetensors_open(path, &file));
  assert_int_equal(pl_safetensors_count(file), COUNT);
  for (int i = 0; i < COUNT; i++) {
    const pl_safetensor *tensor = pl_safetensors_tensor(file, i);
    assert_string_equal(tensor->name, tensors[i].name);
    assert_int_equal(tensor->type, tensors[i].type);
    assert_int_equal(tensor->dims, tensors[i].dims);
    assert_memory_equal(tensor->dim, tensors[i].dim, sizeof tensor->dim);
    assert_int_equal(tensor->count, tensors[i].count);
    assert_null(tensor->values);
    assert_int_equal(pl_safetensors_find(file, tensors[i].name), i);
  }
  assert_int_equal(pl_safetensors_find(file, "__metadata__"), -1);
  assert_int_equal(pl_safetensors_find(file, "non"), -1);
  CHECK_OK(pl_safetensors_read(file, 1, read));
  assert_memory_equal(read, matrix, sizeof matrix);
  CHECK_OK(pl_safetensors_read(file, 2, read));
  CHECK_OK(pl_safetensors_read(file, 3, read));
  assert_true(read[0] == 42);
  CHECK_FAILS(PL_E_DATA, "steps is of a type that is not read", pl_safetensors_read(file, 0, read));
  pl_safetensors_close(&file);
  assert_null(file);
  pl_safetensors_close(&file);
}

/* Byte for byte, so that other programs find what the format promises them. */
static void writes_the_format(void **state) {
  (void)state;
  static const char header[] =
      "{\"__metadata__\":{\"k\":\"v\"},"
      "\"a\":{\"dtype\":\"I64\",\"shape\":[],\"data_offsets\":[0,8]},"
      "\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8,16]}}";
  const int64_t a[] = {7};
  const float b[] = {1.5F, -2};
  const pl_safetensor tensors[] = {{"a", PL_SAFETENSORS_I64, .count = 1, .values = a},
                                   {"b", PL_SAFETENSORS_F32, 1, {2}, 2, b}};
  const char *const metadata[] = {"k", "v", NULL};
  char *bytes = NULL;
  size_t size = 0, padded = (sizeof header - 1 + 7) / 8 * 8;
  uint64_t length;
  CHECK_OK(pl_safetensors_write(path, tensors, 2, metadata));
  CHECK_OK(pl_read_file(path, FILE_MAX, &bytes, &size));
  assert_int_equal(size, 8 + padded + 16);
  memcpy(&length, bytes, sizeof length);
  assert_int_equal(length, padded);
  assert_memory_equal(bytes + 8, header, sizeof header - 1);
  for (size_t i = sizeof header - 1; i < padded; i++) assert_int_equal(bytes[8 + i], ' ');
  assert_memory_equal(bytes + 8 + padded, a, sizeof a);
  assert_memory_equal(bytes + 8 + padded + sizeof a, b, sizeof b);
  pl_free(bytes);
}

static void holds_nothing(void **state) {
  (void)state;
  pl_safetensors *file = NULL;
  CHECK_OK(pl_safetensors_write(path, NULL, 0, NULL));
  CHECK_OK(pl_safetensors_open(path, &file));
  assert_int_equal(pl_safetensors_count(file), 0);
  assert_int_equal(pl_safetensors_find(file, "a"), -1);
  pl_safetensors_close(&file);
}

/* All bit patterns of 16 bits, against values composed from their parts. */
static void converts_halves_exactly(void **state) {
  (void)state;
  enum { PATTERNS = 65536 };
  uint16_t *halves = malloc(2 * PATTERNS * sizeof *halves);
  float *values = malloc(PATTERNS * sizeof *values);
  pl_safetensors *file = NULL;
  for (int i = 0; i < PATTERNS; i++) halves[i] = halves[PATTERNS + i] = (uint16_t)i;
  put_file(
      "{\"f\":{\"dtype\":\"F16\",\"shape\":[256,256],\"data_offsets\":[0,131072]},"
      "\"b\":{\"dtype\":\"BF16\",\"shape\":[65536],\"data_offsets\":[131072,262144]}}",
      halves, 2 * PATTERNS * sizeof *halves);
  CHECK_OK(pl_safetensors_open(path, &file));
  CHECK_OK(pl_safetensors_read(file, pl_safetensors_find(file, "f"), values));
  for (int i = 0; i < PATTERNS; i++) {
    int exponent = i >> 10 & 31, fraction = i & 1023;
    double expected = exponent == 0 ? ldexp(fraction, -24) : ldexp(1024 + fraction, exponent - 25);
    if (exponent == 31) expected = fraction == 0 ? INFINITY : NAN;
    if (isnan(expected)) {
      assert_true(isnan(values[i]));
    } else {
      assert_true(fabs((double)values[i]) == expected);
    }
    assert_int_equal(signbit(values[i]) != 0, i >> 15);
  }
  CHECK_OK(pl_safetensors_read(file, pl_safetensors_find(file, "b"), values));
  for (uint32_t i = 0; i < PATTERNS; i++) {
    uint32_t bits;
    memcpy(&bits, &values[i], sizeof bits);
    assert_int_equal(bits, i << 16);
  }
  pl_safetensors_close(&file);
  free(values);
  free(halves);
}

/* What the format leaves to the writer. */
static void reads_other_writers(void **state) {
  (void)state;
  const float numbers[] = {1, 2, 3};
  float read[2];
  pl_safetensors *file = NULL;
  put_file(
      " {\n \"b\" : { \"data_offsets\" : [ 4 , 12 ] , \"shape\":[2],\t\"dtype\":\"F32\" },\r\n"
      "\"__metadata__\":{}, \"\\u0061\\/\\ud83d\\ude00\\u00e9\":"
      "{\"dtype\":\"F32\",\"shape\":[1,1],\"data_offsets\":[0,4]}}   \n",
      numbers, sizeof numbers);
  CHECK_OK(pl_safetensors_open(path, &file));
  assert_int_equal(pl_safetensors_find(file, "b"), 0);
  assert_int_equal(pl_safetensors_find(file, "a/😀é"), 1);
  CHECK_OK(pl_safetensors_read(file, 0, read));
  assert_true(read[0] == 2 && read[1] == 3);
  pl_safetensors_close(&file);
}

static void lists_types_that_it_does_not_read(void **state) {
  (void)state;
  static const struct {
    const char *name;
    int bytes;
  } types[] = {{"F64", 8},  {"C64", 8},     {"U64", 8},    {"I32", 4}, {"U32", 4},
               {"I16", 2},  {"U16", 2},     {"I8", 1},     {"U8", 1},  {"I64", 8},
               {"BOOL", 1}, {"F8_E4M3", 1}, {"F8_E5M2", 1}};
  static const char zeros[32];
  float value;
  for (size_t t = 0; t < sizeof types / sizeof *types; t++) {
    char header[256];
    pl_safetensors *file = NULL;
    snprintf(header, sizeof header,
             "{\"x\":{\"dtype\":\"%s\",\"shape\":[3],\"data_offsets\":[0,%d]}}", types[t].name,
             3 * types[t].bytes);
    put_file(header, zeros, 3 * (size_t)types[t].bytes);
    CHECK_OK(pl_safetensors_open(path, &file));
    assert_int_equal(pl_safetensors_tensor(file, 0)->count, 3);
    CHECK_FAILS(PL_E_DATA, "x is of a type", pl_safetensors_read(file, 0, &value));
    pl_safetensors_close(&file);
  }
}

#define ENTRY(name, shape, offsets) \
  "\"" name "\":{\"dtype\":\"F32\",\"shape\":" shape ",\"data_offsets\":" offsets "}"

static void refuses_places(void **state) {
  (void)state;
  check_refused("{" ENTRY("a", "[2]", "[0,8]") "}", 4, "a lies at 0 to 8 of 4 bytes");
  check_refused("{" ENTRY("a", "[2]", "[0,8]") "}", 12, "end at byte 8");
  check_refused("{" ENTRY("a", "[2]", "[4,12]") "}", 12, "a begins at byte 4");
  check_refused("{" ENTRY("a", "[2]", "[8,0]") "}", 8, "a lies at 8 to 0");
  check_refused("{" ENTRY("a", "[3]", "[0,8]") "}", 8, "12 bytes by its shape");
  check_refused("{" ENTRY("a", "[2]", "[0,8]") "," ENTRY("b", "[2]", "[4,12]") "}", 12,
                "b begins at byte 4 of the numbers, inside of another");
  check_refused("{" ENTRY("a", "[2]", "[0,8]") "," ENTRY("b", "[1]", "[12,16]") "}", 16,
                "b begins at byte 12 of the numbers, behind a hole");
  check_refused("{" ENTRY("a", "[2]", "[0,8]") "," ENTRY("b", "[0]", "[4,4]") "}", 8,
                "b begins at byte 4 of the numbers, inside");
  check_refused("{}", 1, "end at byte 0");
}

static void refuses_shapes(void **state) {
  (void)state;
  check_refused("{" ENTRY("a", "[4294967296,4294967296]", "[0,8]") "}", 8, "too many elements");
  check_refused("{" ENTRY("a", "[4611686018427387904]", "[0,8]") "}", 8, "too many elements");
  check_refused("{" ENTRY("a", "[9223372036854775808]", "[0,8]") "}", 8, "too large");
  check_refused("{" ENTRY("a", "[-1]", "[0,8]") "}", 8, "whole number");
  check_refused("{" ENTRY("a", "[2.0]", "[0,8]") "}", 8, "']' is expected");
  check_refused("{" ENTRY("a", "[2e0]", "[0,8]") "}", 8, "']' is expected");
  check_refused("{" ENTRY("a", "[02]", "[0,8]") "}", 8, "begins with 0");
  check_refused("{" ENTRY("a", "[1,1,1,1,1,1,1,1,2]", "[0,8]") "}", 8, "more than 8 numbers");
  check_refused("{" ENTRY("a", "[2]", "[0,8,8]") "}", 8, "more than 2 numbers");
  check_refused("{" ENTRY("a", "[2]", "[0]") "}", 8, "lacks");
  check_refused("{" ENTRY("a", "[2,]", "[0,8]") "}", 8, "whole number");
}

static void refuses_structures(void **state) {
  (void)state;
  check_refused("", 0, "'{' is expected");
  check_refused("[]", 0, "'{' is expected");
  check_refused("{", 0, "'\"' is expected");
  check_refused("{} {}", 0, "nothing is expected after");
  check_refused("{" ENTRY("a", "[0]", "[0,0]") "," ENTRY("a", "[0]", "[0,0]") "}", 0,
                "two tensors have the name a");
  check_refused("{" ENTRY("a", "[0]", "[0,0]") ",}", 0, "'\"' is expected");
  check_refused("{" ENTRY("a", "[0]", "[0,0]") " " ENTRY("b", "[0]", "[0,0]") "}", 0,
                "'}' is expected");
  check_refused("{\"a\":{}}", 0, "'\"' is expected");
  check_refused("{\"a\":{\"dtype\":\"F32\",\"shape\":[0]}}", 0, "a lacks");
  check_refused(
      "{\"a\":{\"dtype\":\"F32\",\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]}}", 0,
      "\"dtype\", or has it twice");
  check_refused("{\"a\":{\"dtype\":\"F31\",\"shape\":[0],\"data_offsets\":[0,0]}}", 0,
                "no type \"F31\"");
  check_refused("{\"a\":{\"type\":\"F32\"}}", 0, "the key \"type\"");
  check_refused("{\"a\":null}", 0, "'{' is expected");
  check_refused("{\"__metadata__\":{\"a\":1}}", 0, "'\"' is expected");
  check_refused("{\"__metadata__\":{},\"__metadata__\":{}}", 0, "twice");
}

static void refuses_texts(void **state) {
  (void)state;
  check_refused("{\"a", 0, "no end");
  check_refused("{\"a\\", 0, "unknown escape");
  check_refused("{\"a\\x\":", 0, "unknown escape");
  check_refused("{\"a\\u12", 0, "hexadecimal");
  check_refused("{\"a\\u12g4\":", 0, "hexadecimal");
  check_refused("{\"\\ud800\":", 0, "surrogate");
  check_refused("{\"\\ud800\\u0041\":", 0, "surrogate");
  check_refused("{\"\\udc00\":", 0, "surrogate");
  check_refused("{\"\\u0000\":", 0, "control character in a name");
  check_refused("{\"\\n\":", 0, "control character in a name");
  check_refused("{\"a\n\":", 0, "control character in a string");
  check_refused("{\"\xff\":", 0, "no UTF-8");
  check_refused("{\"\x80\":", 0, "no UTF-8");
  check_refused("{\"\xc3", 0, "no UTF-8");
  check_refused("{\"\xc3(\":", 0, "no UTF-8");
  check_refused("{\"\xc0\x80\":", 0, "no UTF-8");         /* zero, too long */
  check_refused("{\"\xed\xa0\x80\":", 0, "no UTF-8");     /* a surrogate */
  check_refused("{\"\xf4\x90\x80\x80\":", 0, "no UTF-8"); /* beyond the last character */
  char header[2 * PL_SAFETENSORS_NAME] = "{\"";
  memset(header + 2, 'n', PL_SAFETENSORS_NAME);
  check_refused(header, 0, "more than 255 bytes");
}

static void refuses_lengths(void **state) {
  (void)state;
  static const char zeros[16];
  pl_safetensors *file = NULL;
  put_file_of("{}", 2, 3, zeros, 0);
  CHECK_FAILS(PL_E_DATA, "of 3 bytes, of 10", pl_safetensors_open(path, &file));
  put_file_of("{}", 2, INT64_MAX, zeros, 0);
  CHECK_FAILS(PL_E_DATA, "or was cut", pl_safetensors_open(path, &file));
  put_file_of("{}", 2, 100000001, zeros, 0);
  CHECK_FAILS(PL_E_DATA, "or was cut", pl_safetensors_open(path, &file));
  put_file_of("{}\0", 3, 3, zeros, 0);
  CHECK_FAILS(PL_E_DATA, "nothing is expected", pl_safetensors_open(path, &file));
  assert_int_equal(truncate(path, 7), 0);
  CHECK_FAILS(PL_E_DATA, "has 7 bytes", pl_safetensors_open(path, &file));
  CHECK_FAILS(PL_E_DATA, "not a regular file", pl_safetensors_open(folder, &file));
  assert_int_equal(unlink(path), 0);
  CHECK_FAILS(PL_E_DATA, "No such file", pl_safetensors_open(path, &file));
}

static void notices_a_file_that_shrinks(void **state) {
  (void)state;
  const float numbers[] = {1, 2};
  float read[2];
  pl_safetensors *file = NULL;
  put_file("{" ENTRY("a", "[2]", "[0,8]") "}", numbers, sizeof numbers);
  CHECK_OK(pl_safetensors_open(path, &file));
  assert_int_equal(truncate(path, 20), 0);
  CHECK_FAILS(PL_E_DATA, "ends at byte", pl_safetensors_read(file, 0, read));
  pl_safetensors_close(&file);
}

static void does_not_write_what_it_refuses(void **state) {
  (void)state;
  const float number[] = {1};
  const pl_safetensor twice[] = {{"a", PL_SAFETENSORS_F32, .count = 1, .values = number},
                                 {"a", PL_SAFETENSORS_F32, .count = 1, .values = number}};
  const pl_safetensor misshapen = {"a", PL_SAFETENSORS_F32, 1, {2}, 1, number};
  const pl_safetensor half = {"a", PL_SAFETENSORS_F16, 1, {1}, 1, number};
  (void)unlink(path);
  CHECK_FAILS(PL_E_INTERNAL, "two tensors", pl_safetensors_write(path, twice, 2, NULL));
  CHECK_FAILS(PL_E_INTERNAL, "by its shape", pl_safetensors_write(path, &misshapen, 1, NULL));
  CHECK_FAILS(PL_E_INTERNAL, "by its shape", pl_safetensors_write(path, &half, 1, NULL));
  assert_false(pl_path_exists(path));
}

/* A limit on the size of files stands for a full disk. */
static void keeps_the_old_file_when_the_disk_is_full(void **state) {
  (void)state;
  static const float many[65536];
  const float one[] = {1};
  const pl_safetensor small = {"a", PL_SAFETENSORS_F32, 1, {1}, 1, one};
  const pl_safetensor large = {"b", PL_SAFETENSORS_F32, 1, {65536}, 65536, many};
  struct rlimit before, limit;
  pl_safetensors *file = NULL;
  char nowhere[PL_PATH_MAX], left[PL_PATH_MAX + 32];
  CHECK_OK(pl_safetensors_write(path, &small, 1, NULL));
  assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
  limit = (struct rlimit){4096, before.rlim_max};
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
  void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
  pl_status status = pl_safetensors_write(path, &large, 1, NULL);
  signal(SIGXFSZ, handler);
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
  assert_int_equal(status, PL_E_IO);
  snprintf(left, sizeof left, "%s.tmp%ld", path, (long)getpid());
  assert_false(pl_path_exists(left));
  CHECK_OK(pl_safetensors_open(path, &file));
  assert_int_equal(pl_safetensors_find(file, "a"), 0);
  pl_safetensors_close(&file);
  CHECK_OK(pl_path_join(folder, "nowhere/file", nowhere));
  CHECK_FAILS(PL_E_IO, "cannot create", pl_safetensors_write(nowhere, &small, 1, NULL));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(reads_what_it_wrote),
      cmocka_unit_test(writes_the_format),
      cmocka_unit_test(holds_nothing),
      cmocka_unit_test(converts_halves_exactly),
      cmocka_unit_test(reads_other_writers),
      cmocka_unit_test(lists_types_that_it_does_not_read),
      cmocka_unit_test(refuses_places),
      cmocka_unit_test(refuses_shapes),
      cmocka_unit_test(refuses_structures),
      cmocka_unit_test(refuses_texts),
      cmocka_unit_test(refuses_lengths),
      cmocka_unit_test(notices_a_file_that_shrinks),
      cmocka_unit_test(does_not_write_what_it_refuses),
      cmocka_unit_test(keeps_the_old_file_when_the_disk_is_full),
  };
  return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
