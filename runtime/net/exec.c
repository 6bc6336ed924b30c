#include "runtime/base/account.h"
#include "runtime/base/memory.h"
#include "runtime/base/tree.h"
#include "runtime/net/exec_state.h"

static pl_status check_options(const pl_net *net, const pl_exec_options *options) {
  if (options->leaves < 1 || options->total_leaves < options->leaves) {
    return PL_FAIL(PL_E_INTERNAL, "an executor for %lld of %lld leaves", (long long)options->leaves,
                   (long long)options->total_leaves);
  }
  if (options->recompute && net->wide) {
    return PL_FAIL(PL_E_USAGE,
                   "activations can't be recomputed with batch norm of scope %s, whose statistics "
                   "need all micro-batches at once: keep them, or use scope micro",
                   net->options.scope == PL_NORM_GLOBAL ? "global" : "rank");
  }
  return PL_OK;
}

/* `count` zeroed elements on the device, counted in pl_exec_bytes; NULL after an error. */
static void *reserve(pl_exec *exec, pl_memory_kind kind, size_t count, size_t size) {
  PL_MEMORY_FOR(kind);
  void *memory = NULL;
  exec->bytes += count * size;
  return exec->device->alloc(count * size, &memory) == PL_OK ? memory : NULL;
}

/* What passes between host and device. */
static pl_status reserve_borders(pl_exec *exec) {
  const pl_net *net = exec->net;
  size_t sums = net->statistics > net->widest_sums ? net->statistics : net->widest_sums;
  if (exec->device->is_host) return PL_OK;
  size_t inputs = exec->options.in_place ? 0 : pl_net_value_elements(net, net->step[0].op.output);
  exec->input = reserve(exec, PL_MEMORY_EMBEDDINGS, inputs, sizeof(float));
  exec->host_sums = pl_alloc(sums, sizeof *exec->host_sums);
  return exec->input && exec->host_sums ? PL_OK : PL_E_INTERNAL;
}

static pl_status reserve_memory(pl_exec *exec) {
  const pl_net *net = exec->net;
  const size_t *bytes = net->arena_bytes;
  bool keeps = net->options.training && !exec->options.recompute;
  size_t depth = (size_t)pl_tree_depth(exec->options.leaves, PL_TREE_WHOLE);
  exec->arena_stride[PL_ARENA_HELD] = keeps ? bytes[PL_ARENA_HELD] : 0;
  exec->arena[PL_ARENA_HELD] =
      reserve(exec, PL_MEMORY_KEPT, keeps ? (size_t)exec->options.leaves : 1, bytes[PL_ARENA_HELD]);
  exec->arena[PL_ARENA_SCRATCH] = reserve(exec, PL_MEMORY_SCRATCH, 1, bytes[PL_ARENA_SCRATCH]);
  exec->kernel_scratch = reserve(exec, PL_MEMORY_SCRATCH, 1, net->kernel_scratch_bytes);
  exec->leaf_sums = reserve(exec, PL_MEMORY_SCRATCH, net->widest_sums, sizeof(double));
  exec->totals = reserve(exec, PL_MEMORY_SCRATCH, net->widest_sums, sizeof(double));
  exec->sum_stack =
      reserve(exec, PL_MEMORY_SCRATCH, net->wide ? depth * net->widest_sums : 0, sizeof(double));
  exec->statistics = reserve(exec, PL_MEMORY_SCRATCH, net->statistics, sizeof(double));
  exec->statistic_stack =
      reserve(exec, PL_MEMORY_SCRATCH, net->wide ? 0 : depth * net->statistics, sizeof(double));
  exec->time = pl_alloc((size_t)net->steps, sizeof *exec->time);
  return exec->arena[PL_ARENA_HELD] && exec->arena[PL_ARENA_SCRATCH] && exec->kernel_scratch &&
                 exec->leaf_sums && exec->totals && exec->sum_stack && exec->statistics &&
                 exec->statistic_stack && exec->time
             ? reserve_borders(exec)
             : PL_E_INTERNAL;
}

pl_status pl_exec_create(pl_net *net, const pl_exec_options *options, pl_exec **out) {
  pl_status status = PL_OK;
  PL_TRY(check_options(net, options));
  pl_exec *exec = pl_alloc(1, sizeof *exec);
  if (!exec) return PL_E_INTERNAL;
  exec->net = net;
  exec->device = net->options.backend->device;
  exec->options = *options;
  PL_TRY_OR(done, status, reserve_memory(exec));
  PL_TRY_OR(done, status, pl_sections_create(exec, options->record && !options->time_apart));
  for (int i = 0; i < net->steps; i++) {
    const pl_step *step = &net->step[i];
    exec->time[i] = (pl_exec_time){.op = &step->op,
                                   .forward_flops = step->work.forward,
                                   .backward_flops = step->work.backward};
  }
  *out = exec;
  exec = NULL;
done:
  pl_exec_destroy(&exec);
  return status;
}

void pl_exec_destroy(pl_exec **exec) {
  pl_exec *e = *exec;
  if (!e) return;
  pl_sections_destroy(e);
  void *on_device[] = {e->arena[PL_ARENA_HELD],
                       e->arena[PL_ARENA_SCRATCH],
                       e->kernel_scratch,
                       e->leaf_sums,
                       e->sum_stack,
                       e->totals,
                       e->statistics,
                       e->statistic_stack,
                       e->input};
  for (size_t i = 0; i < sizeof on_device / sizeof *on_device; i++)
    e->device->release(on_device[i]);
  pl_free(e->host_sums);
  pl_free(e->time);
  pl_free(e);
  *exec = NULL;
}

pl_status pl_exec_sum_ranks(pl_exec *exec, double *values, size_t count) {
  const pl_ranks *ranks = exec->options.ranks;
  if (exec->device->is_host) return ranks->sum(ranks->context, values, count);
  if (ranks->count == 1) return PL_OK;
  PL_TRY(exec->device->get(exec->host_sums, values, count * sizeof *values));
  PL_TRY(ranks->sum(ranks->context, exec->host_sums, count));
  return exec->device->put(values, exec->host_sums, count * sizeof *values);
}

void pl_exec_list_sums(const pl_exec *exec, void (*sum)(void *context, size_t doubles),
                       void *context) {
  const pl_net *net = exec->net;
  if (net->statistics == 0) return;
  if (net->options.scope != PL_NORM_GLOBAL) { /* the running statistics alone */
    sum(context, net->statistics);
    return;
  }
  for (int i = 0; i < net->steps; i++) {
    size_t doubles = net->step[i].needs.phase_sums;
    if (doubles == 0) continue;
    sum(context, doubles);
    if (net->step[i].backward) sum(context, doubles);
  }
}

const pl_exec_time *pl_exec_times(const pl_exec *exec, int *count) {
  *count = exec->net->steps;
  return exec->time;
}

size_t pl_exec_bytes(const pl_exec *exec) { return exec->bytes; }

void pl_exec_draw(pl_exec *exec, uint64_t seed, uint32_t step, int64_t first_leaf) {
  exec->draw_seed = seed;
  exec->draw_step = step;
  exec->draw_first_leaf = first_leaf;
}

static size_t output_bytes(const pl_exec *exec) {
  return (size_t)exec->options.leaves *
         pl_net_value_elements(exec->net, exec->net->options.output) * sizeof(float);
}

pl_status pl_exec_forward(pl_exec *exec, pl_exec_fetch fetch, void *context, float *out,
                          float *buffers) {
  pl_pass pass = {.exec = exec, .fetch = fetch, .context = context};
  pass.out = out;
  PL_TRY(pl_pass_forward(&pass));
  exec->ran_forward = true;
  return pl_running_update(exec, buffers);
}

pl_status pl_exec_embed(pl_exec *exec, pl_exec_fetch fetch, void *context, float *out) {
  const pl_device *device = exec->device;
  size_t bytes = output_bytes(exec);
  void *there = NULL;
  bool planning = pl_account_is_planning(); /* memory holds no numbers then */
  if (device->is_host) return planning ? PL_OK : pl_exec_forward(exec, fetch, context, out, NULL);
  PL_TRY(device->alloc(bytes, &there));
  pl_status status = planning ? PL_OK : pl_exec_forward(exec, fetch, context, there, NULL);
  if (status == PL_OK) status = device->get(out, there, bytes);
  device->release(there);
  return status;
}

/* Leaf after leaf. */
static pl_status recompute_backward(const pl_pass *pass) {
  for (int64_t leaf = 0; leaf < pass->exec->options.leaves; leaf++) {
    PL_TRY(pl_pass_leaf_forward(pass, PL_SECTION_AGAIN, leaf));
    PL_TRY(pl_pass_leaf_backward(pass, leaf));
  }
  return PL_OK;
}

pl_status pl_exec_backward(pl_exec *exec, pl_exec_fetch fetch, void *context, const float *dout,
                           pl_gradsum *sums) {
  if (!exec->ran_forward || !exec->net->options.training) {
    return PL_FAIL(PL_E_INTERNAL, "backward without a forward pass in training before it");
  }
  exec->ran_forward = false;
  const pl_pass pass = {
      .exec = exec, .fetch = fetch, .context = context, .dout = dout, .sums = sums};
  return exec->options.recompute ? recompute_backward(&pass) : pl_pass_backward(&pass);
}
