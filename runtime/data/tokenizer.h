/* CLIP's byte-pair encoding (Sennrich et al. 2016, over bytes), id for id as open_clip's
 * SimpleTokenizer. The list of merges is the user's file (bpe_simple_vocab_16e6.txt, also
 * gzip-compressed).
 *
 * Cleaning of a text, in this order:
 *   1. what ftfy.fix_text does to each line, until nothing changes: HTML entities with a semicolon
 *      are undone (from the first line with a '<' on no more), C1 controls read as Windows-1252,
 *      Latin ligatures taken apart, full and half width characters given their usual width, curly
 *      quotes straightened, line breaks made '\n', terminal escapes and invisible control
 *      characters removed, NFC;
 *   2. HTML entities undone twice, as the HTML standard reads them (all 2231 names and all
 * numbers);
 *   3. runs of whitespace become one blank, none at the ends;
 *   4. lower case, with the Greek final sigma.
 *
 * Differences from ftfy and Python, all of them:
 *   - mojibake (UTF-8 that was once read as another encoding) is not repaired: ftfy's decision
 * rests on a statistical judgement of the whole line;
 *   - step 1 is repeated at most 64 times, so that "&amp;amp;amp;…" costs no quadratic time;
 *   - character classes, lower case and NFC are those of utf8proc's version of Unicode.
 * A text that holds "<start_of_text>" or "<end_of_text>" gets their ids, as with open_clip.
 * OpenAI's first version spelled them <|startoftext|> and <|endoftext|>; here those are punctuation
 * and letters. */
#ifndef PL_DATA_TOKENIZER_H
#define PL_DATA_TOKENIZER_H

#include <stddef.h>
#include <stdint.h>

#include "runtime/base/hash.h"
#include "runtime/base/status.h"

typedef struct pl_tokenizer pl_tokenizer;

/* Reads the merges: a first line with "#version:", then "LEFT RIGHT" a line, of which the first
 * 48894 count; with fewer the vocabulary is smaller. PL_E_DATA names the file and the line that is
 * no merge of symbols made before, or a file of another kind, damaged, or of over 64 MiB when
 * decompressed. Not collective. */
pl_status pl_tokenizer_open(const char *path, pl_tokenizer **out);
void pl_tokenizer_close(pl_tokenizer **tokenizer);

/* Ids are 0 … vocabulary-1: 256 bytes, 256 bytes that end a word, the merges, start, end. For
 * CLIP's file the vocabulary is 49408, start 49406 and end 49407. */
int pl_tokenizer_vocabulary(const pl_tokenizer *tokenizer);
int32_t pl_tokenizer_start(const pl_tokenizer *tokenizer);
int32_t pl_tokenizer_end(const pl_tokenizer *tokenizer);
/* Names the merges: two files with the same hash give the same ids. */
pl_hash128 pl_tokenizer_hash(const pl_tokenizer *tokenizer);

/* Memory of one thread's encoding, reused from call to call; all zero at the start. Beside what the
 * longest text so far needed it holds 1 MiB of words and their ids. */
typedef struct pl_tokenizer_scratch {
  struct pl_tokenizer_work *work;
} pl_tokenizer_scratch;
void pl_tokenizer_scratch_free(pl_tokenizer_scratch *scratch);

/* Encodes `size` bytes of UTF-8 into exactly `context` (at least 2) ids: start, tokens, end, zeros;
 * a text that is too long is cut and keeps its end. *used (may be NULL): ids before the zeros.
 * PL_E_DATA for invalid UTF-8, naming the byte, and for a text of over 64 MiB. The ids depend on
 * the text and the merges alone. Safe from several threads with different scratches. */
pl_status pl_tokenizer_encode(const pl_tokenizer *tokenizer, const char *text, size_t size,
                              pl_tokenizer_scratch *scratch, int context, int32_t *ids, int *used);

#endif
