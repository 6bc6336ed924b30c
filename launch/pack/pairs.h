/* A folder of images, each with a text beside it, as a listing. */
#ifndef LAUNCH_PACK_PAIRS_H
#define LAUNCH_PACK_PAIRS_H

#include "launch/pack/listing.h"

/* Lists SOURCE/…/a.jpg (.jpeg, .png) with the captions in SOURCE/…/a.txt, of which each line that
 * is not blank is one; sorted by bytes. PL_E_DATA names an image without a text, a text without an
 * image, one that belongs to two images, and one without captions or not in UTF-8; of these the
 * first three come as a count and one example. Not collective. */
pl_status pl_list_pairs(const pl_list_options *options, pl_listing *listing);

#endif
