/* What runtime/cuda/tensor_core.h says, for the processor. */
#ifndef TESTS_EMULATION_TENSOR_CORE_H
#define TESTS_EMULATION_TENSOR_CORE_H

#include "tests/emulation/language.h"

void pl_multiply_add(float (&result)[4], const uint32_t (&left)[4], uint32_t right0,
                     uint32_t right1);
void pl_load_matrices(uint32_t (&to)[4], const uint4 *line);
void pl_load_transposed(uint32_t (&to)[4], const uint4 *line);

inline void pl_copy_async(uint4 *shared, const uint4 *from, bool there) {
  emulated_copy_async(shared, from, sizeof *from, there);
}
inline void pl_copy_async(float *shared, const float *from, bool there) {
  emulated_copy_async(shared, from, sizeof *from, there);
}
inline void pl_commit_copies() { emulated_commit_copies(); }
template <int LEFT>
inline void pl_wait_for_copies() {
  emulated_wait_for_copies(LEFT);
}

#endif
