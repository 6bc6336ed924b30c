/* What is wrong with the emulated machine, as its environment says (tests/emulation/runtime.h). */
#ifndef TESTS_EMULATION_FAULTS_H
#define TESTS_EMULATION_FAULTS_H

#include <stddef.h>

#include "tests/emulation/runtime.h"

emulated_host fault_host(void);

/* Bytes of a device, at most `most`. */
size_t fault_memory(size_t most);

/* Bytes of it that other processes hold, at most `most`. */
size_t fault_memory_of_others(size_t most);

/* Whether `what` is refused: "start", "device", "product", "convolution", "recording",
 * "nccl". */
bool fault_refuses(const char *what);

/* Counts kernels; true for the one that breaks the device. */
bool fault_breaks(void);

/* Counts exchanges of NCCL; true for the one that never ends. */
bool fault_loses(void);

#endif
