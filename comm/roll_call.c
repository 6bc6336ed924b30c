#include "comm/roll_call.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base/file.h"
#include "runtime/base/memory.h"

static const char question_name[] = "question";
static const char note_prefix[] = "rank-";

static const char no_call[] = "none";
#define NOTE_WRITTEN "step %" PRId64 ", %.1f s without a sign of life, in call %s, at %s\n"
#define NOTE_READ "step %" SCNd64 ", %lf s without a sign of life, in call %47[^,], at %47[^\n]"

/* Watchdogs checked at their start that these paths are not too long. */
static void note_path(const char *folder, int rank, const char *suffix, char *path) {
  snprintf(path, PL_PATH_MAX, "%s/%s%05d%s", folder, note_prefix, rank, suffix);
}

static void question_path(const char *folder, char *path) {
  snprintf(path, PL_PATH_MAX, "%s/%s", folder, question_name);
}

pl_status pl_roll_call_clean(const char *folder) {
  DIR *stream = opendir(folder);
  if (!stream) return PL_FAIL(PL_E_IO, "cannot open folder %s: %s", folder, strerror(errno));
  pl_status status = PL_OK;
  const struct dirent *entry;
  while (status == PL_OK && (entry = readdir(stream))) {
    bool question = strcmp(entry->d_name, question_name) == 0;
    bool note = strncmp(entry->d_name, note_prefix, sizeof note_prefix - 1) == 0;
    if ((question || note) && unlinkat(dirfd(stream), entry->d_name, 0) != 0) {
      status = PL_FAIL(PL_E_IO, "cannot remove %s/%s: %s", folder, entry->d_name, strerror(errno));
    }
  }
  closedir(stream);
  return status;
}

pl_status pl_roll_call_ask(const char *folder, bool *mine) {
  char path[PL_PATH_MAX];
  question_path(folder, path);
  int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  *mine = fd >= 0;
  if (fd < 0 && errno != EEXIST) {
    return PL_FAIL(PL_E_IO, "cannot create %s: %s", path, strerror(errno));
  }
  if (fd >= 0) close(fd);
  return PL_OK;
}

void pl_roll_call_withdraw(const char *folder) {
  char path[PL_PATH_MAX];
  question_path(folder, path);
  (void)unlink(path);
}

bool pl_roll_call_asked(const char *folder) {
  char path[PL_PATH_MAX];
  question_path(folder, path);
  return pl_path_exists(path);
}

pl_status pl_roll_call_answer(const char *folder, const pl_note *note) {
  char path[PL_PATH_MAX], temporary[PL_PATH_MAX], line[512];
  note_path(folder, note->rank, "", path);
  note_path(folder, note->rank, ".new", temporary);
  int length = snprintf(line, sizeof line, NOTE_WRITTEN, note->step, note->quiet_s,
                        note->call[0] != '\0' ? note->call : no_call, note->doing);
  int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (fd < 0) return PL_FAIL(PL_E_IO, "cannot create %s: %s", temporary, strerror(errno));
  bool written = write(fd, line, (size_t)length) == length;
  written = close(fd) == 0 && written;
  /* A reader finds a whole note at any time. */
  if (!written || rename(temporary, path) != 0) {
    return PL_FAIL(PL_E_IO, "cannot write %s: %s", path, strerror(errno));
  }
  return PL_OK;
}

void pl_roll_call_retract(const char *folder, int rank) {
  char path[PL_PATH_MAX];
  note_path(folder, rank, "", path);
  (void)unlink(path);
}

void pl_roll_call_read(const char *folder, pl_note *note) {
  char path[PL_PATH_MAX];
  note_path(folder, note->rank, "", path);
  char *text = NULL;
  int fields = 0;
  if (pl_read_file(path, 4096, &text, NULL) == PL_OK) {
    /* A number out of range makes a strange message at worst. */
    /* NOLINTNEXTLINE(cert-err34-c) */
    fields = sscanf(text, NOTE_READ, &note->step, &note->quiet_s, note->call, note->doing);
  }
  note->there = fields == 4;
  if (note->there && strcmp(note->call, no_call) == 0) note->call[0] = '\0';
  pl_free(text);
}

/* ---- telling ---- */

typedef enum fate { SILENT, WORKING, WAITING } fate;

static fate fate_of(const pl_note *note) {
  if (!note->there) return SILENT;
  return note->call[0] == '\0' ? WORKING : WAITING;
}

/* Whether one sentence tells both. */
static bool alike(const pl_note *a, const pl_note *b) {
  if (fate_of(a) != fate_of(b)) return false;
  if (fate_of(a) != WAITING && strcmp(a->host, b->host) != 0) return false;
  if (fate_of(a) == SILENT) return true;
  return a->step == b->step && strcmp(a->call, b->call) == 0 && strcmp(a->doing, b->doing) == 0;
}

/* Text that grows up to the end of its room. */
typedef struct line {
  char *text;
  size_t size, length;
} line;

__attribute__((format(printf, 2, 3))) static void add(line *to, const char *format, ...) {
  va_list args;
  va_start(args, format);
  int added = vsnprintf(to->text + to->length, to->size - to->length, format, args);
  va_end(args);
  to->length += added > 0 ? (size_t)added : 0;
  if (to->length >= to->size) to->length = to->size - 1;
}

/* Adds "rank 3" or "ranks 0, 2-5": all whose notes are like the one at `first`, which none is
 * before. Returns how many there are. */
static int add_ranks(line *to, const pl_note *note, int notes, int first) {
  int count = 0;
  for (int k = first; k < notes; k++) count += alike(&note[k], &note[first]);
  add(to, count == 1 ? "rank " : "ranks ");
  for (int k = first; k < notes;) {
    int end = k;
    while (end < notes && alike(&note[end], &note[first])) end++;
    if (end > k) add(to, "%s%d", k > first ? ", " : "", note[k].rank);
    if (end > k + 1) add(to, "-%d", note[end - 1].rank);
    k = end > k ? end : k + 1;
  }
  return count;
}

static void add_sentence(line *to, const pl_note *note, int notes, int first, int64_t last_step) {
  const pl_note *one = &note[first];
  if (to->length > 0) add(to, "; ");
  bool several = add_ranks(to, note, notes, first) > 1;
  switch (fate_of(one)) {
    case SILENT:
      add(to, " on %s %s silent since step %" PRId64 " (stopped or gone)", one->host,
          several ? "are" : "is", last_step);
      return;
    case WORKING:
      add(to, " on %s %s been at '%s' of step %" PRId64 " for %.0f s", one->host,
          several ? "have" : "has", one->doing, one->step, one->quiet_s);
      return;
    case WAITING:
      add(to, " %s in '%s' at step %" PRId64 " (%s)", several ? "wait" : "waits", one->call,
          one->step, one->doing);
      return;
  }
}

void pl_roll_call_tell(const pl_note *note, int notes, char *text, size_t size) {
  line to = {.text = text, .size = size};
  text[0] = '\0';
  int64_t last_step = 0; /* that anybody reached */
  bool all_wait = true;
  for (int k = 0; k < notes; k++) {
    if (note[k].there && note[k].step > last_step) last_step = note[k].step;
    all_wait = all_wait && fate_of(&note[k]) == WAITING;
  }
  for (fate which = SILENT; which <= WAITING; which++) {
    for (int k = 0; k < notes; k++) {
      bool told = false;
      for (int before = 0; before < k; before++) told = told || alike(&note[before], &note[k]);
      if (fate_of(&note[k]) == which && !told) add_sentence(&to, note, notes, k, last_step);
    }
  }
  if (all_wait && notes > 1)
    add(&to, ": they miss each other, or the network between them is down");
}
