/* Weighted k-nearest-neighbour classification, the quick judge of an encoder (Wu et al.,
 * "Unsupervised feature learning via non-parametric instance discrimination", CVPR 2018).
 *
 * A query's neighbours are the k bank rows of the highest cosine similarity s; each votes e^{s/T}
 * for its label. The bank is gathered on every rank, twice its size at the peak; similarities are
 * computed tile by tile and only the k best of each query are kept.
 *
 * The answer does not depend on the number of ranks: rank by rank, the local rows make one global
 * order of bank and of queries, tiles are cut at fixed places of these orders, equal similarities
 * go to the lower bank index, and votes are added from the nearest neighbour on. */
#ifndef MODELS_KNN_H
#define MODELS_KNN_H

#include <stdint.h>

#include "comm/comm.h"

typedef struct pl_knn_options {
  int width;          /* of a feature row */
  int classes;        /* labels are 0 … classes-1 */
  int k;              /* neighbours, fewer where the bank is smaller; 200 is usual */
  double temperature; /* T; 0.07 is usual */
} pl_knn_options;

/* Feature rows of one rank; the caller's. */
typedef struct pl_knn_rows {
  const float *features; /* (count, width), unit rows */
  const int32_t *labels; /* (count) */
  int64_t count;         /* may be 0 and may differ between ranks */
} pl_knn_rows;

/* Classifies the queries of all ranks by the bank of all ranks. predictions: a label for each local
 * query, or -1 where it has no neighbour since its features are not numbers (such a bank row is
 * nobody's neighbour); may be NULL. *right: right predictions over all ranks. Of classes with equal
 * votes the lowest wins. PL_E_USAGE for an empty bank, a label out of range, k or width or classes
 * below 1, a temperature not above 0. Collective; options must match on all ranks. */
pl_status pl_knn_classify(pl_comm *comm, const pl_knn_options *options, const pl_knn_rows *bank,
                          const pl_knn_rows *queries, int32_t *predictions, int64_t *right);

#endif
