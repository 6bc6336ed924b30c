#include "runtime/base/account.h"
#include "runtime/base/memory.h"
#include "runtime/net/plan.h"

static pl_status check_options(const pl_graph *graph, const pl_net_options *options) {
  if (options->output < 0 || options->output >= pl_graph_values(graph)) {
    return PL_FAIL(PL_E_INTERNAL, "the network's output is not a value of its graph");
  }
  if (pl_graph_op(graph, options->output)->kind == PL_OP_TOKENS) {
    return PL_FAIL(PL_E_INTERNAL, "token ids are no output of a network");
  }
  if (options->rows < 1) {
    return PL_FAIL(PL_E_INTERNAL, "a network for %d rows", options->rows);
  }
  if (options->precision != PL_F32 && options->precision != PL_BF16) {
    return PL_FAIL(PL_E_INTERNAL, "a network can't compute in %s",
                   pl_dtype_name(options->precision));
  }
  return PL_OK;
}

/* Which values depend on parameters: only these need gradients. */
static pl_status find_trained(pl_net *net) {
  net->trains = pl_alloc((size_t)pl_graph_values(net->graph), sizeof *net->trains);
  if (!net->trains) return PL_E_INTERNAL;
  for (int i = 0; i < net->steps; i++) {
    pl_step *step = &net->step[i];
    bool trains = step->op.weight >= 0;
    for (int k = 0; k < step->op.inputs; k++) trains |= net->trains[step->op.input[k]];
    net->trains[step->op.output] = trains;
    step->backward = trains && net->options.training;
  }
  return PL_OK;
}

/* The output is written as f32 where the backend can do that, else converted after the last step.
 */
static void choose_output_type(pl_net *net) {
  net->output_type = net->options.precision;
  const pl_step *last = &net->step[net->steps - 1];
  if (last->op.inputs == 0) return;
  pl_kernel_spec spec = last->spec;
  spec.out_type = PL_F32;
  if (!net->options.backend->supports(&spec)) net->output_type = PL_F32;
}

static pl_status prepare_kernel(pl_net *net, pl_step *step) {
  const pl_backend *backend = net->options.backend;
  const char *reason = backend->supports(&step->spec);
  if (reason) {
    return PL_FAIL(PL_E_USAGE, "%s can't be computed by the %s backend: %s", step->op.name,
                   backend->name, reason);
  }
  return pl_context(backend->prepare(&step->spec, &step->kernel, &step->needs), "%s",
                    step->op.name);
}

static pl_status prepare_kernels(pl_net *net) {
  const pl_net_options *options = &net->options;
  for (int i = 0; i < net->steps; i++) {
    pl_step *step = &net->step[i];
    if (step->op.inputs == 0) continue;
    pl_value x = step->op.input[0];
    bool tokens = pl_graph_op(net->graph, x)->kind == PL_OP_TOKENS;
    step->spec = (pl_kernel_spec){.op = &step->op,
                                  .space = pl_graph_space(net->graph),
                                  .rows = options->rows,
                                  .in_type = tokens ? PL_I32 : options->precision,
                                  .out_type = options->precision,
                                  .training = options->training,
                                  .need_dx = step->backward && net->trains[x]};
  }
  choose_output_type(net);
  net->step[net->steps - 1].spec.out_type = net->output_type;
  for (int i = 0; i < net->steps; i++) {
    pl_step *step = &net->step[i];
    if (step->op.inputs == 0) continue;
    PL_TRY(prepare_kernel(net, step));
    step->work = pl_work_of(&step->spec);
    if (!step->backward) step->work.backward = 0;
    if (step->needs.scratch_bytes > net->kernel_scratch_bytes) {
      net->kernel_scratch_bytes = step->needs.scratch_bytes;
    }
    if (step->needs.phase_sums == 0) continue;
    step->statistic = net->statistics;
    net->statistics += 2 * (size_t)step->op.in_shape.channels;
    if (step->needs.phase_sums > net->widest_sums) net->widest_sums = step->needs.phase_sums;
  }
  net->wide = net->statistics > 0 && options->scope != PL_NORM_MICRO;
  return PL_OK;
}

pl_status pl_net_compile(const pl_graph *graph, const pl_net_options *options, pl_net **out) {
  PL_MEMORY_FOR(PL_MEMORY_KERNELS);
  pl_status status = PL_OK;
  PL_TRY(check_options(graph, options));
  pl_net *net = pl_alloc(1, sizeof *net);
  if (!net) return PL_E_INTERNAL;
  net->graph = graph;
  net->options = *options;
  PL_TRY_OR(done, status, pl_net_select_steps(net));
  PL_TRY_OR(done, status, find_trained(net));
  PL_TRY_OR(done, status, prepare_kernels(net));
  PL_TRY_OR(done, status, pl_net_plan_memory(net));
  *out = net;
  net = NULL;
done:
  pl_net_destroy(&net);
  return status;
}

void pl_net_destroy(pl_net **net) {
  if (!*net) return;
  for (int i = 0; i < (*net)->steps; i++) {
    if ((*net)->step[i].kernel) (*net)->options.backend->destroy(&(*net)->step[i].kernel);
  }
  pl_free((*net)->step);
  pl_free((*net)->trains);
  pl_free((*net)->value);
  pl_free((*net)->gradient);
  pl_free(*net);
  *net = NULL;
}

pl_net_costs pl_net_get_costs(const pl_net *net) {
  pl_net_costs costs = {
      .held_bytes = net->arena_bytes[PL_ARENA_HELD],
      .scratch_bytes = net->arena_bytes[PL_ARENA_SCRATCH] + net->kernel_scratch_bytes};
  for (int i = 0; i < net->steps; i++) {
    costs.forward_flops += net->step[i].work.forward;
    costs.backward_flops += net->step[i].work.backward;
  }
  return costs;
}

pl_shape pl_net_input_shape(const pl_net *net) { return net->step[0].op.out_shape; }

int pl_net_output_features(const pl_net *net) {
  return (int)pl_shape_elements(pl_graph_value_shape(net->graph, net->options.output));
}

pl_status pl_net_load(pl_net *net, const void *image, const float *buffers) {
  net->image = image;
  for (int i = 0; i < net->steps; i++) {
    pl_step *step = &net->step[i];
    if (!step->kernel) continue;
    PL_TRY(
        pl_context(net->options.backend->load(step->kernel, image, buffers), "%s", step->op.name));
  }
  return PL_OK;
}
