/* plenum bench net: how fast a network trains, without reading data and without a loss: parameters
 * handed to the kernels, forward, backward from a fixed gradient, one SGD update. Inputs lie in the
 * host's memory; a step ends when all its work is done, on a GPU too. Not collective: rank 0
 * measures, other ranks return at once. */
#include <stdio.h>

#include "launch/bench/bench.h"
#include "launch/device.h"
#include "models/projector.h"
#include "models/resnet.h"
#include "models/text_transformer.h"
#include "models/vit.h"
#include "runtime/base/clock.h"
#include "runtime/base/memory.h"
#include "runtime/base/random.h"
#include "runtime/base/threads.h"
#include "runtime/base/tree.h"
#include "runtime/cpu/cpu.h"
#include "runtime/net/exec.h"
#include "runtime/optim/optim.h"
#include "runtime/tensor/image.h"

enum { STEPS_MAX = 10000, STEPS_LEAST = 3, BUCKET_BYTES = 4 << 20 };

/* In the order of the words in the table of options. */
enum { ENCODER_VIT = 3, ENCODER_TEXT };
static const char *const encoders[] = {"resnet18", "resnet34", "resnet50", "vit", "text"};
static const int depths[] = {18, 34, 50};
static const pl_stem stems[] = {PL_STEM_CIFAR, PL_STEM_IMAGENET};
static const pl_norm_scope scopes[] = {PL_NORM_MICRO, PL_NORM_GLOBAL};
enum { PRECISION_AUTO, PRECISION_F32, PRECISION_BF16 };
enum { DEVICE_CPU, DEVICE_CUDA };

typedef struct bench {
  int64_t encoder, stem, width, size, patch, layers, context, vocabulary;
  int64_t micro, views, leaves, scope, precision, threads, device;
  double seconds, dropout;
  bool recompute, ops;

  const pl_backend *backend;
  pl_ranks ranks;
  pl_dtype type;
  pl_space *space;
  pl_graph *graph;
  pl_value output;
  pl_net *net;
  pl_exec *exec;
  pl_slice *slice;
  pl_optim *optim;
  pl_gradsum *sums;
  pl_image_map *map;
  float *buffers;
  float *pictures; /* one leaf's, used for all */
  int32_t *tokens; /* the same for texts */
  /* In memory of the backend's device. */
  void *master, *image;
  void *out, *dout; /* (leaves * rows, features) f32 */
  int64_t step;
  double *times; /* (STEPS_MAX): ms of the steps measured */
  int count;
} bench;

static int rows_of(const bench *b) { return (int)(b->micro * b->views); }

static pl_status choose_type(bench *b) {
  bool can = b->device == DEVICE_CUDA || pl_cpu_has_bf16();
  if (b->precision == PRECISION_BF16 && !can)
    return PL_FAIL(PL_E_USAGE, "--precision bf16: this processor does not multiply bf16");
  b->type = b->precision == PRECISION_F32 || !can ? PL_F32 : PL_BF16;
  return PL_OK;
}

/* The encoder and projector that SimCLR trains (512 → 512 → 128 on a ResNet-18). */
static pl_value build_resnet(bench *b) {
  pl_resnet_options resnet = {.depth = depths[b->encoder],
                              .stem = stems[b->stem],
                              .width = (int)b->width,
                              .norm_epsilon = 1e-5F,
                              .norm_momentum = 0.1F};
  int64_t projector[] = {pl_resnet_features(&resnet), 128};
  pl_value x = pl_input(b->graph, (pl_shape){(int)b->size, (int)b->size, 3});
  x = pl_resnet(b->graph, "encoder.", &resnet, x);
  return pl_mlp_projector(b->graph, "projector.", x, 2, projector, true, 1e-5F, 0.1F);
}

/* The tower of images or texts and the projection that CLIP trains. */
static pl_value build_transformer(bench *b) {
  int width = (int)b->width;
  pl_transformer_options blocks = {.layers = (int)b->layers,
                                   .heads = width < 64 ? 1 : width / 64,
                                   .mlp_ratio = 4,
                                   .causal = b->encoder == ENCODER_TEXT,
                                   .dropout = (float)b->dropout};
  pl_vit_options vit = {.patch = (int)b->patch, .width = width, .blocks = blocks};
  pl_text_options text = {.vocabulary = (int)b->vocabulary,
                          .context = (int)b->context,
                          .width = width,
                          .blocks = blocks};
  pl_value x;
  if (b->encoder == ENCODER_VIT) {
    x = pl_input(b->graph, (pl_shape){(int)b->size, (int)b->size, 3});
    x = pl_vit(b->graph, "visual.", &vit, x);
  } else {
    x = pl_tokens(b->graph, text.context);
    x = pl_text_transformer(b->graph, "", &text, x);
  }
  return pl_project(b->graph, "projection", x, 512, true, 0.02F);
}

static pl_status build(bench *b) {
  PL_TRY(pl_space_create(&b->space));
  PL_TRY(pl_graph_create(b->space, "", &b->graph));
  pl_value x = b->encoder < ENCODER_VIT ? build_resnet(b) : build_transformer(b);
  b->output = pl_l2_normalize(b->graph, x, 1e-12F);
  PL_TRY(pl_graph_finish(b->graph));
  return pl_space_seal(b->space, b->type, BUCKET_BYTES);
}

static pl_status compile(bench *b) {
  pl_net_options net = {.backend = b->backend,
                        .output = b->output,
                        .rows = rows_of(b),
                        .precision = b->type,
                        .training = true,
                        .scope = scopes[b->scope]};
  PL_TRY(pl_net_compile(b->graph, &net, &b->net));
  b->ranks = pl_ranks_alone();
  pl_exec_options exec = {.leaves = b->leaves,
                          .total_leaves = b->leaves,
                          .recompute = b->recompute,
                          .time_apart = b->ops,
                          .record = true,
                          .ranks = &b->ranks};
  PL_TRY(pl_exec_create(b->net, &exec, &b->exec));
  PL_TRY(pl_slice_create(b->space, 1, 0, &b->slice));
  PL_TRY(pl_gradsum_create(b->backend->device, b->space, b->leaves, PL_TREE_WHOLE, &b->sums));
  pl_optim_options sgd = {.kind = PL_OPTIM_SGD, .momentum = 0.9, .weight_decay = 1e-4};
  return pl_optim_create(b->backend->device, b->space, b->slice, &b->ranks, &sgd, &b->optim);
}

static void fill_normal(float *values, size_t n, float scale, uint32_t stream) {
  pl_random random = pl_random_stream(1, PL_RANDOM_TEST, stream, 0, 0);
  for (size_t i = 0; i < n; i++) values[i] = scale * pl_random_normal(&random);
}

static pl_status make_parameters(bench *b) {
  const pl_device *device = b->backend->device;
  size_t elements = (size_t)pl_space_elements(b->space);
  PL_TRY(pl_image_map_create(device, b->space, b->slice, &b->map));
  PL_TRY(device->alloc(elements * sizeof(float), &b->master));
  PL_TRY(device->alloc(pl_space_image_bytes(b->space), &b->image));
  float *values = pl_alloc(elements, sizeof *values);
  if (!values) return PL_E_INTERNAL;
  pl_slice_init_params(b->space, b->slice, 1, values);
  pl_status status = device->put(b->master, values, elements * sizeof *values);
  pl_free(values);
  return status == PL_OK ? pl_image_write_all(b->map, b->master, b->image) : status;
}

/* The outputs' gradient. */
static pl_status make_slope(bench *b, size_t n) {
  float *slope = pl_alloc(n, sizeof *slope);
  if (!slope) return PL_E_INTERNAL;
  fill_normal(slope, n, 1e-3F, 1);
  pl_status status = b->backend->device->put(b->dout, slope, n * sizeof *slope);
  pl_free(slope);
  return status;
}

static pl_status make_values(bench *b) {
  size_t pictures = (size_t)rows_of(b) * (size_t)pl_shape_elements(pl_net_input_shape(b->net));
  size_t out = (size_t)b->leaves * (size_t)rows_of(b) * (size_t)pl_net_output_features(b->net);
  b->buffers = pl_alloc((size_t)pl_space_buffer_elements(b->space), sizeof *b->buffers);
  b->pictures = pl_alloc(pictures, sizeof *b->pictures);
  b->tokens = pl_alloc(pictures, sizeof *b->tokens);
  PL_TRY(b->backend->device->alloc(out * sizeof(float), &b->out));
  PL_TRY(b->backend->device->alloc(out * sizeof(float), &b->dout));
  if (!b->buffers || !b->pictures || !b->tokens) return PL_E_INTERNAL;
  fill_normal(b->pictures, pictures, 1, 0);
  pl_random random = pl_random_stream(1, PL_RANDOM_TEST, 2, 0, 0);
  for (size_t i = 0; i < pictures; i++)
    b->tokens[i] = (int32_t)pl_random_below(&random, (uint64_t)b->vocabulary);
  PL_TRY(make_slope(b, out));
  pl_space_init_buffers(b->space, b->buffers);
  return make_parameters(b);
}

static pl_status fetch(void *context, int64_t leaf, pl_exec_input *input) {
  (void)leaf;
  const bench *b = context;
  input->host = b->encoder == ENCODER_TEXT ? (const void *)b->tokens : b->pictures;
  return PL_OK;
}

static pl_status train_step(bench *b) {
  double norm;
  PL_TRY(pl_net_load(b->net, b->image, b->buffers));
  pl_exec_draw(b->exec, 1, (uint32_t)b->step, 0);
  PL_TRY(pl_exec_forward(b->exec, fetch, b, b->out, b->buffers));
  PL_TRY(pl_exec_backward(b->exec, fetch, b, b->dout, b->sums));
  PL_TRY(pl_optim_step(b->optim, 0.01, b->step++, b->master, pl_gradsum_total(b->sums), &norm));
  PL_TRY(pl_image_write_all(b->map, b->master, b->image));
  return b->backend->device->finish();
}

/* The steps that fit into the time. */
static pl_status measure(bench *b) {
  PL_TRY(train_step(b)); /* memory and caches warm up */
  double end = pl_now_ms() + 1000 * b->seconds;
  while (b->count < STEPS_MAX && (b->count < STEPS_LEAST || pl_now_ms() < end)) {
    double start = pl_now_ms();
    PL_TRY(train_step(b));
    b->times[b->count++] = pl_now_ms() - start;
  }
  return PL_OK;
}

static const char *kind_name(const pl_op *op) {
  switch (op->kind) {
    case PL_OP_CONV: return "conv";
    case PL_OP_BATCH_NORM:
      return op->fused_add ? "norm+add+relu" : op->fused_relu ? "norm+relu" : "norm";
    case PL_OP_RELU: return "relu";
    case PL_OP_ADD: return "add";
    case PL_OP_MAX_POOL: return "max pool";
    case PL_OP_AVG_POOL: return "avg pool";
    case PL_OP_LINEAR: return "linear";
    case PL_OP_L2_NORMALIZE: return "l2 normalize";
    case PL_OP_EMBEDDING: return "embedding";
    case PL_OP_POSITIONS: return "positions";
    case PL_OP_LAYER_NORM: return "layer norm";
    case PL_OP_GELU: return "gelu";
    case PL_OP_ATTENTION: return "attention";
    case PL_OP_SELECT: return "select";
    case PL_OP_DROPOUT: return "dropout";
    case PL_OP_INPUT:
    case PL_OP_TOKENS: break;
  }
  return "input";
}

static double rate(double flops, double ms) { return ms > 0 ? flops / ms * 1e-6 : 0; }

/* A line per operation, means over all steps so far. */
static void print_ops(const bench *b) {
  int count;
  const pl_exec_time *times = pl_exec_times(b->exec, &count);
  double total = 0, passes = (double)b->step;
  for (int i = 0; i < count; i++) total += times[i].forward_ms + times[i].backward_ms;
  printf("\n%-32s %-14s %9s %9s %9s %9s %7s\n", "operation", "kind", "forward", "backward",
         "GFLOP/s", "GFLOP/s", "share");
  for (int i = 0; i < count; i++) {
    const pl_exec_time *t = &times[i];
    double forward = t->forward_ms / passes, backward = t->backward_ms / passes;
    printf("%-32s %-14s %6.2f ms %6.2f ms %9.0f %9.0f %5.1f %%\n", t->op->name, kind_name(t->op),
           forward, backward, rate(t->forward_flops * (double)b->leaves, forward),
           rate(t->backward_flops * (double)b->leaves, backward),
           100 * (t->forward_ms + t->backward_ms) / total);
  }
  printf("%-32s %-14s %6.2f ms of a step in operations\n", "", "", total / passes);
}

static pl_spread samples_per_second(const bench *b, pl_spread ms) {
  double samples = 1000 * (double)(b->micro * b->leaves);
  return (pl_spread){
      .median = samples / ms.median, .low = samples / ms.high, .high = samples / ms.low};
}

static double flops_of_step(const bench *b) {
  pl_net_costs costs = pl_net_get_costs(b->net);
  return (double)b->leaves * (costs.forward_flops + costs.backward_flops);
}

static void print_text(void *state) {
  const bench *b = state;
  pl_spread ms = pl_spread_of(b->times, b->count), samples = samples_per_second(b, ms);
  char device[PL_DEVICE_TEXT];
  pl_device_name(device);
  printf("%s, width %lld, %lldx%lld, %lld views of %lld samples, %lld leaves, %s, on %s\n",
         encoders[b->encoder], (long long)b->width, (long long)b->size, (long long)b->size,
         (long long)b->views, (long long)b->micro, (long long)b->leaves, pl_dtype_name(b->type),
         device);
  printf("%.1f samples/s [%.1f, %.1f] over %d steps, %.0f GFLOP/s, %.0f MB of activations\n",
         samples.median, samples.low, samples.high, b->count, rate(flops_of_step(b), ms.median),
         (double)pl_exec_bytes(b->exec) / 1e6);
  if (b->ops) print_ops(b);
}

static void print_json(void *state) {
  const bench *b = state;
  pl_spread ms = pl_spread_of(b->times, b->count);
  char device[PL_DEVICE_TEXT];
  pl_device_name(device);
  printf(
      "{\"encoder\": \"%s\", \"width\": %lld, \"size\": %lld, \"micro\": %lld, "
      "\"views\": %lld, \"leaves\": %lld, \"precision\": \"%s\", \"device\": \"%s\", \"steps\": %d",
      encoders[b->encoder], (long long)b->width, (long long)b->size, (long long)b->micro,
      (long long)b->views, (long long)b->leaves, pl_dtype_name(b->type), device, b->count);
  pl_spread_print_json("samples_per_s", samples_per_second(b, ms));
  printf(", \"gflops\": %.6g, \"activation_bytes\": %zu}\n", rate(flops_of_step(b), ms.median),
         pl_exec_bytes(b->exec));
}

static pl_status run(void *state, pl_comm *comm) {
  (void)comm;
  bench *b = state;
  pl_threads_use(b->threads ? (int)b->threads : pl_threads_allowed());
  b->times = pl_alloc(STEPS_MAX, sizeof *b->times);
  if (!b->times) return PL_E_INTERNAL;
  PL_TRY(pl_device_open_alone(b->device == DEVICE_CUDA, &b->backend));
  PL_TRY(choose_type(b));
  PL_TRY(build(b));
  PL_TRY(compile(b));
  PL_TRY(make_values(b));
  return measure(b);
}

static void release(void *state) {
  bench *b = state;
  void *blocks[] = {b->buffers, b->pictures, b->tokens, b->times};
  for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) pl_free(blocks[i]);
  void *on_device[] = {b->master, b->image, b->out, b->dout};
  for (size_t i = 0; b->backend && i < sizeof on_device / sizeof *on_device; i++)
    b->backend->device->release(on_device[i]);
  pl_image_map_destroy(&b->map);
  pl_optim_destroy(&b->optim);
  pl_gradsum_destroy(&b->sums);
  pl_slice_destroy(&b->slice);
  pl_exec_destroy(&b->exec);
  pl_net_destroy(&b->net);
  pl_graph_destroy(&b->graph);
  pl_space_destroy(&b->space);
}

static pl_status parse(void *state, pl_bench_asked *asked) {
  bench *b = state;
  b->width = 64;
  b->size = 32;
  b->patch = 16;
  b->layers = 12;
  b->context = 77;
  b->vocabulary = 49408;
  b->micro = 64;
  b->views = 2;
  b->leaves = 1;
  b->seconds = 10;
  const pl_option table[] = {
      {"encoder", PL_OPTION_CHOICE, &b->encoder, "network", 0, 0,
       "resnet18|resnet34|resnet50|vit|text"},
      {"stem", PL_OPTION_CHOICE, &b->stem, "its first layers", 0, 0, "cifar|imagenet"},
      {"width", PL_OPTION_INT, &b->width, "channels of a ResNet's first stage, or of a transformer",
       1, 4096, NULL},
      {"size", PL_OPTION_INT, &b->size, "side of the images", 8, 1024, NULL},
      {"patch", PL_OPTION_INT, &b->patch, "side of a vision transformer's patches", 1, 1024, NULL},
      {"layers", PL_OPTION_INT, &b->layers, "blocks of a transformer", 1, 128, NULL},
      {"context", PL_OPTION_INT, &b->context, "tokens of a text", 1, 4096, NULL},
      {"vocabulary", PL_OPTION_INT, &b->vocabulary, "different tokens", 1, 1 << 20, NULL},
      {"dropout", PL_OPTION_REAL, &b->dropout, "rate of dropout in a transformer", 0, 0.99, NULL},
      {"micro", PL_OPTION_INT, &b->micro, "samples of a micro-batch", 1, 65536, NULL},
      {"views", PL_OPTION_INT, &b->views, "images of a sample", 1, 64, NULL},
      {"leaves", PL_OPTION_INT, &b->leaves, "micro-batches of a step", 1, 65536, NULL},
      {"precision", PL_OPTION_CHOICE, &b->precision, "type of activations", 0, 0, "auto|f32|bf16"},
      {"norm", PL_OPTION_CHOICE, &b->scope, "scope of batch norm", 0, 0, "micro|global"},
      {"recompute", PL_OPTION_FLAG, &b->recompute, "compute activations again for backward", 0, 0,
       NULL},
      {"threads", PL_OPTION_INT, &b->threads, "compute threads; 0: all this process may use", 0,
       4096, NULL},
      {"seconds", PL_OPTION_REAL, &b->seconds, "time to measure", 0.01, 3600, NULL},
      {"device", PL_OPTION_CHOICE, &b->device, "what computes it; cuda: the first GPU", 0, 0,
       "cpu|cuda"},
      {"ops", PL_OPTION_FLAG, &b->ops,
       "a table of operations; on a GPU each is waited for, which slows the whole", 0, 0, NULL},
      {0}};
  return pl_bench_parse(asked, table, NULL);
}

static const pl_bench frame = {.bytes = sizeof(bench),
                               .parse = parse,
                               .run = run,
                               .print_text = print_text,
                               .print_json = print_json,
                               .release = release};

const pl_command pl_cmd_bench_net = {.name = "bench net",
                                     .operands = "",
                                     .summary = "rate of training a network, without data or loss",
                                     .run = pl_bench_command,
                                     .subject = &frame};
