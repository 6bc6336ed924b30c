/* runtime/optim/schedule: the rate of every step against closed forms. */
#include <string.h>

#include "runtime/optim/schedule.h"
#include "tests/check.h"

static const double pi = 3.14159265358979323846;

static void warmup_rises_to_the_rate(void **state) {
  (void)state;
  for (int kind = PL_SCHEDULE_CONSTANT; kind <= PL_SCHEDULE_STEP; kind++) {
    pl_schedule schedule = {.kind = (pl_schedule_kind)kind, .lr = 0.8, .warmup = 4, .total = 20};
    const double expected[] = {0.2, 0.4, 0.6, 0.8};
    for (int k = 0; k < 4; k++) CHECK_NEAR(pl_schedule_lr(&schedule, k), expected[k], 1e-15);
    CHECK_NEAR(pl_schedule_lr(&schedule, 4), 0.8, 1e-15); /* decay starts at the full rate */
  }
}

static void constant_stays(void **state) {
  (void)state;
  pl_schedule schedule = {.kind = PL_SCHEDULE_CONSTANT, .lr = 0.3, .total = 10};
  for (int k = 0; k < 12; k++) CHECK_NEAR(pl_schedule_lr(&schedule, k), 0.3, 0);
}

static void cosine_and_linear_have_their_closed_forms(void **state) {
  (void)state;
  for (int64_t warmup = 0; warmup <= 10; warmup += 5) {
    pl_schedule cosine = {
        .kind = PL_SCHEDULE_COSINE, .lr = 2, .warmup = warmup, .total = 110, .final_ratio = 0.1};
    pl_schedule linear = cosine;
    linear.kind = PL_SCHEDULE_LINEAR;
    for (int64_t k = warmup; k < 110; k++) {
      double t = (double)(k - warmup) / (double)(110 - warmup);
      CHECK_NEAR(pl_schedule_lr(&cosine, k), 0.2 + 0.9 * (1 + cos(pi * t)), 1e-14);
      CHECK_NEAR(pl_schedule_lr(&linear, k), 2 - 1.8 * t, 1e-14);
    }
    CHECK_NEAR(pl_schedule_lr(&cosine, 110), 0.2, 1e-14);
    CHECK_NEAR(pl_schedule_lr(&linear, 1000), 0.2, 1e-14);
  }
}

static void cosine_without_floor_is_half_at_half_way(void **state) {
  (void)state;
  pl_schedule schedule = {.kind = PL_SCHEDULE_COSINE, .lr = 0.5, .total = 200};
  CHECK_NEAR(pl_schedule_lr(&schedule, 0), 0.5, 0);
  CHECK_NEAR(pl_schedule_lr(&schedule, 100), 0.25, 1e-15);
  CHECK_NEAR(pl_schedule_lr(&schedule, 200), 0, 1e-15);
}

static void steps_multiply_at_each_milestone(void **state) {
  (void)state;
  pl_schedule schedule = {.kind = PL_SCHEDULE_STEP,
                          .lr = 1,
                          .warmup = 5,
                          .total = 100,
                          .gamma = 0.1,
                          .milestones = 3,
                          .milestone = {30, 60, 60}};
  CHECK_NEAR(pl_schedule_lr(&schedule, 4), 1, 1e-15);
  CHECK_NEAR(pl_schedule_lr(&schedule, 29), 1, 1e-15);
  CHECK_NEAR(pl_schedule_lr(&schedule, 30), 0.1, 1e-15);
  CHECK_NEAR(pl_schedule_lr(&schedule, 59), 0.1, 1e-15);
  CHECK_NEAR(pl_schedule_lr(&schedule, 60), 0.001, 1e-15); /* two at once */
  CHECK_NEAR(pl_schedule_lr(&schedule, 99), 0.001, 1e-15);
}

/* Every rate must be a number: no division by the zero steps that are left. */
static void short_runs_have_rates(void **state) {
  (void)state;
  for (int kind = PL_SCHEDULE_CONSTANT; kind <= PL_SCHEDULE_STEP; kind++) {
    for (int64_t warmup = 0; warmup <= 8; warmup++) {
      for (int64_t total = 0; total <= 3; total++) {
        pl_schedule schedule = {.kind = (pl_schedule_kind)kind,
                                .lr = 1,
                                .warmup = warmup,
                                .total = total,
                                .gamma = 0.5,
                                .final_ratio = 0.25};
        for (int64_t k = 0; k <= total; k++) {
          double lr = pl_schedule_lr(&schedule, k);
          assert_true(lr > 0 && lr <= 1);
          if (k < warmup) CHECK_NEAR(lr, (double)(k + 1) / (double)warmup, 1e-15);
        }
      }
    }
  }
  pl_schedule one = {.kind = PL_SCHEDULE_COSINE, .lr = 0.7, .total = 1};
  CHECK_NEAR(pl_schedule_lr(&one, 0), 0.7, 0);
}

static void scaling_rules(void **state) {
  (void)state;
  CHECK_NEAR(pl_scaled_lr(0.3, PL_LR_NONE, 4096), 0.3, 0);
  CHECK_NEAR(pl_scaled_lr(0.3, PL_LR_LINEAR, 4096), 4.8, 1e-15);
  CHECK_NEAR(pl_scaled_lr(0.3, PL_LR_LINEAR, 256), 0.3, 0);
  CHECK_NEAR(pl_scaled_lr(0.075, PL_LR_SQRT, 4096), 4.8, 1e-15);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(warmup_rises_to_the_rate),
      cmocka_unit_test(constant_stays),
      cmocka_unit_test(cosine_and_linear_have_their_closed_forms),
      cmocka_unit_test(cosine_without_floor_is_half_at_half_way),
      cmocka_unit_test(steps_multiply_at_each_milestone),
      cmocka_unit_test(short_runs_have_rates),
      cmocka_unit_test(scaling_rules),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
