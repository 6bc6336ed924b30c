/* Representations of a whole dataset, computed over all ranks. */
#ifndef LAUNCH_JUDGE_EMBED_H
#define LAUNCH_JUDGE_EMBED_H

#include "comm/comm.h"
#include "runtime/config/config.h"
#include "runtime/data/dataset.h"
#include "runtime/data/tokenizer.h"
#include "runtime/net/net.h"

/* Which samples, and which views of them; all zero: every sample, evaluation views. */
typedef struct pl_embed_options {
  bool random;   /* crops and flips, no colours, drawn anew for each (run.seed, epoch, sample) */
  int64_t epoch; /* of random views */
  int64_t limit; /* > 0: only so many samples, drawn by run.seed (and epoch, for random views) */
  /* Not NULL: all captions of the dataset, in stored order, instead of its images. */
  const pl_tokenizer *tokenizer;
} pl_embed_options;

/* The representations that this rank computed: those of samples [first, first + count), or with a
 * limit of samples [first, first + count) of the draw. The cut follows the micro-batches of
 * `eval.micro` images, so each representation is computed in the same company, hence bitwise the
 * same, on any number of ranks. */
typedef struct pl_representations {
  int64_t first, count; /* count may be 0 */
  int width;
  float *values;   /* (count, width) */
  int32_t *labels; /* (count); -1 without label */
  int64_t *sample; /* (count): indices in the dataset, of captions that of their sample; ascending
                    * unless there is a limit */
} pl_representations;

/* Sends views of samples through `encoder` (compiled for eval.micro rows, loaded). `what`
 * ("embedding the bank") begins the progress line. The caller frees the result, also after an
 * error. Errors are agreed. Collective; options must match on all ranks. */
pl_status pl_embed_views(pl_comm *comm, const pl_config *config, const pl_dataset *dataset,
                         pl_net *encoder, const pl_embed_options *options, const char *what,
                         pl_representations *out);

/* The same for evaluation views of all samples. */
pl_status pl_embed(pl_comm *comm, const pl_config *config, const pl_dataset *dataset,
                   pl_net *encoder, const char *what, pl_representations *out);
void pl_representations_free(pl_representations *r);

/* Scales rows to unit length; rows of zeros stay. */
void pl_representations_normalize(pl_representations *r);

#endif
