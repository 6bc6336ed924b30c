/* The loader: captions as tokens. */
#include <stdlib.h>
#include <string.h>

#include "runtime/base/random.h"
#include "tests/check.h"
#include "tests/unit/loader_fixture.h"

/* A fixture with a tokenizer. */
static int set_up_tokens(void **state) {
  set_up(state);
  fixture *f = *state;
  f->options.tokenizer = open_tokenizer(f);
  f->options.context = CONTEXT;
  return 0;
}

static int tear_down_tokens(void **state) {
  pl_tokenizer *tokenizer = (pl_tokenizer *)((fixture *)*state)->options.tokenizer;
  pl_tokenizer_close(&tokenizer);
  return tear_down(state);
}

static void expect_tokens(const pl_loader_options *o, int sample, int index,
                          const int32_t *tokens) {
  static pl_tokenizer_scratch scratch;
  char text[CAPTION_BYTES];
  int32_t expected[CONTEXT];
  make_caption(sample, index, text);
  CHECK_OK(
      pl_tokenizer_encode(o->tokenizer, text, strlen(text), &scratch, CONTEXT, expected, NULL));
  assert_memory_equal(expected, tokens, sizeof expected);
  pl_tokenizer_scratch_free(&scratch);
}

/* The caption drawn for a sample, or for the one that stands in for it. */
static int drawn_caption(const pl_loader_options *o, int64_t epoch, int64_t drawn, int served_as) {
  pl_random random =
      pl_random_stream(o->seed, PL_RANDOM_CAPTION, (uint32_t)epoch, (uint64_t)drawn, 0);
  return (int)pl_random_below(&random, (uint64_t)caption_count(served_as));
}

static void tokens_are_those_of_the_drawn_caption(void **state) {
  const pl_loader_options *o = &((fixture *)*state)->options;
  served *all = serve_all(o, NULL);
  for (int k = 0; k < 6 * LEAVES; k++) {
    for (int i = 0; i < LEAF; i++) {
      int sample = (int)all[k].sample[i];
      int caption = drawn_caption(o, all[k].epoch[i], sample, sample);
      expect_tokens(o, sample, caption, all[k].tokens + (size_t)i * CONTEXT);
    }
  }
  free(all);
}

static void evaluation_takes_the_first(void **state) {
  pl_loader_options *o = &((fixture *)*state)->options;
  o->random = false;
  served *all = serve_all(o, NULL);
  for (int k = 0; k < 6 * LEAVES; k++) {
    for (int i = 0; i < LEAF; i++) {
      expect_tokens(o, (int)all[k].sample[i], 0, all[k].tokens + (size_t)i * CONTEXT);
    }
  }
  free(all);
}

/* The pixels are those of a loader without texts, and neither threads nor owners nor passes nor a
 * resumption in the middle change a token. */
static void nothing_changes_the_tokens(void **state) {
  pl_loader_options o = ((fixture *)*state)->options;
  served *whole = serve_all(&o, NULL);
  o.tokenizer = NULL;
  served *bare = serve_all(&o, NULL);
  for (int k = 0; k < 6 * LEAVES; k++) {
    assert_memory_equal(whole[k].images, bare[k].images, sizeof bare[k].images);
    assert_int_equal(bare[k].tokens[0], 0);
  }
  free(bare);
  o = ((fixture *)*state)->options;
  o.workers = 5;
  o.first_leaf = 1;
  o.leaves = 3;
  o.first_step = 2;
  o.steps = 4;
  o.passes = 2;
  served *part = serve_all(&o, NULL);
  for (int step = 0; step < 4; step++) {
    for (int pass = 0; pass < 2; pass++) {
      assert_memory_equal(&whole[(step + 2) * LEAVES + 1], &part[(2 * step + pass) * 3],
                          3 * sizeof *part);
    }
  }
  free(part);
  free(whole);
}

/* Which of the captions has this token. */
static int find_token(const int32_t known[CAPTIONS_MAX], int32_t token) {
  for (int k = 0; k < CAPTIONS_MAX; k++) {
    if (known[k] == token) return k;
  }
  fail_msg("token %d is of no caption", token);
  return 0;
}

/* A sample comes with each of its captions about as often: over 200 epochs the standard deviation
 * is 7 times. */
static void all_captions_are_drawn(void **state) {
  enum { EPOCHS = 200, STEPS = EPOCHS * SAMPLES / BATCH };
  pl_loader_options *o = &((fixture *)*state)->options;
  int times[SAMPLES][CAPTIONS_MAX] = {{0}};
  int32_t known[CAPTIONS_MAX]; /* the token that tells captions apart: "c0", "c1", "c2" */
  served *all = NULL;
  o->steps = STEPS;
  all = serve_all(o, NULL);
  for (int k = 0; k < CAPTIONS_MAX; k++) {
    pl_tokenizer_scratch scratch = {0};
    char text[CAPTION_BYTES];
    int32_t ids[CONTEXT];
    make_caption(0, k, text);
    CHECK_OK(pl_tokenizer_encode(o->tokenizer, text, strlen(text), &scratch, CONTEXT, ids, NULL));
    known[k] = ids[2];
    pl_tokenizer_scratch_free(&scratch);
  }
  for (int k = 0; k < STEPS * LEAVES; k++) {
    for (int i = 0; i < LEAF; i++) {
      times[all[k].sample[i]][find_token(known, all[k].tokens[i * CONTEXT + 2])]++;
    }
  }
  for (int sample = 0; sample < SAMPLES; sample++) {
    int count = caption_count(sample);
    for (int k = 0; k < CAPTIONS_MAX; k++) {
      double share = k < count ? (double)EPOCHS / count : 0;
      CHECK_NEAR(times[sample][k], share, count > 1 ? 0.5 : 0);
    }
  }
  free(all);
}

/* A damaged image takes its captions along; a damaged caption only when it is the one drawn. */
static void corrupt_samples_are_replaced_whole(void **state) {
  fixture *f = *state;
  pl_loader_options o = f->options;
  o.steps = 20; /* over ten epochs, so that some draw the damaged one of several captions */
  served *whole = serve_all(&o, NULL);
  damage(f, 11);
  damage_caption(f, 12, 0); /* its only one */
  damage_caption(f, 14, 1); /* of three */
  damage_caption(f, SAMPLES - 1, 0);
  o.skip_limit = 4;
  int64_t skipped = -1;
  served *damaged = serve_all(&o, &skipped);
  assert_int_equal(skipped, 4);
  int replaced = 0;
  for (int k = 0; k < 20 * LEAVES; k++) {
    for (int i = 0; i < LEAF; i++) {
      int drawn = (int)whole[k].sample[i], expected = drawn;
      int64_t epoch = whole[k].epoch[i];
      if (drawn == 11 || drawn == 12) expected = 13;
      if (drawn == 14 && drawn_caption(&o, epoch, 14, 14) == 1) expected = 15;
      if (drawn == SAMPLES - 1) expected = 0;
      replaced += drawn == 14 && expected == 15;
      assert_int_equal(damaged[k].sample[i], expected);
      expect_tokens(&o, expected, drawn_caption(&o, epoch, drawn, expected),
                    damaged[k].tokens + (size_t)i * CONTEXT);
      if (expected == drawn) {
        assert_memory_equal(whole[k].tokens + (size_t)i * CONTEXT,
                            damaged[k].tokens + (size_t)i * CONTEXT, CONTEXT * sizeof(int32_t));
      }
    }
  }
  assert_true(replaced > 0);
  o.workers = 1;
  o.first_leaf = 2;
  o.leaves = 2;
  served *part = serve_all(&o, NULL);
  for (int step = 0; step < 20; step++) {
    assert_memory_equal(&damaged[step * LEAVES + 2], &part[step * 2], 2 * sizeof *part);
  }
  free(part);
  free(damaged);
  free(whole);
}

static void ledger_counts_corrupt_captions(void **state) {
  fixture *f = *state;
  pl_loader_options *o = &f->options;
  o->steps = SAMPLES; /* whole epochs, BATCH of them */
  o->skip_limit = 1;
  damage_caption(f, 12, 0); /* the first sample of the second shard */
  pl_loader *loader = NULL;
  pl_loader_leaf leaf;
  CHECK_OK(pl_loader_create(o, &loader));
  for (int k = 0; k < SAMPLES * LEAVES; k++) CHECK_OK(pl_loader_next(loader, &leaf));
  const pl_ledger_line *ledger = pl_loader_ledger(loader);
  for (int shard = 0; shard < SHARDS; shard++) {
    int skipped = shard == 1 ? BATCH : 0;
    assert_int_equal(ledger[shard].skipped, skipped);
    assert_int_equal(ledger[shard].repeated, skipped);
    assert_int_equal(ledger[shard].seen, BATCH * shard_samples(shard) - skipped);
  }
  pl_loader_destroy(&loader);
}

/* The evaluation of all captions: three owners together serve each once, in stored order. */
static void all_captions_in_order(void **state) {
  pl_loader_options o = ((fixture *)*state)->options;
  const int captions = (int)pl_dataset_get_info(o.dataset)->captions;
  const int64_t leaves = (captions + LEAF - 1) / LEAF;
  int sample = 0, index = 0, row = 0;
  o.all_captions = true;
  o.random = o.shuffle = false;
  o.augment = (pl_augment_options){0};
  o.views = 0;
  o.steps = 1;
  o.batch = leaves * LEAF;
  for (int owner = 0; owner < 3; owner++) {
    o.first_leaf = leaves * owner / 3;
    o.leaves = leaves * (owner + 1) / 3 - o.first_leaf;
    pl_loader *loader = NULL;
    CHECK_OK(pl_loader_create(&o, &loader));
    for (int64_t k = 0; k < o.leaves; k++) {
      pl_loader_leaf leaf;
      CHECK_OK(pl_loader_next(loader, &leaf));
      assert_null(leaf.images);
      for (int i = 0; i < LEAF; i++, row++) {
        assert_int_equal(leaf.sample[i], sample);
        assert_int_equal(leaf.epoch[i], row >= captions);
        expect_tokens(&o, sample, index, leaf.tokens + (size_t)i * CONTEXT);
        if (++index < caption_count(sample)) continue;
        sample = (sample + 1) % SAMPLES;
        index = 0;
      }
    }
    pl_loader_destroy(&loader);
  }
  assert_true(row >= captions);
}

static void corrupt_captions_end_an_evaluation(void **state) {
  fixture *f = *state;
  pl_loader_options *o = &f->options;
  o->all_captions = true;
  o->random = o->shuffle = false;
  o->batch = LEAF * (o->leaves = 10);
  damage_caption(f, 14, 1);
  pl_loader *loader = NULL;
  pl_loader_leaf leaf;
  CHECK_OK(pl_loader_create(o, &loader));
  pl_status status = PL_OK;
  for (int k = 0; k < 10 && status == PL_OK; k++) status = pl_loader_next(loader, &leaf);
  CHECK_FAILS(PL_E_DATA, "sample 2 (id 114): caption damaged", pl_loader_next(loader, &leaf));
  pl_loader_destroy(&loader);
}

static void bad_use_is_refused(void **state) {
  const pl_loader_options *o = &((fixture *)*state)->options;
  pl_loader *loader = NULL;
  pl_loader_options bad = *o;
  bad.context = 1;
  CHECK_FAILS(PL_E_USAGE, "number of tokens", pl_loader_create(&bad, &loader));
  bad = *o;
  bad.all_captions = true;
  CHECK_FAILS(PL_E_USAGE, "stored order", pl_loader_create(&bad, &loader));
  bad.tokenizer = NULL;
  CHECK_FAILS(PL_E_USAGE, "need a tokenizer", pl_loader_create(&bad, &loader));
  assert_null(loader);
}

int main(void) {
#define LOADER_TEST(name) cmocka_unit_test_setup_teardown(name, set_up_tokens, tear_down_tokens)
  const struct CMUnitTest tests[] = {
      LOADER_TEST(tokens_are_those_of_the_drawn_caption),
      LOADER_TEST(evaluation_takes_the_first),
      LOADER_TEST(nothing_changes_the_tokens),
      LOADER_TEST(all_captions_are_drawn),
      LOADER_TEST(corrupt_samples_are_replaced_whole),
      LOADER_TEST(ledger_counts_corrupt_captions),
      LOADER_TEST(all_captions_in_order),
      LOADER_TEST(corrupt_captions_end_an_evaluation),
      LOADER_TEST(bad_use_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
