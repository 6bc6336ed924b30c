/* Passes over the leaves. A norm whose statistics reach beyond the leaf is a border: all leaves
 * must have given their sums before any goes on. Between borders leaves run one after another, so
 * that a leaf's values are still warm when the next operation reads them; a network without borders
 * is one such stretch. */
#include "runtime/base/clock.h"
#include "runtime/net/exec_state.h"

static bool is_border(const pl_net *net, int step) {
  return net->wide && net->step[step].needs.phase_sums > 0;
}

/* Elements per channel in one leaf's input of a norm. */
static double leaf_count(const pl_net *net, const pl_step *step) {
  return (double)net->options.rows * step->op.in_shape.height * step->op.in_shape.width;
}

static double scope_count(const pl_exec *exec, const pl_step *step) {
  int64_t leaves = exec->net->options.scope == PL_NORM_GLOBAL ? exec->options.total_leaves
                                                              : exec->options.leaves;
  return leaf_count(exec->net, step) * (double)leaves;
}

/* Where a leaf's piece of memory is now. */
static void *locate(const pl_pass *pass, int64_t leaf, pl_place place) {
  const pl_exec *exec = pass->exec;
  if (place.arena == PL_ARENA_NONE || place.arena == PL_ARENA_DOUT) return NULL;
  return exec->arena[place.arena] + (size_t)leaf * exec->arena_stride[place.arena] + place.offset;
}

static pl_kernel_args forward_args(const pl_pass *pass, int64_t leaf, const pl_step *step) {
  const pl_net *net = pass->exec->net;
  const pl_op *op = &step->op;
  return (pl_kernel_args){
      .x = locate(pass, leaf, net->value[op->input[0]]),
      .skip = op->inputs == 2 ? locate(pass, leaf, net->value[op->input[1]]) : NULL,
      .y = locate(pass, leaf, net->value[op->output]),
      .saved = locate(pass, leaf, step->saved),
      .scratch = pass->exec->kernel_scratch,
      .seed = pass->exec->draw_seed,
      .draw_step = pass->exec->draw_step,
      .draw_leaf = (uint64_t)(pass->exec->draw_first_leaf + leaf)};
}

/* Values that backward does not read may share their memory with others by then; their pointers are
 * left out so that a kernel that reads them all the same is found out at once. */
static pl_kernel_args backward_args(const pl_pass *pass, int64_t leaf, const pl_step *step) {
  const pl_net *net = pass->exec->net;
  const pl_op *op = &step->op;
  pl_kernel_args args = forward_args(pass, leaf, step);
  if (!step->needs.backward_reads_skip) args.skip = NULL;
  if (!step->needs.backward_reads_x) args.x = NULL;
  if (!step->needs.backward_reads_y) args.y = NULL;
  pl_place dy = net->gradient[op->output];
  args.dy = dy.arena == PL_ARENA_DOUT
                ? pass->dout + (size_t)leaf * pl_net_value_elements(net, op->output)
                : locate(pass, leaf, dy);
  if (step->spec.need_dx && !step->shares_dx) {
    bool part = step->dx_part.arena != PL_ARENA_NONE;
    args.add_dx = step->adds_dx;
    args.dx = locate(pass, leaf, part ? step->dx_part : net->gradient[op->input[0]]);
  }
  if (pl_net_needs_dskip(net, step) && !step->shares_dskip) {
    bool part = step->dskip_part.arena != PL_ARENA_NONE;
    args.dskip = locate(pass, leaf, part ? step->dskip_part : net->gradient[op->input[1]]);
  }
  if (op->weight >= 0) args.dweight = pl_gradsum_slot(pass->sums, leaf, op->weight);
  if (op->bias >= 0) args.dbias = pl_gradsum_slot(pass->sums, leaf, op->bias);
  return args;
}

static pl_status convert(const pl_net *net, pl_dtype to_type, void *to, pl_dtype from_type,
                         const void *from, size_t n) {
  const pl_backend *backend = net->options.backend;
  if (to_type != from_type) return backend->convert(to_type, to, from_type, from, n);
  return backend->device->copy(to, from, n * pl_dtype_bytes(to_type));
}

static pl_status load_input(const pl_pass *pass, int64_t leaf, const pl_step *step) {
  const pl_net *net = pass->exec->net;
  const pl_device *device = pass->exec->device;
  pl_value value = step->op.output;
  pl_dtype given = step->op.kind == PL_OP_TOKENS ? PL_I32 : PL_F32;
  size_t n = pl_net_value_elements(net, value);
  pl_exec_input input = {.place = locate(pass, leaf, net->value[value]),
                         .type = pl_net_value_type(net, value)};
  PL_TRY(pass->fetch(pass->context, leaf, &input));
  if (!input.host) return PL_OK;
  const void *from = input.host;
  if (!device->is_host) {
    if (pass->exec->options.in_place)
      return PL_FAIL(PL_E_INTERNAL, "an input of the host, for which no room is held");
    PL_TRY(device->put(pass->exec->input, from, n * pl_dtype_bytes(given)));
    from = pass->exec->input;
  }
  return convert(net, input.type, input.place, given, from, n);
}

static pl_status store_output(const pl_pass *pass, int64_t leaf) {
  const pl_net *net = pass->exec->net;
  pl_value output = net->options.output;
  size_t n = pl_net_value_elements(net, output);
  return convert(net, PL_F32, pass->out + (size_t)leaf * n, net->output_type,
                 locate(pass, leaf, net->value[output]), n);
}

static pl_status note_time(const pl_exec *exec, double start, double *ms) {
  if (exec->options.time_apart) PL_TRY(exec->device->finish());
  *ms += pl_now_ms() - start;
  return PL_OK;
}

static pl_status forward_step(const pl_pass *pass, int64_t leaf, const pl_step *step) {
  pl_exec *exec = pass->exec;
  const pl_backend *backend = exec->net->options.backend;
  if (step->op.inputs == 0) return load_input(pass, leaf, step);
  pl_kernel_args args = forward_args(pass, leaf, step);
  if (step->needs.phase_sums == 0) return backend->forward(step->kernel, &args);
  double count = leaf_count(exec->net, step);
  PL_TRY(backend->forward_sums(step->kernel, &args, exec->leaf_sums));
  PL_TRY(pl_running_note(exec, step, exec->leaf_sums, count));
  return backend->forward_apply(step->kernel, &args, exec->leaf_sums, count);
}

/* Where a leaf's sums at a border go first: those of the only one are all. */
static double *border_sums(const pl_exec *exec) {
  return exec->options.leaves == 1 ? exec->totals : exec->leaf_sums;
}

/* Then up the tree. */
static pl_status push_sums(pl_exec *exec, int64_t leaf, const pl_step *step) {
  if (exec->options.leaves == 1) return PL_OK;
  return pl_device_push_f64(exec->device, exec->sum_stack, step->needs.phase_sums,
                            exec->options.leaves, leaf, exec->leaf_sums);
}

/* All leaves have pushed: the sums over the scope. They move out of the stack because the next
 * border's sums arrive there while leaves still apply these. */
static pl_status finish_sums(pl_exec *exec, const pl_step *step) {
  size_t n = step->needs.phase_sums;
  if (exec->options.leaves > 1)
    PL_TRY(exec->device->copy(exec->totals, exec->sum_stack, n * sizeof *exec->totals));
  if (exec->net->options.scope != PL_NORM_GLOBAL) return PL_OK;
  return pl_context(pl_exec_sum_ranks(exec, exec->totals, n), "%s", step->op.name);
}

/* One leaf through the steps from `begin`, a border whose totals are there or the start, up to the
 * sums of the border `end`, or to the output. */
static pl_status forward_stretch(const pl_pass *pass, int64_t leaf, int begin, int end) {
  pl_exec *exec = pass->exec;
  const pl_net *net = exec->net;
  const pl_backend *backend = net->options.backend;
  for (int i = begin; i < end; i++) {
    const pl_step *step = &net->step[i];
    double start = pl_now_ms();
    if (is_border(net, i)) {
      pl_kernel_args args = forward_args(pass, leaf, step);
      PL_TRY(backend->forward_apply(step->kernel, &args, exec->totals, scope_count(exec, step)));
    } else {
      PL_TRY(forward_step(pass, leaf, step));
    }
    PL_TRY(note_time(exec, start, &exec->time[i].forward_ms));
  }
  if (end == net->steps) return pass->out ? store_output(pass, leaf) : PL_OK;
  double start = pl_now_ms();
  pl_kernel_args args = forward_args(pass, leaf, &net->step[end]);
  PL_TRY(backend->forward_sums(net->step[end].kernel, &args, border_sums(exec)));
  PL_TRY(note_time(exec, start, &exec->time[end].forward_ms));
  return push_sums(exec, leaf, &net->step[end]);
}

/* ---- forward ---- */

static int next_border(const pl_net *net, int begin) {
  int end = begin + 1;
  while (end < net->steps && !is_border(net, end)) end++;
  return end;
}

/* Whether sums at borders are put together with those of other ranks. */
static bool sums_leave(const pl_exec *exec) {
  return exec->net->options.scope == PL_NORM_GLOBAL && exec->options.ranks->count > 1;
}

/* Step 0 of a leaf. */
static pl_status take_input(const pl_pass *pass, int64_t leaf) {
  double start = pl_now_ms();
  PL_TRY(forward_step(pass, leaf, &pass->exec->net->step[0]));
  return note_time(pass->exec, start, &pass->exec->time[0].forward_ms);
}

static pl_status leaf_forward(const pl_pass *pass, int64_t leaf, int64_t unused) {
  (void)unused;
  return forward_stretch(pass, leaf, 1, pass->exec->net->steps);
}

pl_status pl_pass_leaf_forward(const pl_pass *pass, pl_part_of_step part, int64_t leaf) {
  bool noted;
  PL_TRY(take_input(pass, leaf));
  return pl_section_run(pass, part, leaf, leaf_forward, leaf, 0, &noted);
}

static pl_status leaves_forward(const pl_pass *pass, int64_t begin, int64_t end) {
  for (int64_t leaf = 0; leaf < pass->exec->options.leaves; leaf++) {
    PL_TRY(forward_stretch(pass, leaf, (int)begin, (int)end));
  }
  return PL_OK;
}

static pl_status finish_forward(const pl_pass *pass, int end) {
  pl_exec *exec = pass->exec;
  if (end == exec->net->steps) return PL_OK;
  const pl_step *step = &exec->net->step[end];
  PL_TRY(finish_sums(exec, step));
  return pl_running_note(exec, step, exec->totals, scope_count(exec, step));
}

/* Side by side from step `begin` to the output. */
static pl_status wide_forward(const pl_pass *pass, int64_t begin, int64_t unused) {
  const pl_net *net = pass->exec->net;
  (void)unused;
  for (int at = (int)begin, end; at < net->steps; at = end) {
    end = next_border(net, at);
    PL_TRY(leaves_forward(pass, at, end));
    PL_TRY(finish_forward(pass, end));
  }
  return PL_OK;
}

/* What is recorded must not wait for data: inputs then come first. */
static pl_status wide_pass_forward(const pl_pass *pass) {
  pl_exec *exec = pass->exec;
  bool noted;
  int begin = exec->section ? 1 : 0;
  for (int64_t leaf = 0; begin == 1 && leaf < exec->options.leaves; leaf++) {
    PL_TRY(take_input(pass, leaf));
  }
  if (!sums_leave(exec))
    return pl_section_run(pass, PL_SECTION_FORWARD, 0, wide_forward, begin, 0, &noted);
  for (int at = begin, end; at < exec->net->steps; at = end) {
    end = next_border(exec->net, at);
    PL_TRY(pl_section_run(pass, PL_SECTION_FORWARD, at, leaves_forward, at, end, &noted));
    PL_TRY(finish_forward(pass, end));
  }
  return PL_OK;
}

pl_status pl_pass_forward(const pl_pass *pass) {
  pl_exec *exec = pass->exec;
  if (exec->net->wide) return wide_pass_forward(pass);
  for (int64_t leaf = 0; leaf < exec->options.leaves; leaf++) {
    PL_TRY(pl_pass_leaf_forward(pass, PL_SECTION_FORWARD, leaf));
    if (exec->net->statistics > 0) PL_TRY(pl_running_push_leaf(exec, leaf));
  }
  return PL_OK;
}

/* ---- backward ---- */

static pl_status push_gradients(const pl_pass *pass, int64_t leaf, const pl_op *op) {
  bool recording = pass->exec->recording;
  pl_status (*push)(pl_gradsum *, int64_t, int) = recording ? pl_gradsum_merge : pl_gradsum_push;
  if (op->weight >= 0) PL_TRY(push(pass->sums, leaf, op->weight));
  if (op->bias >= 0) PL_TRY(push(pass->sums, leaf, op->bias));
  return PL_OK;
}

/* Says of a leaf's gradients that they are merged, after recorded work that did it. */
static pl_status note_gradients(const pl_pass *pass, int64_t leaf) {
  const pl_net *net = pass->exec->net;
  for (int i = net->steps - 1; i >= 0; i--) {
    const pl_step *step = &net->step[i];
    if (!step->backward) continue;
    if (step->op.weight >= 0) PL_TRY(pl_gradsum_note(pass->sums, leaf, step->op.weight));
    if (step->op.bias >= 0) PL_TRY(pl_gradsum_note(pass->sums, leaf, step->op.bias));
  }
  return PL_OK;
}

/* Adds a contribution that was not the first to the gradient of its value. */
static pl_status add_part(const pl_pass *pass, int64_t leaf, pl_value value, pl_place part) {
  const pl_net *net = pass->exec->net;
  if (part.arena == PL_ARENA_NONE) return PL_OK;
  void *gradient = locate(pass, leaf, net->gradient[value]);
  return net->options.backend->add(pl_net_value_type(net, value), gradient, gradient,
                                   locate(pass, leaf, part), pl_net_value_elements(net, value));
}

static pl_status add_parts(const pl_pass *pass, int64_t leaf, const pl_step *step) {
  PL_TRY(add_part(pass, leaf, step->op.input[0], step->dx_part));
  return step->op.inputs == 2 ? add_part(pass, leaf, step->op.input[1], step->dskip_part) : PL_OK;
}

static pl_status backward_sums(const pl_pass *pass, int64_t leaf, const pl_step *step,
                               double *sums) {
  pl_kernel_args args = backward_args(pass, leaf, step);
  PL_TRY(pass->exec->net->options.backend->backward_sums(step->kernel, &args, sums));
  return push_gradients(pass, leaf, &step->op);
}

static pl_status backward_apply(const pl_pass *pass, int64_t leaf, const pl_step *step,
                                const double *totals, double count) {
  pl_kernel_args args = backward_args(pass, leaf, step);
  PL_TRY(pass->exec->net->options.backend->backward_apply(step->kernel, &args, totals, count));
  return add_parts(pass, leaf, step);
}

static pl_status backward_step(const pl_pass *pass, int64_t leaf, const pl_step *step) {
  pl_exec *exec = pass->exec;
  if (!step->backward) return PL_OK;
  if (step->needs.phase_sums > 0) {
    PL_TRY(backward_sums(pass, leaf, step, exec->leaf_sums));
    return backward_apply(pass, leaf, step, exec->leaf_sums, leaf_count(exec->net, step));
  }
  pl_kernel_args args = backward_args(pass, leaf, step);
  PL_TRY(exec->net->options.backend->backward(step->kernel, &args));
  PL_TRY(push_gradients(pass, leaf, &step->op));
  return add_parts(pass, leaf, step);
}

/* The caller's f32 gradient where the output has another type. */
static pl_status load_dout(const pl_pass *pass, int64_t leaf) {
  const pl_net *net = pass->exec->net;
  pl_value output = net->options.output;
  if (net->gradient[output].arena == PL_ARENA_DOUT) return PL_OK;
  size_t n = pl_net_value_elements(net, output);
  return convert(net, net->output_type, locate(pass, leaf, net->gradient[output]), PL_F32,
                 pass->dout + (size_t)leaf * n, n);
}

/* One leaf back from `begin`, a border whose totals are there or the number of steps, to the sums
 * of the border `end`, or to the input (`end` < 0). */
static pl_status backward_stretch(const pl_pass *pass, int64_t leaf, int begin, int end) {
  pl_exec *exec = pass->exec;
  const pl_net *net = exec->net;
  double start = pl_now_ms();
  if (begin == net->steps) {
    PL_TRY(load_dout(pass, leaf));
  } else {
    const pl_step *step = &net->step[begin];
    PL_TRY(backward_apply(pass, leaf, step, exec->totals, scope_count(exec, step)));
    PL_TRY(note_time(exec, start, &exec->time[begin].backward_ms));
  }
  for (int i = begin - 1; i > end; i--) {
    start = pl_now_ms();
    PL_TRY(backward_step(pass, leaf, &net->step[i]));
    PL_TRY(note_time(exec, start, &exec->time[i].backward_ms));
  }
  if (end < 0) return PL_OK;
  start = pl_now_ms();
  PL_TRY(backward_sums(pass, leaf, &net->step[end], border_sums(exec)));
  PL_TRY(note_time(exec, start, &exec->time[end].backward_ms));
  return push_sums(exec, leaf, &net->step[end]);
}

static pl_status leaf_backward(const pl_pass *pass, int64_t leaf, int64_t unused) {
  (void)unused;
  return backward_stretch(pass, leaf, pass->exec->net->steps, -1);
}

/* The last leaf completes sums, which leave for other ranks one by one while the work goes on: it
 * is not recorded then. */
pl_status pl_pass_leaf_backward(const pl_pass *pass, int64_t leaf) {
  const pl_exec_options *options = &pass->exec->options;
  bool noted;
  if (leaf == options->leaves - 1 && options->ranks->count > 1) return leaf_backward(pass, leaf, 0);
  PL_TRY(pl_section_run(pass, PL_SECTION_BACKWARD, leaf, leaf_backward, leaf, 0, &noted));
  return noted ? PL_OK : note_gradients(pass, leaf);
}

static pl_status wide_backward(const pl_pass *pass, int64_t unused, int64_t unused_too) {
  pl_exec *exec = pass->exec;
  const pl_net *net = exec->net;
  (void)unused, (void)unused_too;
  for (int begin = net->steps; begin >= 0;) {
    int end = begin - 1;
    while (end >= 0 && !is_border(net, end)) end--;
    for (int64_t leaf = 0; leaf < exec->options.leaves; leaf++) {
      PL_TRY(backward_stretch(pass, leaf, begin, end));
    }
    if (end >= 0) PL_TRY(finish_sums(exec, &net->step[end]));
    begin = end;
  }
  return PL_OK;
}

/* Side by side all leaves are the last. */
static pl_status wide_pass_backward(const pl_pass *pass) {
  const pl_exec_options *options = &pass->exec->options;
  bool noted;
  if (options->ranks->count > 1) return wide_backward(pass, 0, 0);
  PL_TRY(pl_section_run(pass, PL_SECTION_BACKWARD, 0, wide_backward, 0, 0, &noted));
  for (int64_t leaf = 0; !noted && leaf < options->leaves; leaf++) {
    PL_TRY(note_gradients(pass, leaf));
  }
  return PL_OK;
}

pl_status pl_pass_backward(const pl_pass *pass) {
  if (pass->exec->net->wide) return wide_pass_backward(pass);
  for (int64_t leaf = 0; leaf < pass->exec->options.leaves; leaf++) {
    PL_TRY(pl_pass_leaf_backward(pass, leaf));
  }
  return PL_OK;
}
