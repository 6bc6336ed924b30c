/* The watchdog: names the rank, step and call that hang, and ends all ranks.
 *
 * Every call between ranks counts as a sign of life at its start and at its end, and so does
 * pl_comm_alive. A thread of each rank watches these signs. A rank that has given none for half the
 * limit leaves a note in a folder that all ranks see: where it is, and whether it waits for others.
 * The first one to reach the limit reads all notes: ranks that wait in a call between ranks are
 * victims; those that work, or are silent (stopped, gone), are the cause, and are named first. Then
 * it ends all with PL_E_WATCHDOG. */
#ifndef COMM_WATCHDOG_H
#define COMM_WATCHDOG_H

#include "comm/comm.h"

typedef struct pl_watchdog pl_watchdog;

/* `limit_s` > 0 seconds without a sign of life; `folder` exists and is the same for all ranks;
 * notes of an earlier run in it are removed. Learns the ranks' hosts. Errors are agreed.
 * Collective. */
pl_status pl_watchdog_start(pl_comm *comm, double limit_s, const char *folder, pl_watchdog **out);

/* Stops watching and removes this rank's note; NULL is allowed. Not collective. */
void pl_watchdog_stop(pl_watchdog **watchdog);

#endif
