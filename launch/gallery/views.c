/* A few samples, each beside pairs of views of it as training draws them. */
#include "launch/gallery/parts.h"
#include "launch/settings.h"

/* A pair is what meets in the loss: the views of a sample in one epoch. */
enum { SAMPLES = 6, PAIRS = 3, VIEWS = 2 };

typedef struct studio {
  pl_augment_options options;
  pl_image image;
  pl_picture picture;
} studio;

/* As the loader draws it. */
static pl_status write_view(const pl_gallery *g, studio *s, int64_t place, int pair, int view,
                            FILE *out) {
  pl_view_params params;
  pl_random random = pl_random_stream((uint64_t)g->config->run.seed, PL_RANDOM_AUGMENT,
                                      (uint32_t)pair, (uint64_t)g->sample[place], (uint32_t)view);
  pl_augment_draw(&s->options, s->image.width, s->image.height, &random, &params);
  PL_TRY(pl_picture_take(&s->picture, &s->options, &params, &s->image));
  PL_TRY(pl_gallery_begin_img(&s->picture.image, out));
  fprintf(out, "View %d of pair %d\">", view + 1, pair + 1);
  return PL_OK;
}

static pl_status write_sample(const pl_gallery *g, studio *s, int64_t place, FILE *out) {
  bool whole;
  PL_TRY(pl_gallery_read(g, place, &s->image, &whole));
  if (!whole) return PL_OK;
  PL_TRY(pl_gallery_take_plain(g, &s->image, &s->picture));
  fputs("<div class=\"shelf\"><div class=\"first\">", out);
  PL_TRY(pl_gallery_begin_img(&s->picture.image, out));
  fputs("Without augmentation\"><b>", out);
  if (g->classes > 0) {
    pl_gallery_class_name(g, g->labels[place], out);
  } else {
    fprintf(out, "sample %lld", (long long)g->sample[place]);
  }
  fputs("</b></div>\n<ol class=\"pairs\">", out);
  for (int pair = 0; pair < PAIRS; pair++) {
    fputs("<li>", out);
    for (int view = 0; view < VIEWS; view++) {
      PL_TRY(write_view(g, s, place, pair, view, out));
    }
    fputs("</li>\n", out);
  }
  fputs("</ol></div>\n", out);
  return PL_OK;
}

pl_status pl_gallery_views(const pl_gallery *gallery, FILE *out) {
  int64_t places[SAMPLES];
  int samples = pl_gallery_choose(gallery, SAMPLES, places);
  studio s = {.options = pl_augment_settings(gallery->config)};
  pl_status status = PL_OK;
  fputs(
      "<section class=\"pictures\">\n<h2>Augmented views</h2>\n<p>On the left a sample as it is "
      "judged, beside it pairs of views of it as training draws them: the encoder learns what the "
      "two of a pair have in common.</p>\n<div class=\"views\">\n",
      out);
  for (int i = 0; i < samples && status == PL_OK; i++) {
    status = write_sample(gallery, &s, places[i], out);
  }
  fputs("</div>\n</section>\n", out);
  pl_image_free(&s.image);
  pl_picture_free(&s.picture);
  return status;
}
