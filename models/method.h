/* Methods: which views go through which networks to which loss.
 *
 * A method is built in two steps. pl_method_create adds its parameters to the space; then the
 * caller seals the space and calls pl_method_prepare, which compiles the networks and reserves all
 * memory. After that pl_method_step turns a batch into parameter gradients, and nothing allocates.
 */
#ifndef MODELS_METHOD_H
#define MODELS_METHOD_H

#include "comm/comm.h"
#include "losses/ntxent.h"
#include "runtime/config/config.h"
#include "runtime/net/exec.h"

/* What a method is built from; everything pointed to outlives it. */
typedef struct pl_method_setup {
  const pl_config *config;
  pl_comm *comm;
  const pl_backend *backend;
  pl_dtype precision;
  pl_space *space;
} pl_method_setup;

/* Where a step's images come from; see pl_exec_fetch for order and lifetime. */
typedef struct pl_image_source {
  pl_exec_fetch fetch;
  void *context;
} pl_image_source;

/* Figures and milliseconds of one step on this rank; figures are the same on all ranks. */
typedef struct pl_step_report {
  pl_contrast_figures figures;
  double forward_ms, gather_ms, loss_ms, backward_ms; /* fetching images counts in none of them */
} pl_step_report;

typedef struct pl_method pl_method;

/* Adds the parameters of config->method to the space. Not collective. */
pl_status pl_method_create(const pl_method_setup *setup, pl_method **out);
void pl_method_destroy(pl_method **method);

/* Views of each sample that a leaf's images hold. */
int pl_method_views(const pl_method *method);

/* Compiles for training. The rank's leaves follow from the batch and the number of ranks
 * (pl_tree_part). Collective. */
pl_status pl_method_prepare(pl_method *method);

/* Hands over new parameters; see pl_net_load. */
pl_status pl_method_load(pl_method *method, const void *image, const float *buffers);

/* One step without the update: embeds the local leaves, gathers, computes the loss over the global
 * batch, and differentiates; gradients of all parameters go to `sums` (whose done callback starts
 * the reduction), running statistics in `buffers` move on. Collective. */
pl_status pl_method_step(pl_method *method, const pl_image_source *source, float *buffers,
                         bool want_uniformity, pl_gradsum *sums, pl_step_report *report);

/* The encoder alone, for evaluation: images to representations, with running statistics. `rows`
 * images per forward. The caller destroys the net before the method. */
pl_status pl_method_compile_encoder(const pl_method *method, int rows, pl_net **out);

/* Exact figures of the training networks (per leaf) and bytes held for activations and the loss. */
pl_net_costs pl_method_costs(const pl_method *method);
size_t pl_method_bytes(const pl_method *method);

#endif
