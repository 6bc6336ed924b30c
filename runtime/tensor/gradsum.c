#include "runtime/tensor/gradsum.h"

#include <stdbool.h>

#include "runtime/base/memory.h"
#include "runtime/base/tree.h"

struct pl_gradsum {
  const pl_space *space;
  int64_t leaves;
  float *sums;        /* (pl_tree_depth(leaves), elements): the stack of partial sums */
  int64_t *next_leaf; /* (params): the leaf that each parameter expects */
  pl_gradsum_done done;
  void *context;
};

pl_status pl_gradsum_create(const pl_space *space, int64_t leaves, pl_gradsum **out) {
  pl_status status = PL_OK;
  pl_gradsum *sums = pl_alloc(1, sizeof *sums);
  if (!sums) return PL_E_INTERNAL;
  sums->space = space;
  sums->leaves = leaves;
  sums->sums = pl_alloc((size_t)pl_tree_depth(leaves),
                        (size_t)pl_space_elements(space) * sizeof *sums->sums);
  sums->next_leaf = pl_alloc((size_t)pl_space_params(space), sizeof *sums->next_leaf);
  if (!sums->sums || !sums->next_leaf) {
    status = PL_E_INTERNAL;
    pl_gradsum_destroy(&sums);
  }
  *out = sums;
  return status;
}

void pl_gradsum_destroy(pl_gradsum **sums) {
  if (!*sums) return;
  pl_free((*sums)->sums);
  pl_free((*sums)->next_leaf);
  pl_free(*sums);
  *sums = NULL;
}

void pl_gradsum_on_done(pl_gradsum *sums, pl_gradsum_done done, void *context) {
  sums->done = done;
  sums->context = context;
}

/* The region of `param` at a position of the stack. */
static float *region(const pl_gradsum *sums, int position, const pl_param *param) {
  return sums->sums + position * pl_space_elements(sums->space) + param->first_block * PL_BLOCK;
}

float *pl_gradsum_slot(pl_gradsum *sums, int64_t leaf, int param) {
  return region(sums, pl_tree_slot(sums->leaves, leaf), pl_space_param(sums->space, param));
}

/* Small parameters are not worth waking the team. */
static void add_blocks(float *restrict lower, const float *restrict upper, int64_t blocks) {
#pragma omp parallel for schedule(static) if (blocks > 16)
  for (int64_t block = 0; block < blocks; block++) {
    float *to = lower + block * PL_BLOCK;
    const float *from = upper + block * PL_BLOCK;
#pragma omp simd
    for (int i = 0; i < PL_BLOCK; i++) to[i] += from[i];
  }
}

pl_status pl_gradsum_push(pl_gradsum *sums, int64_t leaf, int param) {
  const pl_param *p = pl_space_param(sums->space, param);
  if (leaf != sums->next_leaf[param]) {
    return PL_FAIL(PL_E_INTERNAL, "gradient of \"%s\": leaf %lld came where %lld is due", p->name,
                   (long long)leaf, (long long)sums->next_leaf[param]);
  }
  int top = pl_tree_slot(sums->leaves, leaf);
  for (int merges = pl_tree_merges(sums->leaves, leaf); merges > 0; merges--, top--) {
    add_blocks(region(sums, top - 1, p), region(sums, top, p), p->blocks);
  }
  bool last = leaf == sums->leaves - 1;
  sums->next_leaf[param] = last ? 0 : leaf + 1;
  return last && sums->done ? sums->done(sums->context, param) : PL_OK;
}

const float *pl_gradsum_total(const pl_gradsum *sums) { return sums->sums; }
