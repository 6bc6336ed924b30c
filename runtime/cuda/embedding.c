/* Embedding: rows of the weight by token id, and the scatter of their gradients. */
#include "runtime/base/memory.h"
#include "runtime/cuda/kernel.h"
#include "runtime/cuda/launch.h"

typedef struct embedding_kernel {
  pl_kernel head;
  const pl_space *space;
  int weight; /* parameter */
  pl_cuda_embedding_shape shape;
  const void *table; /* (vocabulary, channels) in the image */
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

static pl_status embedding_forward(pl_kernel *kernel, const pl_kernel_args *args) {
  embedding_kernel *k = (embedding_kernel *)kernel;
  pl_launch_embedding(pl_cuda_stream(), &k->shape, args->x, k->table, args->y);
  return pl_cuda_check("embedding", cudaGetLastError());
}

static pl_status embedding_backward(pl_kernel *kernel, const pl_kernel_args *args) {
  embedding_kernel *k = (embedding_kernel *)kernel;
  size_t bytes = k->shape.vocabulary * k->shape.channels * sizeof(float);
  PL_TRY(pl_cuda_check("clearing an embedding's gradient",
                       cudaMemsetAsync(args->dweight, 0, bytes, pl_cuda_stream())));
  pl_launch_embedding_gradient(pl_cuda_stream(), &k->shape, args->x, args->dy, args->scratch,
                               args->dweight);
  return pl_cuda_check("an embedding's gradient", cudaGetLastError());
}

static const pl_kernel_class embedding_class = {.destroy = pl_kernel_free,
                                                .load = embedding_load,
                                                .forward = embedding_forward,
                                                .backward = embedding_backward};

static void fill_needs(const embedding_kernel *k, bool training, pl_kernel_needs *needs) {
  *needs = (pl_kernel_needs){0};
  if (!training) return;
  needs->backward_reads_x = true;
  needs->scratch_bytes = pl_launch_embedding_scratch(&k->shape);
}

static pl_status embedding_prepare(const pl_kernel_spec *spec, pl_kernel **out,
                                   pl_kernel_needs *needs) {
  const pl_op *op = spec->op;
  embedding_kernel *k = pl_alloc(1, sizeof *k);
  if (!k) return PL_E_INTERNAL;
  *k = (embedding_kernel){
      .head = {&embedding_class},
      .space = spec->space,
      .weight = op->weight,
      .shape = {.type = spec->out_type,
                .positions = (size_t)spec->rows * op->in_shape.height * op->in_shape.width,
                .vocabulary = (size_t)pl_space_param(spec->space, op->weight)->dim[0],
                .channels = op->out_shape.channels}};
  fill_needs(k, spec->training, needs);
  *out = &k->head;
  return PL_OK;
}

const pl_kernel_maker pl_cuda_embedding = {embedding_supports, embedding_prepare};
