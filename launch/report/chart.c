#include "launch/report/chart.h"

#include <math.h>

#include "launch/report/html.h"
#include "runtime/base/memory.h"

enum {
  SMOOTHED_SHARE = 60, /* a mean over so small a part of a curve leaves its shape */
  FAINT_MOST = 3,      /* more curves than this would hide behind each other's single values */
  BUCKETS = PL_FRAME_WIDTH / 2
};

typedef struct drawn_series {
  pl_curve all;   /* in the chart's unit */
  pl_curve mean;  /* the same where nothing is smoothed */
  int64_t window; /* values that a mean is of */
} drawn_series;

typedef struct limits {
  double low, high;
} limits;

static void free_drawn(drawn_series *drawn, int count) {
  for (int i = 0; drawn && i < count; i++) {
    pl_curve_free(&drawn[i].all);
    pl_curve_free(&drawn[i].mean);
  }
  pl_free(drawn);
}

static pl_status prepare(const pl_chart *chart, const pl_series *series, drawn_series *out) {
  PL_TRY(pl_curve_from(series->x, series->y, series->count, &out->all));
  for (int64_t i = 0; i < out->all.count; i++) out->all.y[i] *= chart->scale;
  out->window = chart->noisy ? out->all.count / SMOOTHED_SHARE | 1 : 1;
  return pl_curve_smooth(&out->all, out->window, &out->mean);
}

static void stretch_limits(const pl_curve *curve, limits *y) {
  for (int64_t i = 0; i < curve->count; i++) {
    y->low = fmin(y->low, curve->y[i]);
    y->high = fmax(y->high, curve->y[i]);
  }
}

static pl_axis value_axis(const pl_chart *chart, limits y) {
  if (chart->log && y.low > 0 && y.high > 100 * y.low) return pl_axis_log(y.low, y.high);
  if (chart->from_zero && y.low > 0) y.low = 0;
  return pl_axis_linear(y.low, y.high, 4, true);
}

static pl_status put_curve(FILE *page, const pl_frame *frame, const pl_curve *curve,
                           const pl_series *series, const char *class) {
  pl_curve thin = {.count = 0};
  pl_status status = pl_curve_thin(curve, frame->x.low, frame->x.high, BUCKETS, &thin);
  if (status == PL_OK && thin.count > 0) {
    fprintf(page, "<path class=\"%s%s\" style=\"--of:var(--c%d)\" d=\"", class,
            series->colour / PL_CHART_COLOURS % 2 ? " dashed" : "",
            series->colour % PL_CHART_COLOURS);
    for (int64_t i = 0; i < thin.count; i++) {
      fprintf(page, "%c%.1f %.1f", thin.starts[i] ? 'M' : 'L', pl_frame_x(frame, thin.x[i]),
              pl_frame_y(frame, thin.y[i]));
    }
    fputs("\"/>\n", page);
  }
  pl_curve_free(&thin);
  return status;
}

static void put_dots(FILE *page, const pl_frame *frame, const pl_curve *curve, int colour) {
  for (int64_t i = 0; i < curve->count; i++) {
    bool alone = curve->starts[i] && (i + 1 == curve->count || curve->starts[i + 1]);
    if (!alone && !frame->chart->dots) continue;
    fprintf(page,
            "<circle class=\"dot\" style=\"--of:var(--c%d)\" cx=\"%.1f\" cy=\"%.1f\" r=\"2.2\"/>\n",
            colour % PL_CHART_COLOURS, pl_frame_x(frame, curve->x[i]),
            pl_frame_y(frame, curve->y[i]));
  }
}

/* The value at the end, until the script puts that under the pointer in its place. */
static void put_value(FILE *page, const drawn_series *drawn) {
  fputs("<output>", page);
  pl_html_number(page, drawn->mean.y[drawn->mean.count - 1]);
  fputs("</output>", page);
}

/* The value of a series without a name stands beside the title, those of others in the legend. */
static void put_heading(FILE *page, const pl_frame *frame, const pl_series *series,
                        const drawn_series *drawn, int64_t window) {
  const char *unit = frame->chart->unit;
  fputs("<figure class=\"chart\">\n<figcaption><b>", page);
  pl_html_text(page, frame->chart->title);
  fputs("</b> ", page);
  if (!*series[0].name) put_value(page, &drawn[0]);
  fprintf(page, "<span>%s", unit);
  if (frame->y.log) fprintf(page, "%slogarithmic", *unit ? ", " : "");
  if (window > 1) {
    fprintf(page, "%smean of %lld values", *unit || frame->y.log ? "; " : "", (long long)window);
  }
  fputs("</span></figcaption>\n", page);
}

static void put_legend(FILE *page, const pl_series *series, const drawn_series *drawn, int count) {
  fputs("<ul class=\"legend\">\n", page);
  for (int i = 0; i < count; i++) {
    if (drawn[i].mean.count == 0) continue;
    pl_legend_begin(page, series[i].colour, series[i].name);
    putc(' ', page);
    put_value(page, &drawn[i]);
    pl_legend_end(page);
  }
  fputs("</ul>\n", page);
}

static pl_status draw(FILE *page, const pl_frame *frame, const pl_series *series,
                      const drawn_series *drawn, int count) {
  int64_t window = 1;
  for (int i = 0; i < count; i++) {
    if (drawn[i].window > window) window = drawn[i].window;
  }
  put_heading(page, frame, series, drawn, window);
  pl_frame_begin(page, frame);
  for (int i = 0; i < count && window > 1 && count <= FAINT_MOST; i++) {
    PL_TRY(put_curve(page, frame, &drawn[i].all, &series[i], "faint"));
  }
  for (int i = 0; i < count; i++) {
    PL_TRY(put_curve(page, frame, &drawn[i].mean, &series[i], "curve"));
    put_dots(page, frame, &drawn[i].mean, series[i].colour);
  }
  pl_frame_end(page, frame);
  if (*series[0].name) put_legend(page, series, drawn, count);
  fputs("</figure>\n", page);
  return PL_OK;
}

pl_status pl_chart_draw(FILE *page, const pl_chart *chart, const pl_chart_time *time,
                        const pl_series *series, int count) {
  pl_status status = PL_OK;
  limits y = {.low = INFINITY, .high = -INFINITY};
  drawn_series *drawn = pl_alloc((size_t)count, sizeof *drawn);
  if (!drawn) return PL_E_INTERNAL;
  for (int i = 0; i < count; i++) {
    PL_TRY_OR(done, status, prepare(chart, &series[i], &drawn[i]));
    stretch_limits(count <= FAINT_MOST ? &drawn[i].all : &drawn[i].mean, &y);
  }
  if (y.low <= y.high) {
    pl_frame frame = {
        .chart = chart, .time = time, .x = pl_frame_time_axis(time), .y = value_axis(chart, y)};
    PL_TRY_OR(done, status, draw(page, &frame, series, drawn, count));
  }
done:
  free_drawn(drawn, count);
  return status;
}
