#include "launch/train/shortage.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "launch/plan/limits.h"
#include "launch/plan/lines.h"
#include "launch/plan/size.h"
#include "launch/train/rehearsal.h"
#include "runtime/base/log.h"
#include "runtime/base/memory.h"
#include "runtime/cuda/cuda.h"

/* What this rank's host or GPU has, and what the ranks that share it need. */
typedef struct room {
  pl_memory_place place;
  bool is_of_process;
  const char *name; /* "this host" */
  size_t needed, most, free;
} room;

enum { ADVICE_MAX = 768 };

static void add(char advice[ADVICE_MAX], const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void add(char advice[ADVICE_MAX], const char *format, ...) {
  size_t used = strlen(advice);
  va_list values;
  va_start(values, format);
  vsnprintf(advice + used, ADVICE_MAX - used, format, values);
  va_end(values);
}

/* Ways to need less that would fit into `most`; where none would, the one that needs least; where
 * none is known, what makes the largest part smaller. */
static void advise(const pl_plan_choices *choices, pl_memory_place place, double most,
                   char advice[ADVICE_MAX]) {
  char size[PL_SIZE_TEXT];
  int told = 0;
  const pl_plan_choice *least = NULL;
  advice[0] = '\0';
  for (int i = 0; i < choices->count; i++) {
    const pl_plan_choice *c = &choices->choice[i];
    if (!least || c->bytes[place] < least->bytes[place]) least = c;
    if ((double)c->bytes[place] > most) continue;
    add(advice, "%s%s (%s)", told++ > 0 ? ", " : "This would fit: ", c->change,
        pl_size_text(c->bytes[place], size));
  }
  if (told == 0 && least) {
    add(advice, "With %s it would be %s", least->change, pl_size_text(least->bytes[place], size));
  } else if (told == 0) {
    add(advice, "It is less with a smaller batch.micro, batch.activations=recompute, more ranks");
  }
  if (place == PL_ON_DEVICE) add(advice, "; run.device=cpu does without a GPU");
}

/* ---- before ---- */

static size_t times(size_t bytes, int count) { return bytes * (size_t)count; }

static room room_of_host(const pl_comm *comm, const pl_plan *plan) {
  pl_host_memory host = pl_host_memory_read();
  return (room){.place = PL_ON_HOST,
                .name = "this host",
                .needed = times(pl_plan_total(plan, PL_ON_HOST), pl_comm_local_size(comm)),
                .most = host.physical,
                .free = host.available};
}

/* Of the address space that ulimit -v leaves, what is counted will be taken for certain. */
static room room_of_process(const pl_plan *plan) {
  size_t program = plan->bytes[PL_ON_HOST][PL_MEMORY_PROGRAM];
  return (room){.place = PL_ON_HOST,
                .is_of_process = true,
                .name = "this process (ulimit -v)",
                .needed = pl_plan_total(plan, PL_ON_HOST) - program,
                .most = pl_host_memory_read().process,
                .free = SIZE_MAX};
}

static pl_status room_of_gpu(const pl_comm *comm, const pl_plan *plan, room *out) {
  pl_cuda_info info;
  int devices = pl_cuda_devices(), sharing = 1;
  if (devices > 0) sharing = (pl_comm_local_size(comm) - 1) / devices + 1;
  PL_TRY(pl_cuda_get_info(&info));
  *out = (room){.place = PL_ON_DEVICE,
                .name = "this GPU",
                .needed = times(pl_plan_total(plan, PL_ON_DEVICE), sharing),
                .most = info.total_bytes,
                .free = info.free_bytes};
  return PL_OK;
}

static pl_status refuse(const pl_plan *plan, const pl_plan_choices *choices, const room *r) {
  char needed[PL_SIZE_TEXT], most[PL_SIZE_TEXT], line[PL_PLAN_LINE], advice[ADVICE_MAX];
  double share = (double)pl_plan_total(plan, r->place) / (double)r->needed;
  pl_size_text(r->needed, needed);
  pl_size_text(r->most, most);
  pl_plan_line(plan, r->place, line);
  advise(choices, r->place, share * (double)r->most, advice);
  if (plan->incomplete)
    return PL_FAIL(PL_E_USAGE,
                   "this run does not fit into the %s that this process may still map (ulimit -v): "
                   "it has come to %s and wants more, and libraries need some, too. So far a rank "
                   "needs: %s. %s. `plenum plan` tells more",
                   most, needed, line, advice);
  return PL_FAIL(PL_E_USAGE,
                 "this run would need %s of memory of %s, which has %s. A rank needs: %s. %s. "
                 "`plenum plan` tells more",
                 needed, r->name, most, line, advice);
}

static void warn(const pl_plan *plan, const room *r) {
  char needed[PL_SIZE_TEXT], free_now[PL_SIZE_TEXT], line[PL_PLAN_LINE];
  pl_plan_line(plan, r->place, line);
  PL_WARN("this run needs %s of memory of %s, of which %s are free now; a rank needs: %s",
          pl_size_text(r->needed, needed), r->name, pl_size_text(r->free, free_now), line);
}

static pl_status find_rooms(const pl_comm *comm, const pl_plan *plan, room rooms[3], int *count) {
  rooms[0] = room_of_host(comm, plan);
  rooms[1] = room_of_process(plan);
  *count = 2;
  if (plan->on_gpu) PL_TRY(room_of_gpu(comm, plan, &rooms[(*count)++]));
  return PL_OK;
}

/* The choices cost a rehearsal each: rank 0 looks for them only where a rank needs them. */
static pl_status share_choices(pl_comm *comm, const pl_config *config, const pl_plan *plan,
                               bool needed, pl_plan_choices *choices) {
  double wanted = needed;
  *choices = (pl_plan_choices){0};
  PL_TRY(pl_comm_max_f64(comm, &wanted, 1));
  if (wanted == 0) return PL_OK;
  pl_status status = PL_OK;
  if (pl_comm_rank(comm) == 0) status = pl_rehearse_choices(comm, config, plan, choices);
  PL_TRY(pl_comm_agree(comm, status));
  return pl_comm_broadcast(comm, choices, sizeof *choices, 0);
}

/* Where ulimit -v is too narrow for the addresses of all this, that is an answer, too. */
static pl_status rehearse(const pl_comm *comm, const pl_config *config, pl_plan *plan) {
  pl_status status = pl_rehearse(comm, config, pl_comm_size(comm), plan);
  if (status == PL_OK || pl_account_refusal().bytes == 0) return status;
  pl_account_forget_refusal();
  plan->incomplete = true;
  return PL_OK;
}

static bool lacks(const pl_comm *comm, const pl_plan *plan, const room *r) {
  bool without_addresses = plan->incomplete && pl_comm_rank(comm) == 0 && r->is_of_process;
  return without_addresses || r->needed > r->most;
}

pl_status pl_shortage_foresee(pl_comm *comm, const pl_config *config, pl_plan *plan) {
  room rooms[3];
  int count = 0, lacking = -1;
  pl_plan_choices choices;
  pl_status status = PL_OK;
  if (pl_comm_rank(comm) == 0) status = rehearse(comm, config, plan);
  PL_TRY(pl_comm_agree(comm, status));
  PL_TRY(pl_comm_broadcast(comm, plan, sizeof *plan, 0));
  PL_TRY(pl_comm_agree(comm, find_rooms(comm, plan, rooms, &count)));
  for (int i = 0; i < count; i++) {
    if (lacking < 0 && lacks(comm, plan, &rooms[i])) lacking = i;
  }
  bool ask = lacking >= 0 && !rooms[lacking].is_of_process; /* where there is room to try */
  PL_TRY(share_choices(comm, config, plan, ask, &choices));
  PL_TRY(pl_comm_agree(comm, lacking >= 0 ? refuse(plan, &choices, &rooms[lacking]) : PL_OK));
  /* Ranks of a host would all say the same. */
  for (int i = 0; i < count && pl_comm_local_rank(comm) == 0; i++) {
    if (rooms[i].needed > rooms[i].free) warn(plan, &rooms[i]);
  }
  return PL_OK;
}

/* ---- after ---- */

static pl_status explain(const pl_plan *plan, const pl_plan_choices *choices,
                         const pl_refusal *refusal) {
  char asked[PL_SIZE_TEXT], free_now[PL_SIZE_TEXT], line[PL_PLAN_LINE], advice[ADVICE_MAX];
  bool on_gpu = refusal->place == PL_ON_DEVICE;
  pl_host_memory host = pl_host_memory_read();
  size_t most = host.available < host.process ? host.available : host.process;
  pl_cuda_info info;
  if (on_gpu && pl_cuda_get_info(&info) == PL_OK) most = info.free_bytes;
  pl_plan_line(plan, refusal->place, line);
  advise(choices, refusal->place, (double)most, advice);
  return PL_FAIL(PL_E_INTERNAL,
                 "out of memory: %s for %s could not be had of the %s, of which %s are free "
                 "without this rank. It needs: %s. %s. `plenum plan` tells more",
                 pl_size_text(refusal->bytes, asked), pl_plan_name(refusal->kind),
                 on_gpu ? "GPU" : "host", pl_size_text(most, free_now), line, advice);
}

pl_status pl_shortage_explain(pl_comm *comm, const pl_plan *plan, const pl_config *config,
                              pl_status status) {
  pl_reason reason = *pl_last_reason();
  pl_refusal refusal = pl_account_refusal();
  pl_plan_choices choices;
  double refused = refusal.bytes > 0;
  PL_TRY(pl_comm_max_f64(comm, &refused, 1));
  if (refused == 0) return pl_adopt_reason(&reason);
  PL_TRY(share_choices(comm, config, plan, true, &choices));
  pl_account_forget_refusal();
  PL_TRY(pl_comm_agree(comm, refusal.bytes > 0 ? explain(plan, &choices, &refusal) : PL_OK));
  return pl_failed(pl_adopt_reason(&reason), status);
}
