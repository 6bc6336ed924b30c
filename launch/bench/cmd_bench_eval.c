/* plenum bench eval: how fast representations are judged, without computing them. The nearest
 * neighbours beside plain f32 matrix products of the same size on the same threads, in the same
 * rounds since a shared machine's speed drifts; and the time of the linear classifier. Collective;
 * rates are sums over ranks. */
#include <math.h>
#include <stdio.h>

#include "launch/bench/bench.h"
#include "launch/bench/products.h"
#include "models/knn.h"
#include "models/linear.h"
#include "runtime/base/clock.h"
#include "runtime/base/memory.h"
#include "runtime/base/random.h"
#include "runtime/base/tree.h"

typedef enum series { SERIES_PRODUCT, SERIES_KNN, SERIES_RATIO, SERIES_ALL } series;

/* Random unit rows around the centres of their classes. */
typedef struct rows {
  float *features;
  int32_t *labels;
  int64_t count;
} rows;

typedef struct bench {
  pl_comm *comm;
  int64_t bank, queries, width, classes, k, repeats;
  double epochs;

  int threads;
  rows bank_rows, query_rows;
  double knn_accuracy, linear_accuracy, linear_s;
  size_t peak_bytes;       /* resident, of the rank that has most, before the product's buffers */
  pl_slab_product product; /* a slab of queries by one of the bank */
  double values[SERIES_ALL][PL_BENCH_REPEATS];
} bench;

/* ---- what is judged ---- */

static void fill_row(const bench *b, uint32_t which, int64_t index, float *row, int32_t *label) {
  pl_random own = pl_random_stream(1, PL_RANDOM_TEST, which, (uint64_t)index, 0);
  *label = (int32_t)pl_random_below(&own, (uint64_t)b->classes);
  pl_random centre = pl_random_stream(2, PL_RANDOM_TEST, 0, (uint64_t)*label, 0);
  double square = 0;
  for (int64_t j = 0; j < b->width; j++) {
    row[j] = 0.15f * pl_random_normal(&centre) + pl_random_normal(&own);
    square += (double)row[j] * row[j];
  }
  for (int64_t j = 0; j < b->width; j++) row[j] /= (float)sqrt(square);
}

static pl_status make_rows(const bench *b, int64_t first, int64_t count, uint32_t which,
                           rows *out) {
  out->count = count;
  out->features = pl_alloc((size_t)(count * b->width), sizeof *out->features);
  out->labels = pl_alloc((size_t)count, sizeof *out->labels);
  if (!out->features || !out->labels) return PL_E_INTERNAL;
#pragma omp parallel for schedule(static) num_threads(b->threads)
  for (int64_t i = 0; i < count; i++)
    fill_row(b, which, first + i, out->features + i * b->width, &out->labels[i]);
  return PL_OK;
}

/* This rank's part of `total` rows. */
static pl_status make_part(const bench *b, int64_t total, uint32_t which, rows *out) {
  int64_t first, count;
  pl_tree_part(total, pl_comm_size(b->comm), pl_comm_rank(b->comm), &first, &count);
  return make_rows(b, first, count, which, out);
}

static pl_knn_rows given(const rows *r) {
  return (pl_knn_rows){.features = r->features, .labels = r->labels, .count = r->count};
}

/* ---- measuring ---- */

static pl_status run_knn(void *state, double *flops) {
  bench *b = state;
  const pl_knn_options options = {
      .width = (int)b->width, .classes = (int)b->classes, .k = (int)b->k, .temperature = 0.07};
  const pl_knn_rows bank = given(&b->bank_rows), queries = given(&b->query_rows);
  int64_t right = 0;
  PL_TRY(pl_knn_classify(b->comm, &options, &bank, &queries, NULL, &right));
  b->knn_accuracy = (double)right / (double)b->queries;
  *flops += 2.0 * (double)b->query_rows.count * (double)b->bank * (double)b->width;
  return PL_OK;
}

static pl_status run_linear(bench *b) {
  const pl_linear_options options = {.width = (int)b->width,
                                     .classes = (int)b->classes,
                                     .rates = 6,
                                     .rate = {0.01, 0.03, 0.1, 0.3, 1, 3},
                                     .epochs = b->epochs,
                                     .batch = 512,
                                     .momentum = 0.9,
                                     .holdout = 0.1,
                                     .seed = 1};
  const pl_knn_rows bank = given(&b->bank_rows), queries = given(&b->query_rows);
  pl_linear_result result;
  double start_ms = pl_now_ms();
  PL_TRY(pl_linear_classify(b->comm, &options, &bank, NULL, &queries, NULL, &result));
  b->linear_s = (pl_now_ms() - start_ms) / 1e3;
  b->linear_accuracy = (double)result.right / (double)result.queries;
  return PL_OK;
}

/* As many slabs as make up this rank's queries times the bank. */
static pl_status run_product(void *state, double *flops) {
  bench *b = state;
  double slabs = ceil((double)b->query_rows.count * (double)b->bank / PL_SLAB / PL_SLAB);
  return pl_slab_product_run(&b->product, (int64_t)slabs, flops);
}

static const pl_bench_work works[] = {[SERIES_PRODUCT] = run_product, [SERIES_KNN] = run_knn};

static pl_status run(void *state, pl_comm *comm) {
  bench *b = state;
  const pl_bench_rounds rounds = {
      .references = SERIES_KNN, .work = works, .repeats = b->repeats, .values = b->values};
  b->comm = comm;
  b->threads = pl_bench_threads(comm);
  pl_status status = make_part(b, b->bank, 0, &b->bank_rows);
  if (status == PL_OK) status = make_part(b, b->queries, 1, &b->query_rows);
  PL_TRY(pl_comm_agree(comm, status));
  double flops = 0;
  PL_TRY(run_knn(b, &flops)); /* warms up */
  PL_TRY(pl_bench_peak(comm, &b->peak_bytes));
  PL_TRY(pl_comm_agree(comm, pl_slab_product_make((int)b->width, &b->product)));
  PL_TRY(pl_bench_alternate(comm, &rounds, b));
  return run_linear(b);
}

/* ---- telling ---- */

static const char *const series_words[SERIES_ALL] = {
    [SERIES_PRODUCT] = "f32 product, slabs of 2048 x 2048",
    [SERIES_KNN] = "nearest neighbours, gather to votes",
    [SERIES_RATIO] = "neighbours / product of the round",
};
static const char *const series_keys[SERIES_ALL] = {
    [SERIES_PRODUCT] = "product_gflops",
    [SERIES_KNN] = "knn_gflops",
    [SERIES_RATIO] = "ratio",
};

static double features_bytes(const bench *b) {
  return (double)(b->bank + b->queries) * (double)b->width * sizeof(float);
}

static void print_text(void *state) {
  static const pl_spread_format rate = {36, 8, 1, " GFLOP/s"}, share = {36, 8, 3, "         "};
  bench *b = state;
  printf(
      "%lld queries by a bank of %lld, width %lld, %lld classes, k=%lld, %d ranks with %d "
      "threads\n",
      (long long)b->queries, (long long)b->bank, (long long)b->width, (long long)b->classes,
      (long long)b->k, pl_comm_size(b->comm), b->threads);
  for (series s = 0; s < SERIES_ALL; s++) {
    pl_spread_print(s == SERIES_RATIO ? &share : &rate, series_words[s],
                    pl_spread_of(b->values[s], b->repeats));
    putchar('\n');
  }
  printf("%-36s %8.1f MB = %.2f x the features\n", "peak resident memory after neighbours",
         (double)b->peak_bytes * 1e-6, (double)b->peak_bytes / features_bytes(b));
  printf("%-36s %8.2f s for %g epochs at 6 rates\n", "linear classifier", b->linear_s, b->epochs);
  printf("%-36s %8.4f by neighbours, %.4f by the classifier\n", "accuracy", b->knn_accuracy,
         b->linear_accuracy);
}

static void print_json(void *state) {
  bench *b = state;
  printf(
      "{\"bank\": %lld, \"queries\": %lld, \"width\": %lld, \"classes\": %lld, \"k\": %lld, "
      "\"ranks\": %d, \"threads\": %d",
      (long long)b->bank, (long long)b->queries, (long long)b->width, (long long)b->classes,
      (long long)b->k, pl_comm_size(b->comm), b->threads);
  for (series s = 0; s < SERIES_ALL; s++) {
    pl_spread_print_json(series_keys[s], pl_spread_of(b->values[s], b->repeats));
  }
  printf(
      ", \"peak_resident_bytes\": %zu, \"linear_seconds\": %.6g, \"epochs\": %.9g, "
      "\"knn_accuracy\": %.9g, \"linear_accuracy\": %.9g}\n",
      b->peak_bytes, b->linear_s, b->epochs, b->knn_accuracy, b->linear_accuracy);
}

static void free_rows(rows *r) {
  pl_free(r->features);
  pl_free(r->labels);
}

static void release(void *state) {
  bench *b = state;
  free_rows(&b->bank_rows);
  free_rows(&b->query_rows);
  pl_slab_product_free(&b->product);
}

static pl_status parse(void *state, pl_bench_asked *asked) {
  bench *b = state;
  b->bank = 50000;
  b->queries = 10000;
  b->width = 512;
  b->classes = 10;
  b->k = 200;
  b->epochs = 100;
  b->repeats = 5;
  const pl_option table[] = {
      {"bank", PL_OPTION_INT, &b->bank, "rows whose labels teach", 2, 1 << 30, NULL},
      {"queries", PL_OPTION_INT, &b->queries, "rows to classify", 1, 1 << 30, NULL},
      {"width", PL_OPTION_INT, &b->width, "width of a row", 1, 1 << 16, NULL},
      {"classes", PL_OPTION_INT, &b->classes, "classes", 1, 1 << 16, NULL},
      {"k", PL_OPTION_INT, &b->k, "neighbours that vote", 1, 1 << 20, NULL},
      {"epochs", PL_OPTION_REAL, &b->epochs, "of the linear classifier", 1e-3, 1e6, NULL},
      {"repeats", PL_OPTION_INT, &b->repeats, "rounds of measurements", 1, PL_BENCH_REPEATS, NULL},
      {0}};
  return pl_bench_parse(asked, table, NULL);
}

static const pl_bench frame = {.bytes = sizeof(bench),
                               .collective = true,
                               .parse = parse,
                               .run = run,
                               .print_text = print_text,
                               .print_json = print_json,
                               .release = release};

const pl_command pl_cmd_bench_eval = {
    .name = "bench eval",
    .operands = "",
    .summary = "the rate of nearest neighbours beside plain products, and of the classifier",
    .run = pl_bench_command,
    .subject = &frame,
};
