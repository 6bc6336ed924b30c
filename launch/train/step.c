/* One step, from the leaves of the batch to new parameters. */
#include <math.h>
#include <string.h>

#include "launch/train/training.h"
#include "runtime/base/clock.h"

static pl_status fetch(void *context, int64_t leaf, pl_leaf_input *input) {
  pl_training *t = context;
  (void)leaf; /* the loader serves leaves in the order in which they are asked for */
  pl_comm_alive(t->comm, t->state.step, "training"); /* a step over many leaves may take long */
  pl_loader_leaf ready;
  PL_TRY(pl_feed_next(t->feed, &input->images, &ready));
  input->tokens = ready.tokens;
  return PL_OK;
}

static pl_status part_end(const pl_training *t, double *ms) {
  return pl_step_part_end(t->config, t->backend->device, ms);
}

/* Moves the parameters, unless loss or gradient is not finite. */
static pl_status update(pl_training *t, pl_step_line *line, pl_rank_report *report, bool *moved) {
  double start = pl_now_ms(), reduced, updated, loaded;
  float *gradient;
  PL_TRY(pl_grad_reduce_finish(t->reduce, &gradient));
  PL_TRY(part_end(t, &reduced));
  line->gradient_norm = NAN;
  if (isfinite(line->figures.loss)) {
    PL_TRY(pl_optim_step(t->optim, line->lr, line->step, t->state.master, gradient,
                         &line->gradient_norm));
  }
  *moved = isfinite(line->gradient_norm);
  if (*moved) PL_TRY(pl_state_follow(&t->state, t->config->optim.average));
  PL_TRY(part_end(t, &updated));
  report->ms[PL_SPLIT_OPTIMIZER] = updated - reduced;
  if (*moved) {
    PL_TRY(pl_state_gather(&t->state, t->state.master, t->state.image));
    PL_TRY(pl_method_load(t->method, t->state.image, t->state.buffers));
  }
  PL_TRY(part_end(t, &loaded));
  report->ms[PL_SPLIT_REDUCE] = loaded - updated + reduced - start;
  return PL_OK;
}

pl_status pl_training_step(pl_training *t, pl_step_line *line, pl_rank_report *report,
                           bool *moved) {
  double start = pl_now_ms();
  double waited = pl_loader_wait_ms(t->loader);
  int64_t every = t->config->train.diagnostics;
  size_t buffer_bytes =
      (size_t)pl_space_buffer_elements(t->state.space) * sizeof *t->buffers_before;
  pl_step_report step;
  pl_step_request request = {.step = line->step,
                             .source = {fetch, t},
                             .want_uniformity = every > 0 && line->step % every == 0};
  pl_comm_alive(t->comm, line->step, "training");
  memcpy(t->buffers_before, t->state.buffers, buffer_bytes);
  PL_TRY(pl_method_step(t->method, &request, t->state.buffers, t->sums, &step));
  line->figures = step.figures;
  PL_TRY(update(t, line, report, moved));
  if (!*moved) memcpy(t->state.buffers, t->buffers_before, buffer_bytes);
  report->ms[PL_SPLIT_DATA] = pl_loader_wait_ms(t->loader) - waited;
  report->ms[PL_SPLIT_FORWARD] = step.forward_ms;
  report->ms[PL_SPLIT_GATHER] = step.gather_ms;
  report->ms[PL_SPLIT_LOSS] = step.loss_ms;
  report->ms[PL_SPLIT_BACKWARD] = step.backward_ms;
  report->ms[PL_SPLIT_CHECKPOINT] = t->stall_ms;
  report->skipped = (double)pl_loader_skipped(t->loader);
  report->total_ms = pl_now_ms() - start + t->stall_ms;
  if (report->total_ms > t->longest_step_ms) t->longest_step_ms = report->total_ms;
  t->stall_ms = 0;
  return PL_OK;
}
