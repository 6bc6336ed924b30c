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

static pl_status describe(dnnl_memory_desc_t *desc, int rows, int cols, pl_dtype type,
                          dnnl_format_tag_t order) {
  dnnl_dims_t dims = {rows, cols};
  return pl_dnn_checked(dnnl_memory_desc_init_by_tag(desc, 2, dims, pl_dnn_data_type(type), order),
                        "layout of a linear layer");
}

/* The dense layouts of x, y, bias and weights; `any` leaves the order of the weights to oneDNN. */
typedef struct layouts {
  dnnl_memory_desc_t x, y, bias, any, given;
} layouts;

static pl_status make_layouts(const pl_dnn_linear_spec *s, layouts *m) {
  dnnl_dims_t features = {s->features};
  PL_TRY(describe(&m->x, s->lines, s->inner, s->type, dnnl_ab));
  PL_TRY(describe(&m->y, s->lines, s->features, s->out_type, dnnl_ab));
  PL_TRY(describe(&m->any, s->features, s->inner, s->type, dnnl_format_tag_any));
  PL_TRY(describe(&m->given, s->features, s->inner, s->type, s->transposed ? dnnl_ba : dnnl_ab));
  return pl_dnn_checked(dnnl_memory_desc_init_by_tag(&m->bias, 1, features, dnnl_f32, dnnl_a),
                        "layout of bias");
}

static pl_status make_primitive(pl_dnn_linear *l, const layouts *m) {
  dnnl_inner_product_desc_t product;
  dnnl_primitive_attr_t attributes = NULL;
  pl_status status;
  PL_TRY_OR(done, status, pl_dnn_checked(dnnl_primitive_attr_create(&attributes), "attributes"));
  PL_TRY_OR(
      done, status,
      pl_dnn_checked(dnnl_primitive_attr_set_scratchpad_mode(attributes, dnnl_scratchpad_mode_user),
                     "scratchpad"));
  PL_TRY_OR(done, status,
            pl_dnn_checked(
                dnnl_inner_product_forward_desc_init(&product, dnnl_forward_training, &m->x,
                                                     &m->any, l->has_bias ? &m->bias : NULL, &m->y),
                "linear layer"));
  PL_TRY_OR(
      done, status,
      pl_dnn_checked(dnnl_primitive_desc_create(&l->desc, &product, attributes, l->engine, NULL),
                     "linear layer"));
  PL_TRY_OR(done, status,
            pl_dnn_checked(dnnl_primitive_create(&l->primitive, l->desc), "linear layer"));
done:
  dnnl_primitive_attr_destroy(attributes);
  return status;
}

static pl_status make_reorder(pl_dnn_linear *l, const dnnl_memory_desc_t *from,
                              const dnnl_memory_desc_t *to) {
  dnnl_primitive_desc_t desc = NULL;
  PL_TRY(pl_dnn_checked(
      dnnl_reorder_primitive_desc_create(&desc, from, l->engine, to, l->engine, NULL),
      "reorder of weights"));
  pl_status status = pl_dnn_checked(dnnl_primitive_create(&l->reorder, desc), "reorder of weights");
  dnnl_primitive_desc_destroy(desc);
  return status;
}

static pl_status make_memory(const pl_dnn_linear *l, const dnnl_memory_desc_t *desc,
                             dnnl_memory_t *out) {
  return pl_dnn_checked(dnnl_memory_create(out, desc, l->engine, DNNL_MEMORY_NONE), "memory");
}

static pl_status make_memories(pl_dnn_linear *l, const layouts *m) {
  const dnnl_memory_desc_t *weights =
      dnnl_primitive_desc_query_md(l->desc, dnnl_query_weights_md, 0);
  const dnnl_memory_desc_t *scratch =
      dnnl_primitive_desc_query_md(l->desc, dnnl_query_scratchpad_md, 0);
  PL_TRY(make_memory(l, &m->x, &l->x));
  PL_TRY(make_memory(l, &m->y, &l->y));
  PL_TRY(make_memory(l, &m->bias, &l->bias));
  PL_TRY(make_memory(l, &m->given, &l->given));
  PL_TRY(make_memory(l, weights, &l->weights));
  PL_TRY(make_memory(l, scratch, &l->scratch));
  l->weight_data = pl_alloc(dnnl_memory_desc_get_size(weights), 1);
  if (!l->weight_data) return PL_E_INTERNAL;
  PL_TRY(pl_dnn_point(l->weights, l->weight_data));
  return make_reorder(l, &m->given, weights);
}

pl_status pl_dnn_linear_create(const pl_dnn_linear_spec *spec, pl_dnn_linear **out) {
  pl_status status;
  layouts m;
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
