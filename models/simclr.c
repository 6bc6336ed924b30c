/* SimCLR (Chen et al., "A simple framework for contrastive learning of visual representations",
 * ICML 2020): two views of each sample through one encoder and projector, NT-Xent over the global
 * batch.
 *
 * A leaf of g samples is one micro-batch of 2g images, first views first. */
#include "losses/ntxent.h"
#include "losses/pair.h"
#include "models/encoder.h"
#include "models/kind.h"
#include "models/projector.h"
#include "runtime/base/account.h"
#include "runtime/base/clock.h"
#include "runtime/base/memory.h"
#include "runtime/base/tree.h"

enum { VIEWS = 2 };

typedef struct simclr {
  pl_method_setup setup;
  pl_graph *graph;
  pl_value features, embedding;
  pl_net *net;
  pl_exec *exec;
  pl_pair_sweep *sweep;
  int width;                    /* of the embedding */
  int64_t rows;                 /* local rows of embeddings: VIEWS * micro * local leaves */
  void *z, *dz;                 /* (rows, width) f32, in memory of the backend's device */
  const pl_leaf_source *source; /* of the step under way, wrapped to take its time */
  double fetch_ms;
} simclr;

static void simclr_end_steps(void *state) {
  simclr *m = state;
  m->setup.backend->device->release(m->z);
  m->setup.backend->device->release(m->dz);
  m->z = m->dz = NULL;
  pl_pair_sweep_destroy(&m->sweep);
  pl_exec_destroy(&m->exec);
  pl_net_destroy(&m->net);
}

static void simclr_destroy(void *state) {
  simclr *m = state;
  if (!m) return;
  simclr_end_steps(m);
  pl_graph_destroy(&m->graph);
  pl_free(m);
}

static pl_status build(simclr *m) {
  const pl_config *c = m->setup.config;
  PL_TRY(pl_graph_create(m->setup.space, "", &m->graph));
  pl_graph *g = m->graph;
  int side = (int)c->model.image_size;
  pl_value images = pl_input(g, (pl_shape){.height = side, .width = side, .channels = 3});
  m->features = pl_encoder(g, "encoder.", c, images);
  pl_value z = pl_mlp_projector(g, "projector.", m->features, c->method.projector.count,
                                c->method.projector.value, c->method.projector_norm,
                                (float)c->model.norm.epsilon, (float)c->model.norm.momentum);
  m->embedding = pl_l2_normalize(g, z, 1e-12F);
  m->width = (int)c->method.projector.value[c->method.projector.count - 1];
  return pl_graph_finish(g);
}

static pl_status simclr_create(const pl_method_setup *setup, void **state) {
  simclr *m = pl_alloc(1, sizeof *m);
  if (!m) return PL_E_INTERNAL;
  m->setup = *setup;
  pl_status status = build(m);
  if (status != PL_OK) {
    simclr_destroy(m);
    return status;
  }
  *state = m;
  return PL_OK;
}

static int64_t all_leaves(const simclr *m) {
  return m->setup.config->batch.global / m->setup.config->batch.micro;
}

static size_t embedding_bytes(const simclr *m) {
  return (size_t)m->rows * (size_t)m->width * sizeof(float);
}

/* What may fail on one rank alone, such as memory of its device. */
static pl_status prepare_network(simclr *m) {
  const pl_config *c = m->setup.config;
  int64_t total = all_leaves(m);
  int64_t first, leaves;
  pl_tree_part(total, pl_comm_size(m->setup.comm), pl_comm_rank(m->setup.comm), &first, &leaves);
  int leaf_rows = VIEWS * (int)c->batch.micro;
  m->rows = leaf_rows * leaves;
  pl_net_options net = {.backend = m->setup.backend,
                        .output = m->embedding,
                        .rows = leaf_rows,
                        .precision = m->setup.precision,
                        .training = true,
                        .scope = pl_norm_scope_setting(c)};
  PL_TRY(pl_net_compile(m->graph, &net, &m->net));
  pl_exec_options exec = {.leaves = leaves,
                          .total_leaves = total,
                          .recompute = c->batch.activations == PL_CFG_ACTIVATIONS_RECOMPUTE,
                          .record = c->run.cuda_graphs,
                          .in_place = m->setup.images_in_place,
                          .ranks = pl_comm_ranks(m->setup.comm)};
  PL_TRY(pl_exec_create(m->net, &exec, &m->exec));
  PL_MEMORY_FOR(PL_MEMORY_EMBEDDINGS);
  const pl_device *device = m->setup.backend->device;
  PL_TRY(device->alloc(embedding_bytes(m), &m->z));
  return device->alloc(embedding_bytes(m), &m->dz);
}

static pl_status simclr_prepare(void *state) {
  simclr *m = state;
  const pl_config *c = m->setup.config;
  PL_TRY(pl_comm_agree(m->setup.comm, prepare_network(m)));
  pl_pair_options pair = {.device = m->setup.backend->device,
                          .type = m->setup.precision,
                          .width = m->width,
                          .leaf_rows = VIEWS * (int)c->batch.micro,
                          .leaves = all_leaves(m),
                          .tile_rows = (int)c->loss.tile_rows,
                          .tile_cols = (int)c->loss.tile_cols};
  return pl_pair_sweep_create(m->setup.comm, &pair, &m->sweep);
}

static pl_status simclr_load(void *state, const void *image, const float *buffers) {
  simclr *m = state;
  return pl_net_load(m->net, image, buffers);
}

static pl_status timed_fetch(void *context, int64_t leaf, pl_exec_input *images) {
  simclr *m = context;
  double start = pl_now_ms();
  pl_leaf_input given = {.images = *images};
  PL_TRY(m->source->fetch(m->source->context, leaf, &given));
  *images = given.images;
  m->fetch_ms += pl_now_ms() - start;
  return PL_OK;
}

static pl_status part_end(const simclr *m, double *ms) {
  return pl_step_part_end(m->setup.config, m->setup.backend->device, ms);
}

static pl_status simclr_step(void *state, const pl_step_request *request, float *buffers,
                             pl_gradsum *sums, pl_step_report *report) {
  simclr *m = state;
  int64_t first_leaf = pl_pair_first_row(m->sweep) / pl_pair_shapes(m->sweep)->leaf_rows;
  m->source = &request->source;
  m->fetch_ms = 0;
  double start = pl_now_ms(), embedded, judged, ended;
  pl_exec_draw(m->exec, (uint64_t)m->setup.config->run.seed, (uint32_t)request->step, first_leaf);
  PL_TRY(pl_exec_forward(m->exec, timed_fetch, m, m->z, buffers));
  PL_TRY(part_end(m, &embedded));
  report->forward_ms = embedded - start - m->fetch_ms;
  PL_TRY(pl_ntxent(m->sweep, m->z, (int)m->setup.config->batch.micro,
                   m->setup.config->method.temperature, request->want_uniformity, &report->figures,
                   m->dz));
  PL_TRY(part_end(m, &judged));
  report->gather_ms = pl_pair_gather_ms(m->sweep);
  report->loss_ms = judged - embedded - report->gather_ms;
  m->fetch_ms = 0;
  PL_TRY(pl_exec_backward(m->exec, timed_fetch, m, m->dz, sums));
  PL_TRY(part_end(m, &ended));
  report->backward_ms = ended - judged - m->fetch_ms;
  return PL_OK;
}

static pl_status simclr_compile_part(const void *state, pl_part part, int rows, pl_net **out) {
  const simclr *m = state;
  if (part != PL_PART_ENCODER) {
    return PL_FAIL(PL_E_USAGE, "simclr has no embeddings beside texts: it reads images alone");
  }
  pl_net_options options = {.backend = m->setup.backend,
                            .output = m->features,
                            .rows = rows,
                            .precision = m->setup.precision,
                            .training = false};
  return pl_net_compile(m->graph, &options, out);
}

static pl_net_costs simclr_costs(const void *state) {
  const simclr *m = state;
  return pl_net_get_costs(m->net);
}

static pl_method_sent simclr_sent(const void *state) {
  const simclr *m = state;
  pl_pair_sent loss = pl_ntxent_sent_bytes(m->sweep);
  pl_method_sent sent = {.embeddings = loss.embeddings, .statistics = loss.statistics};
  sent.norms = pl_norms_sent_bytes(m->setup.comm, m->exec);
  return sent;
}

const pl_method_kind pl_method_kind_simclr = {
    .name = "simclr",
    .views = VIEWS,
    .create = simclr_create,
    .destroy = simclr_destroy,
    .prepare = simclr_prepare,
    .end_steps = simclr_end_steps,
    .load = simclr_load,
    .step = simclr_step,
    .compile_part = simclr_compile_part,
    .costs = simclr_costs,
    .sent = simclr_sent,
};
