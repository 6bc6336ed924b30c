#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base/file.h"
#include "runtime/base/memory.h"
#include "runtime/store/checkpoint.h"
#include "runtime/store/manifest.h"
#include "runtime/store/part.h"

enum { MANIFEST_LIMIT = 64 << 20 }; /* bytes */

struct pl_checkpoint {
  char folder[PL_PATH_MAX];
  pl_manifest *manifest;
};

static pl_status part_path(const pl_checkpoint *checkpoint, int part, char *out) {
  char name[PL_PART_NAME];
  pl_manifest_part_name(part, name);
  return pl_path_join(checkpoint->folder, name, out);
}

static pl_status measure(const char *path, pl_checkpoint_part_record *record) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    return PL_FAIL(errno == ENOENT ? PL_E_DATA : PL_E_IO, "cannot open %s: %s", path,
                   strerror(errno));
  }
  pl_status status = pl_part_measure(fd, path, record);
  close(fd);
  return status;
}

static pl_status verify_part(const pl_checkpoint *checkpoint, int part) {
  char path[PL_PATH_MAX];
  const pl_checkpoint_part_record *expected = &checkpoint->manifest->part[part];
  pl_checkpoint_part_record found;
  PL_TRY(part_path(checkpoint, part, path));
  PL_TRY(measure(path, &found));
  if (found.bytes != expected->bytes) {
    return PL_FAIL(PL_E_DATA, "%s has %lld bytes; the manifest says %lld", path,
                   (long long)found.bytes, (long long)expected->bytes);
  }
  if (strcmp(found.hash, expected->hash) != 0) {
    return PL_FAIL(PL_E_DATA, "%s is damaged: its hash is %s, the manifest says %s", path,
                   found.hash, expected->hash);
  }
  return PL_OK;
}

pl_status pl_checkpoint_verify(const pl_checkpoint *checkpoint, int first, int stride) {
  for (int p = first; p < checkpoint->manifest->about.parts; p += stride) {
    PL_TRY(verify_part(checkpoint, p));
  }
  return PL_OK;
}

static pl_status read_manifest(pl_checkpoint *checkpoint) {
  char path[PL_PATH_MAX];
  char *text = NULL;
  size_t size;
  PL_TRY(pl_path_join(checkpoint->folder, "manifest.yaml", path));
  PL_TRY(pl_read_file(path, MANIFEST_LIMIT, &text, &size));
  pl_status status = pl_manifest_parse(path, text, size, &checkpoint->manifest);
  pl_free(text);
  return status;
}

pl_status pl_checkpoint_open(const char *folder, pl_checkpoint **out) {
  pl_status status;
  *out = NULL;
  pl_checkpoint *checkpoint = pl_alloc(1, sizeof *checkpoint);
  if (!checkpoint) return PL_E_INTERNAL;
  snprintf(checkpoint->folder, sizeof checkpoint->folder, "%s", folder);
  PL_TRY_OR(done, status, read_manifest(checkpoint));
  *out = checkpoint;
  checkpoint = NULL;
done:
  pl_checkpoint_close(&checkpoint);
  return status;
}

void pl_checkpoint_close(pl_checkpoint **checkpoint) {
  if (!*checkpoint) return;
  pl_manifest_destroy(&(*checkpoint)->manifest);
  pl_free(*checkpoint);
  *checkpoint = NULL;
}

const char *pl_checkpoint_folder(const pl_checkpoint *checkpoint) { return checkpoint->folder; }

const pl_checkpoint_manifest *pl_checkpoint_get_manifest(const pl_checkpoint *checkpoint) {
  return &checkpoint->manifest->about;
}

const pl_checkpoint_vectors *pl_checkpoint_sliced(const pl_checkpoint *checkpoint) {
  return &checkpoint->manifest->sliced;
}

const pl_checkpoint_vectors *pl_checkpoint_replicated(const pl_checkpoint *checkpoint) {
  return &checkpoint->manifest->replicated;
}

bool pl_checkpoint_get_tensor(const pl_checkpoint *checkpoint, int index,
                              pl_checkpoint_tensor *out) {
  const pl_manifest *manifest = checkpoint->manifest;
  if (index < manifest->tensors) {
    const pl_manifest_tensor *tensor = &manifest->tensor[index];
    *out = (pl_checkpoint_tensor){.name = tensor->name,
                                  .kind = pl_manifest_kind_name(tensor->kind),
                                  .dims = tensor->dims,
                                  .dim = tensor->dim};
    return true;
  }
  index -= manifest->tensors;
  if (index >= manifest->buffers) return false;
  const pl_manifest_buffer *buffer = &manifest->buffer[index];
  *out = (pl_checkpoint_tensor){
      .name = buffer->name, .kind = "buffer", .dims = 1, .dim = &buffer->count};
  return true;
}

static pl_status check_vectors(const pl_checkpoint *checkpoint, const pl_checkpoint_vectors *held,
                               const pl_checkpoint_vectors *wanted) {
  for (int v = 0; v < wanted->count; v++) {
    if (pl_manifest_find_vector(held, wanted->name[v]) < 0) {
      return PL_FAIL(PL_E_DATA,
                     "checkpoint %s holds no \"%s\"; was it written with other settings?",
                     checkpoint->folder, wanted->name[v]);
    }
  }
  return PL_OK;
}

/* What of the slice is still to be read: for each block of the checkpoint's vector, one more than
 * the slice block that it becomes, or 0. */
typedef struct wanted {
  int64_t *place;
  int64_t left;
} wanted;

static pl_status find_wanted(const pl_manifest *manifest, const pl_space *space,
                             const pl_slice *slice, wanted *want) {
  want->place = pl_alloc((size_t)manifest->blocks, sizeof *want->place);
  if (!want->place) return PL_E_INTERNAL;
  const pl_param *param = NULL;
  int64_t shift = 0; /* from a block of the space to that of the checkpoint */
  for (int64_t b = 0; b < slice->blocks; b++) {
    int64_t number = slice->block[b];
    const pl_param *own = pl_space_param(space, pl_space_block_param(space, number));
    if (own != param) {
      param = own;
      int tensor = pl_manifest_find_tensor(manifest, param->name);
      shift = manifest->tensor[tensor].first_block - param->first_block;
    }
    want->place[number + shift] = b + 1;
  }
  want->left = slice->blocks;
  return PL_OK;
}

/* The runs of wanted blocks in a part; they are no longer wanted then. `runs` has room for as many
 * as the part has blocks. */
static pl_status take_runs(const pl_part *part, const pl_manifest *manifest, const char *folder,
                           wanted *want, pl_part_run *runs, int64_t *count) {
  *count = 0;
  const int64_t *block = pl_part_block(part);
  for (int64_t row = 0; row < pl_part_blocks(part); row++) {
    if (block[row] < 0 || block[row] >= manifest->blocks) {
      return PL_FAIL(PL_E_DATA, "a part of %s holds block %lld of a vector of %lld blocks", folder,
                     (long long)block[row], (long long)manifest->blocks);
    }
    int64_t to = want->place[block[row]] - 1;
    if (to < 0) continue;
    want->place[block[row]] = 0;
    want->left--;
    pl_part_run *last = *count > 0 ? &runs[*count - 1] : NULL;
    if (last && last->row + last->count == row && last->to + last->count == to) {
      last->count++;
    } else {
      runs[(*count)++] = (pl_part_run){.row = row, .to = to, .count = 1};
    }
  }
  return PL_OK;
}

static pl_status read_part(const pl_checkpoint *checkpoint, int number, wanted *want,
                           const pl_checkpoint_vectors *vectors) {
  pl_status status;
  char path[PL_PATH_MAX];
  pl_part *part = NULL;
  pl_part_run *runs = NULL;
  int64_t count;
  PL_TRY_OR(done, status, part_path(checkpoint, number, path));
  PL_TRY_OR(done, status, pl_part_open(path, &part));
  runs = pl_alloc((size_t)pl_part_blocks(part), sizeof *runs);
  if (!runs) {
    status = PL_E_INTERNAL;
    goto done;
  }
  PL_TRY_OR(done, status,
            take_runs(part, checkpoint->manifest, checkpoint->folder, want, runs, &count));
  for (int v = 0; v < vectors->count && count > 0; v++) {
    PL_TRY_OR(done, status,
              pl_part_read_vector(part, vectors->name[v], runs, count, vectors->values[v]));
  }
done:
  pl_free(runs);
  pl_part_close(&part);
  return status;
}

static pl_status read_slice(const pl_checkpoint *checkpoint, const pl_space *space,
                            const pl_slice *slice, const pl_checkpoint_vectors *vectors) {
  pl_status status;
  wanted want = {0};
  PL_TRY_OR(done, status, find_wanted(checkpoint->manifest, space, slice, &want));
  for (int p = 0; p < checkpoint->manifest->about.parts && want.left > 0; p++) {
    PL_TRY_OR(done, status, read_part(checkpoint, p, &want, vectors));
  }
  if (want.left > 0) {
    status = PL_FAIL(PL_E_DATA, "no part of %s holds %lld of the %lld blocks to be read",
                     checkpoint->folder, (long long)want.left, (long long)slice->blocks);
  }
done:
  pl_free(want.place);
  return status;
}

/* Buffers are found by name as well; `stored` has room for the checkpoint's. */
static pl_status read_replicated(const pl_part *part, const pl_manifest *manifest,
                                 const pl_space *space, const char *name, float *stored,
                                 float *values) {
  PL_TRY(pl_part_read_replicated(part, name, manifest->buffer_elements, stored));
  for (int b = 0; b < pl_space_buffers(space); b++) {
    const pl_buffer *buffer = pl_space_buffer(space, b);
    int found = pl_manifest_find_buffer(manifest, buffer->name);
    memcpy(values + buffer->offset, stored + manifest->buffer[found].offset,
           (size_t)buffer->count * sizeof *values);
  }
  return PL_OK;
}

static pl_status read_all_replicated(const pl_checkpoint *checkpoint, const pl_space *space,
                                     const pl_checkpoint_vectors *replicated) {
  pl_status status;
  const pl_manifest *manifest = checkpoint->manifest;
  char path[PL_PATH_MAX];
  pl_part *part = NULL;
  float *stored = pl_alloc((size_t)manifest->buffer_elements, sizeof *stored);
  if (!stored) return PL_E_INTERNAL;
  PL_TRY_OR(done, status, part_path(checkpoint, 0, path));
  PL_TRY_OR(done, status, pl_part_open(path, &part));
  for (int v = 0; v < replicated->count; v++) {
    PL_TRY_OR(
        done, status,
        read_replicated(part, manifest, space, replicated->name[v], stored, replicated->values[v]));
  }
done:
  pl_part_close(&part);
  pl_free(stored);
  return status;
}

pl_status pl_checkpoint_read(const pl_checkpoint *checkpoint, const pl_space *space,
                             const pl_slice *slice, const pl_checkpoint_vectors *vectors,
                             const pl_checkpoint_vectors *replicated) {
  const pl_manifest *manifest = checkpoint->manifest;
  PL_TRY(pl_manifest_compare(checkpoint->folder, manifest, space));
  PL_TRY(check_vectors(checkpoint, &manifest->sliced, vectors));
  PL_TRY(check_vectors(checkpoint, &manifest->replicated, replicated));
  PL_TRY(read_slice(checkpoint, space, slice, vectors));
  return replicated->count > 0 ? read_all_replicated(checkpoint, space, replicated) : PL_OK;
}
