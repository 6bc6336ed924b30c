/* Lanes hand in where their registers are; the last one that comes does the work of all. */
#include "tests/emulation/tensor_core.h"

#include <stdio.h>
#include <stdlib.h>

#include "tests/emulation/sums.h"

namespace {

struct product_lane {
  float *result;
  const uint32_t *left;
  uint32_t right[2];
};

struct load_lane {
  uint32_t *to;
  const uint4 *line;
};

/* The first (0) or second (1) of a pair. */
float half(uint32_t pair, unsigned which) {
  return __bfloat162float(__nv_bfloat16{(uint16_t)(pair >> 16 * which)});
}

void multiply(void *const *lanes) {
  float left[16][16], right[8][16];
  for (unsigned lane = 0; lane < 32; lane++) {
    const product_lane *own = (const product_lane *)lanes[lane];
    unsigned g = lane / 4, t = lane % 4;
    for (unsigned i = 0; i < 8; i++)
      left[g + i / 2 % 2 * 8][2 * t + i / 4 * 8 + i % 2] = half(own->left[i / 2], i % 2);
    for (unsigned i = 0; i < 4; i++)
      right[g][2 * t + i / 2 * 8 + i % 2] = half(own->right[i / 2], i % 2);
  }
  for (unsigned lane = 0; lane < 32; lane++) {
    float *result = ((const product_lane *)lanes[lane])->result;
    for (unsigned i = 0; i < 4; i++) {
      unsigned line = lane / 4 + i / 2 * 8, column = lane % 4 * 2 + i % 2;
      for (unsigned k = 0; k < 16; k += EMULATED_GROUP)
        result[i] = emulated_cut_sum(result[i], left[line] + k, right[column] + k, EMULATED_GROUP);
    }
  }
}

template <bool TRANSPOSED>
void load(void *const *lanes) {
  uint16_t matrix[4][8][8];
  for (unsigned lane = 0; lane < 32; lane++) {
    const uint4 *line = ((const load_lane *)lanes[lane])->line;
    if ((uintptr_t)line % sizeof *line != 0) {
      fprintf(stderr, "emulated device code: a matrix's line is not aligned to 16 bytes\n");
      abort();
    }
    memcpy(matrix[lane / 8][lane % 8], line, sizeof *line);
  }
  for (unsigned lane = 0; lane < 32; lane++) {
    uint32_t *to = ((const load_lane *)lanes[lane])->to;
    unsigned g = lane / 4, t = lane % 4;
    for (unsigned i = 0; i < 4; i++) {
      uint16_t first = TRANSPOSED ? matrix[i][2 * t][g] : matrix[i][g][2 * t];
      uint16_t second = TRANSPOSED ? matrix[i][2 * t + 1][g] : matrix[i][g][2 * t + 1];
      to[i] = (uint32_t)second << 16 | first;
    }
  }
}

}  // namespace

void pl_multiply_add(float (&result)[4], const uint32_t (&left)[4], uint32_t right0,
                     uint32_t right1) {
  product_lane own = {result, left, {right0, right1}};
  emulated_together(&own, multiply);
}

void pl_load_matrices(uint32_t (&to)[4], const uint4 *line) {
  load_lane own = {to, line};
  emulated_together(&own, load<false>);
}

void pl_load_transposed(uint32_t (&to)[4], const uint4 *line) {
  load_lane own = {to, line};
  emulated_together(&own, load<true>);
}
