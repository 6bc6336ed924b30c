/* Judging a model of images and texts: zero-shot classification by class names (Radford et al.
 * 2021, section 3.1), and retrieval both ways. */
#include "launch/judge/embed.h"
#include "launch/judge/prompts.h"
#include "launch/judge/ways.h"
#include "runtime/base/clock.h"
#include "runtime/base/memory.h"

const int pl_recall_cut[PL_RETRIEVAL_CUTS] = {1, 5, 10, 0};

/* Labels as groups; the caller frees. */
static int64_t *groups_of_labels(const pl_representations *r) {
  int64_t *group = pl_alloc((size_t)r->count, sizeof *group);
  for (int64_t i = 0; group && i < r->count; i++) group[i] = r->labels[i];
  return group;
}

/* Keys are the classes; rank 0 has them all, as they are few. */
static pl_status classify(const pl_judge_setup *s, const pl_representations *images,
                          const pl_prompts *prompts, pl_zeroshot *out) {
  static const int cut[PL_RETRIEVAL_CUTS] = {1, 5, 0, 0};
  int64_t keys = pl_comm_rank(s->comm) == 0 ? prompts->classes : 0;
  int64_t *labels = groups_of_labels(images);
  int64_t *classes = pl_alloc((size_t)prompts->classes, sizeof *classes);
  pl_status status = pl_comm_agree(s->comm, labels && classes ? PL_OK : PL_E_INTERNAL);
  if (status == PL_OK) {
    for (int64_t c = 0; c < prompts->classes; c++) classes[c] = c;
    pl_retrieval_rows queries = {images->values, labels, images->count};
    pl_retrieval_rows bank = {prompts->values, classes, keys};
    pl_retrieval_result found;
    status = pl_retrieve(s->comm, prompts->width, &queries, &bank, cut, &found);
    *out = (pl_zeroshot){.samples = found.queries,
                         .right1 = found.found[0],
                         .right5 = found.found[1],
                         .classes = prompts->classes,
                         .templates = prompts->templates};
  }
  pl_free(classes);
  pl_free(labels);
  return status;
}

static pl_status judge_zeroshot(const pl_judge_setup *s, const pl_representations *images,
                                pl_zeroshot *out) {
  const char *templates = s->config->eval.templates;
  pl_prompts prompts = {0};
  pl_status status = pl_prompts_embed(s->comm, s->config, s->queries, s->tokenizer, s->nets->texts,
                                      templates[0] != '\0' ? templates : NULL, &prompts);
  if (status == PL_OK) status = classify(s, images, &prompts, out);
  pl_prompts_free(&prompts);
  return status;
}

static pl_status judge_retrieval(const pl_judge_setup *s, const pl_representations *images,
                                 pl_retrieval_both *out) {
  const pl_embed_options captions = {.tokenizer = s->tokenizer};
  pl_representations texts = {0};
  pl_status status;
  PL_TRY_OR(done, status,
            pl_embed_views(s->comm, s->config, s->queries, s->nets->texts, &captions,
                           "embedding captions", &texts));
  pl_retrieval_rows image_rows = {images->values, images->sample, images->count};
  pl_retrieval_rows text_rows = {texts.values, texts.sample, texts.count};
  PL_TRY_OR(done, status,
            pl_retrieve(s->comm, images->width, &image_rows, &text_rows, pl_recall_cut,
                        &out->texts_for_images));
  status = pl_retrieve(s->comm, images->width, &text_rows, &image_rows, pl_recall_cut,
                       &out->images_for_texts);
done:
  pl_representations_free(&texts);
  return status;
}

pl_status pl_judge_by_texts(const pl_judge_setup *s, unsigned ways, pl_judgement *out) {
  pl_representations images = {0};
  double start_ms = pl_now_ms();
  pl_status status =
      pl_embed(s->comm, s->config, s->queries, s->nets->images, "embedding images", &images);
  double embedded_ms = pl_now_ms();
  double embed_ms = embedded_ms - start_ms;
  if (status == PL_OK && (ways & PL_JUDGE_ZEROSHOT)) {
    status = judge_zeroshot(s, &images, &out->zeroshot);
    out->zeroshot_ms = embed_ms + pl_now_ms() - embedded_ms;
  }
  start_ms = pl_now_ms();
  if (status == PL_OK && (ways & PL_JUDGE_RETRIEVAL)) {
    status = judge_retrieval(s, &images, &out->retrieval);
    out->retrieval_ms = embed_ms + pl_now_ms() - start_ms;
  }
  pl_representations_free(&images);
  return status;
}
