#include "models/nearest.h"

#include <math.h>
#include <stdlib.h>

static int is_worse(pl_neighbour a, pl_neighbour b) {
  return a.score < b.score || (a.score == b.score && a.index > b.index);
}

/* Moves the pair at `at` down until no child is worse than it. */
static void sink(pl_neighbour *heap, int count, int at) {
  pl_neighbour moving = heap[at];
  for (int child = 2 * at + 1; child < count; child = 2 * at + 1) {
    if (child + 1 < count && is_worse(heap[child + 1], heap[child])) child++;
    if (!is_worse(heap[child], moving)) break;
    heap[at] = heap[child];
    at = child;
  }
  heap[at] = moving;
}

static void rise(pl_neighbour *heap, int at) {
  pl_neighbour moving = heap[at];
  while (at > 0 && is_worse(moving, heap[(at - 1) / 2])) {
    heap[at] = heap[(at - 1) / 2];
    at = (at - 1) / 2;
  }
  heap[at] = moving;
}

float pl_nearest_threshold(const pl_nearest *nearest) {
  return nearest->count < nearest->most ? -INFINITY : nearest->kept[0].score;
}

static void keep(pl_nearest *nearest, pl_neighbour pair) {
  if (nearest->count < nearest->most) {
    nearest->kept[nearest->count] = pair;
    rise(nearest->kept, nearest->count++);
  } else {
    nearest->kept[0] = pair;
    sink(nearest->kept, nearest->count, 0);
  }
}

/* Nearly all scores are below the threshold: a block is left as soon as one vector comparison has
 * found nothing in it. */
void pl_nearest_take(pl_nearest *nearest, const float *scores, int n, int64_t first) {
  enum { BLOCK = 32 };
  float threshold = pl_nearest_threshold(nearest);
  for (int start = 0; start < n; start += BLOCK) {
    int end = n - start < BLOCK ? n : start + BLOCK;
    int above = 0;
#pragma omp simd reduction(| : above)
    for (int j = start; j < end; j++) above |= scores[j] > threshold;
    if (!above) continue;
    for (int j = start; j < end; j++) {
      if (!(scores[j] > threshold)) continue;
      keep(nearest, (pl_neighbour){.score = scores[j], .index = first + j});
      threshold = pl_nearest_threshold(nearest);
    }
  }
}

static int compare_best_first(const void *a, const void *b) {
  const pl_neighbour *x = a, *y = b;
  return is_worse(*x, *y) - is_worse(*y, *x);
}

void pl_nearest_sort(pl_nearest *nearest) {
  qsort(nearest->kept, (size_t)nearest->count, sizeof *nearest->kept, compare_best_first);
}
