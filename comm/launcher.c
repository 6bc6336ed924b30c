#include "comm/launcher.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The value of a variable that holds a count; 0 where it is missing or holds something else. */
static int count_in(const char *variable) {
  const char *text = getenv(variable);
  if (!text || *text == '\0') return 0;
  char *end;
  long count = strtol(text, &end, 10);
  return *end == '\0' && count > 0 && count < 1 << 30 ? (int)count : 0;
}

/* In a Slurm step. Shells of salloc and batch scripts are no case of it: they know SLURM_NTASKS,
 * but are one process that may well start something alone. */
static int slurm_step_tasks(const char **source) {
  *source = "SLURM_STEP_NUM_TASKS";
  int tasks = count_in(*source);
  if (tasks == 0 && getenv("SLURM_STEP_ID")) {
    *source = "SLURM_NTASKS";
    tasks = count_in(*source);
  }
  return tasks;
}

static bool any_starts_with(const char *prefix) {
  for (char **entry = environ; *entry; entry++) {
    if (strncmp(*entry, prefix, strlen(prefix)) == 0) return true;
  }
  return false;
}

pl_launcher pl_launcher_look(void) {
  /* An mpirun inside a Slurm step inherits the step's variables: its own come first. */
  static const char *const sizes[] = {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE"};
  for (int i = 0; i < 2; i++) {
    int tasks = count_in(sizes[i]);
    if (tasks > 0) return (pl_launcher){.found = true, .tasks = tasks, .source = sizes[i]};
  }
  pl_launcher launcher = {0};
  launcher.tasks = slurm_step_tasks(&launcher.source);
  /* A step of one task without PMIx is a process alone. */
  launcher.found = launcher.tasks > 1 || getenv("PMIX_NAMESPACE") != NULL;
  launcher.silent = launcher.tasks > 1 && !any_starts_with("PMI_") && !any_starts_with("PMIX_");
  return launcher;
}
