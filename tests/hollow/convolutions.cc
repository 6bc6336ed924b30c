/* Of cuDNN what takes a device. Where it is told of the handle, it is told of an H100 instead;
 * what it then plans, it would run there. */
#include <cudnn.h>
#include <dlfcn.h>
#include <string.h>

#include <set>

#include "tests/emulation/faults.h"
#include "tests/emulation/queue.h"
#include "tests/hollow/hollow.h"

extern "C" {
#include "runtime/cuda/dnn.h"
}

struct cudnnContext {
  cudaStream_t stream;
};

namespace {

std::set<cudnnHandle_t> handles;

const size_t ARRAY_ALIGNMENT = 16, WORKSPACE_ALIGNMENT = 256;

typedef cudnnStatus_t (*setter)(cudnnBackendDescriptor_t, cudnnBackendAttributeName_t,
                                cudnnBackendAttributeType_t, int64_t, const void *);

cudnnStatus_t set(cudnnBackendDescriptor_t descriptor, cudnnBackendAttributeName_t name,
                  cudnnBackendAttributeType_t type, int64_t count, const void *values) {
  static setter cudnn = (setter)dlsym(RTLD_NEXT, "cudnnBackendSetAttribute");
  return cudnn(descriptor, name, type, count, values);
}

cudnnBackendDescriptor_t describe_device(void) {
  cudnnBackendDescriptor_t device = nullptr;
  if (cudnnBackendCreateDescriptor(CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR, &device) ==
          CUDNN_STATUS_SUCCESS &&
      set(device, CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, CUDNN_TYPE_CHAR,
          (int64_t)strlen(pl_dnn_h100) + 1, pl_dnn_h100) == CUDNN_STATUS_SUCCESS &&
      cudnnBackendFinalize(device) == CUDNN_STATUS_SUCCESS)
    return device;
  hollow_refuse("cuDNN", "it takes no device's description, or another one");
  return nullptr;
}

cudnnStatus_t set_device(cudnnBackendDescriptor_t descriptor, cudnnBackendAttributeName_t name) {
  static cudnnBackendDescriptor_t device = describe_device();
  return set(descriptor, name, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &device);
}

cudnnStatus_t refuse(const char *why) {
  hollow_refuse("a convolution", why);
  return CUDNN_STATUS_BAD_PARAM;
}

bool is_handle(cudnnBackendAttributeType_t type, int64_t count, const void *values) {
  return type == CUDNN_TYPE_HANDLE && count == 1 && handles.count(*(const cudnnHandle_t *)values);
}

/* An operation's arrays. Once they are named, cuDNN tells them nobody. */
bool are_placed(int64_t count, void *const *arrays) {
  for (int64_t i = 0; i < count; i++)
    if (!hollow_is_placed(arrays[i], 1, ARRAY_ALIGNMENT)) return false;
  return true;
}

}  // namespace

cudnnStatus_t cudnnCreate(cudnnHandle_t *handle) {
  *handle = new cudnnContext{nullptr};
  handles.insert(*handle);
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnDestroy(cudnnHandle_t handle) {
  if (!handles.erase(handle)) return refuse("a handle is none");
  delete handle;
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnSetStream(cudnnHandle_t handle, cudaStream_t stream) {
  if (!handles.count(handle)) return refuse("a handle is none");
  handle->stream = stream;
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBackendSetAttribute(cudnnBackendDescriptor_t descriptor,
                                       cudnnBackendAttributeName_t name,
                                       cudnnBackendAttributeType_t type, int64_t count,
                                       const void *values) {
  cudnnStatus_t status = CUDNN_STATUS_SUCCESS;
  switch (name) {
    case CUDNN_ATTR_OPERATIONGRAPH_HANDLE:
      return is_handle(type, count, values) ? status : refuse("a handle is none");
    case CUDNN_ATTR_EXECUTION_PLAN_HANDLE:
      if (!is_handle(type, count, values)) return refuse("a handle is none");
      hollow_count(HOLLOW_PLANS);
      return set_device(descriptor, CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP);
    case CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH:
      if (fault_refuses("convolution")) return CUDNN_STATUS_NOT_SUPPORTED;
      status = set_device(descriptor, CUDNN_ATTR_ENGINEHEUR_DEVICEPROP);
      break;
    case CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS:
      if (!are_placed(count, (void *const *)values)) return refuse("an array is not in place");
      break;
    default: break;
  }
  return status == CUDNN_STATUS_SUCCESS ? set(descriptor, name, type, count, values) : status;
}

cudnnStatus_t cudnnBackendExecute(cudnnHandle_t handle, cudnnBackendDescriptor_t plan,
                                  cudnnBackendDescriptor_t named) {
  int64_t bytes = 0, one = 0;
  void *workspace = nullptr;
  if (!handles.count(handle) ||
      cudnnBackendGetAttribute(plan, CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, CUDNN_TYPE_INT64, 1,
                               &one, &bytes) != CUDNN_STATUS_SUCCESS ||
      cudnnBackendGetAttribute(named, CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, 1,
                               &one, &workspace) != CUDNN_STATUS_SUCCESS)
    return refuse("something is missing");
  if (bytes > 0 && !hollow_is_placed(workspace, (size_t)bytes, WORKSPACE_ALIGNMENT))
    return refuse("its workspace is not in place");
  hollow_count(HOLLOW_CONVOLUTIONS);
  emulated_enqueue(handle->stream, [] {});
  return CUDNN_STATUS_SUCCESS;
}
