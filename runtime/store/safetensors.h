/* Safetensors files: a length, a JSON header of names with type, shape and place, and the bytes.
 * https://github.com/huggingface/safetensors describes the format. Tensors here are f32, f16 or
 * bf16 when read (converted to f32), f32 or int64 when written. */
#ifndef PL_STORE_SAFETENSORS_H
#define PL_STORE_SAFETENSORS_H

#include <stdint.h>

#include "runtime/base/status.h"

enum { PL_SAFETENSORS_DIMS = 8, PL_SAFETENSORS_NAME = 256 };

/* Types that a file may hold. The others are listed, so that a file that has some of them beside
 * what is wanted can be opened, but not read. */
typedef enum pl_safetensors_type {
  PL_SAFETENSORS_F32,
  PL_SAFETENSORS_F16,
  PL_SAFETENSORS_BF16,
  PL_SAFETENSORS_I64,
  PL_SAFETENSORS_OTHER
} pl_safetensors_type;

typedef struct pl_safetensor {
  char name[PL_SAFETENSORS_NAME]; /* UTF-8 */
  pl_safetensors_type type;
  int dims; /* 0: a single number */
  int64_t dim[PL_SAFETENSORS_DIMS];
  int64_t count;      /* product of dim */
  const void *values; /* writing: (count) float or int64_t, the caller's */
} pl_safetensor;

/* Writes the tensors in the order given, durably: temporary file, fsync, rename. Those of larger
 * types come first, or readers that map the file find numbers at odd addresses. `metadata` is pairs
 * of key and value, NULL-ended, and may be NULL. PL_E_IO; a file that was there is then whole. One
 * process calls it. */
pl_status pl_safetensors_write(const char *path, const pl_safetensor *tensors, int count,
                               const char *const *metadata);

typedef struct pl_safetensors pl_safetensors;

/* Reads and checks the header against the file's size: every byte of the file belongs to one
 * tensor, types are known, names unique. PL_E_DATA names what is wrong. */
pl_status pl_safetensors_open(const char *path, pl_safetensors **out);
void pl_safetensors_close(pl_safetensors **file);

/* Tensors have numbers in the order in which the header names them. */
int pl_safetensors_count(const pl_safetensors *file);
const pl_safetensor *pl_safetensors_tensor(const pl_safetensors *file, int index); /* values NULL */
int pl_safetensors_find(const pl_safetensors *file, const char *name);             /* -1: none */

/* Reads one tensor into (count) floats; f16 and bf16 are converted exactly. PL_E_DATA for another
 * type. */
pl_status pl_safetensors_read(const pl_safetensors *file, int index, float *values);

#endif
