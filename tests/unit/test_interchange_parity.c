/* Models whose weights are given by a formula, and pass through a file, compute what torchvision's
 * and open_clip's do with the same weights (tests/parity/interchange_reference.py). */
#include <string.h>

#include "runtime/base/memory.h"
#include "tests/check.h"
#include "tests/unit/interchange_fixture.h"

static const char resnet50[] =
    "model: {encoder: resnet50, stem: imagenet, image_size: 64}\n"
    "method: {name: simclr, projector: [16, 8]}\n";
static const char clip[] =
    "model: {encoder: vit_tiny, width: 32, layers: 2, heads: 2, patch: 16, image_size: 64,\n"
    "  text: {width: 24, layers: 2, heads: 2, context: 12}}\n"
    "method: {name: clip, embedding: 16}\n";
enum { CONTEXT = 12 };

/* ---- numbers by formula, as in the script ---- */

static double formula(uint32_t seed, uint32_t place) {
  uint32_t h = place * 0x9E3779B1U + seed;
  h ^= h >> 15;
  h *= 0x85EBCA77U;
  h ^= h >> 13;
  h *= 0xC2B2AE3DU;
  h ^= h >> 16;
  return (h >> 8) / 8388608.0 - 1;
}

static uint32_t formula_seed(const char *name) {
  uint32_t hash = 2166136261U;
  for (; *name; name++) hash = (hash ^ (unsigned char)*name) * 16777619U;
  return hash;
}

static bool ends_with(const char *name, const char *end) {
  size_t length = strlen(name), tail = strlen(end);
  return length >= tail && strcmp(name + length - tail, end) == 0;
}

static void fill(const char *name, int dims, int64_t count, int64_t fan_in, float *values) {
  uint32_t seed = formula_seed(name);
  bool weight = ends_with(name, "weight");
  bool positive = ends_with(name, "running_var") || (weight && dims == 1);
  for (int64_t i = 0; i < count; i++) {
    double u = formula(seed, (uint32_t)i);
    double scaled = weight ? u * sqrt(6.0 / (double)fan_in) : 0.125 * u;
    values[i] = (float)(positive ? 0.75 + 0.25 * u : scaled);
  }
}

/* By the names without `prefix`. */
static void fill_model(model *m, const char *prefix) {
  size_t start = strlen(prefix);
  for (int p = 0; p < pl_space_params(m->state.space); p++) {
    const pl_param *param = pl_space_param(m->state.space, p);
    fill(param->name + start, param->dims, param->count, param->count / param->dim[0],
         m->state.master + param->first_block * PL_BLOCK);
  }
  for (int b = 0; b < pl_space_buffers(m->state.space); b++) {
    const pl_buffer *buffer = pl_space_buffer(m->state.space, b);
    fill(buffer->name + start, 1, buffer->count, 1, m->state.buffers + buffer->offset);
  }
  model_gather(m);
}

enum { ROWS = 2, PIXELS = ROWS * 64 * 64 * 3 };

static void fill_images(float *images) {
  for (uint32_t i = 0; i < PIXELS; i++) images[i] = (float)formula(formula_seed("images"), i);
}

static void fill_texts(int32_t ids[ROWS][CONTEXT]) {
  for (uint32_t row = 0; row < ROWS; row++) {
    uint32_t end = 5 + row;
    for (uint32_t i = 0; i < CONTEXT; i++) {
      double u = formula(formula_seed("texts"), row * CONTEXT + i);
      ids[row][i] = i < end ? (int32_t)((u + 1) / 2 * (MODEL_VOCABULARY - 1)) : 0;
    }
    ids[row][end] = MODEL_VOCABULARY - 1;
  }
}

/* ---- comparing with what was stored ---- */

static pl_status fetch(void *context, int64_t leaf, const void **input) {
  (void)leaf;
  *input = context;
  return PL_OK;
}

static void run_part(const model *m, pl_part part, void *input, float *out) {
  pl_net *net = NULL;
  pl_exec *exec = NULL;
  pl_ranks alone = pl_ranks_alone();
  pl_exec_options options = {.leaves = 1, .total_leaves = 1, .ranks = &alone};
  CHECK_OK(pl_method_compile_part(m->method, part, ROWS, &net));
  CHECK_OK(pl_net_load(net, m->state.image, m->state.buffers));
  CHECK_OK(pl_exec_create(net, &options, &exec));
  CHECK_OK(pl_exec_forward(exec, fetch, input, out, NULL));
  pl_exec_destroy(&exec);
  pl_net_destroy(&net);
}

static void check_stored(const char *name, const float *values, size_t count) {
  char stored[PL_PATH_MAX], *expected = NULL;
  size_t size;
  double largest = 0, error = 0;
  CHECK_OK(pl_path_join(PL_TEST_FOLDER "/../parity/interchange", name, stored));
  CHECK_OK(pl_read_file(stored, 1 << 20, &expected, &size));
  assert_int_equal(size, count * sizeof *values);
  for (size_t i = 0; i < count; i++) {
    float theirs;
    memcpy(&theirs, expected + i * sizeof theirs, sizeof theirs);
    assert_false(isnan(values[i]));
    largest = fmax(largest, fabs((double)theirs));
    error = fmax(error, fabs((double)values[i] - (double)theirs));
  }
  print_message("%s: largest difference %.2g of the largest value\n", name, error / largest);
  CHECK_NEAR(error / largest, 0, 1e-5);
  pl_free(expected);
}

/* ---- tests ---- */

/* The weights go through a file into another model. */
static void a_resnet_50_computes_what_torchvisions_does(void **state) {
  (void)state;
  enum { FEATURES = ROWS * 2048 };
  model *from = model_make(resnet50, 1), *to = model_make(resnet50, 2);
  pl_interchange_plan plan;
  float *images = pl_alloc(PIXELS, sizeof *images), *out = pl_alloc(FEATURES, sizeof *out);
  fill_model(from, "encoder.");
  model_export(from, true);
  CHECK_OK(model_import(to, &plan));
  model_gather(to);
  fill_images(images);
  run_part(to, PL_PART_ENCODER, images, out);
  check_stored("resnet50.bin", out, FEATURES);
  pl_free(out);
  pl_free(images);
  pl_interchange_plan_free(&plan);
  model_free(to);
  model_free(from);
}

static void two_towers_compute_what_open_clips_do(void **state) {
  (void)state;
  enum { WIDTH = 16 };
  model *from = model_make(clip, 1), *to = model_make(clip, 2);
  pl_interchange_plan plan;
  float *images = pl_alloc(PIXELS, sizeof *images), out[2][ROWS][WIDTH];
  int32_t texts[ROWS][CONTEXT];
  fill_model(from, "");
  model_export(from, false);
  CHECK_OK(model_import(to, &plan));
  model_gather(to);
  fill_images(images);
  fill_texts(texts);
  run_part(to, PL_PART_IMAGES, images, out[0][0]);
  run_part(to, PL_PART_TEXTS, texts, out[1][0]);
  check_stored("clip.bin", out[0][0], sizeof out / sizeof(float));
  pl_free(images);
  pl_interchange_plan_free(&plan);
  model_free(to);
  model_free(from);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_resnet_50_computes_what_torchvisions_does),
      cmocka_unit_test(two_towers_compute_what_open_clips_do),
  };
  return cmocka_run_group_tests(tests, file_setup, file_teardown);
}
