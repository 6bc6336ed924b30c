/* Event files, read back by a decoder that shares no code with the writer. */
#include <dirent.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "launch/train/events.h"
#include "runtime/base/file.h"
#include "runtime/base/memory.h"
#include "tests/check.h"

enum { EVENTS_MAX = 32, NAMES_MAX = 8 };

typedef struct event {
  double wall_time;
  int64_t step;
  char version[32], tag[256];
  bool has_value, starts_session;
  float value;
} event;

typedef struct reader {
  const uint8_t *at, *end;
} reader;

/* CRC32C bit by bit from its polynomial, masked as records have it. */
static uint32_t checksum(const uint8_t *data, size_t size, bool masked) {
  uint32_t crc = 0xffffffff;
  for (size_t i = 0; i < size; i++) {
    crc ^= data[i];
    for (int bit = 0; bit < 8; bit++) crc = crc & 1 ? crc >> 1 ^ 0x82f63b78 : crc >> 1;
  }
  crc = ~crc;
  return masked ? ((crc >> 15) | (crc << 17)) + 0xa282ead8 : crc;
}

static uint64_t take_fixed(reader *r, int bytes) {
  uint64_t value = 0;
  assert_true(r->end - r->at >= bytes);
  for (int i = 0; i < bytes; i++) value += (uint64_t)*r->at++ << (8 * i);
  return value;
}

static uint64_t take_varint(reader *r) {
  uint64_t value = 0;
  for (int shift = 0; shift < 64; shift += 7) {
    uint64_t byte = take_fixed(r, 1);
    value |= (byte & 0x7f) << shift;
    if (byte < 0x80) return value;
  }
  fail_msg("a number of more than 64 bits");
  return 0;
}

static reader take_bytes(reader *r) {
  uint64_t size = take_varint(r);
  assert_true(size <= (uint64_t)(r->end - r->at));
  reader inner = {r->at, r->at + size};
  r->at += size;
  return inner;
}

static void take_text(reader *r, char *text, size_t room) {
  reader inner = take_bytes(r);
  size_t size = (size_t)(inner.end - inner.at);
  assert_true(size < room);
  memcpy(text, inner.at, size);
  text[size] = '\0';
}

static float take_float(reader *r) {
  uint32_t bits = (uint32_t)take_fixed(r, 4);
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

static double take_double(reader *r) {
  uint64_t bits = take_fixed(r, 8);
  double value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

/* Keys are written as protocol buffers put them on the wire: field * 8 + kind. */
enum { VARINT = 0, BITS_64 = 1, BYTES = 2, BITS_32 = 5 };
#define KEY(field, kind) ((field)*8 + (kind))

static void decode_value(reader r, event *e) {
  while (r.at < r.end) {
    switch (take_varint(&r)) {
      case KEY(1, BYTES): take_text(&r, e->tag, sizeof e->tag); break;
      case KEY(2, BITS_32):
        e->value = take_float(&r);
        e->has_value = true;
        break;
      default: fail_msg("unknown field of a value");
    }
  }
}

static void decode_event(reader r, event *e) {
  reader inner;
  *e = (event){.step = -1};
  while (r.at < r.end) {
    switch (take_varint(&r)) {
      case KEY(1, BITS_64): e->wall_time = take_double(&r); break;
      case KEY(2, VARINT): e->step = (int64_t)take_varint(&r); break;
      case KEY(3, BYTES): take_text(&r, e->version, sizeof e->version); break;
      case KEY(5, BYTES):
        inner = take_bytes(&r);
        assert_int_equal(take_varint(&inner), KEY(1, BYTES));
        decode_value(take_bytes(&inner), e);
        assert_ptr_equal(inner.at, inner.end);
        break;
      case KEY(7, BYTES):
        inner = take_bytes(&r);
        assert_int_equal(take_varint(&inner), KEY(1, VARINT));
        e->starts_session = take_varint(&inner) == 1;
        assert_ptr_equal(inner.at, inner.end);
        break;
      default: fail_msg("unknown field of an event");
    }
  }
}

/* All events of a file; every checksum must be right, and nothing may be left over. */
static int decode_file(const char *path, event events[EVENTS_MAX]) {
  char *text = NULL;
  size_t size = 0;
  int count = 0;
  CHECK_OK(pl_read_file(path, 1 << 20, &text, &size));
  reader r = {(uint8_t *)text, (uint8_t *)text + size};
  while (r.at < r.end) {
    const uint8_t *head = r.at;
    uint64_t length = take_fixed(&r, 8);
    assert_int_equal(take_fixed(&r, 4), checksum(head, 8, true));
    assert_true(length <= (uint64_t)(r.end - r.at));
    const uint8_t *data = r.at;
    r.at += length;
    assert_int_equal(take_fixed(&r, 4), checksum(data, length, true));
    assert_true(count < EVENTS_MAX);
    decode_event((reader){data, data + length}, &events[count++]);
  }
  pl_free(text);
  return count;
}

static int make_folder(void **state) {
  char pattern[] = "/tmp/plenum-events-XXXXXX";
  *state = strdup(mkdtemp(pattern));
  return *state ? 0 : -1;
}

static int remove_folder(void **state) {
  int failed = pl_remove_tree(*state) != PL_OK;
  free(*state);
  return failed;
}

static int is_event_file(const struct dirent *entry) {
  return strncmp(entry->d_name, "events.out.tfevents.", 20) == 0;
}

/* The event files of a folder, in the order of their names. */
static int list_files(const char *folder, char paths[NAMES_MAX][PL_PATH_MAX]) {
  struct dirent **entries = NULL;
  int count = scandir(folder, &entries, is_event_file, alphasort);
  assert_true(count >= 0 && count <= NAMES_MAX);
  for (int i = 0; i < count; i++) {
    CHECK_OK(pl_path_join(folder, entries[i]->d_name, paths[i]));
    free(entries[i]);
  }
  free(entries);
  return count;
}

static void the_decoder_knows_checksums(void **state) {
  (void)state;
  /* the check value that catalogues of checksums give for CRC32C */
  assert_int_equal(checksum((const uint8_t *)"123456789", 9, false), 0xe3069283);
}

static void a_file_begins_as_readers_expect(void **state) {
  char paths[NAMES_MAX][PL_PATH_MAX];
  event events[EVENTS_MAX];
  pl_events *writer = NULL;
  double before = (double)time(NULL);
  CHECK_OK(pl_events_create(*state, 0, &writer));
  pl_events_destroy(&writer);
  assert_null(writer);
  assert_int_equal(list_files(*state, paths), 1);

  /* A version record has 24 bytes; these twelve begin each event file that there is. */
  static const uint8_t known[] = {0x18, 0, 0, 0, 0, 0, 0, 0, 0xa3, 0x7f, 0x4b, 0x22, 0x09};
  char *text = NULL;
  CHECK_OK(pl_read_file(paths[0], 1 << 20, &text, NULL));
  assert_memory_equal(text, known, sizeof known);
  assert_memory_equal(text + 12 + 9,
                      "\x1a\x0d"
                      "brain.Event:2",
                      15);
  pl_free(text);

  assert_int_equal(decode_file(paths[0], events), 2);
  assert_string_equal(events[0].version, "brain.Event:2");
  assert_true(events[0].wall_time >= before && events[0].wall_time <= (double)time(NULL) + 1);
  assert_true(events[1].starts_session);
  assert_int_equal(events[1].step, 0);
}

static void scalars_come_back(void **state) {
  static const struct {
    const char *tag;
    int64_t step;
    double value;
  } points[] = {
      {"train/loss", 0, 6.25}, {"train/loss", 127, -0.1},        {"train/lr", 128, 0},
      {"", 16383, 1e-42},      {"judged \xc3\xbc", 16384, 3e38}, {"train/loss", INT64_MAX, -3e-38}};
  enum { POINTS = sizeof points / sizeof *points };
  char paths[NAMES_MAX][PL_PATH_MAX];
  event events[EVENTS_MAX];
  pl_events *writer = NULL;
  CHECK_OK(pl_events_create(*state, 0, &writer));
  for (int i = 0; i < POINTS; i++) {
    CHECK_OK(pl_events_scalar(writer, points[i].tag, points[i].step, points[i].value));
  }
  CHECK_OK(pl_events_flush(writer));
  /* what was flushed is there while the writer lives */
  assert_int_equal(list_files(*state, paths), 1);
  assert_int_equal(decode_file(paths[0], events), 2 + POINTS);
  for (int i = 0; i < POINTS; i++) {
    const event *e = &events[2 + i];
    assert_string_equal(e->tag, points[i].tag);
    assert_true(e->has_value && !e->starts_session);
    assert_int_equal(e->step, points[i].step);
    assert_true(e->value == (float)points[i].value);
    assert_true(e->wall_time >= events[1 + i].wall_time);
  }
  pl_events_destroy(&writer);
}

static void what_is_not_finite_is_left_out(void **state) {
  char paths[NAMES_MAX][PL_PATH_MAX];
  event events[EVENTS_MAX];
  pl_events *writer = NULL;
  CHECK_OK(pl_events_create(*state, 0, &writer));
  const double values[] = {NAN, INFINITY, -INFINITY, 1e39, -1e300};
  for (int i = 0; i < 5; i++) CHECK_OK(pl_events_scalar(writer, "loss", i, values[i]));
  CHECK_OK(pl_events_scalar(writer, "loss", 5, 1));
  pl_events_destroy(&writer);
  assert_int_equal(list_files(*state, paths), 1);
  assert_int_equal(decode_file(paths[0], events), 3);
  assert_int_equal(events[2].step, 5);
}

static void names_of_curves_have_a_limit(void **state) {
  char paths[NAMES_MAX][PL_PATH_MAX];
  event events[EVENTS_MAX];
  char tag[257];
  pl_events *writer = NULL;
  memset(tag, 'x', 256);
  tag[256] = '\0';
  CHECK_OK(pl_events_create(*state, INT64_MAX, &writer));
  CHECK_FAILS(PL_E_INTERNAL, "over 255 bytes", pl_events_scalar(writer, tag, 1, 1));
  CHECK_OK(pl_events_scalar(writer, tag + 1, INT64_MAX, 1));
  pl_events_destroy(&writer);
  assert_int_equal(list_files(*state, paths), 1);
  assert_int_equal(decode_file(paths[0], events), 3);
  assert_string_equal(events[2].tag, tag + 1);
}

/* Readers take files by name: each restart must sort behind all before it, even within a second or
 * under a clock that was set back. */
static void restarts_come_last(void **state) {
  char paths[NAMES_MAX][PL_PATH_MAX];
  char ahead[PL_PATH_MAX];
  event events[EVENTS_MAX];
  pl_events *writer = NULL;
  CHECK_OK(pl_path_join(*state, "events.out.tfevents.5000000000.elsewhere.1", ahead));
  for (int64_t run = 0; run < 4; run++) {
    if (run == 2) fclose(fopen(ahead, "w"));
    CHECK_OK(pl_events_create(*state, 100 * run, &writer));
    pl_events_destroy(&writer);
  }
  assert_int_equal(list_files(*state, paths), 5);
  assert_string_equal(paths[2], ahead);
  for (int run = 0; run < 4; run++) {
    assert_int_equal(decode_file(paths[run < 2 ? run : run + 1], events), 2);
    assert_true(events[1].starts_session);
    assert_int_equal(events[1].step, 100 * run);
  }
}

static void failures_are_told(void **state) {
  char paths[NAMES_MAX][PL_PATH_MAX];
  char nowhere[PL_PATH_MAX];
  pl_events *writer = NULL;
  CHECK_OK(pl_path_join(*state, "nowhere", nowhere));
  CHECK_FAILS(PL_E_IO, "nowhere", pl_events_create(nowhere, 0, &writer));
  assert_null(writer);

  /* A limit on the size of files stands for a full disk. */
  CHECK_OK(pl_events_create(*state, 0, &writer));
  assert_int_equal(list_files(*state, paths), 1);
  struct rlimit kept;
  assert_int_equal(getrlimit(RLIMIT_FSIZE, &kept), 0);
  const struct rlimit tight = {.rlim_cur = 100, .rlim_max = kept.rlim_max};
  signal(SIGXFSZ, SIG_IGN);
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
  pl_status scalar = pl_events_scalar(writer, "loss", 1, 1);
  pl_status flush = pl_events_flush(writer);
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &kept), 0);
  signal(SIGXFSZ, SIG_DFL);
  assert_int_equal(scalar, PL_OK); /* buffered */
  assert_int_equal(flush, PL_E_IO);
  assert_non_null(strstr(pl_last_reason()->message, paths[0]));
  pl_events_destroy(&writer);
}

int main(void) {
#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_decoder_knows_checksums),
      IN_FOLDER(a_file_begins_as_readers_expect),
      IN_FOLDER(scalars_come_back),
      IN_FOLDER(what_is_not_finite_is_left_out),
      IN_FOLDER(names_of_curves_have_a_limit),
      IN_FOLDER(restarts_come_last),
      IN_FOLDER(failures_are_told),
  };
  return cmocka_run_group_tests_name("events", tests, NULL, NULL);
}
