#include <math.h>
#include <stddef.h>

#include "launch/report/chart.h"
#include "launch/report/html.h"
#include "runtime/base/memory.h"

enum { BUCKETS = PL_FRAME_WIDTH / 3 };

/* Means over the points of each bucket, and over all points. */
typedef struct stack {
  int layers;
  double x[BUCKETS];
  int64_t points[BUCKETS]; /* a bucket without any is passed by */
  double *top;             /* (layers + 1, BUCKETS): layer k lies on the sum of those before it */
  double *whole;           /* (layers) */
  int64_t all;             /* points */
} stack;

static void add_points(stack *s, const pl_chart_time *time, const double *x,
                       const double *const *layer, int64_t count) {
  for (int64_t i = 0; i < count; i++) {
    double place = BUCKETS * (x[i] - time->low) / (time->high - time->low);
    if (!(place >= 0 && place <= BUCKETS)) continue;
    int b = place < BUCKETS ? (int)place : BUCKETS - 1;
    s->x[b] += x[i];
    s->points[b]++;
    s->all++;
    for (int k = 0; k < s->layers; k++) {
      double value = isfinite(layer[k][i]) && layer[k][i] > 0 ? layer[k][i] : 0;
      s->top[(k + 1) * BUCKETS + b] += value;
      s->whole[k] += value;
    }
  }
}

/* Sums to means, layers upon each other; returns the highest pile. */
static double pile_up(stack *s, double scale) {
  double highest = 0;
  for (int b = 0; b < BUCKETS; b++) {
    if (s->points[b] == 0) continue;
    s->x[b] /= (double)s->points[b];
    for (int k = 0; k < s->layers; k++) {
      double *top = &s->top[(k + 1) * BUCKETS + b];
      *top = top[-BUCKETS] + *top / (double)s->points[b] * scale;
    }
    highest = fmax(highest, s->top[s->layers * BUCKETS + b]);
  }
  for (int k = 0; k < s->layers; k++) s->whole[k] *= scale / (double)s->all;
  return highest;
}

static void put_layers(FILE *page, const pl_frame *frame, const stack *s) {
  for (int k = 0; k < s->layers; k++) {
    const double *below = s->top + (ptrdiff_t)k * BUCKETS, *above = below + BUCKETS;
    if (s->whole[k] <= 0) continue;
    fprintf(page, "<path class=\"layer\" style=\"--of:var(--c%d)\" d=\"", k % PL_CHART_COLOURS);
    char pen = 'M';
    for (int b = 0; b < BUCKETS; b++) {
      if (s->points[b] == 0) continue;
      fprintf(page, "%c%.1f %.1f", pen, pl_frame_x(frame, s->x[b]), pl_frame_y(frame, above[b]));
      pen = 'L';
    }
    for (int b = BUCKETS - 1; b >= 0; b--) {
      if (s->points[b] == 0) continue;
      fprintf(page, "L%.1f %.1f", pl_frame_x(frame, s->x[b]), pl_frame_y(frame, below[b]));
    }
    fputs("Z\"/>\n", page);
  }
}

static void put_shares(FILE *page, const stack *s, const char *const *names) {
  double sum = 0;
  for (int k = 0; k < s->layers; k++) sum += s->whole[k];
  fputs("<ul class=\"legend parts\">\n", page);
  for (int k = 0; k < s->layers; k++) {
    pl_legend_begin(page, k, names[k]);
    fprintf(page, " <span>%.1f \xC2\xB7 ", s->whole[k]);
    pl_html_share(page, s->whole[k] / sum);
    fputs("</span>", page);
    pl_legend_end(page);
  }
  fputs("</ul>\n</figure>\n", page);
}

pl_status pl_chart_stack(FILE *page, const pl_chart *chart, const pl_chart_time *time,
                         const char *const *names, const double *x, const double *const *layer,
                         int layers, int64_t count) {
  stack *s = pl_alloc(1, sizeof *s);
  pl_status status = s ? PL_OK : PL_E_INTERNAL;
  if (s) {
    s->layers = layers;
    s->top = pl_alloc(((size_t)layers + 1) * BUCKETS, sizeof *s->top);
    s->whole = pl_alloc((size_t)layers, sizeof *s->whole);
    if (!s->top || !s->whole) status = PL_E_INTERNAL;
  }
  if (status == PL_OK) {
    add_points(s, time, x, layer, count);
    double highest = pile_up(s, chart->scale);
    pl_frame frame = {.chart = chart,
                      .time = time,
                      .x = pl_frame_time_axis(time),
                      .y = pl_axis_linear(0, highest, 4, true)};
    if (highest > 0) {
      fprintf(page,
              "<figure class=\"chart\">\n<figcaption><b>%s</b> <span>%s</span></figcaption>\n",
              chart->title, chart->unit);
      pl_frame_begin(page, &frame);
      put_layers(page, &frame, s);
      pl_frame_end(page, &frame);
      put_shares(page, s, names);
    }
  }
  if (s) {
    pl_free(s->top);
    pl_free(s->whole);
  }
  pl_free(s);
  return status;
}
