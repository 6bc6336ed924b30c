/* CLIP's byte-pair encoding (Sennrich et al. 2016, over bytes), id for id as OpenAI's and
 * open_clip's: HTML entities undone twice, whitespace cleaned, lower case (utf8proc), words split
 * by Unicode class, merges by rank. The list of merges is the user's file
 * (bpe_simple_vocab_16e6.txt, also gzip-compressed). */
#ifndef PL_DATA_TOKENIZER_H
#define PL_DATA_TOKENIZER_H

#include <stddef.h>
#include <stdint.h>

#include "runtime/base/status.h"

typedef struct pl_tokenizer pl_tokenizer;

/* Reads the merges; PL_E_DATA names the file and line that is no merge, or a file of another kind
 * or size. Not collective. */
pl_status pl_tokenizer_open(const char *path, pl_tokenizer **out);
void pl_tokenizer_close(pl_tokenizer **tokenizer);

int pl_tokenizer_vocabulary(const pl_tokenizer *tokenizer); /* ids are 0 … vocabulary-1; 49408 */
int32_t pl_tokenizer_start(const pl_tokenizer *tokenizer);  /* 49406 */
int32_t pl_tokenizer_end(const pl_tokenizer *tokenizer);    /* 49407 */

/* Memory of one thread's encoding, reused from call to call. */
typedef struct pl_tokenizer_scratch {
  char *text;
  size_t capacity;
  void *pieces;
  size_t pieces_capacity;
} pl_tokenizer_scratch;
void pl_tokenizer_scratch_free(pl_tokenizer_scratch *scratch);

/* Encodes `size` bytes of UTF-8 into exactly `context` ids: start, tokens, end, zeros; a text that
 * is too long is cut and keeps its end. *used (may be NULL): ids before the zeros. PL_E_DATA for
 * invalid UTF-8, naming the byte. Safe from several threads with different scratches. */
pl_status pl_tokenizer_encode(const pl_tokenizer *tokenizer, const char *text, size_t size,
                              pl_tokenizer_scratch *scratch, int context, int32_t *ids, int *used);

#endif
