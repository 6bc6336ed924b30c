/* From the configuration to the options of each module: the one place where their words meet. */
#ifndef LAUNCH_SETTINGS_H
#define LAUNCH_SETTINGS_H

#include "runtime/config/config.h"
#include "runtime/data/augment.h"
#include "runtime/data/tokenizer.h"
#include "runtime/optim/optim.h"
#include "runtime/optim/schedule.h"
#include "runtime/tensor/dtype.h"

/* Lengths of a run, in steps. */
typedef struct pl_lengths {
  int64_t batch;          /* samples of the global batch */
  double steps_per_epoch; /* samples of the dataset / batch */
  int64_t steps;          /* of the whole run */
} pl_lengths;

pl_lengths pl_lengths_of(const pl_config *config, int64_t samples);

/* A duration in steps, rounded to the nearest. */
int64_t pl_duration_steps(pl_duration duration, const pl_lengths *lengths);

/* Whether a period of that length ends with step number `step` (steps done): with 97.66 steps an
 * epoch, `1 epoch` is due after 98, 196, 293 … steps. Never for a length of 0, nor before a step is
 * done. */
bool pl_duration_due(pl_duration every, const pl_lengths *lengths, int64_t step);

/* Loader threads: those asked for, or one for every four compute threads. One keeps tens of them
 * fed with small images (`plenum bench data`); large photos take more. */
int pl_loader_workers_setting(const pl_config *config, int compute_threads);

pl_augment_options pl_augment_settings(const pl_config *config);
pl_optim_options pl_optim_settings(const pl_config *config);
pl_schedule pl_schedule_settings(const pl_config *config, const pl_lengths *lengths);

/* The tokenizer of data.vocabulary, for a method that reads texts; else NULL. The caller closes it.
 * Not collective. */
pl_status pl_tokenizer_setting(const pl_config *config, pl_tokenizer **out);

/* In how many parts of the batch gradients are summed: batch.parts, or for 0 as many as there are
 * micro-batches, up to 64. */
int64_t pl_parts_setting(const pl_config *config);

/* Levels that the tree of one of `ranks` ranks has above the parts. */
int pl_parts_levels(const pl_config *config, int ranks);

/* Fills in data.vocabulary_hash, or refuses a vocabulary that is not the one it names. */
pl_status pl_vocabulary_setting(pl_config *config);

/* The type of activations: `auto` is bf16 where the processor computes in it, else f32. PL_E_USAGE
 * where bf16 is asked for and can't be had. */
pl_status pl_precision_setting(const pl_config *config, pl_dtype *precision);

#endif
