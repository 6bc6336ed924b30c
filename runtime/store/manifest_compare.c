/* In which tensors a checkpoint and a parameter space differ. */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "runtime/base/file.h"
#include "runtime/store/differences.h"
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

static void compare_param(pl_differences *d, const pl_manifest *manifest, const pl_param *param) {
  int found = pl_manifest_find_tensor(manifest, param->name);
  if (found < 0) {
    pl_differ(d, "%s is missing in the checkpoint", param->name);
    return;
  }
  const pl_manifest_tensor *tensor = &manifest->tensor[found];
  size_t bytes = (size_t)param->dims * sizeof *param->dim;
  if (tensor->dims != param->dims || memcmp(tensor->dim, param->dim, bytes) != 0) {
    pl_differ_in_shape(d, param->name, tensor->dims, tensor->dim, param->dims, param->dim);
  } else if (tensor->kind != param->kind) {
    pl_differ(d, "%s is a %s in the checkpoint, a %s in the model", param->name,
              pl_manifest_kind_name(tensor->kind), pl_manifest_kind_name(param->kind));
  }
}

static void compare_buffer(pl_differences *d, const pl_manifest *manifest,
                           const pl_buffer *buffer) {
  int found = pl_manifest_find_buffer(manifest, buffer->name);
  if (found < 0) {
    pl_differ(d, "%s is missing in the checkpoint", buffer->name);
  } else if (manifest->buffer[found].count != buffer->count) {
    pl_differ(d, "%s has %lld elements in the checkpoint, %lld in the model", buffer->name,
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
  char subject[PL_PATH_MAX + 16];
  snprintf(subject, sizeof subject, "checkpoint %s", folder);
  pl_differences d = {.subject = subject, .place = "checkpoint"};
  for (int p = 0; p < pl_space_params(space); p++) {
    compare_param(&d, manifest, pl_space_param(space, p));
  }
  for (int b = 0; b < pl_space_buffers(space); b++) {
    compare_buffer(&d, manifest, pl_space_buffer(space, b));
  }
  for (int t = 0; t < manifest->tensors; t++) {
    const char *name = manifest->tensor[t].name;
    if (pl_space_find(space, name) < 0) pl_differ(&d, "%s is not in the model", name);
  }
  for (int b = 0; b < manifest->buffers; b++) {
    const char *name = manifest->buffer[b].name;
    if (!space_has_buffer(space, name)) pl_differ(&d, "%s is not in the model", name);
  }
  return pl_differences_judge(&d);
}
