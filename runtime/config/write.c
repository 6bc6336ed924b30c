/* The effective configuration as YAML, and the table of keys for people. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/memory.h"
#include "runtime/config/keys.h"

/* The length of a name's group, "model.norm" of "model.norm.scope". */
static size_t group_length(const char *name) {
  const char *dot = strrchr(name, '.');
  return dot ? (size_t)(dot - name) : 0;
}

/* Prints the headings of the groups that `name` is in and `before` is not, and returns the depth of
 * the key. */
static int print_headings(const char *before, const char *name, FILE *out) {
  size_t length = group_length(name), open = group_length(before);
  int depth = 0;
  for (size_t at = 0; at < length; depth++) {
    size_t end = at + strcspn(name + at, ".");
    bool is_open = end <= open && strncmp(before, name, end) == 0 && before[end] == '.';
    if (!is_open) fprintf(out, "%*s%.*s:\n", 2 * depth, "", (int)(end - at), name + at);
    at = end + 1;
  }
  return depth;
}

pl_status pl_config_write(const pl_config *config, char **text) {
  *text = NULL;
  char *block = NULL;
  size_t size = 0;
  FILE *out = open_memstream(&block, &size);
  if (!out) return PL_FAIL(PL_E_INTERNAL, "out of memory for the configuration's text");
  const char *before = "";
  for (int k = 0; k < pl_key_count; k++) {
    const char *name = pl_keys[k].name;
    int depth = print_headings(before, name, out);
    fprintf(out, "%*s%s: ", 2 * depth, "", name + group_length(name) + 1);
    pl_value_print(&pl_keys[k], config, out);
    fputc('\n', out);
    before = name;
  }
  pl_status status = PL_OK;
  if (fclose(out) != 0) {
    status = PL_FAIL(PL_E_INTERNAL, "out of memory for the configuration's text");
  } else if (!(*text = pl_strdup(block))) {
    status = PL_E_INTERNAL;
  }
  free(block);
  return status;
}

static const char *type_text(const pl_key *key) {
  switch (key->type) {
    case PL_KEY_BOOL: return "true|false";
    case PL_KEY_INTEGER: return key->shape == PL_KEY_LIST ? "list of integers" : "integer";
    case PL_KEY_REAL:
      if (key->shape == PL_KEY_LIST) return "list of numbers";
      return key->shape == PL_KEY_TRIPLE ? "three numbers" : "number";
    case PL_KEY_TEXT: return "text";
    case PL_KEY_CHOICE: return key->choices;
    case PL_KEY_DURATION: return key->shape == PL_KEY_LIST ? "list of durations" : "duration";
    case PL_KEY_TIME: return "time";
  }
  return "";
}

enum { TYPE_TEXT = 256, RANGE_TEXT = 4 * PL_REAL_TEXT };
/* "0 to 1", ">= 0", "auto or 0 to 1024"; nothing for what has no numbers. */
static void print_range(const pl_key *key, char out[RANGE_TEXT]) {
  out[0] = '\0';
  if (key->low == key->high) return;
  char low[PL_REAL_TEXT], high[PL_REAL_TEXT], word[PL_REAL_TEXT] = "";
  bool word_is_low = key->word && (double)key->word_value == key->low;
  pl_value_format(key, word_is_low ? key->low + 1 : key->low, low);
  pl_value_format(key, key->high, high);
  if (key->word) snprintf(word, sizeof word, "%s or ", key->word);
  if (isinf(key->high)) {
    snprintf(out, RANGE_TEXT, "%s>= %s", word, low);
  } else {
    snprintf(out, RANGE_TEXT, "%s%s to %s", word, low, high);
  }
}

void pl_config_print_keys(FILE *out) {
  static const char row[] = "%-26s  %-33s  %-26s  %-24s  %s\n";
  fprintf(out, row, "KEY", "TYPE", "DEFAULT", "RANGE", "MEANING");
  for (int k = 0; k < pl_key_count; k++) {
    const pl_key *key = &pl_keys[k];
    char range[RANGE_TEXT];
    print_range(key, range);
    const char *initial = key->initial ? key->initial : "by preset";
    bool several = key->type == PL_KEY_CHOICE && key->shape == PL_KEY_LIST;
    char type[TYPE_TEXT];
    snprintf(type, sizeof type, several ? "list of %s" : "%s", type_text(key));
    fprintf(out, row, key->name, type, *initial == '\0' ? "-" : initial, range, key->help);
  }
}
