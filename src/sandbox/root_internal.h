/* Between root.c (the template) and its parts. */
#ifndef FF_SANDBOX_ROOT_INTERNAL_H
#define FF_SANDBOX_ROOT_INTERNAL_H

#include "base/err.h"

/* Where the layers of an overlay stand for a moment while it is mounted; relative to the root. */
#define ROOT_LAYERS ".layers"
#define ROOT_LOWER ".layers/lower"
#define ROOT_UPPER ".layers/upper"

/* etc.c: fills ./etc. */
int root_add_etc(struct err *err);

#endif
