#include "models/search.h"

#include <omp.h>
#include <string.h>

#include "losses/tile_product.h"
#include "runtime/base/memory.h"
#include "runtime/base/threads.h"

enum { TILE_ROWS = 256, TILE_COLS = 256 };
enum { FULL, REST, WIDTHS };

struct pl_search {
  pl_comm *comm;
  int width, most; /* most: neighbours kept of a query */
  int threads;
  int64_t *counts; /* (ranks): keys of each, later queries */
  size_t *bytes;   /* (ranks), for the gathers */
  int64_t *key_counts;
  int64_t keys;                     /* of all ranks */
  pl_tile_product *product[WIDTHS]; /* for full tiles of keys, and for what is left */
  char *packed;                     /* the key tiles in order */
  float *query_tiles;               /* (threads, TILE_ROWS, width) */
  float *scores;                    /* (threads, TILE_ROWS, TILE_COLS) */
  pl_neighbour *kept;               /* (threads, TILE_ROWS, most) */
};

/* The queries of one run. */
typedef struct query_run {
  const pl_search *search;
  const float *queries;
  int64_t first, count; /* the local ones in the order of all */
  pl_search_visit visit;
  void *context;
} query_run;
