/* Whether a page is well formed (elements closed in order, attributes quoted, references whole) and
 * its drawings have places. */
#ifndef TESTS_PAGE_H
#define TESTS_PAGE_H

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { PAGE_DEPTH = 64, PAGE_NAME = 32 };

typedef struct page_reader {
  const char *at;
  char open[PAGE_DEPTH][PAGE_NAME]; /* names of the open elements */
  int depth;
} page_reader;

static inline bool page_fails(const page_reader *r, const char *why) {
  fprintf(stderr, "page: %s at \"%.60s\"\n", why, r->at);
  return false;
}

static inline bool page_is_void(const char *name) {
  static const char *const names[] = {"meta", "img", "br", "hr", "link", "input"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    if (strcmp(name, names[i]) == 0) return true;
  }
  return false;
}

/* Past "&name;" or "&#39;". */
static inline bool page_reference(page_reader *r) {
  size_t length = strspn(r->at + 1, "#abcdefghijklmnopqrstuvwxyz0123456789");
  if (length == 0 || r->at[length + 1] != ';') return page_fails(r, "a bare &");
  r->at += length + 2;
  return true;
}

/* Past ` name="value"`, any number of them. */
static inline bool page_attributes(page_reader *r) {
  for (;;) {
    r->at += strspn(r->at, " \n");
    if (*r->at == '>' || *r->at == '/') return true;
    size_t length = strcspn(r->at, "=> \n");
    if (length == 0 || !isalpha((unsigned char)*r->at)) return page_fails(r, "no attribute");
    r->at += length;
    if (*r->at != '=') continue;
    if (r->at[1] != '"') return page_fails(r, "no quoted value");
    for (r->at += 2; *r->at != '"';) {
      if (*r->at == '\0' || *r->at == '<') return page_fails(r, "a value without end");
      if (*r->at != '&') {
        r->at++;
      } else if (!page_reference(r)) {
        return false;
      }
    }
    r->at++;
  }
}

static inline bool page_tag(page_reader *r) {
  char name[PAGE_NAME];
  bool closing = r->at[1] == '/';
  if (strncmp(r->at, "<!DOCTYPE html>", 15) == 0) {
    r->at += 15;
    return true;
  }
  size_t start = closing ? 2 : 1, length = strcspn(r->at + start, " />\n");
  if (length == 0 || length >= sizeof name || !isalpha((unsigned char)r->at[start])) {
    return page_fails(r, "no tag");
  }
  memcpy(name, r->at + start, length);
  name[length] = '\0';
  if (closing) {
    if (r->depth == 0 || strcmp(r->open[r->depth - 1], name) != 0) {
      return page_fails(r, "closes what is not open");
    }
    r->depth--;
    r->at += start + length + 1;
    return r->at[-1] == '>' || page_fails(r, "an odd end");
  }
  r->at += start + length;
  if (!page_attributes(r)) return false;
  bool complete = *r->at == '/' || page_is_void(name);
  r->at += *r->at == '/';
  if (*r->at != '>') return page_fails(r, "a tag without end");
  r->at++;
  if (complete) return true;
  if (r->depth == PAGE_DEPTH) return page_fails(r, "too deep");
  memcpy(r->open[r->depth++], name, length + 1);
  if (strcmp(name, "script") != 0 && strcmp(name, "style") != 0) return true;
  const char *end = strstr(r->at, strcmp(name, "script") == 0 ? "</script>" : "</style>");
  if (!end) return page_fails(r, "a script or style without end");
  r->at = end;
  return true;
}

/* Says what is wrong on stderr. */
static inline bool page_is_well_formed(const char *text) {
  page_reader r = {.at = text};
  while (*r.at) {
    if (*r.at == '>') return page_fails(&r, "a bare >");
    if (*r.at == '<') {
      if (!page_tag(&r)) return false;
    } else if (*r.at == '&') {
      if (!page_reference(&r)) return false;
    } else {
      r.at++;
    }
  }
  return r.depth == 0 || page_fails(&r, r.open[r.depth - 1]);
}

/* Whether all places in drawings are finite numbers; text in the page can't be taken for an
 * attribute, as its quotes are escaped. */
static inline bool page_is_drawn(const char *text) {
  static const char *const names[] = {" d=\"",  " x=\"",  " y=\"",  " cx=\"",       " cy=\"",
                                      " x1=\"", " y1=\"", " y2=\"", " data-plot=\""};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    for (const char *at = text; (at = strstr(at, names[i])) != NULL;) {
      at += strlen(names[i]);
      const char *end = at + strspn(at, "MLHVZ 0123456789.e+-");
      if (*end == '"') continue;
      fprintf(stderr, "page: a place that is none: \"%.60s\"\n", at);
      return false;
    }
  }
  return true;
}

#endif
