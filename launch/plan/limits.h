/* How much memory this host has for a process. */
#ifndef LAUNCH_PLAN_LIMITS_H
#define LAUNCH_PLAN_LIMITS_H

#include <stddef.h>

/* In bytes; SIZE_MAX where the system sets or tells none. */
typedef struct pl_host_memory {
  size_t physical;  /* of the host, or what its control group may use, whichever is less */
  size_t available; /* of that now, with what the system would give up for it */
  size_t process;   /* that this process may still map (ulimit -v) */
} pl_host_memory;

/* Reads /proc/meminfo, the control group's limits (version 1 and 2, the tightest from the group up
 * to the root) and the process's own. */
pl_host_memory pl_host_memory_read(void);

#endif
