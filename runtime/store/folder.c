/* The folder of a run's checkpoints: what stands in it, what is left over, what goes. */
#include "runtime/store/folder.h"

#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/grow.h"
#include "runtime/base/memory.h"

pl_status pl_store_path(const char *parent, int64_t step, const char *ending, char *out) {
  char name[64];
  snprintf(name, sizeof name, "step-%08lld%s", (long long)step, ending);
  return pl_path_join(parent, name, out);
}

pl_status pl_checkpoint_path(const char *parent, int64_t step, bool temporary, char *out) {
  return pl_store_path(parent, step, temporary ? PL_STORE_TEMPORARY : "", out);
}

/* The step of a folder whose name is that of a step with this ending; -1 for any other name. */
static int64_t step_of_name(const char *name, const char *ending) {
  static const char start[] = "step-";
  if (strncmp(name, start, sizeof start - 1) != 0) return -1;
  long long step = strtoll(name + sizeof start - 1, NULL, 10);
  char expected[64];
  snprintf(expected, sizeof expected, "step-%08lld%s", step, ending);
  return step >= 0 && strcmp(name, expected) == 0 ? step : -1;
}

static int descending(const void *a, const void *b) {
  int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
  return (x < y) - (x > y);
}

/* Steps of the folders whose names have this ending, newest first; none where `parent` is missing.
 * The caller frees them. */
static pl_status find_steps(const char *parent, const char *ending, int64_t **steps, int *count) {
  pl_status status = PL_OK;
  *steps = NULL;
  *count = 0;
  DIR *folder = opendir(parent);
  if (!folder) {
    if (errno == ENOENT) return PL_OK;
    return PL_FAIL(PL_E_IO, "cannot open %s: %s", parent, strerror(errno));
  }
  for (const struct dirent *entry = readdir(folder); entry; entry = readdir(folder)) {
    int64_t step = step_of_name(entry->d_name, ending);
    if (step < 0) continue;
    PL_TRY_OR(done, status, pl_grow((void **)steps, *count, sizeof **steps));
    (*steps)[(*count)++] = step;
  }
  if (*count > 0) qsort(*steps, (size_t)*count, sizeof **steps, descending);
done:
  closedir(folder);
  if (status != PL_OK) {
    pl_free(*steps);
    *steps = NULL;
  }
  return status;
}

static pl_status look_at(const char *parent, const char *metric, pl_checkpoint_entry *entry) {
  char folder[PL_PATH_MAX];
  pl_checkpoint *checkpoint = NULL;
  PL_TRY(pl_checkpoint_path(parent, entry->step, false, folder));
  pl_status status = pl_checkpoint_open(folder, &checkpoint);
  entry->readable = status == PL_OK;
  entry->value = NAN;
  if (entry->readable) {
    const pl_checkpoint_manifest *manifest = pl_checkpoint_get_manifest(checkpoint);
    if (strcmp(manifest->metric, metric) == 0) entry->value = manifest->value;
  }
  pl_checkpoint_close(&checkpoint);
  return status == PL_E_DATA || status == PL_E_IO ? PL_OK : status;
}

pl_status pl_checkpoint_list(const char *parent, const char *metric, pl_checkpoint_entry **entries,
                             int *count) {
  pl_status status;
  int64_t *steps = NULL;
  *entries = NULL;
  PL_TRY_OR(done, status, find_steps(parent, "", &steps, count));
  *entries = pl_alloc((size_t)*count, sizeof **entries);
  if (!*entries) {
    status = PL_E_INTERNAL;
    goto done;
  }
  for (int k = 0; k < *count; k++) {
    (*entries)[k].step = steps[k];
    PL_TRY_OR(done, status, look_at(parent, metric, &(*entries)[k]));
  }
done:
  pl_free(steps);
  if (status != PL_OK) {
    pl_free(*entries);
    *entries = NULL;
    *count = 0;
  }
  return status;
}

/* The name goes first, so that a checkpoint with half of its files is never seen. */
static pl_status remove_checkpoint(const char *parent, int64_t step) {
  char folder[PL_PATH_MAX], removed[PL_PATH_MAX];
  PL_TRY(pl_store_path(parent, step, "", folder));
  PL_TRY(pl_store_path(parent, step, PL_STORE_REMOVED, removed));
  PL_TRY(pl_remove_tree(removed));
  PL_TRY(pl_rename_durably(folder, removed));
  return pl_remove_tree(removed);
}

pl_status pl_checkpoint_prune(const char *parent, int64_t keep, int64_t best) {
  int64_t *steps;
  int count;
  PL_TRY(find_steps(parent, "", &steps, &count));
  pl_status status = PL_OK;
  for (int k = 0; k < count && status == PL_OK; k++) {
    if (k >= keep && steps[k] != best) status = remove_checkpoint(parent, steps[k]);
  }
  pl_free(steps);
  return status;
}

/* A crash after a checkpoint made room for a newer one of its step, and before that one stood: it
 * gets its name back. */
static pl_status put_back(const char *parent, int64_t step, const char *ending) {
  char folder[PL_PATH_MAX], replaced[PL_PATH_MAX];
  PL_TRY(pl_store_path(parent, step, "", folder));
  PL_TRY(pl_store_path(parent, step, ending, replaced));
  return pl_path_exists(folder) ? PL_OK : pl_rename_durably(replaced, folder);
}

static pl_status remove_left(const char *parent, int64_t step, const char *ending) {
  char left[PL_PATH_MAX];
  PL_TRY(pl_store_path(parent, step, ending, left));
  return pl_remove_tree(left);
}

static pl_status each_step(const char *parent, const char *ending,
                           pl_status (*action)(const char *, int64_t, const char *)) {
  int64_t *steps;
  int count;
  PL_TRY(find_steps(parent, ending, &steps, &count));
  pl_status status = PL_OK;
  for (int k = 0; k < count && status == PL_OK; k++) status = action(parent, steps[k], ending);
  pl_free(steps);
  return status;
}

pl_status pl_checkpoint_clean(const char *parent) {
  PL_TRY(pl_make_folders(parent));
  PL_TRY(each_step(parent, PL_STORE_REPLACED, put_back));
  PL_TRY(each_step(parent, PL_STORE_REPLACED, remove_left));
  PL_TRY(each_step(parent, PL_STORE_REMOVED, remove_left));
  return each_step(parent, PL_STORE_TEMPORARY, remove_left);
}
