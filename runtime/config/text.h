/* Small pieces of text from outside: numbers read strictly, reals printed so that they read back as
 * the same bits, times, words chosen from a list, the nearest of several names. Shared by the YAML
 * reader and the parser of command-line options. */
#ifndef PL_CONFIG_TEXT_H
#define PL_CONFIG_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The whole text must be a decimal number: no blanks, no digits grouped, no hexadecimal, no inf or
 * nan. False where it is not, or where the type can't hold it. */
bool pl_parse_integer(const char *text, int64_t *value);
bool pl_parse_real(const char *text, double *value);

enum { PL_REAL_TEXT = 32 };
/* The shortest decimal that pl_parse_real turns into the very bits of the finite `value`: 0.2 is
 * "0.2", a million "1000000", and a billionth "1.0e-09". */
void pl_format_real(double value, char out[PL_REAL_TEXT]);

/* A time with its unit, "90 s", "45 min", "1.5 h", "2 d", or as "h:m:s": "2:30:00". False where the
 * text is nothing of that. */
bool pl_parse_time(const char *text, double *seconds);
/* The finite `seconds` in the largest unit in which they are a whole number; pl_parse_time gives
 * the very bits back. */
void pl_format_time(double seconds, char out[PL_REAL_TEXT]);

/* The index of `word` in the list `choices`, "folder|cifar10|cifar100"; -1 where it is not there.
 */
int pl_choice_find(const char *choices, const char *word);
/* The word with that index, not zero-terminated, and its length; NULL past the end. */
const char *pl_choice_word(const char *choices, int64_t index, size_t *length);

/* Fewest insertions, deletions and replacements of a byte that make `a` into `b`; looks at the
 * first 63 bytes of each. */
int pl_edit_distance(const char *a, const char *b);

enum { PL_SHOWN_TEXT = 72 };
/* `text` as it is fit for a message: control characters replaced, cut where long. Returns `out`. */
const char *pl_shown(const char *text, char out[PL_SHOWN_TEXT]);

#endif
