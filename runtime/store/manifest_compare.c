/* In which tensors a checkpoint and a parameter space differ. */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "runtime/base/log.h"
#include "runtime/store/manifest.h"

int pl_manifest_find_vector(const pl_checkpoint_vectors *vectors, const char *name) {
  for (int v = 0; v < vectors->count; v++) {
    if (strcmp(vectors->name[v], name) == 0) return v;
  }
  return -1;
}

int pl_manifest_find_tensor(const pl_manifest *manifest, const char *name) {
  for (int t = 0; t < manifest->tensors; t++) {
    if (strcmp(manifest->tensor[t].name, name) == 0) return t;
  }
  return -1;
}

int pl_manifest_find_buffer(const pl_manifest *manifest, const char *name) {
  for (int b = 0; b < manifest->buffers; b++) {
    if (strcmp(manifest->buffer[b].name, name) == 0) return b;
  }
  return -1;
}

/* Leaves room in the reason for the folder, and for context on the way up. */
enum { LIST_MAX = PL_REASON_MAX / 2, SHAPE_TEXT = 128 };

typedef struct differences {
  int count, unnamed;
  size_t length;
  char list[LIST_MAX];
} differences;

/* Puts one difference on the list; what no longer fits goes to the log, so that all are named. */
static void __attribute__((format(printf, 2, 3))) differ(differences *d, const char *format, ...) {
  char text[PL_NAME_MAX + 2 * SHAPE_TEXT + 64];
  va_list args;
  va_start(args, format);
  int length = vsnprintf(text, sizeof text, format, args);
  va_end(args);
  d->count++;
  if (d->unnamed == 0 && d->length + (size_t)length + 3 < LIST_MAX) {
    d->length += (size_t)snprintf(d->list + d->length, LIST_MAX - d->length, "%s%s",
                                  d->length == 0 ? "" : "; ", text);
  } else {
    d->unnamed++;
    PL_WARN("checkpoint and model differ: %s", text);
  }
}

static const char *shape_text(int dims, const int64_t *dim, char out[SHAPE_TEXT]) {
  int length = snprintf(out, SHAPE_TEXT, "(");
  for (int i = 0; i < dims; i++) {
    length += snprintf(out + length, SHAPE_TEXT - (size_t)length, "%s%lld", i == 0 ? "" : ", ",
                       (long long)dim[i]);
  }
  snprintf(out + length, SHAPE_TEXT - (size_t)length, ")");
  return out;
}

static void compare_param(differences *d, const pl_manifest *manifest, const pl_param *param) {
  int found = pl_manifest_find_tensor(manifest, param->name);
  if (found < 0) {
    differ(d, "%s is missing in the checkpoint", param->name);
    return;
  }
  const pl_manifest_tensor *tensor = &manifest->tensor[found];
  size_t bytes = (size_t)param->dims * sizeof *param->dim;
  if (tensor->dims != param->dims || memcmp(tensor->dim, param->dim, bytes) != 0) {
    char theirs[SHAPE_TEXT], ours[SHAPE_TEXT];
    differ(d, "%s has shape %s in the checkpoint, %s in the model", param->name,
           shape_text(tensor->dims, tensor->dim, theirs),
           shape_text(param->dims, param->dim, ours));
  } else if (tensor->kind != param->kind) {
    differ(d, "%s is a %s in the checkpoint, a %s in the model", param->name,
           pl_manifest_kind_name(tensor->kind), pl_manifest_kind_name(param->kind));
  }
}

static void compare_buffer(differences *d, const pl_manifest *manifest, const pl_buffer *buffer) {
  int found = pl_manifest_find_buffer(manifest, buffer->name);
  if (found < 0) {
    differ(d, "%s is missing in the checkpoint", buffer->name);
  } else if (manifest->buffer[found].count != buffer->count) {
    differ(d, "%s has %lld elements in the checkpoint, %lld in the model", buffer->name,
           (long long)manifest->buffer[found].count, (long long)buffer->count);
  }
}

static bool space_has_buffer(const pl_space *space, const char *name) {
  for (int b = 0; b < pl_space_buffers(space); b++) {
    if (strcmp(pl_space_buffer(space, b)->name, name) == 0) return true;
  }
  return false;
}

pl_status pl_manifest_compare(const char *folder, const pl_manifest *manifest,
                              const pl_space *space) {
  differences d = {0};
  for (int p = 0; p < pl_space_params(space); p++) {
    compare_param(&d, manifest, pl_space_param(space, p));
  }
  for (int b = 0; b < pl_space_buffers(space); b++) {
    compare_buffer(&d, manifest, pl_space_buffer(space, b));
  }
  for (int t = 0; t < manifest->tensors; t++) {
    const char *name = manifest->tensor[t].name;
    if (pl_space_find(space, name) < 0) differ(&d, "%s is not in the model", name);
  }
  for (int b = 0; b < manifest->buffers; b++) {
    const char *name = manifest->buffer[b].name;
    if (!space_has_buffer(space, name)) differ(&d, "%s is not in the model", name);
  }
  if (d.count == 0) return PL_OK;
  char rest[64] = "";
  if (d.unnamed > 0) snprintf(rest, sizeof rest, "; and %d more, named in the log", d.unnamed);
  return PL_FAIL(PL_E_DATA, "checkpoint %s and the model differ in %d tensors: %s%s", folder,
                 d.count, d.list, rest);
}
