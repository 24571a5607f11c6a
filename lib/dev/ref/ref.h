/* The backend "ref": plain loops over any layout, the meaning of every plain step. One
 * thread, no brackets, fp32 with long sums in double. Built in. */
#ifndef DEV_REF_REF_H
#define DEV_REF_REF_H

#include "dev/dev.h"

extern const struct backend ref_backend;

#endif
