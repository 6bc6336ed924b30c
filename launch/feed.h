/* Leaves on their way from a loader into a network: views come finished, or a device makes them out
 * of what the loader has packed, and copies the next leaf while it computes with this one. */
#ifndef LAUNCH_FEED_H
#define LAUNCH_FEED_H

#include "runtime/config/config.h"
#include "runtime/data/loader.h"
#include "runtime/net/exec.h"

typedef struct pl_feed pl_feed;

/* A loader of these options, `packed_for` aside, whose views are made where augment.device says.
 * The device must be open and outlive the feed. Not collective. */
pl_status pl_feed_create(const pl_config *config, const pl_loader_options *options, pl_feed **out);
void pl_feed_destroy(pl_feed **feed); /* NULL is allowed */

/* For its figures and its ledger. */
pl_loader *pl_feed_loader(const pl_feed *feed);

/* The next leaf: its views for `images` as pl_exec_fetch has it, and the rest as it comes from the
 * loader, valid until the next call. */
pl_status pl_feed_next(pl_feed *feed, pl_exec_input *images, pl_loader_leaf *leaf);

#endif
