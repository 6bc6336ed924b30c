#include "runtime/base/progress.h"

#include <stdio.h>

#include "runtime/base/clock.h"
#include "runtime/base/log.h"

/* Smooth on a terminal, sparse in a log. */
enum { TERMINAL_PAUSE_MS = 200, PLAIN_PAUSE_MS = 10000, TIME_TEXT = 32 };

bool pl_progress_due(double *last_shown_ms) {
  double now_ms = pl_now_ms();
  double pause_ms = pl_log_is_terminal() ? TERMINAL_PAUSE_MS : PLAIN_PAUSE_MS;
  if (now_ms - *last_shown_ms < pause_ms) return false;
  *last_shown_ms = now_ms;
  return true;
}

void pl_progress_time(double seconds, char *text) {
  const double longest = 1e9; /* a rate near zero promises ages */
  double clamped = seconds < longest ? seconds : longest;
  long long whole = clamped > 0 ? (long long)(clamped + 0.5) : 0;
  if (whole >= 3600) {
    snprintf(text, TIME_TEXT, "%lld:%02lld:%02lld", whole / 3600, whole / 60 % 60, whole % 60);
  } else {
    snprintf(text, TIME_TEXT, "%lld:%02lld", whole / 60, whole % 60);
  }
}

pl_progress pl_progress_start(const char *doing, const char *items, int64_t total, bool shown) {
  double now_ms = pl_now_ms();
  return (pl_progress){.doing = doing,
                       .items = items,
                       .total = total,
                       .shown = shown,
                       .start_ms = now_ms,
                       .last_shown_ms = now_ms};
}

void pl_progress_show(pl_progress *progress, int64_t done) {
  if (!progress->shown || done <= 0) return;
  /* A line that is up does not stop short of the end. */
  bool closing = done >= progress->total && progress->last_shown_ms > progress->start_ms;
  if (!pl_progress_due(&progress->last_shown_ms) && !closing) return;
  double rate = (double)done / (pl_now_ms() - progress->start_ms) * 1e3;
  char left[TIME_TEXT];
  pl_progress_time((double)(progress->total - done) / rate, left);
  pl_log_progress("%s: %lld of %lld %s (%d %%), %.*f/s, %s left", progress->doing, (long long)done,
                  (long long)progress->total, progress->items,
                  (int)(100 * (double)done / (double)progress->total), rate < 10 ? 1 : 0, rate,
                  left);
}

void pl_progress_end(pl_progress *progress) {
  if (progress->shown) pl_log_progress("%s", "");
}
