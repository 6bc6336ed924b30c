#include "models/nearest.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

static bool is_better(pl_neighbour a, pl_neighbour b) {
  return (a.score > b.score) | ((a.score == b.score) & (a.index < b.index));
}

pl_nearest pl_nearest_start(pl_neighbour *room, int most) {
  return (pl_nearest){.kept = room, .most = most, .threshold = -INFINITY};
}

static void swap(pl_neighbour *a, pl_neighbour *b) {
  pl_neighbour kept = *a;
  *a = *b;
  *b = kept;
}

/* Brings the median of the first, middle and last pair to the end. */
static void choose_pivot(pl_neighbour *pairs, int n) {
  pl_neighbour *low = pairs, *middle = pairs + n / 2, *high = pairs + n - 1;
  if (is_better(*low, *middle)) swap(low, middle);
  if (is_better(*middle, *high)) swap(middle, high);
  if (is_better(*low, *middle)) swap(low, middle);
  swap(middle, high);
}

/* Puts what is better than the last pair before it and the rest behind it; returns its place. Each
 * pair is swapped, whether it has to be or not: the loop has no branch to mispredict. */
static int part(pl_neighbour *pairs, int n) {
  int better = 0;
  for (int i = 0; i < n - 1; i++) {
    bool goes_before = is_better(pairs[i], pairs[n - 1]);
    swap(&pairs[better], &pairs[i]);
    better += goes_before;
  }
  swap(&pairs[better], &pairs[n - 1]);
  return better;
}

/* Leaves the `most` best, the worst of these at the end: quickselect. */
static void select_best(pl_nearest *nearest) {
  int first = 0, end = nearest->count, last = nearest->most - 1;
  if (nearest->count < nearest->most) return;
  while (end - first > 1) {
    choose_pivot(nearest->kept + first, end - first);
    int place = first + part(nearest->kept + first, end - first);
    if (place == last) break;
    if (place < last)
      first = place + 1;
    else
      end = place;
  }
  nearest->count = nearest->most;
  nearest->threshold = nearest->kept[last].score;
}

/* Bit j: whether score j is above the threshold. */
static inline uint32_t find_above(const float *scores, int n, float threshold) {
  uint32_t above = 0;
#pragma omp simd reduction(| : above)
  for (int j = 0; j < n; j++) above |= (uint32_t)(scores[j] > threshold) << j;
  return above;
}

void pl_nearest_take(pl_nearest *nearest, const float *scores, int n, int64_t first) {
  for (int start = 0; start < n; start += PL_NEAREST_BLOCK) {
    const float *block = scores + start;
    uint32_t above = n - start < PL_NEAREST_BLOCK
                         ? find_above(block, n - start, nearest->threshold)
                         : find_above(block, PL_NEAREST_BLOCK, nearest->threshold);
    for (; above; above &= above - 1) {
      int j = __builtin_ctz(above);
      nearest->kept[nearest->count++] =
          (pl_neighbour){.score = block[j], .index = first + start + j};
    }
    if (nearest->count > PL_NEAREST_ROOM(nearest->most) - PL_NEAREST_BLOCK) select_best(nearest);
  }
}

static int compare_best_first(const void *a, const void *b) {
  const pl_neighbour *x = a, *y = b;
  return is_better(*y, *x) - is_better(*x, *y);
}

void pl_nearest_sort(pl_nearest *nearest) {
  select_best(nearest);
  qsort(nearest->kept, (size_t)nearest->count, sizeof *nearest->kept, compare_best_first);
}
