#include "launch/plan/limits.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "runtime/base/file.h"

static size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

/* "Name:   123 kB" of a file of such lines, in bytes; SIZE_MAX where it is not there. */
static size_t read_kilobytes(const char *path, const char *name) {
  FILE *file = fopen(path, "r");
  char line[256];
  size_t bytes = SIZE_MAX, length = strlen(name);
  while (file && bytes == SIZE_MAX && fgets(line, sizeof line, file)) {
    if (strncmp(line, name, length) == 0) bytes = strtoull(line + length, NULL, 10) * 1024;
  }
  if (file) fclose(file);
  return bytes;
}

/* The number that is all of a file; SIZE_MAX for none, among it version 2's "max". */
static size_t read_number(const char *folder, const char *name) {
  char path[PL_PATH_MAX], text[64];
  size_t bytes = SIZE_MAX;
  if (snprintf(path, sizeof path, "%s/%s", folder, name) >= (int)sizeof path) return bytes;
  FILE *file = fopen(path, "r");
  if (file && fgets(text, sizeof text, file) && text[0] >= '0' && text[0] <= '9') {
    bytes = strtoull(text, NULL, 10);
  }
  if (file) fclose(file);
  return bytes;
}

/* A number of a file of lines "name 123"; 0 for none. */
static size_t read_statistic(const char *folder, const char *name) {
  char path[PL_PATH_MAX], line[256];
  size_t value = 0, length = strlen(name);
  if (snprintf(path, sizeof path, "%s/memory.stat", folder) >= (int)sizeof path) return 0;
  FILE *file = fopen(path, "r");
  while (file && fgets(line, sizeof line, file)) {
    if (strncmp(line, name, length) != 0 || line[length] != ' ') continue;
    value = strtoull(line + length, NULL, 10);
    break;
  }
  if (file) fclose(file);
  return value;
}

/* The two versions of control groups: where they are, and what their files are called. */
typedef struct hierarchy {
  const char *root, *limit, *usage, *given_up; /* given_up: file pages the system would drop */
} hierarchy;

static const hierarchy version1 = {"/sys/fs/cgroup/memory", "memory.limit_in_bytes",
                                   "memory.usage_in_bytes", "total_inactive_file"};
static const hierarchy version2 = {"/sys/fs/cgroup", "memory.max", "memory.current",
                                   "inactive_file"};

/* Takes in the limits of the group `path` and of those that it is in. */
static void apply_groups(const hierarchy *h, const char *path, pl_host_memory *memory) {
  char folder[PL_PATH_MAX];
  size_t root = strlen(h->root);
  if (snprintf(folder, sizeof folder, "%s%s", h->root, path) >= (int)sizeof folder) return;
  for (;;) {
    size_t limit = read_number(folder, h->limit), usage = read_number(folder, h->usage);
    /* Version 1 says "no limit" with a number near the largest. */
    if (limit < memory->physical && usage != SIZE_MAX) {
      size_t kept = usage - smaller(usage, read_statistic(folder, h->given_up));
      memory->physical = limit;
      memory->available = smaller(memory->available, limit - smaller(limit, kept));
    }
    char *slash = strrchr(folder, '/');
    if ((size_t)(slash - folder) < root) return;
    *slash = '\0';
  }
}

/* A line of /proc/self/cgroup: "4:memory:/slurm/job_7" or "0::/user.slice". */
static void apply_line(char *line, pl_host_memory *memory) {
  char *controllers = strchr(line, ':'), *path = controllers ? strchr(controllers + 1, ':') : NULL;
  if (!path) return;
  *path++ = '\0';
  path[strcspn(path, "\n")] = '\0';
  if (strcmp(path, "/") == 0) path[0] = '\0';
  if (controllers[1] == '\0') {
    apply_groups(&version2, path, memory);
  } else if (strstr(controllers, "memory")) {
    apply_groups(&version1, path, memory);
  }
}

pl_host_memory pl_host_memory_read(void) {
  pl_host_memory memory = {.physical = read_kilobytes("/proc/meminfo", "MemTotal:"),
                           .available = read_kilobytes("/proc/meminfo", "MemAvailable:"),
                           .process = SIZE_MAX};
  char line[PL_PATH_MAX];
  FILE *groups = fopen("/proc/self/cgroup", "r");
  while (groups && fgets(line, sizeof line, groups)) apply_line(line, &memory);
  if (groups) fclose(groups);
  struct rlimit limit;
  if (getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY) {
    size_t mapped = read_kilobytes("/proc/self/status", "VmSize:");
    memory.process = limit.rlim_cur - smaller(limit.rlim_cur, mapped);
  }
  return memory;
}
