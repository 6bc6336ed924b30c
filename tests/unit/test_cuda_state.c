/* What a step of one rank does with the state on an emulated device: gradients, parameters and the
 * compute image stay there, and are what they are on the host. */
#include <string.h>

#include "comm/reduce.h"
#include "runtime/base/memory.h"
#include "runtime/base/random.h"
#include "runtime/cuda/cuda.h"
#include "runtime/optim/optim.h"
#include "runtime/tensor/gradsum.h"
#include "tests/check.h"
#include "tests/emulation/runtime.h"

enum { PARAMS = 3, LEAVES = 3, STEPS = 2 };

static const int64_t elements[PARAMS] = {40 * PL_BLOCK + 3, 700, 25 * PL_BLOCK};

/* The state of one rank in memory of a device, and what moves it. */
typedef struct rig {
  const pl_device *device;
  pl_comm *comm;
  pl_space *space;
  pl_slice *slice;
  pl_gradsum *sums;
  pl_grad_reduce *reduce;
  pl_optim *optim;
  pl_image_gather *gather;
  void *master, *image;
  float *leaf; /* a parameter's gradient on the host */
} rig;

static pl_status on_gradient(void *context, int param) {
  rig *r = context;
  return pl_grad_reduce_ready(r->reduce, pl_gradsum_total(r->sums), param);
}

static size_t vector_bytes(const rig *r) {
  return (size_t)pl_space_elements(r->space) * sizeof(float);
}

static void open_rig(rig *r, const pl_device *device, pl_dtype type) {
  const pl_optim_options lars = {
      .kind = PL_OPTIM_LARS, .momentum = 0.9, .weight_decay = 1e-2, .trust = 0.02, .clip = 1};
  *r = (rig){.device = device};
  CHECK_OK(pl_comm_create_self(&r->comm));
  CHECK_OK(pl_space_create(&r->space));
  for (int p = 0; p < PARAMS; p++) {
    const char *names[PARAMS] = {"large", "bias", "other"};
    int index;
    CHECK_OK(pl_space_add(r->space, names[p], p == 1 ? PL_PARAM_BIAS : PL_PARAM_WEIGHT, 1,
                          &elements[p], (pl_init){PL_INIT_NORMAL, 1}, &index));
  }
  CHECK_OK(pl_space_seal(r->space, type, 1));
  CHECK_OK(pl_slice_create(r->space, 1, 0, &r->slice));
  CHECK_OK(pl_gradsum_create(device, r->space, LEAVES, 1, &r->sums));
  CHECK_OK(pl_grad_reduce_create(r->comm, device, r->space, r->slice, &r->reduce));
  CHECK_OK(pl_optim_create(device, r->space, r->slice, pl_comm_ranks(r->comm), &lars, &r->optim));
  CHECK_OK(pl_image_gather_create(r->comm, device, r->space, r->slice, &r->gather));
  CHECK_OK(device->alloc(vector_bytes(r), &r->master));
  CHECK_OK(device->alloc(pl_space_image_bytes(r->space), &r->image));
  r->leaf = pl_alloc((size_t)elements[0], sizeof *r->leaf);
  float *values = pl_alloc(vector_bytes(r), 1);
  assert_true(r->leaf && values);
  pl_slice_init_params(r->space, r->slice, 3, values);
  CHECK_OK(device->put(r->master, values, vector_bytes(r)));
  pl_free(values);
  pl_gradsum_on_done(r->sums, on_gradient, r);
}

static void close_rig(rig *r) {
  r->device->release(r->master);
  r->device->release(r->image);
  pl_free(r->leaf);
  pl_image_gather_destroy(&r->gather);
  pl_optim_destroy(&r->optim);
  pl_grad_reduce_destroy(&r->reduce);
  pl_gradsum_destroy(&r->sums);
  pl_slice_destroy(&r->slice);
  pl_space_destroy(&r->space);
  pl_comm_destroy(&r->comm);
}

/* Kernels would write it. */
static void differentiate(rig *r, int step, int leaf, int param) {
  pl_random random =
      pl_random_stream(5, PL_RANDOM_TEST, (uint32_t)step, (uint64_t)leaf, (uint32_t)param);
  size_t n = (size_t)elements[param];
  for (size_t i = 0; i < n; i++) r->leaf[i] = pl_random_normal(&random);
  CHECK_OK(r->device->put(pl_gradsum_slot(r->sums, leaf, param), r->leaf, n * sizeof *r->leaf));
}

/* Gives the bytes that were copied besides what differentiate puts. */
static size_t take_step(rig *r, int step) {
  float *gradient;
  double norm;
  size_t before = emulated_copied(), put = 0;
  for (int leaf = 0; leaf < LEAVES; leaf++) {
    for (int param = PARAMS - 1; param >= 0; param--) {
      differentiate(r, step, leaf, param);
      put += (size_t)elements[param] * sizeof(float);
      CHECK_OK(pl_gradsum_push(r->sums, leaf, param));
    }
  }
  CHECK_OK(pl_grad_reduce_finish(r->reduce, &gradient));
  CHECK_OK(pl_optim_step(r->optim, 0.5, step, r->master, gradient, &norm));
  assert_true(norm > 1); /* it is clipped */
  CHECK_OK(pl_image_gather_run(r->gather, r->master, r->image));
  return emulated_copied() - before - put;
}

static void check_values(pl_dtype type, const char *one, const char *other, size_t bytes) {
  size_t n = bytes / pl_dtype_bytes(type);
  for (size_t i = 0; i < n; i++) {
    float a, b;
    if (type == PL_F32) {
      memcpy(&a, one + i * sizeof a, sizeof a);
      memcpy(&b, other + i * sizeof b, sizeof b);
    } else {
      a = pl_bf16_to_f32(((const pl_bf16 *)(const void *)one)[i]);
      b = pl_bf16_to_f32(((const pl_bf16 *)(const void *)other)[i]);
    }
    /* In bf16 it may be the neighbour. */
    CHECK_NEAR(a, b, 2e-6F + (type == PL_F32 ? 2e-6F : 0x1p-7F) * fabsf(b));
  }
}

static void check_image(const rig *cuda, const rig *host) {
  size_t bytes = pl_space_image_bytes(cuda->space);
  char *image = pl_alloc(bytes, 1);
  assert_non_null(image);
  CHECK_OK(cuda->device->get(image, cuda->image, bytes));
  for (int p = 0; p < PARAMS; p++) {
    const pl_param *param = pl_space_param(cuda->space, p);
    check_values(param->compute_type, image + param->image_offset,
                 (const char *)host->image + param->image_offset,
                 (size_t)param->count * pl_dtype_bytes(param->compute_type));
  }
  pl_free(image);
}

/* Sums of blocks and rates of parameters are all that a step copies. */
static void a_step_stays_on_the_device(void **state) {
  (void)state;
  const pl_dtype types[] = {PL_F32, PL_BF16};
  for (int t = 0; t < 2; t++) {
    rig cuda, host;
    open_rig(&cuda, pl_cuda_backend()->device, types[t]);
    open_rig(&host, &pl_host_device, types[t]);
    for (int step = 0; step < STEPS; step++) {
      size_t copied = take_step(&cuda, step);
      assert_true(copied > 0 && copied < vector_bytes(&cuda) / 50);
      (void)take_step(&host, step);
      check_image(&cuda, &host);
    }
    close_rig(&cuda);
    close_rig(&host);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(a_step_stays_on_the_device)};
  if (pl_cuda_open(0) != PL_OK) {
    fprintf(stderr, "%s\n", pl_last_reason()->message);
    return 1;
  }
  int failures = cmocka_run_group_tests(tests, NULL, NULL);
  pl_cuda_close();
  return failures;
}
