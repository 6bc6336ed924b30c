#include "launch/train/events.h"

#include <dirent.h>
#include <errno.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "runtime/base/file.h"
#include "runtime/base/hash.h"
#include "runtime/base/memory.h"

#define FILE_PREFIX "events.out.tfevents."

enum { TAG_MAX = 255, MESSAGE_MAX = TAG_MAX + 64, HOST_MAX = 256 };

/* Fields of the messages Event, Summary, Summary.Value and SessionLog, as far as they are used. */
enum {
  EVENT_WALL_TIME = 1,
  EVENT_STEP = 2,
  EVENT_FILE_VERSION = 3,
  EVENT_SUMMARY = 5,
  EVENT_SESSION_LOG = 7,
  SUMMARY_VALUE = 1,
  VALUE_TAG = 1,
  VALUE_SIMPLE = 2,
  SESSION_STATUS = 1
};
enum { SESSION_START = 1 };

/* How a field's content is laid out. */
typedef enum wire { WIRE_VARINT = 0, WIRE_64_BITS = 1, WIRE_BYTES = 2, WIRE_32_BITS = 5 } wire;

struct pl_events {
  FILE *file;
  char path[PL_PATH_MAX];
};

typedef struct message {
  uint8_t bytes[MESSAGE_MAX]; /* room for the longest tag and all that goes around it */
  size_t size;
} message;

/* Least significant byte first. */
static void put_fixed(message *m, uint64_t bits, int bytes) {
  for (int i = 0; i < bytes; i++) m->bytes[m->size++] = (uint8_t)(bits >> (8 * i));
}

/* Seven bits a byte, the lowest first; the top bit says that more follow. */
static void put_varint(message *m, uint64_t value) {
  for (; value >= 0x80; value >>= 7) m->bytes[m->size++] = (uint8_t)(value | 0x80);
  m->bytes[m->size++] = (uint8_t)value;
}

static void put_key(message *m, int field, wire kind) {
  put_varint(m, (uint64_t)field << 3 | (uint64_t)kind);
}

static void put_integer(message *m, int field, int64_t value) {
  put_key(m, field, WIRE_VARINT);
  put_varint(m, (uint64_t)value);
}

static void put_double(message *m, int field, double value) {
  uint64_t bits;
  memcpy(&bits, &value, sizeof bits);
  put_key(m, field, WIRE_64_BITS);
  put_fixed(m, bits, sizeof bits);
}

static void put_float(message *m, int field, float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  put_key(m, field, WIRE_32_BITS);
  put_fixed(m, bits, sizeof bits);
}

static void put_bytes(message *m, int field, const void *data, size_t size) {
  put_key(m, field, WIRE_BYTES);
  put_varint(m, size);
  memcpy(m->bytes + m->size, data, size);
  m->size += size;
}

static void put_message(message *m, int field, const message *inner) {
  put_bytes(m, field, inner->bytes, inner->size);
}

static message event_of_now(void) {
  message event = {.size = 0};
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  put_double(&event, EVENT_WALL_TIME, (double)now.tv_sec + 1e-9 * (double)now.tv_nsec);
  return event;
}

/* Checksums of data that holds checksums itself are weak, so the format turns and shifts them. */
static uint32_t masked_crc(const void *data, size_t size) {
  uint32_t crc = pl_crc32c(0, data, size);
  return (crc >> 15 | crc << 17) + 0xa282ead8u;
}

static pl_status fail_writing(const pl_events *events) {
  return PL_FAIL(PL_E_IO, "cannot write %s: %s", events->path, strerror(errno));
}

/* A record: length, its checksum, the message, its checksum. */
static pl_status write_record(pl_events *events, const message *event) {
  message head = {.size = 0};
  message tail = {.size = 0};
  put_fixed(&head, event->size, 8);
  put_fixed(&head, masked_crc(head.bytes, head.size), 4);
  put_fixed(&tail, masked_crc(event->bytes, event->size), 4);
  const message *const parts[] = {&head, event, &tail};
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
    if (fwrite(parts[i]->bytes, 1, parts[i]->size, events->file) != parts[i]->size) {
      return fail_writing(events);
    }
  }
  return PL_OK;
}

static pl_status write_start(pl_events *events, int64_t first_step) {
  static const char version[] = "brain.Event:2";
  message event = event_of_now();
  put_bytes(&event, EVENT_FILE_VERSION, version, sizeof version - 1);
  PL_TRY(write_record(events, &event));
  message session = {.size = 0};
  put_integer(&session, SESSION_STATUS, SESSION_START);
  event = event_of_now();
  put_integer(&event, EVENT_STEP, first_step);
  put_message(&event, EVENT_SESSION_LOG, &session);
  return write_record(events, &event);
}

/* The latest SECONDS among the event files of a folder; 0 where there are none. */
static pl_status find_latest(const char *folder, long long *latest) {
  const long long ten_digits = 9999999999; /* longer ones would not sort by name */
  const size_t prefix = strlen(FILE_PREFIX);
  *latest = 0;
  DIR *dir = opendir(folder);
  if (!dir) return PL_FAIL(PL_E_IO, "cannot open folder %s: %s", folder, strerror(errno));
  for (const struct dirent *entry = readdir(dir); entry; entry = readdir(dir)) {
    if (strncmp(entry->d_name, FILE_PREFIX, prefix) != 0) continue;
    long long seconds = strtoll(entry->d_name + prefix, NULL, 10);
    if (seconds > *latest && seconds < ten_digits) *latest = seconds;
  }
  closedir(dir);
  return PL_OK;
}

/* TensorBoard reads files in the order of their names, and a restart must come after what it voids
 * even if both began in one second or the clock was set back. */
static pl_status open_file(pl_events *events, const char *folder) {
  char name[HOST_MAX + 64];
  char host[HOST_MAX] = {0};
  long long latest;
  PL_TRY(find_latest(folder, &latest));
  long long now = time(NULL);
  if (gethostname(host, sizeof host - 1) != 0) {
    return PL_FAIL(PL_E_IO, "cannot tell the name of this host: %s", strerror(errno));
  }
  snprintf(name, sizeof name, FILE_PREFIX "%010lld.%s.%ld", now > latest ? now : latest + 1, host,
           (long)getpid());
  PL_TRY(pl_path_join(folder, name, events->path));
  events->file = fopen(events->path, "wxe");
  if (events->file) return PL_OK;
  return PL_FAIL(PL_E_IO, "cannot create %s: %s", events->path, strerror(errno));
}

pl_status pl_events_create(const char *folder, int64_t first_step, pl_events **out) {
  *out = NULL;
  pl_events *events = pl_alloc(1, sizeof *events);
  if (!events) return PL_E_INTERNAL;
  pl_status status = open_file(events, folder);
  if (status == PL_OK) status = write_start(events, first_step);
  if (status == PL_OK) status = pl_events_flush(events);
  if (status != PL_OK) pl_events_destroy(&events);
  *out = events;
  return status;
}

void pl_events_destroy(pl_events **events) {
  pl_events *e = *events;
  if (!e) return;
  if (e->file) fclose(e->file);
  pl_free(e);
  *events = NULL;
}

pl_status pl_events_scalar(pl_events *events, const char *tag, int64_t step, double value) {
  size_t length = strlen(tag);
  if (length > TAG_MAX) {
    return PL_FAIL(PL_E_INTERNAL, "name of a curve of over %d bytes: %s", TAG_MAX, tag);
  }
  if (!(fabs(value) <= FLT_MAX)) return PL_OK;
  message point = {.size = 0};
  put_bytes(&point, VALUE_TAG, tag, length);
  put_float(&point, VALUE_SIMPLE, (float)value);
  message summary = {.size = 0};
  put_message(&summary, SUMMARY_VALUE, &point);
  message event = event_of_now();
  put_integer(&event, EVENT_STEP, step);
  put_message(&event, EVENT_SUMMARY, &summary);
  return write_record(events, &event);
}

pl_status pl_events_flush(pl_events *events) {
  return fflush(events->file) == 0 ? PL_OK : fail_writing(events);
}
