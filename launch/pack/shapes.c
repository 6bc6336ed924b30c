#include "launch/pack/shapes.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>

#include "runtime/base/random.h"

enum {
  SHAPE_CIRCLE,
  SHAPE_SQUARE,
  SHAPE_TRIANGLE,
  SHAPE_STAR,
  SHAPE_RING,
  SHAPE_CROSS,
  SHAPE_HEART,
  SHAPE_MOON
};
static const char *const shape_names[PL_SHAPES] = {
    [SHAPE_CIRCLE] = "circle", [SHAPE_SQUARE] = "square", [SHAPE_TRIANGLE] = "triangle",
    [SHAPE_STAR] = "star",     [SHAPE_RING] = "ring",     [SHAPE_CROSS] = "cross",
    [SHAPE_HEART] = "heart",   [SHAPE_MOON] = "moon"};
static const char *const colour_names[PL_SHAPE_COLOURS] = {"red",  "orange", "yellow", "green",
                                                           "blue", "purple", "pink",   "white"};
static const float colours[PL_SHAPE_COLOURS][3] = {
    {0.86F, 0.14F, 0.14F}, {0.95F, 0.52F, 0.08F}, {0.97F, 0.86F, 0.18F}, {0.18F, 0.64F, 0.24F},
    {0.14F, 0.34F, 0.86F}, {0.52F, 0.18F, 0.68F}, {0.97F, 0.56F, 0.76F}, {0.95F, 0.95F, 0.95F}};

static bool is_unseen(int shape, int colour) { return (shape + colour) % 4 == 0; }

static void draw_pair(pl_random *random, pl_shape_pairs pairs, pl_scene *scene) {
  do {
    scene->shape = (int)pl_random_below(random, PL_SHAPES);
    scene->colour = (int)pl_random_below(random, PL_SHAPE_COLOURS);
  } while (pairs != PL_PAIRS_ALL &&
           is_unseen(scene->shape, scene->colour) != (pairs == PL_PAIRS_UNSEEN));
}

/* Somewhere in the first, second or third part of the way that leaves the shape inside. */
static float draw_place(pl_random *random, int third, float radius) {
  static const float from[] = {0.0F, 0.4F, 0.8F};
  float share = from[third] + 0.2F * pl_random_uniform(random);
  float margin = 0.02F + radius;
  return margin + (1 - 2 * margin) * share;
}

static void draw_geometry(pl_random *random, pl_scene *scene) {
  static const float radii[][2] = {{0.11F, 0.14F}, {0.17F, 0.21F}, {0.26F, 0.32F}};
  scene->size = (int)pl_random_below(random, 3);
  scene->row = (int)pl_random_below(random, 3);
  scene->column = (int)pl_random_below(random, 3);
  scene->radius = pl_random_range(random, radii[scene->size][0], radii[scene->size][1]);
  scene->centre_x = draw_place(random, scene->column, scene->radius);
  scene->centre_y = draw_place(random, scene->row, scene->radius);
  scene->turn = pl_random_range(random, -0.26F, 0.26F);
}

static float distance(const float a[3], const float b[3]) {
  float sum = 0;
  for (int c = 0; c < 3; c++) sum += (a[c] - b[c]) * (a[c] - b[c]);
  return sqrtf(sum);
}

/* A muted colour that stands off from `fill`. */
static void draw_ground(pl_random *random, const float fill[3], float ground[3]) {
  do {
    float grey = pl_random_range(random, 0.08F, 0.9F);
    for (int c = 0; c < 3; c++) ground[c] = 0.55F * grey + 0.45F * pl_random_uniform(random);
  } while (distance(ground, fill) < 0.5F);
}

void pl_scene_draw(uint64_t seed, int64_t index, pl_shape_pairs pairs, pl_scene *scene) {
  pl_random random = pl_random_stream(seed, PL_RANDOM_SYNTH, 0, (uint64_t)index, 0);
  draw_pair(&random, pairs, scene);
  draw_geometry(&random, scene);
  for (int c = 0; c < 3; c++) {
    scene->fill[c] = colours[scene->colour][c] + pl_random_range(&random, -0.06F, 0.06F);
  }
  draw_ground(&random, scene->fill, scene->ground[0]);
  draw_ground(&random, scene->fill, scene->ground[1]);
  scene->ground_turn = pl_random_range(&random, 0, 6.2831853F);
  scene->noise = pl_random_range(&random, 0, 0.04F);
}

/* Half planes between a tip of the star and the notch next to it, mirrored and turned into all ten
 * places by folding the angle. */
static bool is_in_star(float u, float v) {
  const float tenth = 0.62831853F; /* of a turn */
  const float notch = 0.42F;
  float angle = fabsf(remainderf(atan2f(u, -v), 2 * tenth));
  float radius = sqrtf(u * u + v * v);
  float x = radius * cosf(angle);
  float y = radius * sinf(angle);
  float edge_x = notch * cosf(tenth) - 1;
  float edge_y = notch * sinf(tenth);
  return edge_x * y - edge_y * (x - 1) > 0;
}

/* Whether the point (u right, v down; the shape has radius 1) is in the shape. */
static bool is_inside(int shape, float u, float v) {
  float square = u * u + v * v;
  float near = fminf(fabsf(u), fabsf(v));
  float far = fmaxf(fabsf(u), fabsf(v));
  switch (shape) {
    case SHAPE_CIRCLE: return square < 0.9F;
    case SHAPE_SQUARE: return far < 0.82F;
    case SHAPE_TRIANGLE: return v < 0.78F && v > -1 + 1.85F * fabsf(u);
    case SHAPE_STAR: return is_in_star(u, v);
    case SHAPE_RING: return square < 1 && square > 0.32F;
    case SHAPE_CROSS: return near < 0.29F && far < 0.96F;
    case SHAPE_HEART: {
      float x = 1.2F * u;
      float y = 0.15F - 1.2F * v;
      float disc = x * x + y * y - 1;
      return disc * disc * disc < x * x * y * y * y;
    }
    default: { /* moon */
      float du = u - 0.45F;
      float dv = v + 0.12F;
      return square < 1 && du * du + dv * dv > 0.62F;
    }
  }
}

/* Share of the pixel at (x, y) that the shape covers, from a grid of samples. */
static float coverage(const pl_scene *scene, int side, int x, int y) {
  enum { GRID = 4 };
  float cosine = cosf(scene->turn) / scene->radius;
  float sine = sinf(scene->turn) / scene->radius;
  int hits = 0;
  for (int row = 0; row < GRID; row++) {
    float dy = (y + (row + 0.5F) / GRID) / side - scene->centre_y;
    for (int column = 0; column < GRID; column++) {
      float dx = (x + (column + 0.5F) / GRID) / side - scene->centre_x;
      hits += is_inside(scene->shape, cosine * dx + sine * dy, cosine * dy - sine * dx);
    }
  }
  return (float)hits / (GRID * GRID);
}

static uint8_t to_byte(float value) { return (uint8_t)(fminf(fmaxf(value, 0), 1) * 255 + 0.5F); }

void pl_scene_render(uint64_t seed, int64_t index, const pl_scene *scene, int side,
                     uint8_t *pixels) {
  pl_random random = pl_random_stream(seed, PL_RANDOM_SYNTH, 0, (uint64_t)index, 1);
  float along_x = cosf(scene->ground_turn);
  float along_y = sinf(scene->ground_turn);
  for (int y = 0; y < side; y++) {
    for (int x = 0; x < side; x++) {
      float px = (x + 0.5F) / side;
      float py = (y + 0.5F) / side;
      float away = fmaxf(fabsf(px - scene->centre_x), fabsf(py - scene->centre_y));
      float cover = away < 1.5F * scene->radius + 1.0F / side ? coverage(scene, side, x, y) : 0;
      /* the background runs from one colour to the other; the shape is lit from the top left */
      float mix = 0.5F + 0.7F * ((px - 0.5F) * along_x + (py - 0.5F) * along_y);
      float light = 1 - 0.12F * ((px - scene->centre_x) + (py - scene->centre_y)) / scene->radius;
      for (int c = 0; c < 3; c++) {
        float ground = (1 - mix) * scene->ground[0][c] + mix * scene->ground[1][c];
        float value = (1 - cover) * ground + cover * light * scene->fill[c];
        *pixels++ = to_byte(value + scene->noise * pl_random_normal(&random));
      }
    }
  }
}

void pl_scene_captions(const pl_scene *scene,
                       char captions[PL_SHAPE_CAPTIONS][PL_SHAPE_CAPTION_MAX]) {
  static const char *const sizes[] = {"small", "medium-sized", "large"};
  static const char *const places[3][3] = {
      {"at the top left", "at the top", "at the top right"},
      {"on the left", "in the middle", "on the right"},
      {"at the bottom left", "at the bottom", "at the bottom right"}};
  const char *place = places[scene->row][scene->column];
  const char *shape = shape_names[scene->shape];
  const char *colour = colour_names[scene->colour];
  snprintf(captions[0], PL_SHAPE_CAPTION_MAX, "a %s %s %s %s", sizes[scene->size], colour, shape,
           place);
  snprintf(captions[1], PL_SHAPE_CAPTION_MAX, "%s, a %s %s in %s", place, sizes[scene->size], shape,
           colour);
}

int pl_scene_label(const pl_scene *scene, pl_shape_label kind) {
  switch (kind) {
    case PL_LABEL_SHAPE: return scene->shape;
    case PL_LABEL_COLOUR: return scene->colour;
    default: return scene->shape * PL_SHAPE_COLOURS + scene->colour;
  }
}

int pl_scene_classes(pl_shape_label kind) {
  switch (kind) {
    case PL_LABEL_SHAPE: return PL_SHAPES;
    case PL_LABEL_COLOUR: return PL_SHAPE_COLOURS;
    default: return PL_SHAPES * PL_SHAPE_COLOURS;
  }
}

void pl_scene_class_name(pl_shape_label kind, int label, char name[PL_SHAPE_CAPTION_MAX]) {
  switch (kind) {
    case PL_LABEL_SHAPE: snprintf(name, PL_SHAPE_CAPTION_MAX, "%s", shape_names[label]); break;
    case PL_LABEL_COLOUR: snprintf(name, PL_SHAPE_CAPTION_MAX, "%s", colour_names[label]); break;
    default:
      snprintf(name, PL_SHAPE_CAPTION_MAX, "%s %s", colour_names[label % PL_SHAPE_COLOURS],
               shape_names[label / PL_SHAPE_COLOURS]);
  }
}
