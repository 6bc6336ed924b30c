#include "launch/feed.h"

#include "launch/device.h"
#include "runtime/base/account.h"
#include "runtime/base/memory.h"

struct pl_feed {
  pl_loader *loader;
  const pl_view_maker *maker; /* NULL: views come finished */
  pl_views *views;
  void *planned; /* what stands for these where they are only planned */
  bool put;      /* the leaf that comes next is on its way to the device */
};

pl_status pl_feed_create(const pl_config *config, const pl_loader_options *options, pl_feed **out) {
  PL_MEMORY_FOR(PL_MEMORY_DATA);
  pl_status status = PL_OK;
  pl_loader_options loader = *options;
  pl_feed *feed = pl_alloc(1, sizeof *feed);
  if (!feed) return PL_E_INTERNAL;
  if (!options->all_captions) feed->maker = pl_device_view_maker(config);
  bool planning = pl_account_is_planning();
  const pl_device *device = feed->maker && planning ? &pl_planned_device : NULL;
  if (feed->maker && !planning) device = feed->maker->device;
  loader.packed_for = device;
  PL_TRY_OR(done, status, pl_loader_create(&loader, &feed->loader));
  if (feed->maker) {
    const pl_views_options views = {
        .augment = options->augment,
        .views = (size_t)options->views * (size_t)options->leaf_samples,
        .packed_bytes = pl_loader_packed_bytes(&loader),
    };
    status = planning ? pl_planned_device.alloc(feed->maker->bytes(&views), &feed->planned)
                      : feed->maker->create(&views, &feed->views);
    if (status != PL_OK) goto done;
  }
  *out = feed;
  feed = NULL;
done:
  pl_feed_destroy(&feed);
  return status;
}

void pl_feed_destroy(pl_feed **feed) {
  pl_feed *f = *feed;
  if (!f) return;
  if (f->maker) f->maker->destroy(&f->views); /* first: it may still read the loader's memory */
  pl_planned_device.release(f->planned);
  pl_loader_destroy(&f->loader);
  pl_free(f);
  *feed = NULL;
}

pl_loader *pl_feed_loader(const pl_feed *feed) { return feed->loader; }

pl_status pl_feed_next(pl_feed *feed, pl_exec_input *images, pl_loader_leaf *leaf) {
  const pl_view_maker *maker = feed->maker;
  if (!maker) {
    PL_TRY(pl_loader_next(feed->loader, leaf));
    images->host = leaf->images;
    return PL_OK;
  }
  PL_TRY(maker->wait(feed->views)); /* the loader is about to fill that leaf's memory anew */
  PL_TRY(pl_loader_next(feed->loader, leaf));
  if (!feed->put) PL_TRY(maker->put(feed->views, &leaf->packed));
  PL_TRY(maker->make(feed->views, images->type, images->place));
  /* What is not ready yet is not waited for, as the network's work is still to be queued. */
  pl_loader_leaf next;
  feed->put = pl_loader_peek(feed->loader, &next);
  return feed->put ? maker->put(feed->views, &next.packed) : PL_OK;
}
