#include "store/said.h"

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/units.h"
#include "codec/json.h"
#include "os/clock.h"
#include "store/digest.h"

#include <pthread.h>
#include <string.h>

#define SAID_MAX ((size_t)1 << 20)
#define KEEP_NS (INT64_C(400) * 86400 * NS_PER_S)
#define AGAIN_NS (3600 * NS_PER_S)

static char *text_of(const json_t *what)
{
    return json_dumps(what, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY);
}

static int name_of(const char *text, struct store_ref *ret, struct err *err)
{
    struct digest d;
    int r = digest_of(text, strlen(text), &d, err);
    if (r == 0)
        digest_to_ref(&d, ret);
    return r;
}

int store_said(struct store *s, const json_t *what, bool *ret, struct err *err)
{
    _cleanup_free_ char *text = text_of(what);
    struct store_ref ref;
    *ret = false;
    int r = text ? name_of(text, &ref, err) : err_nomem(err);
    return r < 0 ? r : store_pinned(s, STORE_SAID_OWNER, ref.text, ret, err);
}

/* What was said last: most runs of a process say the same. */
static struct {
    pthread_mutex_t lock;
    const struct store *store;
    struct store_ref ref;
    int64_t at_ns;
} last = {.lock = PTHREAD_MUTEX_INITIALIZER};

static bool is_last(const struct store *s, const char *ref)
{
    pthread_mutex_lock(&last.lock);
    bool same = last.store == s && strcmp(last.ref.text, ref) == 0 && os_now_ns() - last.at_ns < AGAIN_NS;
    pthread_mutex_unlock(&last.lock);
    return same;
}

static void note_last(const struct store *s, const struct store_ref *ref)
{
    pthread_mutex_lock(&last.lock);
    last.store = s;
    last.ref = *ref;
    last.at_ns = os_now_ns();
    pthread_mutex_unlock(&last.lock);
}

int store_say(struct store *s, const json_t *what, struct store_ref *ret, struct err *err)
{
    _cleanup_free_ char *text = text_of(what);
    struct store_ref ref;
    int r = text ? name_of(text, &ref, err) : err_nomem(err);
    if (r == 0 && ret)
        *ret = ref;
    bool said = false;
    if (r == 0 && is_last(s, ref.text))
        r = store_pinned(s, STORE_SAID_OWNER, ref.text, &said, err);
    if (r < 0 || said)
        return r;
    r = store_put(s, text, strlen(text), "application/json", &ref, err);
    if (r == 0)
        r = store_pin(s, STORE_SAID_OWNER, ref.text, os_now_ns() + KEEP_NS, err);
    if (r == 0)
        note_last(s, &ref);
    return r;
}

int store_said_as(struct store *s, const char *ref, json_t **ret, struct err *err)
{
    _cleanup_free_ char *text = NULL;
    bool said = false;
    size_t len;
    *ret = NULL;
    int r = store_ref_valid(ref) ? store_pinned(s, STORE_SAID_OWNER, ref, &said, err) : 0;
    if (r < 0 || !said)
        return r;
    r = store_get(s, ref, SAID_MAX, &text, &len, err);
    return r < 0 ? r : json_parse(text, len, SAID_MAX, ret, err);
}
