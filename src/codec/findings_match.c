/* Which finding is which: fingerprints, ids, the comparison with a baseline, and suppressions. */
#include "codec/findings.h"

#include "base/cleanup.h"
#include "base/map.h"
#include "base/mem.h"
#include "codec/sha256.h"

#include <ctype.h>
#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

/* Adds a text with its NUL, so that two lists of parts never give the same bytes. */
static void add_part(struct sha256 *h, const char *text)
{
    sha256_add(h, text ? text : "", (text ? strlen(text) : 0) + 1);
}

static char *to_hex(const unsigned char *digest)
{
    char *s = mem_alloc(FINDINGS_FINGERPRINT_HEX + 1);
    for (size_t i = 0; s && i < FINDINGS_FINGERPRINT_HEX / 2; i++)
        snprintf(s + 2 * i, 3, "%02x", digest[i]);
    return s;
}

/* Adds text with each run of white space as one blank, none at the ends. */
static void add_normalised(struct sha256 *h, const char *s, size_t n)
{
    while (n > 0 && isspace((unsigned char)s[n - 1]))
        n--;
    size_t i = 0;
    while (i < n) {
        size_t from = i;
        if (isspace((unsigned char)s[i])) {
            while (i < n && isspace((unsigned char)s[i]))
                i++;
            if (from > 0)
                sha256_add(h, " ", 1);
        } else {
            while (i < n && !isspace((unsigned char)s[i]))
                i++;
            sha256_add(h, s + from, i - from);
        }
    }
    sha256_add(h, "", 1);
}

static int set_context(struct sha256 *h, struct finding *f, const char *text, size_t len, struct err *err)
{
    unsigned char digest[SHA256_BYTES];
    sha256_begin(h);
    add_part(h, "context 1");
    add_part(h, f->rule_id);
    add_part(h, f->file);
    add_normalised(h, text, len);
    char *hex = sha256_end(h, digest) ? to_hex(digest) : NULL;
    if (!hex)
        return err_nomem(err);
    free(f->context_hash);
    f->context_hash = hex;
    return 0;
}

int finding_set_context(struct finding *f, const char *text, size_t len, struct err *err)
{
    _cleanup_(sha256_release) struct sha256 h = {0};
    return set_context(&h, f, text, len, err);
}

/* The same place as another of the list gets the next index: how often this context was seen. */
static int set_fingerprint(struct sha256 *h, struct map *seen, struct finding *f, struct err *err)
{
    if (!f->context_hash && f->fingerprint)
        f->context_hash = TAKE_PTR(f->fingerprint);
    if (!f->context_hash) {
        const char *text = f->snippet ? f->snippet : f->title;
        int r = set_context(h, f, text, strlen(text), err);
        if (r < 0)
            return r;
    }
    unsigned char digest[SHA256_BYTES];
    sha256_begin(h);
    add_part(h, "fingerprint 1");
    add_part(h, f->rule_id);
    add_part(h, f->file);
    add_part(h, f->context_hash);
    if (!sha256_end(h, digest))
        return err_nomem(err);
    size_t index = (size_t)map_getn(seen, digest, sizeof digest);
    if (!map_setn(seen, digest, sizeof digest, (void *)(index + 1), NULL))
        return err_nomem(err);
    char text[24];
    snprintf(text, sizeof text, "%zu", index);
    sha256_begin(h);
    sha256_add(h, digest, sizeof digest);
    add_part(h, text);
    char *hex = sha256_end(h, digest) ? to_hex(digest) : NULL;
    if (!hex)
        return err_nomem(err);
    free(f->fingerprint);
    f->fingerprint = hex;
    return 0;
}

int findings_fingerprint(struct findings *list, struct err *err)
{
    _cleanup_(map_release) struct map seen = {0};
    _cleanup_(sha256_release) struct sha256 h = {0};
    int r = 0;
    for (size_t i = 0; r == 0 && i < list->len; i++)
        r = set_fingerprint(&h, &seen, &list->v[i], err);
    return r;
}

/* --- ids --- */

/* 48 bits of time and 80 of the digest, in Crockford's base 32. */
static char *make_ulid(uint64_t time_ms, const unsigned char *digest)
{
    static const char digits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    char *s = mem_alloc(27);
    if (!s)
        return NULL;
    for (int i = 9; i >= 0; i--, time_ms >>= 5)
        s[i] = digits[time_ms & 31];
    s[0] = digits[(s[0] - '0') & 7]; /* the first digit has three bits */
    for (int i = 0; i < 16; i++) {
        int bit = i * 5, v = digest[bit / 8] << 8 | digest[bit / 8 + 1];
        s[10 + i] = digits[v >> (11 - bit % 8) & 31];
    }
    s[26] = 0;
    return s;
}

int findings_assign_ids(struct findings *list, const char *run_id, uint64_t time_ms, struct err *err)
{
    _cleanup_(sha256_release) struct sha256 h = {0};
    for (size_t i = 0; i < list->len; i++) {
        struct finding *f = &list->v[i];
        unsigned char digest[SHA256_BYTES];
        if (f->id)
            continue;
        sha256_begin(&h);
        add_part(&h, "id 1");
        add_part(&h, run_id);
        add_part(&h, f->fingerprint);
        if (!sha256_end(&h, digest) || !(f->id = make_ulid(time_ms & ((UINT64_C(1) << 48) - 1), digest)))
            return err_nomem(err);
    }
    return 0;
}

/* --- baseline --- */

static int append_absent(struct findings *now, const struct findings *base, const struct map *known,
                         struct err *err)
{
    for (size_t i = 0; i < base->len; i++) {
        const struct finding *b = &base->v[i];
        if (b->status == FINDING_ABSENT || (b->fingerprint && map_get(known, b->fingerprint)))
            continue;
        struct finding copy;
        int r = finding_copy(b, &copy, err);
        if (r < 0)
            return r;
        copy.status = FINDING_ABSENT;
        r = findings_add(now, &copy, err);
        if (r < 0) {
            finding_release(&copy);
            return r;
        }
    }
    findings_sort(now);
    return 0;
}

static bool index_fingerprints(const struct findings *list, bool with_absent, struct map *ret)
{
    for (size_t i = 0; i < list->len; i++) {
        struct finding *f = &list->v[i];
        if (f->fingerprint && (with_absent || f->status != FINDING_ABSENT) && !map_set(ret, f->fingerprint, f))
            return false;
    }
    return true;
}

int findings_compare(struct findings *now, const struct findings *base, bool keep_absent, struct err *err)
{
    _cleanup_(map_release) struct map before = {0}, after = {0};
    if (!index_fingerprints(base, false, &before) || (keep_absent && !index_fingerprints(now, true, &after)))
        return err_nomem(err);
    for (size_t i = 0; i < now->len; i++) {
        struct finding *f = &now->v[i];
        if (f->status != FINDING_ABSENT)
            f->status = f->fingerprint && map_get(&before, f->fingerprint) ? FINDING_UNCHANGED : FINDING_NEW;
    }
    return keep_absent ? append_absent(now, base, &after, err) : 0;
}

/* --- suppressions --- */

struct suppression {
    const char *fingerprint, *rule, *path, *reason;
};

static int read_suppression(const json_t *j, struct suppression *ret, struct err *err)
{
    *ret = (struct suppression){0};
    const struct {
        const char *key, **to;
    } members[] = {{"fingerprint", &ret->fingerprint}, {"rule", &ret->rule}, {"path", &ret->path},
                   {"reason", &ret->reason}};
    if (!json_is_object(j))
        return err_set(err, ERR_INVALID, "a suppression must be an object");
    for (size_t i = 0; i < ARRAY_LEN(members); i++) {
        const json_t *v = json_object_get(j, members[i].key);
        if (v && !json_is_null(v) && !json_is_string(v))
            return err_set(err, ERR_INVALID, "%s must be a string", members[i].key);
        *members[i].to = json_string_value(v);
    }
    if (!ret->fingerprint && !ret->rule && !ret->path)
        return err_set(err, ERR_INVALID, "needs a fingerprint, a rule or a path");
    return 0;
}

static bool suppresses(const struct suppression *s, const struct finding *f)
{
    if (s->fingerprint && (!f->fingerprint || strcmp(s->fingerprint, f->fingerprint) != 0))
        return false;
    if (s->rule && fnmatch(s->rule, f->rule_id, 0) != 0)
        return false;
    return !s->path || (f->file && fnmatch(s->path, f->file, 0) == 0);
}

static int mark(struct finding *f, const char *reason, struct err *err)
{
    char *why = mem_strdup(reason), *kind = mem_strdup("external");
    if ((reason && !why) || !kind) {
        free(why);
        free(kind);
        return err_nomem(err);
    }
    free(f->suppression_reason);
    free(f->suppression_kind);
    f->suppressed = true;
    f->suppression_reason = why;
    f->suppression_kind = kind;
    return 0;
}

static int apply_suppression(struct findings *list, const json_t *j, size_t *count, struct err *err)
{
    struct suppression s;
    int r = read_suppression(j, &s, err);
    for (size_t i = 0; r == 0 && i < list->len; i++) {
        if (list->v[i].suppressed || !suppresses(&s, &list->v[i]))
            continue;
        r = mark(&list->v[i], s.reason, err);
        ++*count;
    }
    return r;
}

int findings_suppress(struct findings *list, const json_t *doc, size_t *ret_count, struct err *err)
{
    const json_t *array = json_object_get(doc, "suppressions");
    size_t i, count = 0;
    json_t *one;
    if (!json_is_array(array) || json_integer_value(json_object_get(doc, "version")) != 1)
        return err_set(err, ERR_INVALID, "no suppression file: needs \"version\": 1 and \"suppressions\": [...]");
    json_array_foreach(array, i, one) {
        int r = apply_suppression(list, one, &count, err);
        if (r < 0)
            return err ? err_wrap(err, "suppression %zu", i + 1) : r;
    }
    if (ret_count)
        *ret_count = count;
    return 0;
}
