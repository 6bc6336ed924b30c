/* Inside of runtime/store: the manifest of a checkpoint, as text and in memory. */
#ifndef PL_STORE_MANIFEST_H
#define PL_STORE_MANIFEST_H

#include "runtime/store/checkpoint.h"

typedef struct pl_manifest_tensor {
  char name[PL_NAME_MAX];
  pl_param_kind kind;
  int dims;
  int64_t dim[PL_MAX_DIMS];
  int64_t first_block, blocks; /* in the order of the list, as in pl_space */
} pl_manifest_tensor;

typedef struct pl_manifest_buffer {
  char name[PL_NAME_MAX];
  int64_t count, offset; /* elements; offset in the order of the list */
} pl_manifest_buffer;

typedef struct pl_manifest {
  pl_checkpoint_manifest about; /* its texts are owned; part and shard are those below */
  pl_checkpoint_part_record *part;
  pl_checkpoint_shard *shard;               /* names are owned */
  pl_checkpoint_vectors sliced, replicated; /* names are owned; no values */
  int tensors, buffers;
  pl_manifest_tensor *tensor;
  pl_manifest_buffer *buffer;
  int64_t blocks, buffer_elements; /* sums over the lists */
} pl_manifest;

/* "part-00003.h5" */
enum { PL_PART_NAME = 32 };
void pl_manifest_part_name(int part, char out[PL_PART_NAME]);

/* "weight", "bias", "gain" */
const char *pl_manifest_kind_name(pl_param_kind kind);

/* Whether a vector may have this name: letters, digits, '_', '-' and, not in front, '.', so that it
 * needs no care as the name of a dataset. */
bool pl_manifest_is_vector_name(const char *name);

/* Reads a manifest, which may come from anywhere; `name` is for messages. PL_E_DATA tells line and
 * key of what is wrong, and of an older or newer format that it is. */
pl_status pl_manifest_parse(const char *name, const char *text, size_t size, pl_manifest **out);
void pl_manifest_destroy(pl_manifest **manifest);

/* The text of a manifest; the caller frees it with free(). */
pl_status pl_manifest_write(const pl_space *space, const pl_checkpoint_vectors *vectors,
                            const pl_checkpoint_vectors *replicated,
                            const pl_checkpoint_manifest *manifest, char **text);

/* PL_E_DATA, naming every tensor that is missing, extra or of another shape or kind, unless the
 * manifest (of `folder`) and the space hold the same tensors, in any order. */
pl_status pl_manifest_compare(const char *folder, const pl_manifest *manifest,
                              const pl_space *space);

/* Indices by name; -1 when there is none. */
int pl_manifest_find_vector(const pl_checkpoint_vectors *vectors, const char *name);
int pl_manifest_find_tensor(const pl_manifest *manifest, const char *name);
int pl_manifest_find_buffer(const pl_manifest *manifest, const char *name);

#endif
