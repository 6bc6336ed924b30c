#include "tests/unit/op_fixture.h"

#include "runtime/base/memory.h"
#include "runtime/base/random.h"
#include "tests/check.h"

float op_fixture_get(pl_dtype type, const void *array, size_t i) {
  return type == PL_F32 ? ((const float *)array)[i] : pl_bf16_to_f32(((const pl_bf16 *)array)[i]);
}

void op_fixture_set(pl_dtype type, void *array, size_t i, float value) {
  if (type == PL_F32)
    ((float *)array)[i] = value;
  else
    ((pl_bf16 *)array)[i] = pl_f32_to_bf16(value);
}

void *op_fixture_weight(const op_fixture *f) {
  return (char *)f->image + pl_space_param(f->space, f->op.weight)->image_offset;
}

float *op_fixture_bias(const op_fixture *f) {
  return (float *)((char *)f->image + pl_space_param(f->space, f->op.bias)->image_offset);
}

static void *room(size_t count, size_t size) {
  void *block = pl_alloc(count, size);
  assert_non_null(block);
  return block;
}

static pl_value build_linear(pl_graph *g, const op_setup *s, pl_value x) {
  if (s->each)
    return pl_linear_each(g, "op.weight", s->bias ? "op.bias" : NULL, x, s->out_channels, 0.02F);
  if (s->transposed) return pl_project(g, "op", x, s->out_channels, true, 0.02F);
  return pl_linear(g, "op", x, s->out_channels, s->bias);
}

/* The input of the graph is the operation's; a selection also wants to see token ids. */
static pl_value build_select(pl_graph *g, const op_setup *s) {
  pl_value tokens = pl_tokens(g, s->in.height);
  pl_value x = pl_embedding(g, "x", tokens, 2, s->in.channels);
  return pl_select_position(g, x, tokens, s->select);
}

static pl_value build_op(pl_graph *g, const op_setup *s, pl_value x) {
  switch (s->kind) {
    case PL_OP_CONV: return pl_conv2d(g, "op", x, s->out_channels, s->window);
    case PL_OP_BATCH_NORM: return pl_batch_norm(g, "op", x, 1e-5F, 0.1F, 1);
    case PL_OP_RELU: return pl_relu(g, x);
    case PL_OP_ADD: return pl_add(g, x, x);
    case PL_OP_MAX_POOL: return pl_max_pool(g, x, s->window);
    case PL_OP_AVG_POOL:
      return s->window.kernel ? pl_avg_pool(g, x, s->window) : pl_global_avg_pool(g, x);
    case PL_OP_LINEAR: return build_linear(g, s, x);
    case PL_OP_L2_NORMALIZE: return pl_l2_normalize(g, x, s->epsilon > 0 ? s->epsilon : 1e-6F);
    case PL_OP_EMBEDDING: return pl_embedding(g, "op", x, s->vocabulary, s->out_channels);
    case PL_OP_POSITIONS: return pl_positions(g, "op", s->class_token ? "class" : NULL, x, 0.02F);
    case PL_OP_LAYER_NORM: return pl_layer_norm(g, "op", x, 1e-5F);
    case PL_OP_GELU: return pl_gelu_of(g, x, s->gelu);
    case PL_OP_ATTENTION: return pl_attention(g, "op", x, s->heads, s->causal);
    case PL_OP_DROPOUT: return pl_dropout(g, x, s->rate);
    default: return -1;
  }
}

/* Each array draws from a stream of its own, so that none depends on the sizes of others. */
static void fill_normal(pl_dtype type, void *array, size_t n, float mean, uint32_t stream) {
  pl_random r = pl_random_stream(11, PL_RANDOM_TEST, stream, 0, 0);
  for (size_t i = 0; i < n; i++) op_fixture_set(type, array, i, mean + pl_random_normal(&r));
}

/* Token ids -1 … vocabulary. */
static void fill_ids(int32_t *ids, size_t n, int vocabulary) {
  pl_random r = pl_random_stream(11, PL_RANDOM_TEST, 4, 0, 0);
  for (size_t i = 0; i < n; i++)
    ids[i] = (int32_t)pl_random_below(&r, (uint64_t)vocabulary + 2) - 1;
}

static void fill_parameters(op_fixture *f) {
  for (int i = 0; i < pl_space_params(f->space); i++) {
    const pl_param *p = pl_space_param(f->space, i);
    bool gain = p->kind == PL_PARAM_GAIN;
    fill_normal(p->compute_type, (char *)f->image + p->image_offset, (size_t)p->count, gain ? 1 : 0,
                10 + (uint32_t)i);
  }
  pl_random r = pl_random_stream(11, PL_RANDOM_TEST, 5, 0, 0);
  int64_t n = pl_space_buffer_elements(f->space);
  for (int64_t i = 0; i < n; i++) f->buffers[i] = pl_random_range(&r, 0.5F, 2);
}

static void make_arrays(op_fixture *f) {
  const op_setup *s = &f->setup;
  size_t in = pl_dtype_bytes(f->x_type), out = pl_dtype_bytes(s->out_type);
  f->in_count = (size_t)s->rows * pl_shape_elements(f->op.in_shape);
  f->out_count = (size_t)s->rows * pl_shape_elements(f->op.out_shape);
  f->weights = f->op.weight >= 0 ? (size_t)pl_space_param(f->space, f->op.weight)->count : 0;
  f->biases = f->op.bias >= 0 ? (size_t)pl_space_param(f->space, f->op.bias)->count : 0;
  f->image = room(pl_space_image_bytes(f->space), 1);
  f->buffers = room((size_t)pl_space_buffer_elements(f->space), sizeof(float));
  f->x = room(f->in_count, in);
  int positions = s->rows * f->op.in_shape.height * f->op.in_shape.width;
  f->skip = f->op.kind == PL_OP_SELECT ? room((size_t)positions, sizeof(int32_t))
                                       : room(f->out_count, in);
  f->dy = room(f->out_count, out);
  f->y = room(f->out_count, out);
  f->saved = room(f->needs.saved_bytes, 1);
  f->scratch = room(f->needs.scratch_bytes, 1);
  f->dx = room(f->in_count, in);
  f->dskip = room(f->out_count, in);
  f->dweight = room(f->weights, sizeof(float));
  f->dbias = room(f->biases, sizeof(float));
  f->forward_sums = room(f->needs.phase_sums, sizeof(double));
  f->backward_sums = room(f->needs.phase_sums, sizeof(double));
  fill_parameters(f);
  if (f->x_type == PL_I32)
    fill_ids(f->x, f->in_count, s->vocabulary);
  else
    fill_normal(s->in_type, f->x, f->in_count, s->mean, 1);
  if (f->op.kind == PL_OP_SELECT)
    fill_ids(f->skip, positions, positions / s->rows);
  else
    fill_normal(s->in_type, f->skip, f->out_count, 0, 2);
  fill_normal(s->out_type, f->dy, f->out_count, 0, 3);
}

void op_fixture_open(op_fixture *f, const op_setup *setup, const pl_backend *backend) {
  memset(f, 0, sizeof *f);
  f->setup = *setup;
  f->backend = backend;
  CHECK_OK(pl_space_create(&f->space));
  CHECK_OK(pl_graph_create(f->space, "", &f->graph));
  pl_value y;
  if (setup->kind == PL_OP_SELECT)
    y = build_select(f->graph, setup);
  else if (setup->kind == PL_OP_EMBEDDING)
    y = build_op(f->graph, setup, pl_tokens(f->graph, setup->in.height));
  else
    y = build_op(f->graph, setup, pl_input(f->graph, setup->in));
  CHECK_OK(pl_graph_finish(f->graph));
  CHECK_OK(pl_space_seal(f->space, setup->in_type, 1 << 20));
  f->op = *pl_graph_op(f->graph, y);
  f->x_type = setup->kind == PL_OP_EMBEDDING ? PL_I32 : setup->in_type;
  f->op.fused_add = setup->add;
  f->op.fused_relu = setup->relu;
  pl_kernel_spec spec = {.op = &f->op,
                         .space = f->space,
                         .rows = setup->rows,
                         .in_type = f->x_type,
                         .out_type = setup->out_type,
                         .training = !setup->inference,
                         .need_dx = !setup->inference && f->x_type != PL_I32};
  assert_null(backend->supports(&spec));
  CHECK_OK(backend->prepare(&spec, &f->kernel, &f->needs));
  make_arrays(f);
}

void op_fixture_close(op_fixture *f) {
  f->backend->destroy(&f->kernel);
  assert_null(f->kernel);
  if (f->there != f->image) f->backend->device->release(f->there);
  pl_graph_destroy(&f->graph);
  pl_space_destroy(&f->space);
  void *blocks[] = {f->image,        f->buffers,      f->x,  f->skip,  f->dy,      f->y,
                    f->saved,        f->scratch,      f->dx, f->dskip, f->dweight, f->dbias,
                    f->forward_sums, f->backward_sums};
  for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) pl_free(blocks[i]);
}

/* Where the device has memory of its own, backward still reads the image there. */
static void load_image(op_fixture *f) {
  const pl_device *device = f->backend->device;
  size_t bytes = pl_space_image_bytes(f->space);
  if (device->is_host) {
    f->there = f->image;
  } else {
    if (!f->there) CHECK_OK(device->alloc(bytes, &f->there));
    CHECK_OK(device->put(f->there, f->image, bytes));
  }
  CHECK_OK(f->backend->load(f->kernel, f->there, f->buffers));
}

static bool has_skip(const op_fixture *f) { return f->setup.add || f->op.kind == PL_OP_ADD; }

/* What a call is handed where the device has memory of its own: copies there. */
enum { MOST_PLACED = 12 };

typedef struct placed {
  const pl_device *device;
  int count;
  struct {
    void *host, *there;
    size_t bytes;
  } array[MOST_PLACED];
} placed;

static void *place(placed *p, void *host, size_t bytes) {
  if (p->device->is_host || !host) return host;
  assert_true(p->count < MOST_PLACED);
  void *there = NULL;
  CHECK_OK(p->device->alloc(bytes, &there));
  CHECK_OK(p->device->put(there, host, bytes));
  p->array[p->count].host = host;
  p->array[p->count].there = there;
  p->array[p->count++].bytes = bytes;
  return there;
}

static void fetch_back(placed *p) {
  for (int i = 0; i < p->count; i++) {
    CHECK_OK(p->device->get(p->array[i].host, p->array[i].there, p->array[i].bytes));
    p->device->release(p->array[i].there);
  }
}

static void *place_x(placed *p, const op_fixture *f, void *x) {
  return place(p, x, f->in_count * pl_dtype_bytes(f->x_type));
}

static void *place_y(placed *p, const op_fixture *f, void *y) {
  return place(p, y, f->out_count * pl_dtype_bytes(f->setup.out_type));
}

/* The second input, or its gradient. */
static void *place_skip(placed *p, const op_fixture *f, void *skip) {
  size_t positions =
      (size_t)f->setup.rows * (size_t)f->op.in_shape.height * (size_t)f->op.in_shape.width;
  return place(p, skip,
               f->op.kind == PL_OP_SELECT ? positions * sizeof(int32_t)
                                          : f->out_count * pl_dtype_bytes(f->setup.in_type));
}

static double *place_sums(placed *p, const op_fixture *f, double *sums) {
  return place(p, sums, f->needs.phase_sums * sizeof(double));
}

/* What every call is handed. Dropout's numbers are those of one leaf of one step. */
static pl_kernel_args common_args(placed *p, const op_fixture *f) {
  return (pl_kernel_args){
      .saved = place(p, f->needs.saved_bytes ? f->saved : NULL, f->needs.saved_bytes),
      .scratch = place(p, f->scratch, f->needs.scratch_bytes),
      .seed = 5,
      .draw_step = 1000,
      .draw_leaf = 17};
}

/* Elements per channel. */
static double leaf_count(const op_fixture *f) {
  return (double)f->in_count / f->op.in_shape.channels;
}

void op_fixture_forward(op_fixture *f) {
  placed p = {.device = f->backend->device};
  pl_kernel_args args = common_args(&p, f);
  args.x = place_x(&p, f, f->x);
  args.skip = place_skip(&p, f, has_skip(f) || f->op.inputs == 2 ? f->skip : NULL);
  args.y = place_y(&p, f, f->y);
  load_image(f);
  if (f->needs.phase_sums == 0) {
    CHECK_OK(f->backend->forward(f->kernel, &args));
  } else {
    double *sums = place_sums(&p, f, f->forward_sums);
    CHECK_OK(f->backend->forward_sums(f->kernel, &args, sums));
    CHECK_OK(f->backend->forward_apply(f->kernel, &args, sums, leaf_count(f)));
  }
  fetch_back(&p);
}

/* Hands over only what the kernel said it reads, as the executor does. */
void op_fixture_backward(op_fixture *f) {
  placed p = {.device = f->backend->device};
  pl_kernel_args args = common_args(&p, f);
  args.x = place_x(&p, f, f->needs.backward_reads_x ? f->x : NULL);
  args.skip = place_skip(&p, f, f->needs.backward_reads_skip ? f->skip : NULL);
  args.y = place_y(&p, f, f->needs.backward_reads_y ? f->y : NULL);
  args.dy = place_y(&p, f, f->dy);
  args.dx = place_x(&p, f, f->x_type == PL_I32 ? NULL : f->dx);
  args.add_dx = f->add_dx;
  args.dskip = place_skip(&p, f, has_skip(f) ? f->dskip : NULL);
  args.dweight = place(&p, f->weights ? f->dweight : NULL, f->weights * sizeof(float));
  args.dbias = place(&p, f->biases ? f->dbias : NULL, f->biases * sizeof(float));
  if (f->needs.phase_sums == 0) {
    CHECK_OK(f->backend->backward(f->kernel, &args));
  } else {
    double *sums = place_sums(&p, f, f->backward_sums);
    CHECK_OK(f->backend->backward_sums(f->kernel, &args, sums));
    CHECK_OK(f->backend->backward_apply(f->kernel, &args, sums, leaf_count(f)));
  }
  fetch_back(&p);
}
