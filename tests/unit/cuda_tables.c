#include "tests/unit/cuda_tables.h"

const op_table *const cuda_tables[] = {
    &op_pointwise,   &op_convolutions,     &op_linears,     &op_linears_each, &op_gelus,
    &op_attentions,  &op_fused_attentions, &op_batch_norms, &op_pools,        &op_l2_normalize,
    &op_layer_norms, &op_embeddings,       &op_positions,   &op_selects,      &op_dropouts,
};
const size_t cuda_table_count = sizeof cuda_tables / sizeof *cuda_tables;
