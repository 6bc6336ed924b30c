#include <math.h>
#include <string.h>
#include <strings.h>

#include "runtime/config/keys.h"

/* How a list lies in memory, by the type of its elements. */
#define LIST(type) \
  { offsetof(type, count), offsetof(type, value), sizeof((type *)NULL)->value[0], sizeof(type) }
static const struct list_layout {
  size_t count, first, stride, size;
} lists[] = {[PL_KEY_INTEGER] = LIST(pl_int_list),
             [PL_KEY_CHOICE] = LIST(pl_int_list),
             [PL_KEY_REAL] = LIST(pl_real_list),
             [PL_KEY_DURATION] = LIST(pl_duration_list)};

/* Where in pl_config element `index` of a key of any shape lies (index 0 for ONE). */
static size_t element_offset(const pl_key *key, int index) {
  size_t i = (size_t)index;
  if (key->shape == PL_KEY_ONE) return key->offset;
  if (key->shape == PL_KEY_TRIPLE) return key->offset + i * sizeof(double);
  return key->offset + lists[key->type].first + i * lists[key->type].stride;
}

/* Where the number of elements of a LIST lies. */
static size_t count_offset(const pl_key *key) { return key->offset + lists[key->type].count; }

static int element_count(const pl_key *key, const pl_config *config) {
  if (key->shape == PL_KEY_ONE) return 1;
  if (key->shape == PL_KEY_TRIPLE) return 3;
  return *(const int *)((const char *)config + count_offset(key));
}

static pl_status refuse(const pl_key *key, const char *wanted, const char *text, bool quoted) {
  char shown[PL_SHOWN_TEXT];
  pl_shown(text, shown);
  const char *mark = quoted ? "\"" : "'";
  return PL_FAIL(PL_E_USAGE, "%s wants %s, not %s%s%s", key->name, wanted, mark, shown, mark);
}

void pl_value_format(const pl_key *key, double number, char out[PL_REAL_TEXT]) {
  if (key->type == PL_KEY_TIME) {
    pl_format_time(number, out);
  } else {
    pl_format_real(number, out);
  }
}

static pl_status check_range(const pl_key *key, double number) {
  if (number >= key->low && number <= key->high) return PL_OK;
  char value[PL_REAL_TEXT], low[PL_REAL_TEXT], high[PL_REAL_TEXT];
  pl_value_format(key, number, value);
  pl_value_format(key, key->low, low);
  pl_value_format(key, key->high, high);
  if (isinf(key->high)) {
    return PL_FAIL(PL_E_USAGE, "%s must be at least %s, not %s", key->name, low, value);
  }
  return PL_FAIL(PL_E_USAGE, "%s must be from %s to %s, not %s", key->name, low, high, value);
}

static pl_status set_bool(const pl_key *key, bool *value, const char *text, bool quoted) {
  bool yes = strcmp(text, "true") == 0 || strcmp(text, "yes") == 0;
  bool no = strcmp(text, "false") == 0 || strcmp(text, "no") == 0;
  if (quoted || (!yes && !no)) return refuse(key, "true or false", text, quoted);
  *value = yes;
  return PL_OK;
}

static pl_status set_integer(const pl_key *key, int64_t *value, const char *text, bool quoted) {
  if (key->word && strcmp(text, key->word) == 0) {
    *value = key->word_value;
    return PL_OK;
  }
  int64_t number = 0;
  if (quoted || !pl_parse_integer(text, &number)) {
    if (!key->word) return refuse(key, "a whole number", text, quoted);
    char wanted[64];
    snprintf(wanted, sizeof wanted, "a whole number or '%s'", key->word);
    return refuse(key, wanted, text, quoted);
  }
  PL_TRY(check_range(key, (double)number));
  *value = number;
  return PL_OK;
}

static pl_status set_real(const pl_key *key, double *value, const char *text, bool quoted) {
  double number = 0;
  if (quoted || !pl_parse_real(text, &number)) {
    return refuse(key, "a finite decimal number", text, quoted);
  }
  PL_TRY(check_range(key, number));
  *value = number;
  return PL_OK;
}

static pl_status set_choice(const pl_key *key, int64_t *value, const char *text, bool quoted) {
  int index = pl_choice_find(key->choices, text);
  if (index < 0) return refuse(key, key->choices, text, quoted);
  *value = index;
  return PL_OK;
}

static pl_status set_duration(const pl_key *key, pl_duration *value, const char *text,
                              bool quoted) {
  static const char wanted[] = "a duration such as '10 epochs', '500 steps' or '500'";
  size_t digits = strcspn(text, " ");
  char amount[PL_REAL_TEXT] = "";
  if (digits >= sizeof amount) return refuse(key, wanted, text, quoted);
  memcpy(amount, text, digits);
  const char *unit = text[digits] == ' ' ? text + digits + 1 : "steps";
  bool epochs = strcmp(unit, "epochs") == 0 || strcmp(unit, "epoch") == 0;
  bool steps = strcmp(unit, "steps") == 0 || strcmp(unit, "step") == 0;
  double number = 0;
  if ((!epochs && !steps) || !pl_parse_real(amount, &number)) {
    return refuse(key, wanted, text, quoted);
  }
  if (steps && number != trunc(number)) return refuse(key, "whole steps", text, quoted);
  PL_TRY(check_range(key, number));
  value->amount = number;
  value->epochs = epochs;
  return PL_OK;
}

static pl_status set_time(const pl_key *key, double *value, const char *text, bool quoted) {
  if (strcmp(text, key->word) == 0) {
    *value = (double)key->word_value;
    return PL_OK;
  }
  double number = 0;
  if (pl_parse_real(text, &number)) {
    return PL_FAIL(PL_E_USAGE, "%s needs a unit: '%s s', '%s min', '%s h' or '%s d'?", key->name,
                   text, text, text, text);
  }
  if (!pl_parse_time(text, &number)) {
    return refuse(key, "a time such as '90 s', '45 min', '1.5 h', '2 d' or '2:30:00', or 'none'",
                  text, quoted);
  }
  PL_TRY(check_range(key, number));
  *value = number;
  return PL_OK;
}

/* Finds what would break a line of a log, a path or the effective YAML: control characters of ASCII
 * and of the range above it, the two line separators and the byte-order mark of Unicode, and what
 * is no character at all. The text is valid UTF-8. */
static bool has_control(const char *text) {
  for (const unsigned char *at = (const unsigned char *)text; *at != '\0'; at++) {
    if (*at < 0x20 || *at == 0x7F) return true;
    if (at[0] == 0xC2 && at[1] >= 0x80 && at[1] <= 0x9F) return true;
    if (at[0] == 0xE2 && at[1] == 0x80 && (at[2] == 0xA8 || at[2] == 0xA9)) return true;
    if (at[0] == 0xEF && at[1] == 0xBB && at[2] == 0xBF) return true;
    if (at[0] == 0xEF && at[1] == 0xBF && at[2] >= 0xBE) return true;
  }
  return false;
}

static pl_status set_text(const pl_key *key, char *value, const char *text) {
  size_t length = strlen(text);
  char shown[PL_SHOWN_TEXT];
  if (length >= PL_CONFIG_TEXT) {
    return PL_FAIL(PL_E_USAGE, "%s is too long: %zu bytes, at most %d: '%s'", key->name, length,
                   PL_CONFIG_TEXT - 1, pl_shown(text, shown));
  }
  if (has_control(text)) {
    return PL_FAIL(PL_E_USAGE, "%s holds a control character: '%s'", key->name,
                   pl_shown(text, shown));
  }
  memset(value, 0, PL_CONFIG_TEXT);
  memcpy(value, text, length + 1);
  return PL_OK;
}

static pl_status set_element(const pl_key *key, void *at, const char *text, bool quoted) {
  bool null = *text == '\0' || strcmp(text, "~") == 0 || strcasecmp(text, "null") == 0;
  if (null && !quoted) {
    return PL_FAIL(PL_E_USAGE, "%s has no value; %s", key->name,
                   key->type == PL_KEY_TEXT ? "write \"\" for an empty text"
                                            : "leave the key out to keep its default");
  }
  switch (key->type) {
    case PL_KEY_BOOL: return set_bool(key, at, text, quoted);
    case PL_KEY_INTEGER: return set_integer(key, at, text, quoted);
    case PL_KEY_REAL: return set_real(key, at, text, quoted);
    case PL_KEY_TEXT: return set_text(key, at, text);
    case PL_KEY_CHOICE: return set_choice(key, at, text, quoted);
    case PL_KEY_DURATION: return set_duration(key, at, text, quoted);
    case PL_KEY_TIME: return set_time(key, at, text, quoted);
  }
  return PL_FAIL(PL_E_INTERNAL, "%s: type %d", key->name, (int)key->type);
}

pl_status pl_value_begin(const pl_key *key, pl_config *config) {
  if (key->shape == PL_KEY_ONE) {
    return PL_FAIL(PL_E_USAGE, "%s wants a single value, not a list", key->name);
  }
  if (key->shape == PL_KEY_LIST) {
    memset((char *)config + key->offset, 0, lists[key->type].size);
  }
  return PL_OK;
}

pl_status pl_value_append(const pl_key *key, pl_config *config, int index, const char *text,
                          bool quoted) {
  int most = key->shape == PL_KEY_TRIPLE ? 3 : PL_CONFIG_LIST;
  if (index >= most) {
    return PL_FAIL(PL_E_USAGE, "%s has too many values: at most %d", key->name, most);
  }
  PL_TRY(set_element(key, (char *)config + element_offset(key, index), text, quoted));
  if (key->shape == PL_KEY_LIST) *(int *)((char *)config + count_offset(key)) = index + 1;
  return PL_OK;
}

pl_status pl_value_end(const pl_key *key, int count) {
  if (key->shape == PL_KEY_TRIPLE && count != 3) {
    return PL_FAIL(PL_E_USAGE, "%s wants three values, not %d", key->name, count);
  }
  return PL_OK;
}

pl_status pl_value_set(const pl_key *key, pl_config *config, const char *text, bool quoted) {
  if (key->shape == PL_KEY_TRIPLE) {
    return refuse(key, "three values in brackets such as [1, 2, 3]", text, quoted);
  }
  if (key->shape == PL_KEY_ONE) {
    return set_element(key, (char *)config + element_offset(key, 0), text, quoted);
  }
  PL_TRY(pl_value_begin(key, config));
  return pl_value_append(key, config, 0, text, quoted);
}

/* Sets from text of ours, list elements parted by ", ". */
static pl_status set_known(const pl_key *key, pl_config *config, const char *text) {
  if (key->shape == PL_KEY_ONE) return pl_value_set(key, config, text, *text == '\0');
  PL_TRY(pl_value_begin(key, config));
  int count = 0;
  while (*text != '\0') {
    size_t length = strcspn(text, ",");
    char part[PL_REAL_TEXT];
    snprintf(part, sizeof part, "%.*s", (int)length, text);
    PL_TRY(pl_value_append(key, config, count++, part, false));
    text += length;
    text += strspn(text, ", ");
  }
  return pl_value_end(key, count);
}

void pl_value_set_known(const pl_key *key, pl_config *config, const char *text) {
  pl_status status = set_known(key, config, text);
  PL_INVARIANT(status == PL_OK); /* the table is wrong; the unit test finds it in any build */
  (void)status;
}

static bool same_element(const pl_key *key, const void *a, const void *b) {
  switch (key->type) {
    case PL_KEY_BOOL: return *(const bool *)a == *(const bool *)b;
    case PL_KEY_INTEGER:
    case PL_KEY_CHOICE: return *(const int64_t *)a == *(const int64_t *)b;
    case PL_KEY_REAL:
    case PL_KEY_TIME: return *(const double *)a == *(const double *)b;
    case PL_KEY_TEXT: return strcmp(a, b) == 0;
    case PL_KEY_DURATION: {
      const pl_duration *left = a, *right = b;
      return left->amount == right->amount && left->epochs == right->epochs;
    }
  }
  return false;
}

bool pl_value_equal(const pl_key *key, const pl_config *a, const pl_config *b) {
  int count = element_count(key, a);
  if (element_count(key, b) != count) return false;
  for (int i = 0; i < count; i++) {
    size_t offset = element_offset(key, i);
    if (!same_element(key, (const char *)a + offset, (const char *)b + offset)) return false;
  }
  return true;
}

/* Whether YAML readers take the bare text for just this text: not for a number, a truth value or
 * null, and with no character that has a meaning. */
static bool is_plain(const char *text) {
  static const char *const meaning[] = {"true", "false", "yes", "no", "on",
                                        "off",  "null",  "y",   "n"};
  for (size_t k = 0; k < sizeof meaning / sizeof meaning[0]; k++) {
    if (strcasecmp(text, meaning[k]) == 0) return false;
  }
  static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
  static const char others[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./";
  return *text != '\0' && strchr(letters, *text) && text[strspn(text, others)] == '\0';
}

static void print_text(const char *text, FILE *out) {
  if (is_plain(text)) {
    fputs(text, out);
    return;
  }
  fputc('"', out);
  for (; *text != '\0'; text++) {
    if (*text == '"' || *text == '\\') fputc('\\', out);
    fputc(*text, out);
  }
  fputc('"', out);
}

static void print_element(const pl_key *key, const void *at, FILE *out) {
  char number[PL_REAL_TEXT];
  switch (key->type) {
    case PL_KEY_BOOL: fputs(*(const bool *)at ? "true" : "false", out); break;
    case PL_KEY_INTEGER:
      if (key->word && *(const int64_t *)at == key->word_value) {
        fputs(key->word, out);
      } else {
        fprintf(out, "%lld", (long long)*(const int64_t *)at);
      }
      break;
    case PL_KEY_REAL:
      pl_format_real(*(const double *)at, number);
      fputs(number, out);
      break;
    case PL_KEY_TEXT: print_text(at, out); break;
    case PL_KEY_CHOICE: {
      size_t length = 0;
      const char *word = pl_choice_word(key->choices, *(const int64_t *)at, &length);
      if (word) fwrite(word, 1, length, out);
      break;
    }
    case PL_KEY_DURATION: {
      const pl_duration *duration = at;
      pl_format_real(duration->amount, number);
      fprintf(out, "%s %s%s", number, duration->epochs ? "epoch" : "step",
              duration->amount == 1 ? "" : "s");
      break;
    }
    case PL_KEY_TIME:
      if (*(const double *)at == (double)key->word_value) {
        fputs(key->word, out);
      } else {
        pl_format_time(*(const double *)at, number);
        fputs(number, out);
      }
      break;
  }
}

void pl_value_print(const pl_key *key, const pl_config *config, FILE *out) {
  const char *base = (const char *)config;
  if (key->shape == PL_KEY_ONE) {
    print_element(key, base + element_offset(key, 0), out);
    return;
  }
  int count = element_count(key, config);
  fputc('[', out);
  for (int i = 0; i < count; i++) {
    if (i > 0) fputs(", ", out);
    print_element(key, base + element_offset(key, i), out);
  }
  fputc(']', out);
}
