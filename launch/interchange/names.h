/* Inside of launch/interchange: which name stands for what. */
#ifndef LAUNCH_INTERCHANGE_NAMES_H
#define LAUNCH_INTERCHANGE_NAMES_H

#include <stdbool.h>

#include "runtime/tensor/space.h"

/* "visual." or "encoder.": how the names of the image encoder begin in this space. */
const char *pl_interchange_prefix(const pl_space *space);

/* The name without the prefix; NULL where it has another beginning. */
const char *pl_interchange_below(const char *prefix, const char *name);

/* For a running mean: the length of the norm's name with its dot, "layer1.0.bn1."; else 0. */
int pl_interchange_norm_length(const char *name);

/* A number without dimensions in files, where the space has one dimension of 1. */
bool pl_interchange_is_scalar(const char *name);

/* Below the prefix: the projection into a common space, which encoders that were trained otherwise
 * lack. */
bool pl_interchange_is_projection(const char *name);

/* What files hold that is no parameter: counts, positions and masks that follow from the shape. */
bool pl_interchange_is_bookkeeping(const char *name);

/* The classifier that an encoder was trained with, which nothing here needs. */
bool pl_interchange_is_classifier(const char *name);

#endif
