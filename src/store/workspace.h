/* Workspaces: a tree laid out as a folder for an activity, in one of three isolation modes.
 *
 *  shared         one read-only layout a tree, used by all; nobody can change it
 *  isolated       a private copy a run, writable, removed with the run; never linked to another's files
 *  copy-on-write  the shared layout below, a private upper layer (overlayfs where it is there, else a private copy)
 *
 * Layouts are cached under the state folder, bounded in bytes, least recently used first out; one
 * in use is never removed. */
#ifndef FF_STORE_WORKSPACE_H
#define FF_STORE_WORKSPACE_H

#include "store/store.h"

#include <sys/types.h>

enum isolation { ISOLATION_ISOLATED, ISOLATION_SHARED, ISOLATION_COPY_ON_WRITE };

const char *isolation_name(enum isolation i);
int isolation_parse(const char *text, enum isolation *ret, struct err *err);

struct workspaces; /* the cache */
struct workspace;  /* one in use */

struct workspaces_options {
    const char *dir;        /* say <state>/cache/workspaces */
    uint64_t max_bytes;     /* 0: 10 GB */
    int64_t ttl_ms;         /* unused longer than this may go; 0: 7 days */
    bool overlay;           /* the sandbox can mount overlays; else copy-on-write is a private copy */
    bool set_owner;         /* private folders belong to these: whom the sandboxed process is on the host */
    uid_t owner_uid;
    gid_t owner_gid;
};
int workspaces_open(struct store *s, const struct workspaces_options *o, struct workspaces **ret,
                    struct err *err);
void workspaces_free(struct workspaces *w);

/* key: the run's id: activities of one run with the same key get the same private folder. */
int workspace_acquire(struct workspaces *w, const char *tree_ref, enum isolation mode,
                      const char *key, struct workspace **ret, struct err *err);
void workspace_release(struct workspace *ws);
/* What the sandbox mounts at /workspace. lower is a folder on the host; upper and work are NULL
 * unless the sandbox must put an overlay over lower (copy-on-write with overlayfs: the mount is
 * made inside the sandbox's own mount namespace). Borrowed until release. */
const char *workspace_lower(const struct workspace *ws);
const char *workspace_upper(const struct workspace *ws);
const char *workspace_work(const struct workspace *ws);
bool workspace_read_only(const struct workspace *ws);
/* Removes the private folders of a run that ended; -ERR_BUSY if one is in use (it goes with its
 * time to live). */
int workspaces_forget(struct workspaces *w, const char *key, struct err *err);

#endif
