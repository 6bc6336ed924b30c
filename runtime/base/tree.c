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

int pl_tree_merges(int64_t n, int64_t leaf) {
  /* Walk down to the leaf. Going right at a node means that this node's sum is completed as soon as
   * its right part is, so merges after the leaf = right turns since the last left turn. */
  int merges = 0;
  while (n > 1) {
    int64_t left = n / 2;
    if (leaf < left) {
      n = left;
      merges = 0;
    } else {
      leaf -= left;
      n -= left;
      merges++;
    }
  }
  return merges;
}

int pl_tree_slot(int64_t n, int64_t leaf) {
  /* Every right turn leaves the finished left part's sum below on the stack. */
  int slot = 0;
  while (n > 1) {
    int64_t left = n / 2;
    if (leaf < left) {
      n = left;
    } else {
      leaf -= left;
      n -= left;
      slot++;
    }
  }
  return slot;
}

int pl_tree_depth(int64_t n) {
  int depth = 1;
  while (n > 1) {
    n -= n / 2;
    depth++;
  }
  return depth;
}

/* The sum of one element's pieces, in the tree's order. */
static float sum_pieces_f32(const float *from, int pieces, size_t stride) {
  if (pieces == 1) return *from;
  int left = pieces / 2;
  return sum_pieces_f32(from, left, stride) +
         sum_pieces_f32(from + (size_t)left * stride, pieces - left, stride);
}

static double sum_pieces_f64(const double *from, int pieces, size_t stride) {
  if (pieces == 1) return *from;
  int left = pieces / 2;
  return sum_pieces_f64(from, left, stride) +
         sum_pieces_f64(from + (size_t)left * stride, pieces - left, stride);
}

void pl_tree_sum_f32(float *out, const float *from, int pieces, size_t stride, size_t n) {
  if (pieces == 1 && out == from) return;
#pragma omp parallel for schedule(static)
  for (size_t i = 0; i < n; i++) out[i] = sum_pieces_f32(from + i, pieces, stride);
}

void pl_tree_sum_f64(double *out, const double *from, int pieces, size_t stride, size_t n) {
  if (pieces == 1 && out == from) return;
  for (size_t i = 0; i < n; i++) out[i] = sum_pieces_f64(from + i, pieces, stride);
}

void pl_tree_push_f64(double *sums, size_t width, int64_t n, int64_t leaf, const double *values) {
  int top = pl_tree_slot(n, leaf);
  memcpy(sums + (size_t)top * width, values, width * sizeof *values);
  for (int merges = pl_tree_merges(n, leaf); merges > 0; merges--, top--) {
    double *lower = sums + (size_t)(top - 1) * width;
    const double *upper = sums + (size_t)top * width;
    for (size_t i = 0; i < width; i++) lower[i] += upper[i];
  }
}
