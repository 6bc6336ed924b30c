/* Charts as SVG inside HTML: complete without a script, coloured by the page's custom properties.
 *
 * The page's script reads what curves show back from their paths: a chart's data-plot holds the
 * frame in the drawing's units and the values at its edges. */
#ifndef LAUNCH_REPORT_CHART_H
#define LAUNCH_REPORT_CHART_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "launch/report/curve.h"

/* The horizontal axis of all charts of a page. */
typedef struct pl_chart_time {
  const char *title; /* "step" */
  double low, high;
  const char *second_title; /* "epoch"; NULL: one row of labels */
  double second;            /* of it in one of the first */
} pl_chart_time;

typedef struct pl_series {
  const char *name; /* for the legend */
  int colour;       /* of --c0 …; from PL_CHART_COLOURS on, dashed */
  const double *x, *y;
  int64_t count;
} pl_series;

typedef struct pl_chart {
  const char *title, *unit;
  double scale;        /* from a series' values to the unit */
  bool from_zero;      /* the axis begins there */
  bool log;            /* where the values reach over more than two decades */
  bool noisy;          /* a mean over neighbours is drawn, the values faintly behind it */
  bool dots;           /* single values that count */
  const double *marks; /* lines across, such as where the run was resumed */
  int64_t mark_count;
} pl_chart;

enum { PL_CHART_COLOURS = 10 };

/* A curve for each series, NaN where it has none. Draws nothing where no series has a point. */
pl_status pl_chart_draw(FILE *page, const pl_chart *chart, const pl_chart_time *time,
                        const pl_series *series, int count);

/* Means of what lies in equal parts of the time, one upon the other; layer[k][i] belongs to x[i]
 * and counts as nothing where it is not finite. */
pl_status pl_chart_stack(FILE *page, const pl_chart *chart, const pl_chart_time *time,
                         const char *const *names, const double *x, const double *const *layer,
                         int layers, int64_t count);

/* ---- what both are drawn in ---- */

/* The part of the drawing between the axes, in its units. */
enum { PL_FRAME_LEFT = 46, PL_FRAME_TOP = 8, PL_FRAME_WIDTH = 360, PL_FRAME_HEIGHT = 180 };

typedef struct pl_frame {
  const pl_chart *chart;
  const pl_chart_time *time;
  pl_axis x, y;
} pl_frame;

pl_axis pl_frame_time_axis(const pl_chart_time *time);
double pl_frame_x(const pl_frame *frame, double x);
double pl_frame_y(const pl_frame *frame, double y);

/* The drawing up to its grid, and its end, which goes over the curves. */
void pl_frame_begin(FILE *page, const pl_frame *frame);
void pl_frame_end(FILE *page, const pl_frame *frame);

/* Opens and closes the swatch and name of a legend's entry; a value may come between. */
void pl_legend_begin(FILE *page, int colour, const char *name);
void pl_legend_end(FILE *page);

#endif
