#include "tests/unit/net_rig.h"

#include "runtime/base/memory.h"
#include "runtime/base/random.h"
#include "runtime/base/tree.h"
#include "runtime/tensor/image.h"
#include "tests/check.h"
#include "tests/unit/reference_backend.h"

enum { OF_IMAGES, OF_DOUT, OF_PARAMS }; /* what random numbers are for */

static void fill_normal(float *to, size_t n, uint32_t what, int64_t which) {
  pl_random random = pl_random_stream(11, PL_RANDOM_TEST, what, (uint64_t)which, 0);
  for (size_t i = 0; i < n; i++) to[i] = pl_random_normal(&random);
}

static void narrow(float *values, size_t n) {
  for (size_t i = 0; i < n; i++) values[i] = pl_bf16_to_f32(pl_f32_to_bf16(values[i]));
}

static void make_parameters(net_rig *rig) {
  pl_slice *slice = NULL;
  pl_image_map *map = NULL;
  CHECK_OK(pl_slice_create(rig->space, 1, 0, &slice));
  float *master = pl_alloc((size_t)pl_space_elements(rig->space), sizeof *master);
  assert_non_null(master);
  pl_slice_init_params(rig->space, slice, 5, master);
  for (int i = 0; i < pl_space_params(rig->space); i++) {
    const pl_param *param = pl_space_param(rig->space, i);
    pl_random random = pl_random_stream(11, PL_RANDOM_TEST, OF_PARAMS, (uint64_t)i, 0);
    float *values = master + param->first_block * PL_BLOCK;
    for (int64_t j = 0; j < param->count; j++) values[j] += 0.2F * pl_random_normal(&random);
    if (rig->options.narrow_values) narrow(values, (size_t)param->count);
  }
  CHECK_OK(pl_image_map_create(&pl_host_device, rig->space, slice, &map));
  CHECK_OK(pl_image_write_all(map, master, rig->image));
  pl_image_map_destroy(&map);
  pl_space_init_buffers(rig->space, rig->buffers);
  pl_free(master);
  pl_slice_destroy(&slice);
}

static const pl_backend *backend_of(const net_rig *rig) {
  return rig->options.backend ? rig->options.backend : pl_reference_backend();
}

static const pl_device *device_of(const net_rig *rig) { return backend_of(rig)->device; }

static void compile(net_rig *rig) {
  const rig_options *o = &rig->options;
  CHECK_OK(pl_space_create(&rig->space));
  CHECK_OK(pl_graph_create(rig->space, "", &rig->graph));
  pl_value input =
      o->vocabulary ? pl_tokens(rig->graph, o->shape.height) : pl_input(rig->graph, o->shape);
  pl_value output = o->build(rig->graph, input);
  CHECK_OK(pl_graph_finish(rig->graph));
  CHECK_OK(pl_space_seal(rig->space, o->precision, 1 << 16));
  pl_net_options options = {.backend = backend_of(rig),
                            .output = output,
                            .rows = o->rows,
                            .precision = o->precision,
                            .training = !o->inference,
                            .scope = o->scope};
  CHECK_OK(pl_net_compile(rig->graph, &options, &rig->net));
}

static size_t out_bytes(const net_rig *rig) {
  return (size_t)rig->leaves * rig->leaf_out * sizeof *rig->out;
}

void rig_create(net_rig *rig, const rig_options *options) {
  *rig = (net_rig){.options = *options, .alone = pl_ranks_alone()};
  compile(rig);
  int rank_count = options->rank_count ? options->rank_count : 1;
  pl_tree_part(options->leaves, rank_count, options->rank, &rig->first_leaf, &rig->leaves);
  pl_exec_options exec_options = {.leaves = rig->leaves,
                                  .total_leaves = options->leaves,
                                  .recompute = options->recompute,
                                  .record = options->record,
                                  .ranks = options->ranks ? options->ranks : &rig->alone};
  CHECK_OK(pl_exec_create(rig->net, &exec_options, &rig->exec));
  CHECK_OK(pl_gradsum_create(device_of(rig), rig->space, rig->leaves, PL_TREE_WHOLE, &rig->sums));
  rig->leaf_in = (size_t)options->rows * (size_t)pl_shape_elements(options->shape);
  rig->leaf_out = (size_t)options->rows * (size_t)pl_net_output_features(rig->net);
  rig->image = pl_alloc(pl_space_image_bytes(rig->space), 1);
  rig->buffers = pl_alloc((size_t)pl_space_buffer_elements(rig->space), sizeof(float));
  rig->images = pl_alloc(rig->leaf_in, sizeof(float));
  rig->tokens = pl_alloc(rig->leaf_in, sizeof(int32_t));
  rig->out = pl_alloc((size_t)rig->leaves * rig->leaf_out, sizeof(float));
  rig->dout = pl_alloc((size_t)rig->leaves * rig->leaf_out, sizeof(float));
  assert_true(rig->image && rig->buffers && rig->images && rig->tokens && rig->out && rig->dout);
  make_parameters(rig);
  rig->there = rig->image;
  if (!device_of(rig)->is_host)
    CHECK_OK(device_of(rig)->alloc(pl_space_image_bytes(rig->space), &rig->there));
  CHECK_OK(device_of(rig)->alloc(out_bytes(rig), &rig->out_there));
  CHECK_OK(device_of(rig)->alloc(out_bytes(rig), &rig->dout_there));
  for (int64_t leaf = 0; leaf < rig->leaves; leaf++) {
    fill_normal(rig->dout + (size_t)leaf * rig->leaf_out, rig->leaf_out, OF_DOUT,
                rig->first_leaf + leaf);
  }
}

void rig_destroy(net_rig *rig) {
  pl_exec_destroy(&rig->exec);
  pl_net_destroy(&rig->net);
  pl_graph_destroy(&rig->graph);
  pl_gradsum_destroy(&rig->sums);
  pl_space_destroy(&rig->space);
  if (rig->there != rig->image) device_of(rig)->release(rig->there);
  device_of(rig)->release(rig->out_there);
  device_of(rig)->release(rig->dout_there);
  pl_free(rig->image);
  pl_free(rig->buffers);
  pl_free(rig->images);
  pl_free(rig->tokens);
  pl_free(rig->out);
  pl_free(rig->dout);
}

void rig_images(const net_rig *rig, int64_t leaf, float *images) {
  fill_normal(images, rig->leaf_in, OF_IMAGES, leaf);
  if (rig->options.narrow_values) narrow(images, rig->leaf_in);
}

void rig_tokens(const net_rig *rig, int64_t leaf, int32_t *tokens) {
  pl_random random = pl_random_stream(11, PL_RANDOM_TEST, OF_IMAGES, (uint64_t)leaf, 1);
  for (size_t i = 0; i < rig->leaf_in; i++) {
    tokens[i] = (int32_t)pl_random_below(&random, (uint64_t)rig->options.vocabulary);
  }
}

static pl_status fetch(void *context, int64_t leaf, pl_exec_input *input) {
  net_rig *rig = context;
  if (leaf != rig->fetches % rig->leaves) {
    return PL_FAIL(PL_E_INTERNAL, "leaf %lld was fetched out of order", (long long)leaf);
  }
  rig->fetches++;
  if (rig->options.vocabulary) {
    rig_tokens(rig, rig->first_leaf + leaf + rig->shift, rig->tokens);
    input->host = rig->tokens;
  } else {
    rig_images(rig, rig->first_leaf + leaf + rig->shift, rig->images);
    input->host = rig->images;
  }
  return PL_OK;
}

pl_status rig_load(net_rig *rig) {
  if (rig->there != rig->image)
    PL_TRY(device_of(rig)->put(rig->there, rig->image, pl_space_image_bytes(rig->space)));
  return pl_net_load(rig->net, rig->there, rig->buffers);
}

void rig_move_image(net_rig *rig) {
  size_t bytes = pl_space_image_bytes(rig->space);
  void *before = rig->there, *nothing = pl_alloc(bytes, 1);
  assert_true(nothing && before != rig->image);
  CHECK_OK(device_of(rig)->alloc(bytes, &rig->there));
  CHECK_OK(device_of(rig)->put(before, nothing, bytes));
  pl_free(nothing);
  device_of(rig)->release(before);
}

pl_status rig_forward(net_rig *rig) {
  PL_TRY(rig_load(rig));
  pl_exec_draw(rig->exec, 9, rig->options.draw_step, rig->first_leaf);
  PL_TRY(pl_exec_forward(rig->exec, fetch, rig, rig->out_there, rig->buffers));
  return device_of(rig)->get(rig->out, rig->out_there, out_bytes(rig));
}

pl_status rig_step(net_rig *rig) {
  PL_TRY(rig_forward(rig));
  PL_TRY(device_of(rig)->put(rig->dout_there, rig->dout, out_bytes(rig)));
  return pl_exec_backward(rig->exec, fetch, rig, rig->dout_there, rig->sums);
}

void rig_gradient(const net_rig *rig, float *to) {
  CHECK_OK(device_of(rig)->get(to, pl_gradsum_total(rig->sums),
                               (size_t)pl_space_elements(rig->space) * sizeof *to));
}

double rig_loss(const net_rig *rig) {
  double loss = 0;
  for (size_t i = 0; i < (size_t)rig->leaves * rig->leaf_out; i++) {
    loss += (double)rig->out[i] * (double)rig->dout[i];
  }
  return loss;
}
