/* plenum plan: what a run will need, before anything is spent. */
#include <stdio.h>

#include "launch/command.h"
#include "launch/plan/size.h"
#include "launch/startup.h"
#include "launch/train/rehearsal.h"
#include "runtime/base/memory.h"
#include "runtime/cuda/cuda.h"

enum { DEVICE_AS_SAID, DEVICE_CPU, DEVICE_CUDA };

/* As the options say it; texts are NULL, and sizes 0, where they say nothing. */
typedef struct request {
  int64_t ranks, per_host, device;
  const char *memory_text, *host_text;
  size_t memory, host_memory;
  bool json;
} request;

static pl_status parse_size(const char *option, const char *text, size_t *bytes) {
  if (!text || pl_size_parse(text, bytes)) return PL_OK;
  return PL_FAIL(PL_E_USAGE, "plan: --%s wants a size such as 80GB or 64GiB, not '%s'", option,
                 text);
}

static pl_status parse(const pl_command *command, int argc, char **argv, request *r,
                       const char **operands, int *count, bool *helped) {
  const pl_option table[] = {
      {.name = "ranks",
       .kind = PL_OPTION_INT,
       .value = &r->ranks,
       .low = 1,
       .high = 1 << 20,
       .help = "ranks of the run"},
      {.name = "per-host",
       .kind = PL_OPTION_INT,
       .value = &r->per_host,
       .low = 1,
       .high = 1 << 20,
       .help = "of these, ranks that share a host"},
      {.name = "device",
       .kind = PL_OPTION_CHOICE,
       .value = &r->device,
       .choices = "run.device|cpu|cuda",
       .help = "what computes; a GPU need not be there"},
      {.name = "memory",
       .kind = PL_OPTION_TEXT,
       .value = &r->memory_text,
       .help = "of a GPU, or on the processor of a host: says whether it fits"},
      {.name = "host-memory",
       .kind = PL_OPTION_TEXT,
       .value = &r->host_text,
       .help = "of a host, where a GPU computes: likewise"},
      {.name = "json", .kind = PL_OPTION_FLAG, .value = &r->json, .help = "print a JSON object"},
      {0}};
  PL_TRY(pl_options_parse(command, table, argc, argv, 1, -1, operands, count, helped));
  if (*helped) return PL_OK;
  if (r->device != DEVICE_AS_SAID) {
    operands[(*count)++] = r->device == DEVICE_CPU ? "run.device=cpu" : "run.device=cuda";
  }
  PL_TRY(parse_size("memory", r->memory_text, &r->memory));
  return parse_size("host-memory", r->host_text, &r->host_memory);
}

/* Says whether `ranks` times what a rank needs fits. */
static pl_status compare(const pl_plan *plan, pl_memory_place place, int64_t ranks, size_t given,
                         const char *said, bool tell) {
  const char *where = place == PL_ON_DEVICE ? "the GPU's" : "the host's";
  size_t needed = (size_t)ranks * pl_plan_total(plan, place);
  char size[PL_SIZE_TEXT], more[PL_SIZE_TEXT];
  if (given == 0) return PL_OK;
  if (needed <= given) {
    if (tell) printf("fits: %s of %s %s\n", pl_size_text(needed, size), where, said);
    return PL_OK;
  }
  return PL_FAIL(PL_E_USAGE, "does not fit: %s of %s %s, which is %s too little",
                 pl_size_text(needed, size), where, said, pl_size_text(needed - given, more));
}

static pl_status compare_all(const request *r, const pl_plan *plan) {
  if (plan->on_gpu) {
    PL_TRY(compare(plan, PL_ON_DEVICE, 1, r->memory, r->memory_text, !r->json));
  } else {
    PL_TRY(compare(plan, PL_ON_HOST, r->per_host, r->memory, r->memory_text, !r->json));
  }
  return compare(plan, PL_ON_HOST, r->per_host, r->host_memory, r->host_text, !r->json);
}

static void print(const request *r, const pl_plan *plan, const pl_plan_choices *choices) {
  char size[PL_SIZE_TEXT];
  if (r->json) {
    pl_plan_print_json(stdout, plan, choices);
    return;
  }
  pl_plan_print(stdout, plan, choices);
  if (r->per_host > 1) {
    printf("\na host with %lld ranks needs %s\n", (long long)r->per_host,
           pl_size_text((size_t)r->per_host * pl_plan_total(plan, PL_ON_HOST), size));
  }
}

/* What is taken of a GPU that was opened to be asked: by its context, and by others. */
static pl_status add_context(pl_plan *plan) {
  pl_cuda_info info;
  if (!plan->on_gpu || !pl_cuda_is_open()) return PL_OK;
  PL_TRY(pl_cuda_get_info(&info));
  plan->bytes[PL_ON_DEVICE][PL_MEMORY_PROGRAM] = info.total_bytes - info.free_bytes;
  return PL_OK;
}

static pl_status plan_run(pl_comm *comm, const request *r, const char *const *operands, int count,
                          pl_config *config) {
  pl_plan plan;
  pl_plan_choices choices;
  PL_TRY(pl_startup_config(comm, operands, count, config));
  pl_startup_threads(comm, config->run.threads);
  PL_TRY(pl_rehearse(comm, config, (int)r->ranks, &plan));
  PL_TRY(pl_rehearse_choices(comm, config, &plan, &choices));
  PL_TRY(add_context(&plan));
  print(r, &plan, &choices);
  return compare_all(r, &plan);
}

static pl_status run(pl_comm *comm, const pl_command *command, int argc, char **argv) {
  request r = {.ranks = pl_comm_size(comm), .per_host = pl_comm_local_size(comm)};
  int count = 0;
  bool helped = false;
  const char **operands = pl_alloc((size_t)argc + 2, sizeof *operands);
  pl_config *config = pl_alloc(1, sizeof *config);
  pl_status status = operands && config ? PL_OK : PL_E_INTERNAL;
  if (status == PL_OK) status = parse(command, argc, argv, &r, operands, &count, &helped);
  status = pl_comm_agree(comm, status);
  if (status == PL_OK && !helped) {
    status = pl_comm_agree(comm, plan_run(comm, &r, operands, count, config));
  }
  pl_free(config);
  pl_free(operands);
  return status;
}

const pl_command pl_cmd_plan = {
    .name = "plan",
    .operands = "CONFIG|RUN [key=value ...]",
    .summary = "what a rank will need: memory by kind, bytes sent, operations",
    .run = run,
};
