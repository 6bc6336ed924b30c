/* The memory plan: every value, gradient and saved block of a leaf gets a lifetime on one timeline
 * (forward steps, output, backward steps), and two share memory only if they never live at the same
 * time. */
#include "runtime/net/plan.h"

#include <stdlib.h>

#include "runtime/base/memory.h"

/* A piece of memory alive in the moments first … last. */
typedef struct region {
  size_t bytes;
  int first, last;
  pl_place *place;
  int order; /* as it was asked for; settles ties of size */
} region;

typedef struct planner {
  pl_net *net;
  region *region;
  int regions;
  int *producer;       /* (values): the step that writes it */
  int *last_use;       /* (values): the last moment it is read */
  int *first_gradient; /* (values): the moment its gradient is first written; 0 before that */
  int *last_gradient;  /* (values): the moment that memory is last read */
  pl_value *holder;    /* (values): the one whose gradient has the memory; mostly itself */
} planner;

/* The timeline. Step i runs forward at moment i. */
static int output_moment(const pl_net *net) { return net->steps; }
static int dout_moment(const pl_net *net) { return net->steps + 1; }
static int backward_moment(const pl_net *net, int step) { return 2 * net->steps + 1 - step; }

static void want(planner *p, pl_place *place, size_t bytes, int first, int last) {
  if (bytes == 0) return;
  bool held = p->net->wide || (first <= output_moment(p->net) && last >= dout_moment(p->net));
  place->arena = held ? PL_ARENA_HELD : PL_ARENA_SCRATCH;
  p->region[p->regions] = (region){pl_align_up(bytes), first, last, place, p->regions};
  p->regions++;
}

static size_t value_bytes(const pl_net *net, pl_value value) {
  return pl_net_value_elements(net, value) * pl_dtype_bytes(pl_net_value_type(net, value));
}

static void use(planner *p, pl_value value, int moment) {
  if (moment > p->last_use[value]) p->last_use[value] = moment;
}

static void want_values(planner *p) {
  pl_net *net = p->net;
  for (int i = 0; i < net->steps; i++) {
    const pl_step *step = &net->step[i];
    int backward = backward_moment(net, i);
    p->producer[step->op.output] = i;
    use(p, step->op.output, i);
    for (int k = 0; k < step->op.inputs; k++) use(p, step->op.input[k], i);
    if (!step->backward) continue;
    if (step->needs.backward_reads_skip) use(p, step->op.input[1], backward);
    if (step->needs.backward_reads_x) use(p, step->op.input[0], backward);
    if (step->needs.backward_reads_y) use(p, step->op.output, backward);
  }
  use(p, net->options.output, output_moment(net));
  for (int i = 0; i < net->steps; i++) {
    pl_step *step = &net->step[i];
    pl_value y = step->op.output;
    want(p, &net->value[y], value_bytes(net, y), i, p->last_use[y]);
    want(p, &step->saved, step->needs.saved_bytes, i, step->backward ? backward_moment(net, i) : i);
  }
}

/* One contribution to the gradient of `value`: straight to it if it is the first or (*adds) its
 * kernel can add, else to a part of its own that is added at once. */
static void contribute(planner *p, pl_value value, int moment, pl_place *part, bool *adds) {
  bool first = p->first_gradient[value] == 0;
  *adds = *adds && !first;
  if (first)
    p->first_gradient[value] = moment;
  else if (!*adds)
    want(p, part, value_bytes(p->net, value), moment, moment);
}

/* ---- gradients of sums ----
 *
 * The gradient of a sum is that of both summands, which need no copies of it. One of them, a
 * residual stream, may be added to later, or be a sum itself and be shared further: by then the
 * other must have been read. */

/* The step where backward, coming from step `from`, next has to do with the gradient of `value`. */
static int next_step(const planner *p, int from, pl_value value) {
  int i = from - 1;
  for (; i > p->producer[value]; i--) {
    const pl_op *op = &p->net->step[i].op;
    if (op->input[0] == value || (op->inputs == 2 && op->input[1] == value)) break;
  }
  return i;
}

/* Whether nobody has to do with `brief` but the step that made it, which is no sum, and that before
 * anybody has to do with `other`. */
static bool is_brief(const planner *p, int sum, pl_value brief, pl_value other) {
  int end = p->producer[brief];
  return next_step(p, sum, brief) == end && p->net->step[end].op.kind != PL_OP_ADD &&
         end > next_step(p, sum, other);
}

static bool may_share(const planner *p, pl_value value, pl_value sum) {
  const pl_net *net = p->net;
  return p->first_gradient[value] == 0 && net->gradient[sum].arena != PL_ARENA_DOUT &&
         pl_net_value_type(net, value) == pl_net_value_type(net, sum);
}

static void share(planner *p, pl_value value, pl_value sum, int moment) {
  p->holder[value] = p->holder[sum];
  p->first_gradient[value] = moment;
}

static void share_gradient(planner *p, int i) {
  pl_net *net = p->net;
  pl_step *step = &net->step[i];
  const pl_op *op = &step->op;
  if (op->kind != PL_OP_ADD) return;
  pl_value a = op->input[0], b = op->input[1];
  bool both = a != b && (is_brief(p, i, a, b) || is_brief(p, i, b, a));
  step->shares_dx = step->spec.need_dx && may_share(p, a, op->output);
  step->shares_dskip =
      pl_net_needs_dskip(net, step) && may_share(p, b, op->output) && (both || !step->shares_dx);
  if (step->shares_dx) share(p, a, op->output, backward_moment(net, i));
  if (step->shares_dskip) share(p, b, op->output, backward_moment(net, i));
}

/* Memory for as long as any of those that share it is read. */
static void want_gradient_memory(planner *p) {
  pl_net *net = p->net;
  int values = pl_graph_values(net->graph);
  for (pl_value v = 0; v < values; v++) {
    if (p->first_gradient[v] == 0) continue;
    int *last = &p->last_gradient[p->holder[v]], moment = backward_moment(net, p->producer[v]);
    if (moment > *last) *last = moment;
  }
  for (pl_value v = 0; v < values; v++) {
    if (p->first_gradient[v] == 0 || p->holder[v] != v) continue;
    want(p, &net->gradient[v], value_bytes(net, v), p->first_gradient[v], p->last_gradient[v]);
  }
}

static void place_shared_gradients(planner *p) {
  pl_net *net = p->net;
  for (pl_value v = 0; v < pl_graph_values(net->graph); v++)
    net->gradient[v] = net->gradient[p->holder[v]];
}

static void want_gradients(planner *p) {
  pl_net *net = p->net;
  pl_value output = net->options.output;
  if (net->output_type == PL_F32) {
    net->gradient[output].arena = PL_ARENA_DOUT;
  } else {
    p->first_gradient[output] = dout_moment(net);
  }
  for (int i = net->steps - 1; i >= 0; i--) {
    pl_step *step = &net->step[i];
    if (!step->backward) continue;
    int moment = backward_moment(net, i);
    bool never = false;
    share_gradient(p, i);
    step->adds_dx = step->needs.backward_adds_dx;
    if (step->spec.need_dx && !step->shares_dx)
      contribute(p, step->op.input[0], moment, &step->dx_part, &step->adds_dx);
    if (pl_net_needs_dskip(net, step) && !step->shares_dskip)
      contribute(p, step->op.input[1], moment, &step->dskip_part, &never);
  }
  want_gradient_memory(p);
}

static int by_size(const void *a, const void *b) {
  const region *x = a;
  const region *y = b;
  if (x->bytes != y->bytes) return x->bytes > y->bytes ? -1 : 1;
  return x->order - y->order;
}

static bool conflict(const region *a, const region *b) {
  return a->place->arena == b->place->arena && a->first <= b->last && b->first <= a->last;
}

/* The offset of the smallest gap that `r` fits into between the regions it conflicts with, which
 * stand in `placed` in the order of their offsets. */
static size_t find_gap(const region *r, region *const *placed, int count) {
  size_t end = 0;
  size_t best = 0;
  size_t best_gap = SIZE_MAX;
  for (int i = 0; i < count; i++) {
    if (!conflict(r, placed[i])) continue;
    size_t offset = placed[i]->place->offset;
    if (offset >= end + r->bytes && offset - end < best_gap) {
      best = end;
      best_gap = offset - end;
    }
    if (offset + placed[i]->bytes > end) end = offset + placed[i]->bytes;
  }
  return best_gap < SIZE_MAX ? best : end;
}

/* Large regions first, each into the tightest gap left. */
static pl_status place_regions(planner *p) {
  region **placed = pl_alloc((size_t)p->regions, sizeof(region *));
  if (!placed) return PL_E_INTERNAL;
  qsort(p->region, (size_t)p->regions, sizeof *p->region, by_size);
  for (int i = 0; i < p->regions; i++) {
    region *r = &p->region[i];
    size_t offset = find_gap(r, placed, i);
    r->place->offset = offset;
    int at = i;
    for (; at > 0 && placed[at - 1]->place->offset > offset; at--) placed[at] = placed[at - 1];
    placed[at] = r;
    size_t *arena_bytes = &p->net->arena_bytes[r->place->arena];
    if (offset + r->bytes > *arena_bytes) *arena_bytes = offset + r->bytes;
  }
  pl_free(placed);
  return PL_OK;
}

pl_status pl_net_plan_memory(pl_net *net) {
  pl_status status = PL_OK;
  size_t values = (size_t)pl_graph_values(net->graph);
  planner p = {.net = net};
  /* A step asks for its value, that value's gradient, its saved block and two parts at most. */
  p.region = pl_alloc((size_t)net->steps * 5, sizeof *p.region);
  p.producer = pl_alloc(values, sizeof *p.producer);
  p.last_use = pl_alloc(values, sizeof *p.last_use);
  p.first_gradient = pl_alloc(values, sizeof *p.first_gradient);
  p.last_gradient = pl_alloc(values, sizeof *p.last_gradient);
  p.holder = pl_alloc(values, sizeof *p.holder);
  net->value = pl_alloc(values, sizeof *net->value);
  net->gradient = pl_alloc(values, sizeof *net->gradient);
  if (!p.region || !p.producer || !p.last_use || !p.first_gradient || !p.last_gradient ||
      !p.holder || !net->value || !net->gradient) {
    status = PL_E_INTERNAL;
    goto done;
  }
  for (pl_value v = 0; v < (pl_value)values; v++) p.holder[v] = v;
  want_values(&p);
  if (net->options.training) want_gradients(&p);
  status = place_regions(&p);
  place_shared_gradients(&p);
done:
  pl_free(p.region);
  pl_free(p.producer);
  pl_free(p.last_use);
  pl_free(p.first_gradient);
  pl_free(p.last_gradient);
  pl_free(p.holder);
  return status;
}
