/* Models whose weights are given by a formula, and pass through a file, compute what torchvision's
 * and open_clip's do with the same weights (tests/parity/interchange_reference.py). */
#include <string.h>

#include "runtime/base/memory.h"
#include "tests/check.h"
#include "tests/unit/interchange_fixture.h"
#include "tests/unit/stored.h"

static const char resnet50[] =
    "model: {encoder: resnet50, stem: imagenet, image_size: 224}\n"
    "method: {name: simclr, projector: [16, 8]}\n";
static const char clip[] =
    "model: {encoder: vit_tiny, width: 32, layers: 2, heads: 2, patch: 16, image_size: 64,\n"
    "  text: {width: 24, layers: 2, heads: 2, context: 12}}\n"
    "method: {name: clip, embedding: 16}\n";
enum { ROWS = 2, CONTEXT = 12 };

/* ---- tests ---- */

/* The weights go through a file into another model. */
static void a_resnet_50_computes_what_torchvisions_does(void **state) {
  (void)state;
  enum { SIDE = 224, PIXELS = ROWS * SIDE * SIDE * 3, FEATURES = ROWS * 2048 };
  model *from = model_make(resnet50, 1), *to = model_make(resnet50, 2);
  pl_interchange_plan plan;
  float *images = pl_alloc(PIXELS, sizeof *images), *out = pl_alloc(FEATURES, sizeof *out);
  formula_fill(&from->state, strlen("encoder."));
  model_gather(from);
  model_export(from, true);
  CHECK_OK(model_import(to, &plan));
  model_gather(to);
  formula_images("images", ROWS, SIDE, images);
  stored_run_part(to->method, &to->state, PL_PART_ENCODER, ROWS, images, out);
  stored_check_values("interchange/resnet50.bin", out, FEATURES);
  pl_free(out);
  pl_free(images);
  pl_interchange_plan_free(&plan);
  model_free(to);
  model_free(from);
}

static void two_towers_compute_what_open_clips_do(void **state) {
  (void)state;
  enum { SIDE = 64, PIXELS = ROWS * SIDE * SIDE * 3, WIDTH = 16 };
  model *from = model_make(clip, 1), *to = model_make(clip, 2);
  pl_interchange_plan plan;
  float *images = pl_alloc(PIXELS, sizeof *images), out[2][ROWS][WIDTH];
  int32_t texts[ROWS][CONTEXT];
  formula_fill(&from->state, 0);
  model_gather(from);
  model_export(from, false);
  CHECK_OK(model_import(to, &plan));
  model_gather(to);
  formula_images("images", ROWS, SIDE, images);
  formula_texts(ROWS, CONTEXT, MODEL_VOCABULARY, texts[0]);
  stored_run_part(to->method, &to->state, PL_PART_IMAGES, ROWS, images, out[0][0]);
  stored_run_part(to->method, &to->state, PL_PART_TEXTS, ROWS, texts, out[1][0]);
  stored_check_values("interchange/clip.bin", out[0][0], sizeof out / sizeof(float));
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
