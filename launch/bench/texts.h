/* Texts to be tokenised in a measurement: made ones, or those of a file. The caller frees the list,
 * also after an error. */
#ifndef LAUNCH_BENCH_TEXTS_H
#define LAUNCH_BENCH_TEXTS_H

#include "launch/pack/names.h"

/* Captions in the manner of the web, the same whenever and wherever they are made: English words of
 * the vocabulary at `vocabulary`, the frequent ones (whose merges come early) often, with capitals,
 * punctuation and numbers; one text in 16 is in another script, one in 16 has a face at its end.
 * PL_E_DATA for a file with no English words. */
pl_status pl_bench_texts_make(const char *vocabulary, pl_names *texts);

/* One text a line; empty lines are left out. PL_E_DATA for a file without any. */
pl_status pl_bench_texts_read(const char *path, pl_names *texts);

#endif
