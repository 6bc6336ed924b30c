/* Text and figures as they stand in the page. */
#ifndef LAUNCH_REPORT_HTML_H
#define LAUNCH_REPORT_HTML_H

#include <stdint.h>
#include <stdio.h>

/* Text from outside, escaped for content and quoted attributes; bytes that are no UTF-8 and control
 * characters become U+FFFD. */
void pl_html_text(FILE *page, const char *text);

/* A dash for what is not finite; otherwise four significant digits, a proper minus. */
void pl_html_number(FILE *page, double value);
/* "50,000". */
void pl_html_count(FILE *page, int64_t count);
/* "5.73 MB"; "812 ms", "2.4 s", "3:05 min", "1:03:09 h". */
void pl_html_bytes(FILE *page, double bytes);
void pl_html_time(FILE *page, double ms);
/* "51.2 %" of a share. */
void pl_html_share(FILE *page, double share);

#endif
