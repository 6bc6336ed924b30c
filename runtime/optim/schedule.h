/* The learning rate as a function of the step. */
#ifndef PL_OPTIM_SCHEDULE_H
#define PL_OPTIM_SCHEDULE_H

#include <stdint.h>

typedef enum pl_schedule_kind {
  PL_SCHEDULE_CONSTANT,
  PL_SCHEDULE_COSINE, /* to final_ratio * lr over the steps after warm-up (Loshchilov & Hutter 2017)
                       */
  PL_SCHEDULE_LINEAR, /* to final_ratio * lr likewise */
  PL_SCHEDULE_STEP    /* times gamma at each milestone */
} pl_schedule_kind;

enum { PL_MAX_MILESTONES = 16 };

typedef struct pl_schedule {
  pl_schedule_kind kind;
  double lr;             /* after warm-up, already scaled for the batch */
  int64_t warmup, total; /* steps */
  double final_ratio;
  double gamma;
  int milestones;
  int64_t milestone[PL_MAX_MILESTONES]; /* steps, ascending */
} pl_schedule;

typedef enum pl_lr_scaling { PL_LR_NONE, PL_LR_LINEAR, PL_LR_SQRT } pl_lr_scaling;

/* lr for a batch of `batch` samples: lr, lr * batch / 256 (Goyal 2017) or lr * sqrt(batch) (SimCLR,
 * appendix B.1). */
double pl_scaled_lr(double lr, pl_lr_scaling scaling, int64_t batch);

/* The rate of step 0 … total-1. Warm-up is linear from lr/warmup to lr: step k has (k+1)/warmup. */
double pl_schedule_lr(const pl_schedule *schedule, int64_t step);

#endif
