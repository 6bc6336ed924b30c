/* The report: one self-contained HTML page of a run, or of several compared, from what they left in
 * their folders (metrics.jsonl, run.yaml, pictures.html, the newest checkpoint's ledger). */
#ifndef LAUNCH_REPORT_REPORT_H
#define LAUNCH_REPORT_REPORT_H

#include "runtime/base/status.h"

/* Reads the folders of `count` runs and writes the page to `path`, durably. A run that is still
 * going on, or was killed, is fine; PL_E_DATA names the file that is missing or wrong. One process
 * calls it. */
pl_status pl_report_write(const char *const *runs, int count, const char *path);

#endif
