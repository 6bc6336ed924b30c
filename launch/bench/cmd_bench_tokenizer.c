/* plenum bench tokenizer: how fast captions become token ids, cleaning included. Not collective:
 * rank 0 measures, other ranks return at once. */
#include <omp.h>
#include <stdio.h>

#include "launch/bench/bench.h"
#include "launch/bench/texts.h"
#include "runtime/base/memory.h"
#include "runtime/data/tokenizer.h"

/* STRETCH: texts that a thread encodes before it waits for the others. */
enum { STRETCH = 512, THREADS_MAX = 1024 };

/* What one thread works with. */
typedef struct worker {
  pl_tokenizer_scratch scratch;
  int32_t *ids; /* (context) */
  int64_t next; /* text, beginning at a place of its own */
} worker;

typedef struct bench {
  const char *vocabulary, *file; /* file NULL: made texts */
  int64_t context, threads, repeats;
  double seconds;

  pl_tokenizer *tokenizer;
  pl_names texts;
  int64_t bytes, tokens; /* of all texts; start and end count, padding does not */
  worker *workers;       /* (threads) */
  pl_spread rate;        /* bytes a second and thread */
} bench;

static int64_t text_bytes(const pl_names *texts, int64_t k) {
  int64_t end = k + 1 < texts->count ? texts->start[k + 1] : texts->bytes;
  return end - texts->start[k] - 1;
}

static pl_status encode(const bench *b, worker *w, int64_t k, int *used) {
  return pl_tokenizer_encode(b->tokenizer, pl_names_at(&b->texts, k),
                             (size_t)text_bytes(&b->texts, k), &w->scratch, (int)b->context, w->ids,
                             used);
}

/* Also finds out whether all texts can be encoded. */
static pl_status count_tokens(bench *b) {
  for (int64_t k = 0; k < b->texts.count; k++) {
    int used;
    PL_TRY(encode(b, &b->workers[0], k, &used));
    b->bytes += text_bytes(&b->texts, k);
    b->tokens += used;
  }
  return PL_OK;
}

static pl_status encode_stretch(const bench *b, worker *w, int64_t *bytes) {
  for (int k = 0; k < STRETCH; k++) {
    PL_TRY(encode(b, w, w->next, NULL));
    *bytes += text_bytes(&b->texts, w->next);
    w->next = (w->next + 1) % b->texts.count;
  }
  return PL_OK;
}

/* A stretch on every thread; its amount is that of one thread. */
static pl_status encode_stretches(void *state, double *amount) {
  bench *b = state;
  pl_reason failure = {.code = PL_OK};
  int64_t bytes = 0;
#pragma omp parallel num_threads((int)b->threads) reduction(+ : bytes)
  if (encode_stretch(b, &b->workers[omp_get_thread_num()], &bytes) != PL_OK) {
#pragma omp critical(bench_failure)
    failure = *pl_last_reason();
  }
  *amount += (double)bytes / (double)b->threads;
  return failure.code == PL_OK ? PL_OK : pl_adopt_reason(&failure);
}

static pl_status make_workers(bench *b) {
  b->workers = pl_alloc((size_t)b->threads, sizeof *b->workers);
  if (!b->workers) return PL_E_INTERNAL;
  for (int64_t t = 0; t < b->threads; t++) {
    b->workers[t].next = b->texts.count * t / b->threads;
    b->workers[t].ids = pl_alloc((size_t)b->context, sizeof *b->workers[t].ids);
    if (!b->workers[t].ids) return PL_E_INTERNAL;
  }
  return PL_OK;
}

static pl_status run(void *state, pl_comm *comm) {
  (void)comm;
  bench *b = state;
  PL_TRY(pl_tokenizer_open(b->vocabulary, &b->tokenizer));
  PL_TRY(b->file ? pl_bench_texts_read(b->file, &b->texts)
                 : pl_bench_texts_make(b->vocabulary, &b->texts));
  PL_TRY(make_workers(b));
  PL_TRY(count_tokens(b));
  return pl_bench_timed(encode_stretches, b, b->seconds, b->repeats, &b->rate);
}

/* ---- telling ---- */

static pl_spread times(pl_spread s, double factor) {
  return (pl_spread){s.median * factor, s.low * factor, s.high * factor};
}

static double tokens_per_byte(const bench *b) { return (double)b->tokens / (double)b->bytes; }

static void print_text(void *state) {
  static const pl_spread_format bytes = {24, 10, 1, " MB/s"}, tokens = {24, 10, 2, " M tokens/s"};
  const bench *b = state;
  double texts = (double)b->texts.count;
  printf("%lld texts of %.1f bytes and %.1f tokens each on average, context %lld, %lld threads; ",
         (long long)b->texts.count, (double)b->bytes / texts, (double)b->tokens / texts,
         (long long)b->context, (long long)b->threads);
  printf("median [least, most] of %lld\n", (long long)b->repeats);
  pl_spread_print(&bytes, "encode, a thread", times(b->rate, 1e-6));
  putchar('\n');
  pl_spread_print(&tokens, "", times(b->rate, tokens_per_byte(b) * 1e-6));
  putchar('\n');
}

static void print_json(void *state) {
  const bench *b = state;
  printf(
      "{\"texts\": %lld, \"bytes\": %lld, \"tokens\": %lld, \"context\": %lld, \"threads\": %lld",
      (long long)b->texts.count, (long long)b->bytes, (long long)b->tokens, (long long)b->context,
      (long long)b->threads);
  pl_spread_print_json("thread_mb_per_s", times(b->rate, 1e-6));
  pl_spread_print_json("thread_tokens_per_s", times(b->rate, tokens_per_byte(b)));
  printf("}\n");
}

static void release(void *state) {
  bench *b = state;
  for (int64_t t = 0; b->workers && t < b->threads; t++) {
    pl_tokenizer_scratch_free(&b->workers[t].scratch);
    pl_free(b->workers[t].ids);
  }
  pl_free(b->workers);
  pl_names_free(&b->texts);
  pl_tokenizer_close(&b->tokenizer);
}

static pl_status parse(void *state, pl_bench_asked *asked) {
  bench *b = state;
  b->context = 77;
  b->threads = 1;
  b->repeats = 5;
  b->seconds = 1;
  const pl_option table[] = {
      {"texts", PL_OPTION_TEXT, &b->file, "file of one text a line; without it texts are made", 0,
       0, NULL},
      {"context", PL_OPTION_INT, &b->context, "token ids of a text", 2, 65536, NULL},
      {"threads", PL_OPTION_INT, &b->threads, "threads at work at the same time", 1, THREADS_MAX,
       NULL},
      {"seconds", PL_OPTION_REAL, &b->seconds, "time of each measurement", 0.01, 600, NULL},
      {"repeats", PL_OPTION_INT, &b->repeats, "measurements, of which the median counts", 1,
       PL_BENCH_REPEATS, NULL},
      {0}};
  return pl_bench_parse(asked, table, &b->vocabulary);
}

static const pl_bench frame = {.bytes = sizeof(bench),
                               .parse = parse,
                               .run = run,
                               .print_text = print_text,
                               .print_json = print_json,
                               .release = release};

const pl_command pl_cmd_bench_tokenizer = {
    .name = "bench tokenizer",
    .operands = "VOCABULARY",
    .summary = "rate of turning captions into token ids",
    .run = pl_bench_command,
    .subject = &frame,
};
