#include "runtime/cpu/onednn_linear.h"

#include "runtime/base/memory.h"
#include "runtime/cpu/onednn_calls.h"

struct pl_dnn_linear {
  dnnl_engine_t engine;
  dnnl_stream_t stream;
  dnnl_primitive_desc_t desc;
  dnnl_primitive_t primitive;
  dnnl_primitive_t reorder; /* weights from the order in which they are given */
  dnnl_memory_t x, y, bias, weights, given, scratch;
  bool has_bias;
  void *weight_data;
};

/* The dense layouts of x, y, bias and weights; `any` leaves the order of the weights to oneDNN. */
typedef struct layouts {
  pl_dnn_layout x, y, bias, any, given;
} layouts;

static pl_status make_layouts(const pl_dnn_linear_spec *s, layouts *m) {
  const dnnl_dims_t x = {s->lines, s->inner}, y = {s->lines, s->features};
  const dnnl_dims_t weights = {s->features, s->inner}, features = {s->features};
  PL_TRY(pl_dnn_layout_of(2, x, s->type, dnnl_ab, &m->x));
  PL_TRY(pl_dnn_layout_of(2, y, s->out_type, dnnl_ab, &m->y));
  PL_TRY(pl_dnn_layout_of(2, weights, s->type, dnnl_format_tag_any, &m->any));
  PL_TRY(pl_dnn_layout_of(2, weights, s->type, s->transposed ? dnnl_ba : dnnl_ab, &m->given));
  return pl_dnn_layout_of(1, features, PL_F32, dnnl_a, &m->bias);
}

static void free_layouts(layouts *m) {
  pl_dnn_layout_destroy(&m->x);
  pl_dnn_layout_destroy(&m->y);
  pl_dnn_layout_destroy(&m->bias);
  pl_dnn_layout_destroy(&m->any);
  pl_dnn_layout_destroy(&m->given);
}

static pl_status make_primitive(pl_dnn_linear *l, const layouts *m) {
  const pl_dnn_dense dense = {m->x, m->any, l->has_bias ? m->bias : NULL, m->y};
  dnnl_primitive_attr_t attributes;
  PL_TRY(pl_dnn_attributes(&attributes));
  pl_status status = pl_dnn_describe_dense(l->engine, &dense, attributes, &l->desc);
  dnnl_primitive_attr_destroy(attributes);
  PL_TRY(status);
  return pl_dnn_checked(dnnl_primitive_create(&l->primitive, l->desc), "linear layer");
}

static pl_status make_memories(pl_dnn_linear *l, const layouts *m) {
  pl_dnn_const_layout weights = dnnl_primitive_desc_query_md(l->desc, dnnl_query_weights_md, 0);
  pl_dnn_const_layout scratch = dnnl_primitive_desc_query_md(l->desc, dnnl_query_scratchpad_md, 0);
  PL_TRY(pl_dnn_memory(l->engine, m->x, &l->x));
  PL_TRY(pl_dnn_memory(l->engine, m->y, &l->y));
  PL_TRY(pl_dnn_memory(l->engine, m->bias, &l->bias));
  PL_TRY(pl_dnn_memory(l->engine, m->given, &l->given));
  PL_TRY(pl_dnn_memory(l->engine, weights, &l->weights));
  PL_TRY(pl_dnn_memory(l->engine, scratch, &l->scratch));
  l->weight_data = pl_alloc(dnnl_memory_desc_get_size(weights), 1);
  if (!l->weight_data) return PL_E_INTERNAL;
  PL_TRY(pl_dnn_point(l->weights, l->weight_data));
  return pl_dnn_reorder(l->engine, m->given, weights, &l->reorder);
}

pl_status pl_dnn_linear_create(const pl_dnn_linear_spec *spec, pl_dnn_linear **out) {
  pl_status status;
  layouts m = {0};
  pl_dnn_linear *l = pl_alloc(1, sizeof *l);
  if (!l) return PL_E_INTERNAL;
  l->has_bias = spec->bias;
  PL_TRY_OR(done, status, pl_dnn_checked(dnnl_engine_create(&l->engine, dnnl_cpu, 0), "engine"));
  PL_TRY_OR(done, status,
            pl_dnn_checked(dnnl_stream_create(&l->stream, l->engine, dnnl_stream_default_flags),
                           "stream"));
  PL_TRY_OR(done, status, make_layouts(spec, &m));
  PL_TRY_OR(done, status, make_primitive(l, &m));
  PL_TRY_OR(done, status, make_memories(l, &m));
done:
  free_layouts(&m);
  if (status != PL_OK) pl_dnn_linear_destroy(&l);
  *out = l;
  return status;
}

/* oneDNN's destroy functions take NULL. */
void pl_dnn_linear_destroy(pl_dnn_linear **linear) {
  pl_dnn_linear *l = *linear;
  if (!l) return;
  dnnl_memory_destroy(l->x);
  dnnl_memory_destroy(l->y);
  dnnl_memory_destroy(l->bias);
  dnnl_memory_destroy(l->given);
  dnnl_memory_destroy(l->weights);
  dnnl_memory_destroy(l->scratch);
  dnnl_primitive_destroy(l->reorder);
  dnnl_primitive_destroy(l->primitive);
  dnnl_primitive_desc_destroy(l->desc);
  dnnl_stream_destroy(l->stream);
  dnnl_engine_destroy(l->engine);
  pl_free(l->weight_data);
  pl_free(l);
  *linear = NULL;
}

size_t pl_dnn_linear_scratch_bytes(const pl_dnn_linear *linear) {
  return pl_align_up(dnnl_memory_desc_get_size(
      dnnl_primitive_desc_query_md(linear->desc, dnnl_query_scratchpad_md, 0)));
}

static pl_status execute(pl_dnn_linear *l, dnnl_primitive_t primitive, int count,
                         const dnnl_exec_arg_t *args) {
  PL_TRY(pl_dnn_checked(dnnl_primitive_execute(primitive, l->stream, count, args), "execute"));
  return pl_dnn_checked(dnnl_stream_wait(l->stream), "execute");
}

pl_status pl_dnn_linear_load(pl_dnn_linear *linear, const void *weights) {
  PL_TRY(pl_dnn_point(linear->given, weights));
  const dnnl_exec_arg_t args[] = {{DNNL_ARG_FROM, linear->given}, {DNNL_ARG_TO, linear->weights}};
  return execute(linear, linear->reorder, 2, args);
}

pl_status pl_dnn_linear_run(pl_dnn_linear *linear, const void *x, const float *bias, void *y,
                            void *scratch) {
  pl_dnn_linear *l = linear;
  PL_TRY(pl_dnn_point(l->x, x));
  PL_TRY(pl_dnn_point(l->y, y));
  PL_TRY(pl_dnn_point(l->scratch, scratch));
  if (l->has_bias) PL_TRY(pl_dnn_point(l->bias, bias));
  const dnnl_exec_arg_t args[] = {{DNNL_ARG_SRC, l->x},
                                  {DNNL_ARG_WEIGHTS, l->weights},
                                  {DNNL_ARG_DST, l->y},
                                  {DNNL_ARG_SCRATCHPAD, l->scratch},
                                  {DNNL_ARG_BIAS, l->bias}};
  return execute(l, l->primitive, l->has_bias ? 5 : 4, args);
}
