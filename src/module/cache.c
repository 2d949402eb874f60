#include "module/cache.h"

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/units.h"
#include "codec/json.h"
#include "os/clock.h"
#include "os/file.h"
#include "store/digest.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define ENTRY_TYPE "application/vnd.fuzzforge.cache+json"
#define ENTRY_MAX ((size_t)8 << 20)
#define OWNER_SIZE (MODULE_CACHE_KEY_SIZE + 16)

int module_cache_key(const struct module *m, const char *scope, const char *tree, const json_t *input, const char *tools,
                     char ret[MODULE_CACHE_KEY_SIZE], struct err *err)
{
    if (!m || !m->identity || !tree)
        return -ERR_UNIMPLEMENTED;
    struct strbuf b = STRBUF_INIT;
    struct digest d;
    strbuf_printf(&b, "1\n%s\n%s %s\n%s\n", scope, m->name, m->version, tree);
    int r = m->identity(input, tools, &b, err);
    if (r == 0)
        r = strbuf_check(&b, err);
    if (r == 0)
        r = digest_of(strbuf_str(&b), b.len, &d, err);
    if (r == 0)
        digest_hex(&d, ret);
    strbuf_release(&b);
    return r;
}

static void entry_owner(const char *key, char ret[OWNER_SIZE])
{
    snprintf(ret, OWNER_SIZE, "cache/%s", key);
}

/* Calls back for each object that an answer names. */
static int each_object(struct store *s, const json_t *answer, int (*each)(struct store *, void *, const char *, struct err *),
                       void *arg, struct err *err)
{
    const char *name, *findings = json_str(json_object_get(answer, "findings"), "ref", NULL);
    json_t *a;
    int r = findings ? each(s, arg, findings, err) : 0;
    json_object_foreach(json_object_get(answer, "artifacts"), name, a)
        if (r == 0)
            r = each(s, arg, json_str(a, "ref", ""), err);
    return r;
}

static int read_whole(struct store *s, void *arg, const char *ref, struct err *err)
{
    return store_get_fd(s, ref, *(int *)arg, NULL, err);
}

struct finding_entry {
    struct store *s;
    const char *key;
    json_t *answer;
};

static int look_at(void *arg, const char *owner, const char *ref, struct err *err)
{
    struct finding_entry *f = arg;
    struct store_object_info info;
    _cleanup_free_ char *text = NULL;
    _cleanup_json_ json_t *doc = NULL;
    size_t len;
    (void)owner;
    (void)err; /* what cannot be read is no entry */
    if (f->answer || store_stat(f->s, ref, &info, NULL) < 0 || strcmp(info.media_type, ENTRY_TYPE) != 0 ||
        store_get(f->s, ref, ENTRY_MAX, &text, &len, NULL) < 0 || json_parse(text, len, ENTRY_MAX, &doc, NULL) < 0 ||
        strcmp(json_str(doc, "key", ""), f->key) != 0)
        return 0;
    json_t *answer = json_object_get(doc, "answer");
    if (json_is_object(answer))
        f->answer = json_incref(answer);
    return 0;
}

int module_cache_get(struct store *s, const char *key, json_t **ret, struct err *err)
{
    char owner[OWNER_SIZE];
    struct finding_entry f = {.s = s, .key = key};
    entry_owner(key, owner);
    int r = store_each_pin_of(s, owner, look_at, &f, err);
    if (r < 0 || !f.answer)
        return r < 0 ? r : -ERR_NOT_FOUND;
    _cleanup_close_ int null = -1;
    struct err why = {0};
    r = os_open("/dev/null", O_WRONLY, 0, &null, &why);
    if (r == 0)
        r = each_object(s, f.answer, read_whole, &null, &why);
    if (r == -ERR_NOT_FOUND || r == -ERR_CORRUPT) /* after another error it may be read the next time */
        store_unpin_owner(s, owner, NULL);
    if (r < 0) {
        json_decref(f.answer);
        return -ERR_NOT_FOUND;
    }
    module_cache_put(s, key, f.answer, NULL); /* used: it stays for longer */
    *ret = f.answer;
    return 0;
}

struct pinning {
    const char *owner;
    int64_t until_ns;
};

static int pin(struct store *s, void *arg, const char *ref, struct err *err)
{
    const struct pinning *p = arg;
    return store_pin(s, p->owner, ref, p->until_ns, err);
}

int module_cache_put(struct store *s, const char *key, const json_t *answer, struct err *err)
{
    char owner[OWNER_SIZE];
    struct pinning p = {owner, os_now_ns() + MODULE_CACHE_DAYS * INT64_C(86400) * NS_PER_S};
    struct strbuf text = STRBUF_INIT_MAX(ENTRY_MAX);
    struct store_ref ref;
    _cleanup_json_ json_t *doc = json_pack("{s:s, s:O}", "key", key, "answer", answer);
    entry_owner(key, owner);
    int r = doc ? json_write(doc, &text, err) : err_nomem(err);
    if (r == 0)
        r = store_put(s, strbuf_str(&text), text.len, ENTRY_TYPE, &ref, err);
    if (r == 0)
        r = each_object(s, answer, pin, &p, err);
    if (r == 0)
        r = pin(s, &p, ref.text, err);
    strbuf_release(&text);
    return r;
}
