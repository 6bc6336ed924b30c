/* What the bench commands share: the frame around one, and rounds of measurements. */
#ifndef LAUNCH_BENCH_BENCH_H
#define LAUNCH_BENCH_BENCH_H

#include "launch/bench/spread.h"
#include "launch/command.h"

enum { PL_BENCH_REPEATS = 1000 }; /* the most rounds */

/* What the command line asks for, whatever is measured. */
typedef struct pl_bench_asked {
  const pl_command *command;
  int argc;
  char **argv;
  bool helped; /* --help was all */
  bool json;   /* one object instead of text */
} pl_bench_asked;

/* Parses the command line by the bench's own options, ended by one without a name, and those that
 * all have. operand: where the only operand belongs; NULL: the bench takes none. */
pl_status pl_bench_parse(pl_bench_asked *asked, const pl_option *own, const char **operand);

/* A bench is a struct of its own file, zero at first; `state` points to it. */
typedef struct pl_bench {
  size_t bytes;    /* of the state */
  bool collective; /* false: rank 0 runs alone, the others return at once */
  /* Sets the defaults and reads the options by pl_bench_parse. */
  pl_status (*parse)(void *state, pl_bench_asked *asked);
  /* Measures. Collective where the bench is; its status need not be agreed. */
  pl_status (*run)(void *state, pl_comm *comm);
  void (*print_text)(void *state); /* on rank 0, after a run that succeeded */
  void (*print_json)(void *state);
  void (*release)(void *state); /* all that the state holds, also after a failure */
} pl_bench;

/* What a command runs whose subject is a pl_bench. Collective. */
pl_status pl_bench_command(pl_comm *comm, const pl_command *command, int argc, char **argv);

/* Sets the compute team to this rank's share of the processors, as training does; its size. */
int pl_bench_threads(const pl_comm *comm);

/* Resident memory so far of the rank that has had most. Collective. */
pl_status pl_bench_peak(pl_comm *comm, size_t *bytes);

/* A piece of work that is timed; adds to *amount how much it was (samples, bytes, operations). */
typedef pl_status (*pl_bench_work)(void *state, double *amount);

/* Does `work` over and over: once to warm up, then `repeats` times for so long. What it amounts to
 * a second. Not collective. */
pl_status pl_bench_timed(pl_bench_work work, void *state, double seconds, int64_t repeats,
                         pl_spread *per_second);

/* Floating-point operations of all ranks over the time of the slowest, in 10^9 a second. Errors are
 * agreed. Collective. */
pl_status pl_bench_gflops(pl_comm *comm, pl_bench_work work, void *state, double *rate);

/* Rounds of a subject and of the references beside it, in which a shared machine's speed drifts. */
typedef struct pl_bench_rounds {
  int references;            /* at most 4 */
  const pl_bench_work *work; /* (references + 1): the references, then the subject */
  int64_t repeats;
  /* GFLOP/s of each round: of the references, of the subject, and the subject's share of the best
   * reference of its round. */
  double (*values)[PL_BENCH_REPEATS]; /* (references + 2) */
} pl_bench_rounds;

/* A round's references are the mean of those just before and just after its subject. Collective. */
pl_status pl_bench_alternate(pl_comm *comm, const pl_bench_rounds *rounds, void *state);

#endif
