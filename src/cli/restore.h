/* A backup becomes a state: read and checked aside, then moved to its place.
 *
 * A crash leaves one of: `restoring` (what there was is whole), `restore.ready` (the old is going), `restore.moving` (the new
 * is coming). With either of the last two the state is nobody's to open until restore_state() has ended its work. */
#ifndef FF_CLI_RESTORE_H
#define FF_CLI_RESTORE_H

#include "cli/backup.h"

/* The caller holds the state's lock. -ERR_EXISTS: it is not empty, and not to be replaced. */
int restore_state(int fd, const char *state_dir, bool replace, struct backup_count *ret, struct err *err);
/* -ERR_STATE: a restore was cut short. */
int restore_check(const char *state_dir, struct err *err);

#endif
