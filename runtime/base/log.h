/* The log: one sink for the process, the only global state besides the per-thread error reason.
 *
 * Lines go to stderr (from the level on that pl_log_set_level chose) and, once pl_log_open was
 * called, to a file as well (all levels). stdout stays free for results. */
#ifndef PL_BASE_LOG_H
#define PL_BASE_LOG_H

#include "runtime/base/status.h"

typedef enum pl_log_level { PL_LOG_DEBUG, PL_LOG_INFO, PL_LOG_WARN, PL_LOG_ERROR } pl_log_level;

/* Lines below `level` are not shown on stderr. Not collective. */
void pl_log_set_level(pl_log_level level);

/* Appends all further lines, with time stamps, to the file at `path`. PL_E_IO when it can't be
 * opened. */
pl_status pl_log_open(const char *path);
void pl_log_close(void);

/* A line of progress: on a terminal it replaces the one before; elsewhere it is a plain line. An
 * empty text ends the line that is shown. Any other log line first moves off it. */
void pl_log_progress(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Whether stderr is a terminal, so that callers can choose how often to show progress. */
int pl_log_is_terminal(void);

void pl_log(pl_log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define PL_DEBUG_LOG(...) pl_log(PL_LOG_DEBUG, __VA_ARGS__)
#define PL_INFO(...) pl_log(PL_LOG_INFO, __VA_ARGS__)
#define PL_WARN(...) pl_log(PL_LOG_WARN, __VA_ARGS__)
#define PL_ERROR(...) pl_log(PL_LOG_ERROR, __VA_ARGS__)

#endif
