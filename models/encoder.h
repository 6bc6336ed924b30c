/* The encoder that a configuration asks for. */
#ifndef MODELS_ENCODER_H
#define MODELS_ENCODER_H

#include "runtime/config/config.h"
#include "runtime/net/graph.h"

/* Adds the configured encoder to `g`; names start with `prefix`. Gives (rows, features). */
pl_value pl_encoder(pl_graph *g, const char *prefix, const pl_config *config, pl_value images);

#endif
