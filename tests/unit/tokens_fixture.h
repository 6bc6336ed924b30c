/* The reference encodings of tests/parity/tokens, made by tokens_reference.py. */
#ifndef TESTS_UNIT_TOKENS_FIXTURE_H
#define TESTS_UNIT_TOKENS_FIXTURE_H

#include <stddef.h>
#include <stdint.h>

#include "runtime/data/tokenizer.h"

#define TOKENS_FOLDER PL_TEST_FOLDER "/../parity/tokens"

enum { TOKENS_SMALL, TOKENS_CLIP };

typedef struct tokens_case {
  const char *text;
  size_t size;
  int32_t count[2]; /* of ids; TOKENS_SMALL: of the vocabulary in merges.txt */
  const int32_t *ids[2];
} tokens_case;

typedef struct tokens_cases {
  tokens_case *item;
  int32_t count;
  char *file;
} tokens_cases;

/* Fails the test where the file is not as it should be. */
void tokens_load(tokens_cases *cases);
void tokens_free(tokens_cases *cases);

/* Encodes each case with room for exactly its ids, and compares. */
void tokens_check(const pl_tokenizer *tokenizer, const tokens_cases *cases, int vocabulary);

#endif
