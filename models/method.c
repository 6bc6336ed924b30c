#include "models/method.h"

#include "models/kind.h"
#include "runtime/base/clock.h"
#include "runtime/base/memory.h"

struct pl_method {
  const pl_method_kind *kind;
  void *state;
};

static const pl_method_kind *find_kind(int64_t name) {
  switch ((pl_cfg_method)name) {
    case PL_CFG_METHOD_SIMCLR: return &pl_method_kind_simclr;
    case PL_CFG_METHOD_CLIP: return &pl_method_kind_clip;
    case PL_CFG_METHOD_SIGLIP: return &pl_method_kind_siglip;
  }
  return NULL;
}

pl_status pl_method_create(const pl_method_setup *setup, pl_method **out) {
  const pl_method_kind *kind = find_kind(setup->config->method.name);
  if (!kind) return PL_FAIL(PL_E_USAGE, "this build has no such method");
  pl_method *method = pl_alloc(1, sizeof *method);
  if (!method) return PL_E_INTERNAL;
  method->kind = kind;
  pl_status status = kind->create(setup, &method->state);
  if (status != PL_OK) {
    pl_free(method);
    return status;
  }
  *out = method;
  return PL_OK;
}

void pl_method_destroy(pl_method **method) {
  if (!*method) return;
  (*method)->kind->destroy((*method)->state);
  pl_free(*method);
  *method = NULL;
}

int pl_method_views(const pl_method *method) { return method->kind->views; }

pl_status pl_method_prepare(pl_method *method) { return method->kind->prepare(method->state); }

void pl_method_end_steps(pl_method *method) { method->kind->end_steps(method->state); }

pl_status pl_method_load(pl_method *method, const void *image, const float *buffers) {
  return method->kind->load(method->state, image, buffers);
}

pl_status pl_step_part_end(const pl_config *config, const pl_device *device, double *ms) {
  if (config->run.time_apart) PL_TRY(device->finish());
  *ms = pl_now_ms();
  return PL_OK;
}

pl_status pl_method_step(pl_method *method, const pl_step_request *request, float *buffers,
                         pl_gradsum *sums, pl_step_report *report) {
  return method->kind->step(method->state, request, buffers, sums, report);
}

pl_status pl_method_compile_part(const pl_method *method, pl_part part, int rows, pl_net **out) {
  return method->kind->compile_part(method->state, part, rows, out);
}

int pl_method_scalars(const pl_method *method, pl_scalar_rule *rules) {
  return method->kind->scalars ? method->kind->scalars(method->state, rules) : 0;
}

pl_method_sent pl_method_sent_bytes(const pl_method *method) {
  return method->kind->sent(method->state);
}

pl_net_costs pl_method_costs(const pl_method *method) { return method->kind->costs(method->state); }

typedef struct sums {
  const pl_comm *comm;
  size_t sent;
} sums;

static void add_sum(void *context, size_t doubles) {
  sums *s = context;
  s->sent += pl_comm_sum_sent_bytes(s->comm, doubles);
}

size_t pl_norms_sent_bytes(const pl_comm *comm, const pl_exec *exec) {
  sums s = {.comm = comm};
  pl_exec_list_sums(exec, add_sum, &s);
  return s.sent;
}
