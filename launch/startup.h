/* The start checks of the coordinator: what all ranks must hold alike before anything is spent. */
#ifndef LAUNCH_STARTUP_H
#define LAUNCH_STARTUP_H

#include "comm/comm.h"
#include "runtime/config/config.h"
#include "runtime/data/dataset.h"

/* Reads the configuration on every rank: `operands` are a file, or a run's folder (whose run.yaml
 * is then read, with run.resume=auto), and overrides "key=value". Checks it, settles what depends
 * on the machine (train.precision, run.dir), and checks that all ranks hold the same one and run
 * the same build. Errors are agreed. Collective. */
pl_status pl_startup_config(pl_comm *comm, const char *const *operands, int count,
                            pl_config *config);

/* Opens the dataset in `folder` on every rank and checks that all see the same manifest. Errors are
 * agreed. Collective. */
pl_status pl_startup_dataset(pl_comm *comm, const char *folder, pl_dataset **out);

/* Sets this rank's compute threads: `configured`, or from the affinity mask and the number of ranks
 * on the host where that is 0. Returns the number. Not collective. */
int pl_startup_threads(const pl_comm *comm, int64_t configured);

/* Logs, on rank 0, a table of hosts with their ranks, threads and device. *json is the same as a
 * JSON array of {"host", "ranks", "threads", "device"}, one for each run of neighbouring ranks that
 * are alike; the caller frees it with free(), also after an error. Collective. */
pl_status pl_startup_table(pl_comm *comm, int threads, char **json);

/* Version and xxHash128 of the running program, such as "0.1.0 3f0c…". Static storage is the
 * caller's: `text` holds PL_BUILD_TEXT bytes. */
enum { PL_BUILD_TEXT = 96 };
pl_status pl_build_text(char text[PL_BUILD_TEXT]);

#endif
