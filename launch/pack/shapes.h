/* Rendered shapes: a small image set with labels and captions that needs no download. A sample is a
 * pure function of (options, index). */
#ifndef LAUNCH_PACK_SHAPES_H
#define LAUNCH_PACK_SHAPES_H

#include <stddef.h>
#include <stdint.h>

enum { PL_SHAPES = 8, PL_SHAPE_COLOURS = 8, PL_SHAPE_CAPTIONS = 2, PL_SHAPE_CAPTION_MAX = 96 };

/* Which pairs of shape and colour occur. A quarter of all pairs is held out; each shape and each
 * colour is seen in other pairs. */
typedef enum pl_shape_pairs { PL_PAIRS_ALL, PL_PAIRS_SEEN, PL_PAIRS_UNSEEN } pl_shape_pairs;

/* What the label tells. PL_LABEL_BOTH: shape * PL_SHAPE_COLOURS + colour. */
typedef enum pl_shape_label { PL_LABEL_SHAPE, PL_LABEL_COLOUR, PL_LABEL_BOTH } pl_shape_label;

/* What a picture shows. */
typedef struct pl_scene {
  int shape, colour;
  int size;        /* 0 small, 1 medium, 2 large */
  int row, column; /* 0 to 2: of the middle of the shape */
  /* the exact values, in units of the picture's side */
  float centre_x, centre_y, radius, turn; /* turn in radians */
  float fill[3];                          /* RGB in [0, 1] */
  float ground[2][3];                     /* background at both ends of a gradient */
  float ground_turn, noise;
} pl_scene;

void pl_scene_draw(uint64_t seed, int64_t index, pl_shape_pairs pairs, pl_scene *scene);

/* pixels: (side, side, 3). The noise comes from the same stream as the scene. */
void pl_scene_render(uint64_t seed, int64_t index, const pl_scene *scene, int side,
                     uint8_t *pixels);

/* Captions in two wordings: "a small red circle at the top left" and "at the top left, a small
 * circle in red". */
void pl_scene_captions(const pl_scene *scene,
                       char captions[PL_SHAPE_CAPTIONS][PL_SHAPE_CAPTION_MAX]);

int pl_scene_label(const pl_scene *scene, pl_shape_label kind);
int pl_scene_classes(pl_shape_label kind);
void pl_scene_class_name(pl_shape_label kind, int label, char name[PL_SHAPE_CAPTION_MAX]);

#endif
