#include "launch/checkpoints.h"

#include "runtime/base/file.h"
#include "runtime/base/log.h"
#include "runtime/base/memory.h"

/* Opens and verifies, the ranks taking turns at the parts. */
static pl_status open_verified(pl_comm *comm, const char *folder, pl_checkpoint **out) {
  pl_checkpoint *checkpoint = NULL;
  pl_status status = pl_comm_agree(comm, pl_checkpoint_open(folder, &checkpoint));
  if (status == PL_OK) {
    status =
        pl_comm_agree_same(comm, "the checkpoint",
                           pl_checkpoint_get_manifest(checkpoint)->state_hash, PL_CHECKPOINT_HASH);
  }
  if (status == PL_OK) {
    status = pl_comm_agree(
        comm, pl_checkpoint_verify(checkpoint, pl_comm_rank(comm), pl_comm_size(comm)));
  }
  if (status != PL_OK) pl_checkpoint_close(&checkpoint);
  *out = checkpoint;
  return status;
}

pl_status pl_checkpoints_steps(pl_comm *comm, const char *parent, int64_t **steps, int *count) {
  pl_checkpoint_entry *entries = NULL;
  *steps = NULL;
  *count = 0;
  pl_status status = PL_OK;
  if (pl_comm_rank(comm) == 0) status = pl_checkpoint_list(parent, "", &entries, count);
  status = pl_comm_agree(comm, status);
  if (status == PL_OK) status = pl_comm_broadcast(comm, count, sizeof *count, 0);
  if (status == PL_OK) {
    *steps = pl_alloc((size_t)*count, sizeof **steps);
    status = pl_comm_agree(comm, *steps ? PL_OK : PL_E_INTERNAL);
  }
  if (status == PL_OK) {
    for (int k = 0; entries && k < *count; k++) (*steps)[k] = entries[k].step;
    status = pl_comm_broadcast(comm, *steps, (size_t)*count * sizeof **steps, 0);
  }
  pl_free(entries);
  return status;
}

pl_status pl_checkpoints_newest(pl_comm *comm, const char *parent, pl_checkpoint **out) {
  pl_status status;
  int64_t *steps = NULL;
  int count = 0;
  *out = NULL;
  PL_TRY_OR(done, status, pl_checkpoints_steps(comm, parent, &steps, &count));
  for (int k = 0; k < count; k++) {
    char folder[PL_PATH_MAX];
    PL_TRY_OR(done, status, pl_checkpoint_path(parent, steps[k], false, folder));
    status = open_verified(comm, folder, out);
    if (status != PL_E_DATA && status != PL_E_IO) goto done;
    if (pl_comm_rank(comm) == 0) {
      PL_WARN("checkpoint %s is passed over: %s", folder, pl_last_reason()->message);
    }
  }
  if (count > 0) {
    status = PL_FAIL(PL_E_DATA, "none of the checkpoints in %s can be read: %s", parent,
                     count == 1 ? pl_last_reason()->message : "the log tells why");
  }
done:
  pl_free(steps);
  return status;
}

pl_status pl_checkpoints_find(pl_comm *comm, const char *path, pl_checkpoint **out) {
  char inner[PL_PATH_MAX];
  *out = NULL;
  PL_TRY(pl_path_join(path, "manifest.yaml", inner));
  /* Rank 0 looks, so that all go the same way. */
  int is_checkpoint = pl_path_exists(inner);
  PL_TRY(pl_comm_broadcast(comm, &is_checkpoint, sizeof is_checkpoint, 0));
  if (is_checkpoint) return open_verified(comm, path, out);
  PL_TRY(pl_path_join(path, "checkpoints", inner));
  PL_TRY(pl_checkpoints_newest(comm, inner, out));
  if (*out) return PL_OK;
  return PL_FAIL(PL_E_DATA,
                 "%s holds no checkpoint: it is neither a run with checkpoints/ in it nor a "
                 "checkpoint with a manifest.yaml",
                 path);
}
