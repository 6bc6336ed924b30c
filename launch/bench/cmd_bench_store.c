/* plenum bench store: how fast a state is copied, written as a checkpoint, verified and read back,
 * beside a plain write of the same bytes with fsync (what `dd conv=fsync` does). The state is cut
 * over the ranks as in training; a measurement lasts until the slowest rank is done. Plain write
 * and part take turns at being first, since a shared disk's speed drifts. Collective. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "launch/bench/bench.h"
#include "runtime/base/clock.h"
#include "runtime/base/memory.h"
#include "runtime/store/checkpoint.h"

enum { TENSOR = 1 << 20, BUFFER = 4096, PIECE = 1 << 20, VECTORS = 2 };

typedef enum series { COPY, PLAIN, PART, COMMIT, VERIFY, READ, TIMED, RATIO = TIMED, ALL } series;

typedef struct bench {
  pl_comm *comm;
  int64_t mb, rounds;
  const char *dir;

  pl_space *space;
  pl_slice *slice;
  pl_checkpoint_vectors vectors, copy; /* over the slice */
  pl_checkpoint_vectors replicated, replicated_copy;
  char folder[PL_PATH_MAX];             /* made by rank 0, removed at the end */
  int64_t round;                        /* also the step of its checkpoint */
  pl_checkpoint_part_record *parts;     /* (ranks) */
  char *plain;                          /* as many bytes as this rank's part has */
  double bytes;                         /* of all parts */
  double values[ALL][PL_BENCH_REPEATS]; /* ms; the ratio is that of plain to part in a round */
} bench;

/* ---- what is measured ---- */

static size_t slice_bytes(const bench *b) {
  return (size_t)b->slice->blocks * PL_BLOCK * sizeof(float);
}

static pl_status copy_state(bench *b) {
  for (int v = 0; v < VECTORS; v++) {
    memcpy(b->copy.values[v], b->vectors.values[v], slice_bytes(b));
  }
  memcpy(b->replicated_copy.values[0], b->replicated.values[0], BUFFER * sizeof(float));
  return PL_OK;
}

static pl_checkpoint_part_record *own_part(bench *b) { return &b->parts[b->slice->rank]; }

static pl_status write_pieces(int fd, const char *path, const char *data, int64_t bytes) {
  while (bytes > 0) {
    ssize_t put = write(fd, data, bytes < PIECE ? (size_t)bytes : PIECE);
    if (put < 0) return PL_FAIL(PL_E_IO, "cannot write %s: %s", path, strerror(errno));
    data += put;
    bytes -= put;
  }
  return fsync(fd) == 0 ? PL_OK : PL_FAIL(PL_E_IO, "cannot sync %s: %s", path, strerror(errno));
}

static pl_status plain_path(const bench *b, char *path) {
  char name[32];
  snprintf(name, sizeof name, "plain-%05d", b->slice->rank);
  return pl_path_join(b->folder, name, path);
}

static pl_status write_plainly(bench *b) {
  char path[PL_PATH_MAX];
  PL_TRY(plain_path(b, path));
  int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (fd < 0) return PL_FAIL(PL_E_IO, "cannot create %s: %s", path, strerror(errno));
  pl_status status = write_pieces(fd, path, b->plain, own_part(b)->bytes);
  close(fd);
  return status;
}

static pl_status write_part(bench *b) {
  return pl_checkpoint_write_part(b->folder, b->round, b->slice, &b->vectors,
                                  b->slice->rank == 0 ? &b->replicated : NULL, BUFFER, own_part(b));
}

static pl_status commit(bench *b) {
  if (b->slice->rank != 0) return PL_OK;
  const pl_checkpoint_manifest about = {.step = b->round,
                                        .dataset = "00000000000000000000000000000000",
                                        .metric = "",
                                        .parts = b->slice->ranks,
                                        .part = b->parts,
                                        .config_yaml = "",
                                        .build = PLENUM_VERSION,
                                        .state_hash = "00000000000000000000000000000000"};
  return pl_checkpoint_commit(b->folder, b->space, &b->vectors, &b->replicated, &about);
}

static pl_status open_checkpoint(const bench *b, pl_checkpoint **out) {
  char folder[PL_PATH_MAX];
  PL_TRY(pl_checkpoint_path(b->folder, b->round, false, folder));
  return pl_checkpoint_open(folder, out);
}

static pl_status verify(bench *b) {
  pl_checkpoint *checkpoint;
  PL_TRY(open_checkpoint(b, &checkpoint));
  pl_status status = pl_checkpoint_verify(checkpoint, b->slice->rank, b->slice->ranks);
  pl_checkpoint_close(&checkpoint);
  return status;
}

static pl_status read_back(bench *b) {
  pl_checkpoint *checkpoint;
  PL_TRY(open_checkpoint(b, &checkpoint));
  pl_status status =
      pl_checkpoint_read(checkpoint, b->space, b->slice, &b->copy, &b->replicated_copy);
  pl_checkpoint_close(&checkpoint);
  return status;
}

/* ---- measuring ---- */

static pl_status measure(bench *b, pl_status (*work)(bench *), double *ms) {
  PL_TRY(pl_comm_barrier(b->comm));
  double start = pl_now_ms();
  pl_status status = work(b);
  *ms = pl_now_ms() - start;
  PL_TRY(pl_comm_agree(b->comm, status));
  return pl_comm_max_f64(b->comm, ms, 1);
}

static pl_status gather_parts(bench *b) {
  pl_checkpoint_part_record own = *own_part(b);
  PL_TRY(pl_comm_allgather_equal(b->comm, &own, b->parts, sizeof own));
  b->bytes = 0;
  for (int p = 0; p < b->slice->ranks; p++) b->bytes += (double)b->parts[p].bytes;
  return PL_OK;
}

static bool same_bits(const void *a, const void *b, size_t bytes) {
  return memcmp(a, b, bytes) == 0;
}

/* What was read must be what was written; then the round's files go. */
static pl_status end_round(bench *b) {
  char path[PL_PATH_MAX];
  bool same =
      same_bits(b->replicated_copy.values[0], b->replicated.values[0], BUFFER * sizeof(float));
  for (int v = 0; v < VECTORS; v++) {
    same = same && same_bits(b->copy.values[v], b->vectors.values[v], slice_bytes(b));
    memset(b->copy.values[v], 0, slice_bytes(b));
  }
  if (!same) return PL_FAIL(PL_E_INTERNAL, "the state was read back differently");
  PL_TRY(plain_path(b, path));
  unlink(path);
  return b->slice->rank == 0 ? pl_checkpoint_prune(b->folder, 0, -1) : PL_OK;
}

static pl_status measure_round(bench *b) {
  static pl_status (*const works[TIMED])(bench *) = {
      [COPY] = copy_state, [PLAIN] = write_plainly, [PART] = write_part,
      [COMMIT] = commit,   [VERIFY] = verify,       [READ] = read_back};
  const series first = b->round % 2 ? PART : PLAIN, second = b->round % 2 ? PLAIN : PART;
  const series order[TIMED] = {COPY, first, second, COMMIT, VERIFY, READ};
  for (int k = 0; k < TIMED; k++) {
    series s = order[k];
    if (s == COMMIT) PL_TRY(gather_parts(b));
    PL_TRY(measure(b, works[s], &b->values[s][b->round]));
  }
  b->values[RATIO][b->round] = b->values[PLAIN][b->round] / b->values[PART][b->round];
  return pl_comm_agree(b->comm, end_round(b));
}

/* ---- the state ---- */

static pl_status reserve(size_t count, pl_checkpoint_vectors *vectors, pl_checkpoint_vectors *copy,
                         const char *name) {
  int v = vectors->count++;
  copy->count = vectors->count;
  vectors->name[v] = copy->name[v] = name;
  vectors->values[v] = pl_alloc(count, sizeof(float));
  copy->values[v] = pl_alloc(count, sizeof(float));
  return vectors->values[v] && copy->values[v] ? PL_OK : PL_E_INTERNAL;
}

static pl_status make_space(bench *b) {
  const pl_init init = {.kind = PL_INIT_UNIFORM, .scale = 1};
  int index;
  PL_TRY(pl_space_create(&b->space));
  int64_t left = b->mb * 1000000 / (VECTORS * (int64_t)sizeof(float));
  for (int k = 0; left > 0; k++) {
    char name[32];
    const int64_t dim[] = {left < TENSOR ? left : TENSOR};
    snprintf(name, sizeof name, "tensor%05d", k);
    PL_TRY(pl_space_add(b->space, name, PL_PARAM_WEIGHT, 1, dim, init, &index));
    left -= dim[0];
  }
  PL_TRY(pl_space_add_buffer(b->space, "buffer", BUFFER, 1, &index));
  return pl_space_seal(b->space, PL_F32, TENSOR * sizeof(float));
}

static pl_status make_state(bench *b) {
  PL_TRY(make_space(b));
  PL_TRY(pl_slice_create(b->space, pl_comm_size(b->comm), pl_comm_rank(b->comm), &b->slice));
  size_t elements = (size_t)b->slice->blocks * PL_BLOCK;
  PL_TRY(reserve(elements, &b->vectors, &b->copy, "params"));
  PL_TRY(reserve(elements, &b->vectors, &b->copy, "momentum"));
  PL_TRY(reserve(BUFFER, &b->replicated, &b->replicated_copy, "buffers"));
  for (int v = 0; v < VECTORS; v++) {
    pl_slice_init_params(b->space, b->slice, (uint64_t)v, b->vectors.values[v]);
  }
  pl_space_init_buffers(b->space, b->replicated.values[0]);
  b->parts = pl_alloc((size_t)b->slice->ranks, sizeof *b->parts);
  return b->parts ? PL_OK : PL_E_INTERNAL;
}

static pl_status make_folder(bench *b) {
  if (pl_comm_rank(b->comm) != 0) return PL_OK;
  PL_TRY(pl_path_join(b->dir, "bench-store-XXXXXX", b->folder));
  if (!mkdtemp(b->folder)) {
    b->folder[0] = '\0';
    return PL_FAIL(PL_E_IO, "cannot create a folder in %s: %s", b->dir, strerror(errno));
  }
  return PL_OK;
}

/* A first part warms up the library and tells how many bytes there are to write. */
static pl_status warm_up(bench *b) {
  b->round = b->rounds; /* no round's folder */
  PL_TRY(write_part(b));
  b->plain = pl_alloc((size_t)own_part(b)->bytes, 1);
  if (!b->plain) return PL_E_INTERNAL;
  size_t known = slice_bytes(b);
  memcpy(b->plain, b->vectors.values[0], known);
  memcpy(b->plain + known, b->vectors.values[1], known);
  return PL_OK;
}

static pl_status run_rounds(bench *b) {
  PL_TRY(pl_comm_agree(b->comm, make_state(b)));
  PL_TRY(pl_comm_agree(b->comm, make_folder(b)));
  PL_TRY(pl_comm_broadcast(b->comm, b->folder, sizeof b->folder, 0));
  PL_TRY(pl_comm_agree(b->comm, warm_up(b)));
  for (b->round = 0; b->round < b->rounds; b->round++) PL_TRY(measure_round(b));
  return PL_OK;
}

/* Once no rank writes any more. */
static pl_status remove_folder(bench *b, pl_status status) {
  status = pl_comm_agree(b->comm, status);
  if (pl_comm_rank(b->comm) != 0 || b->folder[0] == '\0') return status;
  pl_status removed = pl_remove_tree(b->folder);
  return status != PL_OK ? status : removed;
}

static pl_status run(void *state, pl_comm *comm) {
  bench *b = state;
  b->comm = comm;
  return remove_folder(b, run_rounds(b));
}

/* ---- telling ---- */

static const char *const words[ALL] = {
    [COPY] = "copy, which training waits for", [PLAIN] = "plain write, fsync",
    [PART] = "part: write, hash, fsync",       [COMMIT] = "manifest and rename",
    [VERIFY] = "verify, files in memory",      [READ] = "read back, files in memory",
    [RATIO] = "part / plain, by rate"};
static const char *const keys[ALL] = {
    [COPY] = "copy_ms",     [PLAIN] = "plain_ms", [PART] = "part_ms", [COMMIT] = "commit_ms",
    [VERIFY] = "verify_ms", [READ] = "read_ms",   [RATIO] = "ratio"};

static void print_text(void *state) {
  static const pl_spread_format time = {32, 9, 2, " ms"}, share = {32, 9, 2, "   "};
  bench *b = state;
  printf("%.1f MB in %d parts; median [least, most] of %lld rounds\n", b->bytes * 1e-6,
         b->slice->ranks, (long long)b->rounds);
  for (series s = 0; s < TIMED; s++) {
    pl_spread r = pl_spread_of(b->values[s], b->rounds);
    pl_spread_print(&time, words[s], r);
    if (s != COMMIT) printf("  %.0f MB/s", b->bytes * 1e-3 / r.median);
    putchar('\n');
  }
  pl_spread_print(&share, words[RATIO], pl_spread_of(b->values[RATIO], b->rounds));
  putchar('\n');
}

static void print_json(void *state) {
  bench *b = state;
  printf("{\"bytes\": %.0f, \"parts\": %d, \"rounds\": %lld", b->bytes, b->slice->ranks,
         (long long)b->rounds);
  for (series s = 0; s < ALL; s++) {
    pl_spread_print_json(keys[s], pl_spread_of(b->values[s], b->rounds));
  }
  printf("}\n");
}

static void free_vectors(pl_checkpoint_vectors *vectors) {
  for (int v = 0; v < vectors->count; v++) pl_free(vectors->values[v]);
}

static void release(void *state) {
  bench *b = state;
  free_vectors(&b->vectors);
  free_vectors(&b->copy);
  free_vectors(&b->replicated);
  free_vectors(&b->replicated_copy);
  pl_free(b->plain);
  pl_free(b->parts);
  pl_slice_destroy(&b->slice);
  pl_space_destroy(&b->space);
}

static pl_status parse(void *state, pl_bench_asked *asked) {
  bench *b = state;
  b->mb = 45;
  b->rounds = 5;
  b->dir = ".";
  const pl_option table[] = {
      {"mb", PL_OPTION_INT, &b->mb, "megabytes of state, cut over the ranks", 1, 1 << 20, NULL},
      {"rounds", PL_OPTION_INT, &b->rounds, "measurements, of which the median counts", 1,
       PL_BENCH_REPEATS, NULL},
      {"dir", PL_OPTION_TEXT, &b->dir, "folder on the disk to be measured", 0, 0, NULL},
      {0}};
  return pl_bench_parse(asked, table, NULL);
}

static const pl_bench frame = {.bytes = sizeof(bench),
                               .collective = true,
                               .parse = parse,
                               .run = run,
                               .print_text = print_text,
                               .print_json = print_json,
                               .release = release};

const pl_command pl_cmd_bench_store = {
    .name = "bench store",
    .operands = "",
    .summary = "writing and reading checkpoints beside a plain write of the same bytes",
    .run = pl_bench_command,
    .subject = &frame,
};
