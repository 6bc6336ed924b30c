/* Weights in files of other programs: names, shapes, and what does not fit. */
#include <string.h>

#include "runtime/base/memory.h"
#include "tests/check.h"
#include "tests/unit/interchange_fixture.h"

static const char resnet[] =
    "model: {encoder: resnet18, stem: cifar, width: 8, image_size: 16}\n"
    "method: {name: simclr, projector: [12, 8]}\n"
    "optim: {average: 0.9}\n";
static const char resnet50[] =
    "model: {encoder: resnet50, stem: imagenet, width: 16, image_size: 64}\n"
    "method: {name: simclr, projector: [16, 8]}\n";
static const char siglip[] =
    "model: {encoder: vit_tiny, width: 32, layers: 1, heads: 2, patch: 8, image_size: 16,\n"
    "  text: {width: 24, layers: 1, heads: 2, context: 6}}\n"
    "method: {name: siglip, embedding: 16}\n";

static void check_import_fails(model *m, const char *words) {
  pl_interchange_plan plan;
  CHECK_FAILS(PL_E_DATA, words, model_import(m, &plan));
  pl_interchange_plan_free(&plan);
}

static size_t master_bytes(const model *m) {
  return (size_t)m->state.slice->blocks * PL_BLOCK * sizeof(float);
}

static size_t buffer_bytes(const model *m) {
  return (size_t)pl_space_buffer_elements(m->state.space) * sizeof(float);
}

/* Values that no initialisation gives. */
static void stir(model *m) {
  for (int p = 0; p < pl_space_params(m->state.space); p++) {
    const pl_param *param = pl_space_param(m->state.space, p);
    float *values = m->state.master + param->first_block * PL_BLOCK;
    for (int64_t i = 0; i < param->count; i++) values[i] = (float)(p + 1) + (float)i / 1024;
  }
  int64_t elements = pl_space_buffer_elements(m->state.space);
  for (int64_t i = 0; i < elements; i++) m->state.buffers[i] = (float)i - 0.5F;
  model_gather(m);
}

static void check_tensor(const pl_safetensors *file, const char *name, pl_safetensors_type type,
                         int dims, const int64_t *dim) {
  int index = pl_safetensors_find(file, name);
  if (index < 0) fail_msg("%s is not in the file", name);
  const pl_safetensor *tensor = pl_safetensors_tensor(file, index);
  assert_int_equal(tensor->type, type);
  assert_int_equal(tensor->dims, dims);
  if (dims > 0) assert_memory_equal(tensor->dim, dim, (size_t)dims * sizeof *dim);
}

/* torchvision's state_dict of a ResNet-50 has 320 entries, two of them the classifier's. */
static void an_encoder_has_torchvisions_names(void **state) {
  (void)state;
  model *m = model_make(resnet50, 1);
  pl_safetensors *file = NULL;
  model_export(m, true);
  CHECK_OK(pl_safetensors_open(file_path, &file));
  assert_int_equal(pl_safetensors_count(file), 318);
  check_tensor(file, "conv1.weight", PL_SAFETENSORS_F32, 4, (const int64_t[]){16, 3, 7, 7});
  check_tensor(file, "layer4.2.bn3.running_var", PL_SAFETENSORS_F32, 1, (const int64_t[]){512});
  check_tensor(file, "layer2.0.downsample.1.bias", PL_SAFETENSORS_F32, 1, (const int64_t[]){128});
  check_tensor(file, "bn1.num_batches_tracked", PL_SAFETENSORS_I64, 0, NULL);
  pl_safetensors_close(&file);
  model_free(m);
}

static void two_towers_have_open_clips_names(void **state) {
  (void)state;
  model *m = model_make(siglip, 1);
  pl_safetensors *file = NULL;
  model_export(m, false);
  assert_true(pl_interchange_has_towers(m->state.space));
  CHECK_OK(pl_safetensors_open(file_path, &file));
  assert_int_equal(pl_safetensors_count(file), pl_space_params(m->state.space));
  check_tensor(file, "logit_scale", PL_SAFETENSORS_F32, 0, NULL);
  check_tensor(file, "logit_bias", PL_SAFETENSORS_F32, 0, NULL);
  check_tensor(file, "visual.proj", PL_SAFETENSORS_F32, 2, (const int64_t[]){32, 16});
  check_tensor(file, "visual.conv1.weight", PL_SAFETENSORS_F32, 4, (const int64_t[]){32, 3, 8, 8});
  check_tensor(file, "visual.class_embedding", PL_SAFETENSORS_F32, 1, (const int64_t[]){32});
  check_tensor(file, "positional_embedding", PL_SAFETENSORS_F32, 2, (const int64_t[]){6, 24});
  check_tensor(file, "text_projection", PL_SAFETENSORS_F32, 2, (const int64_t[]){24, 16});
  pl_safetensors_close(&file);
  model_export(m, true);
  CHECK_OK(pl_safetensors_open(file_path, &file));
  check_tensor(file, "proj", PL_SAFETENSORS_F32, 2, (const int64_t[]){32, 16});
  assert_int_equal(pl_safetensors_find(file, "text_projection"), -1);
  pl_safetensors_close(&file);
  model_free(m);
}

static void the_whole_comes_back(void **state) {
  (void)state;
  static const char *const yamls[] = {resnet, siglip};
  for (int k = 0; k < 2; k++) {
    model *from = model_make(yamls[k], 1), *to = model_make(yamls[k], 2);
    pl_interchange_plan plan;
    stir(from);
    model_export(from, false);
    CHECK_OK(model_import(to, &plan));
    assert_false(plan.encoder_alone);
    assert_int_equal(plan.seeded, 0);
    assert_string_equal(plan.seeded_names, "");
    assert_memory_equal(to->state.master, from->state.master, master_bytes(to));
    assert_memory_equal(to->state.buffers, from->state.buffers, buffer_bytes(to));
    if (to->state.average) {
      assert_memory_equal(to->state.average, from->state.master, master_bytes(to));
      assert_memory_equal(to->state.average_buffers, from->state.buffers, buffer_bytes(to));
    }
    pl_interchange_plan_free(&plan);
    model_free(to);
    model_free(from);
  }
}

/* What the file of an encoder lacks stays as the seed made it. */
static void an_encoder_comes_back_alone(void **state) {
  (void)state;
  model *from = model_make(resnet, 1), *to = model_make(resnet, 2), *fresh = model_make(resnet, 2);
  pl_interchange_plan plan;
  stir(from);
  model_export(from, true);
  CHECK_OK(model_import(to, &plan));
  assert_true(plan.encoder_alone);
  assert_string_equal(plan.seeded_names,
                      "projector.0.weight, projector.1.weight, projector.1.bias, "
                      "projector.3.weight, projector.3.bias, projector.1.running_mean, "
                      "projector.1.running_var");
  assert_int_equal(plan.seeded, 7);
  for (int p = 0; p < pl_space_params(to->state.space); p++) {
    const pl_param *param = pl_space_param(to->state.space, p);
    bool projector = strncmp(param->name, "projector.", 10) == 0;
    const float *source = projector ? fresh->state.master : from->state.master;
    int64_t first = param->first_block * PL_BLOCK;
    assert_memory_equal(to->state.master + first, source + first,
                        (size_t)(param->blocks * PL_BLOCK) * sizeof *source);
  }
  pl_interchange_plan_free(&plan);
  model_free(fresh);
  model_free(to);
  model_free(from);
}

/* The list of a model's parameters and buffers, for changing before it is written. */
static pl_interchange_list list_of(const model *m, bool encoder_alone) {
  pl_interchange_list list;
  int kept = 0;
  CHECK_OK(pl_interchange_list_make(&m->state, encoder_alone, &list));
  for (int t = 0; t < list.count; t++) {
    if (list.tensor[t].type == PL_SAFETENSORS_F32) list.tensor[kept++] = list.tensor[t];
  }
  list.count = kept;
  return list;
}

static pl_safetensor *find_in(pl_interchange_list *list, const char *name) {
  for (int t = 0; t < list->count; t++) {
    if (strcmp(list->tensor[t].name, name) == 0) return &list->tensor[t];
  }
  fail_msg("%s is not in the list", name);
  return NULL;
}

static void differences_are_named_together(void **state) {
  (void)state;
  model *m = model_make(resnet, 1);
  pl_interchange_list list = list_of(m, true);
  const int64_t number = 1;
  snprintf(find_in(&list, "bn1.bias")->name, PL_SAFETENSORS_NAME, "bn1.offset");
  pl_safetensor *conv = find_in(&list, "conv1.weight"), *mean = find_in(&list, "bn1.running_mean");
  conv->dims = 2;
  conv->dim[1] *= 9;
  mean->type = PL_SAFETENSORS_I64;
  mean->dim[0] = mean->count = 1;
  mean->values = &number;
  CHECK_OK(pl_safetensors_write(file_path, list.tensor, list.count, NULL));
  check_import_fails(m, "differ in 4 tensors: ");
  static const char *const named[] = {
      "bn1.bias is missing", "bn1.offset is not in the model",
      "conv1.weight has shape (8, 27) in the file, (8, 3, 3, 3) in the model",
      "bn1.running_mean has shape (1) in the file, (8) in the model"};
  for (size_t i = 0; i < sizeof named / sizeof *named; i++) {
    check_import_fails(m, named[i]);
  }
  pl_interchange_list_free(&list);
  model_free(m);
}

static void types_that_are_not_read_are_named(void **state) {
  (void)state;
  model *m = model_make(siglip, 1);
  pl_interchange_list list = list_of(m, false);
  const int64_t number = 1;
  pl_safetensor *scale = find_in(&list, "logit_scale");
  scale->type = PL_SAFETENSORS_I64;
  scale->values = &number;
  CHECK_OK(pl_safetensors_write(file_path, list.tensor, list.count, NULL));
  check_import_fails(m, "logit_scale is neither f32 nor f16 nor bf16");
  pl_interchange_list_free(&list);
  model_free(m);
}

static void all_tensors_of_another_model_are_counted(void **state) {
  (void)state;
  model *deep = model_make(resnet50, 1), *m = model_make(resnet, 1);
  model_export(deep, true);
  check_import_fails(m, "more, named in the log");
  model_free(m);
  model_free(deep);
}

static void what_is_no_parameter_is_left(void **state) {
  (void)state;
  model *m = model_make(resnet, 1);
  pl_interchange_list list = list_of(m, true);
  const float numbers[10] = {0};
  const int64_t position = 1;
  pl_interchange_plan plan;
  pl_safetensor *more = pl_alloc((size_t)list.count + 3, sizeof *more);
  assert_non_null(more);
  more[0] = (pl_safetensor){"position_ids", PL_SAFETENSORS_I64, 1, {1}, 1, &position};
  memcpy(more + 1, list.tensor, (size_t)list.count * sizeof *more);
  more[list.count + 1] = (pl_safetensor){"fc.weight", PL_SAFETENSORS_F32, 2, {5, 2}, 10, numbers};
  more[list.count + 2] = (pl_safetensor){"fc.bias", PL_SAFETENSORS_F32, 1, {5}, 5, numbers};
  CHECK_OK(pl_safetensors_write(file_path, more, list.count + 3, NULL));
  CHECK_OK(model_import(m, &plan));
  assert_string_equal(plan.left_names, "fc.weight, fc.bias");
  pl_interchange_plan_free(&plan);
  pl_free(more);
  pl_interchange_list_free(&list);
  model_free(m);
}

static void an_encoder_may_lack_the_projection(void **state) {
  (void)state;
  model *from = model_make(siglip, 1), *to = model_make(siglip, 2);
  pl_interchange_list list = list_of(from, true);
  pl_interchange_plan plan;
  pl_safetensor *projection = find_in(&list, "proj");
  *projection = list.tensor[--list.count];
  CHECK_OK(pl_safetensors_write(file_path, list.tensor, list.count, NULL));
  CHECK_OK(model_import(to, &plan));
  assert_non_null(strstr(plan.seeded_names, "visual.proj"));
  assert_non_null(strstr(plan.seeded_names, "logit_bias"));
  assert_int_equal(plan.taken, list.count);
  pl_interchange_plan_free(&plan);
  pl_interchange_list_free(&list);
  model_free(to);
  model_free(from);
}

static void a_number_may_have_a_dimension(void **state) {
  (void)state;
  model *from = model_make(siglip, 1), *to = model_make(siglip, 2);
  pl_interchange_list list = list_of(from, false);
  pl_interchange_plan plan;
  pl_safetensor *scale = find_in(&list, "logit_scale");
  scale->dims = 1;
  scale->dim[0] = 1;
  CHECK_OK(pl_safetensors_write(file_path, list.tensor, list.count, NULL));
  CHECK_OK(model_import(to, &plan));
  assert_memory_equal(to->state.master, from->state.master, master_bytes(to));
  pl_interchange_plan_free(&plan);
  pl_interchange_list_free(&list);
  model_free(to);
  model_free(from);
}

static void values_are_finite(void **state) {
  (void)state;
  model *from = model_make(resnet, 1), *to = model_make(resnet, 2);
  const pl_param *param = pl_space_param(from->state.space, 0);
  float *value = (float *)from->state.image + param->image_offset / sizeof(float) + 5;
  float kept = *value;
  *value = NAN;
  model_export(from, false);
  check_import_fails(to, "element 5 of encoder.conv1.weight is nan");
  *value = kept;
  from->state.buffers[1] = INFINITY;
  model_export(from, false);
  check_import_fails(to, "element 1 of encoder.bn1.running_mean is inf");
  model_free(to);
  model_free(from);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(an_encoder_has_torchvisions_names),
      cmocka_unit_test(two_towers_have_open_clips_names),
      cmocka_unit_test(the_whole_comes_back),
      cmocka_unit_test(an_encoder_comes_back_alone),
      cmocka_unit_test(differences_are_named_together),
      cmocka_unit_test(types_that_are_not_read_are_named),
      cmocka_unit_test(all_tensors_of_another_model_are_counted),
      cmocka_unit_test(what_is_no_parameter_is_left),
      cmocka_unit_test(an_encoder_may_lack_the_projection),
      cmocka_unit_test(a_number_may_have_a_dimension),
      cmocka_unit_test(values_are_finite),
  };
  return cmocka_run_group_tests(tests, file_setup, file_teardown);
}
