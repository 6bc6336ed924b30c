/* The tokenizer on open_clip's encodings with a small vocabulary, on merges worked out by hand, on
 * damaged lists, and on texts made to be slow. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "runtime/base/file.h"
#include "runtime/base/memory.h"
#include "tests/check.h"
#include "tests/unit/tokens_fixture.h"

#define HEAD "#version: test\n"

/* A list of merges in a file of its own; kept open by nobody, removed by unlist. */
static void list(char path[PL_PATH_MAX], const void *bytes, size_t size) {
  snprintf(path, PL_PATH_MAX, "/tmp/plenum-test-merges-XXXXXX");
  int fd = mkstemp(path);
  assert_true(fd >= 0);
  assert_int_equal(write(fd, bytes, size), (ssize_t)size);
  assert_int_equal(close(fd), 0);
}

static pl_tokenizer *open_text(const char *text) {
  char path[PL_PATH_MAX];
  pl_tokenizer *tokenizer = NULL;
  list(path, text, strlen(text));
  CHECK_OK(pl_tokenizer_open(path, &tokenizer));
  assert_int_equal(unlink(path), 0);
  return tokenizer;
}

static pl_tokenizer *open_small(void) {
  pl_tokenizer *tokenizer = NULL;
  CHECK_OK(pl_tokenizer_open(TOKENS_FOLDER "/merges.txt", &tokenizer));
  return tokenizer;
}

static void test_references(void **state) {
  (void)state;
  pl_tokenizer *tokenizer = open_small();
  tokens_cases cases = {0};
  assert_int_equal(pl_tokenizer_vocabulary(tokenizer), 1034);
  assert_int_equal(pl_tokenizer_start(tokenizer), 1032);
  assert_int_equal(pl_tokenizer_end(tokenizer), 1033);
  tokens_load(&cases);
  tokens_check(tokenizer, &cases, TOKENS_SMALL);
  tokens_free(&cases);
  pl_tokenizer_close(&tokenizer);
}

/* Encodes `text` and compares all ids that `expected` lists, up to the end token. */
static void expect(const pl_tokenizer *tokenizer, const char *text, const int32_t *expected,
                   int count) {
  int32_t ids[32];
  int used = 0;
  pl_tokenizer_scratch scratch = {0};
  CHECK_OK(pl_tokenizer_encode(tokenizer, text, strlen(text), &scratch, 32, ids, &used));
  pl_tokenizer_scratch_free(&scratch);
  assert_int_equal(used, count + 2);
  assert_int_equal(ids[0], pl_tokenizer_start(tokenizer));
  assert_memory_equal(ids + 1, expected, (size_t)count * sizeof *ids);
  assert_int_equal(ids[count + 1], pl_tokenizer_end(tokenizer));
  for (int k = used; k < 32; k++) assert_int_equal(ids[k], 0);
}

#define EXPECT(tokenizer, text, ...)                                        \
  do {                                                                      \
    const int32_t expected_[] = {__VA_ARGS__};                              \
    expect(tokenizer, text, expected_, sizeof expected_ / sizeof(int32_t)); \
  } while (0)

/* Bytes are numbered from '!' to '~' (94), 0xA1 to 0xAC (12), 0xAE on; so 'a' is 97 - 33 = 64. At
 * the end of a word they are 256 more. */
static void test_merges(void **state) {
  (void)state;
  pl_tokenizer *tokenizer = open_text(HEAD "t h\nth e</w>\na a\naa a</w>\na b\nab ab\n");
  EXPECT(tokenizer, "the", 513);
  EXPECT(tokenizer, "th", 't' - 33, 'h' - 33 + 256); /* "h" ends the word: no merge */
  EXPECT(tokenizer, "then", 512, 'e' - 33, 'n' - 33 + 256);
  EXPECT(tokenizer, "aaa", 515);
  EXPECT(tokenizer, "aaaa", 514, 64, 64 + 256); /* leftmost first; the last a is another one */
  EXPECT(tokenizer, "ababac", 517, 64, 'c' - 33 + 256);
  EXPECT(tokenizer, "aab!", 514, 'b' - 33 + 256, 256); /* the earlier line wins */
  EXPECT(tokenizer, "\xC3\xA9", 94 + 12 + 0xC3 - 0xAE, 94 + 0xA9 - 0xA1 + 256);
  pl_tokenizer_close(&tokenizer);
}

static void test_empty(void **state) {
  (void)state;
  pl_tokenizer *tokenizer = open_small();
  pl_tokenizer_scratch scratch = {0};
  int32_t ids[3] = {9, 9, 9};
  CHECK_OK(pl_tokenizer_encode(tokenizer, NULL, 0, &scratch, 3, ids, NULL));
  assert_int_equal(ids[0], 1032);
  assert_int_equal(ids[1], 1033);
  assert_int_equal(ids[2], 0);
  CHECK_FAILS(PL_E_USAGE, "a context of 1 ids",
              pl_tokenizer_encode(tokenizer, "a", 1, &scratch, 1, ids, NULL));
  pl_tokenizer_scratch_free(&scratch);
  pl_tokenizer_scratch_free(&scratch);
  pl_tokenizer_close(&tokenizer);
  pl_tokenizer_close(&tokenizer);
}

/* Every context cuts the same row of ids, and keeps the end. */
static void test_context(void **state) {
  (void)state;
  static const char text[] = "the dog xyz&amp;xyz xyzxyzxyz";
  enum { MOST = 40 };
  pl_tokenizer *tokenizer = open_small();
  pl_tokenizer_scratch scratch = {0};
  int32_t whole[MOST], ids[MOST];
  int length = 0, used = 0;
  CHECK_OK(pl_tokenizer_encode(tokenizer, text, strlen(text), &scratch, MOST, whole, &length));
  assert_in_range(length, 10, MOST - 1);
  for (int context = 2; context <= MOST; context++) {
    CHECK_OK(pl_tokenizer_encode(tokenizer, text, strlen(text), &scratch, context, ids, &used));
    assert_int_equal(used, context < length ? context : length);
    assert_memory_equal(ids, whole, (size_t)(used - 1) * sizeof *ids);
    assert_int_equal(ids[used - 1], 1033);
    for (int k = used; k < context; k++) assert_int_equal(ids[k], 0);
  }
  pl_tokenizer_scratch_free(&scratch);
  pl_tokenizer_close(&tokenizer);
}

/* One thread's memory may serve two vocabularies in turn. */
static void test_scratch(void **state) {
  (void)state;
  pl_tokenizer *one = open_text(HEAD "a b\n"), *other = open_text(HEAD "a b</w>\n");
  pl_tokenizer_scratch scratch = {0};
  int32_t ids[4];
  for (int k = 0; k < 3; k++) {
    CHECK_OK(pl_tokenizer_encode(one, "ab", 2, &scratch, 4, ids, NULL));
    assert_int_equal(ids[1], 64);
    assert_int_equal(ids[2], 65 + 256);
    CHECK_OK(pl_tokenizer_encode(other, "ab", 2, &scratch, 4, ids, NULL));
    assert_int_equal(ids[1], 512);
    assert_int_equal(ids[2], pl_tokenizer_end(other));
  }
  pl_tokenizer_scratch_free(&scratch);
  pl_tokenizer_close(&one);
  pl_tokenizer_close(&other);
}

static void test_not_utf8(void **state) {
  (void)state;
  static const struct {
    const char *text, *words;
  } bad[] = {{"\x80", "at byte 0 (0x80)"},           {"caf\xE9", "at byte 3 (0xE9)"},
             {"\xC3\xA9\xC3", "at byte 2 (0xC3)"},   {"a\xC0\x80", "at byte 1 (0xC0)"},
             {"ab\xED\xA0\x80", "at byte 2 (0xED)"}, {"\xF4\x90\x80\x80", "at byte 0 (0xF4)"},
             {"abc\xFF", "at byte 3 (0xFF)"},        {"\xE2\x82 x", "at byte 0 (0xE2)"}};
  pl_tokenizer *tokenizer = open_small();
  pl_tokenizer_scratch scratch = {0};
  int32_t ids[8];
  for (size_t k = 0; k < sizeof bad / sizeof bad[0]; k++) {
    CHECK_FAILS(
        PL_E_DATA, bad[k].words,
        pl_tokenizer_encode(tokenizer, bad[k].text, strlen(bad[k].text), &scratch, 8, ids, NULL));
  }
  /* also behind what fits into the context */
  CHECK_FAILS(PL_E_DATA, "at byte 6 (0xFF)",
              pl_tokenizer_encode(tokenizer, "a b c \xFF", 7, &scratch, 2, ids, NULL));
  pl_tokenizer_scratch_free(&scratch);
  pl_tokenizer_close(&tokenizer);
}

/* What costs quadratic time where it is done carelessly; the time limit of the tests watches. */
static void test_long(void **state) {
  (void)state;
  enum { PIECES = 1 << 16, CONTEXT = 8 * PIECES };
  static const struct {
    const char *first, *piece;
    int tokens;
  } texts[] = {{"", "aaaa", 4 * PIECES},
               {"", "th", PIECES + 1}, /* the last h ends the word */
               {"", "the ", PIECES},
               {"", "&amp;", PIECES},
               {"", "&#38;amp;", PIECES},
               {"", "&lt;\n", PIECES},
               {"&", "amp;", 1 + 4 * (PIECES - 64 - 2)}, /* see tokenizer.h: 64 rounds */
               {"", "\xCC\xA3\xCC\x81", 4 * PIECES},
               {"", "\xCE\xA3'\xCC\x81.", 6 * PIECES}};
  pl_tokenizer *tokenizer = open_text(HEAD "t h\nth e</w>\n");
  pl_tokenizer_scratch scratch = {0};
  int32_t *ids = pl_alloc(CONTEXT, sizeof *ids);
  char *text = pl_alloc(PIECES + 1, 16);
  assert_true(ids && text);
  for (size_t k = 0; k < sizeof texts / sizeof texts[0]; k++) {
    size_t size = strlen(texts[k].first);
    size_t bytes = strlen(texts[k].piece);
    int used = 0;
    memcpy(text, texts[k].first, size);
    for (int i = 0; i < PIECES; i++, size += bytes) memcpy(text + size, texts[k].piece, bytes);
    CHECK_OK(pl_tokenizer_encode(tokenizer, text, size, &scratch, CONTEXT, ids, &used));
    assert_int_equal(used, texts[k].tokens + 2);
  }
  pl_free(ids);
  pl_free(text);
  pl_tokenizer_scratch_free(&scratch);
  pl_tokenizer_close(&tokenizer);
}

typedef struct bad_list {
  const char *text, *words;
} bad_list;

static const bad_list bad_lists[] = {
    {"", ":1: no \"#version:\""},
    {"a b\nc d\n", ":1: no \"#version:\""},
    {HEAD, "no merges behind the first line"},
    {"#version: test", "no merges behind the first line"},
    {HEAD "\n", ":2: no merge"},
    {HEAD "t h\nthe\n", ":3: no merge"},
    {HEAD "t h\nt h e\n", ":3: no merge"},
    {HEAD "t h\n t\n", ":3: no merge"},
    {HEAD "t h\nt \n", ":3: no merge"},
    {HEAD "t  h\n", ":2: no merge"},
    {HEAD "t h\nte r\n", ":3: the left symbol is made by no line before"},
    {HEAD "t h\nt he\n", ":3: the right symbol is made by no line before"},
    {HEAD "t h\nt h\n", ":3: the symbol that this merge makes is made by a line before"},
    {HEAD "a b\nb c\na bc\nab c\n", ":5: the symbol that this merge makes"},
    {HEAD "t h\r\n", ":2: the line ends in a carriage return"},
    {HEAD "t \xFF\n", ":2: the right symbol"},
};

static void test_bad_lists(void **state) {
  (void)state;
  for (size_t k = 0; k < sizeof bad_lists / sizeof bad_lists[0]; k++) {
    char path[PL_PATH_MAX], words[PL_PATH_MAX + 1];
    pl_tokenizer *tokenizer = NULL;
    list(path, bad_lists[k].text, strlen(bad_lists[k].text));
    CHECK_FAILS(PL_E_DATA, bad_lists[k].words, pl_tokenizer_open(path, &tokenizer));
    assert_null(tokenizer);
    /* every message names the file */
    snprintf(words, sizeof words, "%s:", path);
    CHECK_FAILS(PL_E_DATA, words, pl_tokenizer_open(path, &tokenizer));
    assert_int_equal(unlink(path), 0);
  }
  pl_tokenizer *tokenizer = NULL;
  CHECK_FAILS(PL_E_DATA, "/nowhere/merges.txt",
              pl_tokenizer_open("/nowhere/merges.txt", &tokenizer));
  CHECK_FAILS(PL_E_DATA, "/tmp", pl_tokenizer_open("/tmp", &tokenizer));
  assert_null(tokenizer);
}

/* The bytes of `text` as a gzip file, which the caller owns. */
static unsigned char *compress_text(const char *text, size_t size, size_t *packed_size) {
  z_stream stream = {0};
  assert_int_equal(deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
  size_t room = deflateBound(&stream, size);
  unsigned char *packed = pl_alloc(room, 1);
  assert_non_null(packed);
  stream.next_in = (Bytef *)text;
  stream.avail_in = (uInt)size;
  stream.next_out = packed;
  stream.avail_out = (uInt)room;
  assert_int_equal(deflate(&stream, Z_FINISH), Z_STREAM_END);
  *packed_size = stream.total_out;
  assert_int_equal(deflateEnd(&stream), Z_OK);
  return packed;
}

static void test_compressed(void **state) {
  (void)state;
  static const char text[] = HEAD "t h\nth e</w>\n";
  char path[PL_PATH_MAX];
  size_t size = 0;
  pl_tokenizer *tokenizer = NULL;
  unsigned char *packed = compress_text(text, strlen(text), &size);
  list(path, packed, size);
  CHECK_OK(pl_tokenizer_open(path, &tokenizer));
  EXPECT(tokenizer, "The", 513);
  pl_tokenizer_close(&tokenizer);
  assert_int_equal(unlink(path), 0);
  for (size_t cut = 12; cut < size; cut++) {
    list(path, packed, cut);
    CHECK_FAILS(PL_E_DATA, "a damaged list of merges", pl_tokenizer_open(path, &tokenizer));
    assert_int_equal(unlink(path), 0);
  }
  packed[size - 6] ^= 1; /* of the checksum */
  list(path, packed, size);
  CHECK_FAILS(PL_E_DATA, "a damaged list of merges", pl_tokenizer_open(path, &tokenizer));
  assert_int_equal(unlink(path), 0);
  pl_free(packed);
}

static void test_bomb(void **state) {
  (void)state;
  enum { MANY = (64 << 20) + 1 };
  char path[PL_PATH_MAX];
  size_t size = 0;
  pl_tokenizer *tokenizer = NULL;
  char *blank = pl_alloc(MANY, 1);
  assert_non_null(blank);
  unsigned char *packed = compress_text(blank, MANY, &size);
  assert_in_range(size, 1, 1 << 17);
  list(path, packed, size);
  CHECK_FAILS(PL_E_DATA, "holds over 67108864 bytes", pl_tokenizer_open(path, &tokenizer));
  assert_int_equal(unlink(path), 0);
  pl_free(blank);
  pl_free(packed);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_references), cmocka_unit_test(test_merges),
      cmocka_unit_test(test_empty),      cmocka_unit_test(test_context),
      cmocka_unit_test(test_scratch),    cmocka_unit_test(test_not_utf8),
      cmocka_unit_test(test_long),       cmocka_unit_test(test_bad_lists),
      cmocka_unit_test(test_compressed), cmocka_unit_test(test_bomb),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
