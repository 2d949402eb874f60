/* Room on the disk for whoever makes room: a file that only holds its place, and is given up when there is none. */
#ifndef FF_OS_RESERVE_H
#define FF_OS_RESERVE_H

/* Makes the file if it is missing and there is room for all of it. What was given up is taken back, as far as it is there. */
void os_reserve_keep(const char *dir);
/* Gives it up if there is less room than it has. Who is done calls os_reserve_keep(). */
void os_reserve_give(const char *dir);

#endif
