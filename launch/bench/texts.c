#include "launch/bench/texts.h"

#include <ctype.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/file.h"
#include "runtime/base/memory.h"
#include "runtime/base/random.h"
#include "runtime/base/utf8.h"
#include "runtime/data/tokenizer_merges.h"

enum { TEXTS = 1 << 16, WORDS_LEAST = 4, WORDS_MOST = 20, WORD_MAX = 64, FILE_BYTES_MAX = 1 << 30 };

static size_t line_end(const char *text, size_t at, size_t size) {
  const char *end = memchr(text + at, '\n', size - at);
  return end ? (size_t)(end - text) : size;
}

/* ---- words of the vocabulary ---- */

static size_t letters(const char *text, size_t size) {
  size_t n = 0;
  while (n < size && text[n] >= 'a' && text[n] <= 'z') n++;
  return n;
}

/* A line "LEFT RIGHT</w>" of letters makes the whole word LEFTRIGHT. */
static pl_status add_word(const char *line, size_t size, pl_names *words) {
  static const char end[] = {'<', '/', 'w', '>'};
  char word[WORD_MAX];
  size_t left = letters(line, size);
  if (left == 0 || left == size || line[left] != ' ') return PL_OK;
  const char *after = line + left + 1;
  size_t right = letters(after, size - left - 1);
  bool whole = size - left - 1 - right == sizeof end && memcmp(after + right, end, sizeof end) == 0;
  if (!whole || right == 0 || left + right > WORD_MAX) return PL_OK;
  memcpy(word, line, left);
  memcpy(word + left, after, right);
  return pl_names_add_bytes(words, word, left + right);
}

static pl_status read_words(const char *vocabulary, pl_names *words) {
  char *text;
  size_t size;
  PL_TRY(pl_merges_read_file(vocabulary, &text, &size));
  pl_status status = PL_OK;
  for (size_t at = 0, end; at < size && status == PL_OK; at = end + 1) {
    end = line_end(text, at, size);
    status = add_word(text + at, end - at, words);
  }
  pl_free(text);
  if (status == PL_OK && words->count == 0) {
    return PL_FAIL(PL_E_DATA, "%s holds no English words to make texts of", vocabulary);
  }
  return status;
}

/* ---- made texts ---- */

/* First and last letter of some scripts. */
static const uint32_t scripts[][2] = {
    {0x03B1, 0x03C9}, {0x0430, 0x044F}, {0x05D0, 0x05EA}, {0x0627, 0x063A},
    {0x0905, 0x0939}, {0x3041, 0x3096}, {0x4E00, 0x9FA5}, {0xAC00, 0xD7A3},
};
enum { SCRIPTS = sizeof scripts / sizeof *scripts, FOREIGN_WORDS = 4096, ENGLISH = SCRIPTS };
static const uint32_t faces[2] = {0x1F600, 0x1F64F};

static bool one_in(pl_random *random, uint64_t n) { return pl_random_below(random, n) == 0; }

static void write_letter(const uint32_t script[2], pl_random *random, FILE *out) {
  char bytes[4];
  uint32_t code = script[0] + (uint32_t)pl_random_below(random, script[1] - script[0] + 1);
  fwrite(bytes, 1, (size_t)pl_utf8_encode(code, bytes), out);
}

/* 0 … n-1. Its logarithm is uniform: frequencies fall with the rank as in Zipf's law. */
static int64_t draw_rank(pl_random *random, int64_t n) {
  int64_t rank = (int64_t)exp(pl_random_uniform(random) * log((double)n));
  return rank < n ? rank - 1 : n - 1;
}

/* A word of another script is a few letters that its rank determines. */
static void write_foreign(uint32_t script, pl_random *random, FILE *out) {
  int64_t rank = draw_rank(random, FOREIGN_WORDS);
  pl_random letter = pl_random_stream(1, PL_RANDOM_SYNTH, 1 + script, (uint64_t)rank, 0);
  for (uint64_t left = 1 + pl_random_below(&letter, 6); left > 0; left--) {
    write_letter(scripts[script], &letter, out);
  }
}

static void write_english(pl_random *random, const pl_names *words, bool capital, FILE *out) {
  const char *word = pl_names_at(words, draw_rank(random, words->count));
  fputc(capital ? toupper((unsigned char)word[0]) : word[0], out);
  fputs(word + 1, out);
  if (one_in(random, 40)) fputs("'s", out);
}

static void write_text(int64_t index, const pl_names *words, FILE *out) {
  pl_random random = pl_random_stream(1, PL_RANDOM_SYNTH, 0, (uint64_t)index, 0);
  uint64_t count = WORDS_LEAST + pl_random_below(&random, WORDS_MOST - WORDS_LEAST + 1);
  uint32_t script =
      one_in(&random, 16) ? (uint32_t)pl_random_below(&random, SCRIPTS) : (uint32_t)ENGLISH;
  bool title = one_in(&random, 8);
  for (uint64_t k = 0; k < count; k++) {
    if (k > 0) fputs(one_in(&random, 8) ? ", " : " ", out);
    if (one_in(&random, 24)) {
      fprintf(out, "%d", (int)pl_random_below(&random, 2100));
    } else if (script != ENGLISH) {
      write_foreign(script, &random, out);
    } else {
      write_english(&random, words, title || k == 0, out);
    }
  }
  fputc(one_in(&random, 8) ? '!' : '.', out);
  if (one_in(&random, 16)) write_letter(faces, &random, out);
}

pl_status pl_bench_texts_make(const char *vocabulary, pl_names *texts) {
  pl_names words = {0};
  char *text = NULL;
  size_t room = 0;
  FILE *out = NULL;
  pl_status status;
  PL_TRY_OR(done, status, read_words(vocabulary, &words));
  out = open_memstream(&text, &room);
  if (!out) status = PL_FAIL(PL_E_INTERNAL, "out of memory for texts");
  for (int64_t k = 0; k < TEXTS && status == PL_OK; k++) {
    rewind(out);
    write_text(k, &words, out);
    long size = ftell(out);
    if (fflush(out) != 0 || size < 0)
      status = PL_FAIL(PL_E_INTERNAL, "out of memory for texts");
    else
      status = pl_names_add_bytes(texts, text, (size_t)size);
  }
done:
  if (out) fclose(out);
  free(text); /* of the stream */
  pl_names_free(&words);
  return status;
}

/* ---- those of a file ---- */

pl_status pl_bench_texts_read(const char *path, pl_names *texts) {
  char *text;
  size_t size;
  PL_TRY(pl_read_file(path, FILE_BYTES_MAX, &text, &size));
  pl_status status = PL_OK;
  for (size_t at = 0, end; at < size && status == PL_OK; at = end + 1) {
    end = line_end(text, at, size);
    if (end > at) status = pl_names_add_bytes(texts, text + at, end - at);
  }
  pl_free(text);
  if (status == PL_OK && texts->count == 0) {
    return PL_FAIL(PL_E_DATA, "%s holds no text", path);
  }
  return status;
}
