/* The arithmetic of the rules on one element, written once for all who compute it. The formulas and
 * where they come from stand in sgd.c, lars.c, adamw.c and lamb.c.
 *
 * w: the parameter; g: its gradient; m, v: the moments. Device code defines PL_OPTIM_CODE as what
 * its functions begin with. */
#ifndef PL_OPTIM_ELEMENT_H
#define PL_OPTIM_ELEMENT_H

#include <math.h>

#include "runtime/optim/rule.h"

#ifndef PL_OPTIM_CODE
#define PL_OPTIM_CODE static inline
#endif

/* A parameter's rates. */
PL_OPTIM_CODE pl_optim_rates pl_optim_rates_of(const pl_optim_pass *pass, const pl_optim_own *own) {
  pl_optim_rates rates = pass->rates[own->weight ? 1 : 0];
  rates.lr = own->lr;
  rates.kept = own->kept;
  rates.most = own->most;
  return rates;
}

PL_OPTIM_CODE float pl_optim_held(float w, const pl_optim_rates *r) {
  return w > r->most ? r->most : w;
}

PL_OPTIM_CODE void pl_optim_sgd_element(const pl_optim_rates *r, float g, float *w, float *m) {
  float d = g + r->decay * *w;
  *m = r->momentum * *m + d;
  *w = pl_optim_held(*w - r->lr * (r->share_of_d * d + r->share_of_m * *m), r);
}

PL_OPTIM_CODE float pl_optim_lars_direction(const pl_optim_rates *r, float g, float w) {
  return g + r->decay * w;
}

PL_OPTIM_CODE void pl_optim_lars_element(const pl_optim_rates *r, float g, float *w, float *m) {
  float d = r->lr * pl_optim_lars_direction(r, g, *w);
  *m = r->momentum * *m + d;
  *w = pl_optim_held(*w - (r->share_of_d * d + r->share_of_m * *m), r);
}

/* The moments of Adam, and the step that they make. */
PL_OPTIM_CODE float pl_optim_adapted(const pl_optim_rates *r, float g, float *m, float *v) {
  *m = r->beta1 * *m + r->rest1 * g;
  *v = r->beta2 * *v + r->rest2 * (g * g);
  return *m * r->correct1 / (sqrtf(*v * r->correct2) + r->epsilon);
}

PL_OPTIM_CODE void pl_optim_adamw_element(const pl_optim_rates *r, float g, float *w, float *m,
                                          float *v) {
  float adapted = pl_optim_adapted(r, g, m, v);
  *w = pl_optim_held(r->kept * *w - r->lr * adapted, r);
}

PL_OPTIM_CODE float pl_optim_lamb_direction(const pl_optim_rates *r, float g, float w, float *m,
                                            float *v) {
  return pl_optim_adapted(r, g, m, v) + r->decay * w;
}

PL_OPTIM_CODE void pl_optim_lamb_element(const pl_optim_rates *r, float g, float *w, float *m,
                                         float *v) {
  *w = pl_optim_held(*w - r->lr * pl_optim_lamb_direction(r, g, *w, m, v), r);
}

#endif
