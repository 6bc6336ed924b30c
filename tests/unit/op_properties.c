#include "tests/unit/op_properties.h"

#include <string.h>

#include "tests/check.h"
#include "tests/unit/op_fixture.h"

void op_check_gelu(const pl_backend *backend) {
  const pl_gelu kinds[] = {PL_GELU_EXACT, PL_GELU_QUICK};
  for (int kind = 0; kind < 2; kind++) {
    op_setup setup = {
        .name = "gelu", .kind = PL_OP_GELU, .rows = 1, .in = {1, 1, 4001}, .gelu = kinds[kind]};
    op_fixture f;
    op_fixture_open(&f, &setup, backend);
    float *x = f.x, *y = f.y;
    for (int i = 0; i < 4000; i++) x[i] = (float)(i - 2000) * 0.01F;
    x[4000] = 1e30F;
    op_fixture_forward(&f);
    for (int i = 0; i < 4001; i++) {
      double v = (double)x[i];
      double share = kind ? 1 / (1 + exp(-1.702 * v)) : 0.5 * erfc(-v * M_SQRT1_2);
      double expected = v * share;
      /* The exponent's rounding is magnified in the tail. */
      double tolerance = fabs(expected) * 1e-6 * (1 + v * v / 8) + 1e-37;
      if (!(fabs((double)y[i] - expected) <= tolerance)) {
        print_error("gelu %d of %.9g is %.9g, expected %.9g\n", kind, v, (double)y[i], expected);
        fail();
      }
    }
    op_fixture_close(&f);
  }
}

void op_check_causal(const pl_backend *backend) {
  enum { LENGTH = 9, WIDTH = 8 };
  op_setup setup = {.name = "causal",
                    .kind = PL_OP_ATTENTION,
                    .rows = 1,
                    .in = {LENGTH, 1, 3 * WIDTH},
                    .heads = 1,
                    .causal = true};
  op_fixture f;
  float first[LENGTH * WIDTH];
  op_fixture_open(&f, &setup, backend);
  op_fixture_forward(&f);
  memcpy(first, f.y, sizeof first);
  float *last = (float *)f.x + (LENGTH - 1) * 3 * WIDTH;
  for (int i = 0; i < 3 * WIDTH; i++) last[i] += 3;
  op_fixture_forward(&f);
  size_t before = sizeof first / LENGTH * (LENGTH - 1);
  assert_memory_equal(f.y, first, before);
  assert_memory_not_equal((char *)f.y + before, (char *)first + before, sizeof first / LENGTH);
  op_fixture_close(&f);
}
