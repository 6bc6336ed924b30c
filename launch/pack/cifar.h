/* The binary files of CIFAR-10 and CIFAR-100 as a source of samples (Krizhevsky 2009; layout as
 * described at the data set's home page: label bytes, then 3 planes of 32 x 32). */
#ifndef LAUNCH_PACK_CIFAR_H
#define LAUNCH_PACK_CIFAR_H

#include "launch/pack/pack.h"

typedef struct pl_cifar pl_cifar;

/* Which of the two the files in `folder` are: 10, 100, or 0 for neither. */
int pl_cifar_detect(const char *folder);

/* Opens the training or test files of `folder`. `classes` is 10 or 100 (fine labels). Class names
 * come from batches.meta.txt or fine_label_names.txt, and are numbers without these. PL_E_DATA for
 * missing files and wrong sizes. Not collective. */
pl_status pl_cifar_open(const char *folder, int classes, bool test, pl_cifar **out);
void pl_cifar_close(pl_cifar **cifar);

const pl_source *pl_cifar_source(const pl_cifar *cifar);

#endif
