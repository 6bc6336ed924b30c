/* A few samples, each beside its nearest neighbours among all that were embedded. */
#include <math.h>

#include "launch/gallery/parts.h"
#include "launch/report/html.h"
#include "models/nearest.h"
#include "runtime/base/lanes.h"
#include "runtime/base/memory.h"

enum { QUERIES = 8, NEIGHBOURS = 10 };

/* One query, and what is reused from one to the next. */
typedef struct query {
  int64_t place;
  float *scores; /* (count): similarity of each embedded sample */
  pl_neighbour kept[PL_NEAREST_ROOM(NEIGHBOURS)];
  int found;
  pl_image image;
  pl_picture picture;
} query;

static float similarity(const float *a, const float *b, int width) {
  double lane[PL_LANES] = {0};
  for (int j = 0; j < width; j++) lane[j % PL_LANES] += (double)a[j] * b[j];
  return (float)pl_fold_f64(lane);
}

static void find_neighbours(const pl_gallery *g, query *q) {
  const float *row = g->values + q->place * g->width;
  for (int64_t i = 0; i < g->count; i++) {
    q->scores[i] = similarity(row, g->values + i * g->width, g->width);
  }
  q->scores[q->place] = -INFINITY; /* nobody is a neighbour of himself */
  pl_nearest nearest = pl_nearest_start(q->kept, NEIGHBOURS);
  pl_nearest_take(&nearest, q->scores, (int)g->count, 0);
  pl_nearest_sort(&nearest);
  q->found = nearest.count;
}

static bool has_label(const pl_gallery *g, int64_t place) {
  return g->classes > 0 && g->labels[place] >= 0;
}

static bool is_alike(const pl_gallery *g, const query *q, int64_t place) {
  return g->labels[place] == g->labels[q->place];
}

static void write_mark(bool alike, FILE *out) {
  fprintf(out,
          "<svg class=\"mark\" viewBox=\"0 0 10 10\" aria-hidden=\"true\"><path d=\"%s\"/></svg>",
          alike ? "M1 5.5l3 3 5-7" : "M1.5 1.5l7 7m0-7l-7 7");
}

static void write_caption(const pl_gallery *g, const query *q, const pl_neighbour *n, FILE *out) {
  bool labelled = has_label(g, n->index), compared = labelled && has_label(g, q->place);
  bool alike = compared && is_alike(g, q, n->index);
  fprintf(out, "Neighbour %d", (int)(n - q->kept) + 1);
  if (labelled) fputs(": ", out);
  if (labelled) pl_gallery_class_name(g, g->labels[n->index], out);
  if (compared) fputs(alike ? ", same label" : ", another label", out);
  fprintf(out, "\"><b>%.3f</b>", (double)n->score);
  if (!labelled) return;
  fputs("<span title=\"", out);
  pl_gallery_class_name(g, g->labels[n->index], out);
  fputs("\">", out);
  if (compared) write_mark(alike, out);
  pl_gallery_class_name(g, g->labels[n->index], out);
  fputs("</span>", out);
}

static pl_status write_neighbour(const pl_gallery *g, query *q, const pl_neighbour *n, FILE *out) {
  bool whole;
  PL_TRY(pl_gallery_read(g, n->index, &q->image, &whole));
  if (!whole) return PL_OK;
  PL_TRY(pl_gallery_take_plain(g, &q->image, &q->picture));
  const char *likeness = is_alike(g, q, n->index) ? " class=\"same\"" : " class=\"other\"";
  bool compared = has_label(g, q->place) && has_label(g, n->index);
  fprintf(out, "<li%s>", compared ? likeness : "");
  PL_TRY(pl_gallery_begin_img(&q->picture.image, out));
  write_caption(g, q, n, out);
  fputs("</li>\n", out);
  return PL_OK;
}

static pl_status write_query(const pl_gallery *g, query *q, FILE *out) {
  bool whole;
  PL_TRY(pl_gallery_read(g, q->place, &q->image, &whole));
  if (!whole) return PL_OK;
  PL_TRY(pl_gallery_take_plain(g, &q->image, &q->picture));
  find_neighbours(g, q);
  fputs("<div class=\"shelf\"><div class=\"first\">", out);
  PL_TRY(pl_gallery_begin_img(&q->picture.image, out));
  fputs("Query", out);
  if (has_label(g, q->place)) {
    fputs(": ", out);
    pl_gallery_class_name(g, g->labels[q->place], out);
    fputs("\"><b>", out);
    pl_gallery_class_name(g, g->labels[q->place], out);
    int alike = 0;
    for (int i = 0; i < q->found; i++) alike += is_alike(g, q, q->kept[i].index);
    fprintf(out, "</b><span>%d of %d alike</span></div>\n<ol class=\"neighbours\">", alike,
            q->found);
  } else {
    fputs("\"><b>", out);
    pl_gallery_sample_name(g, q->place, out);
    fputs("</b></div>\n<ol class=\"neighbours\">", out);
  }
  for (int i = 0; i < q->found; i++) PL_TRY(write_neighbour(g, q, &q->kept[i], out));
  fputs("</ol></div>\n", out);
  return PL_OK;
}

pl_status pl_gallery_neighbours(const pl_gallery *gallery, FILE *out) {
  int64_t places[QUERIES];
  int queries = pl_gallery_choose(gallery, QUERIES, places);
  query q = {.scores = pl_alloc((size_t)gallery->count, sizeof *q.scores)};
  pl_status status = q.scores ? PL_OK : PL_E_INTERNAL;
  fputs(
      "<section class=\"pictures\">\n<h2>Nearest neighbours</h2>\n<p>On the left a sample, beside "
      "it "
      "those of ",
      out);
  pl_html_count(out, gallery->count);
  fputs(
      " drawn at random whose representations are nearest to its own, with their cosine "
      "similarity.",
      out);
  if (gallery->classes > 0) {
    fputs(" <span class=\"same\">", out);
    write_mark(true, out);
    fputs("</span>marks those that share its label, <span class=\"other\">", out);
    write_mark(false, out);
    fputs("</span>those that don&rsquo;t.", out);
  }
  fputs("</p>\n", out);
  for (int i = 0; i < queries && status == PL_OK; i++) {
    q.place = places[i];
    status = write_query(gallery, &q, out);
  }
  fputs("</section>\n", out);
  pl_image_free(&q.image);
  pl_picture_free(&q.picture);
  pl_free(q.scores);
  return status;
}
