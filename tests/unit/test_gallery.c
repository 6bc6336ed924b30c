/* launch/gallery: the pieces, with representations made by hand. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "launch/gallery/parts.h"
#include "runtime/base/log.h"
#include "runtime/base/memory.h"
#include "tests/check.h"
#include "tests/unit/dataset_fixture.h"

typedef pl_status (*piece)(const pl_gallery *gallery, FILE *out);

/* The samples of the fixture, whose labels are -1, 0, 1, -1, 0, 1, -1, on a quarter circle. */
typedef struct rig {
  char folder[PL_PATH_MAX];
  pl_config config;
  pl_dataset *dataset;
  float values[FIXTURE_SAMPLES * 2];
  int32_t labels[FIXTURE_SAMPLES];
  int64_t sample[FIXTURE_SAMPLES];
  pl_gallery gallery;
} rig;

static void set_up(rig *r, pl_image_storage storage) {
  static const double degrees[FIXTURE_SAMPLES] = {0, 10, 12, 30, 33, 60, 90};
  fixture_folder(r->folder);
  CHECK_OK(fixture_write(r->folder, storage, false));
  CHECK_OK(pl_dataset_open(r->folder, &r->dataset));
  pl_config_defaults(&r->config);
  r->config.model.image_size = FIXTURE_WIDTH;
  for (int i = 0; i < FIXTURE_SAMPLES; i++) {
    r->values[2 * i] = (float)cos(degrees[i] * M_PI / 180);
    r->values[2 * i + 1] = (float)sin(degrees[i] * M_PI / 180);
    r->labels[i] = pl_dataset_label(r->dataset, i);
    r->sample[i] = i;
  }
  r->gallery = (pl_gallery){.config = &r->config,
                            .dataset = r->dataset,
                            .classes = 2,
                            .count = FIXTURE_SAMPLES,
                            .width = 2,
                            .values = r->values,
                            .labels = r->labels,
                            .sample = r->sample};
}

static void tear_down(rig *r) {
  pl_dataset_close(&r->dataset);
  CHECK_OK(pl_remove_tree(r->folder));
}

/* The caller frees the text. */
static char *text_of(piece write, const pl_gallery *gallery) {
  char *text = NULL;
  size_t size = 0;
  FILE *out = open_memstream(&text, &size);
  assert_non_null(out);
  CHECK_OK(write(gallery, out));
  assert_int_equal(fclose(out), 0);
  return text;
}

static int count_of(const char *text, const char *words) {
  int count = 0;
  for (const char *at = strstr(text, words); at; at = strstr(at + 1, words)) count++;
  return count;
}

/* Where `words` next stand; prints what is there instead. */
static const char *expect_next(const char *from, const char *words) {
  const char *at = strstr(from, words);
  if (!at) {
    print_error("no \"%s\" in what follows:\n%.4000s\n", words, from);
    fail();
  }
  return at + strlen(words);
}

static void chosen_samples_are_spread(void **state) {
  (void)state;
  enum { COUNT = 40 };
  int32_t labels[COUNT];
  int64_t places[COUNT + 1];
  pl_gallery g = {.classes = 20, .count = COUNT, .labels = labels};
  for (int i = 0; i < COUNT; i++) labels[i] = 19 - i / 2;
  assert_int_equal(pl_gallery_choose(&g, 5, places), 5);
  for (int i = 0; i < 5; i++) assert_int_equal(labels[places[i]], 4 * i);
  /* few classes: in turn, and none twice */
  for (int i = 0; i < COUNT; i++) labels[i] = i < 2 ? -1 : i % 3;
  g.classes = 3;
  assert_int_equal(pl_gallery_choose(&g, 7, places), 7);
  for (int i = 0; i < 7; i++) {
    assert_int_equal(labels[places[i]], i % 3);
    for (int k = 0; k < i; k++) assert_int_not_equal(places[i], places[k]);
  }
  /* a class that is not there is made up for; no more than there are */
  g.classes = 4;
  assert_int_equal(pl_gallery_choose(&g, COUNT + 1, places), COUNT);
  g.classes = 0;
  assert_int_equal(pl_gallery_choose(&g, 3, places), 3);
  for (int i = 0; i < 3; i++) assert_int_equal(places[i], i * COUNT / 3);
  g.count = 0;
  assert_int_equal(pl_gallery_choose(&g, 3, places), 0);
}

/* The first query is sample 1, at 10 degrees, of class "cat": nearest is sample 2, at 12, of the
 * class whose name needs escaping, then 0, 3, and 4, which is a cat. */
static void neighbours_in_order(void **state) {
  (void)state;
  rig r;
  set_up(&r, PL_IMAGE_PIXELS);
  char *text = text_of(pl_gallery_neighbours, &r.gallery);
  const char *at = expect_next(text, "alt=\"Query: cat\"><b>cat</b><span>1 of 6 alike</span>");
  at = expect_next(at, "<li class=\"other\"><img");
  at = expect_next(at,
                   "alt=\"Neighbour 1: a &quot;quoted&quot; \\ name: \xc3\xa9, another label\">");
  at = expect_next(at, "<b>0.999</b><span title=\"a &quot;quoted&quot; \\ name: \xc3\xa9\"><svg");
  at = expect_next(at, "</svg>a &quot;quoted&quot; \\ name: \xc3\xa9</span></li>");
  at = expect_next(at, "<li><img");
  at = expect_next(at, "alt=\"Neighbour 2\"><b>0.985</b></li>");
  at = expect_next(at, "alt=\"Neighbour 3\"><b>0.940</b></li>");
  at = expect_next(at, "<li class=\"same\"><img");
  at = expect_next(at, "alt=\"Neighbour 4: cat, same label\"><b>0.921</b>");
  at = expect_next(at, "alt=\"Neighbour 5: ");
  at = expect_next(at, "alt=\"Neighbour 6\"><b>0.174</b></li>\n</ol>");
  expect_next(at, "alt=\"Query: a &quot;");
  /* each of the seven with the six others */
  assert_int_equal(count_of(text, "data:image/png;base64,"), 7 * 7);
  free(text);
  tear_down(&r);
}

static void without_labels(void **state) {
  (void)state;
  rig r;
  set_up(&r, PL_IMAGE_PIXELS);
  r.gallery.classes = 0;
  for (int i = 0; i < FIXTURE_SAMPLES; i++) r.labels[i] = -1;
  char *text = text_of(pl_gallery_neighbours, &r.gallery);
  expect_next(text, "alt=\"Query\"><b>sample 0</b></div>");
  assert_int_equal(count_of(text, "label"), 0);
  assert_int_equal(count_of(text, "alike"), 0);
  free(text);
  text = text_of(pl_gallery_map, &r.gallery);
  assert_int_equal(count_of(text, "h0"), FIXTURE_SAMPLES);
  assert_int_equal(count_of(text, "var(--accent)"), 1);
  assert_int_equal(count_of(text, "var(--c"), 0);
  assert_int_equal(count_of(text, "abel"), 1); /* aria-label */
  free(text);
  text = text_of(pl_gallery_views, &r.gallery);
  expect_next(text, "<b>sample 0</b>");
  free(text);
  tear_down(&r);
}

/* Flips a bit of a sample's stored image, the first of its shard. */
static void damage(const rig *r, int64_t sample) {
  uint8_t pixels[FIXTURE_IMAGE_BYTES];
  char *file = NULL;
  size_t size = 0;
  int shard;
  int64_t position;
  fixture_pixels(sample, pixels);
  pl_dataset_locate(r->dataset, sample, &shard, &position);
  const char *path = pl_dataset_shard_path(r->dataset, shard);
  CHECK_OK(pl_read_file(path, 1 << 20, &file, &size));
  char *stored = memmem(file, size, pixels, sizeof pixels);
  assert_non_null(stored);
  pixels[0] ^= 1;
  int fd = open(path, O_WRONLY);
  assert_true(fd >= 0);
  assert_int_equal(pwrite(fd, pixels, 1, stored - file), 1);
  close(fd);
  pl_free(file);
}

/* Neither a query, nor a neighbour, nor among the views; the others are there. */
static void a_corrupt_sample_is_left_out(void **state) {
  (void)state;
  rig r;
  set_up(&r, PL_IMAGE_PIXELS);
  damage(&r, 4);
  pl_log_set_level(PL_LOG_ERROR);
  char *text = text_of(pl_gallery_neighbours, &r.gallery);
  assert_int_equal(count_of(text, "data:image/png;base64,"), 6 * 6);
  const char *at = expect_next(text, "alt=\"Neighbour 3\">");
  at = expect_next(at, "alt=\"Neighbour 5: ");
  expect_next(at, "alt=\"Neighbour 6\">");
  free(text);
  text = text_of(pl_gallery_views, &r.gallery);
  assert_int_equal(count_of(text, "alt=\"Without augmentation\""), 5);
  assert_int_equal(count_of(text, "alt=\"View 2 of pair 3\""), 5);
  free(text);
  r.config.method.name = PL_CFG_METHOD_CLIP; /* one view meets a caption */
  text = text_of(pl_gallery_views, &r.gallery);
  assert_int_equal(count_of(text, "alt=\"View 6\""), 5);
  assert_int_equal(count_of(text, "of pair"), 0);
  free(text);
  tear_down(&r);
}

/* Points on a cross, whose axes are known: coordinates, shares, colours. */
static void map_of_a_cross(void **state) {
  (void)state;
  rig r;
  static float values[] = {0.5F, 1, 0.5F, -3, 0.5F, -1, 1, -1, 0, -1, 0.5F, -1, 0.5F, -1};
  set_up(&r, PL_IMAGE_PIXELS);
  r.gallery.values = values;
  char *text = text_of(pl_gallery_map, &r.gallery);
  const char *at = expect_next(text, "second component, 5.9");
  at = expect_next(at, "<svg viewBox=\"0 0 1000 300\"");
  /* the first axis is the second dimension: "cat" has samples 1 and 4 */
  at = expect_next(at, " d=\"M20 150h0M500 270h0\"/>");
  at = expect_next(at, " d=\"M500 150h0M500 150h0\"/>");
  at = expect_next(at, " d=\"M980 150h0M500 30h0M500 150h0\"/>");
  at = expect_next(at, "style=\"stroke:var(--muted)\"");
  at = expect_next(at, "style=\"stroke:var(--c1)\"");
  at = expect_next(at, "style=\"stroke:var(--c0)\"");
  at = expect_next(at, "first component, 94.1");
  at = expect_next(at, "<b>cat</b> 2<");
  at = expect_next(at, "<b>a &quot;quoted&quot; \\ name: \xc3\xa9</b> 2<");
  expect_next(at, "<b>no label</b> 3<");
  free(text);
  tear_down(&r);
}

static void nothing_to_map(void **state) {
  (void)state;
  rig r;
  static float values[2 * FIXTURE_SAMPLES];
  set_up(&r, PL_IMAGE_PIXELS);
  r.gallery.values = values;
  char *text = text_of(pl_gallery_map, &r.gallery);
  assert_non_null(strstr(text, "All representations are the same"));
  free(text);
  r.gallery.count = 1;
  text = text_of(pl_gallery_neighbours, &r.gallery);
  assert_int_equal(count_of(text, "<img"), 1);
  free(text);
  r.gallery.count = 0;
  const piece pieces[] = {pl_gallery_neighbours, pl_gallery_map, pl_gallery_views};
  for (int k = 0; k < 3; k++) {
    text = text_of(pieces[k], &r.gallery);
    assert_int_equal(count_of(text, "<img"), 0);
    assert_int_equal(count_of(text, "</section>"), 1);
    free(text);
  }
  tear_down(&r);
}

/* Class k has k dots: the ten largest of fourteen get colours, by their number. */
static void many_classes(void **state) {
  (void)state;
  enum { CLASSES = 14, COUNT = CLASSES * (CLASSES - 1) / 2 };
  rig r;
  static float values[2 * COUNT];
  static int32_t labels[COUNT];
  int at = 0;
  for (int label = 0; label < CLASSES; label++) {
    for (int i = 0; i < label; i++, at++) {
      labels[at] = label;
      values[2 * at] = (float)at;
    }
  }
  set_up(&r, PL_IMAGE_PIXELS);
  r.gallery.classes = CLASSES;
  r.gallery.count = COUNT;
  r.gallery.values = values;
  r.gallery.labels = labels;
  char *text = text_of(pl_gallery_map, &r.gallery);
  assert_int_equal(count_of(text, "h0"), COUNT);
  assert_int_equal(count_of(text, "<path"), 11);
  for (int k = 0; k < 10; k++) {
    char words[96];
    snprintf(words, sizeof words, "background:var(--c%d)\"></i><b>no label</b> %d<", k, k + 4);
    expect_next(text, words);
  }
  expect_next(text, "background:var(--muted)\"></i><b>others</b> 6<");
  free(text);
  tear_down(&r);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(chosen_samples_are_spread),
      cmocka_unit_test(neighbours_in_order),
      cmocka_unit_test(without_labels),
      cmocka_unit_test(a_corrupt_sample_is_left_out),
      cmocka_unit_test(map_of_a_cross),
      cmocka_unit_test(nothing_to_map),
      cmocka_unit_test(many_classes),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
