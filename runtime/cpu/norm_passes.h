/* The four sweeps of batch norm over activations (positions, channels), each of which reads every
 * element once. Threads share the positions in chunks that depend on the shape only; the sums of
 * the chunks are added in their order. */
#ifndef PL_CPU_NORM_PASSES_H
#define PL_CPU_NORM_PASSES_H

#include <stdbool.h>

#include "runtime/tensor/dtype.h"

typedef struct pl_norm_shape {
  int64_t positions, chunk; /* chunk: positions that are summed together; see pl_norm_chunks */
  int channels;
  pl_dtype in_type, out_type; /* of x, skip, dx, dskip; of y, dy. Not f32 in and bf16 out */
  bool add, relu;             /* y = relu(norm(x) + skip) */
} pl_norm_shape;

/* Per channel: y = (x - mean) * scale + bias. */
typedef struct pl_norm_line {
  const float *mean, *scale, *bias;
} pl_norm_line;

/* How many chunks `positions` are cut into; sets shape->chunk. */
int64_t pl_norm_chunks(pl_norm_shape *shape);

/* sums: Σx, then Σx² of each channel. partial: chunks * 2 * channels doubles of scratch. */
void pl_norm_sum(const pl_norm_shape *shape, const void *x, double *partial, double *sums);

void pl_norm_apply(const pl_norm_shape *shape, pl_norm_line line, const void *x, const void *skip,
                   void *y);

/* g = dy where the relu let pass, else 0. sums: Σg, then Σ g (x - mean). y is read where both add
 * and relu are set; else the mask is worked out from x. */
void pl_norm_sum_gradient(const pl_norm_shape *shape, pl_norm_line line, const void *x,
                          const void *y, const void *dy, double *partial, double *sums);

/* dx = scale * g - offset - slope * (x - mean); dskip = g where add is set. Either may be
 * NULL. */
void pl_norm_apply_gradient(const pl_norm_shape *shape, pl_norm_line line, const float *offset,
                            const float *slope, const void *x, const void *y, const void *dy,
                            void *dx, void *dskip);

#endif
