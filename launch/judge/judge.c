#include "launch/judge/judge.h"

#include "launch/judge/ways.h"
#include "launch/startup.h"

unsigned pl_judge_ways(const pl_config *config) {
  unsigned ways = 0;
  for (int kind = PL_CFG_EVAL_KNN; kind <= PL_CFG_EVAL_RETRIEVAL; kind++) {
    if (pl_config_judges(config, (pl_cfg_eval)kind)) ways |= 1U << kind;
  }
  return ways;
}

/* ---- nets ---- */

static pl_status compile(const pl_method *method, pl_part part, int rows, pl_net **net) {
  return *net ? PL_OK : pl_method_compile_part(method, part, rows, net);
}

pl_status pl_judge_nets_compile(const pl_method *method, int rows, unsigned ways,
                                pl_judge_nets *nets) {
  if (ways & PL_JUDGE_BY_BANK) PL_TRY(compile(method, PL_PART_ENCODER, rows, &nets->encoder));
  if (ways & PL_JUDGE_BY_TEXTS) {
    PL_TRY(compile(method, PL_PART_TEXTS, rows, &nets->texts));
    PL_TRY(compile(method, PL_PART_IMAGES, rows, &nets->images));
  }
  return PL_OK;
}

pl_status pl_judge_nets_load(const pl_judge_nets *nets, const void *image, const float *buffers) {
  if (nets->encoder) PL_TRY(pl_net_load(nets->encoder, image, buffers));
  if (nets->images) PL_TRY(pl_net_load(nets->images, image, buffers));
  return nets->texts ? pl_net_load(nets->texts, image, buffers) : PL_OK;
}

void pl_judge_nets_free(pl_judge_nets *nets) {
  pl_net_destroy(&nets->encoder);
  pl_net_destroy(&nets->images);
  pl_net_destroy(&nets->texts);
}

/* ---- datasets ---- */

static pl_status check_dataset(const pl_dataset *dataset, const char *folder, unsigned ways) {
  const pl_dataset_info *info = pl_dataset_get_info(dataset);
  if ((ways & (PL_JUDGE_BY_BANK | PL_JUDGE_ZEROSHOT)) && info->classes == 0) {
    return PL_FAIL(PL_E_DATA, "the dataset in %s has no labels", folder);
  }
  return ways & PL_JUDGE_RETRIEVAL ? pl_dataset_check_captioned(dataset) : PL_OK;
}

pl_status pl_judge_open(pl_comm *comm, const pl_config *config, unsigned ways,
                        const char *bank_folder, const char *query_folder, pl_dataset **bank,
                        pl_dataset **queries) {
  *bank = *queries = NULL;
  if (!bank_folder) bank_folder = config->data.train;
  if (!query_folder) query_folder = config->data.val;
  if (query_folder[0] == '\0') {
    return PL_FAIL(PL_E_USAGE, "no data.val is set: it names the samples to judge by");
  }
  if (ways & PL_JUDGE_BY_BANK) {
    PL_TRY(pl_startup_dataset(comm, bank_folder, bank));
    PL_TRY(check_dataset(*bank, bank_folder, PL_JUDGE_BY_BANK));
  }
  PL_TRY(pl_startup_dataset(comm, query_folder, queries));
  PL_TRY(check_dataset(*queries, query_folder, ways));
  if (!*bank) return PL_OK;
  int bank_classes = pl_dataset_get_info(*bank)->classes;
  int query_classes = pl_dataset_get_info(*queries)->classes;
  if (bank_classes == query_classes) return PL_OK;
  return PL_FAIL(PL_E_DATA, "%s has %d classes but %s has %d", bank_folder, bank_classes,
                 query_folder, query_classes);
}

/* ---- judging ---- */

pl_status pl_judge(const pl_judge_setup *setup, unsigned ways, pl_judgement *out) {
  const pl_dataset_info *queries = pl_dataset_get_info(setup->queries);
  *out = (pl_judgement){.ways = ways, .queries = queries->samples, .classes = queries->classes};
  if (ways & PL_JUDGE_BY_BANK) PL_TRY(pl_judge_by_bank(setup, ways, out));
  return ways & PL_JUDGE_BY_TEXTS ? pl_judge_by_texts(setup, ways, out) : PL_OK;
}
