/* Parameter gradients summed over this rank's leaves in the shape of the batch tree.
 *
 * For each leaf in order, whoever differentiates writes a parameter's gradient into
 * pl_gradsum_slot(…) and then calls pl_gradsum_push(…): partial sums of finished subtrees are
 * merged at once, while they are warm. After the last local leaf a parameter's sum is complete and
 * stands in pl_gradsum_total; all in the order of the device's work (runtime/tensor/device.h).
 * Parameters may arrive in any order, and a parameter's leaf i+1 may arrive before another
 * parameter's leaf i. */
#ifndef PL_TENSOR_GRADSUM_H
#define PL_TENSOR_GRADSUM_H

#include "runtime/tensor/device.h"
#include "runtime/tensor/space.h"

typedef struct pl_gradsum pl_gradsum;

/* Called when the sum of a parameter over all local leaves stands in the vector of totals, in the
 * order in which parameters were completed. */
typedef pl_status (*pl_gradsum_done)(void *context, int param);

/* Sums over `leaves` local leaves in memory of `device`, in a tree of at most `levels` levels
 * (pl_tree_place). Memory: pl_tree_depth(leaves, levels) vectors of the space's size there. */
pl_status pl_gradsum_create(const pl_device *device, const pl_space *space, int64_t leaves,
                            int levels, pl_gradsum **out);
void pl_gradsum_destroy(pl_gradsum **sums);

void pl_gradsum_on_done(pl_gradsum *sums, pl_gradsum_done done, void *context);

/* Where the gradient of `param` for local leaf `leaf` is to be written, in the master layout and in
 * memory of the device; all elements must be written, padding must be left alone (it is zero). */
float *pl_gradsum_slot(pl_gradsum *sums, int64_t leaf, int param);

/* Says that the slot is written; merges, and calls `done` after the last leaf. */
pl_status pl_gradsum_push(pl_gradsum *sums, int64_t leaf, int param);

/* The two halves of a push: what is queued on the device, which a recording may hold, and what the
 * host makes of it. Each merge that is done must be noted, in the order of pushes. */
pl_status pl_gradsum_merge(pl_gradsum *sums, int64_t leaf, int param);
pl_status pl_gradsum_note(pl_gradsum *sums, int64_t leaf, int param);

/* The vector of totals (pl_space_elements floats) in memory of the device, complete for parameters
 * that are done. It is the caller's to change until the next leaf comes, but for the padding. */
float *pl_gradsum_total(const pl_gradsum *sums);

#endif
