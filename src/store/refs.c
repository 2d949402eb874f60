#include "store/refs.h"

#include "codec/json.h"
#include "store/store.h"

#define DEPTH_MAX 64

struct walk {
    int (*each)(void *arg, json_t *object, const char *ref, struct err *err);
    void *arg;
};

static int walk(const struct walk *w, json_t *v, int depth, struct err *err)
{
    const char *ref = json_str(v, "ref", NULL), *key;
    json_t *item;
    size_t i;
    int r = 0;
    if (depth > DEPTH_MAX)
        return err_set(err, ERR_LIMIT, "the input is nested deeper than %d", DEPTH_MAX);
    if (ref && store_ref_valid(ref))
        return w->each(w->arg, v, ref, err);
    json_object_foreach(v, key, item) {
        r = walk(w, item, depth + 1, err);
        if (r < 0)
            return r;
    }
    json_array_foreach(v, i, item) {
        r = walk(w, item, depth + 1, err);
        if (r < 0)
            return r;
    }
    return 0;
}

int refs_each(json_t *v, int (*each)(void *arg, json_t *object, const char *ref, struct err *err), void *arg, struct err *err)
{
    const struct walk w = {each, arg};
    return walk(&w, v, 0, err);
}
