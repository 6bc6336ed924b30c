/* The batch tree: the fixed shape in which everything is summed.
 *
 * n leaves are split into the first floor(n/2) and the rest, and each part again, down to single
 * leaves. A rank owns the leaves under one node: half of the ranks take the left part, the others
 * the right. With a power of two of ranks the sums over each rank's leaves are therefore nodes of
 * the tree of the whole batch, and adding these in the tree over ranks gives the very additions
 * that one rank would have made: no bit depends on the number of ranks. (For other counts the parts
 * are cut in proportion; results are then deterministic and within rounding of these.) */
#ifndef PL_BASE_TREE_H
#define PL_BASE_TREE_H

#include <stddef.h>
#include <stdint.h>

/* The leaves [*first, *first + *count) of `leaves` that rank `rank` of `ranks` owns. Needs
 * ranks <= leaves for every rank to own at least one. */
void pl_tree_part(int64_t leaves, int ranks, int rank, int64_t *first, int64_t *count);

/* Leaves 0 … n-1 arrive in order, and each is pushed on a stack of partial sums. */
typedef struct pl_tree_push {
  int slot;   /* position on the stack where the leaf is pushed */
  int merges; /* how many times the two topmost sums are then merged: lower += upper */
} pl_tree_push;

/* For a tree that is cut below `levels` splits: what is left there is summed in order of its
 * leaves, which needs less of the stack. After the last leaf one sum is left. */
pl_tree_push pl_tree_place(int64_t n, int levels, int64_t leaf);

/* Stack positions needed. */
int pl_tree_depth(int64_t n, int levels);

enum { PL_TREE_WHOLE = 64 }; /* as many levels as there can be: depth is 1 + ceil(log2(n)) */

/* out[0..n) = tree sum of `pieces` arrays of n elements that lie `stride` >= n elements apart in
 * `from`. `out` may be the first piece, and may not overlap the pieces otherwise. Threaded; the
 * additions of an element do not depend on threads. */
void pl_tree_sum_f32(float *out, const float *from, int pieces, size_t stride, size_t n);
void pl_tree_sum_f64(double *out, const double *from, int pieces, size_t stride, size_t n);

/* Partial sums of small double vectors in tree order: push each leaf's vector, read the total.
 * `sums` is caller-owned scratch of pl_tree_depth(n) * width doubles. */
void pl_tree_push_f64(double *sums, size_t width, int64_t n, int64_t leaf, const double *values);

#endif
