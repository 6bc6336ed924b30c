/* A trained model from a run's folder or a checkpoint, ready to be compiled. */
#ifndef LAUNCH_RESTORE_H
#define LAUNCH_RESTORE_H

#include "launch/state.h"
#include "models/method.h"
#include "runtime/data/tokenizer.h"

/* Everything that an evaluation needs of a run. */
typedef struct pl_restored {
  pl_config config; /* the run's, with the given overrides */
  int64_t step;
  char state_hash[PL_CHECKPOINT_HASH];
  pl_state state; /* with the weights that config.eval.weights names in image and buffers */
  pl_tokenizer *tokenizer; /* NULL where the method reads no texts */
  pl_method *method;
} pl_restored;

/* Opens `path` (pl_checkpoints_find): a checkpoint's folder, or a run's. Applies
 * `overrides` ("key=value"). `out` must be freed, also after an error. Errors are agreed.
 * Collective.
 */
pl_status pl_restore(pl_comm *comm, const char *path, const char *const *overrides, int count,
                     pl_restored *out);
void pl_restored_free(pl_restored *r);

#endif
