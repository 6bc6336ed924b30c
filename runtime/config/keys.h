/* The table of keys, and what is done with one key: set it from text, print its value. Internal to
 * runtime/config. */
#ifndef PL_CONFIG_KEYS_H
#define PL_CONFIG_KEYS_H

#include <stdio.h>

#include "runtime/config/config.h"
#include "runtime/config/text.h"

/* Where a value lies in pl_config: as the member type named. */
typedef enum pl_key_type {
  PL_KEY_BOOL,     /* bool */
  PL_KEY_INTEGER,  /* int64_t */
  PL_KEY_REAL,     /* double */
  PL_KEY_TEXT,     /* char[PL_CONFIG_TEXT] */
  PL_KEY_CHOICE,   /* int64_t: index in `choices` */
  PL_KEY_DURATION, /* pl_duration */
  PL_KEY_TIME      /* double: seconds */
} pl_key_type;

typedef enum pl_key_shape {
  PL_KEY_ONE,
  PL_KEY_LIST, /* pl_int_list (INTEGER, CHOICE), pl_real_list (REAL), pl_duration_list (DURATION) */
  PL_KEY_TRIPLE /* three in a row (REAL) */
} pl_key_shape;

typedef struct pl_key {
  const char *name; /* dotted, in full */
  size_t offset;    /* in pl_config */
  bool free;        /* may differ when a run goes on: pl_config_changes */
  pl_key_type type;
  pl_key_shape shape;
  const char *initial; /* the default as text, lists with commas; NULL: set by augment.preset */
  double low, high;    /* of each number, both included */
  const char *choices; /* CHOICE: the words, "a|b" */
  const char *word;    /* INTEGER, TIME: this word stands for word_value */
  int64_t word_value;
  const char *help;
} pl_key;

enum { PL_KEY_MAX = 128, PL_GROUP_MAX = 24, PL_KEY_NAME = 64 };

extern const pl_key pl_keys[];
extern const int pl_key_count; /* <= PL_KEY_MAX; the keys of a group stand together */
extern const char *const pl_groups[];
extern const int pl_group_count; /* <= PL_GROUP_MAX */

/* Index by full name; -1 where there is none. */
int pl_key_find(const char *name);
int pl_group_find(const char *name);
/* The key that a plain word given for a group sets: its "preset" or "name"; -1 for none. */
int pl_group_head(const char *group);

/* PL_E_USAGE: "unknown key 'optm.lr'; did you mean 'optim.lr'?" */
pl_status pl_key_unknown(const char *name);

/* Sets a key of shape ONE, or LIST to a list of one. `quoted` tells a quoted scalar, which is never
 * a number or a truth value. PL_E_USAGE names the key, what it wants and what it got. */
pl_status pl_value_set(const pl_key *key, pl_config *config, const char *text, bool quoted);

/* Sets a key of shape LIST or TRIPLE: empties it, appends element by element (`index` counts from
 * 0), then checks the count. */
pl_status pl_value_begin(const pl_key *key, pl_config *config);
pl_status pl_value_append(const pl_key *key, pl_config *config, int index, const char *text,
                          bool quoted);
pl_status pl_value_end(const pl_key *key, int count);

/* Sets a key of any shape from text of our own: a default or a preset. */
void pl_value_set_known(const pl_key *key, pl_config *config, const char *text);

/* Whether both hold the same value. */
bool pl_value_equal(const pl_key *key, const pl_config *a, const pl_config *b);

/* Prints a number of the key's range in the way of its type: "1000", "10 min". */
void pl_value_format(const pl_key *key, double number, char out[PL_REAL_TEXT]);

/* Prints the value as YAML. */
void pl_value_print(const pl_key *key, const pl_config *config, FILE *out);

/* After augment.preset was set: sets the other keys of its group, but not those that given[index]
 * tells were given; NULL: all of them. Does nothing for another key. */
void pl_preset_follow(const pl_key *key, pl_config *config, const bool *given);

#endif
