/* Which operations a network executes: those its output needs, without dropouts outside training,
 * with norms taking in the additions and ReLUs behind them. */
#include "runtime/base/memory.h"
#include "runtime/net/plan.h"

/* A copy of the graph's operations to change. Operation i writes value i. */
typedef struct selection {
  pl_op *op;
  bool *needed;
  int *readers; /* needed operations that read a value */
  int ops;
} selection;

/* The value that `value` is where dropouts do nothing. */
static pl_value before_dropouts(const selection *s, pl_value value) {
  while (s->op[value].kind == PL_OP_DROPOUT) value = s->op[value].input[0];
  return value;
}

static void skip_dropouts(selection *s, pl_value *output) {
  for (int i = 0; i < s->ops; i++) {
    pl_op *op = &s->op[i];
    for (int k = 0; k < op->inputs; k++) op->input[k] = before_dropouts(s, op->input[k]);
  }
  *output = before_dropouts(s, *output);
}

/* Operations come after those whose values they read, so one walk back finds all. */
static void mark_needed(selection *s, pl_value output) {
  s->needed[output] = true;
  for (int i = output; i >= 0; i--) {
    if (!s->needed[i]) continue;
    for (int k = 0; k < s->op[i].inputs; k++) {
      s->needed[s->op[i].input[k]] = true;
      s->readers[s->op[i].input[k]]++;
    }
  }
}

/* Whether `value` comes from a norm that nothing was fused into yet and is read only once. */
static bool is_free_norm(const selection *s, pl_value value) {
  const pl_op *op = &s->op[value];
  return op->kind == PL_OP_BATCH_NORM && !op->fused_relu && s->readers[value] == 1;
}

/* Makes the operation at `relu` the norm that wrote `norm`. It takes the later place, where the
 * skip value has been computed for certain. */
static pl_op *move_norm(selection *s, pl_value norm, int relu) {
  pl_op *op = &s->op[relu];
  pl_value output = op->output;
  *op = s->op[norm];
  op->output = output;
  op->fused_relu = true;
  s->needed[norm] = false;
  return op;
}

static void fuse_relu(selection *s, int relu) {
  pl_value x = s->op[relu].input[0];
  if (is_free_norm(s, x)) {
    move_norm(s, x, relu);
    return;
  }
  const pl_op *add = &s->op[x];
  if (add->kind != PL_OP_ADD || s->readers[x] != 1) return;
  /* Of two norms the later one: the earlier one's input is then needed for less long. */
  int later = add->input[1] > add->input[0];
  int which = is_free_norm(s, add->input[later]) ? later : !later;
  if (!is_free_norm(s, add->input[which])) return;
  pl_op *fused = move_norm(s, add->input[which], relu);
  fused->fused_add = true;
  fused->inputs = 2;
  fused->input[1] = add->input[!which];
  s->needed[x] = false;
}

static pl_status keep_needed(pl_net *net, const selection *s) {
  for (int i = 0; i < s->ops; i++) net->steps += s->needed[i];
  net->step = pl_alloc((size_t)net->steps, sizeof *net->step);
  if (!net->step) return PL_E_INTERNAL;
  for (int i = 0, step = 0; i < s->ops; i++) {
    if (s->needed[i]) net->step[step++].op = s->op[i];
  }
  return PL_OK;
}

pl_status pl_net_select_steps(pl_net *net) {
  pl_status status = PL_OK;
  selection s = {.ops = pl_graph_ops(net->graph)};
  s.op = pl_alloc((size_t)s.ops, sizeof *s.op);
  s.needed = pl_alloc((size_t)s.ops, sizeof *s.needed);
  s.readers = pl_alloc((size_t)s.ops, sizeof *s.readers);
  if (!s.op || !s.needed || !s.readers) {
    status = PL_E_INTERNAL;
    goto done;
  }
  for (int i = 0; i < s.ops; i++) s.op[i] = *pl_graph_op(net->graph, i);
  if (!net->options.training) skip_dropouts(&s, &net->options.output);
  mark_needed(&s, net->options.output);
  for (int i = 0; i < s.ops; i++) {
    if (s.needed[i] && s.op[i].kind == PL_OP_RELU) fuse_relu(&s, i);
  }
  status = keep_needed(net, &s);
done:
  pl_free(s.op);
  pl_free(s.needed);
  pl_free(s.readers);
  return status;
}
