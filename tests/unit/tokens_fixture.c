#include "tests/unit/tokens_fixture.h"

#include <string.h>

#include "runtime/base/file.h"
#include "runtime/base/memory.h"
#include "tests/check.h"

/* What of the file is still to be read. */
typedef struct rest {
  const char *at, *end;
} rest;

static const char *take(rest *from, size_t bytes) {
  const char *taken = from->at;
  assert_true(bytes <= (size_t)(from->end - from->at));
  from->at += bytes;
  return taken;
}

static int32_t take_count(rest *from) {
  int32_t count = 0;
  memcpy(&count, take(from, sizeof count), sizeof count);
  assert_true(count >= 0);
  return count;
}

/* Numbers behind a text stand at any address. */
static const int32_t *take_ids(rest *from, int32_t count) {
  int32_t *ids = pl_alloc((size_t)count, sizeof *ids);
  assert_non_null(ids);
  memcpy(ids, take(from, (size_t)count * sizeof *ids), (size_t)count * sizeof *ids);
  return ids;
}

void tokens_load(tokens_cases *cases) {
  size_t size = 0;
  CHECK_OK(pl_read_file(TOKENS_FOLDER "/cases.bin", 1 << 20, &cases->file, &size));
  rest from = {cases->file, cases->file + size};
  cases->count = take_count(&from);
  assert_true(cases->count > 300);
  cases->item = pl_alloc((size_t)cases->count, sizeof *cases->item);
  assert_non_null(cases->item);
  for (int32_t i = 0; i < cases->count; i++) {
    tokens_case *item = &cases->item[i];
    item->size = (size_t)take_count(&from);
    item->text = take(&from, item->size);
    for (int k = 0; k < 2; k++) {
      item->count[k] = take_count(&from);
      item->ids[k] = take_ids(&from, item->count[k]);
    }
  }
  assert_true(from.at == from.end);
}

void tokens_free(tokens_cases *cases) {
  for (int32_t i = 0; i < cases->count; i++) {
    for (int k = 0; k < 2; k++) pl_free((void *)cases->item[i].ids[k]);
  }
  pl_free(cases->item);
  pl_free(cases->file);
}

static void check(const int32_t *ids, const tokens_case *item, int vocabulary) {
  for (int32_t k = 0; k < item->count[vocabulary]; k++) {
    if (ids[k] == item->ids[vocabulary][k]) continue;
    print_error("\"%.*s\": id %d is %d, expected %d\n", (int)item->size, item->text, k, ids[k],
                item->ids[vocabulary][k]);
    fail();
  }
}

void tokens_check(const pl_tokenizer *tokenizer, const tokens_cases *cases, int vocabulary) {
  pl_tokenizer_scratch scratch = {0};
  for (int32_t i = 0; i < cases->count; i++) {
    const tokens_case *item = &cases->item[i];
    int32_t count = item->count[vocabulary];
    int used = 0;
    int32_t *ids = pl_alloc((size_t)count, sizeof *ids);
    assert_non_null(ids);
    CHECK_OK(pl_tokenizer_encode(tokenizer, item->text, item->size, &scratch, count, ids, &used));
    check(ids, item, vocabulary);
    assert_int_equal(used, count);
    pl_free(ids);
  }
  pl_tokenizer_scratch_free(&scratch);
}
