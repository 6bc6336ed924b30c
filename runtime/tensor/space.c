#include "runtime/tensor/space.h"

#include <stdbool.h>

#include "runtime/base/memory.h"

struct pl_space {
  pl_param *param;
  int params, param_room;
  pl_buffer *buffer;
  int buffers, buffer_room;
  pl_bucket *bucket;
  int buckets;
  int64_t blocks, trainable, buffer_elements;
  size_t image_bytes;
  bool sealed;
};

pl_status pl_space_create(pl_space **out) {
  pl_space *space = pl_alloc(1, sizeof *space);
  if (!space) return PL_E_INTERNAL;
  *out = space;
  return PL_OK;
}

void pl_space_destroy(pl_space **space) {
  if (!*space) return;
  pl_free((*space)->param);
  pl_free((*space)->buffer);
  pl_free((*space)->bucket);
  pl_free(*space);
  *space = NULL;
}

static int find_buffer(const pl_space *space, const char *name) {
  for (int i = 0; i < space->buffers; i++) {
    if (strcmp(space->buffer[i].name, name) == 0) return i;
  }
  return -1;
}

/* Whether a parameter or buffer of this name may be added now. */
static pl_status check_name(const pl_space *space, const char *name) {
  if (space->sealed) {
    return PL_FAIL(PL_E_INTERNAL, "\"%s\" can't be added: the parameter space is sealed", name);
  }
  if (strlen(name) >= PL_NAME_MAX) {
    return PL_FAIL(PL_E_INTERNAL, "the name \"%s\" has more than %d characters", name,
                   PL_NAME_MAX - 1);
  }
  if (pl_space_find(space, name) >= 0 || find_buffer(space, name) >= 0) {
    return PL_FAIL(PL_E_INTERNAL, "there are two tensors with the name \"%s\"", name);
  }
  return PL_OK;
}

/* Makes room for one more element in a growing array. */
static pl_status grow(void **array, int count, int *room, size_t size) {
  if (count < *room) return PL_OK;
  int more = *room ? *room * 2 : 64;
  void *larger = pl_alloc((size_t)more, size);
  if (!larger) return PL_E_INTERNAL;
  if (*array) memcpy(larger, *array, (size_t)count * size);
  pl_free(*array);
  *array = larger;
  *room = more;
  return PL_OK;
}

pl_status pl_space_add(pl_space *space, const char *name, pl_param_kind kind, int dims,
                       const int64_t *dim, pl_init init, int *index) {
  PL_TRY(check_name(space, name));
  if (dims < 1 || dims > PL_MAX_DIMS) {
    return PL_FAIL(PL_E_INTERNAL, "parameter \"%s\" has %d dimensions", name, dims);
  }
  PL_TRY(grow((void **)&space->param, space->params, &space->param_room, sizeof *space->param));
  pl_param *param = &space->param[space->params];
  *param = (pl_param){.kind = kind, .dims = dims, .count = 1, .init = init, .bucket = -1};
  memcpy(param->name, name, strlen(name) + 1);
  for (int i = 0; i < dims; i++) {
    if (dim[i] < 1 || param->count > INT64_MAX / PL_BLOCK / dim[i]) {
      return PL_FAIL(PL_E_INTERNAL, "parameter \"%s\": dimension %d is %lld", name, i,
                     (long long)dim[i]);
    }
    param->dim[i] = dim[i];
    param->count *= dim[i];
  }
  param->first_block = space->blocks;
  param->blocks = (param->count + PL_BLOCK - 1) / PL_BLOCK;
  space->blocks += param->blocks;
  space->trainable += param->count;
  *index = space->params++;
  return PL_OK;
}

pl_status pl_space_add_buffer(pl_space *space, const char *name, int64_t count, float initial,
                              int *index) {
  PL_TRY(check_name(space, name));
  if (count < 1) {
    return PL_FAIL(PL_E_INTERNAL, "buffer \"%s\" has %lld elements", name, (long long)count);
  }
  PL_TRY(grow((void **)&space->buffer, space->buffers, &space->buffer_room, sizeof *space->buffer));
  pl_buffer *buffer = &space->buffer[space->buffers];
  *buffer = (pl_buffer){.count = count, .offset = space->buffer_elements, .initial = initial};
  memcpy(buffer->name, name, strlen(name) + 1);
  space->buffer_elements += count;
  *index = space->buffers++;
  return PL_OK;
}

/* A bucket is closed before the parameter that would make it larger than `bucket_bytes`, so only a
 * parameter that is larger by itself makes a larger bucket. */
static void fill_buckets(pl_space *space, size_t bucket_bytes) {
  int64_t most = (int64_t)(bucket_bytes / (PL_BLOCK * sizeof(float)));
  for (int i = 0; i < space->params; i++) {
    pl_param *param = &space->param[i];
    pl_bucket *bucket = space->buckets ? &space->bucket[space->buckets - 1] : NULL;
    if (!bucket || bucket->blocks + param->blocks > most) {
      bucket = &space->bucket[space->buckets++];
      *bucket = (pl_bucket){.first_param = i, .first_block = param->first_block};
    }
    bucket->params++;
    bucket->blocks += param->blocks;
    param->bucket = space->buckets - 1;
  }
}

pl_status pl_space_seal(pl_space *space, pl_dtype compute_type, size_t bucket_bytes) {
  if (space->sealed) return PL_FAIL(PL_E_INTERNAL, "the parameter space is sealed already");
  if (compute_type != PL_F32 && compute_type != PL_BF16) {
    return PL_FAIL(PL_E_INTERNAL, "parameters can't have the type %s", pl_dtype_name(compute_type));
  }
  space->bucket = pl_alloc((size_t)space->params, sizeof *space->bucket);
  if (!space->bucket) return PL_E_INTERNAL;
  for (int i = 0; i < space->params; i++) {
    pl_param *param = &space->param[i];
    param->compute_type = param->kind == PL_PARAM_WEIGHT ? compute_type : PL_F32;
    param->image_offset = space->image_bytes;
    space->image_bytes += (size_t)param->blocks * PL_BLOCK * pl_dtype_bytes(param->compute_type);
  }
  fill_buckets(space, bucket_bytes);
  space->sealed = true;
  return PL_OK;
}

int pl_space_params(const pl_space *space) { return space->params; }

const pl_param *pl_space_param(const pl_space *space, int index) {
  PL_INVARIANT(index >= 0 && index < space->params);
  return &space->param[index];
}

int pl_space_find(const pl_space *space, const char *name) {
  for (int i = 0; i < space->params; i++) {
    if (strcmp(space->param[i].name, name) == 0) return i;
  }
  return -1;
}

int pl_space_buffers(const pl_space *space) { return space->buffers; }

const pl_buffer *pl_space_buffer(const pl_space *space, int index) {
  PL_INVARIANT(index >= 0 && index < space->buffers);
  return &space->buffer[index];
}

int pl_space_buckets(const pl_space *space) { return space->buckets; }

const pl_bucket *pl_space_bucket(const pl_space *space, int index) {
  PL_INVARIANT(index >= 0 && index < space->buckets);
  return &space->bucket[index];
}

int64_t pl_space_blocks(const pl_space *space) { return space->blocks; }
int64_t pl_space_elements(const pl_space *space) { return space->blocks * PL_BLOCK; }
int64_t pl_space_trainable(const pl_space *space) { return space->trainable; }
int64_t pl_space_buffer_elements(const pl_space *space) { return space->buffer_elements; }
size_t pl_space_image_bytes(const pl_space *space) { return space->image_bytes; }

int pl_space_block_param(const pl_space *space, int64_t block) {
  PL_INVARIANT(block >= 0 && block < space->blocks);
  int low = 0;
  int high = space->params - 1; /* the parameter lies in low … high */
  while (low < high) {
    int middle = low + (high - low + 1) / 2;
    if (space->param[middle].first_block <= block) {
      low = middle;
    } else {
      high = middle - 1;
    }
  }
  return low;
}

size_t pl_space_block_offset(const pl_space *space, int64_t block) {
  PL_INVARIANT(space->sealed);
  if (block == space->blocks) return space->image_bytes;
  const pl_param *param = &space->param[pl_space_block_param(space, block)];
  return param->image_offset +
         (size_t)(block - param->first_block) * PL_BLOCK * pl_dtype_bytes(param->compute_type);
}

void pl_space_init_buffers(const pl_space *space, float *buffers) {
  for (int i = 0; i < space->buffers; i++) {
    const pl_buffer *buffer = &space->buffer[i];
    for (int64_t j = 0; j < buffer->count; j++) buffers[buffer->offset + j] = buffer->initial;
  }
}
