/* Between the parts of the emulation. */
#ifndef TESTS_EMULATION_QUEUE_H
#define TESTS_EMULATION_QUEUE_H

#include <stddef.h>

#include <functional>

#include <cuda_runtime_api.h>

/* Queues work on the stream, behind all that was queued before. Device memory may be touched only
 * there. Replacements of libraries use it as well (streams.cc). */
void emulated_enqueue(cudaStream_t stream, std::function<void()> work);

/* Queues a kernel, if so many blocks and threads can be had (runtime.cc). */
void emulated_launch(cudaStream_t stream, size_t blocks, size_t threads,
                     std::function<void()> thread);

/* Runs `thread` for every thread of every block (language.cc). */
void emulated_run(size_t blocks, size_t threads_per_block, const std::function<void()> &thread);

/* What struck the device's work; what is queued behind that is not done, and no call succeeds
 * (runtime.cc). */
extern cudaError_t emulated_broken;
cudaError_t emulated_done(void); /* the answer of a call that went well by itself */

/* The error that a call answers with, which stays for cudaGetLastError (runtime.cc). */
cudaError_t emulated_remember(cudaError_t error);

/* Does all that is queued in all streams, or in one (streams.cc). */
void emulated_finish_all(void);
void emulated_finish(cudaStream_t stream);

/* Queues work that is asked again and again until it says that it is done: what comes from another
 * process (streams.cc). */
void emulated_enqueue_until_done(cudaStream_t stream, std::function<bool()> work);

/* Said by a call that can't be recorded, nor made while a stream records: whether one does. Its
 * recording fails at its end. */
bool emulated_spoils_recording(void);

/* Memory of the emulated device (device_memory.cc): only queued work may touch it. */
void *device_memory_take(size_t bytes); /* NULL: there is not that much; else full of 0xFF */
void device_memory_give(void *memory);
size_t device_memory_free(void);
size_t device_memory_total(void);
bool device_memory_holds(const void *memory, size_t bytes); /* all of it within one block */
void device_memory_open(void);                              /* queued work begins */
void device_memory_close(void);

#endif
