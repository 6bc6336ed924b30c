#include "runtime/base/tree.h"

#include <string.h>

void pl_tree_part(int64_t leaves, int ranks, int rank, int64_t *first, int64_t *count) {
  *first = 0;
  *count = leaves;
  while (ranks > 1) {
    int left_ranks = ranks / 2;
    int64_t left = ranks % 2 == 0 ? *count / 2 : *count * left_ranks / ranks;
    if (rank < left_ranks) {
      *count = left;
      ranks = left_ranks;
    } else {
      *first += left;
      *count -= left;
      rank -= left_ranks;
      ranks -= left_ranks;
    }
  }
}

pl_tree_push pl_tree_place(int64_t n, int levels, int64_t leaf) {
  /* Walk down to the leaf. Every right turn leaves the finished left part's sum below on the stack,
   * and a node's sum is completed as soon as its right part is: so what the last leaf of a part
   * completes is as many nodes as there were right turns since the last left turn. */
  int slot = 0, turns = 0;
  for (; n > 1 && levels > 0; levels--) {
    int64_t left = n / 2;
    if (leaf < left) {
      n = left;
      turns = 0;
    } else {
      leaf -= left;
      n -= left;
      slot++;
      turns++;
    }
  }
  int in_order = leaf > 0; /* is added to the leaves before it */
  return (pl_tree_push){.slot = slot + in_order, .merges = in_order + (leaf == n - 1 ? turns : 0)};
}

int pl_tree_depth(int64_t n, int levels) {
  int depth = 1;
  for (; n > 1 && levels > 0; levels--) {
    n -= n / 2;
    depth++;
  }
  return depth + (n > 1);
}

/* Elements summed at a time: a chunk and the partial sums of all tree levels stay in the
 * first-level cache, and a vector loop runs over it. */
enum { CHUNK = 1024 };

/* out[0..n) = tree sum of the pieces' first n elements; n <= CHUNK. The left subtree is summed in
 * `out`, which may be the first piece: by then that piece has been read. */
static void sum_chunk_f32(float *out, const float *from, int pieces, size_t stride, size_t n) {
  if (pieces == 1) {
    if (out != from) memcpy(out, from, n * sizeof *out);
  } else if (pieces == 2) {
    const float *second = from + stride;
#pragma omp simd
    for (size_t i = 0; i < n; i++) out[i] = from[i] + second[i];
  } else {
    float right[CHUNK];
    int left = pieces / 2;
    sum_chunk_f32(out, from, left, stride, n);
    sum_chunk_f32(right, from + (size_t)left * stride, pieces - left, stride, n);
#pragma omp simd
    for (size_t i = 0; i < n; i++) out[i] += right[i];
  }
}

static void sum_chunk_f64(double *out, const double *from, int pieces, size_t stride, size_t n) {
  if (pieces == 1) {
    if (out != from) memcpy(out, from, n * sizeof *out);
  } else if (pieces == 2) {
    const double *second = from + stride;
#pragma omp simd
    for (size_t i = 0; i < n; i++) out[i] = from[i] + second[i];
  } else {
    double right[CHUNK];
    int left = pieces / 2;
    sum_chunk_f64(out, from, left, stride, n);
    sum_chunk_f64(right, from + (size_t)left * stride, pieces - left, stride, n);
#pragma omp simd
    for (size_t i = 0; i < n; i++) out[i] += right[i];
  }
}

void pl_tree_sum_f32(float *out, const float *from, int pieces, size_t stride, size_t n) {
  if (pieces == 1 && out == from) return;
#pragma omp parallel for schedule(static) if (n > (size_t)16 * CHUNK)
  for (size_t i = 0; i < n; i += CHUNK) {
    sum_chunk_f32(out + i, from + i, pieces, stride, n - i < CHUNK ? n - i : CHUNK);
  }
}

void pl_tree_sum_f64(double *out, const double *from, int pieces, size_t stride, size_t n) {
  if (pieces == 1 && out == from) return;
#pragma omp parallel for schedule(static) if (n > (size_t)16 * CHUNK)
  for (size_t i = 0; i < n; i += CHUNK) {
    sum_chunk_f64(out + i, from + i, pieces, stride, n - i < CHUNK ? n - i : CHUNK);
  }
}

void pl_tree_push_f64(double *sums, size_t width, int64_t n, int64_t leaf, const double *values) {
  pl_tree_push push = pl_tree_place(n, PL_TREE_WHOLE, leaf);
  int top = push.slot;
  memcpy(sums + (size_t)top * width, values, width * sizeof *values);
  for (int merges = push.merges; merges > 0; merges--, top--) {
    double *lower = sums + (size_t)(top - 1) * width;
    const double *upper = sums + (size_t)top * width;
    for (size_t i = 0; i < width; i++) lower[i] += upper[i];
  }
}
