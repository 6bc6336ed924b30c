/* Text in rows and fields: TSV and CSV.
 *
 * Between commas (or any separator but the tab) quoting is that of RFC 4180: a field that begins
 * with a quote goes on to the quote that ends it, over separators and line ends; a quote in it is
 * doubled. Between tabs there is no quoting, as the media type text/tab-separated-values has it.
 * Lines end with LF or CRLF. Blank lines are passed over. */
#ifndef LAUNCH_PACK_ROWS_H
#define LAUNCH_PACK_ROWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/base/status.h"

/* Zero-initialised, then begun. */
typedef struct pl_rows {
  const char *name; /* of the file, for messages */
  char separator;
  char *at, *end;    /* what is still to be read */
  int64_t next_line; /* where `at` is */
  int64_t line;      /* where the row begins that was read last; from 1 */
  char **field;      /* (fields) of that row, each ending with a zero */
  int fields;
  int columns; /* fields of the first row, which all must have */
} pl_rows;

/* Begins at the first byte of `text`, of which `size` bytes and a zero behind them are the caller's
 * to be written to: fields become strings in place. PL_E_DATA for text that holds a zero. */
pl_status pl_rows_begin(pl_rows *rows, const char *name, char *text, size_t size, char separator);

/* Reads the next row; *more is false at the end. PL_E_DATA names the line of a row with another
 * number of fields than the first, of a quote that does not end, and of one that ends inside of a
 * field. */
pl_status pl_rows_next(pl_rows *rows, bool *more);

void pl_rows_free(pl_rows *rows);

#endif
