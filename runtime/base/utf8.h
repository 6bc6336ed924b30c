/* UTF-8 as RFC 3629 has it: no overlong forms, no surrogates, nothing above U+10FFFF. */
#ifndef PL_BASE_UTF8_H
#define PL_BASE_UTF8_H

#include <stddef.h>

/* Bytes of the character that begins at `text`, of which `size` bytes are there; 0 for none. */
int pl_utf8_length(const char *text, size_t size);

/* How many bytes from the start on are whole characters: `size` for valid text. */
size_t pl_utf8_valid(const char *text, size_t size);

#endif
