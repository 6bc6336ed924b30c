/* Products of small bf16 matrices by a warp's tensor cores, and how shared memory feeds them. Each
 * function is one instruction; all lanes of a warp call it together, but for the copies. The
 * emulation brings its own (tests/emulation/tensor_core.h).
 *
 * A matrix of a product is spread over the lanes' registers. With g = lane / 4 and t = lane % 4, a
 * lane has these elements (line, column), bf16 in pairs with the first in the lower half:
 *   left, 16×16:   register 0: (g, 2t) and (g, 2t + 1), 1: the same of line g + 8,
 *                  2 and 3: as 0 and 1, 8 columns on
 *   right, 16×8:   register 0: (2t, g) and (2t + 1, g), 1: 8 lines on
 *   result, 16×8:  f32: (g, 2t), (g, 2t + 1), (g + 8, 2t), (g + 8, 2t + 1)
 * So two results that stand side by side, made pairs, are a left matrix. */
#ifndef PL_CUDA_TENSOR_CORE_H
#define PL_CUDA_TENSOR_CORE_H

#include "runtime/cuda/code.h"

#ifdef __CUDACC__

/* result += left · right, sums in f32. */
__device__ inline void pl_multiply_add(float (&result)[4], const uint32_t (&left)[4],
                                       uint32_t right0, uint32_t right1) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
      "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+f"(result[0]), "+f"(result[1]), "+f"(result[2]), "+f"(result[3])
      : "r"(left[0]), "r"(left[1]), "r"(left[2]), "r"(left[3]), "r"(right0), "r"(right1));
}

__device__ inline uint32_t pl_shared_address(const void *shared) {
  return (uint32_t)__cvta_generic_to_shared(shared);
}

/* Four 8×8 matrices from shared memory, matrix i to register i. Lane 8 i + j says where line j of
 * matrix i is: 16 bytes, aligned to that. A lane gets the pair (g, 2t), (g, 2t + 1). */
__device__ inline void pl_load_matrices(uint32_t (&to)[4], const uint4 *line) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
               : "r"(pl_shared_address(line))
               : "memory");
}

/* The same of the transposed matrices: the pair (2t, g), (2t + 1, g). */
__device__ inline void pl_load_transposed(uint32_t (&to)[4], const uint4 *line) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
               : "r"(pl_shared_address(line))
               : "memory");
}

/* Begins to copy 16 bytes (4 bytes) to shared memory past the registers, or where `there` is false
 * to clear them; `from` must be an address of the device all the same, but isn't read. */
__device__ inline void pl_copy_async(uint4 *shared, const uint4 *from, bool there) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;"
               :
               : "r"(pl_shared_address(shared)), "l"(__cvta_generic_to_global(from)),
                 "r"(there ? 16 : 0)
               : "memory");
}
__device__ inline void pl_copy_async(float *shared, const float *from, bool there) {
  asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;"
               :
               : "r"(pl_shared_address(shared)), "l"(__cvta_generic_to_global(from)),
                 "r"(there ? 4 : 0)
               : "memory");
}

/* The copies that this thread began since the last call are a group, which may be empty. */
__device__ inline void pl_commit_copies() { asm volatile("cp.async.commit_group;" ::: "memory"); }

/* Waits for this thread's groups but for the last LEFT. */
template <int LEFT>
__device__ inline void pl_wait_for_copies() {
  asm volatile("cp.async.wait_group %0;" ::"n"(LEFT) : "memory");
}

#endif

/* Two neighbours as a register of a matrix, and back. */
__device__ inline uint32_t pl_pair(float first, float second) {
  __nv_bfloat162 pair = __floats2bfloat162_rn(first, second);
  uint32_t bits;
  memcpy(&bits, &pair, sizeof bits);
  return bits;
}
__device__ inline float2 pl_unpair(uint32_t pair) {
  return make_float2(__uint_as_float(pair << 16), __uint_as_float(pair & 0xFFFF0000u));
}

#endif
