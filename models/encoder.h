/* The encoder that a configuration asks for, and what its words mean. */
#ifndef MODELS_ENCODER_H
#define MODELS_ENCODER_H

#include "runtime/config/config.h"
#include "runtime/net/graph.h"
#include "runtime/net/net.h"

/* Adds the configured encoder to `g`; names start with `prefix`. Gives (rows, features). */
pl_value pl_encoder(pl_graph *g, const char *prefix, const pl_config *config, pl_value images);

pl_gelu pl_gelu_setting(const pl_config *config);
pl_norm_scope pl_norm_scope_setting(const pl_config *config);

#endif
