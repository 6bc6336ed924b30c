/* plenum bench loss: the rate of a loss, forward and backward, beside the rate of plain matrix
 * products on the same threads or the same GPU: a large one, and those of the loss itself.
 * Embeddings lie on the device that computes, as training leaves them there. Useful
 * work are the three products Q·Kᵀ twice and W·K, 2B²d floating-point operations each, for clip and
 * siglip in both directions; everything else counts as lost time. Measurements alternate, since a
 * shared machine's speed drifts. Collective; rates are sums over ranks. */
#include <math.h>
#include <stdio.h>

#include "launch/bench/bench.h"
#include "launch/bench/device_product.h"
#include "launch/bench/products.h"
#include "launch/device.h"
#include "losses/clip.h"
#include "losses/ntxent.h"
#include "runtime/base/memory.h"
#include "runtime/base/random.h"
#include "runtime/cuda/cuda.h"

enum { NTXENT, CLIP, SIGLIP };
static const char *const loss_names[] = {"ntxent", "clip", "siglip"};

enum { DEVICE_CPU, DEVICE_CUDA };
static const pl_dtype types[] = {PL_F32, PL_BF16};

/* The large product: some tenths of a second on two cores, some hundredths on a GPU. */
enum { SLABS = 8, DEVICE_SIDE = 4096, DEVICE_PRODUCTS = 32 };

typedef enum series { SERIES_SQUARE, SERIES_TILES, SERIES_LOSS, SERIES_RATIO, SERIES_ALL } series;

typedef struct bench {
  int64_t loss; /* NTXENT … SIGLIP */
  int64_t batch, width, micro, repeats, device, precision;
  double temperature, bias;
  bool tf32;

  int ranks, threads;
  const pl_backend *backend;
  pl_pair_sweep *views;       /* of ntxent */
  pl_clip_loss *pairs;        /* of the others */
  const pl_pair_sweep *sweep; /* the one that is there, or its part for images */
  void *z, *dz;               /* (local rows, width) f32 on the device: views, or images */
  void *y, *dy;               /* texts; NULL for ntxent */
  pl_contrast_figures figures;
  size_t peak_bytes;    /* resident, of the rank that has most, before the products' buffers */
  pl_slab_product slab; /* on the processor */
  pl_device_product on_device; /* on a GPU */
  double rates[SERIES_ALL][PL_BENCH_REPEATS];
} bench;

/* ---- what is measured ---- */

static pl_status run_square(void *state, double *flops) {
  bench *b = state;
  if (b->device == DEVICE_CUDA) return pl_device_product_run(&b->on_device, DEVICE_PRODUCTS, flops);
  return pl_slab_product_run(&b->slab, SLABS, flops);
}

/* Operations of the three products of a direction, on this rank. */
static double sweep_flops(const bench *b) {
  double rows = (double)pl_pair_total_rows(b->sweep);
  return 6.0 * rows * (double)pl_pair_local_rows(b->sweep) * (double)b->width;
}

static pl_status run_tiles(void *state, double *flops) {
  bench *b = state;
  *flops += sweep_flops(b);
  return pl_pair_products(b->sweep, b->dz);
}

static pl_status run_loss(void *state, double *flops) {
  bench *b = state;
  double by_scale, by_bias;
  *flops += b->loss == NTXENT ? sweep_flops(b) : 2 * sweep_flops(b);
  if (b->loss == NTXENT)
    return pl_ntxent(b->views, b->z, (int)b->micro, b->temperature, false, &b->figures, b->dz);
  return pl_clip(b->pairs, b->z, b->y, -log(b->temperature), b->bias, false, &b->figures, b->dz,
                 b->dy, &by_scale, &by_bias);
}

static const pl_bench_work works[] = {
    [SERIES_SQUARE] = run_square, [SERIES_TILES] = run_tiles, [SERIES_LOSS] = run_loss};

/* ---- making it ---- */

/* A unit row; the two views of a sample are as near as those of a half-trained encoder. */
static void make_row(float *row, int64_t width, int64_t sample, int64_t view) {
  pl_random common = pl_random_stream(1, PL_RANDOM_TEST, 0, (uint64_t)sample, 0);
  pl_random own = pl_random_stream(2, PL_RANDOM_TEST, (uint64_t)view, (uint64_t)sample, 0);
  double square = 0;
  for (int64_t k = 0; k < width; k++) {
    row[k] = pl_random_normal(&common) + pl_random_normal(&own);
    square += (double)row[k] * row[k];
  }
  for (int64_t k = 0; k < width; k++) row[k] /= (float)sqrt(square);
}

/* This rank's views, or its images or texts, made in `rows` and put on the device. */
static pl_status put_embeddings(bench *b, float *rows, bool texts) {
  int64_t count = pl_pair_local_rows(b->sweep), first = pl_pair_first_row(b->sweep);
  size_t bytes = (size_t)(count * b->width) * sizeof *rows;
  void **z = texts ? &b->y : &b->z, **dz = texts ? &b->dy : &b->dz;
  for (int64_t i = 0; i < count; i++) {
    int64_t leaf = (first + i) / (2 * b->micro), within = (first + i) % (2 * b->micro);
    int64_t sample = first + i, view = texts ? 1 : 0;
    if (b->loss == NTXENT) {
      sample = leaf * b->micro + within % b->micro;
      view = within / b->micro;
    }
    make_row(rows + i * b->width, b->width, sample, view);
  }
  PL_TRY(b->backend->device->alloc(bytes, z));
  PL_TRY(b->backend->device->alloc(bytes, dz));
  return b->backend->device->put(*z, rows, bytes);
}

static pl_status make_embeddings(bench *b) {
  float *rows = pl_alloc((size_t)(pl_pair_local_rows(b->sweep) * b->width), sizeof *rows);
  if (!rows) return PL_E_INTERNAL;
  pl_status status = put_embeddings(b, rows, false);
  if (status == PL_OK && b->loss != NTXENT) status = put_embeddings(b, rows, true);
  pl_free(rows);
  return status;
}

static int64_t leaf_rows(const bench *b) { return b->loss == NTXENT ? 2 * b->micro : b->micro; }

static pl_status make_loss(bench *b, pl_comm *comm) {
  const pl_pair_options shapes = {.device = b->backend->device,
                                  .type = types[b->precision],
                                  .width = (int)b->width,
                                  .leaf_rows = (int)leaf_rows(b),
                                  .leaves = b->batch / leaf_rows(b)};
  if (b->loss == NTXENT) {
    PL_TRY(pl_pair_sweep_create(comm, &shapes, &b->views));
    b->sweep = b->views;
  } else {
    pl_clip_kind kind = b->loss == CLIP ? PL_CLIP_SOFTMAX : PL_CLIP_SIGMOID;
    PL_TRY(pl_clip_loss_create(comm, kind, &shapes, &b->pairs));
    b->sweep = pl_clip_loss_sweep(b->pairs);
  }
  return PL_OK;
}

/* On a GPU no larger than the batch, so that small batches are tried in no time. */
static int square_side(const bench *b) {
  if (b->device == DEVICE_CPU) return PL_SLAB;
  return (int)(b->batch < DEVICE_SIDE ? b->batch : DEVICE_SIDE);
}

static pl_status make_product(bench *b) {
  if (b->device == DEVICE_CPU) return pl_slab_product_make(PL_SLAB, &b->slab);
  return pl_device_product_make(b->backend->device, types[b->precision], b->tf32, square_side(b),
                                &b->on_device);
}

static pl_status run(void *state, pl_comm *comm) {
  bench *b = state;
  const pl_bench_rounds rounds = {
      .references = SERIES_LOSS, .work = works, .repeats = b->repeats, .values = b->rates};
  b->ranks = pl_comm_size(comm);
  b->threads = pl_bench_threads(comm);
  pl_cuda_use_tf32(b->tf32);
  PL_TRY(pl_device_open_all(comm, b->device == DEVICE_CUDA, &b->backend));
  PL_TRY(make_loss(b, comm));
  PL_TRY(pl_comm_agree(comm, make_embeddings(b)));
  double warm_up;
  PL_TRY(pl_bench_gflops(comm, run_loss, b, &warm_up));
  PL_TRY(pl_bench_peak(comm, &b->peak_bytes));
  PL_TRY(pl_comm_agree(comm, make_product(b)));
  return pl_bench_alternate(comm, &rounds, b);
}

/* ---- telling ---- */

static size_t loss_bytes(const bench *b) {
  return b->loss == NTXENT ? pl_pair_sweep_bytes(b->views) : pl_clip_loss_bytes(b->pairs);
}

static double gather_ms(const bench *b) {
  return b->loss == NTXENT ? pl_pair_gather_ms(b->views) : pl_clip_gather_ms(b->pairs);
}

static const char *const series_words[SERIES_ALL] = {
    [SERIES_SQUARE] = "one large product",
    [SERIES_TILES] = "the products of the loss alone",
    [SERIES_LOSS] = "forward and backward",
    [SERIES_RATIO] = "share of the round's better product",
};
static const char *const series_keys[SERIES_ALL] = {
    [SERIES_SQUARE] = "square_gflops",
    [SERIES_TILES] = "tiles_gflops",
    [SERIES_LOSS] = "loss_gflops",
    [SERIES_RATIO] = "ratio",
};

static void print_text(void *state) {
  static const pl_spread_format rate = {36, 8, 1, " GFLOP/s"}, share = {36, 8, 3, "         "};
  bench *b = state;
  const pl_pair_options *shapes = pl_pair_shapes(b->sweep);
  double embeddings = (double)b->batch * (double)b->width * sizeof(float);
  char device[PL_DEVICE_TEXT];
  pl_device_name(device);
  printf("%s, batch of %lld rows, width %lld, tiles %d x %d, %d ranks with %d threads\n",
         loss_names[b->loss], (long long)b->batch, (long long)b->width, shapes->tile_rows,
         shapes->tile_cols, b->ranks, b->threads);
  printf("products of %s%s on %s, the large one %d x %d x %d\n", pl_dtype_name(types[b->precision]),
         b->tf32 ? " by TF32" : "", device, square_side(b), square_side(b), square_side(b));
  for (series s = 0; s < SERIES_ALL; s++) {
    pl_spread_print(s == SERIES_RATIO ? &share : &rate, series_words[s],
                    pl_spread_of(b->rates[s], b->repeats));
    putchar('\n');
  }
  printf("%-36s %8.1f MB = %.2f x the embeddings\n", "memory of the loss",
         (double)loss_bytes(b) * 1e-6, (double)loss_bytes(b) / embeddings);
  printf("%-36s %8.1f MB = %.2f x the embeddings\n", "peak resident memory after one step",
         (double)b->peak_bytes * 1e-6, (double)b->peak_bytes / embeddings);
  printf("%-36s %8.3f ms\n", "last gather", gather_ms(b));
}

static void print_json(void *state) {
  bench *b = state;
  const pl_pair_options *shapes = pl_pair_shapes(b->sweep);
  char device[PL_DEVICE_TEXT];
  pl_device_name(device);
  printf(
      "{\"kind\": \"%s\", \"batch\": %lld, \"width\": %lld, \"tile\": [%d, %d], \"ranks\": %d, "
      "\"threads\": %d, \"device\": \"%s\", \"precision\": \"%s\", \"tf32\": %s",
      loss_names[b->loss], (long long)b->batch, (long long)b->width, shapes->tile_rows,
      shapes->tile_cols, b->ranks, b->threads, device, pl_dtype_name(types[b->precision]),
      b->tf32 ? "true" : "false");
  for (series s = 0; s < SERIES_ALL; s++) {
    pl_spread_print_json(series_keys[s], pl_spread_of(b->rates[s], b->repeats));
  }
  printf(", \"loss_bytes\": %zu, \"peak_resident_bytes\": %zu, \"gather_ms\": %.6g, \"loss\": ",
         loss_bytes(b), b->peak_bytes, gather_ms(b));
  printf("%.9g}\n", b->figures.loss);
}

static void release(void *state) {
  bench *b = state;
  pl_slab_product_free(&b->slab);
  pl_device_product_free(&b->on_device);
  pl_pair_sweep_destroy(&b->views);
  pl_clip_loss_destroy(&b->pairs);
  void *on_device[] = {b->z, b->dz, b->y, b->dy};
  for (size_t i = 0; b->backend && i < sizeof on_device / sizeof *on_device; i++)
    b->backend->device->release(on_device[i]);
}

static pl_status parse(void *state, pl_bench_asked *asked) {
  bench *b = state;
  b->batch = 8192;
  b->width = 512;
  b->micro = 128;
  b->repeats = 5;
  b->temperature = 0.1;
  b->bias = -10;
  const pl_option table[] = {
      {"loss", PL_OPTION_CHOICE, &b->loss, "the loss", 0, 0, "ntxent|clip|siglip"},
      {"batch", PL_OPTION_INT, &b->batch, "rows of the batch: views of ntxent, else pairs", 1,
       1 << 24, NULL},
      {"width", PL_OPTION_INT, &b->width, "width of the embeddings", 1, 1 << 16, NULL},
      {"micro", PL_OPTION_INT, &b->micro, "samples of a micro-batch", 1, 1 << 20, NULL},
      {"temperature", PL_OPTION_REAL, &b->temperature, "temperature of the loss", 1e-3, 1e3, NULL},
      {"bias", PL_OPTION_REAL, &b->bias, "bias of siglip", -1e3, 1e3, NULL},
      {"device", PL_OPTION_CHOICE, &b->device,
       "what computes it; cuda: ranks of a host in turn over its GPUs", 0, 0, "cpu|cuda"},
      {"precision", PL_OPTION_CHOICE, &b->precision, "what products multiply; cpu: f32", 0, 0,
       "f32|bf16"},
      {"tf32", PL_OPTION_FLAG, &b->tf32, "cuda: products of f32 values by TF32, of 10 bits", 0, 0,
       NULL},
      {"repeats", PL_OPTION_INT, &b->repeats, "rounds of measurements", 1, PL_BENCH_REPEATS, NULL},
      {0}};
  PL_TRY(pl_bench_parse(asked, table, NULL));
  if (!asked->helped && b->batch % leaf_rows(b) != 0)
    return PL_FAIL(PL_E_USAGE, "--batch %lld is no multiple of the %lld rows of a micro-batch",
                   (long long)b->batch, (long long)leaf_rows(b));
  if (b->device == DEVICE_CPU && (b->precision || b->tf32))
    return PL_FAIL(PL_E_USAGE, "the processor takes losses in f32: no --precision bf16 or --tf32");
  return PL_OK;
}

static const pl_bench frame = {.bytes = sizeof(bench),
                               .collective = true,
                               .parse = parse,
                               .run = run,
                               .print_text = print_text,
                               .print_json = print_json,
                               .release = release};

const pl_command pl_cmd_bench_loss = {
    .name = "bench loss",
    .operands = "",
    .summary = "the rate of a loss beside that of plain matrix products, and its memory",
    .run = pl_bench_command,
    .subject = &frame,
};
