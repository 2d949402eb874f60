#include "store/sessions.h"

#include "os/clock.h"
#include "store/backend.h"

int sessions_begin(struct sessions *t, bool all, int64_t *ret_start_ns, struct err *err)
{
    if (t->len == SESSIONS_MAX)
        return err_set(err, ERR_BUSY, "over %d uploads at a time", SESSIONS_MAX);
    *ret_start_ns = all ? SESSION_ALL_NS : os_now_ns();
    t->starts[t->len++] = *ret_start_ns;
    return 0;
}

bool sessions_end(struct sessions *t, int64_t start_ns)
{
    for (size_t i = 0; i < t->len; i++)
        if (t->starts[i] == start_ns) {
            t->starts[i] = t->starts[--t->len];
            return true;
        }
    return false;
}

int64_t sessions_oldest(const struct sessions *t, bool all)
{
    int64_t oldest = INT64_MAX;
    for (size_t i = 0; i < t->len; i++)
        if (!all || t->starts[i] == SESSION_ALL_NS)
            oldest = t->starts[i] < oldest ? t->starts[i] : oldest;
    return oldest;
}
