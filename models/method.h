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
  int vocabulary;       /* token ids are 0 … vocabulary-1; 0 where no texts are read */
  bool images_in_place; /* the leaves' source writes images where they are read */
} pl_method_setup;

/* A leaf's data: views of its samples, and for methods that read texts the ids of a caption each.
 */
typedef struct pl_leaf_input {
  pl_exec_input images; /* (views, micro, side, side, 3); asked for and given as by pl_exec_fetch */
  const int32_t *tokens; /* out: (micro, context), or NULL */
} pl_leaf_input;

/* Gives the data of the next local leaf, valid until the next call; called in order of leaves, once
 * in a forward pass and, where activations are recomputed, once more in the backward pass. */
typedef struct pl_leaf_source {
  pl_status (*fetch)(void *context, int64_t leaf, pl_leaf_input *input);
  void *context;
} pl_leaf_source;

/* What a step is asked for. */
typedef struct pl_step_request {
  int64_t step; /* from 0: part of the key of random numbers */
  pl_leaf_source source;
  bool want_uniformity;
} pl_step_request;

/* What can be compiled for evaluation. */
typedef enum pl_part {
  PL_PART_ENCODER, /* images to representations, before any projection */
  PL_PART_IMAGES,  /* images to unit embeddings beside those of texts */
  PL_PART_TEXTS    /* token ids to unit embeddings beside those of images */
} pl_part;

/* Figures and milliseconds of one step on this rank; figures are the same on all ranks. */
typedef struct pl_step_report {
  pl_contrast_figures figures;
  double forward_ms, gather_ms, loss_ms, backward_ms; /* fetching images counts in none of them */
} pl_step_report;

/* The end of a part of a step: the time in milliseconds (runtime/base/clock.h). A device works on
 * what was queued while its host goes on, so that times are those of queueing; with run.time_apart
 * it is waited for first. Not collective. */
pl_status pl_step_part_end(const pl_config *config, const pl_device *device, double *ms);

typedef struct pl_method pl_method;

/* Adds the parameters of config->method to the space. Not collective. */
pl_status pl_method_create(const pl_method_setup *setup, pl_method **out);
void pl_method_destroy(pl_method **method);

/* Views of each sample that a leaf's images hold. */
int pl_method_views(const pl_method *method);

/* Compiles for training. The rank's leaves follow from the batch and the number of ranks
 * (pl_tree_part). Collective. */
pl_status pl_method_prepare(pl_method *method);

/* Gives back what prepare made, after the last step or before there was one; parts can be compiled
 * all the same. Not collective. */
void pl_method_end_steps(pl_method *method);

/* Hands over new parameters; see pl_net_load. */
pl_status pl_method_load(pl_method *method, const void *image, const float *buffers);

/* One step without the update: embeds the local leaves, gathers, computes the loss over the global
 * batch, and differentiates; gradients of all parameters go to `sums` (whose done callback starts
 * the reduction), running statistics in `buffers` move on. Collective. */
pl_status pl_method_step(pl_method *method, const pl_step_request *request, float *buffers,
                         pl_gradsum *sums, pl_step_report *report);

/* A part alone, for evaluation, with running statistics; `rows` images or texts per forward. The
 * caller destroys the net before the method. PL_E_USAGE where the method has no such part. */
pl_status pl_method_compile_part(const pl_method *method, pl_part part, int rows, pl_net **out);

/* A parameter with a rate of its own, and a bound that it is held to after each step. */
typedef struct pl_scalar_rule {
  int param;
  double rate; /* times lr */
  float most;
} pl_scalar_rule;

enum { PL_SCALAR_RULES = 2 };

/* The method's rules (at most PL_SCALAR_RULES, copied to `rules`); returns how many. */
int pl_method_scalars(const pl_method *method, pl_scalar_rule *rules);

/* Bytes that this rank sends in a step. */
typedef struct pl_method_sent {
  size_t embeddings; /* for all ranks */
  size_t statistics; /* of the loss, likewise */
  size_t norms;      /* in sums of batch norms over ranks */
} pl_method_sent;

pl_method_sent pl_method_sent_bytes(const pl_method *method);

/* Exact figures of the training networks, per leaf. */
pl_net_costs pl_method_costs(const pl_method *method);

#endif
