/* The two leading principal components of a set of rows: for maps of representations. */
#ifndef MODELS_PCA_H
#define MODELS_PCA_H

#include <stdint.h>

#include "runtime/base/status.h"

enum { PL_PCA_AXES = 2 };

typedef struct pl_pca {
  double *axis;              /* (PL_PCA_AXES, width): unit rows, the most variance first */
  double *points;            /* (count, PL_PCA_AXES): the rows less their mean, on the axes */
  double share[PL_PCA_AXES]; /* of the rows' whole variance */
} pl_pca;

/* rows: (count, width), finite. The sign of an axis is such that its entry of largest size is
 * positive. Where there is no variance left for an axis (equal rows, fewer than two or three of
 * them, one dimension) its entries, points and share are 0. Axes of equal variance are any two of
 * the plane that they span. Bits don't depend on the number of threads. Memory: (count + width) *
 * width doubles. The caller frees `out`, also after an error. */
pl_status pl_pca_compute(const float *rows, int64_t count, int width, pl_pca *out);
void pl_pca_free(pl_pca *pca);

#endif
