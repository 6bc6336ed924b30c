/* TensorBoard event files: scalars of a run in the format that TensorBoard reads (records of
 * length, masked CRC32C, Event message of protocol buffers, masked CRC32C). One process writes. */
#ifndef LAUNCH_TRAIN_EVENTS_H
#define LAUNCH_TRAIN_EVENTS_H

#include <stdint.h>

#include "runtime/base/status.h"

typedef struct pl_events pl_events;

/* Creates events.out.tfevents.SECONDS.HOST.PID in `folder`. From `first_step` on, what earlier
 * files of the folder say is declared void (a resumed run writes those steps again). PL_E_IO. */
pl_status pl_events_create(const char *folder, int64_t first_step, pl_events **out);
/* NULL is allowed. */
void pl_events_destroy(pl_events **events);

/* One value of the curve `tag`, such as "train/loss"; one that is not finite is left out. */
pl_status pl_events_scalar(pl_events *events, const char *tag, int64_t step, double value);

/* Hands everything to the system, so that it survives a killed process. PL_E_IO. */
pl_status pl_events_flush(pl_events *events);

#endif
