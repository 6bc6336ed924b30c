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

/* The dense layouts of one convolution, in oneDNN's order of dimensions (N, C, H, W). */
typedef struct layouts {
  pl_dnn_layout x, y;
  pl_dnn_layout weights, dweights; /* order left to oneDNN */
  pl_dnn_layout master;            /* (out, in, k, k) or (in, k, k, out), of what the pass has */
} layouts;

static pl_status make_layouts(const pl_dnn_conv_spec *s, pl_dnn_pass pass, layouts *m) {
  const dnnl_dims_t x = {s->rows, s->in.channels, s->in.height, s->in.width};
  const dnnl_dims_t y = {s->rows, s->out.channels, s->out.height, s->out.width};
  const dnnl_dims_t w = {s->out.channels, s->in.channels, s->window.kernel, s->window.kernel};
  pl_dtype master = pass == PL_DNN_BACKWARD_WEIGHTS ? PL_F32 : s->type;
  PL_TRY(pl_dnn_layout_of(4, x, s->type, dnnl_nhwc, &m->x));
  PL_TRY(pl_dnn_layout_of(4, y, s->type, dnnl_nhwc, &m->y));
  PL_TRY(pl_dnn_layout_of(4, w, s->type, dnnl_format_tag_any, &m->weights));
  PL_TRY(pl_dnn_layout_of(4, w, PL_F32, dnnl_format_tag_any, &m->dweights));
  return pl_dnn_layout_of(4, w, master, s->transposed ? dnnl_ihwo : dnnl_oihw, &m->master);
}

static void free_layouts(layouts *m) {
  pl_dnn_layout_destroy(&m->x);
  pl_dnn_layout_destroy(&m->y);
  pl_dnn_layout_destroy(&m->weights);
  pl_dnn_layout_destroy(&m->dweights);
  pl_dnn_layout_destroy(&m->master);
}

/* The forward descriptor is also the hint that the others want. */
static pl_status make_desc(const pl_dnn_conv_spec *s, const layouts *m, pl_dnn_conv *conv) {
  pl_dnn_windows windows = {.x = m->x,
                            .weights = m->weights,
                            .y = m->y,
                            .stride = s->window.stride,
                            .pad = s->window.pad};
  dnnl_primitive_attr_t attributes = NULL;
  dnnl_primitive_desc_t forward = NULL;
  pl_status status;
  PL_TRY_OR(done, status, pl_dnn_attributes(&attributes));
  PL_TRY_OR(done, status,
            pl_dnn_describe_convolution(conv->engine, &windows, attributes, &forward));
  windows.hint = forward;
  switch (conv->pass) {
    case PL_DNN_FORWARD:
      conv->desc = forward;
      forward = NULL;
      break;
    case PL_DNN_BACKWARD_DATA:
      status = pl_dnn_describe_dx(conv->engine, &windows, attributes, &conv->desc);
      break;
    case PL_DNN_BACKWARD_WEIGHTS:
      windows.weights = m->dweights;
      status = pl_dnn_describe_dw(conv->engine, &windows, attributes, &conv->desc);
      break;
  }
done:
  dnnl_primitive_desc_destroy(forward);
  dnnl_primitive_attr_destroy(attributes);
  return status;
}

static pl_status make_memories(pl_dnn_conv *conv, const layouts *m) {
  bool to_master = conv->pass == PL_DNN_BACKWARD_WEIGHTS;
  pl_dnn_const_layout weights = dnnl_primitive_desc_query_md(
      conv->desc, to_master ? dnnl_query_diff_weights_md : dnnl_query_weights_md, 0);
  pl_dnn_const_layout scratchpad =
      dnnl_primitive_desc_query_md(conv->desc, dnnl_query_scratchpad_md, 0);
  conv->weight_bytes = dnnl_memory_desc_get_size(weights);
  conv->scratchpad_bytes = dnnl_memory_desc_get_size(scratchpad);
  PL_TRY(pl_dnn_memory(conv->engine, m->x, &conv->source));
  PL_TRY(pl_dnn_memory(conv->engine, m->y, &conv->destination));
  PL_TRY(pl_dnn_memory(conv->engine, weights, &conv->weights));
  PL_TRY(pl_dnn_memory(conv->engine, scratchpad, &conv->scratchpad));
  PL_TRY(pl_dnn_memory(conv->engine, m->master, &conv->master));
  return to_master ? pl_dnn_reorder(conv->engine, weights, m->master, &conv->reorder)
                   : pl_dnn_reorder(conv->engine, m->master, weights, &conv->reorder);
}

pl_status pl_dnn_conv_create(const pl_dnn_conv_spec *spec, pl_dnn_pass pass, pl_dnn_conv **out) {
  pl_status status;
  layouts m = {0};
  pl_dnn_conv *conv = pl_alloc(1, sizeof *conv);
  *out = NULL;
  if (!conv) return PL_E_INTERNAL;
  conv->pass = pass;
  PL_TRY_OR(done, status, pl_dnn_checked(dnnl_engine_create(&conv->engine, dnnl_cpu, 0), "engine"));
  PL_TRY_OR(
      done, status,
      pl_dnn_checked(dnnl_stream_create(&conv->stream, conv->engine, dnnl_stream_default_flags),
                     "stream"));
  PL_TRY_OR(done, status, make_layouts(spec, pass, &m));
  PL_TRY_OR(done, status, make_desc(spec, &m, conv));
  PL_TRY_OR(done, status,
            pl_dnn_checked(dnnl_primitive_create(&conv->primitive, conv->desc), "convolution"));
  PL_TRY_OR(done, status, make_memories(conv, &m));
  if (pass != PL_DNN_BACKWARD_WEIGHTS) {
    conv->weight_data = pl_alloc(conv->weight_bytes, 1);
    status = conv->weight_data ? pl_dnn_point(conv->weights, conv->weight_data) : PL_E_INTERNAL;
  }
done:
  free_layouts(&m);
  if (status != PL_OK) pl_dnn_conv_destroy(&conv);
  *out = conv;
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
