/* UTF-8 as RFC 3629 has it: no overlong forms, no surrogates, nothing above U+10FFFF. */
#ifndef PL_BASE_UTF8_H
#define PL_BASE_UTF8_H

#include <stddef.h>
#include <stdint.h>

/* Bytes of the character that begins at `text`, of which `size` bytes are there; 0 for none. */
int pl_utf8_length(const char *text, size_t size);

/* The same; *code: which character it is, left as it was for none. */
int pl_utf8_decode(const char *text, size_t size, uint32_t *code);

/* Writes the character `code`, up to U+10FFFF and no surrogate; its bytes. */
int pl_utf8_encode(uint32_t code, char out[4]);

/* How many bytes from the start on are whole characters: `size` for valid text. */
size_t pl_utf8_valid(const char *text, size_t size);

#endif
