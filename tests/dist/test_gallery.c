/* The gallery of an encoder on several ranks: the same bytes as one rank writes. */
#include <string.h>
#include <unistd.h>

#include "launch/command.h"
#include "launch/gallery/gallery.h"
#include "launch/settings.h"
#include "launch/state.h"
#include "runtime/base/file.h"
#include "runtime/base/memory.h"
#include "runtime/base/threads.h"
#include "runtime/cpu/cpu.h"
#include "tests/dist/ranks.h"

/* Of SAMPLES, fewer are drawn; the last micro-batch is not full. */
enum { SAMPLES = 90, DRAWN = 61 };

static void configure(pl_config *config) {
  pl_config_defaults(config);
  static const char *const keys[] = {
      "run.seed=3",       "model.width=8",  "model.stem=cifar",      "model.image_size=16",
      "eval.micro=8",     "data.workers=1", "method.projector=[16]", "train.precision=f32",
      "report.samples=61"};
  for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
    CHECK_OK(pl_config_override(config, keys[i]));
  }
  assert_int_equal(config->report.samples, DRAWN);
}

/* The untrained encoder of `config`, on the ranks of `comm`. */
static pl_status write_gallery(pl_comm *comm, const pl_config *config, const char *data,
                               const char *path) {
  pl_dataset *dataset = NULL;
  pl_state state = {0};
  pl_method *method = NULL;
  pl_net *encoder = NULL;
  CHECK_OK(pl_dataset_open(data, &dataset));
  CHECK_OK(pl_state_build(comm, pl_cpu_backend(), config, PL_F32, 0, &state, &method));
  CHECK_OK(pl_state_init(comm, &state, (uint64_t)config->run.seed));
  CHECK_OK(pl_method_compile_part(method, PL_PART_ENCODER, (int)config->eval.micro, &encoder));
  CHECK_OK(pl_net_load(encoder, state.image, state.buffers));
  pl_status status = pl_gallery_write(comm, config, encoder, dataset, path);
  pl_net_destroy(&encoder);
  pl_method_destroy(&method);
  pl_state_free(&state);
  pl_dataset_close(&dataset);
  return status;
}

static int count_of(const char *text, const char *words) {
  int count = 0;
  for (const char *at = strstr(text, words); at; at = strstr(at + 1, words)) count++;
  return count;
}

/* A folder that all ranks see, with a dataset in it. */
static void make_scratch(pl_comm *comm, char scratch[PL_PATH_MAX], char data[PL_PATH_MAX]) {
  if (pl_comm_rank(comm) == 0) {
    const char *base = getenv("TMPDIR");
    snprintf(scratch, PL_PATH_MAX, "%s/plenum-gallery-XXXXXX", base ? base : "/tmp");
    assert_non_null(mkdtemp(scratch));
  }
  CHECK_OK(pl_comm_broadcast(comm, scratch, PL_PATH_MAX, 0));
  CHECK_OK(pl_path_join(scratch, "data", data));
  char *words[] = {"shapes", "--out",  data, "--samples", "90",     "--size",
                   "16",     "--seed", "5",  "--classes", "colour", NULL};
  CHECK_OK(pl_cmd_data_synth.run(comm, &pl_cmd_data_synth, 11, words));
}

static void remove_scratch(pl_comm *comm, const char *scratch) {
  CHECK_OK(pl_comm_barrier(comm));
  if (pl_comm_rank(comm) == 0) CHECK_OK(pl_remove_tree(scratch));
}

/* What rank 0 finds in the file of all ranks, and in the one that it writes alone. */
static void check_files(const pl_config *config, const char *data, const char *many_path,
                        const char *alone_path) {
  char *many = NULL, *alone = NULL;
  size_t many_size = 0, alone_size = 0;
  pl_comm *self = NULL;
  CHECK_OK(pl_comm_create_self(&self));
  CHECK_OK(write_gallery(self, config, data, alone_path));
  pl_comm_destroy(&self);
  CHECK_OK(pl_read_file(many_path, 1 << 24, &many, &many_size));
  CHECK_OK(pl_read_file(alone_path, 1 << 24, &alone, &alone_size));
  assert_int_equal(many_size, alone_size);
  assert_memory_equal(many, alone, many_size);
  assert_int_equal(count_of(many, "<section class=\"pictures\">"), 3);
  assert_int_equal(count_of(many, "</section>"), 3);
  /* 8 queries with 10 neighbours each, 6 samples with 6 views each */
  assert_int_equal(count_of(many, "<img src=\"data:image/png;base64,"), 8 * 11 + 6 * 7);
  assert_true(count_of(many, "purple") > 1);
  char *dots = strstr(many, "<defs>");
  assert_non_null(dots);
  *strstr(dots, "</defs>") = '\0';
  assert_int_equal(count_of(dots, "h0"), DRAWN);
  pl_free(many);
  pl_free(alone);
}

static void same_bytes_on_any_number_of_ranks(void **state) {
  pl_comm *comm = *state;
  char scratch[PL_PATH_MAX], data[PL_PATH_MAX], many[PL_PATH_MAX], alone[PL_PATH_MAX];
  pl_config config;
  configure(&config);
  pl_threads_use(1);
  make_scratch(comm, scratch, data);
  CHECK_OK(pl_path_join(scratch, "many.html", many));
  CHECK_OK(pl_path_join(scratch, "alone.html", alone));
  CHECK_OK(write_gallery(comm, &config, data, many));
  if (pl_comm_rank(comm) == 0) check_files(&config, data, many, alone);
  remove_scratch(comm, scratch);
}

/* Only rank 0 writes, but all ranks learn that it can't. */
static void failure_is_agreed(void **state) {
  pl_comm *comm = *state;
  char scratch[PL_PATH_MAX], data[PL_PATH_MAX], path[PL_PATH_MAX];
  pl_config config;
  configure(&config);
  config.report.samples = 5;
  make_scratch(comm, scratch, data);
  CHECK_OK(pl_path_join(scratch, "missing/pictures.html", path));
  CHECK_FAILS(PL_E_IO, "missing/pictures.html", write_gallery(comm, &config, data, path));
  /* no samples, no pictures */
  config.report.samples = 0;
  CHECK_OK(write_gallery(comm, &config, data, path));
  remove_scratch(comm, scratch);
}

int main(int argc, char **argv) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(same_bytes_on_any_number_of_ranks),
      cmocka_unit_test(failure_is_agreed),
  };
  return run_on_ranks(argc, argv, tests, sizeof tests / sizeof *tests);
}
