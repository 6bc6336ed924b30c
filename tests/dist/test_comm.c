/* comm: moving bytes, sums in tree order, agreement; on any number of ranks. */
#include <string.h>
#include <unistd.h>

#include "comm/mpi/mpi.h"
#include "runtime/base/memory.h"
#include "runtime/base/random.h"
#include "runtime/base/tree.h"
#include "tests/dist/ranks.h"

enum { MOST_RANKS = 16, PRIME = 251 };

/* Limits that make MPI move pieces in many messages, in few, and in one. */
static const size_t limits[] = {61, 1000, SIZE_MAX};
enum { LIMITS = sizeof limits / sizeof *limits };

/* The byte at `position` of what rank `from` sends to rank `to` in exchange `number`. */
static unsigned char content(int from, int to, int number, size_t position) {
  return (unsigned char)((size_t)(from * 31 + to * 7 + number * 101) + position % PRIME);
}

static void gather_hosts(pl_comm *comm, char hosts[MOST_RANKS][256]) {
  char host[256] = "";
  assert_int_equal(gethostname(host, sizeof host - 1), 0);
  CHECK_OK(pl_comm_allgather_equal(comm, host, hosts, sizeof host));
}

static void ranks_know_their_place(void **state) {
  pl_comm *comm = *state;
  int size = pl_comm_size(comm);
  int ranks[MOST_RANKS];
  int rank = pl_comm_rank(comm);
  assert_true(size <= MOST_RANKS);
  CHECK_OK(pl_comm_allgather_equal(comm, &rank, ranks, sizeof rank));
  for (int k = 0; k < size; k++) assert_int_equal(ranks[k], k);
  char hosts[MOST_RANKS][256];
  gather_hosts(comm, hosts);
  assert_string_equal(pl_comm_host(comm), hosts[rank]);
  int local_rank = 0;
  int local_size = 0;
  for (int k = 0; k < size; k++) {
    int here = strcmp(hosts[k], hosts[rank]) == 0;
    local_size += here;
    local_rank += here && k < rank;
  }
  assert_int_equal(pl_comm_local_size(comm), local_size);
  assert_int_equal(pl_comm_local_rank(comm), local_rank);
  assert_string_equal(pl_comm_backend(comm),
                      size > 1 || getenv("OMPI_COMM_WORLD_SIZE") ? "mpi" : "self");
  /* The launch script binds no rank, so several share all processors. */
  assert_int_equal(pl_comm_bound_apart(comm), local_size == 1);
}

/* Gathers parts of these sizes, in place or not, and checks every byte on every rank. */
static void check_allgather(pl_comm *comm, const size_t *bytes, int in_place, int at_once) {
  int rank = pl_comm_rank(comm);
  int size = pl_comm_size(comm);
  size_t offset[MOST_RANKS + 1] = {0};
  for (int k = 0; k < size; k++) offset[k + 1] = offset[k] + bytes[k];
  unsigned char *all = pl_alloc(offset[size], 1);
  unsigned char *own = in_place ? all + offset[rank] : pl_alloc(bytes[rank], 1);
  assert_non_null(all);
  assert_non_null(own);
  for (size_t i = 0; i < bytes[rank]; i++) own[i] = content(rank, 0, 0, i);
  if (at_once) {
    CHECK_OK(pl_comm_allgather(comm, own, all, bytes));
  } else {
    pl_request *request = NULL;
    CHECK_OK(pl_comm_start_allgather(comm, own, all, bytes, &request));
    CHECK_OK(pl_comm_progress(comm));
    CHECK_OK(pl_comm_wait(comm, &request));
    assert_null(request);
  }
  for (int k = 0; k < size; k++) {
    for (size_t i = 0; i < bytes[k]; i++) {
      assert_int_equal(all[offset[k] + i], content(k, 0, 0, i));
    }
  }
  if (!in_place) pl_free(own);
  pl_free(all);
}

static void allgather_takes_parts_of_any_size(void **state) {
  pl_comm *comm = *state;
  /* Unequal parts with empty ones first, in the middle and last; equal parts; nothing at all. */
  static const size_t parts[][4] = {
      {0, 5000, 1, 77}, {3, 0, 20000, 0}, {64, 64, 64, 64}, {0, 0, 0, 0}};
  for (int l = 0; l < LIMITS; l++) {
    pl_mpi_limit_messages(comm, limits[l]);
    for (int p = 0; p < 4; p++) {
      size_t bytes[MOST_RANKS] = {0};
      for (int k = 0; k < pl_comm_size(comm); k++) bytes[k] = parts[p][k % 4];
      for (int way = 0; way < 4; way++) check_allgather(comm, bytes, way & 1, way >> 1);
    }
  }
}

static void broadcast_comes_from_every_root(void **state) {
  pl_comm *comm = *state;
  enum { BYTES = 3001 };
  unsigned char data[BYTES];
  for (int l = 0; l < LIMITS; l++) {
    pl_mpi_limit_messages(comm, limits[l]);
    for (int root = 0; root < pl_comm_size(comm); root++) {
      memset(data, 0, BYTES);
      if (pl_comm_rank(comm) == root) {
        for (size_t i = 0; i < BYTES; i++) data[i] = content(root, 1, l, i);
      }
      CHECK_OK(pl_comm_broadcast(comm, data, BYTES, root));
      for (size_t i = 0; i < BYTES; i++) assert_int_equal(data[i], content(root, 1, l, i));
    }
  }
}

/* One of several exchanges under way at the same time. */
typedef struct exchange {
  unsigned char *send, *recv;
  size_t send_bytes[MOST_RANKS], send_offset[MOST_RANKS];
  size_t recv_bytes[MOST_RANKS], recv_offset[MOST_RANKS];
  pl_request *request;
} exchange;

/* Some pieces are empty, some exchanges large. */
static size_t piece_bytes(int from, int to, int number) {
  return (size_t)((from * 5 + to * 3 + number) % 4) * (number == 2 ? 100000 : 37);
}

static void start_exchange(pl_comm *comm, exchange *e, int number) {
  int rank = pl_comm_rank(comm);
  int size = pl_comm_size(comm);
  size_t sent = 0;
  size_t received = 0;
  for (int k = 0; k < size; k++) {
    e->send_bytes[k] = piece_bytes(rank, k, number);
    e->recv_bytes[k] = piece_bytes(k, rank, number);
    /* Gaps between pieces, and those received in reverse order, must make no difference. */
    e->send_offset[k] = sent + 5;
    sent += e->send_bytes[k] + 5;
    received += e->recv_bytes[k] + 3;
    e->recv_offset[k] = received;
  }
  for (int k = 0; k < size; k++) {
    e->recv_offset[k] = received - e->recv_offset[k];
  }
  e->send = pl_alloc(sent, 1);
  e->recv = pl_alloc(received, 1);
  assert_non_null(e->send);
  assert_non_null(e->recv);
  for (int k = 0; k < size; k++) {
    for (size_t i = 0; i < e->send_bytes[k]; i++) {
      e->send[e->send_offset[k] + i] = content(rank, k, number, i);
    }
  }
  CHECK_OK(pl_comm_start_alltoall(comm, e->send, e->send_bytes, e->send_offset, e->recv,
                                  e->recv_bytes, e->recv_offset, &e->request));
  /* The arrays are the caller's again. */
  memset(e->send_bytes, 0xEE, sizeof e->send_bytes);
  memset(e->send_offset, 0xEE, sizeof e->send_offset);
}

static void finish_exchange(pl_comm *comm, exchange *e, int number) {
  int rank = pl_comm_rank(comm);
  CHECK_OK(pl_comm_wait(comm, &e->request));
  for (int k = 0; k < pl_comm_size(comm); k++) {
    for (size_t i = 0; i < e->recv_bytes[k]; i++) {
      assert_int_equal(e->recv[e->recv_offset[k] + i], content(k, rank, number, i));
    }
  }
  pl_free(e->send);
  pl_free(e->recv);
}

static void exchanges_run_side_by_side(void **state) {
  pl_comm *comm = *state;
  enum { EXCHANGES = 5 };
  for (int l = 0; l < LIMITS; l++) {
    pl_mpi_limit_messages(comm, limits[l]);
    exchange running[EXCHANGES];
    memset(running, 0, sizeof running);
    for (int n = 0; n < EXCHANGES; n++) {
      start_exchange(comm, &running[n], n);
      CHECK_OK(pl_comm_progress(comm));
    }
    /* Ranks finish them in different orders, and talk of other things in between. */
    double one = 1;
    CHECK_OK(pl_comm_sum_f64(comm, &one, 1));
    assert_int_equal((int)one, pl_comm_size(comm));
    for (int i = 0; i < EXCHANGES; i++) {
      int n = (i * 2 + pl_comm_rank(comm)) % EXCHANGES;
      finish_exchange(comm, &running[n], n);
      CHECK_OK(pl_comm_progress(comm));
    }
  }
}

static void a_piece_of_the_wrong_size_is_noticed(void **state) {
  pl_comm *comm = *state;
  int rank = pl_comm_rank(comm);
  int size = pl_comm_size(comm);
  unsigned char send[64 * MOST_RANKS] = {0};
  unsigned char recv[64 * MOST_RANKS];
  size_t send_bytes[MOST_RANKS], recv_bytes[MOST_RANKS], offset[MOST_RANKS];
  for (int k = 0; k < size; k++) {
    send_bytes[k] = recv_bytes[k] = 64;
    offset[k] = (size_t)k * 64;
  }
  int last = size - 1;
  if (rank == 0) send_bytes[last] = 60;
  pl_request *request = NULL;
  if (size == 1) {
    CHECK_FAILS(
        PL_E_INTERNAL, "60 bytes",
        pl_comm_start_alltoall(comm, send, send_bytes, offset, recv, recv_bytes, offset, &request));
    return;
  }
  CHECK_OK(
      pl_comm_start_alltoall(comm, send, send_bytes, offset, recv, recv_bytes, offset, &request));
  if (rank == last) {
    CHECK_FAILS(PL_E_INTERNAL, "rank 0 sent 60 bytes where 64", pl_comm_wait(comm, &request));
  } else {
    CHECK_OK(pl_comm_wait(comm, &request));
  }
  assert_null(request);
  CHECK_OK(pl_comm_barrier(comm));
}

/* Values whose sum depends on the order of additions. */
static double leaf_value(int64_t leaf, size_t i) {
  pl_random random = pl_random_stream(9, PL_RANDOM_TEST, (uint32_t)leaf, i, 0);
  float normal = pl_random_normal(&random);
  return ldexp(normal, (int)pl_random_below(&random, 40));
}

/* The sum over leaves [first, first + count) by the definition of the tree. */
static double tree_by_definition(int64_t first, int64_t count, size_t i) {
  if (count == 1) return leaf_value(first, i);
  return tree_by_definition(first, count / 2, i) +
         tree_by_definition(first + count / 2, count - count / 2, i);
}

/* The sum over ranks [first, first + count), each of which holds its leaves' sum. */
static double tree_over_ranks(int64_t leaves, int size, int first, int count, size_t i) {
  if (count == 1) {
    int64_t leaf, owned;
    pl_tree_part(leaves, size, first, &leaf, &owned);
    return tree_by_definition(leaf, owned, i);
  }
  return tree_over_ranks(leaves, size, first, count / 2, i) +
         tree_over_ranks(leaves, size, first + count / 2, count - count / 2, i);
}

static bool same_bits(double a, double b) {
  uint64_t bits[2];
  memcpy(&bits[0], &a, sizeof a);
  memcpy(&bits[1], &b, sizeof b);
  return bits[0] == bits[1];
}

static void check_sum(pl_comm *comm, int64_t leaves, size_t n) {
  int rank = pl_comm_rank(comm);
  int size = pl_comm_size(comm);
  int64_t first, count;
  pl_tree_part(leaves, size, rank, &first, &count);
  double *sum = pl_alloc(n, sizeof *sum);
  assert_non_null(sum);
  for (size_t i = 0; i < n; i++) sum[i] = tree_by_definition(first, count, i);
  CHECK_OK(pl_comm_sum_f64(comm, sum, n));
  int power_of_two = (size & (size - 1)) == 0;
  for (size_t i = 0; i < n; i++) {
    double expected =
        power_of_two ? tree_by_definition(0, leaves, i) : tree_over_ranks(leaves, size, 0, size, i);
    if (!same_bits(sum[i], expected)) {
      print_error("element %zu of %zu: %.17g, expected %.17g\n", i, n, sum[i], expected);
      fail();
    }
  }
  CHECK_OK(pl_comm_agree_same(comm, "the sum", sum, n * sizeof *sum));
  pl_free(sum);
}

/* Vectors on both sides of the limit between the two ways of summing, and their edges: fewer
 * elements than ranks, parts of different sizes. */
static void sums_have_the_bits_of_the_tree(void **state) {
  pl_comm *comm = *state;
  static const size_t lengths[] = {1, 2, 33, 8192, 8193, 20001};
  for (int l = 0; l < LIMITS; l++) {
    pl_mpi_limit_messages(comm, limits[l]);
    for (size_t k = 0; k < sizeof lengths / sizeof *lengths; k++) {
      check_sum(comm, 8, lengths[k]);
    }
  }
  check_sum(comm, 11, 100);
  CHECK_OK(pl_comm_sum_f64(comm, NULL, 0));
}

static void code_below_sums_through_its_handle(void **state) {
  pl_comm *comm = *state;
  const pl_ranks *ranks = pl_comm_ranks(comm);
  assert_int_equal(ranks->rank, pl_comm_rank(comm));
  assert_int_equal(ranks->count, pl_comm_size(comm));
  double values[2] = {ranks->rank, 1};
  CHECK_OK(ranks->sum(ranks->context, values, 2));
  assert_int_equal((int)values[0], ranks->count * (ranks->count - 1) / 2);
  assert_int_equal((int)values[1], ranks->count);
}

static void maxima_are_found_and_nan_is_not_lost(void **state) {
  pl_comm *comm = *state;
  int rank = pl_comm_rank(comm);
  int size = pl_comm_size(comm);
  double values[3] = {rank, -rank - 5.0, rank == size / 2 ? NAN : 1.0};
  CHECK_OK(pl_comm_max_f64(comm, values, 3));
  assert_int_equal((int)values[0], size - 1);
  assert_int_equal((int)values[1], -5);
  assert_true(isnan(values[2]));
}

/* Every set of failing ranks: all ranks get the failure of the lowest. */
static void failures_are_agreed(void **state) {
  pl_comm *comm = *state;
  static const pl_status codes[] = {PL_E_DATA, PL_E_IO, PL_E_USAGE, PL_E_INTERNAL};
  char hosts[MOST_RANKS][256];
  gather_hosts(comm, hosts);
  int rank = pl_comm_rank(comm);
  int size = pl_comm_size(comm);
  CHECK_OK(pl_comm_agree(comm, PL_OK));
  for (int failing = 1; failing < 1 << size; failing++) {
    pl_status status = PL_OK;
    if (failing >> rank & 1) status = PL_FAIL(codes[rank % 4], "shard %d is short", rank);
    int lowest = 0;
    while (!(failing >> lowest & 1)) lowest++;
    char expected[512];
    if (size == 1) {
      snprintf(expected, sizeof expected, "shard 0 is short");
    } else {
      snprintf(expected, sizeof expected, "rank %d on %s: shard %d is short", lowest, hosts[lowest],
               lowest);
    }
    status = pl_comm_agree(comm, status);
    assert_int_equal(status, codes[lowest % 4]);
    assert_int_equal(pl_last_reason()->code, status);
    assert_string_equal(pl_last_reason()->message, expected);
    /* Who called a function that agrees, and agrees again, does not name a rank twice. */
    assert_int_equal(pl_comm_agree(comm, status), status);
    assert_string_equal(pl_last_reason()->message, expected);
  }
  CHECK_OK(pl_comm_agree(comm, PL_OK));
}

static void the_differing_rank_is_named(void **state) {
  pl_comm *comm = *state;
  int rank = pl_comm_rank(comm);
  char text[] = "width: 64";
  char hosts[MOST_RANKS][256];
  gather_hosts(comm, hosts);
  CHECK_OK(pl_comm_agree_same(comm, "the configuration", text, sizeof text));
  CHECK_OK(pl_comm_agree_same(comm, "the configuration", text, 0));
  for (int other = 1; other < pl_comm_size(comm); other++) {
    char words[300];
    snprintf(words, sizeof words, "and rank %d on %s", other, hosts[other]);
    text[0] = rank >= other ? 'W' : 'w';
    CHECK_FAILS(PL_E_USAGE, words,
                pl_comm_agree_same(comm, "the configuration", text, sizeof text));
    assert_non_null(strstr(pl_last_reason()->message, "the configuration differs between rank 0"));
    text[0] = 'w';
    size_t bytes = rank == other ? sizeof text - 1 : sizeof text;
    CHECK_FAILS(PL_E_USAGE, words, pl_comm_agree_same(comm, "the configuration", text, bytes));
  }
}

/* `test_comm abort CODE`: the last rank ends all while the others wait for it. `test_comm wait`:
 * all wait for what never comes. `test_comm start`: tells the backend, or why there is none. */
static int run_role(int argc, char **argv) {
  pl_comm *comm = NULL;
  pl_status status = pl_comm_create(&argc, &argv, &comm);
  if (status != PL_OK) {
    printf("%s\n", pl_last_reason()->message);
    return (int)status;
  }
  if (strcmp(argv[1], "start") == 0) {
    printf("%s\n", pl_comm_backend(comm));
  } else {
    printf("pid %d\n", (int)getpid());
    fflush(stdout);
    int last = pl_comm_size(comm) - 1;
    CHECK_OK(pl_comm_barrier(comm));
    if (pl_comm_rank(comm) == last) {
      if (strcmp(argv[1], "abort") == 0) pl_comm_abort(comm, (int)strtol(argv[2], NULL, 10));
      pause();
    }
    CHECK_OK(pl_comm_barrier(comm));
  }
  pl_comm_destroy(&comm);
  return 0;
}

int main(int argc, char **argv) {
  if (argc > 1) return run_role(argc, argv);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(ranks_know_their_place),
      cmocka_unit_test(allgather_takes_parts_of_any_size),
      cmocka_unit_test(broadcast_comes_from_every_root),
      cmocka_unit_test(exchanges_run_side_by_side),
      cmocka_unit_test(a_piece_of_the_wrong_size_is_noticed),
      cmocka_unit_test(sums_have_the_bits_of_the_tree),
      cmocka_unit_test(code_below_sums_through_its_handle),
      cmocka_unit_test(maxima_are_found_and_nan_is_not_lost),
      cmocka_unit_test(failures_are_agreed),
      cmocka_unit_test(the_differing_rank_is_named),
  };
  return run_on_ranks(argc, argv, tests, sizeof tests / sizeof *tests);
}
