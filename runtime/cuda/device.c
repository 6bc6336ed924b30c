/* The device that is open: its memory, copies, and the stream that all work goes to. */
#include <stdio.h>
#include <stdlib.h>

#include "runtime/base/account.h"
#include "runtime/cuda/blocks.h"
#include "runtime/cuda/cuda.h"
#include "runtime/cuda/fetch.h"
#include "runtime/cuda/kernel.h"
#include "runtime/cuda/launch.h"
#include "runtime/cuda/recording.h"
#include "runtime/cuda/staging.h"

static struct {
  bool is_open;
  int index;
  cudaStream_t stream;
  cublasLtHandle_t blas;
  pl_staging staging;
  pl_fetch fetch;
} open_device;

static bool tf32_allowed;

enum { CAPABILITY_NEEDED = 8 }; /* bf16 products */

bool pl_cuda_built(void) { return true; }

cudaStream_t pl_cuda_stream(void) { return open_device.stream; }
cublasLtHandle_t pl_cuda_blas(void) { return open_device.blas; }

void pl_cuda_use_tf32(bool allowed) { tf32_allowed = allowed; }
bool pl_cuda_tf32(void) { return tf32_allowed; }

pl_status pl_cuda_check(const char *what, cudaError_t error) {
  if (error == cudaSuccess) return PL_OK;
  cudaGetLastError(); /* else the next launch would seem to have failed */
  return PL_FAIL(PL_E_INTERNAL, "%s: CUDA says: %s (%s)", what, cudaGetErrorString(error),
                 cudaGetErrorName(error));
}

int pl_cuda_devices(void) {
  int count = 0;
  if (cudaGetDeviceCount(&count) == cudaSuccess) return count;
  cudaGetLastError();
  return 0;
}

bool pl_cuda_has_driver(void) {
  int driver = 0;
  return cudaDriverGetVersion(&driver) == cudaSuccess && driver > 0;
}

static pl_status no_device(void) {
  const char *visible = getenv("CUDA_VISIBLE_DEVICES");
  if (visible)
    return PL_FAIL(PL_E_USAGE,
                   "CUDA_VISIBLE_DEVICES=%s leaves no CUDA device to this program; set it to one "
                   "that nvidia-smi -L lists, or use the processor (cpu)",
                   visible);
  return PL_FAIL(PL_E_USAGE,
                 "the CUDA driver finds no device (nvidia-smi -L lists those of the host; a "
                 "container must be given them); use the processor (cpu)");
}

/* Why no device can be used at all. */
static pl_status check_driver(void) {
  int driver = 0, runtime = 0, count = 0;
  if (!pl_cuda_has_driver())
    return PL_FAIL(PL_E_USAGE,
                   "there is no CUDA driver here (a container must be given the host's); use the "
                   "processor (cpu)");
  PL_TRY(pl_cuda_check("version of the driver", cudaDriverGetVersion(&driver)));
  PL_TRY(pl_cuda_check("version of the runtime", cudaRuntimeGetVersion(&runtime)));
  cudaError_t error = cudaGetDeviceCount(&count);
  cudaGetLastError();
  /* Runtimes work with every driver of their major version. */
  if (driver / 1000 < runtime / 1000 || error == cudaErrorInsufficientDriver)
    return PL_FAIL(PL_E_USAGE,
                   "the driver of this host is for CUDA %d.%d, this program needs %d.0 at least; "
                   "update the driver or use the processor (cpu)",
                   driver / 1000, driver % 1000 / 10, runtime / 1000);
  if (error == cudaErrorNoDevice || (error == cudaSuccess && count == 0)) return no_device();
  if (error == cudaSuccess) return PL_OK;
  return PL_FAIL(PL_E_USAGE,
                 "the CUDA driver does not start: %s (%s); nvidia-smi may tell more, a restart of "
                 "the host often helps after an update; or use the processor (cpu)",
                 cudaGetErrorString(error), cudaGetErrorName(error));
}

pl_status pl_cuda_check_device(int index) {
  PL_TRY(check_driver());
  int count = pl_cuda_devices();
  if (index < 0 || index >= count)
    return PL_FAIL(PL_E_USAGE,
                   "there is no CUDA device %d: this program sees %d, counted from 0; take one of "
                   "those or the processor (cpu)",
                   index, count);
  struct cudaDeviceProp device;
  PL_TRY(pl_cuda_check("properties of a device", cudaGetDeviceProperties(&device, index)));
  if (device.major < CAPABILITY_NEEDED)
    return PL_FAIL(PL_E_USAGE,
                   "CUDA device %d (%s) has compute capability %d.%d, %d.0 is needed; use another "
                   "one or the processor (cpu)",
                   index, device.name, device.major, device.minor, CAPABILITY_NEEDED);
  return PL_OK;
}

/* Choosing a device makes what the process needs on it. */
static pl_status choose_device(int index) {
  cudaError_t error = cudaSetDevice(index);
  if (error == cudaSuccess) return PL_OK;
  cudaGetLastError();
  const char *why = "";
  if (error == cudaErrorDevicesUnavailable)
    why = ": another process holds it (compute mode \"exclusive process\")";
  if (error == cudaErrorMemoryAllocation) why = ": others have taken its memory";
  return PL_FAIL(PL_E_USAGE,
                 "CUDA device %d can't be used now%s; CUDA says: %s (%s). nvidia-smi lists who "
                 "uses it; wait, take another one, or use the processor (cpu)",
                 index, why, cudaGetErrorString(error), cudaGetErrorName(error));
}

static pl_status make_handles(void) {
  PL_TRY(pl_cuda_check("a stream",
                       cudaStreamCreateWithFlags(&open_device.stream, cudaStreamNonBlocking)));
  PL_TRY(pl_staging_create(&open_device.staging));
  PL_TRY(pl_fetch_create(&open_device.fetch));
  cublasStatus_t made = cublasLtCreate(&open_device.blas);
  if (made != CUBLAS_STATUS_SUCCESS)
    return PL_FAIL(PL_E_INTERNAL, "cuBLASLt says: %s", cublasLtGetStatusString(made));
  return PL_OK;
}

static void give_handles_back(void) {
  if (open_device.stream) cudaStreamSynchronize(open_device.stream);
  if (open_device.blas) cublasLtDestroy(open_device.blas);
  pl_fetch_free(&open_device.fetch);
  pl_staging_free(&open_device.staging);
  if (open_device.stream) cudaStreamDestroy(open_device.stream);
  open_device.blas = NULL;
  open_device.stream = NULL;
  open_device.is_open = false;
}

pl_status pl_cuda_open(int index) {
  if (open_device.is_open)
    return PL_FAIL(PL_E_INTERNAL, "CUDA device %d is open already", open_device.index);
  PL_TRY(pl_cuda_check_device(index));
  PL_TRY(choose_device(index));
  pl_status status = make_handles();
  if (status != PL_OK) give_handles_back();
  open_device.is_open = status == PL_OK;
  open_device.index = index;
  return pl_context(status, "opening CUDA device %d", index);
}

void pl_cuda_close(void) {
  if (open_device.is_open) give_handles_back();
}

bool pl_cuda_is_open(void) { return open_device.is_open; }

pl_status pl_cuda_get_info(pl_cuda_info *info) {
  *info = (pl_cuda_info){0};
  if (!open_device.is_open) return PL_FAIL(PL_E_INTERNAL, "no CUDA device is open");
  struct cudaDeviceProp device;
  PL_TRY(pl_cuda_check("properties of the device",
                       cudaGetDeviceProperties(&device, open_device.index)));
  snprintf(info->name, sizeof info->name, "%s", device.name);
  info->major = device.major;
  info->minor = device.minor;
  PL_TRY(pl_cuda_check("version of the driver", cudaDriverGetVersion(&info->driver)));
  PL_TRY(pl_cuda_check("version of the runtime", cudaRuntimeGetVersion(&info->runtime)));
  return pl_cuda_check("memory of the device",
                       cudaMemGetInfo(&info->free_bytes, &info->total_bytes));
}

static double mib(size_t bytes) { return (double)bytes / (1 << 20); }

static pl_status no_memory(size_t bytes) {
  size_t free_bytes = 0, total = 0;
  pl_account_refuse(PL_ON_DEVICE, bytes);
  cudaGetLastError();
  PL_TRY(pl_cuda_check("memory of the device", cudaMemGetInfo(&free_bytes, &total)));
  return PL_FAIL(PL_E_INTERNAL,
                 "no memory left on the CUDA device: %.1f MiB asked for, %.1f of %.1f MiB are "
                 "free; take smaller micro-batches or use the processor (cpu)",
                 mib(bytes), mib(free_bytes), mib(total));
}

static pl_status cuda_alloc(size_t bytes, void **out) {
  *out = NULL;
  if (bytes == 0) bytes = 1;
  cudaError_t error = cudaMalloc(out, bytes);
  if (error == cudaErrorMemoryAllocation) return no_memory(bytes);
  PL_TRY(pl_cuda_check("memory of the device", error));
  pl_status status = pl_blocks_enter(PL_ON_DEVICE, *out, bytes);
  if (status != PL_OK) {
    cudaFree(*out);
    *out = NULL;
    return status;
  }
  return pl_cuda_check("clearing memory", cudaMemsetAsync(*out, 0, bytes, open_device.stream));
}

static void wait_for_all(void) {
  if (open_device.stream) cudaStreamSynchronize(open_device.stream);
  if (open_device.fetch.stream) cudaStreamSynchronize(open_device.fetch.stream);
}

static void cuda_release(void *memory) {
  if (!memory) return;
  wait_for_all();
  pl_blocks_strike(memory);
  cudaFree(memory);
}

static pl_status cuda_alloc_host(size_t bytes, void **out) {
  *out = NULL;
  cudaError_t error = cudaMallocHost(out, bytes == 0 ? 1 : bytes);
  if (error == cudaErrorMemoryAllocation) pl_account_refuse(PL_ON_HOST, bytes);
  PL_TRY(
      pl_context(pl_cuda_check("cudaMallocHost", error), "%.1f MiB of pinned memory", mib(bytes)));
  pl_status status = pl_blocks_enter(PL_ON_HOST, *out, bytes);
  if (status == PL_OK) return PL_OK;
  cudaFreeHost(*out);
  *out = NULL;
  return status;
}

static void cuda_release_host(void *memory) {
  if (!memory) return;
  pl_blocks_strike(memory);
  cudaFreeHost(memory); /* waits for the device */
}

static pl_status check_not_recording(void) {
  if (!pl_cuda_is_recording()) return PL_OK;
  return PL_FAIL(PL_E_INTERNAL, "copies between host and device can't be recorded");
}

static pl_status cuda_put(void *device, const void *host, size_t bytes) {
  PL_TRY(check_not_recording());
  return pl_staging_put(&open_device.staging, open_device.stream, device, host, bytes);
}

static pl_status cuda_get(void *host, const void *device, size_t bytes) {
  PL_TRY(check_not_recording());
  return pl_staging_get(&open_device.staging, open_device.stream, host, device, bytes);
}

static pl_status cuda_copy(void *to, const void *from, size_t bytes) {
  if (bytes == 0) return PL_OK;
  return pl_cuda_check(
      "copy on the device",
      cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, open_device.stream));
}

static pl_status cuda_finish(void) {
  return pl_cuda_check("work on the device", cudaStreamSynchronize(open_device.stream));
}

static pl_status cuda_put_pinned(void *device, const void *pinned, size_t bytes) {
  PL_TRY(check_not_recording());
  if (bytes == 0) return PL_OK;
  return pl_cuda_check(
      "copy to the device",
      cudaMemcpyAsync(device, pinned, bytes, cudaMemcpyHostToDevice, open_device.stream));
}

static pl_status cuda_start_get(void *pinned, const void *device, size_t bytes, uint64_t *ticket) {
  PL_TRY(check_not_recording());
  return pl_fetch_start(&open_device.fetch, open_device.stream, pinned, device, bytes, ticket);
}

static pl_status cuda_await_get(uint64_t ticket) {
  return pl_fetch_await(&open_device.fetch, ticket);
}

static pl_status cuda_write_blocks(void *to, const pl_block_place *place, const float *from,
                                   int64_t blocks) {
  pl_launch_write_blocks(open_device.stream, to, place, from, blocks);
  return pl_cuda_check("compute image", cudaGetLastError());
}

static pl_status cuda_add_f32(float *to, const float *from, size_t n) {
  pl_launch_add_f32(open_device.stream, to, from, n);
  return pl_cuda_check("sum", cudaGetLastError());
}

static pl_status cuda_add_f64(double *to, const double *from, size_t n) {
  pl_launch_add_f64(open_device.stream, to, from, n);
  return pl_cuda_check("sum", cudaGetLastError());
}

const pl_device pl_cuda_device = {.name = "cuda",
                                  .is_host = false,
                                  .alloc = cuda_alloc,
                                  .release = cuda_release,
                                  .alloc_host = cuda_alloc_host,
                                  .release_host = cuda_release_host,
                                  .put = cuda_put,
                                  .get = cuda_get,
                                  .copy = cuda_copy,
                                  .finish = cuda_finish,
                                  .put_pinned = cuda_put_pinned,
                                  .start_get = cuda_start_get,
                                  .await_get = cuda_await_get,
                                  .add_f32 = cuda_add_f32,
                                  .add_f64 = cuda_add_f64,
                                  .write_blocks = cuda_write_blocks,
                                  .optim = &pl_cuda_optim,
                                  .record_begin = pl_cuda_record_begin,
                                  .record_end = pl_cuda_record_end,
                                  .replay = pl_cuda_replay,
                                  .forget = pl_cuda_forget};
