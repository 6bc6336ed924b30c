/* A list of strings in one block, which can be sorted and sent to all ranks. */
#ifndef LAUNCH_PACK_NAMES_H
#define LAUNCH_PACK_NAMES_H

#include "comm/comm.h"

/* Zero-initialised it is empty. */
typedef struct pl_names {
  char *text;     /* the strings with their zeros, in the order they were added */
  int64_t *start; /* (count): where each begins */
  int64_t count, bytes;
  int64_t count_room, bytes_room;
} pl_names;

pl_status pl_names_add(pl_names *names, const char *name);
/* Adds `size` bytes, among which is no zero, as a string. */
pl_status pl_names_add_bytes(pl_names *names, const char *bytes, size_t size);
/* Keeps the first `count` strings of a list that was not sorted. */
void pl_names_cut(pl_names *names, int64_t count);
static inline const char *pl_names_at(const pl_names *names, int64_t index) {
  return names->text + names->start[index];
}

/* By bytes, so that the order does not depend on the locale. */
void pl_names_sort(pl_names *names);

/* Gives all ranks rank 0's list, in its order. Collective. */
pl_status pl_names_broadcast(pl_comm *comm, pl_names *names);

void pl_names_free(pl_names *names);

#endif
