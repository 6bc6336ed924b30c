#include "launch/pack/rows.h"

#include <string.h>

#include "runtime/base/grow.h"
#include "runtime/base/memory.h"

static int64_t line_of(const char *text, const char *at) {
  int64_t line = 1;
  for (; text < at; text++) line += *text == '\n';
  return line;
}

pl_status pl_rows_begin(pl_rows *rows, const char *name, char *text, size_t size, char separator) {
  static const char mark[] = "\xef\xbb\xbf"; /* that some programs begin UTF-8 with */
  const char *zero = memchr(text, '\0', size);
  if (zero) {
    return PL_FAIL(PL_E_DATA, "%s:%lld: a zero byte; is it UTF-16, or no text at all?", name,
                   (long long)line_of(text, zero));
  }
  size_t skipped = strncmp(text, mark, strlen(mark)) == 0 ? strlen(mark) : 0;
  *rows = (pl_rows){.name = name,
                    .separator = separator,
                    .at = text + skipped,
                    .end = text + size,
                    .next_line = 1};
  return PL_OK;
}

/* Length of the line end at `at`; 0 for none. */
static size_t line_end(const char *at) {
  if (at[0] == '\n') return 1;
  return at[0] == '\r' && at[1] == '\n' ? 2 : 0;
}

static bool field_ends(const pl_rows *rows) {
  return rows->at == rows->end || *rows->at == rows->separator || line_end(rows->at) > 0;
}

/* Takes a quoted field apart, in place; `at` moves behind the quote that ends it. */
static pl_status take_quoted(pl_rows *rows, char **field) {
  int64_t began = rows->next_line;
  char *from = rows->at + 1;
  char *to = from;
  *field = to;
  while (from < rows->end && (from[0] != '"' || from[1] == '"')) {
    rows->next_line += *from == '\n';
    *to++ = *from;
    from += *from == '"' ? 2 : 1;
  }
  if (from == rows->end) {
    return PL_FAIL(PL_E_DATA, "%s:%lld: a quoted field begins in this line and does not end",
                   rows->name, (long long)began);
  }
  *to = '\0';
  rows->at = from + 1;
  if (field_ends(rows)) return PL_OK;
  return PL_FAIL(PL_E_DATA, "%s:%lld: text between a quoted field and the next separator",
                 rows->name, (long long)rows->next_line);
}

static pl_status take_field(pl_rows *rows, char **field) {
  if (rows->separator != '\t' && *rows->at == '"') return take_quoted(rows, field);
  *field = rows->at;
  while (!field_ends(rows)) rows->at++;
  return PL_OK;
}

/* The first row tells how many fields there is room for; further ones are only counted. */
static pl_status keep_field(pl_rows *rows, char *field) {
  if (rows->columns == 0) {
    PL_TRY(pl_grow((void **)&rows->field, rows->fields, sizeof *rows->field));
    rows->field[rows->fields] = field;
  } else if (rows->fields < rows->columns) {
    rows->field[rows->fields] = field;
  }
  rows->fields++;
  return PL_OK;
}

static pl_status take_row(pl_rows *rows) {
  bool more = true;
  rows->line = rows->next_line;
  rows->fields = 0;
  while (more) {
    char *field = NULL;
    PL_TRY(take_field(rows, &field));
    PL_TRY(keep_field(rows, field));
    char *stop = rows->at;
    more = stop < rows->end && *stop == rows->separator;
    size_t end = line_end(stop);
    rows->next_line += end > 0;
    rows->at += more ? 1 : end;
    *stop = '\0';
  }
  if (rows->columns == 0) rows->columns = rows->fields;
  if (rows->fields == rows->columns) return PL_OK;
  return PL_FAIL(PL_E_DATA, "%s:%lld: a row of %d fields; the first has %d", rows->name,
                 (long long)rows->line, rows->fields, rows->columns);
}

pl_status pl_rows_next(pl_rows *rows, bool *more) {
  for (size_t end = line_end(rows->at); end > 0; end = line_end(rows->at)) {
    rows->at += end;
    rows->next_line++;
  }
  *more = rows->at < rows->end;
  return *more ? take_row(rows) : PL_OK;
}

void pl_rows_free(pl_rows *rows) {
  pl_free(rows->field);
  *rows = (pl_rows){0};
}
