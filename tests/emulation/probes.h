/* Small kernels that tell whether the emulation is what it says. All arrays are the device's. */
#ifndef TESTS_EMULATION_PROBES_H
#define TESTS_EMULATION_PROBES_H

#include <stddef.h>

#include "runtime/cuda/launch.h"

#ifdef __cplusplus
extern "C" {
#endif

/* out[b]: the sum of block b's part of x, by shuffles and shared memory; threads behind the end
 * return at once. */
void probe_sum_blocks(pl_stream stream, float *out, const float *x, size_t n, size_t threads);

/* One warp: out[lane], out[32 + lane], … : xor 5, down 3, up 3 and lane 7 of groups of 8. */
void probe_shuffles(pl_stream stream, int *out);

/* One block reverses x through shared memory, and waits in between or not. */
void probe_reverse(pl_stream stream, int *x, size_t n, bool waits);

/* One block of 64, in which threads wait at different places. */
void probe_part_ways(pl_stream stream, int *out);

/* One warp of 20 threads, whose last ones read from lanes that are not there. */
void probe_missing_lanes(pl_stream stream, int *out);

/* One warp: out (16, 8) = left (16, 16) · right (16, 8), in bf16, by tensor cores. right also lies
 * (8, 16) in right_transposed; which of both is taken must make no difference. */
void probe_product(pl_stream stream, float *out, const void *left, const void *right,
                   const void *right_transposed, bool from_transposed);

/* One thread copies x[0..4) and four zeros to shared memory in two groups, waits for all but the
 * last `left` and writes what is there; before, all are -1. */
void probe_copies(pl_stream stream, float *out, const float *x, int left);

/* One warp loads matrices from lines that begin `offset` floats too late. */
void probe_load(pl_stream stream, int *out, int offset);

/* One warp of which lane 7 is missing multiplies. */
void probe_lone_product(pl_stream stream, float *out);

/* out[i] = 2^x[i] for i below 1024, as device code works it out. */
void probe_powers(pl_stream stream, float *out, const float *x);

/* x[at] = 1 */
void probe_write(pl_stream stream, int *x, size_t at);

#ifdef __cplusplus
}
#endif

#endif
