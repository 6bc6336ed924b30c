#include "tests/unit/packed_leaf.h"

#include <string.h>

#include "runtime/base/memory.h"
#include "tests/check.h"

pl_image packed_image(int width, int height, uint32_t seed) {
  static const uint8_t plain[10][3] = {
      {0, 0, 0},     {255, 255, 255}, {255, 0, 0},   {0, 255, 0},     {0, 0, 255},
      {255, 255, 0}, {0, 255, 255},   {255, 0, 255}, {128, 128, 128}, {127, 128, 128}};
  size_t pixels = (size_t)width * (size_t)height;
  pl_image image = {.width = width, .height = height, .capacity = 3 * pixels};
  image.pixels = pl_alloc(pixels, 3);
  assert_non_null(image.pixels);
  uint32_t state = seed * 977 + 1;
  for (size_t i = 0; i < 3 * pixels; i++) {
    state = state * 1664525 + 1013904223;
    image.pixels[i] = (uint8_t)(state >> 24);
  }
  for (size_t i = 0; i < pixels / 3; i++) memcpy(image.pixels + 3 * i, plain[i / 4 % 10], 3);
  return image;
}

static size_t source_bytes(const pl_augment_options *options, const pl_view_params *p) {
  if (pl_packed_keeps(options->size, p->height, p->width))
    return 3 * (size_t)(p->height * p->width);
  return 3 * sizeof(float) * (size_t)options->size * (size_t)options->size;
}

static void fill(const pl_augment_options *options, const packed_source *from, pl_packed_view *view,
                 unsigned char *source) {
  const pl_view_params *p = &from->params;
  view->params = *p;
  view->params.top = view->params.left = 0;
  view->resized = !pl_packed_keeps(options->size, p->height, p->width);
  if (view->resized) {
    pl_augment_scratch scratch = {0};
    CHECK_OK(pl_augment_resize(options, p, &from->image, &scratch, (float *)(void *)source));
    pl_augment_scratch_free(&scratch);
    return;
  }
  for (int y = 0; y < p->height; y++) {
    const uint8_t *line = from->image.pixels + 3 * ((p->top + y) * from->image.width + p->left);
    memcpy(source + 3 * (size_t)(y * p->width), line, 3 * (size_t)p->width);
  }
}

pl_packed_leaf packed_leaf(const pl_device *device, const pl_augment_options *options,
                           const packed_source *source, size_t views) {
  size_t at = pl_align_up(views * sizeof(pl_packed_view)), bytes = at;
  for (size_t i = 0; i < views; i++) bytes += pl_align_up(source_bytes(options, &source[i].params));
  void *block;
  CHECK_OK(device->alloc_host(bytes, &block));
  memset(block, 0xA5, bytes);
  for (size_t i = 0; i < views; i++) {
    pl_packed_view *view = (pl_packed_view *)block + i;
    view->source = at;
    fill(options, &source[i], view, (unsigned char *)block + at);
    at += pl_align_up(source_bytes(options, &source[i].params));
  }
  return (pl_packed_leaf){.view = block, .views = views, .bytes = bytes};
}
