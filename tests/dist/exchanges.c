#include "tests/dist/exchanges.h"

#include <string.h>

#include "comm/reduce.h"
#include "runtime/base/memory.h"
#include "runtime/base/random.h"
#include "tests/check.h"

enum { PARAMS = 5, STEPS = 3 };

static const int64_t elements[PARAMS] = {PL_BLOCK + 1, 5, 9 * PL_BLOCK, 700, 3 * PL_BLOCK - 7};

/* A bucket for each parameter, more than may be on their way at once; or one for all. */
static const size_t bucket_sizes[] = {1, SIZE_MAX / 2};
enum { SIZES = sizeof bucket_sizes / sizeof *bucket_sizes };

typedef struct fixture {
  pl_comm *comm;
  const pl_device *device;
  pl_space *space;
  pl_slice *slice;
  size_t total, own; /* elements of the vector and of the slice */
} fixture;

static float *room(size_t n) {
  float *values = pl_alloc(n, sizeof *values);
  assert_non_null(values);
  return values;
}

static void *room_there(const pl_device *device, size_t bytes) {
  void *memory = NULL;
  CHECK_OK(device->alloc(bytes, &memory));
  return memory;
}

static void set_up(fixture *f, pl_comm *comm, const pl_device *device, pl_dtype type,
                   size_t bucket_bytes) {
  *f = (fixture){.comm = comm, .device = device};
  CHECK_OK(pl_space_create(&f->space));
  for (int p = 0; p < PARAMS; p++) {
    char name[PL_NAME_MAX];
    int index;
    snprintf(name, sizeof name, "param%d", p);
    CHECK_OK(pl_space_add(f->space, name, p % 2 ? PL_PARAM_BIAS : PL_PARAM_WEIGHT, 1, &elements[p],
                          (pl_init){.kind = PL_INIT_NORMAL, .scale = 1}, &index));
  }
  CHECK_OK(pl_space_seal(f->space, type, bucket_bytes));
  CHECK_OK(pl_slice_create(f->space, pl_comm_size(comm), pl_comm_rank(comm), &f->slice));
  f->total = (size_t)pl_space_elements(f->space);
  f->own = (size_t)f->slice->blocks * PL_BLOCK;
}

static void tear_down(fixture *f) {
  pl_slice_destroy(&f->slice);
  pl_space_destroy(&f->space);
}

/* Of this rank and step. */
static void fill_gradient(const fixture *f, int step, float *gradient) {
  pl_random random =
      pl_random_stream(7, PL_RANDOM_TEST, (uint32_t)step, (uint64_t)pl_comm_rank(f->comm), 0);
  for (size_t i = 0; i < f->total; i++) gradient[i] = pl_random_normal(&random);
}

/* The slice's sum, fetched to `sum`. Each parameter is queued just before it is said to be
 * complete, and all of them are written over as soon as they may be. */
static void reduce_on(const fixture *f, const pl_device *device, pl_grad_reduce *reduce,
                      const float *gradient, float *vector, float *sum) {
  float *reduced;
  for (int p = PARAMS - 1; p >= 0; p--) {
    const pl_param *param = pl_space_param(f->space, p);
    size_t first = (size_t)param->first_block * PL_BLOCK;
    CHECK_OK(device->put(vector + first, gradient + first,
                         (size_t)param->blocks * PL_BLOCK * sizeof *gradient));
    CHECK_OK(pl_grad_reduce_ready(reduce, vector, p));
  }
  CHECK_OK(pl_grad_reduce_finish(reduce, &reduced));
  CHECK_OK(device->get(sum, reduced, f->own * sizeof *sum));
  float *nothing = room(f->total);
  CHECK_OK(device->put(vector, nothing, f->total * sizeof *nothing));
  pl_free(nothing);
}

static void check_reduce(pl_comm *comm, const pl_device *device, size_t bucket_bytes) {
  fixture f;
  pl_grad_reduce *host = NULL, *cuda = NULL;
  set_up(&f, comm, device, PL_F32, bucket_bytes);
  float *gradient = room(f.total), *here = room(f.total);
  float *there = room_there(f.device, f.total * sizeof *there);
  float *expected = room(f.own), *sum = room(f.own);
  CHECK_OK(pl_grad_reduce_create(comm, &pl_host_device, f.space, f.slice, &host));
  CHECK_OK(pl_grad_reduce_create(comm, f.device, f.space, f.slice, &cuda));
  for (int step = 0; step < STEPS; step++) {
    fill_gradient(&f, step, gradient);
    reduce_on(&f, &pl_host_device, host, gradient, here, expected);
    reduce_on(&f, f.device, cuda, gradient, there, sum);
    assert_memory_equal(sum, expected, f.own * sizeof *sum);
  }
  pl_grad_reduce_destroy(&host);
  pl_grad_reduce_destroy(&cuda);
  f.device->release(there);
  float *arrays[] = {gradient, here, expected, sum};
  for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++) pl_free(arrays[i]);
  tear_down(&f);
}

static void check_image(pl_comm *comm, const pl_device *device, pl_dtype type,
                        size_t bucket_bytes) {
  fixture f;
  pl_image_gather *host = NULL, *cuda = NULL;
  set_up(&f, comm, device, type, bucket_bytes);
  size_t bytes = pl_space_image_bytes(f.space);
  float *master = room(f.own);
  char *expected = pl_alloc(bytes, 1), *image = pl_alloc(bytes, 1);
  assert_true(expected && image);
  void *master_there = room_there(f.device, f.own * sizeof *master);
  void *image_there = room_there(f.device, bytes);
  CHECK_OK(pl_image_gather_create(comm, &pl_host_device, f.space, f.slice, &host));
  CHECK_OK(pl_image_gather_create(comm, f.device, f.space, f.slice, &cuda));
  for (uint64_t step = 0; step < STEPS; step++) {
    pl_slice_init_params(f.space, f.slice, step, master);
    CHECK_OK(pl_image_gather_run(host, master, expected));
    CHECK_OK(f.device->put(master_there, master, f.own * sizeof *master));
    CHECK_OK(pl_image_gather_run(cuda, master_there, image_there));
    CHECK_OK(f.device->get(image, image_there, bytes));
    assert_memory_equal(image, expected, bytes);
  }
  pl_image_gather_destroy(&host);
  pl_image_gather_destroy(&cuda);
  f.device->release(master_there);
  f.device->release(image_there);
  pl_free(master);
  pl_free(expected);
  pl_free(image);
  tear_down(&f);
}

void check_reduce_between(pl_comm *comm, const pl_device *device) {
  for (int k = 0; k < SIZES; k++) check_reduce(comm, device, bucket_sizes[k]);
}

void check_image_between(pl_comm *comm, const pl_device *device) {
  for (int k = 0; k < SIZES; k++) {
    check_image(comm, device, PL_F32, bucket_sizes[k]);
    check_image(comm, device, PL_BF16, bucket_sizes[k]);
  }
}
