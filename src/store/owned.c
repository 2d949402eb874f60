#include "store/owned.h"

#include "base/cleanup.h"
#include "base/mem.h"
#include "store/digest.h"

#include <string.h>

static bool is_default(const char *name_space)
{
    return strcmp(name_space, "default") == 0;
}

char *store_run_owner(const char *name_space, const char *workflow_id)
{
    return is_default(name_space) ? mem_printf("run/%s", workflow_id) : mem_printf("run@%s/%s", name_space, workflow_id);
}

bool store_owner_is_of(const char *owner, const char *name_space)
{
    static const char *const all[] = {"script/", "user/", "findings/"}, *const plain[] = {"run/", "payload/"},
                            *const named[] = {"run@", "payload@", "memory@", "handover@"};
    size_t n = strlen(name_space);
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        if (strncmp(owner, all[i], strlen(all[i])) == 0)
            return true;
    for (size_t i = 0; i < ARRAY_LEN(plain); i++)
        if (is_default(name_space) && strncmp(owner, plain[i], strlen(plain[i])) == 0)
            return true;
    for (size_t i = 0; i < ARRAY_LEN(named); i++) {
        size_t m = strlen(named[i]);
        if (strncmp(owner, named[i], m) == 0 && strncmp(owner + m, name_space, n) == 0 && owner[m + n] == '/')
            return true;
    }
    return false;
}

/* What has no bytes is nobody's: most runs find nothing, and name this. */
static bool is_empty(const char *ref)
{
    struct digest d;
    struct store_ref nothing;
    if (digest_of("", 0, &d, NULL) < 0)
        return false;
    digest_to_ref(&d, &nothing);
    return strcmp(nothing.text, ref) == 0;
}

struct search {
    const char *name_space;
    bool found;
};

static int look(void *arg, const char *owner, const char *ref, struct err *err)
{
    struct search *s = arg;
    (void)ref;
    (void)err;
    s->found = s->found || store_owner_is_of(owner, s->name_space);
    return 0;
}

int store_owned(struct store *s, const char *name_space, const char *workflow_id, const char *ref, bool *ret_pinned,
                struct err *err)
{
    struct search search = {.name_space = name_space};
    _cleanup_free_ char *owner = workflow_id ? store_run_owner(name_space, workflow_id) : NULL;
    bool pinned = false;
    if (workflow_id && !owner)
        return err_nomem(err);
    int r = owner ? store_pinned(s, owner, ref, &pinned, err) : 0;
    if (ret_pinned)
        *ret_pinned = pinned;
    if (r < 0 || pinned || is_empty(ref))
        return r;
    r = store_each_pin_on(s, ref, look, &search, err);
    return r < 0 || search.found ? r : err_set(err, ERR_NOT_FOUND, "no object %s in the store", ref);
}
