/* Running statistics of batch norms: what each step contributes to them. */
#include "runtime/base/tree.h"
#include "runtime/net/exec_state.h"

void pl_running_note(pl_exec *exec, const pl_step *step, const double *totals, double count) {
  int channels = step->op.in_shape.channels;
  double *mean = exec->statistics + step->statistic;
  double *variance = mean + channels;
  /* Unbiased, as PyTorch's; a single element has no variance either way. */
  double unbiased = count > 1 ? count / (count - 1) : 1;
  for (int c = 0; c < channels; c++) {
    mean[c] = totals[c] / count;
    double biased = totals[channels + c] / count - mean[c] * mean[c];
    variance[c] = biased > 0 ? biased * unbiased : 0;
  }
}

void pl_running_push_leaf(pl_exec *exec, int64_t leaf) {
  pl_tree_push_f64(exec->statistic_stack, exec->net->statistics, exec->options.leaves, leaf,
                   exec->statistics);
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
    PL_TRY(ranks->sum(ranks->context, statistics, net->statistics));
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
