/* Dropout: element i of a leaf is kept where the i-th number of its stream (runtime/base/random.h)
 * is high enough, so backward makes the mask again and threads start anywhere in it. */
#include <math.h>

#include "runtime/base/memory.h"
#include "runtime/base/random.h"
#include "runtime/cpu/element.h"
#include "runtime/cpu/kernel.h"

/* Counters whose numbers are made together in vector code, and the elements they are for: four to a
 * counter. */
enum { COUNTERS = 64, PIECE = 4 * COUNTERS, ROUNDS = 10 };

typedef struct dropout_kernel {
  pl_kernel head;
  int number;
  uint32_t threshold; /* numbers below it drop */
  float scale;
  pl_dtype type;
  int64_t elements;
} dropout_kernel;

static const char *dropout_supports(const pl_kernel_spec *spec) {
  if (!spec->training) return "dropout is for training";
  return pl_kernel_same_type(spec);
}

/* numbers[0..PIECE): those of the stream from 4 * counter on. Philox4x32-10 as Random123 has it,
 * over many counters at once. */
static void make_numbers(const pl_random *stream, uint64_t counter, uint32_t *restrict numbers) {
  const uint64_t multiplier[2] = {0xD2511F53, 0xCD9E8D57};
  const uint32_t step[2] = {0x9E3779B9, 0xBB67AE85};
#pragma omp simd
  for (int i = 0; i < COUNTERS; i++) {
    uint32_t a = (uint32_t)(counter + i), b = (uint32_t)((counter + i) >> 32);
    uint32_t c = stream->counter[2], d = stream->counter[3];
    uint32_t key[2] = {stream->key[0], stream->key[1]};
#pragma GCC unroll 10
    for (int round = 0; round < ROUNDS; round++) {
      uint64_t first = multiplier[0] * a, second = multiplier[1] * c;
      a = (uint32_t)(second >> 32) ^ b ^ key[0];
      c = (uint32_t)(first >> 32) ^ d ^ key[1];
      b = (uint32_t)second;
      d = (uint32_t)first;
      key[0] += step[0];
      key[1] += step[1];
    }
    numbers[4 * i] = a;
    numbers[4 * i + 1] = b;
    numbers[4 * i + 2] = c;
    numbers[4 * i + 3] = d;
  }
}

/* From x to y, and by the same mask from dy to dx. */
PL_INLINE void drop(pl_dtype type, const dropout_kernel *k, const pl_kernel_args *args,
                    const void *from, void *to) {
  pl_random stream = pl_random_stream(args->seed, PL_RANDOM_DROPOUT, args->draw_step,
                                      args->draw_leaf, (uint32_t)k->number);
#pragma omp parallel for schedule(static)
  for (int64_t first = 0; first < k->elements; first += PIECE) {
    uint32_t number[PIECE];
    make_numbers(&stream, (uint64_t)first / 4, number);
    int64_t n = k->elements - first < PIECE ? k->elements - first : PIECE;
    const void *x = pl_at(type, from, first);
    void *y = pl_at(type, to, first);
#pragma omp simd
    for (int64_t i = 0; i < n; i++)
      pl_put(type, y, i, number[i] < k->threshold ? 0 : pl_get(type, x, i) * k->scale);
  }
}

static void run(const dropout_kernel *k, const pl_kernel_args *args, const void *from, void *to) {
  if (k->type == PL_BF16)
    drop(PL_BF16, k, args, from, to);
  else
    drop(PL_F32, k, args, from, to);
}

static pl_status dropout_forward(pl_kernel *kernel, const pl_kernel_args *args) {
  run((dropout_kernel *)kernel, args, args->x, args->y);
  return PL_OK;
}

static pl_status dropout_backward(pl_kernel *kernel, const pl_kernel_args *args) {
  if (args->dx) run((dropout_kernel *)kernel, args, args->dy, args->dx);
  return PL_OK;
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
                        .elements = spec->rows * pl_shape_elements(spec->op->in_shape)};
  *needs = (pl_kernel_needs){.forward_flops = (double)k->elements,
                             .backward_flops = (double)k->elements};
  *out = &k->head;
  return PL_OK;
}

const pl_kernel_maker pl_cpu_dropout = {dropout_supports, dropout_prepare};
