#include "launch/train/inspection.h"

#include <stdio.h>
#include <string.h>

#include "runtime/base/memory.h"

/* Verifies one rank's parts; their verdicts lie one after another. */
static pl_status verify_own(const pl_checkpoint *checkpoint, int parts, int rank, int ranks,
                            char (*verdict)[PL_VERDICT_TEXT]) {
  for (int p = rank; p < parts; p += ranks) {
    pl_status status = pl_checkpoint_verify(checkpoint, p, parts);
    if (status == PL_OK) continue;
    if (status != PL_E_DATA && status != PL_E_IO) return status;
    snprintf(verdict[p / ranks], PL_VERDICT_TEXT, "%.*s", PL_VERDICT_TEXT - 1,
             pl_last_reason()->message);
  }
  return PL_OK;
}

/* Puts the verdicts of all ranks, `rows` of each, into the order of the parts. */
static void sort_out(pl_inspection *out, int parts, int ranks, int rows,
                     char (*gathered)[PL_VERDICT_TEXT]) {
  for (int p = 0; p < parts; p++) {
    memcpy(out->verdict[p], gathered[p % ranks * rows + p / ranks], PL_VERDICT_TEXT);
    out->bad_parts += out->verdict[p][0] != '\0';
  }
}

static pl_status verify_all(pl_comm *comm, pl_inspection *out) {
  pl_status status;
  int parts = pl_checkpoint_get_manifest(out->checkpoint)->parts;
  int rank = pl_comm_rank(comm), ranks = pl_comm_size(comm);
  int rows = (parts - 1) / ranks + 1;
  char(*own)[PL_VERDICT_TEXT] = pl_alloc((size_t)rows, sizeof *own);
  char(*gathered)[PL_VERDICT_TEXT] = pl_alloc((size_t)rows * (size_t)ranks, sizeof *gathered);
  out->verdict = pl_alloc((size_t)parts, sizeof *out->verdict);
  status = own && gathered && out->verdict ? PL_OK : PL_E_INTERNAL;
  if (status == PL_OK) status = verify_own(out->checkpoint, parts, rank, ranks, own);
  PL_TRY_OR(done, status, pl_comm_agree(comm, status));
  PL_TRY_OR(done, status, pl_comm_allgather_equal(comm, own, gathered, (size_t)rows * sizeof *own));
  sort_out(out, parts, ranks, rows, gathered);
done:
  pl_free(own);
  pl_free(gathered);
  return status;
}

pl_status pl_inspect(pl_comm *comm, const char *folder, pl_inspection *out) {
  *out = (pl_inspection){0};
  PL_TRY(pl_comm_agree(comm, pl_checkpoint_open(folder, &out->checkpoint)));
  const pl_checkpoint_manifest *manifest = pl_checkpoint_get_manifest(out->checkpoint);
  /* one number of parts, or the exchange of verdicts falls apart */
  const int64_t seen[] = {manifest->parts, manifest->step};
  PL_TRY(pl_comm_agree_same(comm, "the checkpoint", seen, sizeof seen));
  for (int p = 0; p < manifest->parts; p++) out->bytes += manifest->part[p].bytes;
  return verify_all(comm, out);
}

void pl_inspection_free(pl_inspection *inspection) {
  pl_checkpoint_close(&inspection->checkpoint);
  pl_free(inspection->verdict);
  *inspection = (pl_inspection){0};
}
