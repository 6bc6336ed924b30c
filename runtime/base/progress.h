/* Progress of long work: one line that renews itself on a terminal, a plain line now and then
 * elsewhere; with rate and time left. Nothing is shown of work that ends within the first pause. */
#ifndef PL_BASE_PROGRESS_H
#define PL_BASE_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

/* Plain data; the texts are the caller's and outlive it. */
typedef struct pl_progress {
  const char *doing, *items; /* "packing", "images" */
  int64_t total;
  bool shown;                     /* whether this process shows it: rank 0 does */
  double start_ms, last_shown_ms; /* of pl_now_ms */
} pl_progress;

pl_progress pl_progress_start(const char *doing, const char *items, int64_t total, bool shown);

/* Shows "packing: 1200 of 5000 images (24 %), 310/s, 0:12 left" if it is time to. */
void pl_progress_show(pl_progress *progress, int64_t done);

/* Ends the line. */
void pl_progress_end(pl_progress *progress);

/* Whether it is time to show a line again, for callers with a line of their own; remembers it. */
bool pl_progress_due(double *last_shown_ms);

/* "0:42", "1:03:09". `text` has 32 bytes. */
void pl_progress_time(double seconds, char *text);

#endif
