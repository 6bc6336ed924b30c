/* Pictures of what an encoder has learned: nearest neighbours of a few samples, augmented views of
 * a few, and a map of embeddings by label (the two leading principal components). */
#ifndef LAUNCH_GALLERY_GALLERY_H
#define LAUNCH_GALLERY_GALLERY_H

#include "comm/comm.h"
#include "runtime/config/config.h"
#include "runtime/data/dataset.h"
#include "runtime/net/net.h"

/* Embeds config->report.samples samples of `dataset`, drawn at random by the seed, with `encoder`
 * (for config->eval.micro rows, loaded), and writes the pictures on rank 0 to `path`: a piece of
 * HTML to be put into the report as it is, images within it, in the colours of the page. The same
 * bytes on any number of ranks. With no samples it writes nothing. Errors are agreed. Collective.
 */
pl_status pl_gallery_write(pl_comm *comm, const pl_config *config, pl_net *encoder,
                           const pl_dataset *dataset, const char *path);

#endif
