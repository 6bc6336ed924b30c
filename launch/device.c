#include "launch/device.h"

#include <stdio.h>

#include "runtime/cpu/cpu.h"
#include "runtime/cuda/cuda.h"

/* One device a process, as for the backend itself. */
static char opened[PL_DEVICE_TEXT] = "cpu";

bool pl_device_is_cuda(const pl_config *config) {
  if (config->run.device == PL_CFG_DEVICE_AUTO) return pl_cuda_built() && pl_cuda_devices() > 0;
  return config->run.device == PL_CFG_DEVICE_CUDA;
}

static pl_status open_cuda(const pl_comm *comm) {
  int devices = pl_cuda_devices();
  int index = devices > 0 ? pl_comm_local_rank(comm) % devices : 0;
  pl_cuda_info info;
  PL_TRY(pl_context(pl_cuda_open(index), "run.device=cuda (run.device=cpu does without)"));
  PL_TRY(pl_cuda_get_info(&info));
  snprintf(opened, sizeof opened, "%.64s, number %d", info.name, index);
  return PL_OK;
}

pl_status pl_device_open(pl_comm *comm, const pl_config *config, const pl_backend **out) {
  bool cuda = pl_device_is_cuda(config);
  *out = pl_cpu_backend();
  PL_TRY(pl_comm_agree_same(comm, "the kind of device that run.device stands for", &cuda,
                            sizeof cuda));
  if (!cuda) return PL_OK;
  pl_cuda_use_tf32(config->train.tf32);
  PL_TRY(pl_comm_agree(comm, open_cuda(comm)));
  *out = pl_cuda_backend();
  return PL_OK;
}

void pl_device_close(void) { pl_cuda_close(); }

void pl_device_name(char name[PL_DEVICE_TEXT]) { snprintf(name, PL_DEVICE_TEXT, "%s", opened); }
