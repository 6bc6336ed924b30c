/* cuDNN's graph interface from below: descriptors, and the device that plans are made for
 * (runtime/cuda/dnn_plan.h makes them). */
#ifndef PL_CUDA_DNN_H
#define PL_CUDA_DNN_H

#include <cudnn.h>
#include <stdbool.h>

#include "runtime/base/status.h"

/* PL_OK, or PL_E_INTERNAL with what cuDNN says about its last error. */
pl_status pl_dnn_check(const char *what, cudnnStatus_t status);

/* Whether it says that something can't be done here, and not that something went wrong. */
bool pl_dnn_is_refusal(cudnnStatus_t status);

/* ---- devices ---- */

/* The device that is open or, where none is, one that is described: plans are the same for both,
 * but only the former runs them. */
typedef struct pl_dnn_device {
  cudnnHandle_t handle;                 /* NULL: it is described */
  cudnnBackendDescriptor_t description; /* NULL: it is open */
} pl_dnn_device;

/* Work goes to the stream of the device that is open. */
pl_status pl_dnn_open(pl_dnn_device *device);
/* In cuDNN's own terms, a JSON object. PL_E_INTERNAL: this cuDNN takes none (before 9.8), or wants
 * it in other words. */
pl_status pl_dnn_describe_device(const char *json, pl_dnn_device *device);
/* After failures as well. */
void pl_dnn_close(pl_dnn_device *device);

/* NVIDIA's H100 with 80 GB, the SXM board. */
extern const char pl_dnn_h100[];

/* ---- descriptors ---- */

/* Those that live as long as each other: cuDNN leaves open which of them others go on reading. */
enum { PL_DNN_MOST_DESCRIPTORS = 24 };
typedef struct pl_dnn_descriptors {
  cudnnBackendDescriptor_t all[PL_DNN_MOST_DESCRIPTORS];
  int count;
} pl_dnn_descriptors;

void pl_dnn_keep(pl_dnn_descriptors *owner, cudnnBackendDescriptor_t descriptor);
/* The last one first. */
void pl_dnn_destroy_all(pl_dnn_descriptors *owner);

typedef struct pl_dnn_attribute {
  cudnnBackendAttributeName_t name;
  cudnnBackendAttributeType_t type;
  int64_t count;
  const void *values;
} pl_dnn_attribute;

/* A finalized descriptor with these attributes; *out stays NULL unless that succeeds. Give it back
 * with cudnnBackendDestroyDescriptor. */
cudnnStatus_t pl_dnn_make(cudnnBackendDescriptorType_t type, const pl_dnn_attribute *attributes,
                          size_t count, cudnnBackendDescriptor_t *out);

/* The same with a reason, PL_E_INTERNAL, and an owner. `what`: "describing images". */
pl_status pl_dnn_describe(pl_dnn_descriptors *owner, const char *what,
                          cudnnBackendDescriptorType_t type, const pl_dnn_attribute *attributes,
                          size_t count, cudnnBackendDescriptor_t *out);

#endif
