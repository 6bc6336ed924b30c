/* clip and siglip over ranks that each have a device, which is emulated, in both types of products:
 * against a naive version in double precision over the whole batch, and bit for bit against one
 * process that holds it. In bf16 embeddings are numbers of bf16 from the start: then only weights
 * are rounded besides. */
#include "comm/link.h"
#include "runtime/cuda/cuda.h"
#include "runtime/tensor/dtype.h"
#include "tests/dist/clip_naive.h"
#include "tests/dist/ranks.h"
#include "tests/emulation/runtime.h"
#include "tests/unit/cuda_test.h"

/* Runs this rank's part of the batch. */
static solution solve(pl_comm *comm, const problem *p, pl_dtype type, const batch *b) {
  solution s;
  pl_clip_loss *loss;
  pl_pair_options options = options_of(p);
  options.device = pl_cuda_backend()->device;
  options.type = type;
  CHECK_OK(pl_clip_loss_create(comm, p->kind, &options, &loss));
  s.first = pl_pair_first_row(pl_clip_loss_sweep(loss));
  s.count = pl_pair_local_rows(pl_clip_loss_sweep(loss));
  size_t bytes = (size_t)(s.count * p->width) * sizeof(float);
  void *x = cuda_test_place(b->x + s.first * p->width, bytes);
  void *y = cuda_test_place(b->y + s.first * p->width, bytes);
  void *dx = cuda_test_place(NULL, bytes), *dy = cuda_test_place(NULL, bytes);
  CHECK_OK(pl_clip(loss, x, y, log(p->scale), p->bias, true, &s.figures, dx, dy, &s.dlog_scale,
                   &s.dbias));
  s.dx = must_alloc(bytes, 1);
  s.dy = must_alloc(bytes, 1);
  cuda_test_take(s.dx, dx, bytes);
  cuda_test_take(s.dy, dy, bytes);
  options.device->release(x);
  options.device->release(y);
  pl_clip_loss_destroy(&loss);
  return s;
}

/* Tolerances are those of tests/unit/test_cuda_pairs.c. */
static void check_naive(const problem *p, pl_dtype type, const batch *b, const solution *found) {
  const double tolerance = 1e-5, slack = type == PL_BF16 ? 5e-3 : p->scale > 20 ? 3e-5 : 1e-5;
  naive_figures expected = naive(p, b);
  CHECK_NEAR(found->figures.loss / expected.figures.loss, 1, tolerance);
  CHECK_NEAR(found->figures.accuracy, expected.figures.accuracy, 1e-12);
  CHECK_NEAR(found->figures.uniformity, expected.figures.uniformity, 1e-6);
  CHECK_NEAR(found->dlog_scale / expected.dlog_scale_size,
             expected.dlog_scale / expected.dlog_scale_size, tolerance);
  if (p->kind == PL_CLIP_SIGMOID)
    CHECK_NEAR(found->dbias / expected.dbias_size, expected.dbias / expected.dbias_size, tolerance);
  check_largest(p, found, found->dx, expected.dx, slack);
  check_largest(p, found, found->dy, expected.dy, slack);
  pl_free(expected.dx);
  pl_free(expected.dy);
}

/* Figures are sums over ranks, the same bits where their number is a power of two. */
static void check_alone(pl_comm *comm, const problem *p, pl_dtype type, const batch *b,
                        const solution *found) {
  size_t bytes = (size_t)(found->count * p->width) * sizeof *found->dx;
  int ranks = pl_comm_size(comm);
  pl_comm *self;
  CHECK_OK(pl_comm_create_self(&self));
  solution alone = solve(self, p, type, b);
  assert_memory_equal(alone.dx + found->first * p->width, found->dx, bytes);
  assert_memory_equal(alone.dy + found->first * p->width, found->dy, bytes);
  if ((ranks & (ranks - 1)) == 0) {
    assert_memory_equal(&alone.figures, &found->figures, sizeof alone.figures);
    assert_true(alone.dlog_scale == found->dlog_scale && alone.dbias == found->dbias);
  }
  free_solution(&alone);
  pl_comm_destroy(&self);
}

/* Tiles that end anywhere; more leaves than ranks, and as many; extreme scales. */
static void equals_the_naive_version_and_one_rank(void **state) {
  const problem problems[] = {
      {0, 3, 5, 16, 2, 7, 5, 0, 0.5},       {0, 1, 4, 8, 0, 0, 2, -1, 0.5},
      {0, 13, 6, 24, 16, 32, 14.3, -10, 1}, {0, 5, 4, 33, 4, 11, 100, -60, 1},
      {0, 5, 4, 16, 3, 0, 0.01, 10, 1},
  };
  for (size_t i = 0; i < sizeof problems / sizeof *problems; i++) {
    for (int way = 0; way < 4; way++) {
      problem p = problems[i];
      p.kind = way % 2 ? PL_CLIP_SIGMOID : PL_CLIP_SOFTMAX;
      const pl_dtype type = way / 2 ? PL_BF16 : PL_F32;
      batch b = make_batch_of(&p, type);
      solution found = solve(*state, &p, type, &b);
      check_naive(&p, type, &b, &found);
      check_alone(*state, &p, type, &b, &found);
      free_solution(&found);
      free_batch(&b);
    }
  }
}

/* Embeddings of ranks with different parts of the batch go from device to device, others by the
 * hosts. */
static void three_ranks_are_linked(void **state) {
  pl_comm *comm = *state;
  const emulated_host host = {.devices = 3, .driver = 13000, .major = 9, .minor = 0};
  if (pl_comm_size(comm) != 3) return;
  emulated_host_is(&host);
  pl_cuda_close();
  CHECK_OK(pl_cuda_open(pl_comm_rank(comm)));
  CHECK_OK(pl_link_open(comm, pl_cuda_backend()->device, PL_LINK_NCCL));
}

int main(int argc, char **argv) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(three_ranks_are_linked),
      cmocka_unit_test(equals_the_naive_version_and_one_rank),
  };
  if (!cuda_test_open()) return CUDA_TEST_SKIPPED;
  int failures = run_on_ranks(argc, argv, tests, sizeof tests / sizeof *tests);
  pl_cuda_close();
  return failures;
}
