#include "scan/scan_input.h"

#include "base/units.h"
#include "scan/walk.h"

int scan_patterns_init(struct scan_patterns *p, const json_t *input, const char *key, struct err *err)
{
    const json_t *list = json_object_get(input, key), *item;
    size_t i;
    p->list = NULL;
    if (!list || json_is_null(list))
        return 0;
    if (!json_is_array(list))
        return err_set(err, ERR_INVALID, "%s: a list of globs is wanted", key);
    if (json_array_size(list) > SCAN_PATTERNS_MAX)
        return err_set(err, ERR_LIMIT, "%s: more than %d globs", key, SCAN_PATTERNS_MAX);
    json_array_foreach(list, i, item)
        if (!json_is_string(item))
            return err_set(err, ERR_INVALID, "%s: item %zu is no string", key, i + 1);
    if (json_array_size(list))
        p->list = list;
    return 0;
}

bool scan_patterns_fit(const struct scan_patterns *p, const char *path)
{
    const json_t *item;
    size_t i;
    if (!p->list)
        return true;
    json_array_foreach(p->list, i, item)
        if (walk_glob_any(json_string_value(item), path))
            return true;
    return false;
}

int scan_input_size(const json_t *input, const char *key, uint64_t def, uint64_t *ret, struct err *err)
{
    const json_t *j = json_object_get(input, key);
    *ret = def;
    if (!j || json_is_null(j))
        return 0;
    if (json_is_string(j)) {
        int r = units_parse_size(json_string_value(j), ret, err);
        return r < 0 ? err_wrap(err, "%s", key) : 0;
    }
    if (!json_is_integer(j) || json_integer_value(j) < 0)
        return err_set(err, ERR_INVALID, "%s: a size in bytes is wanted", key);
    *ret = (uint64_t)json_integer_value(j);
    return 0;
}
