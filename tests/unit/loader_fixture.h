/* A small dataset of pixels with captions in three shards, and what a loader makes of it. */
#ifndef TESTS_UNIT_LOADER_FIXTURE_H
#define TESTS_UNIT_LOADER_FIXTURE_H

#include "runtime/data/loader.h"

enum {
  SAMPLES = 37,
  SHARDS = 3,
  WIDTH = 12,
  HEIGHT = 10,
  IMAGE_BYTES = WIDTH * HEIGHT * 3,
  SIZE = 8,
  VIEWS = 2,
  LEAF = 5,
  LEAVES = 4,
  BATCH = LEAF * LEAVES,
  LEAF_FLOATS = VIEWS * LEAF * SIZE * SIZE * 3,
  CONTEXT = 16,
  CAPTIONS_MAX = 3, /* of a sample */
  CAPTION_BYTES = 8192
};

/* A dataset of its own for each test, as some of them damage it. */
typedef struct fixture {
  char folder[64];
  pl_dataset *dataset;
  pl_loader_options options;
} fixture;

/* cmocka's set-up and tear-down of a fixture. */
int set_up(void **state);
int tear_down(void **state);

/* Samples in a shard. */
int shard_samples(int shard);

/* The pixels of a sample. */
void make_image(int sample, uint8_t image[IMAGE_BYTES]);

/* How many captions a sample has: 1 to CAPTIONS_MAX; and one of them. Some are longer than what is
 * read at once, but no caption has as many words as CONTEXT has room for. */
int caption_count(int sample);
void make_caption(int sample, int index, char text[CAPTION_BYTES]);

/* Changes a byte of a stored image, of a stored caption. */
void damage(const fixture *f, int sample);
void damage_caption(const fixture *f, int sample, int index);

/* Writes a vocabulary of one merge, which no caption needs, beside the dataset and opens it. */
pl_tokenizer *open_tokenizer(const fixture *f);

/* Everything a loader serves, in order; owned by the caller (free). */
typedef struct served {
  int64_t step, leaf, sample[LEAF], epoch[LEAF];
  float images[LEAF_FLOATS];      /* zeros where the loader serves none */
  int32_t tokens[LEAF * CONTEXT]; /* likewise */
} served;

served *serve_all(const pl_loader_options *options, int64_t *skipped);

#endif
