/* Any bytes as a configuration: refused with a reason, or read. What was read must be written as a
 * text that reads back as the same values, to the bit. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/memory.h"
#include "runtime/config/config.h"
#include "tests/fuzz/fuzz.h"

static void broken(const char *promise, const char *text) {
  fprintf(stderr, "%s\n%s\n%s\n", promise, pl_last_reason()->message, text ? text : "");
  abort();
}

/* Whether two blocks are the same to the bit. Fair for a pl_config in spite of its padding: the
 * defaults clear it, and values are set member by member. */
static bool same_bits(const void *a, const void *b, size_t size) { return memcmp(a, b, size) == 0; }

/* The bytes as an override, which takes other ways through the reader. */
static void as_override(const uint8_t *data, size_t size) {
  char assignment[256];
  if (size >= sizeof assignment) return;
  memcpy(assignment, data, size);
  assignment[size] = '\0';
  pl_config config, before;
  pl_config_defaults(&config);
  before = config;
  if (pl_config_override(&config, assignment) == PL_OK) return;
  if (!same_bits(&config, &before, sizeof config)) broken("a failed override left a mark", NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  as_override(data, size);
  pl_config config, again;
  pl_config_defaults(&config);
  pl_status status = pl_config_parse(&config, "fuzz", (const char *)data, size);
  if (status != PL_OK) {
    if (status != PL_E_USAGE) broken("a bad text is a usage error", NULL);
    if (strncmp(pl_last_reason()->message, "fuzz:", 5) != 0) broken("the place is missing", NULL);
    return 0;
  }
  status = pl_config_check(&config);
  if (status != PL_OK && status != PL_E_USAGE) broken("a bad combination is a usage error", NULL);
  char *text = NULL, *text_again = NULL;
  if (pl_config_write(&config, &text) != PL_OK) broken("it can be written", NULL);
  pl_config_defaults(&again);
  if (pl_config_parse(&again, "fuzz", text, strlen(text)) != PL_OK) broken("it reads back", text);
  if (pl_config_write(&again, &text_again) != PL_OK) broken("it can be written again", text);
  if (strcmp(text, text_again) != 0) broken("both texts are the same", text);
  if (!same_bits(&config, &again, sizeof config)) broken("both have the same bits", text);
  char *changes = NULL;
  if (pl_config_changes(&config, &again, &changes) != PL_OK) broken("they compare", text);
  if (*changes != '\0') broken("nothing has changed", changes);
  pl_free(changes);
  pl_free(text);
  pl_free(text_again);
  return 0;
}
