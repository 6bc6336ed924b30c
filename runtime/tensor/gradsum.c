#include "runtime/tensor/gradsum.h"

#include <stdbool.h>

#include "runtime/base/account.h"
#include "runtime/base/memory.h"
#include "runtime/base/tree.h"

struct pl_gradsum {
  const pl_device *device;
  const pl_space *space;
  int64_t leaves;
  int levels;         /* of the tree */
  float *sums;        /* (pl_tree_depth(leaves, levels), elements): the stack of partial sums */
  int64_t *next_leaf; /* (params): the leaf that each parameter expects */
  pl_gradsum_done done;
  void *context;
};

static pl_status reserve(pl_gradsum *sums) {
  size_t bytes = (size_t)pl_space_elements(sums->space) * sizeof *sums->sums;
  size_t params = (size_t)pl_space_params(sums->space);
  void *stack = NULL;
  PL_TRY(sums->device->alloc((size_t)pl_tree_depth(sums->leaves, sums->levels) * bytes, &stack));
  sums->sums = stack;
  sums->next_leaf = pl_alloc(params, sizeof *sums->next_leaf);
  return sums->next_leaf ? PL_OK : PL_E_INTERNAL;
}

pl_status pl_gradsum_create(const pl_device *device, const pl_space *space, int64_t leaves,
                            int levels, pl_gradsum **out) {
  PL_MEMORY_FOR(PL_MEMORY_GRADIENT_SUMS);
  *out = NULL;
  pl_gradsum *sums = pl_alloc(1, sizeof *sums);
  if (!sums) return PL_E_INTERNAL;
  sums->device = device;
  sums->space = space;
  sums->leaves = leaves;
  sums->levels = levels;
  pl_status status = reserve(sums);
  if (status != PL_OK) pl_gradsum_destroy(&sums);
  *out = sums;
  return status;
}

void pl_gradsum_destroy(pl_gradsum **sums) {
  pl_gradsum *s = *sums;
  if (!s) return;
  s->device->release(s->sums);
  pl_free(s->next_leaf);
  pl_free(s);
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
  int slot = pl_tree_place(sums->leaves, sums->levels, leaf).slot;
  return region(sums, slot, pl_space_param(sums->space, param));
}

pl_status pl_gradsum_merge(pl_gradsum *sums, int64_t leaf, int param) {
  const pl_param *p = pl_space_param(sums->space, param);
  pl_tree_push push = pl_tree_place(sums->leaves, sums->levels, leaf);
  int top = push.slot;
  for (int merges = push.merges; merges > 0; merges--, top--) {
    PL_TRY(sums->device->add_f32(region(sums, top - 1, p), region(sums, top, p),
                                 (size_t)p->blocks * PL_BLOCK));
  }
  return PL_OK;
}

static pl_status check_order(const pl_gradsum *sums, int64_t leaf, int param) {
  if (leaf == sums->next_leaf[param]) return PL_OK;
  return PL_FAIL(PL_E_INTERNAL, "gradient of \"%s\": leaf %lld came where %lld is due",
                 pl_space_param(sums->space, param)->name, (long long)leaf,
                 (long long)sums->next_leaf[param]);
}

pl_status pl_gradsum_note(pl_gradsum *sums, int64_t leaf, int param) {
  PL_TRY(check_order(sums, leaf, param));
  bool last = leaf == sums->leaves - 1;
  sums->next_leaf[param] = last ? 0 : leaf + 1;
  return last && sums->done ? sums->done(sums->context, param) : PL_OK;
}

pl_status pl_gradsum_push(pl_gradsum *sums, int64_t leaf, int param) {
  PL_TRY(check_order(sums, leaf, param));
  PL_TRY(pl_gradsum_merge(sums, leaf, param));
  return pl_gradsum_note(sums, leaf, param);
}

float *pl_gradsum_total(const pl_gradsum *sums) { return sums->sums; }
