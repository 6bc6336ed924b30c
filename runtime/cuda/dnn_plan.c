#include "runtime/cuda/dnn_plan.h"

/* More than the heuristics of any cuDNN so far name, and more kinds of notes than there are; one
 * for each bit of pl_dnn_plan's. */
enum { MOST_CONFIGURATIONS = 64, MOST_NOTES = 32 };

typedef struct choice {
  const pl_dnn_device *device;
  cudnnBackendDescriptor_t graph;
  const pl_dnn_rule *rule;
  unsigned wanted; /* numerical notes */
  pl_dnn_descriptors *owner;
  pl_dnn_plan *plan;
} choice;

/* ---- what is allowed ---- */

#define NOTE(name) (1u << CUDNN_NUMERICAL_NOTE_##name)

/* Notes that are not known here may mean anything, and of those that are these are not allowed:
 *
 *   NONDETERMINISTIC               sums have a fixed order
 *   REDUCED_PRECISION_REDUCTION    and are f32, also between their parts
 *   DOWN_CONVERT_INPUTS            operands keep the type they have
 *   FFT, WINOGRAD…                 errors are those of the largest value of an image or a tile, in
 *                                  which small ones drown
 *   RUNTIME_COMPILATION            it wants a compiler, and seconds for each plan
 *   CUBLASLT_DEPENDENCY            its split sums can lose their end (runtime/cuda/product.c), and
 *                                  nothing here tells of the split
 *   REQUIRES_…_INT8x32_REORDER     for integers */
bool pl_dnn_allows(const pl_dnn_rule *rule, unsigned notes, unsigned behavior) {
  unsigned allowed = NOTE(STRICT_NAN_PROP) | (rule->tensor_cores ? NOTE(TENSOR_CORE) : 0);
  unsigned allowed_behavior = 1u << CUDNN_BEHAVIOR_NOTE_SUPPORTS_CUDA_GRAPH_NATIVE_API;
  return (notes & ~allowed) == 0 && (behavior & ~allowed_behavior) == 0;
}

/* ---- what cuDNN tells ---- */

/* *count: of the values that are there, `most` at most. */
static pl_status get(cudnnBackendDescriptor_t from, cudnnBackendAttributeName_t name,
                     cudnnBackendAttributeType_t type, int64_t most, int64_t *count, void *values) {
  PL_TRY(pl_dnn_check("asking for an engine",
                      cudnnBackendGetAttribute(from, name, type, most, count, values)));
  if (*count > most) *count = most;
  return PL_OK;
}

static pl_status get_notes(cudnnBackendDescriptor_t engine, pl_dnn_plan *of) {
  cudnnBackendNumericalNote_t notes[MOST_NOTES];
  cudnnBackendBehaviorNote_t behavior[MOST_NOTES];
  int64_t count = 0;
  PL_TRY(get(engine, CUDNN_ATTR_ENGINE_GLOBAL_INDEX, CUDNN_TYPE_INT64, 1, &count, &of->engine));
  PL_TRY(get(engine, CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, CUDNN_TYPE_NUMERICAL_NOTE, MOST_NOTES,
             &count, notes));
  for (int64_t i = 0; i < count; i++) of->notes |= 1u << notes[i];
  PL_TRY(get(engine, CUDNN_ATTR_ENGINE_BEHAVIOR_NOTE, CUDNN_TYPE_BEHAVIOR_NOTE, MOST_NOTES, &count,
             behavior));
  for (int64_t i = 0; i < count; i++) of->behavior |= 1u << behavior[i];
  return PL_OK;
}

static pl_status describe_engine(cudnnBackendDescriptor_t configuration, pl_dnn_plan *of) {
  cudnnBackendDescriptor_t engine = NULL;
  int64_t count;
  PL_TRY(pl_dnn_check("asking for an engine",
                      cudnnBackendCreateDescriptor(CUDNN_BACKEND_ENGINE_DESCRIPTOR, &engine)));
  pl_status status = get(configuration, CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_TYPE_BACKEND_DESCRIPTOR,
                         1, &count, &engine);
  if (status == PL_OK) status = get_notes(engine, of);
  cudnnBackendDestroyDescriptor(engine);
  return status;
}

/* ---- choosing ---- */

static cudnnStatus_t finalize_plan(const choice *c, cudnnBackendDescriptor_t configuration,
                                   cudnnBackendDescriptor_t *out) {
  const pl_dnn_device *d = c->device;
  const pl_dnn_attribute attributes[] = {
      d->handle
          ? (pl_dnn_attribute){CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE, 1, &d->handle}
          : (pl_dnn_attribute){CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP, CUDNN_TYPE_BACKEND_DESCRIPTOR,
                               1, &d->description},
      {CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &configuration}};
  return pl_dnn_make(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR, attributes, 2, out);
}

/* Takes the configuration, if it is allowed and does: what an engine can't do in it is found out
 * only now. Any other failure is no reason to go on to the next: it might strike one rank alone. */
static pl_status consider(const choice *c, cudnnBackendDescriptor_t configuration) {
  pl_dnn_plan found = {.answer = CUDNN_STATUS_SUCCESS};
  int64_t bytes = 0, count;
  PL_TRY(describe_engine(configuration, &found));
  if (!pl_dnn_allows(c->rule, found.notes, found.behavior)) return PL_OK;
  if ((found.notes & c->wanted) != c->wanted) return PL_OK;
  cudnnStatus_t answer = finalize_plan(c, configuration, &found.descriptor);
  if (pl_dnn_is_refusal(answer)) {
    c->plan->answer = answer;
    return PL_OK;
  }
  PL_TRY(pl_dnn_check("planning", answer));
  pl_status status = get(found.descriptor, CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE,
                         CUDNN_TYPE_INT64, 1, &count, &bytes);
  if (status != PL_OK || (size_t)bytes > c->rule->most_workspace) {
    cudnnBackendDestroyDescriptor(found.descriptor);
    return status;
  }
  found.workspace_bytes = (size_t)bytes;
  pl_dnn_keep(c->owner, configuration);
  pl_dnn_keep(c->owner, found.descriptor);
  *c->plan = found;
  return PL_OK;
}

static pl_status consider_all(const choice *c, cudnnBackendDescriptor_t heuristics) {
  cudnnBackendDescriptor_t all[MOST_CONFIGURATIONS] = {NULL};
  int64_t count = 0;
  pl_status status = PL_OK;
  for (int i = 0; i < MOST_CONFIGURATIONS && status == PL_OK; i++)
    status = pl_dnn_check("asking for an engine", cudnnBackendCreateDescriptor(
                                                      CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, &all[i]));
  if (status == PL_OK)
    status = get(heuristics, CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR,
                 MOST_CONFIGURATIONS, &count, all);
  for (int64_t i = 0; i < count && status == PL_OK && !c->plan->descriptor; i++) {
    status = consider(c, all[i]);
    if (c->plan->descriptor) all[i] = NULL; /* the owner has it */
  }
  for (int i = 0; i < MOST_CONFIGURATIONS; i++)
    if (all[i]) cudnnBackendDestroyDescriptor(all[i]);
  return status;
}

static pl_status choose(const choice *c, cudnnBackendHeurMode_t mode) {
  cudnnBackendDescriptor_t heuristics;
  const pl_dnn_attribute attributes[] = {
      {CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &c->graph},
      {CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1, &mode},
      {CUDNN_ATTR_ENGINEHEUR_DEVICEPROP, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1,
       &c->device->description}};
  size_t count = c->device->handle ? 2 : 3;
  cudnnStatus_t answer =
      pl_dnn_make(CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR, attributes, count, &heuristics);
  if (pl_dnn_is_refusal(answer)) {
    c->plan->answer = answer;
    return PL_OK;
  }
  PL_TRY(pl_dnn_check("asking for engines", answer));
  pl_status status = consider_all(c, heuristics);
  cudnnBackendDestroyDescriptor(heuristics);
  return status;
}

/* Heuristics err: for some convolutions of bf16 they name engines first that copy everything into
 * another order and use no tensor cores. */
pl_status pl_dnn_plan_create(const pl_dnn_device *device, cudnnBackendDescriptor_t operation,
                             const pl_dnn_rule *rule, pl_dnn_descriptors *owner,
                             pl_dnn_plan *plan) {
  choice c = {.device = device, .rule = rule, .owner = owner, .plan = plan};
  const pl_dnn_attribute attributes[] = {
      {CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &operation},
      {CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, 1, &device->handle}};
  *plan = (pl_dnn_plan){.answer = CUDNN_STATUS_NOT_SUPPORTED};
  PL_TRY(pl_dnn_describe(owner, "describing an operation", CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR,
                         attributes, device->handle ? 2 : 1, &c.graph));
  c.wanted = rule->tensor_cores ? NOTE(TENSOR_CORE) : 0;
  PL_TRY(choose(&c, CUDNN_HEUR_MODE_A));
  if (plan->descriptor) return PL_OK;
  c.wanted = 0;
  PL_TRY(choose(&c, CUDNN_HEUR_MODE_A));
  return plan->descriptor ? PL_OK : choose(&c, CUDNN_HEUR_MODE_FALLBACK);
}

/* ---- running ---- */

pl_status pl_dnn_plan_run(const pl_dnn_device *device, const pl_dnn_plan *plan, int count,
                          const int64_t *ids, const void *const *pointers, void *workspace) {
  cudnnBackendDescriptor_t pack;
  const pl_dnn_attribute attributes[] = {
      {CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, count, ids},
      {CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, count, pointers},
      {CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, 1, &workspace}};
  PL_TRY(pl_dnn_check("naming an operation's arrays",
                      pl_dnn_make(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR, attributes, 3, &pack)));
  cudnnStatus_t status = cudnnBackendExecute(device->handle, plan->descriptor, pack);
  cudnnBackendDestroyDescriptor(pack);
  return pl_dnn_check("running an operation", status);
}
