/* runtime/store/checkpoint: what is damaged, missing or foreign is refused with its name. */
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/hash.h"
#include "tests/unit/checkpoint_fixture.h"

static void damage_is_named(void **state) {
  const fixture *f = *state;
  pl_checkpoint *checkpoint;
  struct stat info;
  CHECK_OK(write_all(f, 3, 1));
  for (long from_end = 1; from_end < 20000; from_end = from_end * 3 + 7) {
    flip_bit(path_of(f, 1, "part-00001.h5"), from_end);
    CHECK_FAILS(PL_E_DATA, "part-00001.h5 is damaged", verify_step(f, 1));
    flip_bit(path_of(f, 1, "part-00001.h5"), from_end);
  }
  CHECK_OK(verify_step(f, 1));

  assert_int_equal(stat(path_of(f, 1, "part-00002.h5"), &info), 0);
  assert_int_equal(truncate(path_of(f, 1, "part-00002.h5"), info.st_size - 1), 0);
  CHECK_FAILS(PL_E_DATA, "the manifest says", verify_step(f, 1));
  assert_int_equal(unlink(path_of(f, 1, "part-00002.h5")), 0);
  CHECK_FAILS(PL_E_DATA, "part-00002.h5", verify_step(f, 1));
  assert_int_equal(unlink(path_of(f, 1, "manifest.yaml")), 0);
  CHECK_FAILS(PL_E_DATA, "manifest.yaml", open_step(f, 1, &checkpoint));
  CHECK_FAILS(PL_E_DATA, "step-00000077", open_step(f, 77, &checkpoint));
}

/* A file of the right size and hash that is not a part, and a part that is not the one written. */
static void foreign_parts_are_refused(void **state) {
  const fixture *f = *state;
  static const char text[200000] = "not HDF5";
  char temporary[PL_PATH_MAX], path[PL_PATH_MAX];
  pl_checkpoint_part_record record;
  CHECK_OK(write_parts(f, 1, 1, &record));
  CHECK_OK(pl_checkpoint_path(f->parent, 1, true, temporary));
  CHECK_OK(pl_path_join(temporary, "part-00000.h5", path));
  CHECK_OK(pl_write_file_durably(path, text, sizeof text));
  CHECK_FAILS(PL_E_IO, "were written", commit(f, 1, 1, &record, "x"));
  record.bytes = sizeof text;
  pl_hash_text(pl_hash(text, sizeof text), record.hash);
  CHECK_OK(commit(f, 1, 1, &record, "x"));

  pl_checkpoint *checkpoint;
  CHECK_OK(open_step(f, 1, &checkpoint));
  const pl_checkpoint_vectors none = {0};
  share s = make_share(f->space, 1, 0, false);
  CHECK_FAILS(PL_E_DATA, "cannot open",
              pl_checkpoint_read(checkpoint, f->space, s.slice, &s.vectors, &none));
  pl_checkpoint_close(&checkpoint);

  /* one rank's part in place of the other's as well */
  pl_checkpoint_part_record records[2];
  char *copy;
  size_t size;
  CHECK_OK(write_parts(f, 2, 2, records));
  CHECK_OK(pl_checkpoint_path(f->parent, 2, true, temporary));
  CHECK_OK(pl_path_join(temporary, "part-00001.h5", path));
  CHECK_OK(pl_read_file(path, 1 << 20, &copy, &size));
  CHECK_OK(pl_path_join(temporary, "part-00000.h5", path));
  CHECK_OK(pl_write_file_durably(path, copy, size));
  pl_free(copy);
  records[0] = records[1];
  CHECK_OK(commit(f, 2, 2, records, "x"));
  CHECK_OK(open_step(f, 2, &checkpoint));
  CHECK_FAILS(PL_E_DATA, "no part of",
              pl_checkpoint_read(checkpoint, f->space, s.slice, &s.vectors, &none));
  pl_checkpoint_close(&checkpoint);
  free_share(&s);
}

/* Details of what differs are tested in test_checkpoint_manifest.c. */
static void other_models_are_refused(void **state) {
  const fixture *f = *state;
  const pl_checkpoint_vectors none = {0};
  pl_space *other;
  pl_checkpoint *checkpoint;
  CHECK_OK(write_all(f, 2, 1));
  CHECK_OK(open_step(f, 1, &checkpoint));
  CHECK_OK(pl_space_create(&other));
  add_tensor(other, &tensors[0]);
  CHECK_OK(pl_space_seal(other, PL_F32, 1 << 20));
  share s = make_share(other, 1, 0, false);
  CHECK_FAILS(PL_E_DATA, "differ in 6 tensors",
              pl_checkpoint_read(checkpoint, other, s.slice, &s.vectors, &none));
  free_share(&s);
  pl_space_destroy(&other);
  pl_checkpoint_close(&checkpoint);
}

static void missing_vectors_are_named(void **state) {
  const fixture *f = *state;
  const pl_checkpoint_vectors none = {0};
  pl_checkpoint *checkpoint;
  CHECK_OK(write_all(f, 1, 1));
  CHECK_OK(open_step(f, 1, &checkpoint));
  share s = make_share(f->space, 1, 0, false);
  pl_checkpoint_vectors buffers = make_buffers(f->space, false);
  s.vectors.name[1] = "second";
  CHECK_FAILS(PL_E_DATA, "\"second\"",
              pl_checkpoint_read(checkpoint, f->space, s.slice, &s.vectors, &none));
  s.vectors.count = 1; /* a part of what is there may be read */
  CHECK_OK(pl_checkpoint_read(checkpoint, f->space, s.slice, &s.vectors, &none));
  buffers.name[1] = "params";
  CHECK_FAILS(PL_E_DATA, "\"params\"",
              pl_checkpoint_read(checkpoint, f->space, s.slice, &none, &buffers));
  free_buffers(&buffers);
  free_share(&s);
  pl_checkpoint_close(&checkpoint);
}

static void replicated_vectors_come_from_rank_0(void **state) {
  const fixture *f = *state;
  pl_checkpoint_part_record record;
  pl_checkpoint_vectors buffers = make_buffers(f->space, true);
  int64_t elements = pl_space_buffer_elements(f->space);
  for (int rank = 0; rank < 2; rank++) {
    share s = make_share(f->space, 2, rank, true);
    CHECK_FAILS(PL_E_INTERNAL, "replicated",
                pl_checkpoint_write_part(f->parent, 1, s.slice, &s.vectors,
                                         rank == 0 ? NULL : &buffers, elements, &record));
    s.vectors.name[1] = "../momentum";
    CHECK_FAILS(PL_E_INTERNAL, "\"../momentum\"",
                pl_checkpoint_write_part(f->parent, 1, s.slice, &s.vectors,
                                         rank == 0 ? &buffers : NULL, elements, &record));
    free_share(&s);
  }
  free_buffers(&buffers);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
  const struct CMUnitTest tests[] = {
      TEST(damage_is_named),
      TEST(foreign_parts_are_refused),
      TEST(other_models_are_refused),
      TEST(missing_vectors_are_named),
      TEST(replicated_vectors_come_from_rank_0),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
