/* Time for measuring, from a clock that never jumps. */
#ifndef PL_BASE_CLOCK_H
#define PL_BASE_CLOCK_H

/* Milliseconds since an arbitrary start, monotonic. */
double pl_now_ms(void);

#endif
