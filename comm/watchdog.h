/* The watchdog: names the rank, step and call that hang, and ends all ranks.
 *
 * Every call between ranks counts as a sign of life at its start and at its end, and so do
 * pl_comm_alive and pl_comm_progress. A thread of each rank watches these signs. A rank that has
 * given none for the limit asks all ranks where they are (comm/roll_call.h); their threads answer
 * whatever the ranks are at. Where one of them has given signs within the limit, it is waited for.
 * Otherwise ranks that wait in a call between ranks are victims; those that work, or do not answer
 * (stopped, gone), are the cause and are named first, and all end with PL_E_WATCHDOG. */
#ifndef COMM_WATCHDOG_H
#define COMM_WATCHDOG_H

#include "comm/comm.h"

typedef struct pl_watchdog pl_watchdog;

/* `limit_s` > 0 seconds without a sign of life; `folder` exists and is the same for all ranks;
 * what an earlier watchdog left in it is removed, and nothing else. Learns the ranks' hosts. Errors
 * are agreed. Collective. */
pl_status pl_watchdog_start(pl_comm *comm, double limit_s, const char *folder, pl_watchdog **out);

/* Stops watching and removes this rank's note; NULL is allowed. Not collective. */
void pl_watchdog_stop(pl_watchdog **watchdog);

#endif
