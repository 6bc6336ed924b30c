/* Rows scaled to unit length: y = x / max(‖x‖, epsilon). */
#include <math.h>

#include "runtime/base/lanes.h"
#include "runtime/base/memory.h"
#include "runtime/cpu/element.h"
#include "runtime/cpu/kernel.h"

typedef struct normalize_kernel {
  pl_kernel head;
  int rows;
  int64_t features;
  float epsilon;
  pl_dtype in_type, out_type;
} normalize_kernel;

static const char *normalize_supports(const pl_kernel_spec *spec) {
  if (spec->in_type == PL_U8 || spec->out_type == PL_U8) return "L2-normalise needs f32 or bf16";
  if (spec->in_type == PL_F32 && spec->out_type == PL_BF16)
    return "L2-normalise does not narrow f32 to bf16";
  return NULL;
}

static void normalize_destroy(pl_kernel *kernel) { pl_free(kernel); }

static pl_status normalize_load(pl_kernel *kernel, const void *image, const float *buffers) {
  (void)kernel, (void)image, (void)buffers;
  return PL_OK;
}

PL_INLINE double dot(pl_dtype a_type, const void *a, pl_dtype b_type, const void *b, int64_t n) {
  double lane[PL_LANES] = {0};
  int64_t i = 0;
  for (; i + PL_LANES <= n; i += PL_LANES) {
    for (int k = 0; k < PL_LANES; k++)
      lane[k] += (double)pl_get(a_type, a, i + k) * (double)pl_get(b_type, b, i + k);
  }
  for (int k = 0; i + k < n; k++)
    lane[k] += (double)pl_get(a_type, a, i + k) * (double)pl_get(b_type, b, i + k);
  return pl_fold_f64(lane);
}

PL_INLINE void forward_typed(pl_dtype in, pl_dtype out, const normalize_kernel *k,
                             const pl_kernel_args *args) {
#pragma omp parallel for schedule(static)
  for (int row = 0; row < k->rows; row++) {
    const void *x = pl_at(in, args->x, row * k->features);
    void *y = pl_at(out, args->y, row * k->features);
    double length = sqrt(dot(in, x, in, x, k->features));
    float scale = (float)(1 / (length < k->epsilon ? (double)k->epsilon : length));
#pragma omp simd
    for (int64_t i = 0; i < k->features; i++) pl_put(out, y, i, pl_get(in, x, i) * scale);
  }
}

/* dx = (dy - x (x·dy) / ‖x‖²) / ‖x‖; where the length is held at epsilon, dx = dy / epsilon. */
PL_INLINE void backward_typed(pl_dtype in, pl_dtype out, const normalize_kernel *k,
                              const pl_kernel_args *args) {
#pragma omp parallel for schedule(static)
  for (int row = 0; row < k->rows; row++) {
    const void *x = pl_at(in, args->x, row * k->features);
    const void *dy = pl_at(out, args->dy, row * k->features);
    void *dx = pl_at(in, args->dx, row * k->features);
    double square = dot(in, x, in, x, k->features), length = sqrt(square);
    bool held = length < k->epsilon;
    float scale = (float)(1 / (held ? (double)k->epsilon : length));
    float along = held ? 0 : (float)(dot(in, x, out, dy, k->features) / square);
#pragma omp simd
    for (int64_t i = 0; i < k->features; i++)
      pl_put(in, dx, i, (pl_get(out, dy, i) - pl_get(in, x, i) * along) * scale);
  }
}

static pl_status normalize_forward(pl_kernel *kernel, const pl_kernel_args *args) {
  normalize_kernel *k = (normalize_kernel *)kernel;
  if (k->out_type == PL_BF16)
    forward_typed(PL_BF16, PL_BF16, k, args);
  else if (k->in_type == PL_BF16)
    forward_typed(PL_BF16, PL_F32, k, args);
  else
    forward_typed(PL_F32, PL_F32, k, args);
  return PL_OK;
}

static pl_status normalize_backward(pl_kernel *kernel, const pl_kernel_args *args) {
  normalize_kernel *k = (normalize_kernel *)kernel;
  if (!args->dx) return PL_OK;
  if (k->out_type == PL_BF16)
    backward_typed(PL_BF16, PL_BF16, k, args);
  else if (k->in_type == PL_BF16)
    backward_typed(PL_BF16, PL_F32, k, args);
  else
    backward_typed(PL_F32, PL_F32, k, args);
  return PL_OK;
}

static const pl_kernel_class normalize_class = {.destroy = normalize_destroy,
                                                .load = normalize_load,
                                                .forward = normalize_forward,
                                                .backward = normalize_backward};

static pl_status normalize_prepare(const pl_kernel_spec *spec, pl_kernel **out,
                                   pl_kernel_needs *needs) {
  normalize_kernel *k = pl_alloc(1, sizeof *k);
  if (!k) return PL_E_INTERNAL;
  *k = (normalize_kernel){.head = {&normalize_class},
                          .rows = spec->rows,
                          .features = pl_shape_elements(spec->op->in_shape),
                          .epsilon = spec->op->epsilon,
                          .in_type = spec->in_type,
                          .out_type = spec->out_type};
  *needs = (pl_kernel_needs){.backward_reads_x = spec->training};
  *out = &k->head;
  return PL_OK;
}

const pl_kernel_maker pl_cpu_l2_normalize = {normalize_supports, normalize_prepare};
