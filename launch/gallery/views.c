/* A few samples, each beside views of it as training draws them. */
#include "launch/gallery/parts.h"
#include "launch/settings.h"

enum { SAMPLES = 6, SHOWN = 6 };

typedef struct studio {
  int views; /* of a sample in one epoch: two that meet in the loss, or one that meets a caption */
  pl_augment_options options;
  pl_image image;
  pl_picture picture;
} studio;

/* As the loader draws it. */
static pl_status write_view(const pl_gallery *g, studio *s, int64_t place, int epoch, int view,
                            FILE *out) {
  pl_view_params params;
  pl_random random = pl_random_stream((uint64_t)g->config->run.seed, PL_RANDOM_AUGMENT,
                                      (uint32_t)epoch, (uint64_t)g->sample[place], (uint32_t)view);
  pl_augment_draw(&s->options, s->image.width, s->image.height, &random, &params);
  PL_TRY(pl_picture_take(&s->picture, &s->options, &params, &s->image));
  PL_TRY(pl_gallery_begin_img(&s->picture.image, out));
  if (s->views == 1) {
    fprintf(out, "View %d\">", epoch + 1);
  } else {
    fprintf(out, "View %d of pair %d\">", view + 1, epoch + 1);
  }
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
  pl_gallery_sample_name(g, place, out);
  fputs("</b></div>\n<ol class=\"pairs\">", out);
  for (int epoch = 0; epoch < SHOWN / s->views; epoch++) {
    fputs("<li>", out);
    for (int view = 0; view < s->views; view++) {
      PL_TRY(write_view(g, s, place, epoch, view, out));
    }
    fputs("</li>\n", out);
  }
  fputs("</ol></div>\n", out);
  return PL_OK;
}

pl_status pl_gallery_views(const pl_gallery *gallery, FILE *out) {
  int64_t places[SAMPLES];
  int samples = pl_gallery_choose(gallery, SAMPLES, places);
  bool texts = pl_config_reads_texts(gallery->config);
  studio s = {.views = texts ? 1 : 2, .options = pl_augment_settings(gallery->config)};
  pl_status status = PL_OK;
  fputs(
      "<section class=\"pictures\">\n<h2>Augmented views</h2>\n<p>On the left a sample as it is "
      "judged, beside it ",
      out);
  fputs(texts ? "views of it as training draws them, one an epoch with one of its captions."
              : "pairs of views of it as training draws them: the encoder learns what the two of a "
                "pair have in common.",
        out);
  fputs("</p>\n<div class=\"views\">\n", out);
  for (int i = 0; i < samples && status == PL_OK; i++) {
    status = write_sample(gallery, &s, places[i], out);
  }
  fputs("</div>\n</section>\n", out);
  pl_image_free(&s.image);
  pl_picture_free(&s.picture);
  return status;
}
