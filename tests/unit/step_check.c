#include "tests/unit/step_check.h"

#include <stdio.h>

#include "comm/reduce.h"
#include "runtime/base/memory.h"
#include "runtime/base/tree.h"
#include "runtime/cpu/cpu.h"
#include "tests/check.h"
#include "tests/unit/stored.h"

typedef struct step_rig {
  pl_comm *comm;
  const pl_config *config;
  const stored_step *expected;
  pl_state state;
  pl_method *method;
  pl_gradsum *sums;
  pl_grad_reduce *reduce;
  float *gradient;    /* of the slice, summed */
  int64_t first_leaf; /* of this rank */
  float *images;      /* (batch, side, side, 3): of all ranks */
  int32_t *tokens;    /* (batch, context) */
} step_rig;

static void *must_alloc(size_t count, size_t size) {
  void *memory = pl_alloc(count, size);
  assert_non_null(memory);
  return memory;
}

static pl_status on_gradient(void *context, int param) {
  step_rig *rig = context;
  return pl_grad_reduce_ready(rig->reduce, pl_gradsum_total(rig->sums), param);
}

static void make_batch(step_rig *rig, int vocabulary) {
  const pl_config *c = rig->config;
  int rows = (int)c->batch.global, side = (int)c->model.image_size;
  int context = (int)c->model.text.context;
  char name[32];
  rig->images = must_alloc((size_t)rows * (size_t)(side * side * 3), sizeof *rig->images);
  rig->tokens = must_alloc((size_t)rows * (size_t)context, sizeof *rig->tokens);
  snprintf(name, sizeof name, "images %d", rig->expected->images);
  formula_images(name, rows, side, rig->images);
  formula_texts(rows, context, vocabulary, rig->tokens);
}

static void make(step_rig *rig, int vocabulary) {
  pl_comm *comm = rig->comm;
  const pl_config *c = rig->config;
  pl_state *state = &rig->state;
  int64_t leaves;
  CHECK_OK(pl_state_build(comm, pl_cpu_backend(), c, PL_F32, vocabulary, state, &rig->method));
  CHECK_OK(pl_method_prepare(rig->method));
  pl_tree_part(c->batch.global / c->batch.micro, pl_comm_size(comm), pl_comm_rank(comm),
               &rig->first_leaf, &leaves);
  CHECK_OK(pl_gradsum_create(&pl_host_device, state->space, leaves, PL_TREE_WHOLE, &rig->sums));
  CHECK_OK(pl_grad_reduce_create(comm, &pl_host_device, state->space, state->slice, &rig->reduce));
  pl_gradsum_on_done(rig->sums, on_gradient, rig);
  formula_fill(state, 0);
  CHECK_OK(pl_state_gather(state, state->master, state->image));
  CHECK_OK(pl_method_load(rig->method, state->image, state->buffers));
  make_batch(rig, vocabulary);
}

static void clean(step_rig *rig) {
  pl_free(rig->tokens);
  pl_free(rig->images);
  pl_grad_reduce_destroy(&rig->reduce);
  pl_gradsum_destroy(&rig->sums);
  pl_method_destroy(&rig->method);
  pl_state_free(&rig->state);
}

/* Before any step: with the running statistics that were given. */
static void check_embeddings(const step_rig *rig, const char *name) {
  int rows = (int)rig->config->batch.global;
  size_t count = (size_t)(rows * rig->config->method.embedding);
  float *z = must_alloc(2 * count, sizeof *z);
  stored_run_part(rig->method, &rig->state, PL_PART_IMAGES, rows, rig->images, z);
  stored_run_part(rig->method, &rig->state, PL_PART_TEXTS, rows, rig->tokens, z + count);
  stored_check_values(name, z, 2 * count);
  pl_free(z);
}

/* ---- a step ---- */

static pl_status fetch(void *context, int64_t leaf, pl_leaf_input *input) {
  const step_rig *rig = context;
  const pl_config *c = rig->config;
  int64_t row = (rig->first_leaf + leaf) * c->batch.micro, side = c->model.image_size;
  input->images.host = rig->images + row * side * side * 3;
  input->tokens = rig->tokens + row * c->model.text.context;
  return PL_OK;
}

/* Digests of the gradients of all parameters: each rank has the elements of its slice. */
static formula_digest *digest_gradients(step_rig *rig) {
  const pl_space *space = rig->state.space;
  const pl_slice *slice = rig->state.slice;
  size_t params = (size_t)pl_space_params(space);
  formula_digest *digests = must_alloc(params, sizeof *digests);
  for (int64_t b = 0; b < slice->blocks; b++) {
    int index = pl_space_block_param(space, slice->block[b]);
    const pl_param *param = pl_space_param(space, index);
    int64_t first = (slice->block[b] - param->first_block) * PL_BLOCK;
    int64_t n = param->count - first < PL_BLOCK ? param->count - first : PL_BLOCK;
    formula_digest_add(param->name, first, n, rig->gradient + b * PL_BLOCK, &digests[index]);
  }
  CHECK_OK(pl_comm_sum_f64(rig->comm, &digests->squares,
                           params * sizeof *digests / sizeof digests->squares));
  return digests;
}

static double check_tensor(const step_rig *rig, const char *name, const formula_digest *found,
                           double tolerance) {
  double distance = stored_distance(stored_find(rig->expected, name), found);
  if (!(distance <= tolerance))
    print_error("%s is %.3g of its length from PyTorch's, allowed are %.3g\n", name, distance,
                tolerance);
  assert_true(distance <= tolerance);
  return distance;
}

/* The distances of all tensors; the largest, and the name of its tensor. */
static double check_tensors(const step_rig *rig, const formula_digest *gradients, double tolerance,
                            const char **worst) {
  const pl_space *space = rig->state.space;
  int params = pl_space_params(space), buffers = pl_space_buffers(space);
  double largest = -1;
  assert_int_equal(rig->expected->count, params + buffers);
  for (int i = 0; i < params + buffers; i++) {
    formula_digest digest = {0};
    const char *name;
    if (i < params) {
      name = pl_space_param(space, i)->name;
      digest = gradients[i];
    } else {
      const pl_buffer *buffer = pl_space_buffer(space, i - params);
      name = buffer->name;
      formula_digest_add(name, 0, buffer->count, rig->state.buffers + buffer->offset, &digest);
    }
    double distance = check_tensor(rig, name, &digest, tolerance);
    if (distance <= largest) continue;
    largest = distance;
    *worst = name;
  }
  return largest;
}

static void check_step(step_rig *rig, const char *stored, double tolerance) {
  const pl_config *c = rig->config;
  pl_step_request request = {.source = {fetch, rig}};
  pl_step_report report;
  const char *worst = "";
  CHECK_OK(pl_method_step(rig->method, &request, rig->state.buffers, rig->sums, &report));
  CHECK_OK(pl_grad_reduce_finish(rig->reduce, &rig->gradient));
  CHECK_NEAR(report.figures.loss / rig->expected->loss, 1, 1e-5);
  formula_digest *gradients = digest_gradients(rig);
  double largest = check_tensors(rig, gradients, tolerance, &worst);
  print_message("%s, micro-batches of %lld, %s: %s is farthest, %.2g of its length\n", stored,
                (long long)c->batch.micro,
                c->batch.activations == PL_CFG_ACTIVATIONS_KEEP ? "kept" : "recomputed", worst,
                largest);
  pl_free(gradients);
}

void step_check(pl_comm *comm, const char *stored, const pl_config *config, int vocabulary,
                double tolerance) {
  char step_file[PL_NAME_MAX], embeddings_file[PL_NAME_MAX];
  snprintf(step_file, sizeof step_file, "method/%s.txt", stored);
  snprintf(embeddings_file, sizeof embeddings_file, "method/%s.bin", stored);
  stored_step expected = stored_step_read(step_file);
  step_rig rig = {.comm = comm, .config = config, .expected = &expected};
  make(&rig, vocabulary);
  check_embeddings(&rig, embeddings_file);
  check_step(&rig, stored, tolerance);
  clean(&rig);
  stored_step_free(&expected);
}
