/* Sizes of memory as people write them. */
#ifndef LAUNCH_PLAN_SIZE_H
#define LAUNCH_PLAN_SIZE_H

#include <stdbool.h>
#include <stddef.h>

/* "80GB" and "512 MB" are decimal, "80GiB" binary, and so are "80G" and "500M", as Slurm has them.
 */
bool pl_size_parse(const char *text, size_t *bytes);

/* "1.53 GB", "96.0 MB", "12 kB": three digits, decimal. Returns `text`. */
enum { PL_SIZE_TEXT = 24 };
const char *pl_size_text(size_t bytes, char text[PL_SIZE_TEXT]);

#endif
