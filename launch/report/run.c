#include "launch/report/run.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "launch/report/flat.h"
#include "runtime/base/memory.h"

enum { YAML_MAX_BYTES = 1 << 20, PICTURES_MAX_BYTES = 256 << 20 };

const char *const pl_report_part_name[PL_REPORT_PARTS] = {
    "data", "forward", "gather", "loss", "backward", "reduce", "optimizer", "checkpoint"};

void *pl_report_grow(void *items, size_t size, int64_t count, int64_t *room) {
  if (count < *room) return items;
  int64_t wanted = *room > 0 ? 2 * *room : 16;
  char *grown = pl_alloc((size_t)wanted, size);
  if (!grown) return NULL;
  if (items) memcpy(grown, items, (size_t)count * size);
  pl_free(items);
  *room = wanted;
  return grown;
}

/* Adds to a list's value, which so far is "[a, b]" or empty. */
static pl_status lengthen(char **list, const char *item) {
  size_t before = strlen(*list);
  size_t room = before + strlen(item) + sizeof ", []";
  char *longer = pl_alloc(room, 1);
  if (!longer) return PL_E_INTERNAL;
  if (before == 0) {
    snprintf(longer, room, "[%s]", item);
  } else {
    snprintf(longer, room, "%.*s, %s]", (int)before - 1, *list, item);
  }
  pl_free(*list);
  *list = longer;
  return PL_OK;
}

static pl_status take_key(void *context, const pl_flat_value *value) {
  pl_report_run *run = context;
  pl_report_key *last = run->key_count > 0 ? &run->keys[run->key_count - 1] : NULL;
  if (value->item > 0 && last && strcmp(last->name, value->name) == 0) {
    return lengthen(&last->value, value->text);
  }
  pl_report_key *keys = pl_report_grow(run->keys, sizeof *keys, run->key_count, &run->key_room);
  if (!keys) return PL_E_INTERNAL;
  run->keys = keys;
  pl_report_key *key = &keys[run->key_count++];
  key->name = pl_strdup(value->name);
  key->value = pl_strdup(value->item < 0 ? value->text : "");
  if (!key->name || !key->value) return PL_E_INTERNAL;
  return value->item < 0 ? PL_OK : lengthen(&key->value, value->text);
}

pl_status pl_report_read_yaml(const char *name, const char *text, size_t size, pl_report_run *run) {
  return pl_flat_read(name, 1, text, size, false, take_key, run);
}

const char *pl_report_value(const pl_report_run *run, const char *key) {
  for (int64_t i = 0; i < run->key_count; i++) {
    if (strcmp(run->keys[i].name, key) == 0) return run->keys[i].value;
  }
  return NULL;
}

/* run.name, or the last part of the folder's path. */
static void name_run(pl_report_run *run) {
  const char *name = pl_report_value(run, "run.name");
  if (name && *name) {
    snprintf(run->name, sizeof run->name, "%s", name);
    return;
  }
  size_t end = strlen(run->folder);
  while (end > 1 && run->folder[end - 1] == '/') end--;
  size_t start = end;
  while (start > 0 && run->folder[start - 1] != '/') start--;
  snprintf(run->name, sizeof run->name, "%.*s", (int)(end - start), run->folder + start);
}

static pl_status read_metrics(pl_report_run *run) {
  char path[PL_PATH_MAX];
  PL_TRY(pl_path_join(run->folder, "metrics.jsonl", path));
  FILE *file = fopen(path, "r");
  if (!file) {
    return PL_FAIL(errno == ENOENT || errno == ENOTDIR ? PL_E_DATA : PL_E_IO, "cannot open %s: %s",
                   path, strerror(errno));
  }
  pl_status status = pl_report_read_metrics(file, path, run);
  fclose(file);
  return status;
}

static pl_status read_yaml(pl_report_run *run) {
  char path[PL_PATH_MAX];
  size_t size = 0;
  PL_TRY(pl_path_join(run->folder, "run.yaml", path));
  PL_TRY(pl_read_file(path, YAML_MAX_BYTES, &run->yaml, &size));
  return pl_report_read_yaml(path, run->yaml, size, run);
}

static pl_status read_pictures(pl_report_run *run) {
  char path[PL_PATH_MAX];
  PL_TRY(pl_path_join(run->folder, "pictures.html", path));
  if (!pl_path_exists(path)) return PL_OK;
  return pl_read_file(path, PICTURES_MAX_BYTES, &run->pictures, NULL);
}

pl_status pl_report_run_create(const char *folder, pl_report_run **out) {
  *out = NULL;
  pl_report_run *run = pl_alloc(1, sizeof *run);
  if (!run) return PL_E_INTERNAL;
  pl_status status = PL_OK;
  if (!pl_is_folder(folder)) {
    PL_TRY_OR(fail, status, PL_FAIL(PL_E_DATA, "%s is no folder of a run", folder));
  }
  snprintf(run->folder, sizeof run->folder, "%s", folder);
  PL_TRY_OR(fail, status, read_metrics(run));
  PL_TRY_OR(fail, status, read_yaml(run));
  PL_TRY_OR(fail, status, read_pictures(run));
  name_run(run);
  *out = run;
  return PL_OK;
fail:
  pl_report_run_destroy(&run);
  return status;
}

void pl_report_run_clear(pl_report_run *run) {
  for (int c = 0; c < PL_COLUMNS; c++) pl_free(run->column[c]);
  for (int64_t i = 0; i < run->session_count; i++) pl_free(run->sessions[i].hosts);
  pl_free(run->sessions);
  pl_free(run->judgements);
  pl_free(run->checkpoints);
  for (int64_t i = 0; i < run->key_count; i++) {
    pl_free(run->keys[i].name);
    pl_free(run->keys[i].value);
  }
  pl_free(run->keys);
  pl_free(run->yaml);
  pl_free(run->pictures);
  *run = (pl_report_run){.rows = 0};
}

void pl_report_run_destroy(pl_report_run **run) {
  if (!*run) return;
  pl_report_run_clear(*run);
  pl_free(*run);
  *run = NULL;
}
