/* Status codes and the reason carried with them.
 *
 * Every function that can fail returns a pl_status; zero is success. The code is also the exit code
 * of the program, so that no table translates between the two. The human-readable reason is kept
 * per thread, like errno: it is set by PL_FAIL where the error is found, may be given context on
 * the way up, and is read once by whoever decides what to do. Library code never exits and never
 * prints to stdout. */
#ifndef PL_BASE_STATUS_H
#define PL_BASE_STATUS_H

#include <stdarg.h>

typedef enum pl_status {
  PL_OK = 0,
  PL_E_USAGE = 64,    /* bad usage or configuration */
  PL_E_DATA = 65,     /* corrupt shard, missing file, undecodable input */
  PL_E_INTERNAL = 70, /* a bug, or memory that could not be had */
  PL_E_IO = 74,       /* input/output failure: disk full, read error */
  PL_E_STOPPED = 75,  /* checkpointed and stopped on request */
  PL_E_WATCHDOG = 124 /* a rank or a collective hung */
} pl_status;

enum { PL_REASON_MAX = 2048 };

/* What went wrong and where it was noticed. Plain data: copy it to hand it to another thread. */
typedef struct pl_reason {
  pl_status code;
  const char *file; /* source file and line of the PL_FAIL; static strings */
  int line;
  char message[PL_REASON_MAX];
} pl_reason;

/* Records a reason for the calling thread and returns `code`. Use through PL_FAIL. */
pl_status pl_fail_at(const char *file, int line, pl_status code, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
pl_status pl_vfail_at(const char *file, int line, pl_status code, const char *format, va_list args)
    __attribute__((format(printf, 4, 0)));

/* Puts "context: " in front of the calling thread's reason; returns `code` unchanged. Does nothing
 * for PL_OK. */
pl_status pl_context(pl_status code, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The calling thread's last reason. Valid until the thread's next failure. */
const pl_reason *pl_last_reason(void);

/* Makes `reason` the calling thread's last reason; returns its code. */
pl_status pl_adopt_reason(const pl_reason *reason);

/* "configuration error", "data error" … for messages. Static string. */
const char *pl_status_name(pl_status code);

/* Gives `code`, where compilers and checkers see that it is no success. */
static inline pl_status pl_failed(pl_status recorded, pl_status code) {
  (void)recorded;
  return code;
}

#define PL_FAIL(code, ...) pl_failed(pl_fail_at(__FILE__, __LINE__, (code), __VA_ARGS__), (code))

/* Returns from the calling function with the status of a failed call. */
#define PL_TRY(call)                                    \
  do {                                                  \
    pl_status pl_try_status_ = (call);                  \
    if (pl_try_status_ != PL_OK) return pl_try_status_; \
  } while (0)

/* Stores a failed call's status in `status` and jumps to `label`, the one way out of a function
 * that owns resources. */
#define PL_TRY_OR(label, status, call) \
  do {                                 \
    (status) = (call);                 \
    if ((status) != PL_OK) goto label; \
  } while (0)

/* Debug-only check of an invariant of our own; never for anything that comes from outside. */
#ifdef PL_DEBUG
void pl_invariant_broken(const char *file, int line, const char *what) __attribute__((noreturn));
#define PL_INVARIANT(condition) \
  ((condition) ? (void)0 : pl_invariant_broken(__FILE__, __LINE__, #condition))
#else
#define PL_INVARIANT(condition) ((void)sizeof(condition))
#endif

#endif
