/* Inside of the metrics: going on with the metrics.jsonl of a resumed run. */
#ifndef LAUNCH_TRAIN_METRICS_FILE_H
#define LAUNCH_TRAIN_METRICS_FILE_H

#include <stdint.h>
#include <stdio.h>

#include "runtime/base/status.h"

/* Opens the file at `path` for appending. For step 0 it begins empty; otherwise it is cut before
 * the first line of step `step` or later, and before a line that a killed process left unfinished.
 * *last_eval: steps done at the last judgement it tells of, or -1. The caller closes *out. */
pl_status pl_metrics_file_open(const char *path, int64_t step, int64_t *last_eval, FILE **out);

#endif
