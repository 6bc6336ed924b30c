/* Inside of runtime/store: the names in the folder that holds a run's checkpoints. */
#ifndef PL_STORE_FOLDER_H
#define PL_STORE_FOLDER_H

#include "runtime/store/checkpoint.h"

/* What stands after the name of a step. What ends in ".tmp" is nobody's checkpoint. */
#define PL_STORE_TEMPORARY ".tmp"         /* being written */
#define PL_STORE_REPLACED ".replaced.tmp" /* stood there before a step was written again */
#define PL_STORE_REMOVED ".removed.tmp"   /* about to go */

/* Path of a step's folder with such an ending, or "". */
pl_status pl_store_path(const char *parent, int64_t step, const char *ending, char *out);

#endif
