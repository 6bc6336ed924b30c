/* Running statistics of batch norms: what each step contributes to them. */
#include "runtime/net/exec_state.h"

pl_status pl_running_note(pl_exec *exec, const pl_step *step, const double *totals, double count) {
  return exec->net->options.backend->moments(exec->statistics + step->statistic, totals,
                                             (size_t)step->op.in_shape.channels, count);
}

pl_status pl_running_push_leaf(pl_exec *exec, int64_t leaf) {
  return pl_device_push_f64(exec->device, exec->statistic_stack, exec->net->statistics,
                            exec->options.leaves, leaf, exec->statistics);
}

static void move_on(float *running, const double *statistic, double share, int channels,
                    float momentum) {
  for (int c = 0; c < channels; c++) {
    running[c] =
        (float)((1.0 - (double)momentum) * running[c] + (double)momentum * statistic[c] * share);
  }
}

pl_status pl_running_update(pl_exec *exec, float *buffers) {
  const pl_net *net = exec->net;
  const pl_ranks *ranks = exec->options.ranks;
  if (net->statistics == 0) return PL_OK;
  double *statistics = exec->statistics;
  double share = 1;
  if (net->options.scope == PL_NORM_MICRO) {
    statistics = exec->statistic_stack;
    share = 1.0 / (double)exec->options.total_leaves;
  } else if (net->options.scope == PL_NORM_RANK) {
    share = 1.0 / ranks->count;
  }
  if (net->options.scope != PL_NORM_GLOBAL) {
    PL_TRY(pl_exec_sum_ranks(exec, statistics, net->statistics));
  }
  if (!exec->device->is_host) {
    PL_TRY(exec->device->get(exec->host_sums, statistics, net->statistics * sizeof *statistics));
    statistics = exec->host_sums;
  }
  const pl_space *space = pl_graph_space(net->graph);
  for (int i = 0; i < net->steps; i++) {
    const pl_op *op = &net->step[i].op;
    if (net->step[i].needs.phase_sums == 0) continue;
    int channels = op->in_shape.channels;
    const double *mean = statistics + net->step[i].statistic;
    float *running_mean = buffers + pl_space_buffer(space, op->running_mean)->offset;
    float *running_var = buffers + pl_space_buffer(space, op->running_var)->offset;
    move_on(running_mean, mean, share, channels, op->momentum);
    move_on(running_var, mean + channels, share, channels, op->momentum);
  }
  return PL_OK;
}
