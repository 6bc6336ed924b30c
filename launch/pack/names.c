#include "launch/pack/names.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/base/memory.h"

/* Makes room for `needed` entries, at least doubling. */
static pl_status grow(void **block, int64_t *room, int64_t used, int64_t needed, size_t entry) {
  if (needed <= *room) return PL_OK;
  int64_t wider = 2 * *room > needed ? 2 * *room : needed + 64;
  void *grown = pl_alloc((size_t)wider, entry);
  if (!grown) return PL_E_INTERNAL;
  if (used > 0) memcpy(grown, *block, (size_t)used * entry);
  pl_free(*block);
  *block = grown;
  *room = wider;
  return PL_OK;
}

static pl_status make_room(pl_names *names, int64_t count, int64_t bytes) {
  void *text = names->text;
  void *start = names->start;
  pl_status status = grow(&text, &names->bytes_room, names->bytes, bytes, 1);
  if (status == PL_OK) {
    status = grow(&start, &names->count_room, names->count, count, sizeof *names->start);
  }
  names->text = text;
  names->start = start;
  return status;
}

pl_status pl_names_add_bytes(pl_names *names, const char *bytes, size_t size) {
  PL_TRY(make_room(names, names->count + 1, names->bytes + (int64_t)size + 1));
  memcpy(names->text + names->bytes, bytes, size);
  names->text[names->bytes + (int64_t)size] = '\0';
  names->start[names->count++] = names->bytes;
  names->bytes += (int64_t)size + 1;
  return PL_OK;
}

pl_status pl_names_add(pl_names *names, const char *name) {
  return pl_names_add_bytes(names, name, strlen(name));
}

void pl_names_cut(pl_names *names, int64_t count) {
  if (count >= names->count) return;
  names->bytes = names->start[count];
  names->count = count;
}

static int compare(const void *a, const void *b, void *text) {
  return strcmp((const char *)text + *(const int64_t *)a, (const char *)text + *(const int64_t *)b);
}

void pl_names_sort(pl_names *names) {
  if (names->count < 2) return;
  qsort_r(names->start, (size_t)names->count, sizeof *names->start, compare, names->text);
}

pl_status pl_names_broadcast(pl_comm *comm, pl_names *names) {
  int64_t sizes[] = {names->count, names->bytes};
  PL_TRY(pl_comm_broadcast(comm, sizes, sizeof sizes, 0));
  PL_TRY(pl_comm_agree(comm, make_room(names, sizes[0], sizes[1])));
  names->count = sizes[0];
  names->bytes = sizes[1];
  if (names->count == 0) return PL_OK;
  PL_TRY(pl_comm_broadcast(comm, names->text, (size_t)names->bytes, 0));
  return pl_comm_broadcast(comm, names->start, (size_t)names->count * sizeof *names->start, 0);
}

void pl_names_free(pl_names *names) {
  pl_free(names->text);
  pl_free(names->start);
  *names = (pl_names){0};
}
