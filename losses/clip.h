/* The two losses of image-text training, over the global batch of B pairs. Rows x (images) and y
 * (texts) are unit embeddings, pair k being row k of both in global order; s = x·y.
 *
 * CLIP (Radford et al., "Learning transferable visual models from natural language supervision",
 * ICML 2021): L = 1/2 (mean_i CE(e^t s_i·, i) + mean_j CE(e^t s_·j, j)).
 * SigLIP (Zhai et al., "Sigmoid loss for language image pre-training", ICCV 2023):
 * L = -1/B sum_ij log sigma(z_ij (e^t s_ij + b)), z = 1 on the diagonal, -1 elsewhere.
 *
 * Temperature t and bias b are learned; their gradients are exact sums over all pairs, added over
 * rows within a leaf and up the batch tree, so no bit depends on the number of ranks. */
#ifndef LOSSES_CLIP_H
#define LOSSES_CLIP_H

#include "losses/ntxent.h"
#include "losses/pair.h"

typedef enum pl_clip_kind { PL_CLIP_SOFTMAX, PL_CLIP_SIGMOID } pl_clip_kind;

/* Buffers and the two sweeps, images over texts and texts over images. */
typedef struct pl_clip_loss pl_clip_loss;

/* `options` as for the pair sweep, leaf_rows pairs a leaf. Collective; options must match on all
 * ranks. */
pl_status pl_clip_loss_create(pl_comm *comm, pl_clip_kind kind, const pl_pair_options *options,
                              pl_clip_loss **out);
void pl_clip_loss_destroy(pl_clip_loss **loss);

/* Loss over the global batch, figures (accuracy: share of rows of both kinds whose partner is the
 * most similar; alignment E ‖x − y‖²; uniformity: NaN unless asked for, then over the images), and
 * gradients: dx, dy (local pairs, width; both may be NULL; memory of the device, as x and y),
 * *dlog_scale = dL/dt, *dbias = dL/db (0 for CLIP), the same on all ranks. A loss that is not
 * finite is no error here: the caller looks. Collective; log_scale, bias and want_uniformity must
 * match on all ranks. */
pl_status pl_clip(pl_clip_loss *loss, const float *x, const float *y, double log_scale, double bias,
                  bool want_uniformity, pl_contrast_figures *figures, float *dx, float *dy,
                  double *dlog_scale, double *dbias);

/* The sweep of images over texts: which pairs are this rank's, and the shapes in use. */
const pl_pair_sweep *pl_clip_loss_sweep(const pl_clip_loss *loss);

size_t pl_clip_loss_bytes(const pl_clip_loss *loss);
double pl_clip_gather_ms(const pl_clip_loss *loss);

/* Bytes that this rank sends in pl_clip, both sweeps together. */
pl_pair_sent pl_clip_sent_bytes(const pl_clip_loss *loss);

#endif
