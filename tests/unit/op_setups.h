/* Operations on awkward shapes: what every backend is tried on. */
#ifndef TESTS_UNIT_OP_SETUPS_H
#define TESTS_UNIT_OP_SETUPS_H

#include "tests/unit/op_fixture.h"

/* Setups of one kind; their types are left to the test. */
typedef struct op_table {
  const op_setup *setups;
  size_t count;
  bool widens; /* the operation also reads bf16 and writes f32 */
} op_table;

/* Of images. */
extern const op_table op_convolutions, op_linears, op_batch_norms, op_pools, op_pointwise,
    op_l2_normalize;

/* Of sequences. */
extern const op_table op_linears_each, op_attentions, op_fused_attentions, op_layer_norms,
    op_embeddings, op_positions, op_gelus, op_selects, op_dropouts;

#endif
