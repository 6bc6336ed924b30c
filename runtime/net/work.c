#include "runtime/net/work.h"

/* A product with weights, each of which is met once by each element of the output or the window:
 * backward is one like it for the weights, and one for the input. */
static pl_work product(const pl_kernel_spec *spec, double forward) {
  return (pl_work){forward, (spec->need_dx ? 2 : 1) * forward};
}

static pl_work of_elements(double elements, double forward, double backward) {
  return (pl_work){elements * forward, elements * backward};
}

pl_work pl_work_of(const pl_kernel_spec *spec) {
  const pl_op *op = spec->op;
  double out = (double)spec->rows * (double)pl_shape_elements(op->out_shape);
  double window = (double)op->window.kernel * op->window.kernel;
  double in = (double)(op->each ? op->in_shape.channels : pl_shape_elements(op->in_shape));
  switch (op->kind) {
    case PL_OP_CONV: return product(spec, 2 * out * op->in_shape.channels * window);
    case PL_OP_LINEAR: return product(spec, 2 * out * in);
    case PL_OP_ATTENTION: /* q kᵀ and p v; backward those of q, k, v and p, and q kᵀ again */
      return of_elements(2 * out * op->out_shape.height * op->out_shape.width, 2, 5);
    case PL_OP_BATCH_NORM: /* sums x and x², and applies; sums of two kinds, and applies */
      return of_elements(out, spec->training ? 6 : 3, 9);
    case PL_OP_LAYER_NORM: return of_elements(out, 8, 14);
    case PL_OP_L2_NORMALIZE: return of_elements(out, 3, 7);
    case PL_OP_GELU: /* about; mostly the exponential */ return of_elements(out, 30, 30);
    case PL_OP_MAX_POOL:
    case PL_OP_AVG_POOL: return of_elements(out, window, window);
    case PL_OP_RELU:
    case PL_OP_POSITIONS:
    case PL_OP_DROPOUT: return of_elements(out, 1, 1);
    case PL_OP_ADD: /* backward both get the gradient as it is */ return of_elements(out, 1, 0);
    case PL_OP_EMBEDDING: /* forward copies */ return of_elements(out, 0, 1);
    case PL_OP_INPUT:
    case PL_OP_TOKENS:
    case PL_OP_SELECT: break;
  }
  return (pl_work){0, 0};
}
