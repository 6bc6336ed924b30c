/* Any bytes, once as a list of merges (plain or compressed), once as a text. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "runtime/data/tokenizer.h"
#include "tests/fuzz/fuzz.h"

enum { CONTEXT = 64 };

static void must(int holds, const char *what) {
  if (holds) return;
  fprintf(stderr, "%s\n", what);
  abort();
}

/* Opens bytes as if they were a file. */
static pl_status open_bytes(const void *bytes, size_t size, pl_tokenizer **out) {
  char path[64];
  int fd = memfd_create("merges", MFD_CLOEXEC);
  must(fd >= 0 && write(fd, bytes, size) == (ssize_t)size, "no memory file");
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  pl_status status = pl_tokenizer_open(path, out);
  close(fd);
  return status;
}

/* Start, ids of the vocabulary, end, zeros. */
static void check_ids(const pl_tokenizer *tokenizer, const int32_t *ids, int used, int context) {
  must(used >= 2 && used <= context, "wrong number of ids");
  must(ids[0] == pl_tokenizer_start(tokenizer), "no start");
  must(ids[used - 1] == pl_tokenizer_end(tokenizer), "no end");
  for (int k = 0; k < context; k++) {
    must(ids[k] >= 0 && ids[k] < pl_tokenizer_vocabulary(tokenizer), "no id of the vocabulary");
    must(k < used || ids[k] == 0, "no zero behind the end");
  }
}

/* The second encoding finds its words in the cache; a short context is the start of a long one. */
static void encode(const pl_tokenizer *tokenizer, const char *text, size_t size) {
  static pl_tokenizer_scratch scratch; /* of all inputs: what one leaves is no matter to the next */
  int32_t first[CONTEXT], second[CONTEXT];
  int used = 0, used_again = 0;
  pl_status status = pl_tokenizer_encode(tokenizer, text, size, &scratch, CONTEXT, first, &used);
  must(status == PL_OK || status == PL_E_DATA, "another error than bad data");
  if (status == PL_OK) {
    check_ids(tokenizer, first, used, CONTEXT);
    status = pl_tokenizer_encode(tokenizer, text, size, &scratch, CONTEXT, second, &used_again);
    must(status == PL_OK && used == used_again, "encoded once only");
    must(memcmp(first, second, sizeof first) == 0, "the second time other ids");
    status = pl_tokenizer_encode(tokenizer, text, size, &scratch, 5, second, &used_again);
    must(status == PL_OK && used_again == (used < 5 ? used : 5), "a short context fails");
    check_ids(tokenizer, second, used_again, 5);
    must(memcmp(first, second, sizeof *first * (size_t)(used_again - 1)) == 0, "other ids if cut");
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const char merges[] = "#version: fuzz\nt h\nth e</w>\na m\nam p\na a\naa aa\n";
  static const char text[] = "The ampere &amp; aaaaaaa";
  static pl_tokenizer *known;
  pl_tokenizer *own = NULL;
  must(known || open_bytes(merges, strlen(merges), &known) == PL_OK, "the known merges");
  encode(known, (const char *)data, size);
  pl_status status = open_bytes(data, size, &own);
  must(status == PL_OK || (status == PL_E_DATA && !own), "another error than bad data");
  if (own) encode(own, text, strlen(text));
  pl_tokenizer_close(&own);
  return 0;
}
