#include "runtime/data/loader_sample.h"

#include <inttypes.h>
#include <string.h>

#include "runtime/base/log.h"
#include "runtime/base/memory.h"
#include "runtime/base/random.h"

void pl_corrupt_init(pl_corrupt *corrupt, int64_t limit) {
  *corrupt = (pl_corrupt){.limit = limit};
  pthread_mutex_init(&corrupt->lock, NULL);
}

void pl_corrupt_fini(pl_corrupt *corrupt) {
  pl_free(corrupt->sample);
  pthread_mutex_destroy(&corrupt->lock);
}

/* Needs the lock. Sets *is_new unless this sample was met before. */
static pl_status remember(pl_corrupt *corrupt, int64_t sample, bool *is_new) {
  int64_t count = atomic_load_explicit(&corrupt->count, memory_order_relaxed);
  *is_new = false;
  for (int64_t i = 0; i < count; i++) {
    if (corrupt->sample[i] == sample) return PL_OK;
  }
  if (count == corrupt->capacity) {
    int64_t capacity = count ? 2 * count : 16;
    int64_t *grown = pl_alloc((size_t)capacity, sizeof *grown);
    if (!grown) return PL_E_INTERNAL;
    if (count) memcpy(grown, corrupt->sample, (size_t)count * sizeof *grown);
    pl_free(corrupt->sample);
    corrupt->sample = grown;
    corrupt->capacity = capacity;
  }
  corrupt->sample[count] = sample;
  atomic_store_explicit(&corrupt->count, count + 1, memory_order_relaxed);
  *is_new = true;
  return PL_OK;
}

/* The calling thread's reason says what is wrong with `sample`. */
static pl_status note_corrupt(pl_corrupt *corrupt, int64_t sample) {
  bool is_new = false;
  pthread_mutex_lock(&corrupt->lock);
  pl_status status = remember(corrupt, sample, &is_new);
  int64_t count = atomic_load_explicit(&corrupt->count, memory_order_relaxed);
  pthread_mutex_unlock(&corrupt->lock);
  PL_TRY(status);
  if (count > corrupt->limit) {
    return pl_context(PL_E_DATA, "%" PRId64 " corrupt samples, the limit is %" PRId64, count,
                      corrupt->limit);
  }
  if (is_new) {
    PL_WARN("corrupt sample replaced by the next one (%" PRId64 " of at most %" PRId64 "): %s",
            count, corrupt->limit, pl_last_reason()->message);
  }
  return PL_OK;
}

pl_status pl_loader_tools_reserve(const pl_loader_options *o, const pl_image_extent *largest,
                                  pl_loader_tools *tools) {
  const int width = largest->width, height = largest->height;
  if (width == 0) return PL_OK;
  PL_TRY(pl_image_resize(&tools->image, width, height));
  PL_TRY(pl_image_reserve_packed(&tools->image, largest->packed_bytes));
  tools->decoder = pl_account_take(PL_ON_HOST, largest->decoder_bytes);
  if (o->packed_for && pl_packed_keeps(o->augment.size, height, width)) return PL_OK;
  return pl_augment_reserve(&o->augment, width, height, &tools->augment);
}

void pl_loader_tools_free(pl_loader_tools *tools) {
  pl_image_free(&tools->image);
  pl_augment_scratch_free(&tools->augment);
  pl_tokenizer_scratch_free(&tools->tokenizer);
  pl_free(tools->text);
  if (tools->decoder.account) pl_account_give_back(&tools->decoder);
  *tools = (pl_loader_tools){0};
}

/* Which of the captions of `sample` the row is served with. */
static int choose_caption(const pl_loader_options *o, const pl_loader_row *row, int64_t sample) {
  if (row->caption >= 0) return row->caption;
  int count = pl_dataset_caption_count(o->dataset, sample);
  if (!o->random || count == 1) return 0;
  pl_random random =
      pl_random_stream(o->seed, PL_RANDOM_CAPTION, (uint32_t)row->epoch, (uint64_t)row->drawn, 0);
  return (int)pl_random_below(&random, (uint64_t)count);
}

static pl_status make_tokens(const pl_loader_options *o, int64_t sample, pl_loader_tools *tools,
                             const pl_loader_row *row, int32_t *tokens) {
  int caption = choose_caption(o, row, sample);
  size_t bytes = pl_dataset_caption_bytes(o->dataset, sample, caption);
  if (bytes + 1 > tools->text_capacity) {
    pl_free(tools->text);
    tools->text_capacity = 0;
    tools->text = pl_alloc(2 * bytes + 1, 1);
    if (!tools->text) return PL_E_INTERNAL;
    tools->text_capacity = 2 * bytes + 1;
  }
  PL_TRY(pl_dataset_read_caption(o->dataset, sample, caption, tools->text, tools->text_capacity));
  pl_status status = pl_tokenizer_encode(o->tokenizer, tools->text, bytes, &tools->tokenizer,
                                         o->context, tokens, NULL);
  return pl_context(status, "sample with id %" PRId64 ", caption %d",
                    pl_dataset_id(o->dataset, sample), caption);
}

/* Image and tokens of one and the same sample. */
static pl_status read_pair(const pl_loader_options *o, int64_t sample, pl_loader_tools *tools,
                           const pl_loader_row *row, const pl_loader_room *room) {
  if (!o->all_captions) PL_TRY(pl_dataset_read_image(o->dataset, sample, &tools->image));
  if (!o->tokenizer) return PL_OK;
  return make_tokens(o, sample, tools, row, room->tokens + (size_t)o->context * (size_t)row->index);
}

/* Reads the sample drawn or, where that is corrupt, the first one behind it that is not. */
static pl_status read_or_replace(const pl_loader_options *o, pl_corrupt *corrupt,
                                 pl_loader_tools *tools, pl_loader_row *row,
                                 const pl_loader_room *room) {
  const int64_t samples = pl_dataset_get_info(o->dataset)->samples;
  row->sample = row->drawn;
  for (int64_t tries = 0; tries < samples; tries++) {
    pl_status status = read_pair(o, row->sample, tools, row, room);
    if (status != PL_E_DATA) return status;
    PL_TRY(note_corrupt(corrupt, row->sample));
    row->sample = (row->sample + 1) % samples;
  }
  return PL_FAIL(PL_E_DATA, "all %" PRId64 " samples of the dataset are corrupt", samples);
}

void pl_loader_view_params(const pl_loader_options *o, const pl_loader_row *row, int view,
                           const pl_image *image, pl_view_params *params) {
  if (!o->random) {
    pl_augment_centre(&o->augment, image->width, image->height, params);
    return;
  }
  pl_random random = pl_random_stream(o->seed, PL_RANDOM_AUGMENT, (uint32_t)row->epoch,
                                      (uint64_t)row->drawn, (uint32_t)view);
  pl_augment_draw(&o->augment, image->width, image->height, &random, params);
}

pl_status pl_loader_make_row(const pl_loader_options *options, const pl_loader_form *form,
                             pl_corrupt *corrupt, pl_loader_tools *tools, pl_loader_row *row,
                             pl_loader_room *room) {
  PL_TRY(read_or_replace(options, corrupt, tools, row, room));
  return options->all_captions ? PL_OK : form->make(options, tools, row, room);
}
