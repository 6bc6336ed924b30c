/* Tar files in the layout of WebDataset as a listing. */
#ifndef LAUNCH_PACK_WEBDATASET_H
#define LAUNCH_PACK_WEBDATASET_H

#include "launch/pack/listing.h"

/* Whether `path` is a tar file by its name, or a folder that holds some and neither images nor
 * folders. */
bool pl_webdataset_detect(const char *path);

/* Lists one tar file, or those in a folder, sorted by bytes. Members whose names are alike up to
 * the first dot behind the last slash, and that follow one another, are one sample: KEY.jpg,
 * KEY.jpeg or KEY.png, KEY.txt with one caption, KEY.cls with the label. Others are passed over.
 * Either all samples have a caption or none; a label may be missing. PL_E_DATA names tar file and
 * sample. Not collective. */
pl_status pl_list_webdataset(const pl_list_options *options, pl_listing *listing);

#endif
