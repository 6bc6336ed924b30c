/* What the environment says about how this process was started. */
#ifndef COMM_LAUNCHER_H
#define COMM_LAUNCHER_H

#include <stdbool.h>

typedef struct pl_launcher {
  bool found;         /* started by mpirun or as one of the tasks of a Slurm step */
  int tasks;          /* processes it started together; 0 where it does not say */
  const char *source; /* variable that `tasks` comes from; static string */
  bool silent; /* srun started several and left no word of PMI or PMIx, by which most MPI libraries
                  find each other */
} pl_launcher;

pl_launcher pl_launcher_look(void);

#endif
