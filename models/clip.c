/* Image-text training with two towers: CLIP (Radford et al. 2021) and SigLIP (Zhai et al. 2023),
 * which differ in the loss alone. Names of parameters are open_clip's.
 *
 * A leaf of g samples is one micro-batch of g images and one of their g captions. The towers take
 * turns: all local leaves of images, all of texts, the loss, and backward likewise. */
#include <math.h>
#include <string.h>

#include "losses/clip.h"
#include "models/encoder.h"
#include "models/kind.h"
#include "models/text_transformer.h"
#include "runtime/base/account.h"
#include "runtime/base/clock.h"
#include "runtime/base/memory.h"
#include "runtime/base/tree.h"

typedef struct tower {
  pl_graph *graph;
  pl_value features, embedding;
  pl_net *net;
  pl_exec *exec;
  void *z, *dz; /* (local pairs, width) f32, in memory of the backend's device */
} tower;

typedef struct clip {
  pl_method_setup setup;
  pl_clip_kind kind;
  tower image, text;
  int log_scale, bias; /* parameters; bias -1 for CLIP */
  float scale_value, bias_value;
  pl_clip_loss *loss;
  int64_t first_leaf, leaves;
  int32_t *tokens; /* (leaves, micro, context): of the step under way, which both passes read */
  const pl_leaf_source *source; /* of the step under way */
  double fetch_ms;
} clip;

static void tower_end_steps(const clip *m, tower *t) {
  m->setup.backend->device->release(t->z);
  m->setup.backend->device->release(t->dz);
  t->z = t->dz = NULL;
  pl_exec_destroy(&t->exec);
  pl_net_destroy(&t->net);
}

static void clip_end_steps(void *state) {
  clip *m = state;
  pl_free(m->tokens);
  m->tokens = NULL;
  pl_clip_loss_destroy(&m->loss);
  tower_end_steps(m, &m->text);
  tower_end_steps(m, &m->image);
}

static void clip_destroy(void *state) {
  clip *m = state;
  if (!m) return;
  clip_end_steps(m);
  pl_graph_destroy(&m->text.graph);
  pl_graph_destroy(&m->image.graph);
  pl_free(m);
}

/* ---- building ---- */

/* Projection into the common space, and unit length. */
static pl_status finish_tower(tower *t, const char *projection, int embedding) {
  pl_graph *g = t->graph;
  if (t->features < 0) return pl_graph_finish(g);
  int width = pl_graph_value_shape(g, t->features).channels;
  pl_value z = pl_project(g, projection, t->features, embedding, true, 1 / sqrtf((float)width));
  t->embedding = pl_l2_normalize(g, z, 1e-12F);
  return pl_graph_finish(g);
}

static pl_status build_image_tower(clip *m) {
  const pl_config *c = m->setup.config;
  int side = (int)c->model.image_size;
  PL_TRY(pl_graph_create(m->setup.space, "", &m->image.graph));
  pl_value images =
      pl_input(m->image.graph, (pl_shape){.height = side, .width = side, .channels = 3});
  m->image.features = pl_encoder(m->image.graph, "visual.", c, images);
  return finish_tower(&m->image, "visual.proj", (int)c->method.embedding);
}

static pl_status build_text_tower(clip *m) {
  const pl_config *c = m->setup.config;
  pl_text_options options = {.vocabulary = m->setup.vocabulary,
                             .context = (int)c->model.text.context,
                             .width = (int)c->model.text.width,
                             .blocks = {.layers = (int)c->model.text.layers,
                                        .heads = (int)c->model.text.heads,
                                        .mlp_ratio = 4,
                                        .causal = true,
                                        .gelu = pl_gelu_setting(c),
                                        .dropout = (float)c->model.dropout}};
  PL_TRY(pl_graph_create(m->setup.space, "", &m->text.graph));
  pl_value tokens = pl_tokens(m->text.graph, options.context);
  m->text.features = pl_text_transformer(m->text.graph, "", &options, tokens);
  return finish_tower(&m->text, "text_projection", (int)c->method.embedding);
}

static pl_status add_scalar(clip *m, const char *name, double initial, int *index) {
  const int64_t one = 1;
  pl_init init = {.kind = PL_INIT_CONSTANT, .scale = (float)initial};
  return pl_space_add(m->setup.space, name, PL_PARAM_GAIN, 1, &one, init, index);
}

static pl_status build(clip *m) {
  const pl_config *c = m->setup.config;
  PL_TRY(build_image_tower(m));
  PL_TRY(build_text_tower(m));
  PL_TRY(add_scalar(m, "logit_scale", -log(c->method.temperature), &m->log_scale));
  m->bias = -1;
  if (m->kind == PL_CLIP_SIGMOID) PL_TRY(add_scalar(m, "logit_bias", c->method.bias, &m->bias));
  return PL_OK;
}

static pl_status create(const pl_method_setup *setup, pl_clip_kind kind, void **state) {
  clip *m = pl_alloc(1, sizeof *m);
  if (!m) return PL_E_INTERNAL;
  m->setup = *setup;
  m->kind = kind;
  pl_status status = build(m);
  if (status != PL_OK) {
    clip_destroy(m);
    return status;
  }
  *state = m;
  return PL_OK;
}

static pl_status clip_create(const pl_method_setup *setup, void **state) {
  return create(setup, PL_CLIP_SOFTMAX, state);
}

static pl_status siglip_create(const pl_method_setup *setup, void **state) {
  return create(setup, PL_CLIP_SIGMOID, state);
}

/* ---- preparation ---- */

/* Of the local pairs in one tower. */
static size_t embedding_bytes(const clip *m) {
  const pl_config *c = m->setup.config;
  return (size_t)(m->leaves * c->batch.micro * c->method.embedding) * sizeof(float);
}

static size_t leaf_tokens(const clip *m) {
  const pl_config *c = m->setup.config;
  return (size_t)(c->batch.micro * c->model.text.context);
}

static pl_status prepare_tower(clip *m, tower *t) {
  const pl_config *c = m->setup.config;
  pl_net_options net = {.backend = m->setup.backend,
                        .output = t->embedding,
                        .rows = (int)c->batch.micro,
                        .precision = m->setup.precision,
                        .training = true,
                        .scope = pl_norm_scope_setting(c)};
  PL_TRY(pl_net_compile(t->graph, &net, &t->net));
  pl_exec_options exec = {.leaves = m->leaves,
                          .total_leaves = c->batch.global / c->batch.micro,
                          .recompute = c->batch.activations == PL_CFG_ACTIVATIONS_RECOMPUTE,
                          .record = c->run.cuda_graphs,
                          .in_place = t == &m->image && m->setup.images_in_place,
                          .ranks = pl_comm_ranks(m->setup.comm)};
  PL_TRY(pl_exec_create(t->net, &exec, &t->exec));
  PL_MEMORY_FOR(PL_MEMORY_EMBEDDINGS);
  const pl_device *device = m->setup.backend->device;
  PL_TRY(device->alloc(embedding_bytes(m), &t->z));
  return device->alloc(embedding_bytes(m), &t->dz);
}

/* What may fail on one rank alone, such as memory of its device. */
static pl_status prepare_towers(clip *m) {
  PL_TRY(prepare_tower(m, &m->image));
  PL_TRY(prepare_tower(m, &m->text));
  PL_MEMORY_FOR(PL_MEMORY_EMBEDDINGS);
  m->tokens = pl_alloc((size_t)m->leaves * leaf_tokens(m), sizeof *m->tokens);
  return m->tokens ? PL_OK : PL_E_INTERNAL;
}

static pl_status clip_prepare(void *state) {
  clip *m = state;
  const pl_config *c = m->setup.config;
  int64_t total = c->batch.global / c->batch.micro;
  pl_tree_part(total, pl_comm_size(m->setup.comm), pl_comm_rank(m->setup.comm), &m->first_leaf,
               &m->leaves);
  PL_TRY(pl_comm_agree(m->setup.comm, prepare_towers(m)));
  pl_pair_options pair = {.device = m->setup.backend->device,
                          .type = m->setup.precision,
                          .width = (int)c->method.embedding,
                          .leaf_rows = (int)c->batch.micro,
                          .leaves = total,
                          .tile_rows = (int)c->loss.tile_rows,
                          .tile_cols = (int)c->loss.tile_cols};
  return pl_clip_loss_create(m->setup.comm, m->kind, &pair, &m->loss);
}

/* The scalars are f32 in the compute image, as all parameters but weights. */
static pl_status read_scalar(const clip *m, const void *image, int param, float *value) {
  size_t offset = pl_space_param(m->setup.space, param)->image_offset;
  return m->setup.backend->device->get(value, (const char *)image + offset, sizeof *value);
}

static pl_status clip_load(void *state, const void *image, const float *buffers) {
  clip *m = state;
  PL_TRY(read_scalar(m, image, m->log_scale, &m->scale_value));
  if (m->bias >= 0) PL_TRY(read_scalar(m, image, m->bias, &m->bias_value));
  PL_TRY(pl_net_load(m->image.net, image, buffers));
  return pl_net_load(m->text.net, image, buffers);
}

/* ---- a step ---- */

/* Images come with their captions, which are kept for the other tower. */
static pl_status fetch_images(void *context, int64_t leaf, pl_exec_input *input) {
  clip *m = context;
  double start = pl_now_ms();
  pl_leaf_input given = {.images = *input};
  PL_TRY(m->source->fetch(m->source->context, leaf, &given));
  memcpy(m->tokens + (size_t)leaf * leaf_tokens(m), given.tokens,
         leaf_tokens(m) * sizeof *m->tokens);
  *input = given.images;
  m->fetch_ms += pl_now_ms() - start;
  return PL_OK;
}

static pl_status fetch_tokens(void *context, int64_t leaf, pl_exec_input *input) {
  const clip *m = context;
  input->host = m->tokens + (size_t)leaf * leaf_tokens(m);
  return PL_OK;
}

/* The gradient of a scalar is that of the whole batch: the first leaf of all brings it into the
 * sum, the others nothing. */
static pl_status push_scalar(const clip *m, pl_gradsum *sums, int param, double gradient) {
  const pl_device *device = m->setup.backend->device;
  for (int64_t leaf = 0; leaf < m->leaves; leaf++) {
    const float share = m->first_leaf + leaf == 0 ? (float)gradient : 0;
    PL_TRY(device->put(pl_gradsum_slot(sums, leaf, param), &share, sizeof share));
    PL_TRY(pl_gradsum_push(sums, leaf, param));
  }
  return PL_OK;
}

static pl_status embed(clip *m, const pl_step_request *request, float *buffers) {
  uint64_t seed = (uint64_t)m->setup.config->run.seed;
  uint32_t step = (uint32_t)request->step;
  pl_exec_draw(m->image.exec, seed, step, m->first_leaf);
  pl_exec_draw(m->text.exec, seed, step, m->first_leaf);
  PL_TRY(pl_exec_forward(m->image.exec, fetch_images, m, m->image.z, buffers));
  return pl_exec_forward(m->text.exec, fetch_tokens, m, m->text.z, buffers);
}

static pl_status differentiate(clip *m, pl_gradsum *sums, double dscale, double dbias) {
  PL_TRY(push_scalar(m, sums, m->log_scale, dscale));
  if (m->bias >= 0) PL_TRY(push_scalar(m, sums, m->bias, dbias));
  PL_TRY(pl_exec_backward(m->text.exec, fetch_tokens, m, m->text.dz, sums));
  return pl_exec_backward(m->image.exec, fetch_images, m, m->image.dz, sums);
}

static pl_status part_end(const clip *m, double *ms) {
  return pl_step_part_end(m->setup.config, m->setup.backend->device, ms);
}

static pl_status clip_step(void *state, const pl_step_request *request, float *buffers,
                           pl_gradsum *sums, pl_step_report *report) {
  clip *m = state;
  double dscale, dbias;
  m->source = &request->source;
  m->fetch_ms = 0;
  double start = pl_now_ms(), embedded, judged, ended;
  PL_TRY(embed(m, request, buffers));
  PL_TRY(part_end(m, &embedded));
  report->forward_ms = embedded - start - m->fetch_ms;
  PL_TRY(pl_clip(m->loss, m->image.z, m->text.z, m->scale_value, m->bias_value,
                 request->want_uniformity, &report->figures, m->image.dz, m->text.dz, &dscale,
                 &dbias));
  PL_TRY(part_end(m, &judged));
  report->gather_ms = pl_clip_gather_ms(m->loss);
  report->loss_ms = judged - embedded - report->gather_ms;
  m->fetch_ms = 0;
  PL_TRY(differentiate(m, sums, dscale, dbias));
  PL_TRY(part_end(m, &ended));
  report->backward_ms = ended - judged - m->fetch_ms;
  return PL_OK;
}

/* ---- the rest of the table ---- */

static pl_status clip_compile_part(const void *state, pl_part part, int rows, pl_net **out) {
  const clip *m = state;
  const tower *t = part == PL_PART_TEXTS ? &m->text : &m->image;
  pl_net_options options = {.backend = m->setup.backend,
                            .output = part == PL_PART_ENCODER ? t->features : t->embedding,
                            .rows = rows,
                            .precision = m->setup.precision,
                            .training = false};
  return pl_net_compile(t->graph, &options, out);
}

static int clip_scalars(const void *state, pl_scalar_rule *rules) {
  const clip *m = state;
  const pl_config *c = m->setup.config;
  int count = 0;
  rules[count++] = (pl_scalar_rule){
      .param = m->log_scale, .rate = c->optim.scale_rate, .most = (float)log(c->method.scale_max)};
  if (m->bias >= 0) {
    rules[count++] =
        (pl_scalar_rule){.param = m->bias, .rate = c->optim.scale_rate, .most = INFINITY};
  }
  return count;
}

static pl_net_costs clip_costs(const void *state) {
  const clip *m = state;
  pl_net_costs image = pl_net_get_costs(m->image.net), text = pl_net_get_costs(m->text.net);
  return (pl_net_costs){.held_bytes = image.held_bytes + text.held_bytes,
                        .scratch_bytes = image.scratch_bytes + text.scratch_bytes,
                        .forward_flops = image.forward_flops + text.forward_flops,
                        .backward_flops = image.backward_flops + text.backward_flops};
}

static pl_method_sent clip_sent(const void *state) {
  const clip *m = state;
  pl_pair_sent loss = pl_clip_sent_bytes(m->loss);
  return (pl_method_sent){.embeddings = loss.embeddings,
                          .statistics = loss.statistics,
                          .norms = pl_norms_sent_bytes(m->setup.comm, m->image.exec) +
                                   pl_norms_sent_bytes(m->setup.comm, m->text.exec)};
}

const pl_method_kind pl_method_kind_clip = {
    .name = "clip",
    .views = 1,
    .create = clip_create,
    .destroy = clip_destroy,
    .prepare = clip_prepare,
    .end_steps = clip_end_steps,
    .load = clip_load,
    .step = clip_step,
    .compile_part = clip_compile_part,
    .scalars = clip_scalars,
    .costs = clip_costs,
    .sent = clip_sent,
};

const pl_method_kind pl_method_kind_siglip = {
    .name = "siglip",
    .views = 1,
    .create = siglip_create,
    .destroy = clip_destroy,
    .prepare = clip_prepare,
    .end_steps = clip_end_steps,
    .load = clip_load,
    .step = clip_step,
    .compile_part = clip_compile_part,
    .scalars = clip_scalars,
    .costs = clip_costs,
    .sent = clip_sent,
};
