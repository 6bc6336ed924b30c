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
 * round by round over many counters, which compilers turn into vector code. */
static void make_numbers(const pl_random *stream, uint64_t counter, uint32_t *restrict numbers) {
  uint32_t a[COUNTERS], b[COUNTERS], c[COUNTERS], d[COUNTERS];
  uint32_t key[2] = {stream->key[0], stream->key[1]};
  for (int i = 0; i < COUNTERS; i++) {
    a[i] = (uint32_t)(counter + (uint64_t)i);
    b[i] = (uint32_t)((counter + (uint64_t)i) >> 32);
    c[i] = stream->counter[2];
    d[i] = stream->counter[3];
  }
  for (int round = 0; round < ROUNDS; round++) {
    for (int i = 0; i < COUNTERS; i++) {
      uint64_t first = (uint64_t)0xD2511F53 * a[i], second = (uint64_t)0xCD9E8D57 * c[i];
      a[i] = (uint32_t)(second >> 32) ^ b[i] ^ key[0];
      b[i] = (uint32_t)second;
      c[i] = (uint32_t)(first >> 32) ^ d[i] ^ key[1];
      d[i] = (uint32_t)first;
    }
    key[0] += 0x9E3779B9;
    key[1] += 0xBB67AE85;
  }
  for (int i = 0; i < COUNTERS; i++) {
    numbers[4 * i] = a[i];
    numbers[4 * i + 1] = b[i];
    numbers[4 * i + 2] = c[i];
    numbers[4 * i + 3] = d[i];
  }
}

PL_INLINE void drop_typed(pl_dtype type, const dropout_kernel *k, const uint32_t *restrict number,
                          const void *restrict from, void *restrict to, int64_t n) {
  const uint32_t threshold = k->threshold;
  const float scale = k->scale;
#pragma omp simd
  for (int64_t i = 0; i < n; i++) {
    float kept = pl_get(type, from, i) * scale;
    pl_put(type, to, i, number[i] < threshold ? 0 : kept);
  }
}

/* From x to y, and by the same mask from dy to dx. */
static void drop(const dropout_kernel *k, const pl_kernel_args *args, const void *from, void *to) {
  pl_random stream = pl_random_stream(args->seed, PL_RANDOM_DROPOUT, args->draw_step,
                                      args->draw_leaf, (uint32_t)k->number);
#pragma omp parallel for schedule(static)
  for (int64_t first = 0; first < k->elements; first += PIECE) {
    uint32_t number[PIECE];
    make_numbers(&stream, (uint64_t)first / 4, number);
    int64_t n = k->elements - first < PIECE ? k->elements - first : PIECE;
    const void *x = pl_at(k->type, from, first);
    void *y = pl_at(k->type, to, first);
    if (k->type == PL_BF16)
      drop_typed(PL_BF16, k, number, x, y, n);
    else
      drop_typed(PL_F32, k, number, x, y, n);
  }
}

static pl_status dropout_forward(pl_kernel *kernel, const pl_kernel_args *args) {
  drop((dropout_kernel *)kernel, args, args->x, args->y);
  return PL_OK;
}

static pl_status dropout_backward(pl_kernel *kernel, const pl_kernel_args *args) {
  if (args->dx) drop((dropout_kernel *)kernel, args, args->dy, args->dx);
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
  *needs = (pl_kernel_needs){0};
  *out = &k->head;
  return PL_OK;
}

const pl_kernel_maker pl_cpu_dropout = {dropout_supports, dropout_prepare};
