/* What optimizers do with a slice on the device. */
#include "runtime/cuda/kernel.h"
#include "runtime/cuda/launch.h"
#include "runtime/optim/rule.h"

static pl_status cuda_measure(const pl_optim_pass *pass, double *sums) {
  pl_launch_optim_measure(pl_cuda_stream(), pass, sums);
  return pl_cuda_check("sums of an optimizer", cudaGetLastError());
}

static pl_status cuda_update(const pl_optim_pass *pass) {
  pl_launch_optim_update(pl_cuda_stream(), pass);
  return pl_cuda_check("an optimizer", cudaGetLastError());
}

static pl_status cuda_scale(float *values, size_t n, float factor) {
  pl_launch_scale(pl_cuda_stream(), values, n, factor);
  return pl_cuda_check("clipping a gradient", cudaGetLastError());
}

static pl_status cuda_follow(float *average, const float *values, size_t n, float rate) {
  pl_launch_follow(pl_cuda_stream(), average, values, n, rate);
  return pl_cuda_check("an average", cudaGetLastError());
}

const pl_optim_engine pl_cuda_optim = {
    .measure = cuda_measure, .update = cuda_update, .scale = cuda_scale, .follow = cuda_follow};
