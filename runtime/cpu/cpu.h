/* The processor backend: convolutions, linear layers and the products of attention on oneDNN, the
 * rest own kernels.
 *
 * Types: convolution f32 or bf16 throughout; linear, batch norm and L2-normalise may also read bf16
 * and write f32; an embedding gives the type of its weight; the rest keeps that of its input. Sums
 * are taken in f32 or wider whatever the type. Own kernels and attention give the same bits for any
 * number of threads; convolutions and linear layers do so for a fixed number. */
#ifndef PL_CPU_CPU_H
#define PL_CPU_CPU_H

#include "runtime/net/backend.h"

const pl_backend *pl_cpu_backend(void);

/* Whether this processor multiplies bf16 in hardware (AVX512_BF16 or AMX). */
bool pl_cpu_has_bf16(void);

#endif
