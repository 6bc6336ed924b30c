/* plenum bench loss: the rate of a loss, forward and backward, beside the rate of plain f32 matrix
 * products on the same threads. Useful work are the three products Q·Kᵀ twice and W·K, 2B²d
 * floating-point operations each, for clip and siglip in both directions; everything else counts as
 * lost time. Measurements alternate, since a shared machine's speed drifts. Collective; rates are
 * sums over ranks. */
#include <math.h>
#include <omp.h>
#include <stdio.h>

#include "launch/command.h"
#include "launch/spread.h"
#include "losses/clip.h"
#include "losses/ntxent.h"
#include "losses/tile_product.h"
#include "runtime/base/clock.h"
#include "runtime/base/memory.h"
#include "runtime/base/random.h"
#include "runtime/base/threads.h"

enum { NTXENT, CLIP, SIGLIP };
static const char *const loss_names[] = {"ntxent", "clip", "siglip"};

enum { SQUARE = 2048, SQUARE_TIMES = 8, WALK = 8, REPEATS_MAX = 1000 };

typedef enum series { SERIES_SQUARE, SERIES_TILES, SERIES_LOSS, SERIES_RATIO, SERIES_ALL } series;

/* One large product, shared by the team. */
typedef struct square_bench {
  pl_tile_product *product;
  float *left, *out;
  char *packed;
} square_bench;

/* The products of a sweep without what lies between them: each row tile meets WALK column tiles. */
typedef struct tiles_bench {
  pl_tile_product *similar, *combine;
  char *similar_keys, *combine_keys; /* (WALK, packed tile) */
  float *rows;                       /* (row tiles, tile_rows, width) */
  float *sums;                       /* as rows */
  float *tiles;                      /* (threads, tile_rows, tile_cols) */
  int row_tiles;
} tiles_bench;

typedef struct bench {
  pl_comm *comm;
  int64_t loss; /* NTXENT … SIGLIP */
  int64_t batch, width, micro, repeats;
  double temperature, bias;
  bool json;

  int threads;
  pl_pair_sweep *views;       /* of ntxent */
  pl_clip_loss *pairs;        /* of the others */
  const pl_pair_sweep *sweep; /* the one that is there, or its part for images */
  float *z, *dz;              /* (local rows, width): views, or images */
  float *y, *dy;              /* texts; NULL for ntxent */
  pl_contrast_figures figures;
  size_t peak_bytes; /* resident, of the rank that has most, before the products' buffers */
  square_bench square;
  tiles_bench tiles;
  double rates[SERIES_ALL][REPEATS_MAX]; /* GFLOP/s; the ratio is that of a round */
} bench;

/* ---- plain products ---- */

static pl_status make_square(square_bench *b) {
  const pl_tile_spec spec = {.rows = {SQUARE},
                             .inner = SQUARE,
                             .cols = SQUARE,
                             .out_stride = SQUARE,
                             .slots = 1,
                             .by_team = true};
  PL_TRY(pl_tile_product_create(&spec, &b->product));
  b->left = pl_alloc((size_t)SQUARE * SQUARE, sizeof *b->left);
  b->out = pl_alloc((size_t)SQUARE * SQUARE, sizeof *b->out);
  b->packed = pl_alloc(pl_tile_packed_bytes(b->product), 1);
  if (!b->left || !b->out || !b->packed) return PL_E_INTERNAL;
  return pl_tile_pack(b->product, 0, b->left, b->packed);
}

static pl_status run_square(square_bench *b, double *flops) {
  for (int i = 0; i < SQUARE_TIMES; i++)
    PL_TRY(pl_tile_run(b->product, 0, SQUARE, b->left, b->packed, b->out));
  *flops = 2.0 * SQUARE * SQUARE * SQUARE * SQUARE_TIMES;
  return PL_OK;
}

static pl_status make_tiles(tiles_bench *b, const pl_pair_options *shapes, int threads) {
  pl_tile_spec spec = {.rows = {shapes->tile_rows},
                       .inner = shapes->width,
                       .cols = shapes->tile_cols,
                       .out_stride = shapes->tile_cols,
                       .transposed = true,
                       .slots = threads};
  PL_TRY(pl_tile_product_create(&spec, &b->similar));
  spec.inner = shapes->tile_cols;
  spec.cols = spec.out_stride = shapes->width;
  spec.transposed = false;
  spec.accumulate = true;
  PL_TRY(pl_tile_product_create(&spec, &b->combine));
  /* About as much work as the square: some tenths of a second at most. */
  double pass = 6.0 * shapes->tile_rows * shapes->tile_cols * shapes->width * WALK;
  int rounds = (int)ceil(2.0 * SQUARE * SQUARE * SQUARE * SQUARE_TIMES / pass / threads);
  b->row_tiles = threads * (rounds < 64 ? rounds : 64);
  size_t rows = (size_t)b->row_tiles * (size_t)shapes->tile_rows;
  b->similar_keys = pl_alloc(WALK, pl_tile_packed_bytes(b->similar));
  b->combine_keys = pl_alloc(WALK, pl_tile_packed_bytes(b->combine));
  b->rows = pl_alloc(rows * (size_t)shapes->width, sizeof *b->rows);
  b->sums = pl_alloc(rows * (size_t)shapes->width, sizeof *b->sums);
  b->tiles = pl_alloc((size_t)threads * (size_t)shapes->tile_rows * (size_t)shapes->tile_cols,
                      sizeof *b->tiles);
  return b->similar_keys && b->combine_keys && b->rows && b->sums && b->tiles ? PL_OK
                                                                              : PL_E_INTERNAL;
}

/* Sweep 1 and sweep 2 of one row tile. */
static pl_status run_row_tile(tiles_bench *b, const pl_pair_options *shapes, int slot, int index) {
  size_t rows = (size_t)shapes->tile_rows;
  const float *q = b->rows + (size_t)index * rows * (size_t)shapes->width;
  float *dq = b->sums + (size_t)index * rows * (size_t)shapes->width;
  float *tile = b->tiles + (size_t)slot * rows * (size_t)shapes->tile_cols;
  for (int sweep = 1; sweep <= 2; sweep++) {
    for (size_t j = 0; j < WALK; j++) {
      PL_TRY(pl_tile_run(b->similar, slot, shapes->tile_rows, q,
                         b->similar_keys + j * pl_tile_packed_bytes(b->similar), tile));
      if (sweep == 2)
        PL_TRY(pl_tile_run(b->combine, slot, shapes->tile_rows, tile,
                           b->combine_keys + j * pl_tile_packed_bytes(b->combine), dq));
    }
  }
  return PL_OK;
}

static pl_status run_tiles(tiles_bench *b, const pl_pair_options *shapes, int threads,
                           double *flops) {
  pl_reason failure = {.code = PL_OK};
#pragma omp parallel for schedule(dynamic, 1) num_threads(threads)
  for (int index = 0; index < b->row_tiles; index++) {
    if (run_row_tile(b, shapes, omp_get_thread_num(), index) != PL_OK) {
#pragma omp critical(bench_failure)
      failure = *pl_last_reason();
    }
  }
  *flops = 6.0 * shapes->tile_rows * shapes->tile_cols * shapes->width * WALK * b->row_tiles;
  return failure.code == PL_OK ? PL_OK : pl_adopt_reason(&failure);
}

/* ---- measuring ---- */

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

static pl_status make_embeddings(bench *b) {
  int64_t rows = pl_pair_local_rows(b->sweep), first = pl_pair_first_row(b->sweep);
  bool pairs = b->loss != NTXENT;
  size_t n = (size_t)(rows * b->width);
  b->z = pl_alloc(n, sizeof *b->z);
  b->dz = pl_alloc(n, sizeof *b->dz);
  b->y = pairs ? pl_alloc(n, sizeof *b->y) : NULL;
  b->dy = pairs ? pl_alloc(n, sizeof *b->dy) : NULL;
  if (!b->z || !b->dz || (pairs && (!b->y || !b->dy))) return PL_E_INTERNAL;
  for (int64_t i = 0; i < rows; i++) {
    int64_t leaf = (first + i) / (2 * b->micro), within = (first + i) % (2 * b->micro);
    int64_t sample = pairs ? first + i : leaf * b->micro + within % b->micro;
    make_row(b->z + i * b->width, b->width, sample, pairs ? 0 : within / b->micro);
    if (pairs) make_row(b->y + i * b->width, b->width, sample, 1);
  }
  return PL_OK;
}

static pl_status run_loss(bench *b, double *flops) {
  double rows = (double)pl_pair_total_rows(b->sweep), by_scale, by_bias;
  *flops = 6.0 * rows * (double)pl_pair_local_rows(b->sweep) * (double)b->width;
  if (b->loss == NTXENT)
    return pl_ntxent(b->views, b->z, (int)b->micro, b->temperature, false, &b->figures, b->dz);
  *flops *= 2;
  return pl_clip(b->pairs, b->z, b->y, -log(b->temperature), b->bias, false, &b->figures, b->dz,
                 b->dy, &by_scale, &by_bias);
}

/* Work of a series over the time of the slowest rank. */
static pl_status measure(bench *b, series which, double *rate) {
  double flops = 0;
  pl_status status = PL_OK;
  PL_TRY(pl_comm_barrier(b->comm));
  double start = pl_now_ms();
  if (which == SERIES_SQUARE) status = run_square(&b->square, &flops);
  if (which == SERIES_TILES)
    status = run_tiles(&b->tiles, pl_pair_shapes(b->sweep), b->threads, &flops);
  if (which == SERIES_LOSS) status = run_loss(b, &flops);
  double ms = pl_now_ms() - start;
  PL_TRY(pl_comm_agree(b->comm, status));
  PL_TRY(pl_comm_max_f64(b->comm, &ms, 1));
  PL_TRY(pl_comm_sum_f64(b->comm, &flops, 1));
  *rate = flops / ms * 1e-6;
  return PL_OK;
}

static pl_status measure_products(bench *b, double rates[SERIES_LOSS]) {
  for (series s = SERIES_SQUARE; s < SERIES_LOSS; s++) PL_TRY(measure(b, s, &rates[s]));
  return PL_OK;
}

/* A round's products are the mean of those just before and just after its loss. */
static pl_status measure_all(bench *b) {
  double before[SERIES_LOSS], after[SERIES_LOSS];
  PL_TRY(measure_products(b, before)); /* warms up */
  PL_TRY(measure_products(b, before));
  for (int64_t r = 0; r < b->repeats; r++) {
    PL_TRY(measure(b, SERIES_LOSS, &b->rates[SERIES_LOSS][r]));
    PL_TRY(measure_products(b, after));
    for (series s = SERIES_SQUARE; s < SERIES_LOSS; s++) {
      b->rates[s][r] = (before[s] + after[s]) / 2;
      before[s] = after[s];
    }
    b->rates[SERIES_RATIO][r] =
        b->rates[SERIES_LOSS][r] / fmax(b->rates[SERIES_SQUARE][r], b->rates[SERIES_TILES][r]);
  }
  return PL_OK;
}

static int64_t leaf_rows(const bench *b) { return b->loss == NTXENT ? 2 * b->micro : b->micro; }

static pl_status make_loss(bench *b) {
  const pl_pair_options shapes = {
      .width = (int)b->width, .leaf_rows = (int)leaf_rows(b), .leaves = b->batch / leaf_rows(b)};
  if (b->loss == NTXENT) {
    PL_TRY(pl_pair_sweep_create(b->comm, &shapes, &b->views));
    b->sweep = b->views;
  } else {
    pl_clip_kind kind = b->loss == CLIP ? PL_CLIP_SOFTMAX : PL_CLIP_SIGMOID;
    PL_TRY(pl_clip_loss_create(b->comm, kind, &shapes, &b->pairs));
    b->sweep = pl_clip_loss_sweep(b->pairs);
  }
  return PL_OK;
}

static pl_status run(bench *b) {
  PL_TRY(make_loss(b));
  PL_TRY(pl_comm_agree(b->comm, make_embeddings(b)));
  double warm_up;
  PL_TRY(measure(b, SERIES_LOSS, &warm_up));
  double peak = (double)pl_peak_resident_bytes();
  PL_TRY(pl_comm_max_f64(b->comm, &peak, 1));
  b->peak_bytes = (size_t)peak;
  pl_status status = make_square(&b->square);
  if (status == PL_OK) status = make_tiles(&b->tiles, pl_pair_shapes(b->sweep), b->threads);
  PL_TRY(pl_comm_agree(b->comm, status));
  return measure_all(b);
}

/* ---- telling ---- */

static pl_spread spread_of(bench *b, series which) {
  return pl_spread_of(b->rates[which], b->repeats);
}

static size_t loss_bytes(const bench *b) {
  return b->loss == NTXENT ? pl_pair_sweep_bytes(b->views) : pl_clip_loss_bytes(b->pairs);
}

static double gather_ms(const bench *b) {
  return b->loss == NTXENT ? pl_pair_gather_ms(b->views) : pl_clip_gather_ms(b->pairs);
}

static const char *const series_words[SERIES_ALL] = {
    [SERIES_SQUARE] = "f32 product, 2048 x 2048 x 2048",
    [SERIES_TILES] = "f32 products, tiles as in the loss",
    [SERIES_LOSS] = "forward and backward",
    [SERIES_RATIO] = "share of the round's better product",
};
static const char *const series_keys[SERIES_ALL] = {
    [SERIES_SQUARE] = "square_gflops",
    [SERIES_TILES] = "tiles_gflops",
    [SERIES_LOSS] = "loss_gflops",
    [SERIES_RATIO] = "ratio",
};

static void print_text(bench *b) {
  const pl_pair_options *shapes = pl_pair_shapes(b->sweep);
  double embeddings = (double)b->batch * (double)b->width * sizeof(float);
  printf("%s, batch of %lld rows, width %lld, tiles %d x %d, %d ranks with %d threads\n",
         loss_names[b->loss], (long long)b->batch, (long long)b->width, shapes->tile_rows,
         shapes->tile_cols, pl_comm_size(b->comm), b->threads);
  for (series s = 0; s < SERIES_ALL; s++) {
    pl_spread r = spread_of(b, s);
    printf("%-36s %8.*f%s  [%.*f, %.*f]\n", series_words[s], s == SERIES_RATIO ? 3 : 1, r.median,
           s == SERIES_RATIO ? "         " : " GFLOP/s", s == SERIES_RATIO ? 3 : 1, r.low,
           s == SERIES_RATIO ? 3 : 1, r.high);
  }
  printf("%-36s %8.1f MB = %.2f x the embeddings\n", "memory of the loss",
         (double)loss_bytes(b) * 1e-6, (double)loss_bytes(b) / embeddings);
  printf("%-36s %8.1f MB = %.2f x the embeddings\n", "peak resident memory after one step",
         (double)b->peak_bytes * 1e-6, (double)b->peak_bytes / embeddings);
  printf("%-36s %8.3f ms\n", "last gather", gather_ms(b));
}

static void print_json(bench *b) {
  const pl_pair_options *shapes = pl_pair_shapes(b->sweep);
  printf(
      "{\"kind\": \"%s\", \"batch\": %lld, \"width\": %lld, \"tile\": [%d, %d], \"ranks\": %d, "
      "\"threads\": %d",
      loss_names[b->loss], (long long)b->batch, (long long)b->width, shapes->tile_rows,
      shapes->tile_cols, pl_comm_size(b->comm), b->threads);
  for (series s = 0; s < SERIES_ALL; s++) {
    pl_spread r = spread_of(b, s);
    printf(", \"%s\": {\"median\": %.6g, \"low\": %.6g, \"high\": %.6g}", series_keys[s], r.median,
           r.low, r.high);
  }
  printf(", \"loss_bytes\": %zu, \"peak_resident_bytes\": %zu, \"gather_ms\": %.6g, \"loss\": ",
         loss_bytes(b), b->peak_bytes, gather_ms(b));
  printf("%.9g}\n", b->figures.loss);
}

static void free_all(bench *b) {
  pl_tile_product_destroy(&b->square.product);
  pl_free(b->square.left);
  pl_free(b->square.out);
  pl_free(b->square.packed);
  pl_tile_product_destroy(&b->tiles.similar);
  pl_tile_product_destroy(&b->tiles.combine);
  pl_free(b->tiles.similar_keys);
  pl_free(b->tiles.combine_keys);
  pl_free(b->tiles.rows);
  pl_free(b->tiles.sums);
  pl_free(b->tiles.tiles);
  pl_pair_sweep_destroy(&b->views);
  pl_clip_loss_destroy(&b->pairs);
  pl_free(b->z);
  pl_free(b->dz);
  pl_free(b->y);
  pl_free(b->dy);
  pl_free(b);
}

static pl_status parse(bench *b, const pl_command *command, int argc, char **argv, bool *helped) {
  const pl_option table[] = {
      {"loss", PL_OPTION_CHOICE, &b->loss, "the loss", 0, 0, "ntxent|clip|siglip"},
      {"batch", PL_OPTION_INT, &b->batch, "rows of the batch: views of ntxent, else pairs", 1,
       1 << 24, NULL},
      {"width", PL_OPTION_INT, &b->width, "width of the embeddings", 1, 1 << 16, NULL},
      {"micro", PL_OPTION_INT, &b->micro, "samples of a micro-batch", 1, 1 << 20, NULL},
      {"temperature", PL_OPTION_REAL, &b->temperature, "temperature of the loss", 1e-3, 1e3, NULL},
      {"bias", PL_OPTION_REAL, &b->bias, "bias of siglip", -1e3, 1e3, NULL},
      {"repeats", PL_OPTION_INT, &b->repeats, "rounds of measurements", 1, REPEATS_MAX, NULL},
      {"json", PL_OPTION_FLAG, &b->json, "one object instead of text", 0, 0, NULL},
      {0}};
  int operands = 0;
  PL_TRY(pl_options_parse(command, table, argc, argv, 0, 0, NULL, &operands, helped));
  if (!*helped && b->batch % leaf_rows(b) != 0)
    return PL_FAIL(PL_E_USAGE, "--batch %lld is no multiple of the %lld rows of a micro-batch",
                   (long long)b->batch, (long long)leaf_rows(b));
  return PL_OK;
}

static pl_status bench_loss(pl_comm *comm, const pl_command *command, int argc, char **argv) {
  bench *b = pl_alloc(1, sizeof *b);
  bool helped = false;
  pl_status status = PL_E_INTERNAL;
  if (b) {
    b->comm = comm;
    b->batch = 8192;
    b->width = 512;
    b->micro = 128;
    b->repeats = 5;
    b->temperature = 0.1;
    b->bias = -10;
    status = parse(b, command, argc, argv, &helped);
  }
  status = pl_comm_agree(comm, status);
  if (b && status == PL_OK && !helped) {
    pl_threads_use(pl_threads_per_rank(pl_comm_local_size(comm), pl_comm_bound_apart(comm)));
    b->threads = pl_threads_count();
    status = run(b);
  }
  if (b && status == PL_OK && !helped && pl_comm_rank(comm) == 0) {
    if (b->json)
      print_json(b);
    else
      print_text(b);
  }
  if (b) free_all(b);
  return status;
}

const pl_command pl_cmd_bench_loss = {
    .name = "bench loss",
    .operands = "",
    .summary = "the rate of a loss beside that of plain matrix products, and its memory",
    .run = bench_loss,
};
