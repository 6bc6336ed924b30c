/* The file of merges, plain or compressed: zlib reads both. */
#include <errno.h>
#include <string.h>
#include <zlib.h>

#include "runtime/base/memory.h"
#include "runtime/data/tokenizer_merges.h"
#include "runtime/data/tokenizer_text.h"

enum { PIECE = 1 << 16 };

static pl_status read_error(const char *path, gzFile file) {
  int code = Z_OK;
  const char *what = gzerror(file, &code);
  if (code == Z_ERRNO) {
    return PL_FAIL(errno == EISDIR ? PL_E_DATA : PL_E_IO, "cannot read %s: %s", path,
                   strerror(errno));
  }
  return PL_FAIL(PL_E_DATA, "a damaged list of merges: %s", what); /* which names the file */
}

pl_status pl_merges_read_file(const char *path, char **text, size_t *size) {
  pl_status status = PL_OK;
  size_t capacity = 0;
  gzFile file = gzopen(path, "rbe");
  *text = NULL;
  *size = 0;
  if (!file) {
    return PL_FAIL(errno == ENOENT || errno == ENOTDIR ? PL_E_DATA : PL_E_IO, "cannot open %s: %s",
                   path, strerror(errno));
  }
  for (;;) {
    char *room = pl_text_room(*text, &capacity, *size, *size + PIECE, 1);
    status = room ? PL_OK : PL_E_INTERNAL;
    if (!room) goto done;
    *text = room;
    int got = gzread(file, *text + *size, PIECE);
    int code = Z_OK;
    gzerror(file, &code);
    /* A compressed file that ends early is told by the code alone. */
    if (got < 0 || code != Z_OK) {
      status = read_error(path, file);
      goto done;
    }
    if (got == 0) break;
    *size += (size_t)got;
    if (*size > PL_MERGES_FILE_MAX) {
      status =
          PL_FAIL(PL_E_DATA, "%s holds over %d bytes: no list of merges", path, PL_MERGES_FILE_MAX);
      goto done;
    }
  }
done:
  gzclose(file);
  if (status != PL_OK) {
    pl_free(*text);
    *text = NULL;
  }
  return status;
}
