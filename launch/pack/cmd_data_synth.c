/* plenum data synth shapes: a dataset of rendered shapes. Collective. */
#include <string.h>

#include "launch/pack/arguments.h"
#include "launch/pack/shapes.h"
#include "runtime/base/memory.h"

typedef struct synth {
  pl_pack_options options;
  int64_t samples, start, side, seed, pairs, label;
  uint8_t *pixels; /* of one sample */
  char captions[PL_SHAPE_CAPTIONS][PL_SHAPE_CAPTION_MAX];
  const char *caption[PL_SHAPE_CAPTIONS];
} synth;

static pl_status parse(const pl_command *command, int argc, char **argv, synth *s, bool *helped) {
  const pl_option table[] = {
      {.name = "samples",
       .kind = PL_OPTION_INT,
       .value = &s->samples,
       .low = 1,
       .high = 1e9,
       .help = "how many"},
      {.name = "start",
       .kind = PL_OPTION_INT,
       .value = &s->start,
       .low = 0,
       .high = 1e15,
       .help = "index of the first: sets with other indices share no picture"},
      {.name = "size",
       .kind = PL_OPTION_INT,
       .value = &s->side,
       .low = 8,
       .high = 1024,
       .help = "side of the pictures in pixels"},
      {.name = "seed",
       .kind = PL_OPTION_INT,
       .value = &s->seed,
       .low = 0,
       .high = 1e15,
       .help = "pictures are a function of seed and index"},
      {.name = "classes",
       .kind = PL_OPTION_CHOICE,
       .value = &s->label,
       .choices = "shape|colour|both",
       .help = "what the label tells"},
      {.name = "combinations",
       .kind = PL_OPTION_CHOICE,
       .value = &s->pairs,
       .choices = "all|seen|unseen",
       .help =
           "pairs of shape and colour: all, or without a quarter of them, or only that quarter"},
      {0}};
  const char *what = NULL;
  PL_TRY(pl_pack_arguments_parse(command, table, argc, argv, &what, &s->options, helped));
  if (!*helped && strcmp(what, "shapes") != 0) {
    return PL_FAIL(PL_E_USAGE, "'%s' cannot be made; known: shapes", what);
  }
  return PL_OK;
}

static pl_status read_sample(void *context, int64_t sample, pl_sample *out) {
  synth *s = context;
  pl_scene scene;
  int64_t index = s->start + sample;
  pl_scene_draw((uint64_t)s->seed, index, (pl_shape_pairs)s->pairs, &scene);
  pl_scene_render((uint64_t)s->seed, index, &scene, (int)s->side, s->pixels);
  pl_scene_captions(&scene, s->captions);
  for (int i = 0; i < PL_SHAPE_CAPTIONS; i++) s->caption[i] = s->captions[i];
  *out = (pl_sample){.image = s->pixels,
                     .image_bytes = (size_t)s->side * (size_t)s->side * 3,
                     .label = pl_scene_label(&scene, (pl_shape_label)s->label),
                     .id = index,
                     .captions = PL_SHAPE_CAPTIONS,
                     .caption = s->caption};
  return PL_OK;
}

static pl_status make(pl_comm *comm, synth *s) {
  char names[PL_SHAPES * PL_SHAPE_COLOURS][PL_SHAPE_CAPTION_MAX];
  const char *class_names[PL_SHAPES * PL_SHAPE_COLOURS];
  int classes = pl_scene_classes((pl_shape_label)s->label);
  for (int i = 0; i < classes; i++) {
    pl_scene_class_name((pl_shape_label)s->label, i, names[i]);
    class_names[i] = names[i];
  }
  s->pixels = pl_alloc((size_t)s->side * (size_t)s->side * 3, 1);
  PL_TRY(pl_comm_agree(comm, s->pixels ? PL_OK : PL_E_INTERNAL));
  const pl_source source = {.samples = s->samples,
                            .shard = {.storage = PL_IMAGE_PIXELS,
                                      .height = (int)s->side,
                                      .width = (int)s->side,
                                      .captions = true},
                            .classes = classes,
                            .class_names = class_names,
                            .read = read_sample,
                            .context = s};
  PL_TRY(pl_pack(comm, &source, &s->options));
  return pl_comm_agree(comm, pl_comm_rank(comm) == 0 ? pl_pack_tell(s->options.out) : PL_OK);
}

static pl_status run(pl_comm *comm, const pl_command *command, int argc, char **argv) {
  synth s = {.samples = 10000, .side = 32, .seed = 1};
  bool helped = false;
  pl_status status = pl_comm_agree(comm, parse(command, argc, argv, &s, &helped));
  if (status == PL_OK && !helped) status = make(comm, &s);
  pl_free(s.pixels);
  return status;
}

const pl_command pl_cmd_data_synth = {
    .name = "data synth",
    .operands = "shapes --out DIR",
    .summary = "make a dataset of rendered shapes with labels and captions",
    .run = run,
};
