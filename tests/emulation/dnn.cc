/* cuDNN's descriptors: records of attributes, which are refused where the library would refuse
 * them: of the wrong type, too few or too many, unknown, set after finalizing, or missing then. A
 * descriptor that others were made from must outlive them. */
#include "tests/emulation/dnn.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <set>

#include "tests/emulation/queue.h"

struct cudnnContext {
  cudaStream_t stream;
};

namespace {

const char *last_message = "";
std::set<const dnn_descriptor *> living;

/* ---- attributes ---- */

struct attribute {
  cudnnBackendAttributeName_t name;
  cudnnBackendAttributeType_t type;
  int64_t least, most; /* elements; least 0: it may be missing */
};

std::vector<attribute> of_operation(std::vector<cudnnBackendAttributeName_t> factors,
                                    std::vector<cudnnBackendAttributeName_t> parts) {
  std::vector<attribute> all;
  for (cudnnBackendAttributeName_t name : factors) all.push_back({name, CUDNN_TYPE_FLOAT, 1, 1});
  for (cudnnBackendAttributeName_t name : parts)
    all.push_back({name, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, 1});
  return all;
}

const std::map<cudnnBackendDescriptorType_t, std::vector<attribute>> attributes = {
    {CUDNN_BACKEND_TENSOR_DESCRIPTOR,
     {{CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1, 1},
      {CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, 1, 1},
      {CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, 3, 8},
      {CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, 3, 8},
      {CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, 1, 1}}},
    {CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR,
     {{CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, 1, 1},
      {CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE, 1, 1},
      {CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, CUDNN_TYPE_INT64, 1, 1},
      {CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, CUDNN_TYPE_INT64, 1, 3},
      {CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, CUDNN_TYPE_INT64, 1, 3},
      {CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, CUDNN_TYPE_INT64, 1, 3},
      {CUDNN_ATTR_CONVOLUTION_DILATIONS, CUDNN_TYPE_INT64, 1, 3}}},
    {CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR,
     of_operation(
         {CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA,
          CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA},
         {CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC,
          CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W,
          CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y})},
    {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR,
     of_operation(
         {CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA,
          CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA},
         {CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC,
          CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W,
          CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY})},
    {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR,
     of_operation({CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA,
                   CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA},
                  {CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC,
                   CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X,
                   CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW,
                   CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY})},
    {CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR,
     {{CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, 50},
      {CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, 0, 1}}},
    {CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR,
     {{CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, 1},
      {CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1, 1},
      {CUDNN_ATTR_ENGINEHEUR_DEVICEPROP, CUDNN_TYPE_BACKEND_DESCRIPTOR, 0, 1}}},
    {CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR,
     {{CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, 1},
      {CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE, 0, 1},
      {CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP, CUDNN_TYPE_BACKEND_DESCRIPTOR, 0, 1}}},
    {CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR,
     {{CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, 1, 100},
      {CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, 1, 100},
      {CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, 1, 1}}},
    {CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR,
     {{CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, CUDNN_TYPE_CHAR, 1, 100000}}},
    {CUDNN_BACKEND_ENGINE_DESCRIPTOR, {}},
    {CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, {}}};

const attribute *find_attribute(cudnnBackendDescriptorType_t of, cudnnBackendAttributeName_t name) {
  for (const attribute &a : attributes.at(of))
    if (a.name == name) return &a;
  return nullptr;
}

size_t bytes_of(cudnnBackendAttributeType_t type) {
  switch (type) {
    case CUDNN_TYPE_CHAR: return 1;
    case CUDNN_TYPE_FLOAT: return sizeof(float);
    case CUDNN_TYPE_INT64: return sizeof(int64_t);
    case CUDNN_TYPE_HANDLE:
    case CUDNN_TYPE_VOID_PTR:
    case CUDNN_TYPE_BACKEND_DESCRIPTOR: return sizeof(void *);
    default: return sizeof(int); /* enumerations */
  }
}

dnn_descriptor *record(cudnnBackendDescriptor_t descriptor) {
  return living.count((dnn_descriptor *)descriptor) ? (dnn_descriptor *)descriptor : nullptr;
}

/* ---- finalizing ---- */

bool all_parts_finalized(const dnn_descriptor &d) {
  for (const auto &value : d.values) {
    if (value.second.type != CUDNN_TYPE_BACKEND_DESCRIPTOR) continue;
    for (int64_t i = 0; i < value.second.count; i++) {
      const dnn_descriptor *part = record(d.get<cudnnBackendDescriptor_t>(value.first, i));
      if (!part || !part->finalized) return false;
    }
  }
  return true;
}

/* Parts are given as any descriptors. */
bool is_a(const dnn_descriptor *part, cudnnBackendDescriptorType_t type) {
  if (part->type != type) last_message = "a part of another type";
  return part->type == type;
}

cudnnStatus_t finalize_graph(dnn_descriptor *graph) {
  if (graph->values.at(CUDNN_ATTR_OPERATIONGRAPH_OPS).count != 1)
    return dnn_refuse(CUDNN_STATUS_NOT_SUPPORTED_GRAPH_PATTERN, "more than one operation");
  graph->operation = graph->part(CUDNN_ATTR_OPERATIONGRAPH_OPS);
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t finalize_heuristics(dnn_descriptor *heuristics) {
  const dnn_descriptor *graph = heuristics->part(CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH);
  if (!is_a(graph, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR)) return CUDNN_STATUS_BAD_PARAM;
  heuristics->operation = graph->operation;
  if (graph->has(CUDNN_ATTR_OPERATIONGRAPH_HANDLE) ==
      heuristics->has(CUDNN_ATTR_ENGINEHEUR_DEVICEPROP))
    return dnn_refuse(CUDNN_STATUS_BAD_PARAM, "neither a handle nor a device, or both");
  auto mode = heuristics->get<cudnnBackendHeurMode_t>(CUDNN_ATTR_ENGINEHEUR_MODE);
  if (dnn_engines_for(*heuristics->operation, mode).empty())
    return dnn_refuse(CUDNN_STATUS_NOT_SUPPORTED, "no engine");
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t finalize_plan(dnn_descriptor *plan) {
  const dnn_descriptor *configuration = plan->part(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG);
  if (!is_a(configuration, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR)) return CUDNN_STATUS_BAD_PARAM;
  if (plan->has(CUDNN_ATTR_EXECUTION_PLAN_HANDLE) ==
      plan->has(CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP))
    return dnn_refuse(CUDNN_STATUS_BAD_PARAM, "neither a handle nor a device, or both");
  if (configuration->engine->refuses)
    return dnn_refuse(CUDNN_STATUS_NOT_SUPPORTED_SHAPE, "the engine does not do this shape");
  plan->engine = configuration->engine;
  plan->operation = configuration->operation;
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t finalize_pack(const dnn_descriptor *pack) {
  if (pack->values.at(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS).count !=
      pack->values.at(CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS).count)
    return dnn_refuse(CUDNN_STATUS_BAD_PARAM, "not a pointer for each id");
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t finalize_device(const dnn_descriptor *device) {
  const dnn_value &json = device->values.at(CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION);
  if (json.bytes.back() != '\0' || !strstr(json.bytes.data(), "\"deviceVer\":"))
    return dnn_refuse(CUDNN_STATUS_BAD_PARAM, "the description lacks deviceVer");
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t finalize(dnn_descriptor *d) {
  switch (d->type) {
    case CUDNN_BACKEND_TENSOR_DESCRIPTOR: return dnn_check_tensor(*d);
    case CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR: return dnn_check_window(*d);
    case CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR: return finalize_graph(d);
    case CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR: return finalize_heuristics(d);
    case CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR: return finalize_plan(d);
    case CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR: return finalize_pack(d);
    case CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR: return finalize_device(d);
    case CUDNN_BACKEND_ENGINE_DESCRIPTOR:
    case CUDNN_BACKEND_ENGINECFG_DESCRIPTOR:
      return dnn_refuse(CUDNN_STATUS_NOT_SUPPORTED, "engines come from the heuristics");
    default: return dnn_check_operation(*d);
  }
}

/* ---- asking ---- */

/* Fills descriptors that the caller made. */
cudnnStatus_t get_engines(const dnn_descriptor *from, cudnnBackendDescriptorType_t type,
                          const std::vector<const dnn_engine *> &engines, int64_t most,
                          int64_t *count, void *values) {
  *count = (int64_t)engines.size();
  for (int64_t i = 0; i < *count && i < most; i++) {
    dnn_descriptor *to = record(((cudnnBackendDescriptor_t *)values)[i]);
    if (!to || to->type != type || to->finalized)
      return dnn_refuse(CUDNN_STATUS_BAD_PARAM, "not a new one of that type");
    to->engine = engines[(size_t)i];
    to->operation = from->operation;
    to->finalized = true;
  }
  if (*count > most) *count = most;
  return CUDNN_STATUS_SUCCESS;
}

template <typename T>
cudnnStatus_t get_values(const std::vector<T> &from, int64_t most, int64_t *count, void *values) {
  *count = (int64_t)from.size() < most ? (int64_t)from.size() : most;
  for (int64_t i = 0; i < *count; i++) ((T *)values)[i] = from[(size_t)i];
  return CUDNN_STATUS_SUCCESS;
}

}  // namespace

cudnnStatus_t dnn_refuse(cudnnStatus_t status, const char *message) {
  last_message = message;
  return status;
}

const char *cudnnGetErrorString(cudnnStatus_t status) {
  switch (status / 1000) {
    case 0: return "CUDNN_STATUS_SUCCESS";
    case 1: return "CUDNN_STATUS_NOT_INITIALIZED";
    case 2: return "CUDNN_STATUS_BAD_PARAM";
    case 3: return "CUDNN_STATUS_NOT_SUPPORTED";
    default: return "CUDNN_STATUS_EXECUTION_FAILED";
  }
}

void cudnnGetLastErrorString(char *message, size_t bytes) {
  snprintf(message, bytes, "%s", last_message);
}

cudnnStatus_t cudnnCreate(cudnnHandle_t *handle) {
  if (emulated_spoils_recording())
    return dnn_refuse(CUDNN_STATUS_EXECUTION_FAILED_CUDART, "a stream is being recorded");
  *handle = new cudnnContext{nullptr};
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnDestroy(cudnnHandle_t handle) {
  delete handle;
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnSetStream(cudnnHandle_t handle, cudaStream_t stream) {
  handle->stream = stream;
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBackendCreateDescriptor(cudnnBackendDescriptorType_t type,
                                           cudnnBackendDescriptor_t *descriptor) {
  dnn_descriptor *made = new dnn_descriptor{type, false, {}, nullptr, nullptr, false};
  living.insert(made);
  *descriptor = made;
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBackendDestroyDescriptor(cudnnBackendDescriptor_t descriptor) {
  const dnn_descriptor *gone = record(descriptor);
  if (!gone) return dnn_refuse(CUDNN_STATUS_BAD_PARAM, "no descriptor");
  living.erase(gone);
  for (const dnn_descriptor *other : living)
    for (const auto &value : other->values) {
      if (value.second.type != CUDNN_TYPE_BACKEND_DESCRIPTOR) continue;
      for (int64_t i = 0; i < value.second.count; i++) {
        if (other->get<const dnn_descriptor *>(value.first, i) != gone) continue;
        fprintf(stderr, "emulated cuDNN: a descriptor goes before what was made from it\n");
        abort();
      }
    }
  delete gone;
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBackendSetAttribute(cudnnBackendDescriptor_t descriptor,
                                       cudnnBackendAttributeName_t name,
                                       cudnnBackendAttributeType_t type, int64_t count,
                                       const void *values) {
  dnn_descriptor *d = record(descriptor);
  if (!d || !values) return dnn_refuse(CUDNN_STATUS_BAD_PARAM, "nothing to set");
  if (d->finalized) return dnn_refuse(CUDNN_STATUS_BAD_PARAM, "set after it was finalized");
  const attribute *known = find_attribute(d->type, name);
  if (!known) return dnn_refuse(CUDNN_STATUS_BAD_PARAM, "it has no such attribute");
  if (known->type != type)
    return dnn_refuse(CUDNN_STATUS_BAD_PARAM_ATTRIBUTE_TYPE, "the attribute has another type");
  if (count < known->least || count > known->most)
    return dnn_refuse(CUDNN_STATUS_BAD_PARAM, "too few or too many elements");
  if (type == CUDNN_TYPE_HANDLE && !*(const cudnnHandle_t *)values)
    return dnn_refuse(CUDNN_STATUS_BAD_PARAM_NULL_POINTER, "no handle");
  const char *first = (const char *)values;
  d->values[name] = {type, count, {first, first + (size_t)count * bytes_of(type)}};
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBackendFinalize(cudnnBackendDescriptor_t descriptor) {
  dnn_descriptor *d = record(descriptor);
  if (!d || d->finalized) return dnn_refuse(CUDNN_STATUS_BAD_PARAM, "finalized twice, or nothing");
  if (!all_parts_finalized(*d))
    return dnn_refuse(CUDNN_STATUS_BAD_PARAM, "made from what is not finalized");
  for (const attribute &a : attributes.at(d->type))
    if (a.least > 0 && !d->has(a.name))
      return dnn_refuse(CUDNN_STATUS_BAD_PARAM, "an attribute is missing");
  cudnnStatus_t status = finalize(d);
  d->finalized = status == CUDNN_STATUS_SUCCESS;
  return status;
}

cudnnStatus_t cudnnBackendGetAttribute(cudnnBackendDescriptor_t descriptor,
                                       cudnnBackendAttributeName_t name,
                                       cudnnBackendAttributeType_t type, int64_t most,
                                       int64_t *count, void *values) {
  const dnn_descriptor *d = record(descriptor);
  if (!d || !d->finalized)
    return dnn_refuse(CUDNN_STATUS_NOT_INITIALIZED, "asked before it was finalized");
  if (d->type == CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR && name == CUDNN_ATTR_ENGINEHEUR_RESULTS &&
      type == CUDNN_TYPE_BACKEND_DESCRIPTOR)
    return get_engines(
        d, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR,
        dnn_engines_for(*d->operation, d->get<cudnnBackendHeurMode_t>(CUDNN_ATTR_ENGINEHEUR_MODE)),
        most, count, values);
  if (d->type == CUDNN_BACKEND_ENGINECFG_DESCRIPTOR && name == CUDNN_ATTR_ENGINECFG_ENGINE &&
      type == CUDNN_TYPE_BACKEND_DESCRIPTOR)
    return get_engines(d, CUDNN_BACKEND_ENGINE_DESCRIPTOR, {d->engine}, most, count, values);
  if (d->type == CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR &&
      name == CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE && type == CUDNN_TYPE_INT64)
    return get_values<int64_t>({d->engine->workspace_bytes}, most, count, values);
  if (d->type == CUDNN_BACKEND_ENGINE_DESCRIPTOR) {
    if (name == CUDNN_ATTR_ENGINE_GLOBAL_INDEX && type == CUDNN_TYPE_INT64)
      return get_values<int64_t>({d->engine->number}, most, count, values);
    if (name == CUDNN_ATTR_ENGINE_NUMERICAL_NOTE && type == CUDNN_TYPE_NUMERICAL_NOTE)
      return get_values(d->engine->notes, most, count, values);
    if (name == CUDNN_ATTR_ENGINE_BEHAVIOR_NOTE && type == CUDNN_TYPE_BEHAVIOR_NOTE)
      return get_values(d->engine->behavior, most, count, values);
  }
  return dnn_refuse(CUDNN_STATUS_BAD_PARAM, "it can't be asked for that");
}

cudnnStatus_t cudnnBackendExecute(cudnnHandle_t handle, cudnnBackendDescriptor_t plan,
                                  cudnnBackendDescriptor_t pack) {
  const dnn_descriptor *p = record(plan), *with = record(pack);
  if (!handle || !p || !with)
    return dnn_refuse(CUDNN_STATUS_BAD_PARAM_NULL_POINTER, "nothing to execute");
  if (p->type != CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR || !p->finalized ||
      with->type != CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR || !with->finalized)
    return dnn_refuse(CUDNN_STATUS_BAD_PARAM, "no plan, or no variant pack");
  if (!p->has(CUDNN_ATTR_EXECUTION_PLAN_HANDLE))
    return dnn_refuse(CUDNN_STATUS_BAD_PARAM, "the plan is for a device that is described");
  return dnn_execute(handle->stream, *p, *with);
}
