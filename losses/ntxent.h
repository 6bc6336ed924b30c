/* NT-Xent, the loss of SimCLR (Chen et al., "A simple framework for contrastive learning of visual
 * representations", ICML 2020), over the global batch.
 *
 * Rows are unit embeddings of V = 2 views of B samples; the positive of a row is the other view of
 * its sample, the negatives are all other rows of the batch, on whichever rank. Row order: leaf by
 * leaf, within a leaf all first views and then all second views. With s = z·z′ and
 * L = 1/(2B) Σ_i −log( e^{s(i,i⁺)/τ} / Σ_{k≠i} e^{s(i,k)/τ} ). */
#ifndef LOSSES_NTXENT_H
#define LOSSES_NTXENT_H

#include "losses/pair.h"

/* Figures of one step over the global batch, the same on all ranks and for any number of them. */
typedef struct pl_contrast_figures {
  double loss;
  double accuracy;   /* share of rows whose positive is more similar than every negative */
  double alignment;  /* E ‖z − z⁺‖² (Wang & Isola 2020, α = 2); every call */
  double uniformity; /* log E_{i≠j} e^{−2‖z_i − z_j‖²} (t = 2); NaN unless asked for */
} pl_contrast_figures;

/* Loss, its figures and its gradient. z, dz: (local rows, width), memory of the sweep's device; z
 * must have been produced with unit rows; dz may be NULL (figures only). `leaf_samples` samples per
 * leaf, two rows each. PL_E_USAGE unless temperature > 0. A loss that is not finite is no error
 * here: the caller looks. Collective; temperature and want_uniformity must match on all ranks. */
pl_status pl_ntxent(pl_pair_sweep *sweep, const float *z, int leaf_samples, double temperature,
                    bool want_uniformity, pl_contrast_figures *figures, float *dz);

/* Bytes that this rank sends in pl_ntxent. */
pl_pair_sent pl_ntxent_sent_bytes(const pl_pair_sweep *sweep);

#endif
