/* models/softmax: gradients by finite differences, momentum, decay; models/standard. */
#include <string.h>

#include "models/softmax.h"
#include "runtime/base/memory.h"
#include "runtime/base/random.h"
#include "tests/check.h"

enum { WIDTH = 70, CLASSES = 5, ROWS = 90, MEMBERS = 2 };

typedef struct rig {
  pl_comm *self;
  pl_softmax *softmax;
  pl_standard standard;
  float features[ROWS * WIDTH];
  const float *rows[ROWS];
  int32_t labels[ROWS];
  int stride;
  size_t parameters;
} rig;

static rig *make_rig(double momentum, double weight_decay) {
  rig *r = pl_alloc(1, sizeof *r);
  assert_non_null(r);
  pl_random random = pl_random_stream(61, PL_RANDOM_TEST, 0, 0, 0);
  for (int i = 0; i < ROWS * WIDTH; i++)
    r->features[i] = 3 * pl_random_normal(&random) + (float)(i % WIDTH);
  for (int i = 0; i < ROWS; i++) {
    r->rows[i] = r->features + i * WIDTH;
    r->labels[i] = (int32_t)pl_random_below(&random, CLASSES);
  }
  const pl_softmax_options options = {.width = WIDTH,
                                      .classes = CLASSES,
                                      .members = MEMBERS,
                                      .rows = ROWS + 50,
                                      .momentum = momentum,
                                      .weight_decay = weight_decay};
  CHECK_OK(pl_comm_create_self(&r->self));
  CHECK_OK(pl_standard_measure(r->self, r->features, ROWS, WIDTH, &r->standard));
  CHECK_OK(pl_softmax_create(&options, &r->softmax));
  for (int member = 0; member < MEMBERS; member++) {
    float *values = pl_softmax_parameters(r->softmax, member, &r->stride, &r->parameters);
    for (int k = 0; k < CLASSES; k++) {
      for (int j = 0; j < WIDTH; j++) values[k * r->stride + j] = 0.1f * pl_random_normal(&random);
      values[CLASSES * r->stride + k] = 0.1f * pl_random_normal(&random);
    }
  }
  return r;
}

static void free_rig(rig *r) {
  pl_softmax_destroy(&r->softmax);
  pl_standard_free(&r->standard);
  pl_comm_destroy(&r->self);
  pl_free(r);
}

static float *values_of(const rig *r, int member) {
  size_t count;
  return pl_softmax_parameters(r->softmax, member, NULL, &count);
}

static float *copy_of(const rig *r, int member) {
  float *copy = pl_alloc(r->parameters, sizeof *copy);
  assert_non_null(copy);
  return memcpy(copy, values_of(r, member), r->parameters * sizeof *copy);
}

/* Place of a weight, or of a bias for j = WIDTH. */
static int place(const rig *r, int k, int j) {
  return j < WIDTH ? k * r->stride + j : CLASSES * r->stride + k;
}

/* Mean cross entropy of the first n rows, where one parameter is moved. */
static double loss(const rig *r, const float *values, int n, int moved, double by) {
  double sum = 0;
  float row[WIDTH];
  for (int i = 0; i < n; i++) {
    double scores[CLASSES], total = 0;
    pl_standard_apply(&r->standard, r->rows[i], row);
    for (int k = 0; k < CLASSES; k++) {
      scores[k] = values[place(r, k, WIDTH)] + (moved == place(r, k, WIDTH) ? by : 0);
      for (int j = 0; j < WIDTH; j++)
        scores[k] += row[j] * (values[place(r, k, j)] + (moved == place(r, k, j) ? by : 0));
      total += exp(scores[k]);
    }
    sum += log(total) - scores[r->labels[i]];
  }
  return sum / n;
}

/* A step at rate 1 without momentum and decay goes down by the gradient. */
static void check_gradient(rig *r, int n) {
  const double rates[MEMBERS] = {1, 0}, h = 1e-4;
  float *before = copy_of(r, 0), *still = copy_of(r, 1);
  CHECK_OK(pl_softmax_take(r->softmax, &r->standard, r->rows, n));
  CHECK_OK(pl_softmax_step(r->softmax, r->labels, rates));
  const float *after = values_of(r, 0);
  for (int k = 0; k < CLASSES; k++)
    for (int j = 0; j <= WIDTH; j += 7) {
      int at = place(r, k, j);
      double expected = (loss(r, before, n, at, h) - loss(r, before, n, at, -h)) / (2 * h);
      CHECK_NEAR((double)before[at] - after[at], expected, 1e-6);
    }
  assert_memory_equal(values_of(r, 1), still, r->parameters * sizeof *still);
  pl_free(before);
  pl_free(still);
}

static void gradients_are_finite_differences(void **state) {
  (void)state;
  rig *r = make_rig(0, 0);
  check_gradient(r, ROWS);
  free_rig(r);
  r = make_rig(0, 0);
  check_gradient(r, 1);
  free_rig(r);
  /* A full batch before leaves nothing behind in a smaller one. */
  r = make_rig(0, 0);
  CHECK_OK(pl_softmax_take(r->softmax, &r->standard, r->rows, ROWS));
  check_gradient(r, 65);
  free_rig(r);
}

/* Two steps on one batch: v2 = momentum·v1 + g2 + decay·w, where g2, the gradient in between, is
 * measured without momentum and decay. */
static void momentum_and_decay(void **state) {
  (void)state;
  const double momentum = 0.75, decay = 0.5, rates[MEMBERS] = {0.25, 0.25};
  rig *r = make_rig(momentum, decay), *plain = make_rig(0, 0);
  float *first = copy_of(r, 0);
  CHECK_OK(pl_softmax_take(r->softmax, &r->standard, r->rows, ROWS));
  CHECK_OK(pl_softmax_step(r->softmax, r->labels, rates));
  float *second = copy_of(r, 0);
  CHECK_OK(pl_softmax_step(r->softmax, r->labels, rates));
  const float *third = values_of(r, 0);
  /* The gradient at `second`. */
  memcpy(values_of(plain, 0), second, plain->parameters * sizeof *second);
  CHECK_OK(pl_softmax_take(plain->softmax, &plain->standard, plain->rows, ROWS));
  CHECK_OK(pl_softmax_step(plain->softmax, plain->labels, rates));
  const float *slid = values_of(plain, 0);
  for (int k = 0; k < CLASSES; k++)
    for (int j = 0; j <= WIDTH; j++) {
      int at = place(r, k, j);
      double v1 = ((double)first[at] - second[at]) / rates[0];
      double g2 = ((double)second[at] - slid[at]) / rates[0];
      double v2 = momentum * v1 + g2 + (j < WIDTH ? decay * second[at] : 0);
      CHECK_NEAR(third[at], second[at] - rates[0] * v2, 1e-6);
    }
  pl_free(first);
  pl_free(second);
  free_rig(r);
  free_rig(plain);
}

static void predicts_the_highest_score(void **state) {
  (void)state;
  rig *r = make_rig(0, 0);
  const float *rows[3] = {r->rows[0], NULL, r->rows[1]};
  int32_t classes[3];
  float *values = values_of(r, 1);
  memset(values, 0, r->parameters * sizeof *values);
  CHECK_OK(pl_softmax_take(r->softmax, &r->standard, rows, 3));
  CHECK_OK(pl_softmax_predict(r->softmax, 1, classes));
  for (int i = 0; i < 3; i++) assert_int_equal(classes[i], 0); /* all equal: the lowest */
  values[place(r, 2, WIDTH)] = values[place(r, 4, WIDTH)] = 1;
  CHECK_OK(pl_softmax_predict(r->softmax, 1, classes));
  for (int i = 0; i < 3; i++) assert_int_equal(classes[i], 2);
  values[place(r, 2, WIDTH)] = NAN;
  CHECK_OK(pl_softmax_predict(r->softmax, 1, classes));
  for (int i = 0; i < 3; i++) assert_int_equal(classes[i], 4);
  for (int k = 0; k < CLASSES; k++) values[place(r, k, WIDTH)] = NAN;
  CHECK_OK(pl_softmax_predict(r->softmax, 1, classes));
  for (int i = 0; i < 3; i++) assert_int_equal(classes[i], -1);
  free_rig(r);
}

/* Means a thousand times their deviations, constant dimensions, tiny and huge ones. */
static void standardised_features(void **state) {
  (void)state;
  enum { N = 1000, W = 67 };
  pl_comm *self = NULL;
  pl_standard standard;
  float *features = pl_alloc((size_t)N * W, sizeof *features);
  assert_non_null(features);
  pl_random random = pl_random_stream(62, PL_RANDOM_TEST, 0, 0, 0);
  for (int i = 0; i < N * W; i++) {
    int j = i % W;
    double value = (pl_random_normal(&random) + 1000 * (j % 3)) * pow(10, j % 41 - 20);
    features[i] = (float)(j % 10 == 5 ? 0.1 * j : j == 0 ? 0 : value);
  }
  CHECK_OK(pl_comm_create_self(&self));
  CHECK_OK(pl_standard_measure(self, features, N, W, &standard));
  for (int j = 0; j < W; j++) {
    double sum = 0, square = 0;
    for (int i = 0; i < N; i++) sum += features[i * W + j];
    for (int i = 0; i < N; i++) square += pow(features[i * W + j] - sum / N, 2);
    double deviation = sqrt(square / N);
    if (j == 0 || j % 10 == 5) {
      assert_true(standard.factor[j] == 0);
      continue;
    }
    CHECK_NEAR(standard.mean[j] / deviation, sum / N / deviation, 1e-9);
    CHECK_NEAR(standard.factor[j] * deviation, 1, 1e-6);
  }
  pl_standard_free(&standard);
  pl_comm_destroy(&self);
  pl_free(features);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(gradients_are_finite_differences),
      cmocka_unit_test(momentum_and_decay),
      cmocka_unit_test(predicts_the_highest_score),
      cmocka_unit_test(standardised_features),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
