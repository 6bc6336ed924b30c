/* Weights in files of other programs: names, layouts, what does not fit; and models whose weights
 * are given by a formula, which compute what torchvision's and open_clip's do
 * (tests/parity/interchange_reference.py). */
#include <stdlib.h>
#include <string.h>

#include "comm/reduce.h"
#include "launch/interchange.h"
#include "runtime/base/file.h"
#include "runtime/base/memory.h"
#include "tests/check.h"

static char folder[] = "/tmp/plenum-interchange-XXXXXX";
static char path[PL_PATH_MAX];

static int make_folder(void **state) {
  (void)state;
  return mkdtemp(folder) && pl_path_join(folder, "w.safetensors", path) == PL_OK ? 0 : -1;
}

static int remove_folder(void **state) {
  (void)state;
  return pl_remove_tree(folder) == PL_OK ? 0 : -1;
}

/* ---- models ---- */

typedef struct model {
  pl_comm *comm;
  pl_config config;
  pl_state state;
  pl_method *method;
} model;

static const char resnet[] =
    "model: {encoder: resnet18, stem: cifar, width: 8, image_size: 16}\n"
    "method: {name: simclr, projector: [12, 8]}\n"
    "optim: {average: 0.9}\n";
static const char resnet50[] =
    "model: {encoder: resnet50, stem: imagenet, image_size: 64}\n"
    "method: {name: simclr, projector: [16, 8]}\n";
static const char siglip[] =
    "model: {encoder: vit_tiny, width: 32, layers: 1, heads: 2, patch: 8, image_size: 16,\n"
    "  text: {width: 24, layers: 1, heads: 2, context: 6}}\n"
    "method: {name: siglip, embedding: 16}\n";

static const char clip[] =
    "model: {encoder: vit_tiny, width: 32, layers: 2, heads: 2, patch: 16, image_size: 64,\n"
    "  text: {width: 24, layers: 2, heads: 2, context: 12}}\n"
    "method: {name: clip, embedding: 16}\n";
enum { VOCABULARY = 40, CONTEXT = 12 };

static model *make_model(const char *yaml, uint64_t seed) {
  model *m = pl_alloc(1, sizeof *m);
  assert_non_null(m);
  pl_config_defaults(&m->config);
  CHECK_OK(pl_config_parse(&m->config, "test", yaml, strlen(yaml)));
  CHECK_OK(pl_comm_create_self(&m->comm));
  CHECK_OK(pl_state_build(m->comm, &m->config, PL_F32, VOCABULARY, &m->state, &m->method));
  CHECK_OK(pl_state_init(m->comm, &m->state, seed));
  return m;
}

static void free_model(model *m) {
  pl_method_destroy(&m->method);
  pl_state_free(&m->state);
  pl_comm_destroy(&m->comm);
  pl_free(m);
}

static void gather(model *m) {
  CHECK_OK(
      pl_image_gather(m->comm, m->state.space, m->state.slice, m->state.master, m->state.image));
}

static void export_model(const model *m, bool encoder_alone) {
  pl_interchange_list list;
  CHECK_OK(pl_interchange_list_make(&m->state, encoder_alone, &list));
  CHECK_OK(pl_safetensors_write(path, list.tensor, list.count, NULL));
  pl_interchange_list_free(&list);
}

/* Matches and loads the file at `path`. */
static pl_status import_model(model *m, pl_interchange_plan *plan) {
  pl_safetensors *file = NULL;
  CHECK_OK(pl_safetensors_open(path, &file));
  pl_status status = pl_interchange_match(path, file, m->state.space, false, plan);
  if (status == PL_OK) status = pl_interchange_load(path, file, plan, &m->state);
  pl_safetensors_close(&file);
  return status;
}

static void check_import_fails(model *m, const char *words) {
  pl_interchange_plan plan;
  CHECK_FAILS(PL_E_DATA, words, import_model(m, &plan));
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
  for (size_t i = 0; i < buffer_bytes(m) / sizeof(float); i++)
    m->state.buffers[i] = (float)i - 0.5F;
  gather(m);
}

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
  gather(m);
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
      ids[row][i] = i < end ? (int32_t)((u + 1) / 2 * (VOCABULARY - 1)) : 0;
    }
    ids[row][end] = VOCABULARY - 1;
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
  model *from = make_model(resnet50, 1), *to = make_model(resnet50, 2);
  pl_interchange_plan plan;
  float *images = pl_alloc(PIXELS, sizeof *images), *out = pl_alloc(FEATURES, sizeof *out);
  fill_model(from, "encoder.");
  export_model(from, true);
  CHECK_OK(import_model(to, &plan));
  gather(to);
  fill_images(images);
  run_part(to, PL_PART_ENCODER, images, out);
  check_stored("resnet50.bin", out, FEATURES);
  pl_free(out);
  pl_free(images);
  pl_interchange_plan_free(&plan);
  free_model(to);
  free_model(from);
}

static void two_towers_compute_what_open_clips_do(void **state) {
  (void)state;
  enum { WIDTH = 16 };
  model *from = make_model(clip, 1), *to = make_model(clip, 2);
  pl_interchange_plan plan;
  float *images = pl_alloc(PIXELS, sizeof *images), out[2][ROWS][WIDTH];
  int32_t texts[ROWS][CONTEXT];
  fill_model(from, "");
  export_model(from, false);
  CHECK_OK(import_model(to, &plan));
  gather(to);
  fill_images(images);
  fill_texts(texts);
  run_part(to, PL_PART_IMAGES, images, out[0][0]);
  run_part(to, PL_PART_TEXTS, texts, out[1][0]);
  check_stored("clip.bin", out[0][0], sizeof out / sizeof(float));
  pl_free(images);
  pl_interchange_plan_free(&plan);
  free_model(to);
  free_model(from);
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
  model *m = make_model(resnet50, 1);
  pl_safetensors *file = NULL;
  export_model(m, true);
  CHECK_OK(pl_safetensors_open(path, &file));
  assert_int_equal(pl_safetensors_count(file), 318);
  check_tensor(file, "conv1.weight", PL_SAFETENSORS_F32, 4, (const int64_t[]){64, 3, 7, 7});
  check_tensor(file, "layer4.2.bn3.running_var", PL_SAFETENSORS_F32, 1, (const int64_t[]){2048});
  check_tensor(file, "layer2.0.downsample.1.bias", PL_SAFETENSORS_F32, 1, (const int64_t[]){512});
  check_tensor(file, "bn1.num_batches_tracked", PL_SAFETENSORS_I64, 0, NULL);
  pl_safetensors_close(&file);
  free_model(m);
}

static void two_towers_have_open_clips_names(void **state) {
  (void)state;
  model *m = make_model(siglip, 1);
  pl_safetensors *file = NULL;
  export_model(m, false);
  assert_true(pl_interchange_has_towers(m->state.space));
  CHECK_OK(pl_safetensors_open(path, &file));
  assert_int_equal(pl_safetensors_count(file), pl_space_params(m->state.space));
  check_tensor(file, "logit_scale", PL_SAFETENSORS_F32, 0, NULL);
  check_tensor(file, "logit_bias", PL_SAFETENSORS_F32, 0, NULL);
  check_tensor(file, "visual.proj", PL_SAFETENSORS_F32, 2, (const int64_t[]){32, 16});
  check_tensor(file, "visual.conv1.weight", PL_SAFETENSORS_F32, 4, (const int64_t[]){32, 3, 8, 8});
  check_tensor(file, "visual.class_embedding", PL_SAFETENSORS_F32, 1, (const int64_t[]){32});
  check_tensor(file, "positional_embedding", PL_SAFETENSORS_F32, 2, (const int64_t[]){6, 24});
  check_tensor(file, "text_projection", PL_SAFETENSORS_F32, 2, (const int64_t[]){24, 16});
  pl_safetensors_close(&file);
  export_model(m, true);
  CHECK_OK(pl_safetensors_open(path, &file));
  check_tensor(file, "proj", PL_SAFETENSORS_F32, 2, (const int64_t[]){32, 16});
  assert_int_equal(pl_safetensors_find(file, "text_projection"), -1);
  pl_safetensors_close(&file);
  free_model(m);
}

static void the_whole_comes_back(void **state) {
  (void)state;
  static const char *const yamls[] = {resnet, siglip};
  for (int k = 0; k < 2; k++) {
    model *from = make_model(yamls[k], 1), *to = make_model(yamls[k], 2);
    pl_interchange_plan plan;
    stir(from);
    export_model(from, false);
    CHECK_OK(import_model(to, &plan));
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
    free_model(to);
    free_model(from);
  }
}

/* What the file of an encoder lacks stays as the seed made it. */
static void an_encoder_comes_back_alone(void **state) {
  (void)state;
  model *from = make_model(resnet, 1), *to = make_model(resnet, 2), *fresh = make_model(resnet, 2);
  pl_interchange_plan plan;
  stir(from);
  export_model(from, true);
  CHECK_OK(import_model(to, &plan));
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
  free_model(fresh);
  free_model(to);
  free_model(from);
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
  model *m = make_model(resnet, 1);
  pl_interchange_list list = list_of(m, true);
  const int64_t number = 1;
  snprintf(find_in(&list, "bn1.bias")->name, PL_SAFETENSORS_NAME, "bn1.offset");
  pl_safetensor *conv = find_in(&list, "conv1.weight"), *mean = find_in(&list, "bn1.running_mean");
  conv->dims = 2;
  conv->dim[1] *= 9;
  mean->type = PL_SAFETENSORS_I64;
  mean->dim[0] = mean->count = 1;
  mean->values = &number;
  CHECK_OK(pl_safetensors_write(path, list.tensor, list.count, NULL));
  check_import_fails(m, "differ in 4 tensors: ");
  static const char *const named[] = {
      "bn1.bias is missing", "bn1.offset is not in the model",
      "conv1.weight has shape (8, 27) in the file, (8, 3, 3, 3) in the model",
      "bn1.running_mean has shape (1) in the file, (8) in the model"};
  for (size_t i = 0; i < sizeof named / sizeof *named; i++) {
    check_import_fails(m, named[i]);
  }
  pl_interchange_list_free(&list);
  free_model(m);
}

static void types_that_are_not_read_are_named(void **state) {
  (void)state;
  model *m = make_model(siglip, 1);
  pl_interchange_list list = list_of(m, false);
  const int64_t number = 1;
  pl_safetensor *scale = find_in(&list, "logit_scale");
  scale->type = PL_SAFETENSORS_I64;
  scale->values = &number;
  CHECK_OK(pl_safetensors_write(path, list.tensor, list.count, NULL));
  check_import_fails(m, "logit_scale is neither f32 nor f16 nor bf16");
  pl_interchange_list_free(&list);
  free_model(m);
}

static void all_tensors_of_another_model_are_counted(void **state) {
  (void)state;
  model *deep = make_model(resnet50, 1), *m = make_model(resnet, 1);
  export_model(deep, true);
  check_import_fails(m, "more, named in the log");
  free_model(m);
  free_model(deep);
}

static void what_is_no_parameter_is_left(void **state) {
  (void)state;
  model *m = make_model(resnet, 1);
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
  CHECK_OK(pl_safetensors_write(path, more, list.count + 3, NULL));
  CHECK_OK(import_model(m, &plan));
  assert_string_equal(plan.left_names, "fc.weight, fc.bias");
  pl_interchange_plan_free(&plan);
  pl_free(more);
  pl_interchange_list_free(&list);
  free_model(m);
}

static void an_encoder_may_lack_the_projection(void **state) {
  (void)state;
  model *from = make_model(siglip, 1), *to = make_model(siglip, 2);
  pl_interchange_list list = list_of(from, true);
  pl_interchange_plan plan;
  pl_safetensor *projection = find_in(&list, "proj");
  *projection = list.tensor[--list.count];
  CHECK_OK(pl_safetensors_write(path, list.tensor, list.count, NULL));
  CHECK_OK(import_model(to, &plan));
  assert_non_null(strstr(plan.seeded_names, "visual.proj"));
  assert_non_null(strstr(plan.seeded_names, "logit_bias"));
  assert_int_equal(plan.taken, list.count);
  pl_interchange_plan_free(&plan);
  pl_interchange_list_free(&list);
  free_model(to);
  free_model(from);
}

static void a_number_may_have_a_dimension(void **state) {
  (void)state;
  model *from = make_model(siglip, 1), *to = make_model(siglip, 2);
  pl_interchange_list list = list_of(from, false);
  pl_interchange_plan plan;
  pl_safetensor *scale = find_in(&list, "logit_scale");
  scale->dims = 1;
  scale->dim[0] = 1;
  CHECK_OK(pl_safetensors_write(path, list.tensor, list.count, NULL));
  CHECK_OK(import_model(to, &plan));
  assert_memory_equal(to->state.master, from->state.master, master_bytes(to));
  pl_interchange_plan_free(&plan);
  pl_interchange_list_free(&list);
  free_model(to);
  free_model(from);
}

static void values_are_finite(void **state) {
  (void)state;
  model *from = make_model(resnet, 1), *to = make_model(resnet, 2);
  const pl_param *param = pl_space_param(from->state.space, 0);
  float *value = (float *)from->state.image + param->image_offset / sizeof(float) + 5;
  float kept = *value;
  *value = NAN;
  export_model(from, false);
  check_import_fails(to, "element 5 of encoder.conv1.weight is nan");
  *value = kept;
  from->state.buffers[1] = INFINITY;
  export_model(from, false);
  check_import_fails(to, "element 1 of encoder.bn1.running_mean is inf");
  free_model(to);
  free_model(from);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_resnet_50_computes_what_torchvisions_does),
      cmocka_unit_test(two_towers_compute_what_open_clips_do),
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
  return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
