#include "store/said.h"

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/units.h"
#include "os/clock.h"
#include "store/digest.h"

#include <string.h>

#define OWNER "said/" /* of the pins: no run's, and no namespace's */
#define KEEP_NS (INT64_C(400) * 86400 * NS_PER_S)

static char *text_of(const json_t *what)
{
    return json_dumps(what, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY);
}

int store_said(struct store *s, const json_t *what, bool *ret, struct err *err)
{
    _cleanup_free_ char *text = text_of(what);
    struct store_ref ref;
    struct digest d;
    *ret = false;
    int r = text ? digest_of(text, strlen(text), &d, err) : err_nomem(err);
    if (r < 0)
        return r;
    digest_to_ref(&d, &ref);
    return store_pinned(s, OWNER, ref.text, ret, err);
}

int store_say(struct store *s, const json_t *what, struct err *err)
{
    _cleanup_free_ char *text = text_of(what);
    struct store_ref ref;
    int r = text ? store_put(s, text, strlen(text), "application/json", &ref, err) : err_nomem(err);
    return r < 0 ? r : store_pin(s, OWNER, ref.text, os_now_ns() + KEEP_NS, err);
}
