/* A small dataset of pixels in three shards, and what a loader makes of it. */
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
  LEAF_FLOATS = VIEWS * LEAF * SIZE * SIZE * 3
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

/* Changes a byte of a stored image. */
void damage(const fixture *f, int sample);

/* Everything a loader serves, in order; owned by the caller (free). */
typedef struct served {
  int64_t step, leaf, sample[LEAF], epoch[LEAF];
  float images[LEAF_FLOATS];
} served;

served *serve_all(const pl_loader_options *options, int64_t *skipped);

#endif
