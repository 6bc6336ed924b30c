/* What a step queues on a device is the same in every step: recorded once, it costs the host one
 * call instead of hundreds, which small batches would wait for. */
#include "runtime/base/log.h"
#include "runtime/base/memory.h"
#include "runtime/net/exec_state.h"

/* Operations times leaves: beyond so many the recordings would take more memory than is worth the
 * calls, which go unnoticed while the device works through what was queued before. */
enum { MOST_RECORDED = 1 << 14 };

/* Dropouts get other random numbers in each step. */
static bool is_steady(const pl_net *net) {
  for (int i = 0; i < net->steps; i++) {
    if (net->step[i].op.kind == PL_OP_DROPOUT) return false;
  }
  return true;
}

/* Sections of one part: one for each leaf, or for each border's step. */
static int64_t sections_of_part(const pl_exec *exec) {
  int64_t leaves = exec->options.leaves, steps = exec->net->steps;
  return leaves > steps ? leaves : steps;
}

pl_status pl_sections_create(pl_exec *exec, bool wanted) {
  const pl_net *net = exec->net;
  bool few = exec->options.leaves <= MOST_RECORDED / net->steps;
  if (!wanted || !exec->device->record_begin || !net->options.training || !is_steady(net) || !few)
    return PL_OK;
  exec->sections = PL_SECTION_PARTS * sections_of_part(exec);
  exec->section = pl_alloc((size_t)exec->sections, sizeof *exec->section);
  return exec->section ? PL_OK : PL_E_INTERNAL;
}

void pl_sections_destroy(pl_exec *exec) {
  if (!exec->section) return;
  for (int64_t i = 0; i < exec->sections; i++) exec->device->forget(&exec->section[i].recording);
  pl_free(exec->section);
  exec->section = NULL;
}

int64_t pl_exec_recorded(const pl_exec *exec) {
  int64_t recorded = 0;
  for (int64_t i = 0; exec->section && i < exec->sections; i++) {
    recorded += exec->section[i].recording != NULL;
  }
  return recorded;
}

static pl_status record(const pl_pass *pass, pl_section *section, pl_section_work work, int64_t a,
                        int64_t b) {
  pl_exec *exec = pass->exec;
  PL_TRY(exec->device->record_begin());
  exec->recording = true;
  section->image = exec->net->image;
  pl_status status = work(pass, a, b);
  exec->recording = false;
  if (status == PL_OK) return exec->device->record_end(&section->recording);
  pl_reason reason = *pl_last_reason();
  (void)exec->device->record_end(&section->recording);
  exec->device->forget(&section->recording);
  return pl_adopt_reason(&reason);
}

pl_status pl_section_run(const pl_pass *pass, pl_part_of_step part, int64_t index,
                         pl_section_work work, int64_t a, int64_t b, bool *noted) {
  pl_exec *exec = pass->exec;
  pl_section *section =
      exec->section ? &exec->section[part * sections_of_part(exec) + index] : NULL;
  *noted = true;
  if (section && section->image != exec->net->image) exec->device->forget(&section->recording);
  if (section && section->ran && !section->recording) {
    if (record(pass, section, work, a, b) != PL_OK) {
      PL_INFO("the device's work is not recorded but queued anew in each step: %s",
              pl_last_reason()->message);
      pl_sections_destroy(exec);
      section = NULL;
    }
  }
  if (section && section->recording) {
    *noted = false;
    return exec->device->replay(section->recording);
  }
  if (section) section->ran = true;
  return work(pass, a, b);
}
