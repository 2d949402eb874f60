/* The gate and the sessions of a local store: what keeps collection apart from uploads, across
 * processes.
 *
 * The gate is flock(2) on two files: `gate`, held shared by those who decide on what is there and
 * exclusively by collection, and `turnstile`, which collection holds while it waits so that
 * newcomers queue behind it. A session file is locked as long as its process lives and holds the
 * start of its oldest upload; a crash leaves it unlocked. */
#ifndef FF_STORE_LOCAL_GATE_H
#define FF_STORE_LOCAL_GATE_H

#include "store/backend.h"

struct local_gate;

/* dir has a folder "sessions". */
int local_gate_open(const char *dir, bool read_only, struct local_gate **ret, struct err *err);
void local_gate_close(struct local_gate *g);
int local_gate_enter(struct local_gate *g, bool exclusive, struct err *err);
void local_gate_leave(struct local_gate *g, bool exclusive);
int local_collecting_set(struct local_gate *g, int64_t before_ns, struct err *err);
int local_collecting_before(struct local_gate *g, int64_t *ret_ns, struct err *err);
int local_session_begin(struct local_gate *g, bool all, int64_t *ret_start_ns, struct err *err);
void local_session_end(struct local_gate *g, int64_t start_ns);
int local_session_oldest(struct local_gate *g, bool others, int64_t *ret_ns, struct err *err);
/* The name of this process's session file (made if absent): temporary files that begin with it are
 * in use while it lives. Borrowed. */
int local_session_name(struct local_gate *g, const char **ret, struct err *err);
/* Does the session that a temporary file is named after live? Removes its file if not. Under the
 * exclusive gate. */
bool local_session_alive(struct local_gate *g, const char *session_name);

#endif
