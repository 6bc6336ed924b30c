/* Weights in files that other programs read and write: names and layouts.
 *
 * Tensors here are laid out as PyTorch's are, and have the names of open_clip (image-text models)
 * or, below the prefix of the encoder, of torchvision (ResNets) and open_clip's towers. So a file
 * of a whole model has the names of the parameter space; a file of an encoder alone has them
 * without the prefix, and a torchvision ResNet whose `fc` is an identity, or the `visual` of an
 * open_clip model, loads it as it is. What such files hold beside: a number of batches seen for
 * each batch norm. */
#ifndef LAUNCH_INTERCHANGE_INTERCHANGE_H
#define LAUNCH_INTERCHANGE_INTERCHANGE_H

#include <stdbool.h>

#include "launch/state.h"
#include "runtime/store/safetensors.h"

/* ---- out ---- */

typedef struct pl_interchange_list {
  pl_safetensor *tensor; /* (count); values point into the state and to `batches` */
  int count;
  int64_t elements; /* of the parameters and buffers among them */
  int64_t batches;  /* what each batch norm is said to have seen: the steps done */
} pl_interchange_list;

/* What a file of the state holds: everything, or the encoder alone. Parameters are taken from the
 * image, which must be f32 and on the host. `out` must be freed, also after an error, and stays
 * where it is. Not collective. */
pl_status pl_interchange_list_make(const pl_state *state, bool encoder_alone,
                                   pl_interchange_list *out);
void pl_interchange_list_free(pl_interchange_list *list);

/* Whether the model is more than an encoder and what training adds to it: images beside texts. */
bool pl_interchange_has_towers(const pl_space *space);

/* ---- in ---- */

/* Where the values of a space come from. */
typedef struct pl_interchange_plan {
  bool encoder_alone; /* the file is that of an encoder */
  int *param;         /* (params): the file's tensor for each; -1: initialised from the seed */
  int *buffer;        /* (buffers): likewise */
  int taken, seeded;  /* numbers of both */
  char *seeded_names; /* of those from the seed, separated by ", "; of free() */
  char *left_names;   /* what the file has and the model lacks by nature: a classifier; of free() */
} pl_interchange_plan;

/* Finds the file's tensor for every parameter and buffer. PL_E_DATA names all that are missing,
 * extra, of another shape, or of a type that is not read; those that do not fit into the message go
 * to the log where `tell` is set. A file without the encoder's prefix is one of an encoder alone,
 * whose other parts begin from the seed. `out` must be freed, also after an error. Not collective.
 */
pl_status pl_interchange_match(const char *path, const pl_safetensors *file, const pl_space *space,
                               bool tell, pl_interchange_plan *out);
void pl_interchange_plan_free(pl_interchange_plan *plan);

/* Reads what the plan takes into an initialised state: this rank's slice, the buffers, and the
 * averages, which begin as what they follow. The image is left to be gathered. PL_E_DATA where a
 * value is not finite. Not collective. */
pl_status pl_interchange_load(const char *path, const pl_safetensors *file,
                              const pl_interchange_plan *plan, pl_state *state);

#endif
