/* Gradient reduce, image gather and slice hash on made-up spaces, against one rank's own sums. */
#include <string.h>

#include "comm/mpi/mpi.h"
#include "comm/reduce.h"
#include "runtime/base/hash.h"
#include "runtime/base/memory.h"
#include "runtime/base/random.h"
#include "runtime/base/tree.h"
#include "runtime/tensor/image.h"
#include "tests/dist/ranks.h"

enum { LEAVES = 8, PARAMS = 7 };

/* Sizes around the block, one that fills buckets of its own, and buckets of fewer blocks than
 * ranks, so that some ranks own nothing of them. */
static const int64_t elements[PARAMS] = {1, PL_BLOCK, PL_BLOCK + 1, 40 * PL_BLOCK + 3,
                                         5, 700,      9999};

/* How the space is cut into buckets: one a parameter, a few, all in one. */
static const size_t bucket_sizes[] = {1, 48 * 1024, SIZE_MAX / 2};
enum { CUTS = sizeof bucket_sizes / sizeof *bucket_sizes };

typedef struct fixture {
  pl_comm *comm;
  pl_space *space;
  pl_slice *slice;
  size_t total; /* elements of the whole vector */
} fixture;

static void set_up(fixture *f, pl_comm *comm, pl_dtype compute_type, size_t bucket_bytes) {
  *f = (fixture){.comm = comm};
  CHECK_OK(pl_space_create(&f->space));
  for (int p = 0; p < PARAMS; p++) {
    char name[PL_NAME_MAX];
    int index;
    snprintf(name, sizeof name, "param%d", p);
    CHECK_OK(pl_space_add(f->space, name, p % 3 == 2 ? PL_PARAM_BIAS : PL_PARAM_WEIGHT, 1,
                          &elements[p], (pl_init){.kind = PL_INIT_NORMAL, .scale = 0.1f}, &index));
  }
  CHECK_OK(pl_space_seal(f->space, compute_type, bucket_bytes));
  CHECK_OK(pl_slice_create(f->space, pl_comm_size(comm), pl_comm_rank(comm), &f->slice));
  f->total = (size_t)pl_space_elements(f->space);
}

static void tear_down(fixture *f) {
  pl_slice_destroy(&f->slice);
  pl_space_destroy(&f->space);
}

/* Whether an element of the vector belongs to a parameter and is no padding. */
static bool is_trainable(const pl_space *space, size_t element) {
  const pl_param *param =
      pl_space_param(space, pl_space_block_param(space, (int64_t)element / PL_BLOCK));
  return (int64_t)element - param->first_block * PL_BLOCK < param->count;
}

/* One leaf's gradient: values whose sum depends on the order of additions; padding is zero. */
static void fill_leaf(const fixture *f, int64_t leaf, uint32_t step, float *gradient) {
  pl_random random = pl_random_stream(step, PL_RANDOM_TEST, 0, (uint64_t)leaf, 0);
  for (size_t i = 0; i < f->total; i++) {
    float value = ldexpf(pl_random_normal(&random), (int)pl_random_below(&random, 20));
    gradient[i] = is_trainable(f->space, i) ? value : 0;
  }
}

/* out = sum over leaves [first, first + count) by the definition of the tree. */
static void sum_leaves(const fixture *f, int64_t first, int64_t count, uint32_t step, float *out) {
  if (count == 1) {
    fill_leaf(f, first, step, out);
    return;
  }
  float *right = pl_alloc(f->total, sizeof *right);
  assert_non_null(right);
  sum_leaves(f, first, count / 2, step, out);
  sum_leaves(f, first + count / 2, count - count / 2, step, right);
  for (size_t i = 0; i < f->total; i++) out[i] += right[i];
  pl_free(right);
}

/* out = sum over ranks [first, first + count), each with the sum of its leaves. */
static void sum_ranks(const fixture *f, int first, int count, uint32_t step, float *out) {
  if (count == 1) {
    int64_t leaf, leaves;
    pl_tree_part(LEAVES, pl_comm_size(f->comm), first, &leaf, &leaves);
    sum_leaves(f, leaf, leaves, step, out);
    return;
  }
  float *right = pl_alloc(f->total, sizeof *right);
  assert_non_null(right);
  sum_ranks(f, first, count / 2, step, out);
  sum_ranks(f, first + count / 2, count - count / 2, step, right);
  for (size_t i = 0; i < f->total; i++) out[i] += right[i];
  pl_free(right);
}

static bool same_bits(float a, float b) {
  uint32_t bits[2];
  memcpy(&bits[0], &a, sizeof a);
  memcpy(&bits[1], &b, sizeof b);
  return bits[0] == bits[1];
}

static void check_slice(const fixture *f, const float *slice_values, const float *whole) {
  for (int64_t b = 0; b < f->slice->blocks; b++) {
    const float *expected = whole + f->slice->block[b] * PL_BLOCK;
    for (int i = 0; i < PL_BLOCK; i++) {
      float value = slice_values[b * PL_BLOCK + i];
      if (same_bits(value, expected[i])) continue;
      print_error("element %d of block %lld is %.9g instead of %.9g\n", i,
                  (long long)f->slice->block[b], value, expected[i]);
      fail();
    }
  }
}

/* Orders in which a backward pass may complete parameters. */
static int param_at(int order, int i) {
  return order == 0 ? PARAMS - 1 - i : order == 1 ? i : i * 3 % PARAMS;
}

/* Steps one after another with one handle. */
static void check_reduce(pl_comm *comm, size_t bucket_bytes) {
  fixture f;
  set_up(&f, comm, PL_F32, bucket_bytes);
  int rank = pl_comm_rank(comm);
  int size = pl_comm_size(comm);
  pl_grad_reduce *reduce = NULL;
  CHECK_OK(pl_grad_reduce_create(comm, &pl_host_device, f.space, f.slice, &reduce));
  float *local = pl_alloc(f.total, sizeof *local);
  float *whole = pl_alloc(f.total, sizeof *whole);
  float *reduced;
  assert_true(local && whole);
  for (uint32_t step = 0; step < 3; step++) {
    sum_ranks(&f, rank, 1, step, local);
    /* Where the number of ranks is a power of two, the tree over ranks is that over leaves. */
    if ((size & (size - 1)) == 0) {
      sum_leaves(&f, 0, LEAVES, step, whole);
    } else {
      sum_ranks(&f, 0, size, step, whole);
    }
    for (int i = 0; i < PARAMS; i++) {
      CHECK_OK(pl_grad_reduce_ready(reduce, local, param_at((int)step, i)));
    }
    CHECK_OK(pl_grad_reduce_finish(reduce, &reduced));
    check_slice(&f, reduced, whole);
    assert_true(pl_grad_reduce_wait_ms(reduce) >= 0);
    /* The caller's to change. */
    memset(reduced, 0xFF, (size_t)f.slice->blocks * PL_BLOCK * sizeof *reduced);
  }
  size_t others = f.total - (size_t)f.slice->blocks * PL_BLOCK;
  assert_int_equal(pl_grad_reduce_sent_bytes(reduce), others * sizeof(float));
  pl_free(local);
  pl_free(whole);
  pl_grad_reduce_destroy(&reduce);
  assert_null(reduce);
  tear_down(&f);
}

static void gradients_have_the_bits_of_one_rank(void **state) {
  pl_comm *comm = *state;
  for (int cut = 0; cut < CUTS; cut++) check_reduce(comm, bucket_sizes[cut]);
  pl_mpi_limit_messages(comm, 1000);
  check_reduce(comm, bucket_sizes[1]);
  pl_mpi_limit_messages(comm, SIZE_MAX);
}

static void misuse_is_noticed(void **state) {
  pl_comm *comm = *state;
  fixture f;
  set_up(&f, comm, PL_F32, bucket_sizes[1]);
  pl_grad_reduce *reduce = NULL;
  pl_slice *foreign = NULL;
  CHECK_OK(pl_slice_create(f.space, pl_comm_size(comm) + 1, pl_comm_rank(comm), &foreign));
  CHECK_FAILS(PL_E_INTERNAL, "the slice is that of",
              pl_grad_reduce_create(comm, &pl_host_device, f.space, foreign, &reduce));
  pl_slice_destroy(&foreign);
  CHECK_OK(pl_grad_reduce_create(comm, &pl_host_device, f.space, f.slice, &reduce));
  float *gradient = pl_alloc(f.total + 1, sizeof *gradient);
  float *reduced;
  assert_non_null(gradient);
  for (int p = 0; p < PARAMS; p++) {
    CHECK_FAILS(PL_E_INTERNAL, "was not completed", pl_grad_reduce_finish(reduce, &reduced));
    CHECK_OK(pl_grad_reduce_ready(reduce, gradient, p));
    CHECK_FAILS(PL_E_INTERNAL, "completed twice", pl_grad_reduce_ready(reduce, gradient, p));
    if (p + 1 < PARAMS) {
      CHECK_FAILS(PL_E_INTERNAL, "another vector",
                  pl_grad_reduce_ready(reduce, gradient + 1, p + 1));
    }
  }
  CHECK_OK(pl_grad_reduce_finish(reduce, &reduced));
  pl_free(gradient);
  pl_grad_reduce_destroy(&reduce);
  pl_grad_reduce_destroy(&reduce);
  tear_down(&f);
}

/* The image gathered from slices is the one that a slice of everything gives. */
static void check_image(pl_comm *comm, pl_dtype compute_type, size_t bucket_bytes) {
  fixture f;
  set_up(&f, comm, compute_type, bucket_bytes);
  size_t bytes = pl_space_image_bytes(f.space);
  pl_slice *everything = NULL;
  CHECK_OK(pl_slice_create(f.space, 1, 0, &everything));
  float *master = pl_alloc((size_t)f.slice->blocks * PL_BLOCK, sizeof *master);
  float *whole = pl_alloc(f.total, sizeof *whole);
  unsigned char *image = pl_alloc(bytes, 1);
  unsigned char *expected = pl_alloc(bytes, 1);
  assert_true(master && whole && image && expected);
  pl_slice_init_params(f.space, f.slice, 17, master);
  pl_slice_init_params(f.space, everything, 17, whole);
  pl_image_map *map = NULL;
  pl_image_gather *gather = NULL;
  CHECK_OK(pl_image_map_create(&pl_host_device, f.space, everything, &map));
  CHECK_OK(pl_image_write_all(map, whole, expected));
  memset(image, 0xAA, bytes);
  CHECK_OK(pl_image_gather_create(comm, &pl_host_device, f.space, f.slice, &gather));
  CHECK_OK(pl_image_gather_run(gather, master, image));
  assert_memory_equal(image, expected, bytes);
  pl_free(master);
  pl_free(whole);
  pl_free(image);
  pl_free(expected);
  pl_image_gather_destroy(&gather);
  assert_null(gather);
  pl_image_map_destroy(&map);
  pl_slice_destroy(&everything);
  tear_down(&f);
}

static void the_image_is_that_of_one_rank(void **state) {
  for (int cut = 0; cut < CUTS; cut++) {
    check_image(*state, PL_F32, bucket_sizes[cut]);
    check_image(*state, PL_BF16, bucket_sizes[cut]);
  }
  pl_mpi_limit_messages(*state, 1000);
  check_image(*state, PL_BF16, bucket_sizes[2]);
  pl_mpi_limit_messages(*state, SIZE_MAX);
}

static void the_hash_does_not_depend_on_the_cut(void **state) {
  pl_comm *comm = *state;
  for (int cut = 0; cut < CUTS; cut++) {
    fixture f;
    set_up(&f, comm, PL_F32, bucket_sizes[cut]);
    size_t blocks = (size_t)pl_space_blocks(f.space);
    float *whole = pl_alloc(f.total, sizeof *whole);
    float *values = pl_alloc((size_t)f.slice->blocks * PL_BLOCK, sizeof *values);
    pl_hash128 *hashes = pl_alloc(blocks, sizeof *hashes);
    assert_true(whole && values && hashes);
    fill_leaf(&f, 0, 5, whole);
    for (size_t b = 0; b < blocks; b++) {
      hashes[b] = pl_hash(whole + b * PL_BLOCK, PL_BLOCK * sizeof *whole);
    }
    for (int64_t b = 0; b < f.slice->blocks; b++) {
      memcpy(values + b * PL_BLOCK, whole + f.slice->block[b] * PL_BLOCK,
             PL_BLOCK * sizeof *values);
    }
    pl_hash128 expected = pl_hash(hashes, blocks * sizeof *hashes);
    uint64_t hash[2] = {0, 0};
    CHECK_OK(pl_slice_hash(comm, f.space, f.slice, values, hash));
    assert_true(hash[0] == expected.low && hash[1] == expected.high);
    /* One bit on one rank changes it for all. */
    int last = pl_comm_size(comm) - 1;
    if (pl_comm_rank(comm) == last) values[0] = -values[0];
    CHECK_OK(pl_slice_hash(comm, f.space, f.slice, values, hash));
    assert_true(hash[0] != expected.low && hash[1] != expected.high);
    pl_free(whole);
    pl_free(values);
    pl_free(hashes);
    tear_down(&f);
  }
}

int main(int argc, char **argv) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(gradients_have_the_bits_of_one_rank),
      cmocka_unit_test(misuse_is_noticed),
      cmocka_unit_test(the_image_is_that_of_one_rank),
      cmocka_unit_test(the_hash_does_not_depend_on_the_cut),
  };
  return run_on_ranks(argc, argv, tests, sizeof tests / sizeof *tests);
}
