#include "launch/bench/bench.h"

#include <math.h>
#include <string.h>

#include "runtime/base/clock.h"
#include "runtime/base/memory.h"
#include "runtime/base/threads.h"

enum { REFERENCES_MAX = 4 };

static pl_status run_and_print(const pl_bench *bench, void *state, pl_comm *comm,
                               const pl_bench_asked *asked) {
  bool first = pl_comm_rank(comm) == 0;
  if (!bench->collective && !first) return PL_OK;
  pl_status status = bench->run(state, comm);
  if (bench->collective) status = pl_comm_agree(comm, status);
  if (status == PL_OK && first) {
    (asked->json ? bench->print_json : bench->print_text)(state);
  }
  return status;
}

pl_status pl_bench_parse(pl_bench_asked *asked, const pl_option *own, const char **operand) {
  int count = 0, operands = operand ? 1 : 0;
  while (own[count].name) count++;
  pl_option *table = pl_alloc((size_t)count + 2, sizeof *table);
  if (!table) return PL_E_INTERNAL;
  memcpy(table, own, (size_t)count * sizeof *table);
  table[count] = (pl_option){
      "json", PL_OPTION_FLAG, &asked->json, "one JSON object instead of text", 0, 0, NULL};
  pl_status status = pl_options_parse(asked->command, table, asked->argc, asked->argv, operands,
                                      operands, operand, &operands, &asked->helped);
  pl_free(table);
  return status;
}

pl_status pl_bench_command(pl_comm *comm, const pl_command *command, int argc, char **argv) {
  const pl_bench *bench = command->subject;
  pl_bench_asked asked = {.command = command, .argc = argc, .argv = argv};
  void *state = pl_alloc(1, bench->bytes);
  pl_status status = state ? bench->parse(state, &asked) : PL_E_INTERNAL;
  status = pl_comm_agree(comm, status);
  if (status == PL_OK && !asked.helped) status = run_and_print(bench, state, comm, &asked);
  if (state) bench->release(state);
  pl_free(state);
  return status;
}

int pl_bench_threads(const pl_comm *comm) {
  pl_threads_use(pl_threads_per_rank(pl_comm_local_size(comm), pl_comm_bound_apart(comm)));
  return pl_threads_count();
}

pl_status pl_bench_peak(pl_comm *comm, size_t *bytes) {
  double peak = (double)pl_peak_resident_bytes();
  PL_TRY(pl_comm_max_f64(comm, &peak, 1));
  *bytes = (size_t)peak;
  return PL_OK;
}

pl_status pl_bench_timed(pl_bench_work work, void *state, double seconds, int64_t repeats,
                         pl_spread *per_second) {
  double rates[PL_BENCH_REPEATS], amount = 0;
  PL_TRY(work(state, &amount)); /* memory and caches warm up */
  for (int64_t r = 0; r < repeats; r++) {
    double start = pl_now_ms(), passed = 0;
    amount = 0;
    do {
      PL_TRY(work(state, &amount));
      passed = pl_now_ms() - start;
    } while (passed < 1000 * seconds);
    rates[r] = 1000 * amount / passed;
  }
  *per_second = pl_spread_of(rates, repeats);
  return PL_OK;
}

pl_status pl_bench_gflops(pl_comm *comm, pl_bench_work work, void *state, double *rate) {
  double flops = 0;
  PL_TRY(pl_comm_barrier(comm));
  double start = pl_now_ms();
  pl_status status = work(state, &flops);
  double ms = pl_now_ms() - start;
  PL_TRY(pl_comm_agree(comm, status));
  PL_TRY(pl_comm_max_f64(comm, &ms, 1));
  PL_TRY(pl_comm_sum_f64(comm, &flops, 1));
  *rate = flops / ms * 1e-6;
  return PL_OK;
}

static pl_status measure_references(pl_comm *comm, const pl_bench_rounds *rounds, void *state,
                                    double *rates) {
  for (int k = 0; k < rounds->references; k++)
    PL_TRY(pl_bench_gflops(comm, rounds->work[k], state, &rates[k]));
  return PL_OK;
}

pl_status pl_bench_alternate(pl_comm *comm, const pl_bench_rounds *rounds, void *state) {
  double before[REFERENCES_MAX], after[REFERENCES_MAX];
  int subject = rounds->references;
  PL_INVARIANT(subject >= 1 && subject <= REFERENCES_MAX);
  PL_TRY(measure_references(comm, rounds, state, before)); /* warms up */
  PL_TRY(measure_references(comm, rounds, state, before));
  for (int64_t r = 0; r < rounds->repeats; r++) {
    double rate, best = 0;
    PL_TRY(pl_bench_gflops(comm, rounds->work[subject], state, &rate));
    PL_TRY(measure_references(comm, rounds, state, after));
    for (int k = 0; k < subject; k++) {
      rounds->values[k][r] = (before[k] + after[k]) / 2;
      best = fmax(best, rounds->values[k][r]);
      before[k] = after[k];
    }
    rounds->values[subject][r] = rate;
    rounds->values[subject + 1][r] = rate / best;
  }
  return PL_OK;
}
