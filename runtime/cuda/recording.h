/* Work on the device that is queued once and done many times: CUDA graphs. These are entries of
 * pl_device (runtime/tensor/device.h). */
#ifndef PL_CUDA_RECORDING_H
#define PL_CUDA_RECORDING_H

#include <stdbool.h>

#include "runtime/tensor/device.h"

pl_status pl_cuda_record_begin(void);
pl_status pl_cuda_record_end(pl_recording **out);
pl_status pl_cuda_replay(const pl_recording *recording);
void pl_cuda_forget(pl_recording **recording);

/* Whether a recording is under way: then nothing may pass between host and device, since a replay
 * would find other values on the host, or none. */
bool pl_cuda_is_recording(void);

#endif
