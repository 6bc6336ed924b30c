/* The map of representations: their two leading principal components, coloured by label. Each class
 * is one path of dots, written once; the whole map and the small ones of each class refer to it. */
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "launch/gallery/parts.h"
#include "launch/report/html.h"
#include "models/pca.h"
#include "runtime/base/hash.h"
#include "runtime/base/memory.h"

/* SIDE: of the larger of width and height, in units of which coordinates are whole numbers; THIN:
 * the least of the smaller; MARGIN: around the dots; COLOURS: --c0 and on of the page. */
enum { POINTS_MAX = 4000, SIDE = 1000, THIN = 300, MARGIN = 20, COLOURS = 10 };

/* Dots of one colour: a class, or all that have no colour of their own. */
typedef struct group {
  int32_t label; /* -1: the rest */
  int64_t count; /* of dots */
} group;

typedef struct map {
  const pl_gallery *gallery;
  pl_pca pca;
  int64_t points; /* shown: the first of the draw */
  int *x, *y;     /* (points): in units of the drawing, y downwards */
  int width, height;
  group groups[COLOURS + 1]; /* by label; the rest last */
  int group_count;
  char name[9]; /* tells the elements of this map from those of others on the page */
} map;

/* ---- who gets which colour ---- */

/* A class with more dots than all that have no group, the first of equals; -1 where none is left.
 * counts: (classes), zero for those that have a group. */
static int32_t largest_class(const int64_t *counts, int classes) {
  int32_t largest = -1;
  for (int32_t label = 0; label < classes; label++) {
    if (counts[label] > (largest < 0 ? 0 : counts[largest])) largest = label;
  }
  return largest;
}

static void add_group(map *m, group added) {
  int at = m->group_count++;
  for (; at > 0 && m->groups[at - 1].label > added.label; at--) m->groups[at] = m->groups[at - 1];
  m->groups[at] = added;
}

static pl_status make_groups(map *m) {
  const pl_gallery *g = m->gallery;
  int64_t *counts = pl_alloc((size_t)g->classes, sizeof *counts);
  if (!counts) return PL_E_INTERNAL;
  int64_t rest = 0;
  for (int64_t i = 0; i < m->points; i++) {
    if (g->classes > 0 && g->labels[i] >= 0) {
      counts[g->labels[i]]++;
    } else {
      rest++;
    }
  }
  for (int32_t label = largest_class(counts, g->classes); label >= 0;
       label = largest_class(counts, g->classes)) {
    if (m->group_count < COLOURS) {
      add_group(m, (group){label, counts[label]});
    } else {
      rest += counts[label];
    }
    counts[label] = 0;
  }
  if (rest > 0) m->groups[m->group_count++] = (group){-1, rest};
  pl_free(counts);
  return PL_OK;
}

static int group_of(const map *m, int32_t label) {
  int k = 0;
  while (k < m->group_count - 1 && (m->groups[k].label < 0 || m->groups[k].label != label)) k++;
  return k;
}

/* Few classes keep the colour of their number, whichever of them are there. */
static void write_colour(const map *m, int k, FILE *out) {
  int32_t label = m->groups[k].label;
  if (m->gallery->classes == 0) {
    fputs("var(--accent)", out);
  } else if (label < 0) {
    fputs("var(--muted)", out);
  } else {
    fprintf(out, "var(--c%d)", m->gallery->classes <= COLOURS ? label : k);
  }
}

static void write_group_name(const map *m, int k, FILE *out) {
  if (m->groups[k].label < 0 && m->gallery->classes > COLOURS) {
    fputs("others", out);
  } else {
    pl_gallery_class_name(m->gallery, m->groups[k].label, out);
  }
}

/* ---- where the dots lie ---- */

/* Both axes have the same scale. */
static void place_dots(map *m) {
  double low[PL_PCA_AXES], high[PL_PCA_AXES];
  for (int a = 0; a < PL_PCA_AXES; a++) {
    low[a] = high[a] = m->pca.points[a];
    for (int64_t i = 0; i < m->points; i++) {
      low[a] = fmin(low[a], m->pca.points[i * PL_PCA_AXES + a]);
      high[a] = fmax(high[a], m->pca.points[i * PL_PCA_AXES + a]);
    }
  }
  double larger = fmax(high[0] - low[0], high[1] - low[1]);
  double scale = larger > 0 ? (SIDE - 2 * MARGIN) / larger : 0;
  m->width = (int)fmax(lrint((high[0] - low[0]) * scale) + 2 * MARGIN, THIN);
  m->height = (int)fmax(lrint((high[1] - low[1]) * scale) + 2 * MARGIN, THIN);
  for (int64_t i = 0; i < m->points; i++) {
    const double *point = m->pca.points + i * PL_PCA_AXES;
    m->x[i] = (int)lrint(m->width / 2.0 + (point[0] - (low[0] + high[0]) / 2) * scale);
    m->y[i] = (int)lrint(m->height / 2.0 - (point[1] - (low[1] + high[1]) / 2) * scale);
  }
}

static pl_status make_map(map *m) {
  const pl_gallery *g = m->gallery;
  m->points = g->count < POINTS_MAX ? g->count : POINTS_MAX;
  m->x = pl_alloc((size_t)m->points, sizeof *m->x);
  m->y = pl_alloc((size_t)m->points, sizeof *m->y);
  if (!m->x || !m->y) return PL_E_INTERNAL;
  PL_TRY(pl_pca_compute(g->values, g->count, g->width, &m->pca));
  PL_TRY(make_groups(m));
  place_dots(m);
  char hash[PL_HASH_TEXT];
  pl_hash_text(pl_hash(g->values, (size_t)g->count * (size_t)g->width * sizeof *g->values), hash);
  memcpy(m->name, hash, sizeof m->name - 1);
  return PL_OK;
}

/* ---- the drawing ---- */

/* A dot is a line of no length with round ends, as wide on a drawing of any size (which must stand
 * here: rules for what is inside of a section do not reach into what <use> repeats). */
static void write_paths(const map *m, FILE *out) {
  fputs("<defs>\n", out);
  for (int k = 0; k < m->group_count; k++) {
    fprintf(out, "<path id=\"map-%s-%d\" vector-effect=\"non-scaling-stroke\" d=\"", m->name, k);
    for (int64_t i = 0; i < m->points; i++) {
      if (group_of(m, m->gallery->labels[i]) != k) continue;
      fprintf(out, "M%d %dh0", m->x[i], m->y[i]);
    }
    fputs("\"/>\n", out);
  }
  fprintf(out, "<g id=\"map-%s\">", m->name);
  for (int k = 0; k < m->group_count; k++) fprintf(out, "<use href=\"#map-%s-%d\"/>", m->name, k);
  fputs("</g>\n</defs>\n", out);
}

static void write_group(const map *m, int k, FILE *out) {
  bool rest = m->groups[k].label < 0 && m->gallery->classes > 0;
  fprintf(out, "<use href=\"#map-%s-%d\"%s style=\"stroke:", m->name, k,
          rest ? " class=\"rest\"" : "");
  write_colour(m, k, out);
  fputs("\"/>", out);
}

static void begin_drawing(const map *m, const char *attributes, FILE *out) {
  fprintf(out, "<svg viewBox=\"0 0 %d %d\" %s>", m->width, m->height, attributes);
}

static void write_whole(const map *m, FILE *out) {
  fputs("<div class=\"whole\">\n<p class=\"axis\">&uarr; second component, ", out);
  pl_html_share(out, m->pca.share[1]);
  fputs(" of the variance</p>\n", out);
  begin_drawing(m, "role=\"img\" aria-label=\"Map of representations\"", out);
  write_paths(m, out);
  /* the rest, which is last, lies below */
  for (int k = m->group_count - 1; k >= 0; k--) write_group(m, k, out);
  fputs("\n</svg>\n<p class=\"axis end\">first component, ", out);
  pl_html_share(out, m->pca.share[0]);
  fputs(" of the variance &rarr;</p>\n</div>\n", out);
}

/* The legend, and for those who can't tell the colours apart: each class before all the others. */
static void write_classes(const map *m, FILE *out) {
  fputs("<ul class=\"classes\">\n", out);
  for (int k = 0; k < m->group_count; k++) {
    fputs("<li>", out);
    begin_drawing(m, "aria-hidden=\"true\"", out);
    fprintf(out, "<use href=\"#map-%s\"/>", m->name);
    write_group(m, k, out);
    fputs("</svg><span><i style=\"background:", out);
    write_colour(m, k, out);
    fputs("\"></i><b>", out);
    write_group_name(m, k, out);
    fputs("</b> ", out);
    pl_html_count(out, m->groups[k].count);
    fputs("</span></li>\n", out);
  }
  fputs("</ul>\n", out);
}

static void write_map(const map *m, FILE *out) {
  fputs("<section class=\"pictures\">\n<h2>Map of representations</h2>\n", out);
  if (m->pca.share[0] == 0) {
    fputs("<p>All representations are the same: there is nothing to map.</p>\n</section>\n", out);
    return;
  }
  fputs("<p>Each dot is one of ", out);
  pl_html_count(out, m->points);
  fputs(
      " samples drawn at random, placed by the two directions in which representations vary most.",
      out);
  if (m->gallery->classes > 0) {
    fputs(" Colours tell the label; each class is also shown alone, before all the others.", out);
  }
  fputs("</p>\n<div class=\"map\">\n", out);
  write_whole(m, out);
  if (m->gallery->classes > 0) write_classes(m, out);
  fputs("</div>\n</section>\n", out);
}

pl_status pl_gallery_map(const pl_gallery *gallery, FILE *out) {
  map m = {.gallery = gallery};
  pl_status status = make_map(&m);
  if (status == PL_OK) write_map(&m, out);
  pl_pca_free(&m.pca);
  pl_free(m.x);
  pl_free(m.y);
  return status;
}
