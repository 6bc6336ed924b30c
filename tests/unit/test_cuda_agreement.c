/* How near whole networks on the CUDA backend come to what double precision gives. Built twice, as
 * test_cuda_ops.c.
 *
 * What is compared with is the naive backend in f32, which sums in double and rounds only what is
 * handed from one operation to the next, on the very parameters and images: these are numbers of
 * bf16 in both. Distances are those of vectors, in parts of the expected one's length.
 *
 * In f32 every gradient has to be within 1e-5. In bf16 no implementation could be: what is handed
 * on is rounded to 8 bits, so here and there a relu's mask or a pool's choice becomes another one.
 * The naive backend in bf16, whose operations are exact but for that rounding, tells how far that
 * leads: 1 % from the outputs of these networks, 1 to 3 % from gradients of transformers, 7 to 15 %
 * from those of the residual network, whose norms see 4 images. That floor is what CUDA is held to.
 */
#include "runtime/base/memory.h"
#include "runtime/cuda/cuda.h"
#include "tests/check.h"
#include "tests/unit/cuda_test.h"
#include "tests/unit/small_networks.h"

/* A rig after its last step. With norms two steps: running statistics then move on from moved ones.
 */
typedef struct outcome {
  net_rig rig;
  float *gradient; /* pl_space_elements */
} outcome;

static outcome run(rig_options options) {
  outcome o;
  options.narrow_values = true;
  rig_create(&o.rig, &options);
  for (int step = 0; step < (options.build == small_residual ? 2 : 1); step++) {
    o.rig.shift = step;
    CHECK_OK(rig_step(&o.rig));
  }
  o.gradient = pl_alloc((size_t)pl_space_elements(o.rig.space), sizeof *o.gradient);
  assert_non_null(o.gradient);
  rig_gradient(&o.rig, o.gradient);
  return o;
}

static void free_outcome(outcome *o) {
  pl_free(o->gradient);
  rig_destroy(&o->rig);
}

/* ---- vectors of an outcome ---- */

enum { OUTPUTS = -3, STATISTICS, WHOLE_GRADIENT, FIRST_PARAM };

typedef struct vector {
  const float *at;
  size_t n;
} vector;

/* `which`: one of the above, or a parameter, whose gradient it is. */
static vector vector_of(const outcome *o, int which) {
  const net_rig *rig = &o->rig;
  if (which == OUTPUTS) return (vector){rig->out, (size_t)rig->leaves * rig->leaf_out};
  if (which == STATISTICS)
    return (vector){rig->buffers, (size_t)pl_space_buffer_elements(rig->space)};
  if (which == WHOLE_GRADIENT) return (vector){o->gradient, (size_t)pl_space_elements(rig->space)};
  const pl_param *param = pl_space_param(rig->space, which);
  return (vector){o->gradient + param->first_block * PL_BLOCK, (size_t)param->count};
}

static const char *name_of(const outcome *o, int which) {
  static const char *const names[] = {"outputs", "running statistics", "the whole gradient"};
  return which < FIRST_PARAM ? names[which - OUTPUTS] : pl_space_param(o->rig.space, which)->name;
}

static double product(vector a, vector b, vector c) {
  double sum = 0;
  for (size_t i = 0; i < a.n; i++) sum += ((double)a.at[i] - (double)b.at[i]) * (double)c.at[i];
  return sum;
}

static double length(vector a) {
  double sum = 0;
  for (size_t i = 0; i < a.n; i++) sum += (double)a.at[i] * (double)a.at[i];
  return sqrt(sum);
}

/* 0 of nothing: networks without norms have no running statistics. */
static double distance(vector a, vector b) {
  double sum = 0;
  for (size_t i = 0; i < a.n; i++) sum += pow((double)a.at[i] - (double)b.at[i], 2);
  return a.n > 0 ? sqrt(sum) / length(b) : 0;
}

/* ---- what is allowed ---- */

static void check_f32(const outcome *cuda, const outcome *exact, int which) {
  double off = distance(vector_of(cuda, which), vector_of(exact, which));
  if (!(off <= 1e-5)) fail_msg("f32: %s off by %.3g", name_of(exact, which), off);
}

/* Attention rounds its probabilities, too, and a number that is rounded the other way has others
 * rounded the other way behind it: so CUDA's errors are not the floor's, but as large. Seen are 1.1
 * times the floor for whole vectors, 1.6 times for a parameter of some tens of elements. */
static void check_floor(const outcome *cuda, const outcome *rounded, const outcome *exact,
                        int which) {
  double floor = distance(vector_of(rounded, which), vector_of(exact, which));
  double off = distance(vector_of(cuda, which), vector_of(exact, which));
  double allowed = (which < FIRST_PARAM ? 1.25 : 2) * floor + 1e-3;
  if (which == OUTPUTS) allowed = fmax(1e-2, 1.25 * floor);
  if (!(off <= allowed))
    fail_msg("bf16: %s off by %.3g, where rounding alone leads %.3g", name_of(exact, which), off,
             floor);
}

/* Errors of rounding point anywhere. What has a wrong factor, or lacks a term, points along what is
 * expected: that part of the error is small, 0.9 % at most, where the whole of it is not. */
static void check_factor(const outcome *cuda, const outcome *rounded, const outcome *exact,
                         int which) {
  vector expected = vector_of(exact, which);
  if (expected.n == 0) return;
  double along = product(vector_of(cuda, which), vector_of(rounded, which), expected) /
                 pow(length(expected), 2);
  if (!(fabs(along) <= 1.5e-2))
    fail_msg("bf16: %s seem to have a factor of %.4g", name_of(exact, which), 1 + along);
}

static void check_network(rig_options options) {
  outcome cuda = run(options);
  options.backend = NULL;
  outcome rounded = run(options);
  options.precision = PL_F32;
  outcome exact = run(options);
  bool narrow = cuda.rig.options.precision == PL_BF16;
  for (int which = OUTPUTS; which < pl_space_params(exact.rig.space); which++) {
    if (!narrow) check_f32(&cuda, &exact, which);
    if (narrow) check_floor(&cuda, &rounded, &exact, which);
    if (narrow) check_factor(&cuda, &rounded, &exact, which);
  }
  free_outcome(&cuda);
  free_outcome(&rounded);
  free_outcome(&exact);
}

/* ---- tests ---- */

static void residual_networks(void **state) {
  (void)state;
  const pl_backend *cuda = pl_cuda_backend();
  check_network(small_residual_options(cuda, PL_NORM_MICRO, PL_F32));
  check_network(small_residual_options(cuda, PL_NORM_RANK, PL_F32));
  check_network(small_residual_options(cuda, PL_NORM_GLOBAL, PL_F32));
  check_network(small_residual_options(cuda, PL_NORM_MICRO, PL_BF16));
  check_network(small_residual_options(cuda, PL_NORM_GLOBAL, PL_BF16));
}

static void vision_transformers(void **state) {
  (void)state;
  check_network(small_vision_options(pl_cuda_backend(), PL_F32));
  check_network(small_vision_options(pl_cuda_backend(), PL_BF16));
}

static void text_transformers(void **state) {
  (void)state;
  check_network(small_text_options(pl_cuda_backend(), PL_F32));
  check_network(small_text_options(pl_cuda_backend(), PL_BF16));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(residual_networks),
      cmocka_unit_test(vision_transformers),
      cmocka_unit_test(text_transformers),
  };
  if (!cuda_test_open()) return CUDA_TEST_SKIPPED;
  int failures = cmocka_run_group_tests(tests, NULL, NULL);
  pl_cuda_close();
  return failures;
}
