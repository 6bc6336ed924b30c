#include "runtime/data/tokenizer.h"

#include <string.h>

#include "runtime/base/account.h"
#include "runtime/base/memory.h"
#include "runtime/data/tokenizer_merges.h"
#include "runtime/data/tokenizer_text.h"

enum {
  TEXT_MAX = 64 << 20,   /* bytes of one text */
  CACHE_SLOTS = 1 << 14, /* a power of two; 1 MiB */
  CACHED_BYTES = 30,
  CACHED_IDS = 8
};

struct pl_tokenizer {
  pl_merges merges;
};

/* A word and its ids. A slot belongs to the words with one hash, and keeps the last of them. */
typedef struct cached {
  uint8_t bytes, count; /* no bytes: empty */
  char word[CACHED_BYTES];
  int32_t ids[CACHED_IDS];
} cached;

struct pl_tokenizer_work {
  pl_text_work text;
  pl_merge_work merge;
  cached *cache;
  pl_hash128 merges; /* whose words are in the cache */
};

pl_status pl_tokenizer_open(const char *path, pl_tokenizer **out) {
  PL_MEMORY_FOR(PL_MEMORY_DATA);
  pl_status status = PL_OK;
  char *text = NULL;
  size_t size = 0;
  pl_tokenizer *tokenizer = pl_alloc(1, sizeof *tokenizer);
  *out = NULL;
  if (!tokenizer) return PL_E_INTERNAL;
  PL_TRY_OR(done, status, pl_merges_read_file(path, &text, &size));
  PL_TRY_OR(done, status, pl_merges_parse(path, text, size, &tokenizer->merges));
  *out = tokenizer;
  tokenizer = NULL;
done:
  pl_free(text);
  pl_tokenizer_close(&tokenizer);
  return status;
}

void pl_tokenizer_close(pl_tokenizer **tokenizer) {
  if (!*tokenizer) return;
  pl_merges_free(&(*tokenizer)->merges);
  pl_free(*tokenizer);
  *tokenizer = NULL;
}

int pl_tokenizer_vocabulary(const pl_tokenizer *tokenizer) {
  return PL_BYTE_SYMBOLS + tokenizer->merges.count + 2;
}

int32_t pl_tokenizer_start(const pl_tokenizer *tokenizer) {
  return PL_BYTE_SYMBOLS + tokenizer->merges.count;
}

int32_t pl_tokenizer_end(const pl_tokenizer *tokenizer) {
  return pl_tokenizer_start(tokenizer) + 1;
}

pl_hash128 pl_tokenizer_hash(const pl_tokenizer *tokenizer) { return tokenizer->merges.hash; }

void pl_tokenizer_scratch_free(pl_tokenizer_scratch *scratch) {
  if (!scratch->work) return;
  pl_text_work_free(&scratch->work->text);
  pl_merge_work_free(&scratch->work->merge);
  pl_free(scratch->work->cache);
  pl_free(scratch->work);
  scratch->work = NULL;
}

/* Makes the scratch ready for this vocabulary; words of another are forgotten. */
static pl_status prepare(const pl_tokenizer *tokenizer, pl_tokenizer_scratch *scratch) {
  if (!scratch->work) {
    scratch->work = pl_alloc(1, sizeof *scratch->work);
    if (!scratch->work) return PL_E_INTERNAL;
  }
  struct pl_tokenizer_work *work = scratch->work;
  if (!work->cache) {
    work->cache = pl_alloc(CACHE_SLOTS, sizeof *work->cache);
    if (!work->cache) return PL_E_INTERNAL;
  } else if (!pl_hash_equal(work->merges, tokenizer->merges.hash)) {
    memset(work->cache, 0, CACHE_SLOTS * sizeof *work->cache);
  }
  work->merges = tokenizer->merges.hash;
  return PL_OK;
}

static bool is_word(const char *word, size_t bytes, const char *text) {
  return bytes == strlen(text) && memcmp(word, text, bytes) == 0;
}

/* Splits a word that the cache does not hold into work->merge.ids. */
static pl_status encode_word(const pl_tokenizer *tokenizer, struct pl_tokenizer_work *work,
                             const char *word, size_t bytes, size_t *count) {
  PL_TRY(pl_merges_apply(&tokenizer->merges, word, bytes, &work->merge, count));
  bool start = is_word(word, bytes, PL_TEXT_START);
  if (start || is_word(word, bytes, PL_TEXT_END)) {
    work->merge.ids[0] = start ? pl_tokenizer_start(tokenizer) : pl_tokenizer_end(tokenizer);
    *count = 1;
  }
  return PL_OK;
}

static pl_status find_word(const pl_tokenizer *tokenizer, struct pl_tokenizer_work *work,
                           const char *word, size_t bytes, const int32_t **ids, size_t *count) {
  cached *slot = NULL;
  if (bytes <= CACHED_BYTES) {
    slot = &work->cache[pl_hash(word, bytes).low & (CACHE_SLOTS - 1)];
    if (slot->bytes == bytes && memcmp(slot->word, word, bytes) == 0) {
      *ids = slot->ids;
      *count = slot->count;
      return PL_OK;
    }
  }
  PL_TRY(encode_word(tokenizer, work, word, bytes, count));
  *ids = work->merge.ids;
  if (slot && *count <= CACHED_IDS) {
    slot->bytes = (uint8_t)bytes;
    slot->count = (uint8_t)*count;
    memcpy(slot->word, word, bytes);
    memcpy(slot->ids, *ids, *count * sizeof **ids);
  }
  return PL_OK;
}

pl_status pl_tokenizer_encode(const pl_tokenizer *tokenizer, const char *text, size_t size,
                              pl_tokenizer_scratch *scratch, int context, int32_t *ids, int *used) {
  if (context < 2) return PL_FAIL(PL_E_USAGE, "a context of %d ids; at least 2", context);
  if (size > TEXT_MAX) return PL_FAIL(PL_E_DATA, "a text of %zu bytes; at most %d", size, TEXT_MAX);
  PL_TRY(prepare(tokenizer, scratch));
  struct pl_tokenizer_work *work = scratch->work;
  PL_TRY(pl_text_clean(text, size, &work->text));
  const char *word = NULL;
  size_t at = 0;
  size_t bytes = 0;
  size_t filled = 1;
  size_t most = (size_t)context;
  ids[0] = pl_tokenizer_start(tokenizer);
  while (filled < most &&
         (bytes = pl_text_next_word(work->text.clean, work->text.clean_size, &at, &word)) > 0) {
    const int32_t *found = NULL;
    size_t count = 0;
    PL_TRY(find_word(tokenizer, work, word, bytes, &found, &count));
    if (count > most - filled) count = most - filled;
    memcpy(ids + filled, found, count * sizeof *ids);
    filled += count;
  }
  if (filled == most) filled--;
  ids[filled++] = pl_tokenizer_end(tokenizer);
  memset(ids + filled, 0, (most - filled) * sizeof *ids);
  if (used) *used = (int)filled;
  return PL_OK;
}
