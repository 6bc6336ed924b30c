/* Embedding: rows of the weight by token id, and the scatter of their gradients. */
#include <string.h>

#include "runtime/base/memory.h"
#include "runtime/cpu/element.h"
#include "runtime/cpu/kernel.h"

/* Channels of the gradient that one thread sums at a time: whole cache lines. */
enum { CHANNEL_BLOCK = 64 };

typedef struct embedding_kernel {
  pl_kernel head;
  const pl_space *space;
  int weight; /* parameter */
  int vocabulary, channels;
  int64_t positions; /* of all rows */
  pl_dtype type;
  const void *table; /* (vocabulary, channels) */
} embedding_kernel;

static const char *embedding_supports(const pl_kernel_spec *spec) {
  if (spec->in_type != PL_I32) return "an embedding reads token ids";
  if (pl_space_param(spec->space, spec->op->weight)->compute_type != spec->out_type)
    return "an embedding gives the type of its weight";
  return NULL;
}

static pl_status embedding_load(pl_kernel *kernel, const void *image, const float *buffers) {
  (void)buffers;
  embedding_kernel *k = (embedding_kernel *)kernel;
  k->table = pl_kernel_param(k->space, k->weight, image);
  return PL_OK;
}

static bool is_known(const embedding_kernel *k, int32_t id) {
  return id >= 0 && id < k->vocabulary;
}

static pl_status embedding_forward(pl_kernel *kernel, const pl_kernel_args *args) {
  embedding_kernel *k = (embedding_kernel *)kernel;
  const int32_t *ids = args->x;
  size_t bytes = (size_t)k->channels * pl_dtype_bytes(k->type);
#pragma omp parallel for schedule(static)
  for (int64_t p = 0; p < k->positions; p++) {
    char *y = (char *)args->y + p * bytes;
    if (is_known(k, ids[p]))
      memcpy(y, (const char *)k->table + ids[p] * bytes, bytes);
    else
      memset(y, 0, bytes);
  }
  return PL_OK;
}

/* Channels [first, first + width) of all tokens, in order of positions. */
PL_INLINE void scatter_block(pl_dtype type, const embedding_kernel *k, const pl_kernel_args *args,
                             int first, int width) {
  const int32_t *ids = args->x;
  for (int64_t p = 0; p < k->positions; p++) {
    if (!is_known(k, ids[p])) continue;
    float *restrict sum = args->dweight + (int64_t)ids[p] * k->channels + first;
    const void *dy = pl_at(type, args->dy, p * k->channels + first);
#pragma omp simd
    for (int c = 0; c < width; c++) sum[c] += pl_get(type, dy, c);
  }
}

/* Threads share the channels, not the tokens: a few tokens (padding, the end) make up most of a
 * batch. */
PL_INLINE void scatter(pl_dtype type, const embedding_kernel *k, const pl_kernel_args *args) {
#pragma omp parallel for schedule(static)
  for (int first = 0; first < k->channels; first += CHANNEL_BLOCK) {
    int left = k->channels - first;
    if (left >= CHANNEL_BLOCK)
      scatter_block(type, k, args, first, CHANNEL_BLOCK);
    else
      scatter_block(type, k, args, first, left);
  }
}

static pl_status embedding_backward(pl_kernel *kernel, const pl_kernel_args *args) {
  embedding_kernel *k = (embedding_kernel *)kernel;
#pragma omp parallel for schedule(static)
  for (int id = 0; id < k->vocabulary; id++)
    memset(args->dweight + (int64_t)id * k->channels, 0, (size_t)k->channels * sizeof(float));
  if (k->type == PL_BF16)
    scatter(PL_BF16, k, args);
  else
    scatter(PL_F32, k, args);
  return PL_OK;
}

static const pl_kernel_class embedding_class = {.destroy = pl_kernel_free,
                                                .load = embedding_load,
                                                .forward = embedding_forward,
                                                .backward = embedding_backward};

static pl_status embedding_prepare(const pl_kernel_spec *spec, pl_kernel **out,
                                   pl_kernel_needs *needs) {
  const pl_op *op = spec->op;
  embedding_kernel *k = pl_alloc(1, sizeof *k);
  if (!k) return PL_E_INTERNAL;
  *k = (embedding_kernel){
      .head = {&embedding_class},
      .space = spec->space,
      .weight = op->weight,
      .vocabulary = (int)pl_space_param(spec->space, op->weight)->dim[0],
      .channels = op->out_shape.channels,
      .positions = (int64_t)spec->rows * op->in_shape.height * op->in_shape.width,
      .type = spec->out_type};
  *needs = (pl_kernel_needs){.backward_reads_x = spec->training};
  *out = &k->head;
  return PL_OK;
}

const pl_kernel_maker pl_cpu_embedding = {embedding_supports, embedding_prepare};
