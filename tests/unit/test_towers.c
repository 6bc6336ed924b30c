/* models: the towers of CLIP have the parameters of the published model, by name and number. */
#include <stdio.h>

#include "models/text_transformer.h"
#include "models/vit.h"
#include "tests/check.h"

static int64_t parameters(const pl_space *space) {
  int64_t sum = 0;
  for (int p = 0; p < pl_space_params(space); p++) sum += pl_space_param(space, p)->count;
  return sum;
}

static void check_param(const pl_space *space, const char *name, pl_param_kind kind, int64_t rows,
                        int64_t columns) {
  int index = pl_space_find(space, name);
  if (index < 0) fail_msg("no parameter %s", name);
  const pl_param *param = pl_space_param(space, index);
  assert_int_equal(param->kind, kind);
  assert_int_equal(param->dim[0], rows);
  assert_int_equal(param->dims, columns > 0 ? 2 : 1);
  if (columns > 0) assert_int_equal(param->dim[1], columns);
}

/* ViT-B/32 of OpenAI's CLIP: 151,277,313 parameters with the temperature. */
static void sizes_are_those_of_the_published_model(void **state) {
  (void)state;
  enum { EMBEDDING = 512 };
  const pl_vit_options image = {
      .patch = 32, .width = 768, .blocks = {.layers = 12, .heads = 12, .mlp_ratio = 4}};
  const pl_text_options text = {
      .vocabulary = 49408,
      .context = 77,
      .width = 512,
      .blocks = {.layers = 12, .heads = 8, .mlp_ratio = 4, .causal = true}};
  pl_space *space = NULL;
  pl_graph *images = NULL, *texts = NULL;
  CHECK_OK(pl_space_create(&space));
  CHECK_OK(pl_graph_create(space, "", &images));
  CHECK_OK(pl_graph_create(space, "", &texts));
  pl_value x = pl_input(images, (pl_shape){224, 224, 3});
  x = pl_project(images, "visual.proj", pl_vit(images, "visual.", &image, x), EMBEDDING, true, 1);
  assert_int_equal(pl_graph_value_shape(images, x).channels, EMBEDDING);
  pl_value y = pl_text_transformer(texts, "", &text, pl_tokens(texts, text.context));
  y = pl_project(texts, "text_projection", y, EMBEDDING, true, 1);
  assert_int_equal(pl_graph_value_shape(texts, y).channels, EMBEDDING);
  CHECK_OK(pl_graph_finish(images));
  CHECK_OK(pl_graph_finish(texts));
  assert_int_equal(parameters(space), 151277312);

  check_param(space, "visual.class_embedding", PL_PARAM_BIAS, 768, 0);
  check_param(space, "visual.positional_embedding", PL_PARAM_WEIGHT, 50, 768);
  check_param(space, "visual.ln_pre.weight", PL_PARAM_GAIN, 768, 0);
  check_param(space, "visual.transformer.resblocks.11.attn.in_proj_weight", PL_PARAM_WEIGHT, 2304,
              768);
  check_param(space, "visual.transformer.resblocks.0.attn.in_proj_bias", PL_PARAM_BIAS, 2304, 0);
  check_param(space, "visual.transformer.resblocks.0.attn.out_proj.weight", PL_PARAM_WEIGHT, 768,
              768);
  check_param(space, "visual.proj", PL_PARAM_WEIGHT, 768, 512);
  check_param(space, "token_embedding.weight", PL_PARAM_WEIGHT, 49408, 512);
  check_param(space, "positional_embedding", PL_PARAM_WEIGHT, 77, 512);
  check_param(space, "transformer.resblocks.3.mlp.c_fc.weight", PL_PARAM_WEIGHT, 2048, 512);
  check_param(space, "transformer.resblocks.3.mlp.c_proj.bias", PL_PARAM_BIAS, 512, 0);
  check_param(space, "ln_final.bias", PL_PARAM_BIAS, 512, 0);
  check_param(space, "text_projection", PL_PARAM_WEIGHT, 512, 512);
  pl_graph_destroy(&texts);
  pl_graph_destroy(&images);
  pl_space_destroy(&space);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(sizes_are_those_of_the_published_model),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
