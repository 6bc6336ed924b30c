/* Models as they are published, in f32, against PyTorch in double precision: the embeddings of
 * images and texts, and the loss and gradient of a step. */
#include <string.h>

#include "runtime/base/memory.h"
#include "tests/check.h"
#include "tests/unit/step_check.h"

static void check(const char *stored, const char *yaml, int vocabulary) {
  pl_comm *comm = NULL;
  pl_config *config = pl_alloc(1, sizeof *config);
  assert_non_null(config);
  pl_config_defaults(config);
  CHECK_OK(pl_config_parse(config, "test", yaml, strlen(yaml)));
  CHECK_OK(pl_comm_create_self(&comm));
  step_check(comm, stored, config, vocabulary, 1e-4);
  pl_comm_destroy(&comm);
  pl_free(config);
}

/* Both towers of CLIP's ViT-B/32, 151 million parameters. */
static void vit_b_32_equals_open_clips(void **state) {
  (void)state;
  check("vit_b_32",
        "model: {encoder: vit_base, patch: 32, image_size: 224,\n"
        "  text: {width: 512, layers: 12, heads: 8, context: 77}}\n"
        "method: {name: clip, embedding: 512}\n"
        "batch: {global: 2, micro: 2}\n",
        49408);
}

/* As image tower, beside a small tower of texts. Images are small because single precision can't
 * agree with double where the input of a ReLU is next to zero: with large ones there is such an
 * input among all of any batch. */
static void resnet50_equals_torchvisions(void **state) {
  (void)state;
  check("resnet50",
        "model: {encoder: resnet50, stem: imagenet, image_size: 64, norm: {scope: global},\n"
        "  text: {width: 24, layers: 2, heads: 2, context: 12}}\n"
        "method: {name: clip, embedding: 128}\n"
        "batch: {global: 2, micro: 1}\n",
        40);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(vit_b_32_equals_open_clips),
      cmocka_unit_test(resnet50_equals_torchvisions),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
