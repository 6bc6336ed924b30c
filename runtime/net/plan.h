/* The inside of a compiled network; private to runtime/net. */
#ifndef PL_NET_PLAN_H
#define PL_NET_PLAN_H

#include "runtime/net/net.h"
#include "runtime/net/work.h"

/* A leaf's memory. What must outlive the border between forward and backward is held, per leaf; all
 * else is scratch that leaves share, one after another. Where norms reach beyond the leaf, all
 * leaves are under way at once: then everything is held, and gradients reuse what backward has left
 * behind. */
typedef enum pl_arena {
  PL_ARENA_NONE,
  PL_ARENA_HELD,
  PL_ARENA_SCRATCH,
  PL_ARENA_DOUT /* the caller's gradient of the output */
} pl_arena;

enum { PL_ARENAS = 3 };

typedef struct pl_place {
  pl_arena arena;
  size_t offset; /* bytes from the arena's start, a multiple of PL_ALIGNMENT */
} pl_place;

/* One operation as it is executed. Step 0 is the input and has no kernel. */
typedef struct pl_step {
  pl_op op;
  pl_kernel_spec spec;
  pl_kernel *kernel;
  pl_kernel_needs needs;
  pl_work work;     /* of one leaf, with what backward does of it */
  bool backward;    /* some parameter's gradient comes from here or from before here */
  size_t statistic; /* norms in training: where theirs start in the vector of all statistics */
  pl_place saved;
  /* Where dx and dskip go when they are not the first contribution to their value's gradient: they
   * are added to it then. Nowhere if the kernel adds dx itself. */
  pl_place dx_part, dskip_part;
  bool adds_dx;
  bool shares_dx, shares_dskip; /* a sum: that of the input has the memory of the output's */
} pl_step;

struct pl_net {
  const pl_graph *graph;
  pl_net_options options;
  pl_step *step;
  int steps;
  const void *image;    /* the parameters that kernels were loaded with last */
  pl_dtype output_type; /* PL_F32 unless the backend can't write it, then the precision */
  bool *trains;         /* (values): whether the value depends on parameters */
  pl_place *value;      /* (values) */
  pl_place *gradient;   /* (values) */
  size_t arena_bytes[PL_ARENAS];
  size_t kernel_scratch_bytes; /* the most that a kernel needs during a call */
  /* Batch norm in training. */
  bool wide;          /* some norm's statistics reach beyond the leaf */
  size_t widest_sums; /* the largest needs.phase_sums */
  size_t statistics;  /* doubles: means and variances of all norms */
};

static inline pl_dtype pl_net_value_type(const pl_net *net, pl_value value) {
  if (pl_graph_op(net->graph, value)->kind == PL_OP_TOKENS) return PL_I32;
  return value == net->options.output ? net->output_type : net->options.precision;
}

/* Whether the gradient of the step's second input is asked for. */
static inline bool pl_net_needs_dskip(const pl_net *net, const pl_step *step) {
  return step->backward && step->op.inputs == 2 && net->trains[step->op.input[1]];
}

/* Elements of a value for one leaf. */
static inline size_t pl_net_value_elements(const pl_net *net, pl_value value) {
  return (size_t)net->options.rows *
         (size_t)pl_shape_elements(pl_graph_value_shape(net->graph, value));
}

/* Fills net->step with the operations that the output needs, fused where that is possible. */
pl_status pl_net_select_steps(pl_net *net);

/* Finds every value, gradient and saved block its place. */
pl_status pl_net_plan_memory(pl_net *net);

#endif
