/* What a rank computes on: the processor, or a GPU. */
#ifndef LAUNCH_DEVICE_H
#define LAUNCH_DEVICE_H

#include "comm/comm.h"
#include "runtime/config/config.h"
#include "runtime/data/view_maker.h"
#include "runtime/net/backend.h"

/* Whether run.device means a GPU here: as it says, or for auto where one is named (run.gpu) or the
 * host's first can be computed on. Not collective. */
bool pl_device_is_cuda(const pl_config *config);

/* Who makes views on the device, by run.device and augment.device; NULL: the loader's threads. Not
 * collective. */
const pl_view_maker *pl_device_view_maker(const pl_config *config);

/* Opens this rank's device for the rest of the process: the GPU run.gpu, or ranks of a host in turn
 * over its GPUs; all ranks must be on one kind. Errors name what is missing and are agreed.
 * Collective. */
pl_status pl_device_open(pl_comm *comm, const pl_config *config, const pl_backend **out);

/* Links the GPUs that the ranks have opened (comm/link.h), as comm.transport says: for commands
 * that train. Errors are agreed. Collective. */
pl_status pl_device_link(pl_comm *comm, const pl_config *config, const pl_backend *backend);

/* Both for a command that has no configuration: ranks of a host in turn over its GPUs, linked where
 * that can be had; or the processor. Collective; cuda must match on all ranks. */
pl_status pl_device_open_all(pl_comm *comm, bool cuda, const pl_backend **out);

/* The first for a command that runs on one rank: GPU 0, or the processor. Not collective. */
pl_status pl_device_open_alone(bool cuda, const pl_backend **out);

/* What a rehearsal computes on: as pl_device_open, but for a GPU its planning backend. Where a GPU
 * is at hand and none is open, it is opened, so that it can be asked. PL_E_USAGE where this program
 * has no CUDA. Not collective. */
pl_status pl_device_plan(const pl_config *config, const pl_backend **out);

/* Gives back the link, if there is one, and the GPU that is open, when all is done that was queued
 * there; does nothing where none is. comm may be NULL. Collective. */
void pl_device_close(pl_comm *comm);

/* "cpu", or the name and number of the GPU that is open. */
enum { PL_DEVICE_TEXT = 96 };
void pl_device_name(char name[PL_DEVICE_TEXT]);

#endif
