#include "launch/train/metrics_file.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

/* The number behind `start` where the line begins with it, else -1. */
static int64_t number_after(const char *line, const char *start) {
  size_t length = strlen(start);
  return strncmp(line, start, length) == 0 ? strtoll(line + length, NULL, 10) : -1;
}

/* How many bytes from the start are kept. */
static off_t find_end(FILE *file, int64_t step, int64_t *last_eval) {
  char *line = NULL;
  size_t capacity = 0;
  off_t end = 0;
  for (ssize_t length; (length = getline(&line, &capacity, file)) > 0; end += length) {
    if (line[length - 1] != '\n' || number_after(line, "{\"step\":") >= step) break;
    int64_t judged = number_after(line, "{\"event\":\"eval\",\"step\":");
    if (judged >= 0) *last_eval = judged;
  }
  free(line);
  return end;
}

static pl_status failed(const char *what, const char *path) {
  return PL_FAIL(PL_E_IO, "cannot %s %s: %s", what, path, strerror(errno));
}

pl_status pl_metrics_file_open(const char *path, int64_t step, int64_t *last_eval, FILE **out) {
  *last_eval = -1;
  *out = fopen(path, step == 0 ? "w" : "a+");
  if (!*out) return failed("open", path);
  if (step == 0) return PL_OK;
  rewind(*out);
  off_t end = find_end(*out, step, last_eval);
  if (ferror(*out)) return failed("read", path);
  if (fseeko(*out, 0, SEEK_END) != 0 || ftruncate(fileno(*out), end) != 0) {
    return failed("cut", path);
  }
  return PL_OK;
}
