/* Class names as texts: each class in each of some templates ("a photo of a {}."), embedded,
 * averaged and scaled to unit length (Radford et al. 2021, section 3.1.4: prompt ensembling). */
#ifndef LAUNCH_JUDGE_PROMPTS_H
#define LAUNCH_JUDGE_PROMPTS_H

#include "comm/comm.h"
#include "runtime/config/config.h"
#include "runtime/data/dataset.h"
#include "runtime/data/tokenizer.h"
#include "runtime/net/net.h"

typedef struct pl_prompts {
  int64_t classes;
  int templates, width;
  float *values; /* (classes, width), on all ranks */
} pl_prompts;

/* `path`: a file of one template a line, each with a {} for the class's name; NULL: the one
 * above. `texts` embeds token ids in leaves of config->eval.micro. The same bits on any number of
 * ranks. The caller frees `out`, also after an error. PL_E_USAGE names the line without a {}.
 * Errors are agreed. Collective. */
pl_status pl_prompts_embed(pl_comm *comm, const pl_config *config, const pl_dataset *dataset,
                           const pl_tokenizer *tokenizer, pl_net *texts, const char *path,
                           pl_prompts *out);
void pl_prompts_free(pl_prompts *prompts);

#endif
