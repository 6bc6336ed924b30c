/* The flat parameter space: all trainable parameters of a run as named views into one vector, and
 * the small tensors beside them that are state but not trained (running statistics).
 *
 * The vector is made of blocks of PL_BLOCK elements. A parameter starts at a block boundary and is
 * padded with zeros to the next, so a block belongs to one parameter. Blocks are grouped into
 * buckets of whole consecutive parameters: what is reduced together. Each bucket is cut over the
 * ranks at block boundaries; the pieces that rank r owns, bucket after bucket, are its slice. Sums
 * over a parameter (norms, hashes) add its blocks' sums in block order, so no cut changes a bit.
 *
 * Two images of the vector exist: the master (f32, in slices), and the compute image that kernels
 * read, in which weights of matrix products have the compute type (f32 or bf16) and biases and
 * gains stay f32. */
#ifndef PL_TENSOR_SPACE_H
#define PL_TENSOR_SPACE_H

#include <stddef.h>
#include <stdint.h>

#include "runtime/base/status.h"
#include "runtime/tensor/dtype.h"

enum { PL_BLOCK = 1024, PL_MAX_DIMS = 4, PL_NAME_MAX = 128 };

/* What a parameter is, which decides its compute type and how optimizers treat it: weight decay and
 * layer-wise rates apply to weights only. */
typedef enum pl_param_kind { PL_PARAM_WEIGHT, PL_PARAM_BIAS, PL_PARAM_GAIN } pl_param_kind;

typedef enum pl_init_kind {
  PL_INIT_CONSTANT, /* every element = scale */
  PL_INIT_NORMAL,   /* mean 0, standard deviation = scale */
  PL_INIT_UNIFORM   /* in [-scale, scale) */
} pl_init_kind;

typedef struct pl_init {
  pl_init_kind kind;
  float scale;
} pl_init;

typedef struct pl_param {
  char name[PL_NAME_MAX];
  pl_param_kind kind;
  int dims;
  int64_t dim[PL_MAX_DIMS]; /* row-major; convolution weights (out, in, kernel h, kernel w) */
  int64_t count;            /* product of dim */
  int64_t first_block, blocks;
  pl_dtype compute_type; /* set by pl_space_seal */
  size_t image_offset;   /* bytes from the start of the compute image; set by pl_space_seal */
  int bucket;            /* set by pl_space_seal */
  pl_init init;
} pl_param;

/* A replicated tensor of state that is not trained. */
typedef struct pl_buffer {
  char name[PL_NAME_MAX];
  int64_t count;
  int64_t offset; /* elements from the start of the buffer vector */
  float initial;
} pl_buffer;

typedef struct pl_bucket {
  int first_param, params;
  int64_t first_block, blocks;
} pl_bucket;

typedef struct pl_space pl_space;

pl_status pl_space_create(pl_space **out);
void pl_space_destroy(pl_space **space);

/* Adds a parameter of shape dim[0..dims) and gives its index. PL_E_INTERNAL when the name is taken
 * or too long, or the space is sealed. */
pl_status pl_space_add(pl_space *space, const char *name, pl_param_kind kind, int dims,
                       const int64_t *dim, pl_init init, int *index);

/* Adds a buffer of `count` f32 elements, all `initial` at the start. */
pl_status pl_space_add_buffer(pl_space *space, const char *name, int64_t count, float initial,
                              int *index);

/* Ends building: fixes compute types, image offsets and buckets of about `bucket_bytes` f32 bytes.
 */
pl_status pl_space_seal(pl_space *space, pl_dtype compute_type, size_t bucket_bytes);

int pl_space_params(const pl_space *space);
const pl_param *pl_space_param(const pl_space *space, int index);
int pl_space_find(const pl_space *space, const char *name); /* -1 when there is none */
int pl_space_buffers(const pl_space *space);
const pl_buffer *pl_space_buffer(const pl_space *space, int index);
int pl_space_buckets(const pl_space *space);
const pl_bucket *pl_space_bucket(const pl_space *space, int index);

int64_t pl_space_blocks(const pl_space *space);          /* of the whole vector */
int64_t pl_space_elements(const pl_space *space);        /* blocks * PL_BLOCK, with padding */
int64_t pl_space_trainable(const pl_space *space);       /* without padding */
int64_t pl_space_buffer_elements(const pl_space *space); /* of the buffer vector */
size_t pl_space_image_bytes(const pl_space *space);

/* Byte range of a block in the compute image; the range of blocks [a, b) is contiguous. */
size_t pl_space_block_offset(const pl_space *space, int64_t block); /* block may equal blocks */
int pl_space_block_param(const pl_space *space, int64_t block);

/* The part of bucket `bucket` that rank `rank` of `ranks` owns. `count` may be 0. */
void pl_space_bucket_part(const pl_space *space, int bucket, int ranks, int rank,
                          int64_t *first_block, int64_t *count);

/* One rank's slice: its pieces of the buckets, stored one after another in bucket order. */
typedef struct pl_slice {
  int ranks, rank;
  int64_t blocks;         /* blocks of all pieces */
  int64_t *bucket_offset; /* (buckets + 1): where each bucket's piece starts, in slice blocks */
  int64_t *block;         /* (blocks): the block of the whole vector that each slice block is */
} pl_slice;

pl_status pl_slice_create(const pl_space *space, int ranks, int rank, pl_slice **out);
void pl_slice_destroy(pl_slice **slice);

/* Fills the slice's master values (slice->blocks * PL_BLOCK floats) with initial parameters: a pure
 * function of (seed, parameter index, block), whoever owns it. */
void pl_slice_init_params(const pl_space *space, const pl_slice *slice, uint64_t seed,
                          float *master);

/* Fills the buffer vector (pl_space_buffer_elements floats) with initial values. */
void pl_space_init_buffers(const pl_space *space, float *buffers);

#endif
