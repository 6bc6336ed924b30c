/* plenum bench data: how fast samples are read, augmented and loaded. Not collective: rank 0
 * measures, other ranks return at once. */
#include <stdio.h>

#include "launch/command.h"
#include "launch/spread.h"
#include "runtime/base/clock.h"
#include "runtime/base/memory.h"
#include "runtime/data/loader.h"

enum { VIEWS = 2, IMAGES = 64, LEAF = 64, LEAVES = 4, REPEATS_MAX = 100 };

typedef struct bench {
  const char *folder; /* NULL: augmentation of made images only */
  int64_t source, size, workers, repeats;
  double seconds;
  bool json;

  pl_augment_options augment;
  pl_image *images; /* (IMAGES) */
  pl_augment_scratch scratch;
  float *view;
  int64_t done; /* samples so far: no two rounds see the same random numbers */

  pl_dataset *dataset;
  pl_image read_image;
  pl_loader *loader;

  /* Samples a second over the repeats; the last two only with a dataset. */
  pl_spread plain, blurred, reading, loading;
} bench;

/* A round of work; adds the samples it did. */
typedef pl_status (*round_of_work)(bench *b, int64_t *samples);

/* The distribution of SimCLR on CIFAR in its harder form (all of the jitter, as solo-learn has it).
 */
static pl_augment_options simclr_augment(int size, double blur) {
  return (pl_augment_options){.size = size,
                              .random_crop = true,
                              .crop_min = 0.08,
                              .crop_max = 1,
                              .aspect_min = 3.0 / 4,
                              .aspect_max = 4.0 / 3,
                              .flip = 0.5,
                              .jitter = 0.8,
                              .brightness = 0.8,
                              .contrast = 0.8,
                              .saturation = 0.8,
                              .hue = 0.2,
                              .grey = 0.2,
                              .blur = blur,
                              .blur_sigma_min = 0.1,
                              .blur_sigma_max = 2,
                              .centre_ratio = 1,
                              .mean = {0.4914F, 0.4822F, 0.4465F},
                              .std = {0.247F, 0.2435F, 0.2616F}};
}

static pl_status make_images(bench *b) {
  b->images = pl_alloc(IMAGES, sizeof *b->images);
  if (!b->images) return PL_E_INTERNAL;
  size_t bytes = (size_t)b->source * (size_t)b->source * 3;
  for (int k = 0; k < IMAGES; k++) {
    pl_image *image = &b->images[k];
    image->width = image->height = (int)b->source;
    image->pixels = pl_alloc(bytes, 1);
    if (!image->pixels) return PL_E_INTERNAL;
    image->capacity = bytes;
    pl_random random = pl_random_stream(1, PL_RANDOM_SYNTH, 0, (uint64_t)k, 0);
    for (size_t i = 0; i < bytes; i++) image->pixels[i] = (uint8_t)pl_random_bits(&random);
  }
  size_t floats = (size_t)b->size * (size_t)b->size * 3;
  b->view = pl_alloc(floats, sizeof *b->view);
  return b->view ? PL_OK : PL_E_INTERNAL;
}

static pl_status augment_round(bench *b, int64_t *samples) {
  for (int k = 0; k < IMAGES; k++, b->done++) {
    for (uint32_t v = 0; v < VIEWS; v++) {
      pl_random random = pl_random_stream(1, PL_RANDOM_AUGMENT, 0, (uint64_t)b->done, v);
      pl_view_params params;
      pl_augment_draw(&b->augment, (int)b->source, (int)b->source, &random, &params);
      PL_TRY(pl_augment_apply(&b->augment, &params, &b->images[k], &b->scratch, b->view));
    }
  }
  *samples += IMAGES;
  return PL_OK;
}

static pl_status read_round(bench *b, int64_t *samples) {
  int64_t n = pl_dataset_get_info(b->dataset)->samples;
  for (int k = 0; k < IMAGES; k++, b->done++) {
    PL_TRY(pl_dataset_read_image(b->dataset, b->done % n, &b->read_image));
  }
  *samples += IMAGES;
  return PL_OK;
}

static pl_status loader_round(bench *b, int64_t *samples) {
  pl_loader_leaf leaf;
  PL_TRY(pl_loader_next(b->loader, &leaf));
  *samples += LEAF;
  return PL_OK;
}

static pl_status measure(bench *b, round_of_work work, pl_spread *out) {
  double rates[REPEATS_MAX];
  int64_t samples = 0;
  PL_TRY(work(b, &samples)); /* memory and caches warm up */
  for (int64_t r = 0; r < b->repeats; r++) {
    double start = pl_now_ms(), passed = 0;
    samples = 0;
    do {
      PL_TRY(work(b, &samples));
      passed = pl_now_ms() - start;
    } while (passed < 1000 * b->seconds);
    rates[r] = 1000 * (double)samples / passed;
  }
  *out = pl_spread_of(rates, b->repeats);
  return PL_OK;
}

static pl_status bench_augment(bench *b) {
  PL_TRY(make_images(b));
  b->augment = simclr_augment((int)b->size, 0);
  PL_TRY(measure(b, augment_round, &b->plain));
  b->augment = simclr_augment((int)b->size, 0.5);
  return measure(b, augment_round, &b->blurred);
}

static pl_status bench_dataset(bench *b) {
  PL_TRY(pl_dataset_open(b->folder, &b->dataset));
  PL_TRY(measure(b, read_round, &b->reading));
  const int64_t steps = 1000000; /* more than anyone waits for */
  pl_loader_options options = {.dataset = b->dataset,
                               .augment = simclr_augment((int)b->size, 0),
                               .random = true,
                               .shuffle = true,
                               .shuffle_block = 256,
                               .shuffle_window = 256,
                               .seed = 1,
                               .views = VIEWS,
                               .leaf_samples = LEAF,
                               .batch = LEAF * LEAVES,
                               .leaves = LEAVES,
                               .passes = 1,
                               .steps = steps,
                               .workers = (int)b->workers};
  PL_TRY(pl_loader_create(&options, &b->loader));
  return measure(b, loader_round, &b->loading);
}

static void print_rate(const char *words, pl_spread r) {
  printf("%-36s %10.0f samples/s  [%.0f, %.0f]\n", words, r.median, r.low, r.high);
}

static void print_text(const bench *b) {
  printf("%d views a sample, %lld -> %lld pixels; median [least, most] of %lld\n", VIEWS,
         (long long)b->source, (long long)b->size, (long long)b->repeats);
  print_rate("augment, one thread, without blur", b->plain);
  print_rate("augment, one thread, blur 0.5", b->blurred);
  if (!b->dataset) return;
  char words[64];
  snprintf(words, sizeof words, "load, %lld threads, without blur", (long long)b->workers);
  print_rate("read, check, decode, one thread", b->reading);
  print_rate(words, b->loading);
}

static void print_json_rate(const char *key, pl_spread r) {
  printf(", \"%s\": {\"median\": %.6g, \"low\": %.6g, \"high\": %.6g}", key, r.median, r.low,
         r.high);
}

static void print_json(const bench *b) {
  printf("{\"unit\": \"samples/s\", \"views\": %d, \"source\": %lld, \"size\": %lld", VIEWS,
         (long long)b->source, (long long)b->size);
  print_json_rate("augment", b->plain);
  print_json_rate("augment_blur", b->blurred);
  if (b->dataset) {
    printf(", \"workers\": %lld", (long long)b->workers);
    print_json_rate("read", b->reading);
    print_json_rate("loader", b->loading);
  }
  printf("}\n");
}

static void free_all(bench *b) {
  pl_loader_destroy(&b->loader);
  pl_dataset_close(&b->dataset);
  pl_image_free(&b->read_image);
  for (int k = 0; b->images && k < IMAGES; k++) pl_image_free(&b->images[k]);
  pl_free(b->images);
  pl_free(b->view);
  pl_augment_scratch_free(&b->scratch);
}

static pl_status bench_data(pl_comm *comm, const pl_command *command, int argc, char **argv) {
  bench b = {.source = 0, .size = 32, .workers = 1, .repeats = 5, .seconds = 1};
  const pl_option table[] = {
      {"data", PL_OPTION_TEXT, &b.folder, "dataset; without it only augmentation is measured", 0, 0,
       NULL},
      {"size", PL_OPTION_INT, &b.size, "side of the views", 1, 2048, NULL},
      {"source", PL_OPTION_INT, &b.source, "side of the made images; 0: as the views", 0, 8192,
       NULL},
      {"workers", PL_OPTION_INT, &b.workers, "loader threads", 1, 1024, NULL},
      {"seconds", PL_OPTION_REAL, &b.seconds, "time of each measurement", 0.01, 600, NULL},
      {"repeats", PL_OPTION_INT, &b.repeats, "measurements, of which the median counts", 1,
       REPEATS_MAX, NULL},
      {"json", PL_OPTION_FLAG, &b.json, "one JSON object instead of text", 0, 0, NULL},
      {0}};
  bool helped = false;
  int operands = 0;
  PL_TRY(pl_options_parse(command, table, argc, argv, 0, 0, NULL, &operands, &helped));
  if (helped || pl_comm_rank(comm) != 0) return PL_OK;
  if (b.source == 0) b.source = b.size;
  pl_status status = bench_augment(&b);
  if (status == PL_OK && b.folder) status = bench_dataset(&b);
  if (status == PL_OK) (b.json ? print_json : print_text)(&b);
  free_all(&b);
  return status;
}

const pl_command pl_cmd_bench_data = {.name = "bench data",
                                      .operands = "",
                                      .summary = "rates of reading, augmenting and loading",
                                      .run = bench_data};
