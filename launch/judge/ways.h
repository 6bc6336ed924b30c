/* Inside of the judge: the ways that share an embedding of samples. */
#ifndef LAUNCH_JUDGE_WAYS_H
#define LAUNCH_JUDGE_WAYS_H

#include "launch/judge/judge.h"

/* Those of `ways` that are PL_JUDGE_BY_BANK. Errors are agreed. Collective. */
pl_status pl_judge_by_bank(const pl_judge_setup *setup, unsigned ways, pl_judgement *out);

/* Those of `ways` that are PL_JUDGE_BY_TEXTS. PL_E_DATA names a sample without a caption. Errors
 * are agreed. Collective. */
pl_status pl_judge_by_texts(const pl_judge_setup *setup, unsigned ways, pl_judgement *out);

#endif
