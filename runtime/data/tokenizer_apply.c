/* Merging of one word: again and again the pair with the earliest line, leftmost first. Short words
 * are searched for it. In long ones a heap finds it in logarithmic time, so that a word of a
 * million letters is no attack; a symbol is made by a later line than its parts, so that the heap
 * finds what the search would. */
#include <stdbool.h>

#include "runtime/data/tokenizer_merges.h"
#include "runtime/data/tokenizer_text.h"

enum { SHORT_WORD = 32 }; /* bytes */

static const uint32_t none = UINT32_MAX;

void pl_merge_work_free(pl_merge_work *work) {
  pl_free(work->link);
  pl_free(work->heap);
  pl_free(work->ids);
  *work = (pl_merge_work){0};
}

static void heap_push(pl_merge_work *work, uint64_t entry) {
  size_t at = work->heap_count++;
  for (; at > 0 && work->heap[(at - 1) / 2] > entry; at = (at - 1) / 2) {
    work->heap[at] = work->heap[(at - 1) / 2];
  }
  work->heap[at] = entry;
}

static uint64_t heap_pop(pl_merge_work *work) {
  uint64_t least = work->heap[0];
  uint64_t last = work->heap[--work->heap_count];
  size_t at = 0;
  for (size_t child = 1; child < work->heap_count; child = 2 * at + 1) {
    if (child + 1 < work->heap_count && work->heap[child + 1] < work->heap[child]) child++;
    if (work->heap[child] >= last) break;
    work->heap[at] = work->heap[child];
    at = child;
  }
  work->heap[at] = last;
  return least;
}

/* Looks up what the symbol at `at` and its neighbour to the right become. */
static void consider(const pl_merges *merges, pl_merge_work *work, uint32_t at) {
  pl_merge_link *link = &work->link[at];
  link->merged = 0;
  if (link->next == none) return;
  link->merged = pl_merges_find(merges, link->symbol, work->link[link->next].symbol);
  if (link->merged != 0) heap_push(work, (uint64_t)link->merged << 32 | at);
}

static void merge(const pl_merges *merges, pl_merge_work *work, uint32_t at) {
  pl_merge_link *left = &work->link[at];
  pl_merge_link *right = &work->link[left->next];
  left->symbol = left->merged;
  left->next = right->next;
  right->merged = 0; /* what the heap still holds of it is out of date */
  if (left->next != none) work->link[left->next].before = at;
  consider(merges, work, at);
  if (left->before != none) consider(merges, work, left->before);
}

/* A merge takes one entry off the heap and puts at most two on it. */
static pl_status make_room(pl_merge_work *work, size_t size) {
  pl_merge_link *link = pl_text_room(work->link, &work->link_capacity, 0, size, sizeof *work->link);
  if (!link) return PL_E_INTERNAL;
  work->link = link;
  uint64_t *heap = pl_text_room(work->heap, &work->heap_capacity, 0, 2 * size, sizeof *work->heap);
  if (!heap) return PL_E_INTERNAL;
  work->heap = heap;
  int32_t *ids = pl_text_room(work->ids, &work->ids_capacity, 0, size, sizeof *work->ids);
  if (!ids) return PL_E_INTERNAL;
  work->ids = ids;
  return PL_OK;
}

static uint32_t symbol_of(const pl_merges *merges, char byte, bool at_end) {
  return (uint32_t)merges->byte_symbol[(unsigned char)byte] + (at_end ? PL_BYTE_SYMBOLS / 2 : 0);
}

/* What a pair becomes, less 1, so that what stays two is larger than all else. */
static uint32_t rank_of(const pl_merges *merges, const int32_t *pair) {
  return pl_merges_find(merges, (uint32_t)pair[0], (uint32_t)pair[1]) - 1;
}

/* Merges `size` <= SHORT_WORD bytes into ids; their number. */
static size_t apply_short(const pl_merges *merges, const char *word, size_t size, int32_t *ids) {
  uint32_t rank[SHORT_WORD]; /* of the pair that begins at each place; none at the last */
  size_t last = size - 1;
  for (size_t i = 0; i <= last; i++) ids[i] = (int32_t)symbol_of(merges, word[i], i == last);
  for (size_t i = 0; i < last; i++) rank[i] = rank_of(merges, ids + i);
  rank[last] = none;
  for (;;) {
    size_t at = 0;
    for (size_t i = 1; i < last; i++) at = rank[i] < rank[at] ? i : at;
    if (rank[at] == none) return last + 1;
    ids[at] = (int32_t)rank[at] + 1;
    for (size_t i = at + 1; i < last; i++) {
      ids[i] = ids[i + 1];
      rank[i] = rank[i + 1];
    }
    last--;
    rank[at] = at < last ? rank_of(merges, ids + at) : none;
    if (at > 0) rank[at - 1] = rank_of(merges, ids + at - 1);
  }
}

static void apply_long(const pl_merges *merges, const char *word, size_t size, pl_merge_work *work,
                       size_t *count) {
  uint32_t last = (uint32_t)size - 1;
  for (uint32_t i = 0; i <= last; i++) {
    work->link[i] = (pl_merge_link){.symbol = symbol_of(merges, word[i], i == last),
                                    .before = i > 0 ? i - 1 : none,
                                    .next = i < last ? i + 1 : none};
  }
  work->heap_count = 0;
  for (uint32_t i = 0; i <= last; i++) consider(merges, work, i);
  while (work->heap_count > 0) {
    uint64_t entry = heap_pop(work);
    uint32_t at = (uint32_t)entry;
    if (work->link[at].merged == entry >> 32) merge(merges, work, at);
  }
  *count = 0;
  for (uint32_t i = 0; i != none; i = work->link[i].next) {
    work->ids[(*count)++] = (int32_t)work->link[i].symbol;
  }
}

pl_status pl_merges_apply(const pl_merges *merges, const char *word, size_t size,
                          pl_merge_work *work, size_t *count) {
  PL_TRY(make_room(work, size));
  if (size <= SHORT_WORD)
    *count = apply_short(merges, word, size, work->ids);
  else
    apply_long(merges, word, size, work, count);
  return PL_OK;
}
