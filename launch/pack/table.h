/* A TSV or CSV file of image paths and captions as a listing. */
#ifndef LAUNCH_PACK_TABLE_H
#define LAUNCH_PACK_TABLE_H

#include "launch/pack/listing.h"

/* Whether a file's name ends in .tsv or .csv. */
bool pl_table_detect(const char *path);

/* Each row of the table (launch/pack/rows.h) but the first, which names the columns, is an image:
 * its path, from the table's folder on unless it begins with '/', the captions in the columns named
 * (separated by commas; a row needs one at least), and where a label column is named, its label or
 * nothing. PL_E_DATA names file and line. Not collective. */
pl_status pl_list_table(const pl_list_options *options, pl_listing *listing);

#endif
