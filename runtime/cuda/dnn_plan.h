/* How cuDNN executes an operation: which of its engines, so configured.
 *
 * Its heuristics name configurations for an operation on a device, the likely fastest first. The
 * first that the rule allows is taken, where tensor cores are allowed the first that uses them, and
 * nothing is timed: the same device and the same library give the same plan, hence the same bits,
 * in every process of a run. */
#ifndef PL_CUDA_DNN_PLAN_H
#define PL_CUDA_DNN_PLAN_H

#include <stddef.h>

#include "runtime/cuda/dnn.h"

typedef struct pl_dnn_rule {
  bool tensor_cores; /* allowed; f32 is rounded to 10 bits of fraction for them */
  size_t most_workspace;
} pl_dnn_rule;

typedef struct pl_dnn_plan {
  cudnnBackendDescriptor_t descriptor; /* NULL: cuDNN has no engine that the rule allows */
  cudnnStatus_t answer;                /* then: what it said last */
  size_t workspace_bytes;
  int64_t engine;           /* its number at cuDNN, */
  unsigned notes, behavior; /* and what that says of it: bits by cudnnBackendNumericalNote_t and
                               cudnnBackendBehaviorNote_t */
} pl_dnn_plan;

/* Whether an engine with these notes may run. */
bool pl_dnn_allows(const pl_dnn_rule *rule, unsigned notes, unsigned behavior);

/* The plan and what it is made of stay with `owner`. PL_E_INTERNAL: something went wrong; that
 * there is no engine is none of that. */
pl_status pl_dnn_plan_create(const pl_dnn_device *device, cudnnBackendDescriptor_t operation,
                             const pl_dnn_rule *rule, pl_dnn_descriptors *owner, pl_dnn_plan *plan);

/* Queues the operation on an open device; from the second run on that can be recorded, the first
 * loads kernels. Tensor ids[i], of `count`, is at pointers[i]; workspace holds workspace_bytes,
 * aligned to 256. */
pl_status pl_dnn_plan_run(const pl_dnn_device *device, const pl_dnn_plan *plan, int count,
                          const int64_t *ids, const void *const *pointers, void *workspace);

#endif
