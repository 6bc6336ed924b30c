#include "runtime/optim/schedule.h"

#include <math.h>

double pl_scaled_lr(double lr, pl_lr_scaling scaling, int64_t batch) {
  switch (scaling) {
    case PL_LR_NONE: return lr;
    case PL_LR_LINEAR: return lr * (double)batch / 256;
    case PL_LR_SQRT: return lr * sqrt((double)batch);
  }
  return lr;
}

/* How much of the way after warm-up is done, 0 … 1. Where warm-up takes the whole run there is no
 * such way; steps beyond the end stay at the end. */
static double progress(const pl_schedule *schedule, int64_t step) {
  int64_t steps = schedule->total - schedule->warmup;
  int64_t done = step - schedule->warmup;
  return done >= steps ? 1 : (double)done / (double)steps;
}

static double step_factor(const pl_schedule *schedule, int64_t step) {
  int passed = 0;
  while (passed < schedule->milestones && schedule->milestone[passed] <= step) passed++;
  return pow(schedule->gamma, passed);
}

double pl_schedule_lr(const pl_schedule *schedule, int64_t step) {
  if (step < schedule->warmup) {
    return schedule->lr * (double)(step + 1) / (double)schedule->warmup;
  }
  double left; /* of the part of the rate that decays */
  switch (schedule->kind) {
    case PL_SCHEDULE_CONSTANT: return schedule->lr;
    case PL_SCHEDULE_STEP: return schedule->lr * step_factor(schedule, step);
    case PL_SCHEDULE_COSINE: left = (1 + cos(acos(-1.0) * progress(schedule, step))) / 2; break;
    default: left = 1 - progress(schedule, step); break;
  }
  return schedule->lr * (schedule->final_ratio + (1 - schedule->final_ratio) * left);
}
