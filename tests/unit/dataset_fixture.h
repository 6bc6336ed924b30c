/* Small datasets in a scratch folder, for tests of whatever reads them. */
#ifndef TESTS_UNIT_DATASET_FIXTURE_H
#define TESTS_UNIT_DATASET_FIXTURE_H

#include "runtime/base/file.h"
#include "runtime/data/writer.h"

enum { FIXTURE_SAMPLES = 7, FIXTURE_HEIGHT = 5, FIXTURE_WIDTH = 4, FIXTURE_SHARDS = 2 };
enum { FIXTURE_IMAGE_BYTES = FIXTURE_HEIGHT * FIXTURE_WIDTH * 3 };

/* A new, empty folder; remove it with pl_remove_tree. */
void fixture_folder(char folder[PL_PATH_MAX]);

/* Pixels of sample `sample`: a pure function of it. */
void fixture_pixels(int64_t sample, uint8_t pixels[FIXTURE_IMAGE_BYTES]);

/* Caption `index` of sample `sample`, which has sample % 3 of them. */
void fixture_caption(int64_t sample, int index, char text[64]);

/* Writes FIXTURE_SAMPLES samples in two shards of 4 and 3: labels sample % 3 - 1, ids 10 + 3
 * sample. Encoded images are PNG files of the same pixels. */
pl_status fixture_write(const char *folder, pl_image_storage storage, bool captions);

#endif
