#include "launch/judge_texts.h"

#include "launch/embed.h"
#include "launch/prompts.h"
#include "runtime/base/memory.h"

const int pl_recall_cut[PL_RETRIEVAL_CUTS] = {1, 5, 10, 0};

static pl_status embed_images(const pl_text_judge *j, pl_representations *out) {
  return pl_embed(j->comm, j->config, j->dataset, j->images, "embedding images", out);
}

/* Labels as groups; the caller frees. */
static int64_t *groups_of_labels(const pl_representations *r) {
  int64_t *group = pl_alloc((size_t)r->count, sizeof *group);
  for (int64_t i = 0; group && i < r->count; i++) group[i] = r->labels[i];
  return group;
}

/* Keys are the classes; rank 0 has them all, as they are few. */
static pl_status classify(const pl_text_judge *j, const pl_representations *images,
                          const pl_prompts *prompts, pl_zeroshot *out) {
  static const int cut[PL_RETRIEVAL_CUTS] = {1, 5, 0, 0};
  int64_t keys = pl_comm_rank(j->comm) == 0 ? prompts->classes : 0;
  int64_t *labels = groups_of_labels(images);
  int64_t *classes = pl_alloc((size_t)prompts->classes, sizeof *classes);
  pl_status status = pl_comm_agree(j->comm, labels && classes ? PL_OK : PL_E_INTERNAL);
  if (status == PL_OK) {
    for (int64_t c = 0; c < prompts->classes; c++) classes[c] = c;
    pl_retrieval_rows queries = {images->values, labels, images->count};
    pl_retrieval_rows bank = {prompts->values, classes, keys};
    pl_retrieval_result found;
    status = pl_retrieve(j->comm, prompts->width, &queries, &bank, cut, &found);
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

pl_status pl_judge_zeroshot(const pl_text_judge *j, const char *templates, pl_zeroshot *out) {
  pl_prompts prompts = {0};
  pl_representations images = {0};
  pl_status status;
  PL_TRY_OR(done, status,
            pl_prompts_embed(j->comm, j->config, j->dataset, j->tokenizer, j->texts, templates,
                             &prompts));
  PL_TRY_OR(done, status, embed_images(j, &images));
  status = classify(j, &images, &prompts, out);
done:
  pl_representations_free(&images);
  pl_prompts_free(&prompts);
  return status;
}

pl_status pl_judge_retrieval(const pl_text_judge *j, pl_retrieval_both *out) {
  const pl_embed_options captions = {.tokenizer = j->tokenizer};
  pl_representations images = {0}, texts = {0};
  pl_status status;
  PL_TRY_OR(done, status, embed_images(j, &images));
  PL_TRY_OR(done, status,
            pl_embed_views(j->comm, j->config, j->dataset, j->texts, &captions,
                           "embedding captions", &texts));
  pl_retrieval_rows image_rows = {images.values, images.sample, images.count};
  pl_retrieval_rows text_rows = {texts.values, texts.sample, texts.count};
  PL_TRY_OR(done, status,
            pl_retrieve(j->comm, images.width, &image_rows, &text_rows, pl_recall_cut,
                        &out->texts_for_images));
  status = pl_retrieve(j->comm, images.width, &text_rows, &image_rows, pl_recall_cut,
                       &out->images_for_texts);
done:
  pl_representations_free(&texts);
  pl_representations_free(&images);
  return status;
}
