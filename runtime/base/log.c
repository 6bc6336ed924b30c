#include "runtime/base/log.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

static struct {
  pthread_mutex_t lock;
  pl_log_level level;
  FILE *file;
  int progress_shown; /* a progress line stands on the terminal, without a newline */
} sink = {.lock = PTHREAD_MUTEX_INITIALIZER, .level = PL_LOG_INFO};

void pl_log_set_level(pl_log_level level) {
  pthread_mutex_lock(&sink.lock);
  sink.level = level;
  pthread_mutex_unlock(&sink.lock);
}

pl_status pl_log_open(const char *path) {
  FILE *file = fopen(path, "a");
  if (!file) return PL_FAIL(PL_E_IO, "cannot open log file %s: %s", path, strerror(errno));
  pthread_mutex_lock(&sink.lock);
  if (sink.file) fclose(sink.file);
  sink.file = file;
  pthread_mutex_unlock(&sink.lock);
  return PL_OK;
}

void pl_log_close(void) {
  pthread_mutex_lock(&sink.lock);
  if (sink.file) fclose(sink.file);
  sink.file = NULL;
  pthread_mutex_unlock(&sink.lock);
}

int pl_log_is_terminal(void) { return isatty(STDERR_FILENO); }

static void write_to_file(const char *level, const char *text) {
  if (!sink.file) return;
  char stamp[32];
  time_t now = time(NULL);
  struct tm broken_down;
  strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S", localtime_r(&now, &broken_down));
  fprintf(sink.file, "%s %s%s\n", stamp, level, text);
  fflush(sink.file);
}

/* Messages name files, and a file's name may hold what moves the cursor of a terminal. */
static void hide_controls(char *text) {
  for (; *text; text++) {
    if ((unsigned char)*text < 0x20 || *text == 0x7F) *text = '?';
  }
}

void pl_log(pl_log_level level, const char *format, ...) {
  static const char *const names[] = {"debug: ", "", "warning: ", "error: "};
  char text[4096];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  hide_controls(text);
  pthread_mutex_lock(&sink.lock);
  if (level >= sink.level) {
    if (sink.progress_shown) fputc('\n', stderr);
    sink.progress_shown = 0;
    fprintf(stderr, "%s%s\n", names[level], text);
  }
  write_to_file(names[level], text);
  pthread_mutex_unlock(&sink.lock);
}

/* Columns that a line may take: one that wraps can't be renewed in place. */
static int terminal_columns(void) {
  struct winsize size;
  bool known = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1;
  return known ? size.ws_col - 1 : INT_MAX;
}

void pl_log_progress(const char *format, ...) {
  char text[1024];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  pthread_mutex_lock(&sink.lock);
  if (pl_log_is_terminal()) {
    if (text[0] != '\0') {
      fprintf(stderr, "\r\033[K%.*s", terminal_columns(), text);
      sink.progress_shown = 1;
    } else if (sink.progress_shown) {
      fputc('\n', stderr);
      sink.progress_shown = 0;
    }
    fflush(stderr);
  } else if (text[0] != '\0' && sink.level <= PL_LOG_INFO) {
    fprintf(stderr, "%s\n", text);
  }
  if (text[0] != '\0') write_to_file("", text);
  pthread_mutex_unlock(&sink.lock);
}
