/* The emulated runtime: one device and its memory; streams are tests/emulation/streams.cc. An error
 * in the device's work stays: everything that comes after it fails as well. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <iterator>
#include <map>

#include "tests/emulation/faults.h"
#include "tests/emulation/queue.h"
#include "tests/emulation/runtime.h"

namespace {

emulated_host host = fault_host();
int chosen; /* device */
cudaError_t last_error = cudaSuccess;

void check_device_memory(const void *memory, size_t bytes) {
  if (device_memory_holds(memory, bytes)) return;
  fprintf(stderr, "emulated runtime: %zu bytes at %p are not the device's\n", bytes, memory);
  abort();
}

std::map<const char *, size_t> pinned; /* host memory of cudaMallocHost */

size_t copied; /* between host and device */

/* Other host memory may be copied from and to as well, but the host then waits. */
void check_pinned(const void *memory, size_t bytes) {
  auto after = pinned.upper_bound((const char *)memory);
  if (after != pinned.begin()) {
    auto block = std::prev(after);
    if ((const char *)memory + bytes <= block->first + block->second) return;
  }
  fprintf(stderr, "emulated runtime: %zu bytes at %p are not pinned\n", bytes, memory);
  abort();
}

}  // namespace

size_t emulated_copied(void) { return copied; }

cudaError_t emulated_broken = cudaSuccess;

cudaError_t emulated_remember(cudaError_t error) {
  if (error != cudaSuccess) last_error = error;
  return error;
}

cudaError_t emulated_done(void) { return emulated_remember(emulated_broken); }

void emulated_host_is(const emulated_host *wanted) { host = *wanted; }

void emulated_launch(cudaStream_t stream, size_t blocks, size_t threads,
                     std::function<void()> thread) {
  if (blocks < 1 || blocks > 0x7FFFFFFF || threads < 1 || threads > 1024) {
    emulated_remember(cudaErrorInvalidConfiguration);
    return;
  }
  emulated_enqueue(stream, [=] {
    if (fault_breaks()) emulated_broken = cudaErrorLaunchFailure;
    if (emulated_broken == cudaSuccess) emulated_run(blocks, threads, thread);
  });
}

const char *cudaGetErrorName(cudaError_t error) {
  switch (error) {
    case cudaSuccess: return "cudaSuccess";
    case cudaErrorInvalidValue: return "cudaErrorInvalidValue";
    case cudaErrorMemoryAllocation: return "cudaErrorMemoryAllocation";
    case cudaErrorInitializationError: return "cudaErrorInitializationError";
    case cudaErrorInvalidConfiguration: return "cudaErrorInvalidConfiguration";
    case cudaErrorInsufficientDriver: return "cudaErrorInsufficientDriver";
    case cudaErrorDevicesUnavailable: return "cudaErrorDevicesUnavailable";
    case cudaErrorNoDevice: return "cudaErrorNoDevice";
    case cudaErrorInvalidDevice: return "cudaErrorInvalidDevice";
    case cudaErrorNotReady: return "cudaErrorNotReady";
    case cudaErrorLaunchFailure: return "cudaErrorLaunchFailure";
    case cudaErrorStreamCaptureUnsupported: return "cudaErrorStreamCaptureUnsupported";
    case cudaErrorStreamCaptureInvalidated: return "cudaErrorStreamCaptureInvalidated";
    default: return "unknown";
  }
}
const char *cudaGetErrorString(cudaError_t error) { return cudaGetErrorName(error); }

cudaError_t cudaGetLastError(void) {
  cudaError_t error = last_error;
  last_error = emulated_broken;
  return error;
}

cudaError_t cudaDriverGetVersion(int *version) {
  *version = host.driver;
  return cudaSuccess;
}

cudaError_t cudaRuntimeGetVersion(int *version) {
  *version = CUDART_VERSION;
  return cudaSuccess;
}

cudaError_t cudaGetDeviceCount(int *count) {
  *count = 0;
  if (host.driver < CUDART_VERSION) return emulated_remember(cudaErrorInsufficientDriver);
  if (fault_refuses("start")) return emulated_remember(cudaErrorInitializationError);
  if (host.devices == 0) return emulated_remember(cudaErrorNoDevice);
  *count = host.devices;
  return cudaSuccess;
}

cudaError_t cudaGetDeviceProperties(struct cudaDeviceProp *properties, int device) {
  if (device < 0 || device >= host.devices) return emulated_remember(cudaErrorInvalidDevice);
  memset(properties, 0, sizeof *properties);
  snprintf(properties->name, sizeof properties->name, "emulated device");
  properties->totalGlobalMem = device_memory_total();
  properties->major = host.major;
  properties->minor = host.minor;
  properties->multiProcessorCount = 4;
  return cudaSuccess;
}

/* Also makes what the process needs on the device. */
cudaError_t cudaSetDevice(int device) {
  if (device < 0 || device >= host.devices) return emulated_remember(cudaErrorInvalidDevice);
  chosen = device;
  return fault_refuses("device") ? emulated_remember(cudaErrorDevicesUnavailable) : emulated_done();
}

cudaError_t cudaGetDevice(int *device) {
  *device = chosen;
  return emulated_done();
}

cudaError_t cudaDeviceGetPCIBusId(char *address, int size, int device) {
  if (device < 0 || device >= host.devices) return emulated_remember(cudaErrorInvalidDevice);
  snprintf(address, (size_t)size, "0000:%02X:00.0", device + 1);
  return emulated_done();
}

cudaError_t cudaMemGetInfo(size_t *free_bytes, size_t *total_bytes) {
  *free_bytes = device_memory_free();
  *total_bytes = device_memory_total();
  return emulated_done();
}

cudaError_t cudaMalloc(void **memory, size_t bytes) {
  if (emulated_spoils_recording()) return emulated_remember(cudaErrorStreamCaptureUnsupported);
  *memory = bytes ? device_memory_take(bytes) : nullptr;
  return *memory || !bytes ? emulated_done() : emulated_remember(cudaErrorMemoryAllocation);
}

cudaError_t cudaFree(void *memory) {
  if (emulated_spoils_recording()) return emulated_remember(cudaErrorStreamCaptureUnsupported);
  if (!memory) return cudaSuccess;
  emulated_finish_all();
  device_memory_give(memory);
  return emulated_done();
}

cudaError_t cudaMallocHost(void **memory, size_t bytes) {
  if (emulated_spoils_recording()) return emulated_remember(cudaErrorStreamCaptureUnsupported);
  *memory = malloc(bytes);
  if (!*memory) return emulated_remember(cudaErrorMemoryAllocation);
  pinned[(const char *)*memory] = bytes;
  return emulated_done();
}

cudaError_t cudaFreeHost(void *memory) {
  if (emulated_spoils_recording()) return emulated_remember(cudaErrorStreamCaptureUnsupported);
  emulated_finish_all();
  pinned.erase((const char *)memory);
  free(memory);
  return emulated_done();
}

cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind,
                            cudaStream_t stream) {
  if (kind != cudaMemcpyDeviceToHost) check_device_memory(to, bytes);
  if (kind != cudaMemcpyHostToDevice) check_device_memory(from, bytes);
  if (kind != cudaMemcpyDeviceToDevice) copied += bytes;
  if (kind == cudaMemcpyDeviceToHost) check_pinned(to, bytes);
  if (kind == cudaMemcpyHostToDevice) check_pinned(from, bytes);
  emulated_enqueue(stream, [=] { memcpy(to, from, bytes); });
  return emulated_done();
}

cudaError_t cudaMemsetAsync(void *memory, int value, size_t bytes, cudaStream_t stream) {
  check_device_memory(memory, bytes);
  emulated_enqueue(stream, [=] { memset(memory, value, bytes); });
  return emulated_done();
}
