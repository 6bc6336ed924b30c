#include "launch/device.h"

#include <stdio.h>

#include "comm/link.h"
#include "runtime/base/log.h"
#include "runtime/cpu/cpu.h"
#include "runtime/cuda/cuda.h"

/* One device a process, as for the backend itself. */
static char opened[PL_DEVICE_TEXT] = "cpu";

/* Who names a GPU wants that one, or to be told. */
static bool is_left_open(const pl_config *config) {
  return config->run.device == PL_CFG_DEVICE_AUTO && config->run.gpu < 0;
}

bool pl_device_is_cuda(const pl_config *config) {
  if (is_left_open(config)) return pl_cuda_check_device(0) == PL_OK;
  return config->run.device != PL_CFG_DEVICE_CPU;
}

const pl_view_maker *pl_device_view_maker(const pl_config *config) {
  bool processor = config->augment.device == PL_CFG_AUGMENT_DEVICE_CPU;
  return processor || !pl_device_is_cuda(config) ? NULL : pl_cuda_view_maker();
}

static pl_status open_cuda(int index) {
  pl_cuda_info info;
  PL_TRY(pl_cuda_open(index));
  PL_TRY(pl_cuda_get_info(&info));
  snprintf(opened, sizeof opened, "%.64s, number %d", info.name, index);
  return PL_OK;
}

/* The GPU of this rank, where none is named. */
static int own_index(const pl_comm *comm) {
  int devices = pl_cuda_devices();
  return devices > 0 ? pl_comm_local_rank(comm) % devices : 0;
}

static pl_status open_own(const pl_comm *comm, const pl_config *config) {
  int index = (int)config->run.gpu;
  if (index < 0) index = own_index(comm);
  return pl_context(open_cuda(index), "run.device=%s",
                    config->run.device == PL_CFG_DEVICE_AUTO ? "auto" : "cuda");
}

/* A GPU that lies idle is worth a line. */
static void tell_why_not(const pl_comm *comm, const pl_config *config) {
  if (pl_comm_rank(comm) != 0 || !is_left_open(config) || !pl_cuda_has_driver()) return;
  if (pl_cuda_check_device(0) != PL_OK) PL_WARN("no GPU is used: %s", pl_last_reason()->message);
}

pl_status pl_device_open(pl_comm *comm, const pl_config *config, const pl_backend **out) {
  bool cuda = pl_device_is_cuda(config);
  *out = pl_cpu_backend();
  PL_TRY(pl_comm_agree_same(comm, "the kind of device that run.device stands for", &cuda,
                            sizeof cuda));
  if (!cuda) tell_why_not(comm, config);
  if (!cuda) return PL_OK;
  pl_cuda_use_tf32(config->train.tf32);
  PL_TRY(pl_comm_agree(comm, open_own(comm, config)));
  *out = pl_cuda_backend();
  return PL_OK;
}

static pl_link_choice link_choice(const pl_config *config) {
  if (config->comm.transport == PL_CFG_TRANSPORT_NCCL) return PL_LINK_NCCL;
  return config->comm.transport == PL_CFG_TRANSPORT_HOST ? PL_LINK_HOST : PL_LINK_AUTO;
}

pl_status pl_device_link(pl_comm *comm, const pl_config *config, const pl_backend *backend) {
  return pl_context(pl_link_open(comm, backend->device, link_choice(config)),
                    "comm.transport=nccl");
}

pl_status pl_device_open_all(pl_comm *comm, bool cuda, const pl_backend **out) {
  *out = cuda ? pl_cuda_backend() : pl_cpu_backend();
  PL_TRY(pl_comm_agree(comm, cuda ? open_cuda(own_index(comm)) : PL_OK));
  return pl_link_open(comm, (*out)->device, PL_LINK_AUTO);
}

pl_status pl_device_open_alone(bool cuda, const pl_backend **out) {
  *out = cuda ? pl_cuda_backend() : pl_cpu_backend();
  return cuda ? open_cuda(0) : PL_OK;
}

pl_status pl_device_plan(const pl_config *config, const pl_backend **out) {
  *out = pl_cpu_backend();
  if (!pl_device_is_cuda(config)) return PL_OK;
  if (!pl_cuda_built()) return pl_context(pl_cuda_open(0), "run.device=cuda");
  pl_cuda_use_tf32(config->train.tf32);
  if (!pl_cuda_is_open() && pl_cuda_check_device(0) == PL_OK) PL_TRY(pl_cuda_open(0));
  *out = pl_cuda_planning_backend();
  return PL_OK;
}

void pl_device_close(pl_comm *comm) {
  if (comm) pl_link_close(comm);
  pl_cuda_close();
}

void pl_device_name(char name[PL_DEVICE_TEXT]) { snprintf(name, PL_DEVICE_TEXT, "%s", opened); }
