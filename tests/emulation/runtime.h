/* What tests tell the emulated device. */
#ifndef TESTS_EMULATION_RUNTIME_H
#define TESTS_EMULATION_RUNTIME_H

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct emulated_host {
  int devices, driver; /* 13000 is 13.0 */
  int major, minor;    /* compute capability of all of them */
} emulated_host;

/* The machine that the runtime finds from now on; at first one device of capability 9.0. */
void emulated_host_is(const emulated_host *host);

/* Lets the threads of a block take turns from the last to the first instead: kernels that don't
 * wait where they should then give other results. */
void emulated_turn_backwards(bool backwards);

/* Lets what other streams hold go before the work of the stream that is waited for, as far as events
 * allow; at first it goes as late as they allow. */
void emulated_others_first(bool on);

#ifdef __cplusplus
}
#endif

#endif
