/* GELU, exact and quick. */
#include "runtime/base/memory.h"
#include "runtime/cpu/element.h"
#include "runtime/cpu/kernel.h"

#define PL_GELU_CODE PL_INLINE
#define PL_GELU_EXP2(x) pl_exp2f(x)
#define PL_GELU_INVERSE(x) (1.0F / (x))
#include "runtime/net/gelu_element.h"

/* Threads share elements in pieces of this many, so that which of them take the vector loop and
 * which its remainder depends on the shape only. */
enum { PIECE = 4096 };

typedef struct gelu_kernel {
  pl_kernel head;
  pl_gelu kind;
  pl_dtype type;
  int64_t elements;
} gelu_kernel;

PL_INLINE float share_of(pl_gelu kind, float x, float *slope) {
  return kind == PL_GELU_QUICK ? pl_gelu_quick_share(x, slope) : pl_gelu_normal_share(x, slope);
}

/* Elements of x go to `to`; times dy and with the slope in backward, where dy is not NULL. */
PL_INLINE void piece_typed(pl_dtype type, pl_gelu kind, const void *x, const void *dy, void *to,
                           int64_t n) {
#pragma omp simd
  for (int64_t i = 0; i < n; i++) {
    float v = pl_get(type, x, i), slope;
    float share = share_of(kind, v, &slope);
    pl_put(type, to, i, dy ? pl_get(type, dy, i) * (share + v * slope) : v * share);
  }
}

/* Type and kind are constants in each copy of the loop. */
static void forward_piece(const gelu_kernel *k, const void *x, void *y, int64_t n) {
  bool quick = k->kind == PL_GELU_QUICK, narrow = k->type == PL_BF16;
  if (quick && narrow)
    piece_typed(PL_BF16, PL_GELU_QUICK, x, NULL, y, n);
  else if (quick)
    piece_typed(PL_F32, PL_GELU_QUICK, x, NULL, y, n);
  else if (narrow)
    piece_typed(PL_BF16, PL_GELU_EXACT, x, NULL, y, n);
  else
    piece_typed(PL_F32, PL_GELU_EXACT, x, NULL, y, n);
}

static void backward_piece(const gelu_kernel *k, const void *x, const void *dy, void *dx,
                           int64_t n) {
  bool quick = k->kind == PL_GELU_QUICK, narrow = k->type == PL_BF16;
  if (quick && narrow)
    piece_typed(PL_BF16, PL_GELU_QUICK, x, dy, dx, n);
  else if (quick)
    piece_typed(PL_F32, PL_GELU_QUICK, x, dy, dx, n);
  else if (narrow)
    piece_typed(PL_BF16, PL_GELU_EXACT, x, dy, dx, n);
  else
    piece_typed(PL_F32, PL_GELU_EXACT, x, dy, dx, n);
}

static int64_t piece_at(const gelu_kernel *k, int64_t first) {
  return k->elements - first < PIECE ? k->elements - first : PIECE;
}

static pl_status gelu_forward(pl_kernel *kernel, const pl_kernel_args *args) {
  gelu_kernel *k = (gelu_kernel *)kernel;
#pragma omp parallel for schedule(static)
  for (int64_t first = 0; first < k->elements; first += PIECE)
    forward_piece(k, pl_at(k->type, args->x, first), pl_at(k->type, args->y, first),
                  piece_at(k, first));
  return PL_OK;
}

static pl_status gelu_backward(pl_kernel *kernel, const pl_kernel_args *args) {
  gelu_kernel *k = (gelu_kernel *)kernel;
  if (!args->dx) return PL_OK;
#pragma omp parallel for schedule(static)
  for (int64_t first = 0; first < k->elements; first += PIECE)
    backward_piece(k, pl_at(k->type, args->x, first), pl_at(k->type, args->dy, first),
                   pl_at(k->type, args->dx, first), piece_at(k, first));
  return PL_OK;
}

static const pl_kernel_class gelu_class = {.destroy = pl_kernel_free,
                                           .load = pl_kernel_load_nothing,
                                           .forward = gelu_forward,
                                           .backward = gelu_backward};

static pl_status gelu_prepare(const pl_kernel_spec *spec, pl_kernel **out, pl_kernel_needs *needs) {
  gelu_kernel *k = pl_alloc(1, sizeof *k);
  if (!k) return PL_E_INTERNAL;
  *k = (gelu_kernel){.head = {&gelu_class},
                     .kind = spec->op->gelu,
                     .type = spec->in_type,
                     .elements = spec->rows * pl_shape_elements(spec->op->in_shape)};
  *needs = (pl_kernel_needs){.backward_reads_x = spec->training};
  *out = &k->head;
  return PL_OK;
}

const pl_kernel_maker pl_cpu_gelu = {pl_kernel_same_type, gelu_prepare};
