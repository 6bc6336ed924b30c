/* The roll call: how watchdogs learn of each other when calls between ranks hang.
 *
 * It goes through small files in a folder that all ranks see. One rank asks by creating `question`;
 * as long as that file is there, the watchdog of every rank keeps a note `rank-00003` beside it. A
 * rank without a note does not run. */
#ifndef COMM_ROLL_CALL_H
#define COMM_ROLL_CALL_H

#include "comm/backend.h"

enum { PL_NOTE_WORD = 48 };

/* What a rank says of itself. */
typedef struct pl_note {
  int rank; /* this and the host are known from the start, no part of the file */
  char host[PL_HOST_MAX];
  bool there;
  int64_t step;
  double quiet_s;           /* without a sign of life */
  char call[PL_NOTE_WORD];  /* between ranks, in which it waits; "": it works */
  char doing[PL_NOTE_WORD]; /* as pl_comm_alive told */
} pl_note;

/* Removes question and notes of earlier runs. PL_E_IO. */
pl_status pl_roll_call_clean(const char *folder);

/* Asks, unless another rank does: of all that try, one finds *mine true. PL_E_IO. */
pl_status pl_roll_call_ask(const char *folder, bool *mine);
void pl_roll_call_withdraw(const char *folder);
bool pl_roll_call_asked(const char *folder);

/* Writes this rank's note, in place of an earlier one. PL_E_IO. */
pl_status pl_roll_call_answer(const char *folder, const pl_note *note);
void pl_roll_call_retract(const char *folder, int rank);

/* Reads the note of rank note->rank; `there` tells whether there is one. */
void pl_roll_call_read(const char *folder, pl_note *note);

/* Says who hangs in one line: who is silent or works is the cause and comes first, then who waits
 * in what. `note` holds those asked; `text` takes `size` bytes. */
void pl_roll_call_tell(const pl_note *note, int notes, char *text, size_t size);

#endif
