/* Safetensors files: a length, a JSON header of names with type, shape and place, and the bytes.
 * https://github.com/huggingface/safetensors describes the format. Tensors here are f32, f16 or
 * bf16 when read (converted to f32), f32 when written. */
#ifndef PL_STORE_SAFETENSORS_H
#define PL_STORE_SAFETENSORS_H

#include <stdint.h>

#include "runtime/base/status.h"

enum { PL_SAFETENSORS_DIMS = 8, PL_SAFETENSORS_NAME = 256 };

typedef struct pl_safetensor {
  char name[PL_SAFETENSORS_NAME];
  int dims;
  int64_t dim[PL_SAFETENSORS_DIMS];
  int64_t count;       /* product of dim */
  const float *values; /* writing: (count), the caller's */
} pl_safetensor;

/* Writes durably: temporary file, fsync, rename. `metadata` is pairs of key and value, NULL-ended,
 * and may be NULL. PL_E_IO. One process calls it. */
pl_status pl_safetensors_write(const char *path, const pl_safetensor *tensors, int count,
                               const char *const *metadata);

typedef struct pl_safetensors pl_safetensors;

/* Reads and checks the header against the file's size: every tensor within the file, none
 * overlapping, types known, names unique. PL_E_DATA names what is wrong. */
pl_status pl_safetensors_open(const char *path, pl_safetensors **out);
void pl_safetensors_close(pl_safetensors **file);

int pl_safetensors_count(const pl_safetensors *file);
const pl_safetensor *pl_safetensors_tensor(const pl_safetensors *file, int index); /* values NULL */
int pl_safetensors_find(const pl_safetensors *file, const char *name);             /* -1: none */

/* Reads one tensor into (count) floats. */
pl_status pl_safetensors_read(const pl_safetensors *file, int index, float *values);

#endif
