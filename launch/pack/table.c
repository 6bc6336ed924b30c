#include "launch/pack/table.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "launch/pack/rows.h"
#include "runtime/base/memory.h"
#include "runtime/data/writer.h"

enum { CAPTION_COLUMNS_MAX = 64 };
static const size_t TABLE_BYTES_MAX = (size_t)1 << 36;

typedef struct table {
  const pl_list_options *options;
  pl_listing *listing;
  pl_rows rows;
  int image, label; /* columns; label -1: none */
  int caption[CAPTION_COLUMNS_MAX];
  int captions;
  pl_names labels; /* (listing->files.count) with a label column */
} table;

static bool ends_with(const char *path, const char *ending) {
  const char *dot = strrchr(path, '.');
  return dot && strcasecmp(dot, ending) == 0;
}

bool pl_table_detect(const char *path) {
  return ends_with(path, ".tsv") || ends_with(path, ".csv");
}

static pl_status find_separator(const pl_list_options *options, char *separator) {
  *separator = options->separator;
  if (*separator != '\0') return PL_OK;
  *separator = ends_with(options->source, ".csv") ? ',' : '\t';
  if (pl_table_detect(options->source)) return PL_OK;
  return PL_FAIL(PL_E_USAGE, "%s ends neither in .tsv nor in .csv; --separator tells what it is",
                 options->source);
}

static pl_status refuse_column(const table *t, const char *name, size_t length) {
  char known[PL_REASON_MAX / 2] = "";
  size_t used = 0;
  for (int k = 0; k < t->rows.fields && used + 1 < sizeof known; k++) {
    int added =
        snprintf(known + used, sizeof known - used, "%s'%s'", k ? ", " : "", t->rows.field[k]);
    used += added > 0 ? (size_t)added : 0;
  }
  return PL_FAIL(PL_E_DATA, "%s has no column '%.*s'; its columns are %s", t->rows.name,
                 (int)length, name, known);
}

static pl_status find_column(const table *t, const char *name, size_t length, int *column) {
  *column = -1;
  for (int k = 0; k < t->rows.fields; k++) {
    if (strlen(t->rows.field[k]) != length || memcmp(t->rows.field[k], name, length) != 0) continue;
    if (*column >= 0) {
      return PL_FAIL(PL_E_DATA, "%s has two columns '%.*s'", t->rows.name, (int)length, name);
    }
    *column = k;
  }
  return *column < 0 ? refuse_column(t, name, length) : PL_OK;
}

static pl_status find_columns(table *t) {
  const pl_list_options *o = t->options;
  PL_TRY(find_column(t, o->image_column, strlen(o->image_column), &t->image));
  t->label = -1;
  if (o->label_column) PL_TRY(find_column(t, o->label_column, strlen(o->label_column), &t->label));
  for (const char *name = o->caption_columns; *name;) {
    size_t length = strcspn(name, ",");
    if (t->captions == CAPTION_COLUMNS_MAX) {
      return PL_FAIL(PL_E_USAGE, "over %d caption columns", CAPTION_COLUMNS_MAX);
    }
    PL_TRY(find_column(t, name, length, &t->caption[t->captions++]));
    name += length + (name[length] == ',');
  }
  return PL_OK;
}

/* Cells that hold nothing are passed over where another one of the row holds a caption. */
static pl_status add_captions(const table *t) {
  int64_t before = t->listing->captions.count;
  for (int k = 0; k < t->captions; k++) {
    const char *text = t->rows.field[t->caption[k]];
    if (text[strspn(text, " \t\r\n\v\f")] == '\0') continue;
    PL_TRY(pl_listing_add_caption(t->listing, text, strlen(text)));
  }
  if (t->captions == 0 || t->listing->captions.count > before) return PL_OK;
  return PL_FAIL(PL_E_DATA, "the caption is empty (column '%s')", t->options->caption_columns);
}

static pl_status check_row(const table *t) {
  const char *label = t->label < 0 ? "" : t->rows.field[t->label];
  const char *image = t->rows.field[t->image];
  if (*image == '\0') {
    return PL_FAIL(PL_E_DATA, "the path of the image is empty (column '%s')",
                   t->options->image_column);
  }
  if (strlen(t->listing->root) + 1 + strlen(image) >= PL_PATH_MAX) {
    return PL_FAIL(PL_E_DATA, "the path of the image has %zu bytes, which is too long",
                   strlen(image));
  }
  if (*label) PL_TRY(pl_dataset_check_class_name(label));
  return add_captions(t);
}

static pl_status add_row(table *t) {
  const pl_listed about = {.place = t->rows.line, .label = -1};
  int64_t images = t->listing->files.count;
  pl_status status = pl_context(check_row(t), "%s:%lld", t->rows.name, (long long)t->rows.line);
  PL_TRY(
      pl_listing_settle(t->listing, t->rows.field[t->image], &about, t->options->skip_bad, status));
  if (t->label < 0 || t->listing->files.count == images) return PL_OK;
  return pl_names_add(&t->labels, t->rows.field[t->label]);
}

static pl_status read_rows(table *t) {
  bool more = false;
  PL_TRY(pl_rows_next(&t->rows, &more));
  if (!more) return PL_FAIL(PL_E_DATA, "%s is empty", t->rows.name);
  PL_TRY(find_columns(t));
  PL_TRY(pl_rows_next(&t->rows, &more));
  while (more) {
    PL_TRY(add_row(t));
    PL_TRY(pl_rows_next(&t->rows, &more));
  }
  if (t->listing->files.count == 0) {
    return PL_FAIL(PL_E_DATA, "%s has no row that can be packed", t->rows.name);
  }
  return t->label < 0 ? PL_OK : pl_listing_name_classes(t->listing, &t->labels);
}

pl_status pl_list_table(const pl_list_options *options, pl_listing *listing) {
  table t = {.options = options, .listing = listing};
  char separator = '\0';
  char *text = NULL;
  size_t size = 0;
  pl_status status = PL_OK;
  PL_TRY_OR(done, status, find_separator(options, &separator));
  listing->by_lines = true;
  PL_TRY_OR(done, status, pl_listing_set_root_of(listing, options->source));
  PL_TRY_OR(done, status, pl_read_file(options->source, TABLE_BYTES_MAX, &text, &size));
  PL_TRY_OR(done, status, pl_rows_begin(&t.rows, options->source, text, size, separator));
  PL_TRY_OR(done, status, read_rows(&t));
done:
  pl_rows_free(&t.rows);
  pl_names_free(&t.labels);
  pl_free(text);
  return status;
}
