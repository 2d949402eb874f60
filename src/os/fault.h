/* The seam where tests make system calls fail.
 *
 * Every wrapper of os/ asks os_fault("name") first; other code that makes a system call worth failing may
 * ask too. A test sets a countdown: step 1, 2, 3, ... fails until the operation passes clean. */
#ifndef FF_OS_FAULT_H
#define FF_OS_FAULT_H

#include <stdbool.h>

/* The n-th asked call from now on fails with errnum (and all later ones if sticky); n = 0 turns it off.
 * only, if not NULL, counts just the calls of that name. */
void os_fault_set(long n, int errnum, bool sticky, const char *only);
/* Has it happened since it was set? */
bool os_fault_hit(void);
/* 0, or the errno with which the call must fail now. */
int os_fault(const char *call);

#endif
