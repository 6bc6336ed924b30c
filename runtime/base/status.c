#include "runtime/base/status.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static _Thread_local pl_reason last_reason;

pl_status pl_vfail_at(const char *file, int line, pl_status code, const char *format,
                      va_list args) {
  last_reason.code = code;
  last_reason.file = file;
  last_reason.line = line;
  /* The arguments may point into the old message. */
  char message[PL_REASON_MAX];
  vsnprintf(message, sizeof message, format, args);
  memcpy(last_reason.message, message, sizeof message);
  return code;
}

pl_status pl_fail_at(const char *file, int line, pl_status code, const char *format, ...) {
  va_list args;
  va_start(args, format);
  pl_vfail_at(file, line, code, format, args);
  va_end(args);
  return code;
}

pl_status pl_context(pl_status code, const char *format, ...) {
  if (code == PL_OK) return code;
  char context[PL_REASON_MAX];
  va_list args;
  va_start(args, format);
  vsnprintf(context, sizeof context, format, args);
  va_end(args);
  char *end = context + sizeof context - 1;
  char *to = context + strlen(context);
  const char *parts[] = {": ", last_reason.message};
  for (int k = 0; k < 2; k++) {
    for (const char *from = parts[k]; *from != '\0' && to < end; from++) *to++ = *from;
  }
  *to = '\0';
  memcpy(last_reason.message, context, sizeof context);
  return code;
}

const pl_reason *pl_last_reason(void) { return &last_reason; }

pl_status pl_adopt_reason(const pl_reason *reason) {
  last_reason = *reason;
  return reason->code;
}

const char *pl_status_name(pl_status code) {
  switch (code) {
    case PL_OK: return "success";
    case PL_E_USAGE: return "usage or configuration error";
    case PL_E_DATA: return "data error";
    case PL_E_INTERNAL: return "internal error";
    case PL_E_IO: return "input/output error";
    case PL_E_STOPPED: return "stopped on request";
    case PL_E_WATCHDOG: return "watchdog";
  }
  return "unknown status";
}

#ifdef PL_DEBUG
void pl_invariant_broken(const char *file, int line, const char *what) {
  fprintf(stderr, "plenum: %s:%d: broken invariant: %s\n", file, line, what);
  abort();
}
#endif
