/* Runs a fuzzer's function without libFuzzer: on every file of a stored corpus, and on mutations of
 * each that are the same in every run. Any compiler can build it, and ctest runs it.
 *
 * usage: replay MUTATIONS FOLDER... [--verbose]
 *
 * A finding is a crash or a sanitizer's report. With --verbose each input is named before it runs,
 * so that the last name is the culprit's. */
#include <dirent.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/file.h"
#include "runtime/base/memory.h"
#include "runtime/base/random.h"
#include "tests/fuzz/fuzz.h"

enum { INPUT_MAX = 1 << 20 };

typedef struct input {
  unsigned char *bytes; /* INPUT_MAX of them */
  size_t size;
} input;

static size_t pick(pl_random *random, size_t below) {
  return below == 0 ? 0 : pl_random_bits(random) % below;
}

/* Copies `count` bytes from `from` into a gap opened at `to`. */
static void copy_within(input *in, size_t from, size_t to, size_t count) {
  unsigned char piece[64];
  if (count > sizeof piece) count = sizeof piece;
  if (from + count > in->size || in->size + count > INPUT_MAX) return;
  memcpy(piece, in->bytes + from, count);
  memmove(in->bytes + to + count, in->bytes + to, in->size - to);
  memcpy(in->bytes + to, piece, count);
  in->size += count;
}

static void cut(input *in, size_t from, size_t count) {
  if (from + count > in->size) count = in->size - from;
  memmove(in->bytes + from, in->bytes + from + count, in->size - from - count);
  in->size -= count;
}

static void mutate_once(input *in, pl_random *random) {
  /* Bytes at the edges of what texts and integers in files hold. */
  static const unsigned char edges[] = {0x00, 0x01, 0x7F, 0x80, 0xFF, '\n', ' ', ':',
                                        '[',  '{',  '"',  '\'', '#',  '-',  '.', '9'};
  size_t at = pick(random, in->size), count = 1 + pick(random, 16);
  if (in->size == 0) {
    in->bytes[in->size++] = edges[pick(random, sizeof edges)];
    return;
  }
  switch (pick(random, 6)) {
    case 0: in->bytes[at] ^= (unsigned char)(1u << pick(random, 8)); break;
    case 1: in->bytes[at] = edges[pick(random, sizeof edges)]; break;
    case 2: in->bytes[at] = (unsigned char)pl_random_bits(random); break;
    case 3: cut(in, at, count); break;
    case 4: copy_within(in, pick(random, in->size), at, count); break;
    default: in->size = at; break;
  }
}

static void run_on(const input *in) {
  /* A block of exactly this size, so that reading past the end is seen. */
  unsigned char *bytes = malloc(in->size > 0 ? in->size : 1);
  if (!bytes) abort();
  memcpy(bytes, in->bytes, in->size);
  LLVMFuzzerTestOneInput(bytes, in->size);
  free(bytes);
}

/* Runs one file and its mutations, of which each makes one to four changes to the file. */
static pl_status replay_file(const char *path, uint64_t file_number, int mutations, bool verbose,
                             input *in) {
  char *text = NULL;
  size_t size = 0;
  PL_TRY(pl_read_file(path, INPUT_MAX, &text, &size));
  for (int k = 0; k <= mutations; k++) { /* number 0 is the file as it is */
    memcpy(in->bytes, text, size);
    in->size = size;
    pl_random random = pl_random_stream(1, PL_RANDOM_TEST, (uint32_t)k, file_number, 0);
    size_t changes = k == 0 ? 0 : 1 + pick(&random, 4);
    for (size_t change = 0; change < changes; change++) mutate_once(in, &random);
    if (verbose) fprintf(stderr, "%s mutation %d\n", path, k);
    run_on(in);
  }
  pl_free(text);
  return PL_OK;
}

static int is_file_name(const struct dirent *entry) { return entry->d_name[0] != '.'; }

/* In the order of names, which with the number of the file seeds its mutations. */
static pl_status replay_folder(const char *folder, int mutations, bool verbose, input *in,
                               int *files) {
  struct dirent **entries = NULL;
  int count = scandir(folder, &entries, is_file_name, alphasort);
  if (count < 0) return PL_FAIL(PL_E_DATA, "cannot read the corpus %s", folder);
  pl_status status = PL_OK;
  for (int k = 0; k < count; k++) {
    char path[PL_PATH_MAX];
    if (status == PL_OK) status = pl_path_join(folder, entries[k]->d_name, path);
    if (status == PL_OK) status = replay_file(path, (uint64_t)k, mutations, verbose, in);
    free(entries[k]);
  }
  free(entries);
  *files += count;
  if (status == PL_OK && count == 0) return PL_FAIL(PL_E_DATA, "the corpus %s is empty", folder);
  return status;
}

static pl_status replay(int argc, char **argv) {
  char *end = NULL;
  long mutations = argc < 3 ? -1 : strtol(argv[1], &end, 10);
  if (mutations < 0 || mutations > INT_MAX || *end != '\0') {
    return PL_FAIL(PL_E_USAGE, "usage: %s MUTATIONS FOLDER... [--verbose]", argv[0]);
  }
  int files = 0;
  bool verbose = strcmp(argv[argc - 1], "--verbose") == 0;
  input in = {.bytes = pl_alloc(INPUT_MAX, 1)};
  if (!in.bytes) return PL_E_INTERNAL;
  pl_status status = PL_OK;
  for (int k = 2; k < argc - (verbose ? 1 : 0) && status == PL_OK; k++) {
    status = replay_folder(argv[k], (int)mutations, verbose, &in, &files);
  }
  pl_free(in.bytes);
  if (status == PL_OK) printf("%d files, %ld mutations of each\n", files, mutations);
  return status;
}

int main(int argc, char **argv) {
  pl_status status = replay(argc, argv);
  if (status != PL_OK) fprintf(stderr, "replay: %s\n", pl_last_reason()->message);
  return status;
}
