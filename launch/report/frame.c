#include <math.h>

#include "launch/report/chart.h"
#include "launch/report/html.h"

enum { MARGIN_RIGHT = 14, ROW = 15, MOST_TICKS = 6 };

/* Short runs have fewer ticks: no parts of a step. */
pl_axis pl_frame_time_axis(const pl_chart_time *time) {
  int wanted = time->high < MOST_TICKS ? (int)ceil(time->high - time->low) : MOST_TICKS;
  return pl_axis_linear(time->low, time->high, wanted > 0 ? wanted : 1, false);
}

double pl_frame_x(const pl_frame *frame, double x) {
  return PL_FRAME_LEFT + PL_FRAME_WIDTH * pl_axis_place(&frame->x, x);
}

double pl_frame_y(const pl_frame *frame, double y) {
  return PL_FRAME_TOP + PL_FRAME_HEIGHT * (1 - pl_axis_place(&frame->y, y));
}

static const double frame_bottom = PL_FRAME_TOP + PL_FRAME_HEIGHT;
static const double frame_right = PL_FRAME_LEFT + PL_FRAME_WIDTH;

static void put_values(FILE *page, const pl_frame *frame) {
  for (int i = 0; i < frame->y.ticks; i++) {
    char label[PL_AXIS_LABEL];
    double y = pl_frame_y(frame, frame->y.tick[i]);
    pl_axis_label(&frame->y, i, label);
    fprintf(page,
            "<line class=\"grid\" x1=\"%d\" x2=\"%g\" y1=\"%.1f\" y2=\"%.1f\"/>"
            "<text class=\"value\" x=\"%d\" y=\"%.1f\">%s</text>\n",
            PL_FRAME_LEFT, frame_right, y, y, PL_FRAME_LEFT - 6, y + 4, label);
  }
}

/* A row of labels below the frame; values of `axis` count `per_first` for one of the frame's. */
static void put_row(FILE *page, const pl_frame *frame, const pl_axis *axis, double per_first,
                    const char *title, double y) {
  fprintf(page, "<text class=\"value\" x=\"%d\" y=\"%g\">%s</text>\n", PL_FRAME_LEFT - 12, y,
          title);
  for (int i = 0; i < axis->ticks; i++) {
    char label[PL_AXIS_LABEL];
    pl_axis_label(axis, i, label);
    fprintf(page, "<text class=\"time\" x=\"%.1f\" y=\"%g\">%s</text>\n",
            pl_frame_x(frame, axis->tick[i] / per_first), y, label);
  }
}

static void put_marks(FILE *page, const pl_frame *frame) {
  for (int64_t i = 0; i < frame->chart->mark_count; i++) {
    double x = pl_frame_x(frame, frame->chart->marks[i]);
    fprintf(page, "<path class=\"mark\" d=\"M%.1f %dV%g\"/>\n", x, PL_FRAME_TOP, frame_bottom);
  }
}

void pl_frame_begin(FILE *page, const pl_frame *frame) {
  const pl_chart *chart = frame->chart;
  const pl_chart_time *time = frame->time;
  int rows = time->second_title ? 2 : 1;
  fputs("<svg role=\"img\" aria-label=\"", page);
  pl_html_text(page, chart->title);
  fprintf(page,
          "\" viewBox=\"0 0 %d %d\" "
          "data-plot=\"%d %d %d %d %.9g %.9g %.9g %.9g %d %.9g\">\n",
          PL_FRAME_LEFT + PL_FRAME_WIDTH + MARGIN_RIGHT,
          PL_FRAME_TOP + PL_FRAME_HEIGHT + rows * ROW + 6, PL_FRAME_LEFT, PL_FRAME_TOP,
          PL_FRAME_WIDTH, PL_FRAME_HEIGHT, frame->x.low, frame->x.high, frame->y.low, frame->y.high,
          frame->y.log, time->second_title ? time->second : 0);
  put_values(page, frame);
  put_row(page, frame, &frame->x, 1, time->title, frame_bottom + ROW);
  if (time->second_title) {
    pl_axis second = pl_axis_linear(time->low * time->second, time->high * time->second, 5, false);
    put_row(page, frame, &second, time->second, time->second_title, frame_bottom + 2 * ROW);
  }
}

void pl_frame_end(FILE *page, const pl_frame *frame) {
  put_marks(page, frame);
  fprintf(page, "<path class=\"axis\" d=\"M%d %gH%g\"/>\n</svg>\n", PL_FRAME_LEFT, frame_bottom,
          frame_right);
}

void pl_legend_begin(FILE *page, int colour, const char *name) {
  fprintf(page, "<li><i style=\"--of:var(--c%d)\"%s></i>", colour % PL_CHART_COLOURS,
          colour / PL_CHART_COLOURS % 2 ? " class=\"dashed\"" : "");
  pl_html_text(page, name);
}

void pl_legend_end(FILE *page) { fputs("</li>\n", page); }
