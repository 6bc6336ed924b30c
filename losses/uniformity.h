/* Uniformity of embeddings on the sphere (Wang and Isola, "Understanding contrastive representation
 * learning through alignment and uniformity on the hypersphere", ICML 2020, t = 2). */
#ifndef LOSSES_UNIFORMITY_H
#define LOSSES_UNIFORMITY_H

#include "losses/pair.h"

/* *uniformity = log E_{i≠j} e^{−2‖z_i − z_j‖²} over the global batch; NaN for a batch of one row.
 * z: (local rows, width), unit rows, memory of the sweep's device. Gathers z: what the sweep had
 * gathered is gone. Collective. */
pl_status pl_uniformity(pl_pair_sweep *sweep, const float *z, double *uniformity);

#endif
