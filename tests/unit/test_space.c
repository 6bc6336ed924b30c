/* runtime/tensor: the flat parameter space and its slices. */
#include <string.h>

#include "runtime/base/memory.h"
#include "runtime/tensor/image.h"
#include "tests/check.h"

static const pl_init NORMAL = {PL_INIT_NORMAL, 2};
static const pl_init UNIFORM = {PL_INIT_UNIFORM, 0.5F};
static const pl_init ONES = {PL_INIT_CONSTANT, 1};

/* Parameters of 1 to 40 blocks, with padding and without. */
static pl_space *make_space(pl_dtype compute_type, size_t bucket_bytes) {
  pl_space *space = NULL;
  int index;
  CHECK_OK(pl_space_create(&space));
  const int64_t conv[4] = {64, 40, 4, 4};
  const int64_t gain[1] = {40};
  const int64_t linear[2] = {33, 100};
  const int64_t exact[1] = {PL_BLOCK};
  CHECK_OK(pl_space_add(space, "conv.weight", PL_PARAM_WEIGHT, 4, conv, NORMAL, &index));
  CHECK_OK(pl_space_add(space, "norm.weight", PL_PARAM_GAIN, 1, gain, ONES, &index));
  CHECK_OK(pl_space_add_buffer(space, "norm.running_mean", 40, 0, &index));
  CHECK_OK(pl_space_add_buffer(space, "norm.running_var", 40, 1, &index));
  CHECK_OK(pl_space_add(space, "linear.weight", PL_PARAM_WEIGHT, 2, linear, UNIFORM, &index));
  CHECK_OK(pl_space_add(space, "exact.bias", PL_PARAM_BIAS, 1, exact, UNIFORM, &index));
  assert_int_equal(index, 3);
  CHECK_OK(pl_space_seal(space, compute_type, bucket_bytes));
  return space;
}

static void parameters_lie_in_blocks(void **state) {
  (void)state;
  pl_space *space = make_space(PL_BF16, (size_t)6 * PL_BLOCK * 4);
  assert_int_equal(pl_space_params(space), 4);
  assert_int_equal(pl_space_trainable(space), 40960 + 40 + 3300 + 1024);
  assert_int_equal(pl_space_blocks(space), 40 + 1 + 4 + 1);
  assert_int_equal(pl_space_elements(space), 46 * PL_BLOCK);
  assert_int_equal(pl_space_buffer_elements(space), 80);
  assert_int_equal(pl_space_find(space, "linear.weight"), 2);
  assert_int_equal(pl_space_find(space, "linear.bias"), -1);
  const pl_param *linear = pl_space_param(space, 2);
  assert_int_equal(linear->first_block, 41);
  assert_int_equal(linear->blocks, 4);
  assert_int_equal(linear->compute_type, PL_BF16);
  assert_int_equal(pl_space_param(space, 1)->compute_type, PL_F32);
  /* Weights have two bytes in the image, the gain and the bias four. */
  assert_int_equal(linear->image_offset, 40 * 2048 + 4096);
  assert_int_equal(pl_space_image_bytes(space), 40 * 2048 + 4096 + 4 * 2048 + 4096);
  assert_int_equal(pl_space_block_offset(space, 43), linear->image_offset + 2 * 2048);
  assert_int_equal(pl_space_block_offset(space, 46), pl_space_image_bytes(space));
  for (int64_t block = 0; block < pl_space_blocks(space); block++) {
    int expected = block < 40 ? 0 : block < 41 ? 1 : block < 45 ? 2 : 3;
    assert_int_equal(pl_space_block_param(space, block), expected);
  }
  pl_space_destroy(&space);
  assert_null(space);
}

static void buckets_hold_whole_parameters(void **state) {
  (void)state;
  pl_space *space = make_space(PL_F32, (size_t)5 * PL_BLOCK * 4);
  /* The convolution is too large for any bucket and gets its own; the next two make 5 blocks. */
  assert_int_equal(pl_space_buckets(space), 3);
  assert_int_equal(pl_space_bucket(space, 0)->blocks, 40);
  assert_int_equal(pl_space_bucket(space, 1)->first_param, 1);
  assert_int_equal(pl_space_bucket(space, 1)->params, 2);
  assert_int_equal(pl_space_bucket(space, 1)->blocks, 5);
  assert_int_equal(pl_space_bucket(space, 2)->first_block, 45);
  assert_int_equal(pl_space_param(space, 3)->bucket, 2);
  pl_space_destroy(&space);
}

static void mistakes_are_refused(void **state) {
  (void)state;
  pl_space *space = NULL;
  int index;
  const int64_t one = 1;
  const int64_t none = 0;
  char name[PL_NAME_MAX + 1];
  memset(name, 'n', PL_NAME_MAX);
  name[PL_NAME_MAX] = 0;
  CHECK_OK(pl_space_create(&space));
  CHECK_OK(pl_space_add(space, "a", PL_PARAM_BIAS, 1, &one, ONES, &index));
  CHECK_FAILS(PL_E_INTERNAL, "two tensors with the name \"a\"",
              pl_space_add(space, "a", PL_PARAM_BIAS, 1, &one, ONES, &index));
  CHECK_FAILS(PL_E_INTERNAL, "two tensors", pl_space_add_buffer(space, "a", 1, 0, &index));
  CHECK_FAILS(PL_E_INTERNAL, "127 characters",
              pl_space_add(space, name, PL_PARAM_BIAS, 1, &one, ONES, &index));
  CHECK_FAILS(PL_E_INTERNAL, "dimension 0 is 0",
              pl_space_add(space, "b", PL_PARAM_BIAS, 1, &none, ONES, &index));
  CHECK_OK(pl_space_seal(space, PL_F32, 1 << 20));
  CHECK_FAILS(PL_E_INTERNAL, "sealed",
              pl_space_add(space, "b", PL_PARAM_BIAS, 1, &one, ONES, &index));
  CHECK_FAILS(PL_E_INTERNAL, "sealed", pl_space_seal(space, PL_F32, 1 << 20));
  pl_space_destroy(&space);
}

/* The master vector of one rank, put together from the slices of several. */
static void gather_initial_values(const pl_space *space, int ranks, uint64_t seed, float *whole,
                                  void *image, int *owners) {
  for (int rank = 0; rank < ranks; rank++) {
    pl_slice *slice = NULL;
    CHECK_OK(pl_slice_create(space, ranks, rank, &slice));
    float *master = pl_alloc((size_t)slice->blocks * PL_BLOCK, sizeof *master);
    assert_non_null(master);
    pl_slice_init_params(space, slice, seed, master);
    for (int64_t i = 0; i < slice->blocks; i++) {
      memcpy(whole + slice->block[i] * PL_BLOCK, master + i * PL_BLOCK, PL_BLOCK * sizeof *whole);
      owners[slice->block[i]]++;
    }
    pl_image_map *map = NULL;
    CHECK_OK(pl_image_map_create(&pl_host_device, space, slice, &map));
    for (int b = 0; b < pl_space_buckets(space); b++) {
      CHECK_OK(pl_image_write(map, b, master, image));
    }
    pl_image_map_destroy(&map);
    assert_null(map);
    pl_free(master);
    pl_slice_destroy(&slice);
    assert_null(slice);
  }
}

/* Every block has one owner, and neither initial values nor the image depend on the cut. */
static void no_cut_changes_a_bit(void **state) {
  (void)state;
  pl_space *space = make_space(PL_BF16, (size_t)6 * PL_BLOCK * 4);
  size_t elements = (size_t)pl_space_elements(space);
  float *alone = pl_alloc(elements, sizeof *alone);
  float *whole = pl_alloc(elements, sizeof *whole);
  char *alone_image = pl_alloc(pl_space_image_bytes(space), 1);
  char *image = pl_alloc(pl_space_image_bytes(space), 1);
  assert_true(alone && whole && alone_image && image);
  int owners[64] = {0};
  gather_initial_values(space, 1, 7, alone, alone_image, owners);
  for (int ranks = 2; ranks <= 60; ranks++) {
    memset(owners, 0, sizeof owners);
    memset(whole, 0xFF, elements * sizeof *whole);
    memset(image, 0xFF, pl_space_image_bytes(space));
    gather_initial_values(space, ranks, 7, whole, image, owners);
    for (int64_t b = 0; b < pl_space_blocks(space); b++) assert_int_equal(owners[b], 1);
    assert_memory_equal(whole, alone, elements * sizeof *whole);
    assert_memory_equal(image, alone_image, pl_space_image_bytes(space));
  }
  const pl_param *linear = pl_space_param(space, 2);
  const float *master = alone + linear->first_block * PL_BLOCK;
  const pl_bf16 *rounded = (const pl_bf16 *)(alone_image + linear->image_offset);
  for (int i = 0; i < 3300; i++) assert_int_equal(rounded[i], pl_f32_to_bf16(master[i]));
  pl_free(alone);
  pl_free(whole);
  pl_free(alone_image);
  pl_free(image);
  pl_space_destroy(&space);
}

static void initial_values_have_their_distribution(void **state) {
  (void)state;
  pl_space *space = make_space(PL_F32, 1 << 20);
  pl_slice *slice = NULL;
  CHECK_OK(pl_slice_create(space, 1, 0, &slice));
  float *master = pl_alloc((size_t)slice->blocks * PL_BLOCK, sizeof *master);
  float *other = pl_alloc((size_t)slice->blocks * PL_BLOCK, sizeof *other);
  assert_true(master && other);
  pl_slice_init_params(space, slice, 7, master);
  pl_slice_init_params(space, slice, 8, other);
  double sum = 0;
  double squares = 0;
  int equal = 0;
  for (int i = 0; i < 40960; i++) {
    sum += master[i];
    squares += (double)master[i] * master[i];
    equal += master[i] == other[i];
  }
  CHECK_NEAR(sum / 40960, 0, 0.04); /* four standard errors */
  CHECK_NEAR(sqrt(squares / 40960), 2, 0.03);
  assert_true(equal < 10);
  assert_memory_not_equal(master, master + PL_BLOCK, PL_BLOCK * sizeof *master);
  for (int i = 0; i < PL_BLOCK; i++) {
    assert_true(master[40 * PL_BLOCK + i] == (i < 40 ? 1.0F : 0.0F));
  }
  double low = 1;
  double high = -1;
  for (int i = 0; i < 4 * PL_BLOCK; i++) {
    double value = master[41 * PL_BLOCK + i];
    if (i >= 3300) assert_true(value == 0);
    low = value < low ? value : low;
    high = value > high ? value : high;
  }
  assert_true(low >= -0.5 && low < -0.49 && high < 0.5 && high > 0.49);
  float buffers[80];
  pl_space_init_buffers(space, buffers);
  for (int i = 0; i < 80; i++) assert_true(buffers[i] == (i < 40 ? 0.0F : 1.0F));
  pl_free(master);
  pl_free(other);
  pl_slice_destroy(&slice);
  pl_space_destroy(&space);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(parameters_lie_in_blocks),
      cmocka_unit_test(buckets_hold_whole_parameters),
      cmocka_unit_test(mistakes_are_refused),
      cmocka_unit_test(no_cut_changes_a_bit),
      cmocka_unit_test(initial_values_have_their_distribution),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
