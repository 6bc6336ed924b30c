/* A backend: who computes operations. One table of functions; see runtime/cpu for the first one.
 *
 * Compile asks `supports` for each operation and then `prepare`s a kernel for it, which is fixed in
 * shape, types and mode. Kernels hold no activations: those are handed in at every call, so one
 * kernel serves all leaves. Calls for one kernel come from one thread at a time. Everything a
 * kernel computes must be a pure function of its arguments and the thread count, bit for bit. */
#ifndef PL_NET_BACKEND_H
#define PL_NET_BACKEND_H

#include "runtime/net/graph.h"
#include "runtime/tensor/device.h"

typedef struct pl_kernel pl_kernel; /* belongs to the backend */

/* How an operation is to be computed. */
typedef struct pl_kernel_spec {
  const pl_op *op; /* outlives the kernel */
  const pl_space *space;
  int rows;
  pl_dtype in_type, out_type; /* of x and dx; of y and dy. skip and dskip have in_type, but token
                                 ids are PL_I32 */
  bool training;              /* false: forward only; batch norm uses running statistics, and
                                 there is no dropout */
  bool need_dx;               /* false for the first operation after the input */
} pl_kernel_spec;

/* What a kernel needs besides its values; filled by prepare. */
typedef struct pl_kernel_needs {
  size_t saved_bytes;   /* kept from forward to backward of a leaf, besides x and y */
  size_t scratch_bytes; /* during a call */
  bool backward_reads_x, backward_reads_y; /* else that value may be gone by then */
  bool backward_reads_skip;
  bool backward_adds_dx; /* it can add dx to what stands there (pl_kernel_args.add_dx) */
  /* Batch norm: doubles per leaf that must be summed over the scope between the two phases of
   * forward (and of backward); 0 for operations of one phase. */
  size_t phase_sums;
} pl_kernel_needs;

/* Pointers of one call; those that do not apply are NULL. */
typedef struct pl_kernel_args {
  const void *x;          /* (rows, in_shape) */
  const void *skip;       /* second input: shape of y; select: token ids (rows, length), int32 */
  void *y;                /* (rows, out_shape) */
  void *saved;            /* saved_bytes */
  void *scratch;          /* scratch_bytes */
  const void *dy;         /* (rows, out_shape) */
  void *dx;               /* (rows, in_shape); written, or */
  bool add_dx;            /* added to what stands there: only with needs.backward_adds_dx */
  void *dskip;            /* gradient of the second input; written; NULL where nobody asks */
  float *dweight, *dbias; /* f32, master layout; written, not added to */
  uint64_t seed;          /* dropout: the key of its random numbers, with op->number */
  uint32_t draw_step;
  uint64_t draw_leaf; /* of the global batch */
} pl_kernel_args;

typedef struct pl_backend {
  const char *name;
  const pl_device *device; /* whose memory all pointers are, but for `buffers` of load */

  /* NULL if the kernel can be made, else a static text that says why not. */
  const char *(*supports)(const pl_kernel_spec *spec);
  pl_status (*prepare)(const pl_kernel_spec *spec, pl_kernel **out, pl_kernel_needs *needs);
  void (*destroy)(pl_kernel **kernel);

  /* Takes the parameters from the compute image, in memory of the device, and the running
   * statistics from the buffer vector on the host; must be called before the first forward and
   * whenever these changed. `image` and `buffers` stay valid, and unchanged while the kernel is
   * used, until the next call. */
  pl_status (*load)(pl_kernel *kernel, const void *image, const float *buffers);

  /* One-phase operations. */
  pl_status (*forward)(pl_kernel *kernel, const pl_kernel_args *args);
  pl_status (*backward)(pl_kernel *kernel, const pl_kernel_args *args);

  /* Two-phase operations (training batch norm). forward_sums gives this leaf's sums: per channel
   * Σx, then per channel Σx². The caller sums them over the scope and hands the totals over `count`
   * elements per channel to forward_apply. backward_sums reads dy and gives per channel Σdy, then
   * Σdy·x̂ (dy after the fused relu's mask); it also writes dweight and dbias, this leaf's part.
   * backward_apply takes the totals and writes dx and dskip. */
  pl_status (*forward_sums)(pl_kernel *kernel, const pl_kernel_args *args, double *sums);
  pl_status (*forward_apply)(pl_kernel *kernel, const pl_kernel_args *args, const double *totals,
                             double count);
  pl_status (*backward_sums)(pl_kernel *kernel, const pl_kernel_args *args, double *sums);
  pl_status (*backward_apply)(pl_kernel *kernel, const pl_kernel_args *args, const double *totals,
                              double count);

  /* What a step contributes to the running statistics of a norm, from its totals over `count`
   * elements per channel: per channel the mean, then per channel the unbiased variance. */
  pl_status (*moments)(double *statistic, const double *totals, size_t channels, double count);

  /* to[0..n) = a + b (gradients of a value that several operations read); types alike. `to` may be
   * one of the others. */
  pl_status (*add)(pl_dtype type, void *to, const void *a, const void *b, size_t n);
  /* to[0..n) = from[0..n) converted. */
  pl_status (*convert)(pl_dtype to_type, void *to, pl_dtype from_type, const void *from, size_t n);
} pl_backend;

#endif
