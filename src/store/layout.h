/* Laying a tree out as files. */
#ifndef FF_STORE_LAYOUT_H
#define FF_STORE_LAYOUT_H

#include "store/tree.h"

#include <sys/types.h>

/* All laid-out files carry this time (2000-01-01), so that two layouts of a tree are alike. */
#define LAYOUT_TIME_S INT64_C(946684800)

struct layout_owner {
    uid_t uid; /* (uid_t)-1: leave as it is */
    gid_t gid;
};

/* Fills the empty folder behind dirfd. Never follows a link, never replaces anything: -ERR_EXISTS.
 * Folders 0755, files 0644 or 0755. Not synced: after a crash an incomplete layout is recognised by
 * its missing marker. */
int layout_tree(struct tree *t, int dirfd, struct layout_owner owner, struct err *err);

#endif
