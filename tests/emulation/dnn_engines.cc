/* The engines of the emulated cuDNN. All compute convolutions of channel-last tensors in plain
 * loops with the sums of tensor cores, or of f32, and write all over their workspace; which one
 * does shows in the result, where it rounds or can't be repeated. Heuristics name such as nobody
 * here may choose in front. */
#include <string.h>

#include "tests/emulation/dnn.h"
#include "tests/emulation/faults.h"
#include "tests/emulation/language.h"
#include "tests/emulation/queue.h"
#include "tests/emulation/sums.h"
#include "tests/emulation/values.h"

namespace {

const auto TENSOR_CORE = CUDNN_NUMERICAL_NOTE_TENSOR_CORE;
const auto NONDETERMINISTIC = CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC;

const dnn_engine likely[] = {
    {90, {TENSOR_CORE, NONDETERMINISTIC}, {}, 0, false},
    {91, {TENSOR_CORE, CUDNN_NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION}, {}, 0, false},
    {92, {TENSOR_CORE}, {CUDNN_BEHAVIOR_NOTE_RUNTIME_COMPILATION}, 0, false},
    {93, {CUDNN_NUMERICAL_NOTE_WINOGRAD}, {}, 0, false},
    {94, {CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS}, {}, 0, false},
    {95, {TENSOR_CORE}, {CUDNN_BEHAVIOR_NOTE_CUBLASLT_DEPENDENCY}, 0, false},
    {96, {}, {}, (int64_t)1 << 40, false},
    {97, {}, {}, 0, true},
    {10, {TENSOR_CORE}, {CUDNN_BEHAVIOR_NOTE_SUPPORTS_CUDA_GRAPH_NATIVE_API}, 1000, false},
};
const dnn_engine likely_without_rounding = {11, {}, {}, 1500, false}; /* not for dx */
const dnn_engine others[] = {{98, {NONDETERMINISTIC}, {}, 0, false},
                             {0, {CUDNN_NUMERICAL_NOTE_STRICT_NAN_PROP}, {}, 0, false}};

/* ---- operations ---- */

/* Attributes of a direction's operation. */
struct parts {
  cudnnBackendAttributeName_t x, w, y, window;
};

parts parts_of(cudnnBackendDescriptorType_t operation) {
  switch (operation) {
    case CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR:
      return {CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X,
              CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W,
              CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y,
              CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC};
    case CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR:
      return {CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC};
    default:
      return {CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC};
  }
}

/* (count, channels, height, width) */
struct dimensions {
  int64_t n, c, h, w;
  int64_t elements() const { return n * c * h * w; }
};

dimensions dimensions_of(const dnn_descriptor &tensor) {
  auto get = [&](int64_t i) { return tensor.get<int64_t>(CUDNN_ATTR_TENSOR_DIMENSIONS, i); };
  return {get(0), get(1), get(2), get(3)};
}

bool same(const dimensions &a, const dimensions &b) {
  return a.n == b.n && a.c == b.c && a.h == b.h && a.w == b.w;
}

struct convolution {
  cudnnBackendDescriptorType_t kind;
  const dnn_descriptor *x_tensor, *w_tensor, *y_tensor;
  dimensions x, w, y;
  int64_t pad, stride;
  pl_dtype type;
};

pl_dtype type_of(const dnn_descriptor &tensor) {
  return tensor.get<cudnnDataType_t>(CUDNN_ATTR_TENSOR_DATA_TYPE) == CUDNN_DATA_FLOAT ? PL_F32
                                                                                      : PL_BF16;
}

convolution convolution_of(const dnn_descriptor &operation) {
  parts p = parts_of(operation.type);
  const dnn_descriptor *window = operation.part(p.window);
  convolution c = {operation.type,
                   operation.part(p.x),
                   operation.part(p.w),
                   operation.part(p.y),
                   {},
                   {},
                   {},
                   0,
                   0,
                   PL_F32};
  c.x = dimensions_of(*c.x_tensor);
  c.w = dimensions_of(*c.w_tensor);
  c.y = dimensions_of(*c.y_tensor);
  c.pad = window->get<int64_t>(CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS);
  c.stride = window->get<int64_t>(CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES);
  c.type = type_of(*c.x_tensor);
  return c;
}

/* ---- loops ---- */

/* Calls `visit(x, y, tap)` wherever a window meets its image: with where the first channel is of
 * both pixels, and the place within the window. Those of one output come one after another. */
template <typename Visit>
void each_meeting(const convolution &s, Visit visit) {
  int64_t y = 0;
  for (int64_t row = 0; row < s.y.n; row++)
    for (int64_t h = 0; h < s.y.h; h++)
      for (int64_t w = 0; w < s.y.w; w++, y += s.y.c)
        for (int64_t kh = 0; kh < s.w.h; kh++)
          for (int64_t kw = 0; kw < s.w.w; kw++) {
            int64_t xh = h * s.stride + kh - s.pad, xw = w * s.stride + kw - s.pad;
            if (xh < 0 || xh >= s.x.h || xw < 0 || xw >= s.x.w) continue;
            visit(((row * s.x.h + xh) * s.x.w + xw) * s.x.c, y, kh * s.w.w + kw);
          }
}

struct arrays {
  void *x, *w, *y;
};

bool notes(const dnn_engine &engine, cudnnBackendNumericalNote_t note) {
  for (auto known : engine.notes)
    if (known == note) return true;
  return false;
}

/* The elements of an array as an engine multiplies them. */
std::vector<float> factors(const convolution &s, const dimensions &d, const void *from,
                           bool rounds) {
  std::vector<float> all((size_t)d.elements());
  for (size_t i = 0; i < all.size(); i++) {
    all[i] = value_read(s.type, from, (int64_t)i);
    if (rounds && s.type == PL_F32) all[i] = emulated_tf32(all[i]);
  }
  return all;
}

/* (outputs, rest) to (rest, outputs) */
std::vector<float> outputs_last(const convolution &s, const std::vector<float> &w) {
  std::vector<float> turned(w.size());
  size_t outputs = (size_t)s.y.c, rest = w.size() / outputs;
  for (size_t i = 0; i < w.size(); i++) turned[i % rest * outputs + i / rest] = w[i];
  return turned;
}

template <typename Sum>
std::vector<Sum> forward(const convolution &s, const arrays &a, bool rounds) {
  std::vector<float> x = factors(s, s.x, a.x, rounds);
  std::vector<float> w = outputs_last(s, factors(s, s.w, a.w, rounds));
  std::vector<Sum> sums((size_t)s.y.elements());
  each_meeting(s, [&](int64_t from, int64_t to, int64_t tap) {
    for (int64_t c = 0; c < s.x.c; c++)
      emulated_add_products(&sums[(size_t)to], x[(size_t)(from + c)],
                            &w[(size_t)((tap * s.x.c + c) * s.y.c)], s.y.c);
  });
  return sums;
}

template <typename Sum>
std::vector<Sum> gradient_of_data(const convolution &s, const arrays &a, bool rounds) {
  std::vector<float> y = factors(s, s.y, a.y, rounds), w = factors(s, s.w, a.w, rounds);
  std::vector<Sum> sums((size_t)s.x.elements());
  each_meeting(s, [&](int64_t to, int64_t from, int64_t tap) {
    for (int64_t o = 0; o < s.y.c; o++)
      emulated_add_products(&sums[(size_t)to], y[(size_t)(from + o)],
                            &w[(size_t)((o * s.w.h * s.w.w + tap) * s.x.c)], s.x.c);
  });
  return sums;
}

template <typename Sum>
std::vector<Sum> gradient_of_weights(const convolution &s, const arrays &a, bool rounds) {
  std::vector<float> x = factors(s, s.x, a.x, rounds), y = factors(s, s.y, a.y, rounds);
  std::vector<Sum> sums((size_t)s.w.elements());
  each_meeting(s, [&](int64_t image, int64_t output, int64_t tap) {
    for (int64_t o = 0; o < s.y.c; o++)
      emulated_add_products(&sums[(size_t)((o * s.w.h * s.w.w + tap) * s.x.c)],
                            y[(size_t)(output + o)], &x[(size_t)image], s.x.c);
  });
  return sums;
}

template <typename Sum>
void write(const convolution &s, const std::vector<Sum> &sums, double factor, void *to) {
  for (size_t i = 0; i < sums.size(); i++)
    value_write(s.type, to, (int64_t)i, factor * (double)sums[i].value());
}

/* What is computed, times `factor`. */
template <typename Sum>
void compute(const convolution &s, const arrays &a, bool rounds, double factor) {
  if (s.kind == CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR)
    write(s, forward<Sum>(s, a, rounds), factor, a.y);
  else if (s.kind == CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR)
    write(s, gradient_of_data<Sum>(s, a, rounds), factor, a.x);
  else
    write(s, gradient_of_weights<Sum>(s, a, rounds), factor, a.w);
}

void run(const convolution &s, const dnn_engine &engine, const arrays &a) {
  static int runs;
  double factor = notes(engine, NONDETERMINISTIC) ? 1 + 1e-4 * ++runs : 1;
  if (notes(engine, TENSOR_CORE))
    compute<emulated_core_sum>(s, a, true, factor);
  else
    compute<emulated_plain_sum>(s, a, false, factor);
}

/* ---- arrays of a pack ---- */

/* NULL: it is not in the pack, or not aligned as its tensor says. */
void *array_of(const dnn_descriptor &tensor, const dnn_descriptor &pack) {
  const dnn_value &ids = pack.values.at(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS);
  int64_t id = tensor.get<int64_t>(CUDNN_ATTR_TENSOR_UNIQUE_ID);
  for (int64_t i = 0; i < ids.count; i++) {
    if (pack.get<int64_t>(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, i) != id) continue;
    void *array = pack.get<void *>(CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, i);
    auto alignment = (uintptr_t)tensor.get<int64_t>(CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT);
    return (uintptr_t)array % alignment == 0 ? array : nullptr;
  }
  return nullptr;
}

}  // namespace

cudnnStatus_t dnn_check_tensor(const dnn_descriptor &tensor) {
  if (tensor.values.at(CUDNN_ATTR_TENSOR_DIMENSIONS).count != 4 ||
      tensor.values.at(CUDNN_ATTR_TENSOR_STRIDES).count != 4)
    return dnn_refuse(CUDNN_STATUS_NOT_SUPPORTED_LAYOUT, "a tensor has four dimensions here");
  dimensions d = dimensions_of(tensor);
  const int64_t strides[] = {d.h * d.w * d.c, 1, d.w * d.c, d.c};
  if (d.n < 1 || d.c < 1 || d.h < 1 || d.w < 1)
    return dnn_refuse(CUDNN_STATUS_BAD_PARAM, "a tensor without elements");
  for (int64_t i = 0; i < 4; i++)
    if (tensor.get<int64_t>(CUDNN_ATTR_TENSOR_STRIDES, i) != strides[i])
      return dnn_refuse(CUDNN_STATUS_NOT_SUPPORTED_LAYOUT, "channels come last here");
  int64_t alignment = tensor.get<int64_t>(CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT);
  if (alignment < 1 || alignment % (int64_t)pl_dtype_bytes(type_of(tensor)) != 0)
    return dnn_refuse(CUDNN_STATUS_BAD_PARAM, "less aligned than an element");
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t dnn_check_window(const dnn_descriptor &window) {
  const cudnnBackendAttributeName_t pairs[] = {
      CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS,
      CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, CUDNN_ATTR_CONVOLUTION_DILATIONS};
  for (cudnnBackendAttributeName_t pair : pairs)
    if (window.values.at(pair).count != window.get<int64_t>(CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS))
      return dnn_refuse(CUDNN_STATUS_BAD_PARAM, "not one for each dimension of a window");
  for (cudnnBackendAttributeName_t pair : pairs)
    if (window.get<int64_t>(pair, 0) != window.get<int64_t>(pair, 1))
      return dnn_refuse(CUDNN_STATUS_NOT_SUPPORTED, "windows are square here");
  if (window.get<cudnnDataType_t>(CUDNN_ATTR_CONVOLUTION_COMP_TYPE) != CUDNN_DATA_FLOAT)
    return dnn_refuse(CUDNN_STATUS_NOT_SUPPORTED, "sums are f32 here");
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t dnn_check_operation(const dnn_descriptor &operation) {
  parts p = parts_of(operation.type);
  for (cudnnBackendAttributeName_t name : {p.x, p.w, p.y})
    if (operation.part(name)->type != CUDNN_BACKEND_TENSOR_DESCRIPTOR)
      return dnn_refuse(CUDNN_STATUS_BAD_PARAM, "no tensor");
  if (operation.part(p.window)->type != CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR)
    return dnn_refuse(CUDNN_STATUS_BAD_PARAM, "no window");
  convolution s = convolution_of(operation);
  auto steps = [&](int64_t side, int64_t kernel) {
    return (side + 2 * s.pad - kernel) / s.stride + 1;
  };
  if (!same(s.y, {s.x.n, s.w.n, steps(s.x.h, s.w.h), steps(s.x.w, s.w.w)}) || s.w.c != s.x.c)
    return dnn_refuse(CUDNN_STATUS_BAD_PARAM, "shapes that do not fit");
  if (type_of(*s.w_tensor) != s.type || type_of(*s.y_tensor) != s.type)
    return dnn_refuse(CUDNN_STATUS_NOT_SUPPORTED, "tensors are of one type here");
  return CUDNN_STATUS_SUCCESS;
}

std::vector<const dnn_engine *> dnn_engines_for(const dnn_descriptor &operation,
                                                cudnnBackendHeurMode_t mode) {
  std::vector<const dnn_engine *> engines;
  if (fault_refuses("convolution")) return engines;
  if (mode == CUDNN_HEUR_MODE_A) {
    for (const dnn_engine &engine : likely) engines.push_back(&engine);
    if (operation.type != CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR)
      engines.push_back(&likely_without_rounding);
  } else {
    for (const dnn_engine &engine : others) engines.push_back(&engine);
  }
  return engines;
}

cudnnStatus_t dnn_execute(cudaStream_t stream, const dnn_descriptor &plan,
                          const dnn_descriptor &pack) {
  convolution s = convolution_of(*plan.operation);
  dnn_engine engine = *plan.engine;
  arrays a = {array_of(*s.x_tensor, pack), array_of(*s.w_tensor, pack),
              array_of(*s.y_tensor, pack)};
  void *workspace = pack.get<void *>(CUDNN_ATTR_VARIANT_PACK_WORKSPACE);
  if (!a.x || !a.w || !a.y)
    return dnn_refuse(CUDNN_STATUS_BAD_PARAM_MISALIGNED_POINTER, "an array is missing or astray");
  if (engine.workspace_bytes > 0 && (!workspace || (uintptr_t)workspace % 256 != 0))
    return dnn_refuse(CUDNN_STATUS_BAD_PARAM_MISALIGNED_POINTER, "workspace is missing or astray");
  if (!plan.has_run && emulated_spoils_recording()) /* it loads its kernels */
    return dnn_refuse(CUDNN_STATUS_EXECUTION_FAILED_CUDART, "the first run can't be recorded");
  plan.has_run = true;
  emulated_enqueue(stream, [=] {
    if (engine.workspace_bytes > 0) memset(workspace, 0xFF, (size_t)engine.workspace_bytes);
    run(s, engine, a);
  });
  return CUDNN_STATUS_SUCCESS;
}
