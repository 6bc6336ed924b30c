/* Small networks of every kind of operation, for tests of a backend with whole networks. */
#ifndef TESTS_UNIT_SMALL_NETWORKS_H
#define TESTS_UNIT_SMALL_NETWORKS_H

#include "tests/unit/net_rig.h"

/* A residual block between a stem and a projection head; a transformer over patches, and a causal
 * one with dropout over token ids. */
pl_value small_residual(pl_graph *g, pl_value x);
pl_value small_vision(pl_graph *g, pl_value x);
pl_value small_text(pl_graph *g, pl_value tokens);

/* Four leaves of them. backend NULL: the naive one. */
rig_options small_residual_options(const pl_backend *backend, pl_norm_scope scope,
                                   pl_dtype precision);
rig_options small_vision_options(const pl_backend *backend, pl_dtype precision);
rig_options small_text_options(const pl_backend *backend, pl_dtype precision);

#endif
