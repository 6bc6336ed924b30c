#include "runtime/cuda/dnn.h"

#include <string.h>

#include "runtime/cuda/kernel.h"

pl_status pl_dnn_check(const char *what, cudnnStatus_t status) {
  char reason[512] = "";
  if (status == CUDNN_STATUS_SUCCESS) return PL_OK;
  cudnnGetLastErrorString(reason, sizeof reason);
  reason[strcspn(reason, "\n")] = '\0';
  return PL_FAIL(PL_E_INTERNAL, "%s: cuDNN says: %s: %s", what, cudnnGetErrorString(status),
                 reason);
}

/* Statuses of this kind have a thousand of their own. */
bool pl_dnn_is_refusal(cudnnStatus_t status) {
  return status / 1000 == CUDNN_STATUS_NOT_SUPPORTED / 1000;
}

/* ---- devices ---- */

pl_status pl_dnn_open(pl_dnn_device *device) {
  PL_TRY(pl_dnn_check("cuDNN", cudnnCreate(&device->handle)));
  return pl_dnn_check("cuDNN", cudnnSetStream(device->handle, pl_cuda_stream()));
}

pl_status pl_dnn_describe_device(const char *json, pl_dnn_device *device) {
  const pl_dnn_attribute attribute = {CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, CUDNN_TYPE_CHAR,
                                      (int64_t)strlen(json) + 1, json};
  return pl_dnn_check("describing a device", pl_dnn_make(CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR,
                                                         &attribute, 1, &device->description));
}

void pl_dnn_close(pl_dnn_device *device) {
  if (device->description) cudnnBackendDestroyDescriptor(device->description);
  if (device->handle) cudnnDestroy(device->handle);
  *device = (pl_dnn_device){0};
}

/* ---- descriptors ---- */

void pl_dnn_keep(pl_dnn_descriptors *owner, cudnnBackendDescriptor_t descriptor) {
  PL_INVARIANT(owner->count < PL_DNN_MOST_DESCRIPTORS);
  owner->all[owner->count++] = descriptor;
}

void pl_dnn_destroy_all(pl_dnn_descriptors *owner) {
  while (owner->count > 0) cudnnBackendDestroyDescriptor(owner->all[--owner->count]);
}

cudnnStatus_t pl_dnn_make(cudnnBackendDescriptorType_t type, const pl_dnn_attribute *attributes,
                          size_t count, cudnnBackendDescriptor_t *out) {
  cudnnBackendDescriptor_t made = NULL;
  cudnnStatus_t status = cudnnBackendCreateDescriptor(type, &made);
  *out = NULL;
  for (size_t i = 0; i < count && status == CUDNN_STATUS_SUCCESS; i++) {
    const pl_dnn_attribute *a = &attributes[i];
    status = cudnnBackendSetAttribute(made, a->name, a->type, a->count, a->values);
  }
  if (status == CUDNN_STATUS_SUCCESS) status = cudnnBackendFinalize(made);
  if (status == CUDNN_STATUS_SUCCESS)
    *out = made;
  else if (made)
    cudnnBackendDestroyDescriptor(made);
  return status;
}

pl_status pl_dnn_describe(pl_dnn_descriptors *owner, const char *what,
                          cudnnBackendDescriptorType_t type, const pl_dnn_attribute *attributes,
                          size_t count, cudnnBackendDescriptor_t *out) {
  PL_TRY(pl_dnn_check(what, pl_dnn_make(type, attributes, count, out)));
  pl_dnn_keep(owner, *out);
  return PL_OK;
}
