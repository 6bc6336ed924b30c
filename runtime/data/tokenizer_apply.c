/* Merging of one word. A symbol is made by a later line than its parts, so the pair with the
 * earliest line, leftmost first, is what a search of the whole word after each merge would find. A
 * heap finds it in logarithmic time, so that a word of a million letters is no attack. */
#include "runtime/data/tokenizer_merges.h"
#include "runtime/data/tokenizer_text.h"

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

pl_status pl_merges_apply(const pl_merges *merges, const char *word, size_t size,
                          pl_merge_work *work, size_t *count) {
  PL_TRY(make_room(work, size));
  uint32_t last = (uint32_t)size - 1;
  for (uint32_t i = 0; i <= last; i++) {
    uint32_t symbol = (uint32_t)merges->byte_symbol[(unsigned char)word[i]];
    work->link[i] = (pl_merge_link){.symbol = i < last ? symbol : symbol + 256,
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
  return PL_OK;
}
