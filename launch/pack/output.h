/* The folder that a dataset is made in, and its becoming the dataset. */
#ifndef LAUNCH_PACK_OUTPUT_H
#define LAUNCH_PACK_OUTPUT_H

#include <stdbool.h>

#include "runtime/base/file.h"

typedef struct pl_output {
  char final[PL_PATH_MAX];
  char making[PL_PATH_MAX]; /* final + ".tmp" */
} pl_output;

/* Works out both paths. Not collective. */
pl_status pl_output_paths(const char *out, pl_output *output);

/* Creates the folder `making`, empty. PL_E_USAGE where `final` exists and is not empty, unless
 * `overwrite` is given and it holds a dataset and nothing else. One rank calls it. */
pl_status pl_output_begin(const pl_output *output, bool overwrite);

/* Makes `making` the dataset at `final`, in place of what was there. One rank calls it. */
pl_status pl_output_commit(const pl_output *output);

/* Removes `making`; keeps the calling thread's reason. One rank calls it. */
void pl_output_discard(const pl_output *output);

#endif
