/* What tests tell the emulated machine. Whole programs are told by their environment:
 *
 *   PLENUM_EMULATED_DRIVER=12040     version of the driver; 0: there is none
 *   PLENUM_EMULATED_DEVICES=2        how many there are
 *   PLENUM_EMULATED_CAPABILITY=7.5   of all of them
 *   PLENUM_EMULATED_MEMORY=1000000   bytes of a device, at most 256 MiB
 *   PLENUM_EMULATED_TAKEN=1000000    bytes of it that other processes hold
 *   PLENUM_EMULATED_REFUSES=start    the driver does not start; "device": other processes hold
 *       the devices; "product", "convolution": the library has no such engine; "recording": a
 *       device has no room for recorded work; "nccl": NCCL does not start
 *   PLENUM_EMULATED_BREAKS=30        the 30th kernel breaks the device: whoever waits for it
 *       finds out, and everything fails from then on
 *   PLENUM_EMULATED_LOSES=30         in the 30th exchange by NCCL the other ranks are lost: it
 * never ends, and NCCL tells whoever asks */
#ifndef TESTS_EMULATION_RUNTIME_H
#define TESTS_EMULATION_RUNTIME_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct emulated_host {
  int devices, driver; /* 13000 is 13.0 */
  int major, minor;    /* compute capability of all of them */
} emulated_host;

/* The machine that the runtime finds from now on; at first, unless the environment says otherwise,
 * one device of capability 9.0. */
void emulated_host_is(const emulated_host *host);

/* Lets the threads of a block take turns from the last to the first instead: kernels that don't
 * wait where they should then give other results. */
void emulated_turn_backwards(bool backwards);

/* Lets what other streams hold go before the work of the stream that is waited for, as far as
 * events allow; at first it goes as late as they allow. */
void emulated_others_first(bool on);

/* Bytes that were to be copied between host and device, either way, since the program began. */
size_t emulated_copied(void);

#ifdef __cplusplus
}
#endif

#endif
