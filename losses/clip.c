#include "losses/clip.h"

#include <math.h>

#include "losses/clip_kinds.h"
#include "losses/uniformity.h"
#include "runtime/base/memory.h"
#include "runtime/base/vexp.h"

struct pl_clip_loss {
  pl_comm *comm;
  pl_clip_kind kind;
  pl_pair_sweep *images; /* rows are images, columns texts */
  pl_pair_sweep *texts;  /* its mirror */
};

pl_status pl_clip_loss_create(pl_comm *comm, pl_clip_kind kind, const pl_pair_options *options,
                              pl_clip_loss **out) {
  *out = NULL;
  pl_clip_loss *loss = pl_alloc(1, sizeof *loss);
  pl_status status = PL_OK;
  PL_TRY_OR(done, status, pl_comm_agree(comm, loss ? PL_OK : PL_E_INTERNAL));
  loss->comm = comm;
  loss->kind = kind;
  PL_TRY_OR(done, status, pl_pair_sweep_create(comm, options, &loss->images));
  PL_TRY_OR(done, status, pl_pair_sweep_create_mirror(loss->images, &loss->texts));
done:
  if (status != PL_OK) pl_clip_loss_destroy(&loss);
  *out = loss;
  return status;
}

void pl_clip_loss_destroy(pl_clip_loss **loss) {
  if (!*loss) return;
  pl_pair_sweep_destroy(&(*loss)->texts);
  pl_pair_sweep_destroy(&(*loss)->images);
  pl_free(*loss);
  *loss = NULL;
}

const pl_pair_sweep *pl_clip_loss_sweep(const pl_clip_loss *loss) { return loss->images; }

size_t pl_clip_loss_bytes(const pl_clip_loss *loss) {
  return sizeof *loss + pl_pair_sweep_bytes(loss->images) + pl_pair_sweep_bytes(loss->texts);
}

pl_pair_sent pl_clip_sent_bytes(const pl_clip_loss *loss) {
  const pl_clip_terms terms = {0};
  pl_pair_loss images, texts;
  (loss->kind == PL_CLIP_SOFTMAX ? pl_clip_softmax_kinds : pl_clip_sigmoid_kinds)(&terms, &images,
                                                                                  &texts);
  pl_pair_sent sent = pl_pair_sent_bytes(loss->images, &images);
  pl_pair_sent others = pl_pair_sent_bytes(loss->texts, &texts);
  return (pl_pair_sent){.embeddings = sent.embeddings + others.embeddings,
                        .statistics = sent.statistics + others.statistics};
}

double pl_clip_gather_ms(const pl_clip_loss *loss) {
  return pl_pair_gather_ms(loss->images) + pl_pair_gather_ms(loss->texts);
}

/* The sweeps alternate such that the columns change hands only twice. */
static pl_status backward(pl_clip_loss *loss, const pl_pair_loss *images, const pl_pair_loss *texts,
                          float *dx, float *dy) {
  PL_TRY(pl_pair_gradient_two(loss->texts, texts, loss->images, dy));
  return pl_pair_gradient_two(loss->images, images, loss->texts, dx);
}

pl_status pl_clip(pl_clip_loss *loss, const float *x, const float *y, double log_scale, double bias,
                  bool want_uniformity, pl_contrast_figures *figures, float *dx, float *dy,
                  double *dlog_scale, double *dbias) {
  bool softmax = loss->kind == PL_CLIP_SOFTMAX;
  double pairs = (double)pl_pair_total_rows(loss->images), rows = softmax ? 2 * pairs : pairs;
  double scale = exp(log_scale);
  const pl_clip_terms terms = {
      .scale = scale,
      .bias = bias,
      .steep = (float)(scale * PL_LOG2_E),
      .shift = (float)(bias * PL_LOG2_E),
      .share = (float)(scale / rows),
  };
  pl_pair_loss images, texts;
  (softmax ? pl_clip_softmax_kinds : pl_clip_sigmoid_kinds)(&terms, &images, &texts);

  double of_images[PL_CLIP_FIGURES], of_texts[PL_CLIP_FIGURES];
  figures->uniformity = NAN;
  if (want_uniformity) PL_TRY(pl_uniformity(loss->texts, x, &figures->uniformity));
  PL_TRY(pl_pair_gather_two(loss->images, x, y));
  PL_TRY(pl_pair_gather_two(loss->texts, y, x));
  PL_TRY(pl_pair_statistics(loss->images, &images, of_images));
  PL_TRY(pl_pair_statistics(loss->texts, &texts, of_texts));
  figures->loss = (of_images[PL_CLIP_LOSS] + of_texts[PL_CLIP_LOSS]) / rows;
  figures->accuracy = (of_images[PL_CLIP_RIGHT] + of_texts[PL_CLIP_RIGHT]) / (2 * pairs);
  figures->alignment = 2 - 2 * of_images[PL_CLIP_PARTNER] / pairs;
  *dlog_scale = (of_images[PL_CLIP_BY_SCALE] + of_texts[PL_CLIP_BY_SCALE]) / rows;
  *dbias = (of_images[PL_CLIP_BY_BIAS] + of_texts[PL_CLIP_BY_BIAS]) / rows;
  if (!dx) return PL_OK;
  return pl_comm_agree(loss->comm, backward(loss, &images, &texts, dx, dy));
}
