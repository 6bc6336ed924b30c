#include "runtime/cpu/onednn.h"

#include "runtime/base/memory.h"
#include "runtime/cpu/onednn_calls.h"

/* Its own weights come first: they are `weights` (allocated here) in forward and backward data, and
 * live in the scratch of the call in backward weights. */
struct pl_dnn_conv {
  pl_dnn_pass pass;
  dnnl_engine_t engine;
  dnnl_stream_t stream;
  dnnl_primitive_desc_t desc;
  dnnl_primitive_t primitive;
  dnnl_primitive_t reorder; /* weights from, or to, the master layout */
  dnnl_memory_t source, destination, weights, scratchpad;
  dnnl_memory_t master; /* weights in the master layout */
  void *weight_data;
  size_t weight_bytes, scratchpad_bytes;
};

static const char *status_text(dnnl_status_t status) {
  switch (status) {
    case dnnl_out_of_memory: return "out of memory";
    case dnnl_invalid_arguments: return "invalid arguments";
    case dnnl_unimplemented: return "not implemented";
    case dnnl_runtime_error: return "runtime error";
    default: return "failed";
  }
}

pl_status pl_dnn_checked(dnnl_status_t status, const char *what) {
  if (status == dnnl_success) return PL_OK;
  return PL_FAIL(PL_E_INTERNAL, "oneDNN: %s: %s", what, status_text(status));
}

dnnl_data_type_t pl_dnn_data_type(pl_dtype type) { return type == PL_BF16 ? dnnl_bf16 : dnnl_f32; }

pl_status pl_dnn_point(dnnl_memory_t memory, const void *data) {
  return pl_dnn_checked(dnnl_memory_set_data_handle(memory, (void *)data), "data handle");
}

/* The dense layouts of one convolution, in oneDNN's order of dimensions (N, C, H, W). */
typedef struct layouts {
  dnnl_memory_desc_t x, y;
  dnnl_memory_desc_t weights;        /* order left to oneDNN */
  dnnl_memory_desc_t master_weights; /* (out, in, k, k) or (in, k, k, out) */
} layouts;

static pl_status make_layouts(const pl_dnn_conv_spec *s, pl_dnn_pass pass, layouts *m) {
  dnnl_dims_t x = {s->rows, s->in.channels, s->in.height, s->in.width};
  dnnl_dims_t y = {s->rows, s->out.channels, s->out.height, s->out.width};
  dnnl_dims_t w = {s->out.channels, s->in.channels, s->window.kernel, s->window.kernel};
  dnnl_data_type_t type = pl_dnn_data_type(s->type);
  dnnl_data_type_t w_type = pass == PL_DNN_BACKWARD_WEIGHTS ? dnnl_f32 : type;
  PL_TRY(pl_dnn_checked(dnnl_memory_desc_init_by_tag(&m->x, 4, x, type, dnnl_nhwc), "layout of x"));
  PL_TRY(pl_dnn_checked(dnnl_memory_desc_init_by_tag(&m->y, 4, y, type, dnnl_nhwc), "layout of y"));
  PL_TRY(
      pl_dnn_checked(dnnl_memory_desc_init_by_tag(&m->weights, 4, w, w_type, dnnl_format_tag_any),
                     "layout of weights"));
  dnnl_format_tag_t master = s->transposed ? dnnl_ihwo : dnnl_oihw;
  return pl_dnn_checked(dnnl_memory_desc_init_by_tag(&m->master_weights, 4, w, w_type, master),
                        "layout of weights");
}

/* The forward descriptor, which is also the hint that the backward ones want. */
static pl_status make_forward_desc(const pl_dnn_conv_spec *s, const layouts *m,
                                   const_dnnl_primitive_attr_t attributes, dnnl_engine_t engine,
                                   dnnl_primitive_desc_t *out) {
  dnnl_dims_t stride = {s->window.stride, s->window.stride};
  dnnl_dims_t pad = {s->window.pad, s->window.pad};
  dnnl_dims_t dilation = {0, 0};
  dnnl_memory_desc_t weights = m->weights;
  weights.data_type = pl_dnn_data_type(s->type);
  dnnl_convolution_desc_t convolution;
  PL_TRY(pl_dnn_checked(dnnl_dilated_convolution_forward_desc_init(
                            &convolution, dnnl_forward_training, dnnl_convolution_direct, &m->x,
                            &weights, NULL, &m->y, stride, dilation, pad, pad),
                        "convolution"));
  return pl_dnn_checked(dnnl_primitive_desc_create(out, &convolution, attributes, engine, NULL),
                        "convolution");
}

static pl_status make_backward_desc(const pl_dnn_conv_spec *s, pl_dnn_pass pass, const layouts *m,
                                    const_dnnl_primitive_attr_t attributes, dnnl_engine_t engine,
                                    const_dnnl_primitive_desc_t hint, dnnl_primitive_desc_t *out) {
  dnnl_dims_t stride = {s->window.stride, s->window.stride};
  dnnl_dims_t pad = {s->window.pad, s->window.pad};
  dnnl_dims_t dilation = {0, 0};
  dnnl_convolution_desc_t convolution;
  if (pass == PL_DNN_BACKWARD_DATA)
    PL_TRY(pl_dnn_checked(dnnl_dilated_convolution_backward_data_desc_init(
                              &convolution, dnnl_convolution_direct, &m->x, &m->weights, &m->y,
                              stride, dilation, pad, pad),
                          "convolution backward data"));
  else
    PL_TRY(pl_dnn_checked(dnnl_dilated_convolution_backward_weights_desc_init(
                              &convolution, dnnl_convolution_direct, &m->x, &m->weights, NULL,
                              &m->y, stride, dilation, pad, pad),
                          "convolution backward weights"));
  return pl_dnn_checked(dnnl_primitive_desc_create(out, &convolution, attributes, engine, hint),
                        "convolution backward");
}

static pl_status make_desc(const pl_dnn_conv_spec *s, const layouts *m, pl_dnn_conv *conv) {
  dnnl_primitive_attr_t attributes = NULL;
  dnnl_primitive_desc_t forward = NULL;
  pl_status status;
  PL_TRY_OR(done, status, pl_dnn_checked(dnnl_primitive_attr_create(&attributes), "attributes"));
  PL_TRY_OR(
      done, status,
      pl_dnn_checked(dnnl_primitive_attr_set_scratchpad_mode(attributes, dnnl_scratchpad_mode_user),
                     "scratchpad"));
  PL_TRY_OR(done, status, make_forward_desc(s, m, attributes, conv->engine, &forward));
  if (conv->pass == PL_DNN_FORWARD) {
    conv->desc = forward;
    forward = NULL;
  } else {
    status = make_backward_desc(s, conv->pass, m, attributes, conv->engine, forward, &conv->desc);
  }
done:
  dnnl_primitive_desc_destroy(forward);
  dnnl_primitive_attr_destroy(attributes);
  return status;
}

static pl_status make_memory(const dnnl_memory_desc_t *layout, dnnl_engine_t engine,
                             dnnl_memory_t *out) {
  return pl_dnn_checked(dnnl_memory_create(out, layout, engine, DNNL_MEMORY_NONE), "memory");
}

static pl_status make_reorder(const pl_dnn_conv *conv, const dnnl_memory_desc_t *from,
                              const dnnl_memory_desc_t *to, dnnl_primitive_t *out) {
  dnnl_primitive_desc_t desc = NULL;
  PL_TRY(pl_dnn_checked(
      dnnl_reorder_primitive_desc_create(&desc, from, conv->engine, to, conv->engine, NULL),
      "reorder of weights"));
  pl_status status = pl_dnn_checked(dnnl_primitive_create(out, desc), "reorder of weights");
  dnnl_primitive_desc_destroy(desc);
  return status;
}

static pl_status make_memories(pl_dnn_conv *conv, const layouts *m) {
  bool to_master = conv->pass == PL_DNN_BACKWARD_WEIGHTS;
  const dnnl_memory_desc_t *weights = dnnl_primitive_desc_query_md(
      conv->desc, to_master ? dnnl_query_diff_weights_md : dnnl_query_weights_md, 0);
  const dnnl_memory_desc_t *scratchpad =
      dnnl_primitive_desc_query_md(conv->desc, dnnl_query_scratchpad_md, 0);
  const dnnl_memory_desc_t *master = &m->master_weights;
  conv->weight_bytes = dnnl_memory_desc_get_size(weights);
  conv->scratchpad_bytes = dnnl_memory_desc_get_size(scratchpad);
  PL_TRY(make_memory(&m->x, conv->engine, &conv->source));
  PL_TRY(make_memory(&m->y, conv->engine, &conv->destination));
  PL_TRY(make_memory(weights, conv->engine, &conv->weights));
  PL_TRY(make_memory(scratchpad, conv->engine, &conv->scratchpad));
  PL_TRY(make_memory(master, conv->engine, &conv->master));
  return to_master ? make_reorder(conv, weights, master, &conv->reorder)
                   : make_reorder(conv, master, weights, &conv->reorder);
}

pl_status pl_dnn_conv_create(const pl_dnn_conv_spec *spec, pl_dnn_pass pass, pl_dnn_conv **out) {
  pl_status status;
  layouts m;
  pl_dnn_conv *conv = pl_alloc(1, sizeof *conv);
  if (!conv) return PL_E_INTERNAL;
  conv->pass = pass;
  PL_TRY_OR(failed, status,
            pl_dnn_checked(dnnl_engine_create(&conv->engine, dnnl_cpu, 0), "engine"));
  PL_TRY_OR(
      failed, status,
      pl_dnn_checked(dnnl_stream_create(&conv->stream, conv->engine, dnnl_stream_default_flags),
                     "stream"));
  PL_TRY_OR(failed, status, make_layouts(spec, pass, &m));
  PL_TRY_OR(failed, status, make_desc(spec, &m, conv));
  PL_TRY_OR(failed, status,
            pl_dnn_checked(dnnl_primitive_create(&conv->primitive, conv->desc), "convolution"));
  PL_TRY_OR(failed, status, make_memories(conv, &m));
  if (pass != PL_DNN_BACKWARD_WEIGHTS) {
    conv->weight_data = pl_alloc(conv->weight_bytes, 1);
    status = conv->weight_data ? pl_dnn_point(conv->weights, conv->weight_data) : PL_E_INTERNAL;
    if (status != PL_OK) goto failed;
  }
  *out = conv;
  return PL_OK;
failed:
  pl_dnn_conv_destroy(&conv);
  return status;
}

/* oneDNN's destroy functions take NULL. */
void pl_dnn_conv_destroy(pl_dnn_conv **conv) {
  pl_dnn_conv *c = *conv;
  if (!c) return;
  dnnl_memory_destroy(c->source);
  dnnl_memory_destroy(c->destination);
  dnnl_memory_destroy(c->weights);
  dnnl_memory_destroy(c->scratchpad);
  dnnl_memory_destroy(c->master);
  dnnl_primitive_destroy(c->reorder);
  dnnl_primitive_destroy(c->primitive);
  dnnl_primitive_desc_destroy(c->desc);
  dnnl_stream_destroy(c->stream);
  dnnl_engine_destroy(c->engine);
  pl_free(c->weight_data);
  pl_free(c);
  *conv = NULL;
}

size_t pl_dnn_conv_scratch_bytes(const pl_dnn_conv *conv) {
  size_t weights = conv->pass == PL_DNN_BACKWARD_WEIGHTS ? pl_align_up(conv->weight_bytes) : 0;
  return weights + pl_align_up(conv->scratchpad_bytes);
}

static pl_status execute(pl_dnn_conv *conv, dnnl_primitive_t primitive, int count,
                         const dnnl_exec_arg_t *args) {
  PL_TRY(pl_dnn_checked(dnnl_primitive_execute(primitive, conv->stream, count, args), "execute"));
  return pl_dnn_checked(dnnl_stream_wait(conv->stream), "execute");
}

pl_status pl_dnn_conv_load(pl_dnn_conv *conv, const void *weights) {
  PL_TRY(pl_dnn_point(conv->master, weights));
  dnnl_exec_arg_t args[] = {{DNNL_ARG_FROM, conv->master}, {DNNL_ARG_TO, conv->weights}};
  return execute(conv, conv->reorder, 2, args);
}

pl_status pl_dnn_conv_forward(pl_dnn_conv *conv, const void *x, void *y, void *scratch) {
  PL_TRY(pl_dnn_point(conv->source, x));
  PL_TRY(pl_dnn_point(conv->destination, y));
  PL_TRY(pl_dnn_point(conv->scratchpad, scratch));
  dnnl_exec_arg_t args[] = {{DNNL_ARG_SRC, conv->source},
                            {DNNL_ARG_WEIGHTS, conv->weights},
                            {DNNL_ARG_DST, conv->destination},
                            {DNNL_ARG_SCRATCHPAD, conv->scratchpad}};
  return execute(conv, conv->primitive, 4, args);
}

pl_status pl_dnn_conv_backward_data(pl_dnn_conv *conv, const void *dy, void *dx, void *scratch) {
  PL_TRY(pl_dnn_point(conv->destination, dy));
  PL_TRY(pl_dnn_point(conv->source, dx));
  PL_TRY(pl_dnn_point(conv->scratchpad, scratch));
  dnnl_exec_arg_t args[] = {{DNNL_ARG_DIFF_DST, conv->destination},
                            {DNNL_ARG_WEIGHTS, conv->weights},
                            {DNNL_ARG_DIFF_SRC, conv->source},
                            {DNNL_ARG_SCRATCHPAD, conv->scratchpad}};
  return execute(conv, conv->primitive, 4, args);
}

pl_status pl_dnn_conv_backward_weights(pl_dnn_conv *conv, const void *x, const void *dy,
                                       float *dweight, void *scratch) {
  PL_TRY(pl_dnn_point(conv->source, x));
  PL_TRY(pl_dnn_point(conv->destination, dy));
  PL_TRY(pl_dnn_point(conv->weights, scratch));
  PL_TRY(pl_dnn_point(conv->scratchpad, (char *)scratch + pl_align_up(conv->weight_bytes)));
  PL_TRY(pl_dnn_point(conv->master, dweight));
  dnnl_exec_arg_t args[] = {{DNNL_ARG_SRC, conv->source},
                            {DNNL_ARG_DIFF_DST, conv->destination},
                            {DNNL_ARG_DIFF_WEIGHTS, conv->weights},
                            {DNNL_ARG_SCRATCHPAD, conv->scratchpad}};
  PL_TRY(execute(conv, conv->primitive, 4, args));
  dnnl_exec_arg_t unpack[] = {{DNNL_ARG_FROM, conv->weights}, {DNNL_ARG_TO, conv->master}};
  return execute(conv, conv->reorder, 2, unpack);
}
