/* How code that nvcc made registers its kernels and starts them: by the address of a host function
 * that stands for each. */
#include <cuda_runtime_api.h>

#include <map>
#include <string>
#include <vector>

#include "tests/emulation/queue.h"
#include "tests/hollow/hollow.h"

struct CUkern_st {
  std::string name;
};

namespace {

const size_t MOST_THREADS = 1024;
const size_t MOST_SHARED = 48 << 10; /* without asking for more */

struct configuration {
  dim3 blocks, threads;
  size_t shared;
  cudaStream_t stream;
};

std::map<const void *, CUkern_st> kernels;
std::vector<configuration> pushed; /* between <<<…>>> and the host function */

size_t count(dim3 of) { return (size_t)of.x * of.y * of.z; }

cudaError_t refuse(cudaKernel_t kernel, const char *why, cudaError_t error) {
  hollow_refuse(kernel ? kernel->name.c_str() : "a kernel", why);
  return emulated_remember(error);
}

}  // namespace

/* Device code is not the processor's. */
void emulated_run(size_t blocks, size_t threads, const std::function<void()> &thread) {
  (void)blocks;
  (void)threads;
  (void)thread;
}

extern "C" {

void **__cudaRegisterFatBinary(void *binary) {
  static void *handle;
  (void)binary;
  return &handle;
}
void __cudaRegisterFatBinaryEnd(void **handle) { (void)handle; }
void __cudaUnregisterFatBinary(void **handle) { (void)handle; }

void __cudaRegisterFunction(void **handle, const char *host, char *device, const char *name,
                            int limit, uint3 *thread, uint3 *block, dim3 *threads, dim3 *blocks,
                            int *warp) {
  (void)handle, (void)device, (void)limit, (void)warp;
  (void)thread, (void)block, (void)threads, (void)blocks;
  kernels[host] = {name};
}

unsigned __cudaPushCallConfiguration(dim3 blocks, dim3 threads, size_t shared,
                                     struct CUstream_st *stream) {
  pushed.push_back({blocks, threads, shared, stream});
  return 0;
}

cudaError_t __cudaPopCallConfiguration(dim3 *blocks, dim3 *threads, size_t *shared, void *stream) {
  configuration last = pushed.back();
  pushed.pop_back();
  *blocks = last.blocks;
  *threads = last.threads;
  *shared = last.shared;
  *(cudaStream_t *)stream = last.stream;
  return cudaSuccess;
}

cudaError_t __cudaGetKernel(cudaKernel_t *kernel, const void *host) {
  auto found = kernels.find(host);
  *kernel = nullptr;
  if (found == kernels.end())
    return refuse(nullptr, "it was not registered", cudaErrorInvalidDeviceFunction);
  *kernel = &found->second;
  return cudaSuccess;
}

cudaError_t __cudaLaunchKernel(cudaKernel_t kernel, dim3 blocks, dim3 threads, void **arguments,
                               size_t shared, cudaStream_t stream) {
  (void)arguments;
  if (!kernel) return refuse(kernel, "there is none", cudaErrorInvalidResourceHandle);
  if (count(blocks) < 1 || blocks.x > 0x7FFFFFFF || blocks.y > 0xFFFF || blocks.z > 0xFFFF)
    return refuse(kernel, "there is no such grid", cudaErrorInvalidConfiguration);
  if (count(threads) < 1 || count(threads) > MOST_THREADS)
    return refuse(kernel, "there are no such blocks", cudaErrorInvalidConfiguration);
  if (shared > MOST_SHARED)
    return refuse(kernel, "there is less shared memory", cudaErrorInvalidValue);
  hollow_count(HOLLOW_KERNELS);
  emulated_launch(stream, count(blocks), count(threads), {});
  return emulated_done();
}

}  // extern "C"
