#include "launch/gallery/gallery.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "launch/gallery/parts.h"
#include "launch/judge/embed.h"
#include "launch/report/html.h"
#include "launch/settings.h"
#include "runtime/base/file.h"
#include "runtime/base/log.h"
#include "runtime/base/memory.h"

/* ---- from all ranks to rank 0 ---- */

/* Sizes and places of the ranks' parts in an exchange where all goes to rank 0. */
typedef struct parts {
  int64_t *count;                                /* (ranks): rows of each */
  size_t *send_bytes, *recv_bytes, *recv_offset; /* (ranks) */
  size_t *send_offset;                           /* (ranks): zeros */
} parts;

static pl_status reserve_parts(int ranks, parts *p) {
  size_t n = (size_t)ranks;
  p->count = pl_alloc(n, sizeof *p->count);
  p->send_bytes = pl_alloc(n, sizeof *p->send_bytes);
  p->send_offset = pl_alloc(n, sizeof *p->send_offset);
  p->recv_bytes = pl_alloc(n, sizeof *p->recv_bytes);
  p->recv_offset = pl_alloc(n, sizeof *p->recv_offset);
  return p->count && p->send_bytes && p->send_offset && p->recv_bytes && p->recv_offset
             ? PL_OK
             : PL_E_INTERNAL;
}

static void free_parts(parts *p) {
  pl_free(p->count);
  pl_free(p->send_bytes);
  pl_free(p->send_offset);
  pl_free(p->recv_bytes);
  pl_free(p->recv_offset);
}

/* Rows of `row_bytes` bytes, this rank's from `mine`, one rank's after another's to `all` on rank
 * 0. Collective. */
static pl_status gather_rows(pl_comm *comm, parts *p, const void *mine, size_t row_bytes,
                             void *all) {
  bool first = pl_comm_rank(comm) == 0;
  size_t offset = 0;
  for (int rank = 0; rank < pl_comm_size(comm); rank++) {
    p->recv_bytes[rank] = first ? (size_t)p->count[rank] * row_bytes : 0;
    p->recv_offset[rank] = offset;
    offset += p->recv_bytes[rank];
  }
  p->send_bytes[0] = (size_t)p->count[pl_comm_rank(comm)] * row_bytes;
  pl_request *request = NULL;
  PL_TRY(pl_comm_start_alltoall(comm, mine, p->send_bytes, p->send_offset, all, p->recv_bytes,
                                p->recv_offset, &request));
  return pl_comm_wait(comm, &request);
}

static pl_status reserve_gallery(const pl_comm *comm, const parts *p, pl_gallery *g) {
  if (pl_comm_rank(comm) != 0) return PL_OK;
  for (int rank = 0; rank < pl_comm_size(comm); rank++) g->count += p->count[rank];
  g->values = pl_alloc((size_t)g->count * (size_t)g->width, sizeof *g->values);
  g->labels = pl_alloc((size_t)g->count, sizeof *g->labels);
  g->sample = pl_alloc((size_t)g->count, sizeof *g->sample);
  return g->values && g->labels && g->sample ? PL_OK : PL_E_INTERNAL;
}

/* Ranks hold the draw in its order, so that this is the order of the whole. */
static pl_status gather(pl_comm *comm, const pl_representations *mine, pl_gallery *g) {
  parts p = {0};
  pl_status status = PL_OK;
  g->width = mine->width;
  PL_TRY_OR(done, status, pl_comm_agree(comm, reserve_parts(pl_comm_size(comm), &p)));
  PL_TRY_OR(done, status, pl_comm_allgather_equal(comm, &mine->count, p.count, sizeof mine->count));
  PL_TRY_OR(done, status, pl_comm_agree(comm, reserve_gallery(comm, &p, g)));
  PL_TRY_OR(done, status,
            gather_rows(comm, &p, mine->values, (size_t)g->width * sizeof *g->values, g->values));
  PL_TRY_OR(done, status, gather_rows(comm, &p, mine->labels, sizeof *g->labels, g->labels));
  PL_TRY_OR(done, status, gather_rows(comm, &p, mine->sample, sizeof *g->sample, g->sample));
done:
  free_parts(&p);
  return status;
}

/* ---- what the pieces share ---- */

static bool is_finite(const float *row, int width) {
  for (int j = 0; j < width; j++) {
    if (!isfinite(row[j])) return false;
  }
  return true;
}

/* A representation that overflowed has no place among others. */
static void leave_out_what_is_not_finite(pl_gallery *g) {
  int64_t kept = 0;
  size_t row_bytes = (size_t)g->width * sizeof *g->values;
  for (int64_t i = 0; i < g->count; i++) {
    const float *row = g->values + i * g->width;
    if (!is_finite(row, g->width)) continue;
    if (kept != i) memcpy(g->values + kept * g->width, row, row_bytes);
    g->labels[kept] = g->labels[i];
    g->sample[kept++] = g->sample[i];
  }
  if (kept < g->count) {
    PL_WARN("%lld of %lld representations are not finite; the pictures are without them",
            (long long)(g->count - kept), (long long)g->count);
  }
  g->count = kept;
}

/* Place of the first sample with this label (any, for -1) that is not among the `count` chosen. */
static int64_t find_unchosen(const pl_gallery *g, int32_t label, const int64_t *chosen, int count) {
  for (int64_t place = 0; place < g->count; place++) {
    bool taken = label >= 0 && g->labels[place] != label;
    for (int i = 0; i < count && !taken; i++) taken = chosen[i] == place;
    if (!taken) return place;
  }
  return -1;
}

int pl_gallery_choose(const pl_gallery *gallery, int wanted, int64_t *places) {
  int count = 0, classes = gallery->classes;
  for (int i = 0; i < wanted; i++) {
    int64_t place = -1;
    if (classes > 0) {
      int64_t label = classes < wanted ? i % classes : (int64_t)i * classes / wanted;
      place = find_unchosen(gallery, (int32_t)label, places, count);
    }
    if (classes == 0 && gallery->count >= wanted) place = i * gallery->count / wanted;
    if (place < 0) place = find_unchosen(gallery, -1, places, count);
    if (place >= 0) places[count++] = place;
  }
  return count;
}

void pl_gallery_class_name(const pl_gallery *gallery, int32_t label, FILE *out) {
  const char *name = label >= 0 ? pl_dataset_class_name(gallery->dataset, label) : NULL;
  pl_html_text(out, name ? name : "no label");
}

void pl_gallery_sample_name(const pl_gallery *gallery, int64_t place, FILE *out) {
  enum { CAPTION_MAX = 256 };
  char caption[CAPTION_MAX];
  int64_t sample = gallery->sample[place];
  if (gallery->classes > 0) {
    pl_gallery_class_name(gallery, gallery->labels[place], out);
  } else if (pl_dataset_caption_count(gallery->dataset, sample) > 0 &&
             pl_dataset_read_caption(gallery->dataset, sample, 0, caption, sizeof caption) ==
                 PL_OK) {
    pl_html_text(out, caption);
  } else {
    fprintf(out, "sample %lld", (long long)sample);
  }
}

pl_status pl_gallery_read(const pl_gallery *gallery, int64_t place, pl_image *image, bool *whole) {
  pl_status status = pl_dataset_read_image(gallery->dataset, gallery->sample[place], image);
  *whole = status == PL_OK;
  if (status != PL_E_DATA) return status;
  PL_WARN("the pictures are without a corrupt sample: %s", pl_last_reason()->message);
  return PL_OK;
}

pl_status pl_gallery_take_plain(const pl_gallery *gallery, const pl_image *image,
                                pl_picture *picture) {
  const pl_augment_options options = pl_augment_settings(gallery->config);
  pl_view_params params;
  pl_augment_centre(&options, image->width, image->height, &params);
  return pl_picture_take(picture, &options, &params, image);
}

pl_status pl_gallery_begin_img(const pl_image *image, FILE *out) {
  fputs("<img src=\"", out);
  PL_TRY(pl_write_png_uri(out, image));
  fputs("\" alt=\"", out);
  return PL_OK;
}

/* ---- the whole ---- */

static pl_status write_parts(const pl_gallery *g, FILE *out) {
  pl_gallery_style(out);
  PL_TRY(pl_gallery_neighbours(g, out));
  PL_TRY(pl_gallery_map(g, out));
  return pl_gallery_views(g, out);
}

static pl_status draw(pl_gallery *g, const char *path) {
  leave_out_what_is_not_finite(g);
  char *text = NULL;
  size_t size = 0;
  FILE *out = open_memstream(&text, &size);
  if (!out) return PL_FAIL(PL_E_INTERNAL, "out of memory for the pictures");
  pl_status status = write_parts(g, out);
  bool failed = ferror(out) != 0;
  failed = fclose(out) != 0 || failed;
  if (status == PL_OK && failed) status = PL_FAIL(PL_E_INTERNAL, "out of memory for the pictures");
  if (status == PL_OK) status = pl_write_file_durably(path, text, size);
  free(text);
  return status;
}

pl_status pl_gallery_write(pl_comm *comm, const pl_config *config, pl_net *encoder,
                           const pl_dataset *dataset, const char *path) {
  if (config->report.samples == 0) return PL_OK;
  pl_representations mine = {0};
  pl_gallery g = {
      .config = config, .dataset = dataset, .classes = pl_dataset_get_info(dataset)->classes};
  const pl_embed_options options = {.limit = config->report.samples};
  pl_status status = pl_embed_views(comm, config, dataset, encoder, &options, "pictures", &mine);
  if (status == PL_OK) {
    pl_representations_normalize(&mine);
    status = gather(comm, &mine, &g);
  }
  pl_representations_free(&mine);
  pl_comm_alive(comm, -1, "pictures");
  if (status == PL_OK) {
    status = pl_comm_agree(comm, pl_comm_rank(comm) == 0 ? draw(&g, path) : PL_OK);
  }
  pl_free(g.values);
  pl_free(g.labels);
  pl_free(g.sample);
  return status;
}
