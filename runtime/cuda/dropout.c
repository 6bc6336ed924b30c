/* Dropout: element i of a leaf is kept where the i-th number of its stream (runtime/base/random.h)
 * is high enough, so backward makes the mask again, and it is the processor's. */
#include <math.h>

#include "runtime/base/memory.h"
#include "runtime/base/random.h"
#include "runtime/cuda/kernel.h"
#include "runtime/cuda/launch.h"

typedef struct dropout_kernel {
  pl_kernel head;
  int number;
  uint32_t threshold; /* numbers below it drop */
  float scale;
  pl_dtype type;
  size_t elements;
} dropout_kernel;

static const char *dropout_supports(const pl_kernel_spec *spec) {
  if (!spec->training) return "dropout is for training";
  return pl_kernel_same_type(spec);
}

/* From x to y, and by the same mask from dy to dx. */
static pl_status drop(const dropout_kernel *k, const pl_kernel_args *args, const void *from,
                      void *to) {
  pl_random stream = pl_random_stream(args->seed, PL_RANDOM_DROPOUT, args->draw_step,
                                      args->draw_leaf, (uint32_t)k->number);
  pl_cuda_dropout_mask mask = {.key = {stream.key[0], stream.key[1]},
                               .counter = {0, 0, stream.counter[2], stream.counter[3]},
                               .threshold = k->threshold,
                               .scale = k->scale};
  pl_launch_dropout(pl_cuda_stream(), k->type, &mask, from, to, k->elements);
  return pl_cuda_check("dropout", cudaGetLastError());
}

static pl_status dropout_forward(pl_kernel *kernel, const pl_kernel_args *args) {
  return drop((dropout_kernel *)kernel, args, args->x, args->y);
}

static pl_status dropout_backward(pl_kernel *kernel, const pl_kernel_args *args) {
  if (!args->dx) return PL_OK;
  return drop((dropout_kernel *)kernel, args, args->dy, args->dx);
}

static const pl_kernel_class dropout_class = {.destroy = pl_kernel_free,
                                              .load = pl_kernel_load_nothing,
                                              .forward = dropout_forward,
                                              .backward = dropout_backward};

static pl_status dropout_prepare(const pl_kernel_spec *spec, pl_kernel **out,
                                 pl_kernel_needs *needs) {
  dropout_kernel *k = pl_alloc(1, sizeof *k);
  if (!k) return PL_E_INTERNAL;
  double rate = (double)spec->op->rate;
  *k = (dropout_kernel){.head = {&dropout_class},
                        .number = spec->op->number,
                        .threshold = (uint32_t)ceil(rate * 0x1p32),
                        .scale = (float)(1 / (1 - rate)),
                        .type = spec->in_type,
                        .elements = (size_t)spec->rows * pl_shape_elements(spec->op->in_shape)};
  *needs = (pl_kernel_needs){0};
  *out = &k->head;
  return PL_OK;
}

const pl_kernel_maker pl_cuda_dropout = {dropout_supports, dropout_prepare};
