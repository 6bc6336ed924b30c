#include "models/nearest.h"

#include <math.h>
#include <stdbool.h>

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

/* Bit j: whether score j of a block is above the threshold. */
static inline uint32_t find_above(const float *block, float threshold) {
  enum { HALF = PL_NEAREST_BLOCK / 2 };
  uint32_t above = 0;
#pragma omp simd reduction(| : above)
  for (int j = 0; j < HALF; j++)
    above |= (uint32_t)(block[j] > threshold) << j | (uint32_t)(block[j + HALF] > threshold)
                                                         << (j + HALF);
  return above;
}

static void take_block(pl_nearest *nearest, const float *block, int64_t first) {
  uint32_t above = find_above(block, nearest->threshold);
  if (!above) return;
  for (; above; above &= above - 1) {
    int j = __builtin_ctz(above);
    nearest->kept[nearest->count++] = (pl_neighbour){.score = block[j], .index = first + j};
  }
  if (nearest->count > PL_NEAREST_ROOM(nearest->most) - PL_NEAREST_BLOCK) select_best(nearest);
}

void pl_nearest_take(pl_nearest *nearest, const float *scores, int n, int64_t first) {
  int start = 0;
  for (; n - start >= PL_NEAREST_BLOCK; start += PL_NEAREST_BLOCK)
    take_block(nearest, scores + start, first + start);
  if (start == n) return;
  float rest[PL_NEAREST_BLOCK];
  for (int j = 0; j < PL_NEAREST_BLOCK; j++)
    rest[j] = start + j < n ? scores[start + j] : -INFINITY;
  take_block(nearest, rest, first + start);
}

/* Quicksort; recursion takes the smaller part, so it goes log2(n) deep at most. */
static void sort_best_first(pl_neighbour *pairs, int n) {
  while (n > 1) {
    choose_pivot(pairs, n);
    int place = part(pairs, n), behind = n - place - 1;
    if (place < behind) {
      sort_best_first(pairs, place);
      pairs += place + 1;
      n = behind;
    } else {
      sort_best_first(pairs + place + 1, behind);
      n = place;
    }
  }
}

void pl_nearest_sort(pl_nearest *nearest) {
  select_best(nearest);
  sort_best_first(nearest->kept, nearest->count);
}
