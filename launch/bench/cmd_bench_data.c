/* plenum bench data: how fast samples are read, augmented and loaded; with --device cuda, how fast
 * a GPU makes the views of what is read, in stages and all of them at the same time. Not
 * collective: rank 0 measures, other ranks return at once. */
#include <stdio.h>

#include "launch/bench/bench.h"
#include "launch/bench/device_views.h"
#include "launch/device.h"
#include "runtime/base/memory.h"
#include "runtime/data/loader.h"

enum { VIEWS = 2, IMAGES = 64, LEAF = 64, LEAVES = 4, STAGES_MAX = 5 };
enum { DEVICE_CPU, DEVICE_CUDA };

/* What was measured, in samples a second. */
typedef struct stage {
  const char *key;
  char words[64];
  pl_spread per_second;
} stage;

typedef struct bench {
  const char *folder; /* NULL: augmentation of made images only */
  int64_t source, size, workers, repeats, device;
  double seconds;

  pl_augment_options augment;
  pl_image *images; /* (IMAGES) */
  pl_augment_scratch scratch;
  float *view;
  int64_t done; /* samples so far: no two rounds see the same random numbers */

  pl_dataset *dataset;
  pl_image read_image;
  pl_loader *loader;
  pl_device_views on_device;

  stage stages[STAGES_MAX];
  int count;
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

/* state: the work's. */
static pl_status measure(bench *b, pl_bench_work work, void *state, const char *key,
                         const char *words) {
  stage *next = &b->stages[b->count++];
  next->key = key;
  snprintf(next->words, sizeof next->words, "%s", words);
  return pl_bench_timed(work, state, b->seconds, b->repeats, &next->per_second);
}

static pl_status bench_augment(bench *b) {
  PL_TRY(make_images(b));
  b->augment = simclr_augment((int)b->size, 0);
  PL_TRY(measure(b, augment_round, b, "augment", "augment, one thread, without blur"));
  b->augment = simclr_augment((int)b->size, 0.5);
  return measure(b, augment_round, b, "augment_blur", "augment, one thread, blur 0.5");
}

static pl_status bench_reading(bench *b) {
  PL_TRY(pl_dataset_open(b->folder, &b->dataset));
  return measure(b, read_round, b, "read", "read, check, decode, one thread");
}

static pl_loader_options loader_options(const bench *b, double blur) {
  const int64_t steps = 1000000; /* more than anyone waits for */
  return (pl_loader_options){.dataset = b->dataset,
                             .augment = simclr_augment((int)b->size, blur),
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
}

static pl_status bench_dataset(bench *b) {
  char words[64];
  PL_TRY(bench_reading(b));
  const pl_loader_options options = loader_options(b, 0);
  PL_TRY(pl_loader_create(&options, &b->loader));
  snprintf(words, sizeof words, "load, %lld threads, without blur", (long long)b->workers);
  return measure(b, loader_round, b, "loader", words);
}

static pl_status bench_on_device(bench *b) {
  char words[64];
  pl_device_views *v = &b->on_device;
  const pl_backend *backend;
  PL_TRY(pl_context(pl_device_open_alone(true, &backend), "--device cuda"));
  PL_TRY(bench_reading(b));
  const pl_loader_options options = loader_options(b, 0.5);
  PL_TRY(pl_device_views_make(&options, v));
  PL_TRY(measure(b, pl_device_views_upload, v, "upload", "copy to the GPU"));
  PL_TRY(measure(b, pl_device_views_draw, v, "views", "views, blur 0.5, beside copies"));
  snprintf(words, sizeof words, "load and pack, %lld threads", (long long)b->workers);
  PL_TRY(measure(b, pl_device_views_load, v, "loader", words));
  return measure(b, pl_device_views_feed, v, "feed", "all at the same time");
}

static pl_status run(void *state, pl_comm *comm) {
  (void)comm;
  bench *b = state;
  if (b->device == DEVICE_CUDA) return bench_on_device(b);
  PL_TRY(bench_augment(b));
  return b->folder ? bench_dataset(b) : PL_OK;
}

static void print_text(void *state) {
  static const pl_spread_format rate = {36, 10, 0, " samples/s"};
  const bench *b = state;
  char device[PL_DEVICE_TEXT];
  pl_device_name(device);
  printf("%d views a sample, of %lld pixels, on %s", VIEWS, (long long)b->size, device);
  if (b->images) printf(", made images of %lld pixels", (long long)b->source);
  printf("; median [least, most] of %lld\n", (long long)b->repeats);
  for (int i = 0; i < b->count; i++) {
    pl_spread_print(&rate, b->stages[i].words, b->stages[i].per_second);
    putchar('\n');
  }
}

static void print_json(void *state) {
  const bench *b = state;
  char device[PL_DEVICE_TEXT];
  pl_device_name(device);
  printf("{\"unit\": \"samples/s\", \"views\": %d, \"size\": %lld, \"device\": \"%s\"", VIEWS,
         (long long)b->size, device);
  if (b->images) printf(", \"source\": %lld", (long long)b->source);
  if (b->dataset) printf(", \"workers\": %lld", (long long)b->workers);
  for (int i = 0; i < b->count; i++)
    pl_spread_print_json(b->stages[i].key, b->stages[i].per_second);
  printf("}\n");
}

static void release(void *state) {
  bench *b = state;
  pl_loader_destroy(&b->loader);
  pl_device_views_free(&b->on_device);
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
      {"device", PL_OPTION_CHOICE, &b->device, "what makes the views; cuda: the first GPU", 0, 0,
       "cpu|cuda"},
      {"seconds", PL_OPTION_REAL, &b->seconds, "time of each measurement", 0.01, 600, NULL},
      {"repeats", PL_OPTION_INT, &b->repeats, "measurements, of which the median counts", 1,
       PL_BENCH_REPEATS, NULL},
      {0}};
  PL_TRY(pl_bench_parse(asked, table, NULL));
  if (b->source == 0) b->source = b->size;
  if (!asked->helped && b->device == DEVICE_CUDA && !b->folder)
    return PL_FAIL(PL_E_USAGE, "--device cuda makes views of what is read: it wants --data");
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
