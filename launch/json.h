/* Pieces of JSON (RFC 8259) as runs and commands write them. */
#ifndef LAUNCH_JSON_H
#define LAUNCH_JSON_H

#include <stdio.h>

/* `text` with quotes, escaped; bytes that are no UTF-8 become U+FFFD. */
void pl_json_text(FILE *file, const char *text);

/* A number, or null for what is not finite. */
void pl_json_number(FILE *file, double value);

#endif
