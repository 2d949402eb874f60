/* A backup becomes a state: read and checked aside, then moved to its place.
 *
 * A crash leaves one of: `restoring` (what there was is whole), `restore.ready` (the old is going), `restore.moving` (the new
 * is coming). With either of the last two the state is nobody's to open until restore_state() or restore_resume() has ended its
 * work.
 *
 * A server stages a backup beside the state that it serves, and commits it when it has closed that. */
#ifndef FF_CLI_RESTORE_H
#define FF_CLI_RESTORE_H

#include "api/access/audit.h"
#include "cli/backup.h"

/* The caller holds the state's lock. -ERR_EXISTS: it is not empty, and not to be replaced. */
int restore_state(int fd, const char *state_dir, bool replace, struct backup_count *ret, struct err *err);
/* The first half: nothing of the state is changed. asked: is added to the audit log that comes; NULL: nothing. By the
 * process that holds the state, once at a time. */
int restore_stage(int fd, const char *state_dir, const struct audit_entry *asked, struct backup_count *ret, struct err *err);
/* What the first half has made is not wanted. */
void restore_drop(const char *state_dir);
/* The second, of a state that is closed; the caller holds its lock, as for those below. */
int restore_commit(const char *state_dir, struct err *err);
/* Ends a restore that was cut short when all of the new state was there; else what came of it is removed. */
int restore_resume(const char *state_dir, struct err *err);
/* Is there something for restore_resume()? Needs no lock. */
bool restore_is_left(const char *state_dir);
/* -ERR_STATE: a restore was cut short. */
int restore_check(const char *state_dir, struct err *err);

#endif
