/* Between the parts of the emulated cuDNN: descriptors and their attributes (dnn.cc), and engines,
 * which know convolutions only (dnn_engines.cc). */
#ifndef TESTS_EMULATION_DNN_H
#define TESTS_EMULATION_DNN_H

#include <cudnn.h>

#include <map>
#include <vector>

struct dnn_engine {
  int64_t number;
  std::vector<cudnnBackendNumericalNote_t> notes;
  std::vector<cudnnBackendBehaviorNote_t> behavior;
  int64_t workspace_bytes;
  bool refuses; /* every plan */
};

struct dnn_value {
  cudnnBackendAttributeType_t type;
  int64_t count;
  std::vector<char> bytes;
};

struct dnn_descriptor {
  cudnnBackendDescriptorType_t type;
  bool finalized;
  std::map<cudnnBackendAttributeName_t, dnn_value> values;
  const dnn_engine *engine;        /* of engines, their configurations and plans of these */
  const dnn_descriptor *operation; /* of graphs, and of all that is made for one */
  mutable bool has_run;            /* of plans */

  bool has(cudnnBackendAttributeName_t name) const { return values.count(name) > 0; }
  /* Element i of an attribute that is there. */
  template <typename T>
  T get(cudnnBackendAttributeName_t name, int64_t i = 0) const {
    return ((const T *)values.at(name).bytes.data())[i];
  }
  const dnn_descriptor *part(cudnnBackendAttributeName_t name) const {
    return (const dnn_descriptor *)get<cudnnBackendDescriptor_t>(name);
  }
};

/* Keeps `message` for cudnnGetLastErrorString. */
cudnnStatus_t dnn_refuse(cudnnStatus_t status, const char *message);

/* Whether tensors, a window and an operation's parts make sense. */
cudnnStatus_t dnn_check_tensor(const dnn_descriptor &tensor);
cudnnStatus_t dnn_check_window(const dnn_descriptor &window);
cudnnStatus_t dnn_check_operation(const dnn_descriptor &operation);

/* Engines for an operation, in the order in which the heuristics name them. */
std::vector<const dnn_engine *> dnn_engines_for(const dnn_descriptor &operation,
                                                cudnnBackendHeurMode_t mode);

/* Queues the operation of a plan; arrays and workspace are those of `pack`. */
cudnnStatus_t dnn_execute(cudaStream_t stream, const dnn_descriptor &plan,
                          const dnn_descriptor &pack);

#endif
