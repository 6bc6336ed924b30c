/* plenum bench data: how fast samples are read, augmented and loaded. Not collective: rank 0
 * measures, other ranks return at once. */
#include <stdio.h>

#include "launch/bench/bench.h"
#include "runtime/base/memory.h"
#include "runtime/data/loader.h"

enum { VIEWS = 2, IMAGES = 64, LEAF = 64, LEAVES = 4 };

typedef struct bench {
  const char *folder; /* NULL: augmentation of made images only */
  int64_t source, size, workers, repeats;
  double seconds;

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

static pl_status augment_round(void *state, double *samples) {
  bench *b = state;
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

static pl_status read_round(void *state, double *samples) {
  bench *b = state;
  int64_t n = pl_dataset_get_info(b->dataset)->samples;
  for (int k = 0; k < IMAGES; k++, b->done++) {
    PL_TRY(pl_dataset_read_image(b->dataset, b->done % n, &b->read_image));
  }
  *samples += IMAGES;
  return PL_OK;
}

static pl_status loader_round(void *state, double *samples) {
  bench *b = state;
  pl_loader_leaf leaf;
  PL_TRY(pl_loader_next(b->loader, &leaf));
  *samples += LEAF;
  return PL_OK;
}

static pl_status measure(bench *b, pl_bench_work work, pl_spread *per_second) {
  return pl_bench_timed(work, b, b->seconds, b->repeats, per_second);
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

static pl_status run(void *state, pl_comm *comm) {
  (void)comm;
  bench *b = state;
  PL_TRY(bench_augment(b));
  return b->folder ? bench_dataset(b) : PL_OK;
}

static void print_rate(const char *words, pl_spread r) {
  static const pl_spread_format rate = {36, 10, 0, " samples/s"};
  pl_spread_print(&rate, words, r);
  putchar('\n');
}

static void print_text(void *state) {
  const bench *b = state;
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

static void print_json(void *state) {
  const bench *b = state;
  printf("{\"unit\": \"samples/s\", \"views\": %d, \"source\": %lld, \"size\": %lld", VIEWS,
         (long long)b->source, (long long)b->size);
  pl_spread_print_json("augment", b->plain);
  pl_spread_print_json("augment_blur", b->blurred);
  if (b->dataset) {
    printf(", \"workers\": %lld", (long long)b->workers);
    pl_spread_print_json("read", b->reading);
    pl_spread_print_json("loader", b->loading);
  }
  printf("}\n");
}

static void release(void *state) {
  bench *b = state;
  pl_loader_destroy(&b->loader);
  pl_dataset_close(&b->dataset);
  pl_image_free(&b->read_image);
  for (int k = 0; b->images && k < IMAGES; k++) pl_image_free(&b->images[k]);
  pl_free(b->images);
  pl_free(b->view);
  pl_augment_scratch_free(&b->scratch);
}

static pl_status parse(void *state, pl_bench_asked *asked) {
  bench *b = state;
  b->size = 32;
  b->workers = 1;
  b->repeats = 5;
  b->seconds = 1;
  const pl_option table[] = {
      {"data", PL_OPTION_TEXT, &b->folder, "dataset; without it only augmentation is measured", 0,
       0, NULL},
      {"size", PL_OPTION_INT, &b->size, "side of the views", 1, 2048, NULL},
      {"source", PL_OPTION_INT, &b->source, "side of the made images; 0: as the views", 0, 8192,
       NULL},
      {"workers", PL_OPTION_INT, &b->workers, "loader threads", 1, 1024, NULL},
      {"seconds", PL_OPTION_REAL, &b->seconds, "time of each measurement", 0.01, 600, NULL},
      {"repeats", PL_OPTION_INT, &b->repeats, "measurements, of which the median counts", 1,
       PL_BENCH_REPEATS, NULL},
      {0}};
  PL_TRY(pl_bench_parse(asked, table, NULL));
  if (b->source == 0) b->source = b->size;
  return PL_OK;
}

static const pl_bench frame = {.bytes = sizeof(bench),
                               .parse = parse,
                               .run = run,
                               .print_text = print_text,
                               .print_json = print_json,
                               .release = release};

const pl_command pl_cmd_bench_data = {.name = "bench data",
                                      .operands = "",
                                      .summary = "rates of reading, augmenting and loading",
                                      .run = pl_bench_command,
                                      .subject = &frame};
