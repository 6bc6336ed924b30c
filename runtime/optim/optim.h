/* Optimizers on a slice of the flat state.
 *
 * Each rank updates the blocks it owns; moments exist only there. What needs a number over a whole
 * parameter (layer-wise rates) or the whole vector (gradient norm) takes block sums in double,
 * summed in block order, through pl_ranks. Weight decay and layer-wise rates apply to weights, not
 * to biases and gains (runtime/tensor/space.h). All arithmetic is f32 per element; the same bits
 * whatever the cut and the number of threads.
 *
 * The slice's vectors lie in memory of one device, which computes the passes over them
 * (pl_device.optim); what is decided from sums is decided on the host. */
#ifndef PL_OPTIM_OPTIM_H
#define PL_OPTIM_OPTIM_H

#include <stdbool.h>

#include "runtime/base/ranks.h"
#include "runtime/tensor/device.h"
#include "runtime/tensor/space.h"

typedef enum pl_optim_kind {
  PL_OPTIM_SGD,   /* momentum, Nesterov; decay added to the gradient (PyTorch's SGD) */
  PL_OPTIM_LARS,  /* You et al. 2017, as in SimCLR's code: see lars.c */
  PL_OPTIM_ADAMW, /* Loshchilov & Hutter 2019 (PyTorch's AdamW) */
  PL_OPTIM_LAMB   /* You et al. 2020, algorithm 2, with bias correction */
} pl_optim_kind;

typedef struct pl_optim_options {
  pl_optim_kind kind;
  bool nesterov;   /* SGD, LARS */
  double momentum; /* SGD, LARS */
  double weight_decay;
  double beta1, beta2, epsilon; /* AdamW, LAMB */
  double trust;                 /* LARS: the coefficient η */
  double clip;                  /* largest norm of the whole gradient; 0: any */
} pl_optim_options;

typedef struct pl_optim pl_optim;

/* Everything that is pointed to, but for `options`, must outlive it. Not collective. */
pl_status pl_optim_create(const pl_device *device, const pl_space *space, const pl_slice *slice,
                          const pl_ranks *ranks, const pl_optim_options *options, pl_optim **out);
void pl_optim_destroy(pl_optim **optim);

/* Multiplies the rate of one parameter, from now on; 1 at the start. */
void pl_optim_scale_rate(pl_optim *optim, int param, double factor);

/* No element of the parameter is left above `most`, which is not negative, by a step from now on.
 */
void pl_optim_bound(pl_optim *optim, int param, double most);

/* One step at rate `lr`: updates master (slice->blocks * PL_BLOCK floats) from gradient (likewise),
 * which it may overwrite; both are in memory of the device. `step` counts from 0 (bias correction).
 * Gives the norm of the whole gradient, before clipping, the same on all ranks; if that is not
 * finite, nothing is changed and the caller decides. A gradient whose norm is above options.clip is
 * first scaled down to it (Pascanu et al. 2013). Padding stays zero. Collective. */
pl_status pl_optim_step(pl_optim *optim, double lr, int64_t step, float *master, float *gradient,
                        double *gradient_norm);

/* The moments, for checkpoints and hashes: pl_optim_moments vectors of slice->blocks * PL_BLOCK
 * floats each in memory of the device, owned by the optimizer. Names are static: "momentum",
 * "first", "second". */
int pl_optim_moments(const pl_optim *optim);
float *pl_optim_moment(pl_optim *optim, int index);
const char *pl_optim_moment_name(const pl_optim *optim, int index);

/* average += rate (values - average), element by element, in memory of the device. */
pl_status pl_optim_follow(const pl_device *device, float *average, const float *values, size_t n,
                          float rate);

/* How many doubles a step sums over ranks. */
size_t pl_optim_summed(const pl_optim *optim);

#endif
