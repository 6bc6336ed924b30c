/* A folder of images, or of class folders of images, as a listing. */
#ifndef LAUNCH_PACK_FOLDER_H
#define LAUNCH_PACK_FOLDER_H

#include "launch/pack/listing.h"

/* Lists SOURCE/<class>/…/<name>.jpg, .jpeg and .png, or, where there are no folders in it,
 * SOURCE/<name>.jpg …, sorted by bytes, class by class. PL_E_DATA for a class without images, and
 * for images beside class folders. Not collective. */
pl_status pl_list_folder(const pl_list_options *options, pl_listing *listing);

#endif
