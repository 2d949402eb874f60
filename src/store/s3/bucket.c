/* The bucket itself: making it, who may read it, and what expires in it. */
#include "store/s3/s3_internal.h"
#include "store/s3/xml.h"

#include "base/mem.h"
#include "base/vec.h"
#include "codec/uri.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RULE_ID "fuzzforge-"
#define RULES_MAX 1000 /* that S3 takes */
#define ABORT_DAYS 1

static const char uploads_rule[] = "AbortIncompleteMultipartUpload";

int api_bucket_make(struct s3_http *h, const char *region, bool *ret_created, struct err *err)
{
    char body[256] = "";
    struct s3_response res;
    /* AWS's first region is the one that must not be named. */
    if (region && *region && strcmp(region, "us-east-1") != 0)
        snprintf(body, sizeof body,
                 "<CreateBucketConfiguration><LocationConstraint>%s</LocationConstraint></CreateBucketConfiguration>",
                 region);
    struct s3_request q = {.method = "PUT", .body = body, .body_len = strlen(body), .max_bytes = 64 << 10};
    int r = s3_http_call(h, &q, &res, err);
    bool mine = strcmp(res.code, "BucketAlreadyOwnedByYou") == 0;
    *ret_created = r == 0;
    if (r < 0 && strcmp(res.code, "BucketAlreadyExists") == 0)
        r = err_set(err, ERR_PERMISSION, "the bucket belongs to somebody else");
    s3_response_release(&res);
    return mine ? 0 : r;
}

/* What somebody without a key asks for is refused; that the service does not answer is no refusal. */
static int refused(struct s3_http *h, const struct s3_request *q, const char *what, struct err *err)
{
    struct s3_response res;
    int r = s3_http_call(h, q, &res, err);
    bool no = res.status >= 400 && res.status < 500;
    s3_response_release(&res);
    if (r == 0) {
        err_set(err, ERR_PERMISSION, "anybody can %s, without a key", what);
        return err_hint(err, "take that policy away from the bucket, or use one of its own");
    }
    return no ? 0 : r;
}

static int list_refused(struct s3_http *h, const char *prefix, struct err *err)
{
    struct strbuf query = STRBUF_INIT_MAX(4 << 10);
    strbuf_puts(&query, "list-type=2&prefix=");
    uri_append_value(&query, prefix);
    struct s3_request q = {.method = "GET", .query = strbuf_str(&query), .anonymous = true, .max_bytes = S3_XML_MAX};
    int r = strbuf_check(&query, err);
    if (r == 0)
        r = refused(h, &q, "list what is in it", err);
    strbuf_release(&query);
    return r;
}

/* A policy may be about some names only: an object of ours stands where packs will. Its name is no pack's. */
static int class_private(struct s3_http *h, const char *prefix, const char *class, struct err *err)
{
    static const char text[] = "can this be read by anybody?\n";
    struct s3_response res;
    _cleanup_free_ char *key = mem_printf("%spacks/%s/probe", prefix, class);
    if (!key)
        return err_nomem(err);
    struct s3_request put = {.method = "PUT", .key = key, .body = text, .body_len = strlen(text), .max_bytes = 64 << 10};
    struct s3_request get = {.method = "GET", .key = key, .anonymous = true, .max_bytes = 64 << 10};
    struct s3_request away = {.method = "DELETE", .key = key, .max_bytes = 64 << 10};
    int r = s3_http_call(h, &put, &res, err);
    s3_response_release(&res);
    if (r == 0)
        r = refused(h, &get, "read what is in it", err);
    put.anonymous = true;
    if (r == 0)
        r = refused(h, &put, "write to it", err);
    int d = s3_http_call(h, &away, &res, r == 0 ? err : NULL);
    s3_response_release(&res);
    return r < 0 ? r : d;
}

int api_bucket_private(struct s3_http *h, const char *prefix, const char *key, struct err *err)
{
    struct s3_request q = {.method = "GET", .key = key, .anonymous = true, .max_bytes = 64 << 10};
    int r = refused(h, &q, "read what is in it", err);
    if (r == 0)
        r = list_refused(h, prefix, err);
    for (size_t i = 0; s3_classes[i] && r == 0; i++)
        r = class_private(h, prefix, s3_classes[i], err);
    return r;
}

/* --- what expires ------------------------------------------------------------------------------------------------ */

/* A rule of ours: this prefix, after so many days; and uploads in parts that nobody has finished since they were begun. Its id is
 * made of the prefix, so that each store of a bucket has its own. */
struct rule {
    char prefix[S3_KEY];
    unsigned days, abort_days; /* 0: never */
};

/* Those that a bucket has: of other stores of ours, which are kept; of this one; of somebody else. */
struct rules {
    const char *store; /* prefix of this store */
    VEC(struct rule) kept;
    unsigned own, others; /* own: about objects */
    /* The one that is being read: */
    struct rule rule;
    bool ours;
};

static void uploads_prefix(const struct rules *r, char out[S3_KEY])
{
    snprintf(out, S3_KEY, "%spacks/", r->store);
}

static bool own_rule(const struct rules *r)
{
    char prefix[S3_KEY];
    for (size_t i = 0; s3_classes[i]; i++) {
        snprintf(prefix, sizeof prefix, "%spacks/%s/", r->store, s3_classes[i]);
        if (strcmp(r->rule.prefix, prefix) == 0)
            return true;
    }
    return false;
}

static int on_rule(void *arg, const char *path, const char *text, struct err *err)
{
    struct rules *r = arg;
    static const char rule[] = "LifecycleConfiguration/Rule";
    const char *what = path + strlen(rule);
    if (strncmp(path, rule, strlen(rule)) != 0)
        return 0;
    if (strcmp(what, "/ID") == 0)
        r->ours = strncmp(text, RULE_ID, strlen(RULE_ID)) == 0;
    else if (strcmp(what, "/Filter/Prefix") == 0 || strcmp(what, "/Prefix") == 0)
        snprintf(r->rule.prefix, sizeof r->rule.prefix, "%s", text);
    else if (strcmp(what, "/Expiration/Days") == 0)
        r->rule.days = (unsigned)strtoul(text, NULL, 10);
    else if (*what == '/' && strncmp(what + 1, uploads_rule, strlen(uploads_rule)) == 0 && strstr(what, "/DaysAfterInitiation"))
        r->rule.abort_days = (unsigned)strtoul(text, NULL, 10);
    if (*what)
        return 0;
    char uploads[S3_KEY];
    uploads_prefix(r, uploads);
    if (!r->ours)
        r->others++;
    else if (own_rule(r))
        r->own++;
    else if (strcmp(r->rule.prefix, uploads) == 0)
        r->own += r->rule.days != 0;
    else if (r->kept.len == RULES_MAX || !VEC_PUSH(&r->kept, r->rule))
        return err_nomem(err);
    r->rule = (struct rule){0};
    r->ours = false;
    return 0;
}

static int read_rules(struct s3_http *h, struct rules *ret, bool *ret_supported, struct err *err)
{
    struct s3_response res;
    struct s3_request q = {.method = "GET", .query = "lifecycle=", .max_bytes = 1 << 20};
    *ret_supported = true;
    int r = s3_http_call(h, &q, &res, err);
    if (r == 0)
        r = s3_xml_walk(res.body ? res.body : "", res.len, on_rule, ret, err);
    else if (res.status == 404 && strcmp(res.code, "NoSuchBucket") != 0)
        r = 0;
    else if (res.status == 501 || res.status == 405 || strcmp(res.code, "NotImplemented") == 0) {
        *ret_supported = false;
        r = 0;
    }
    s3_response_release(&res);
    return r;
}

static void put_rule(struct strbuf *b, const struct rule *rule)
{
    /* Prefixes of stores have no character that means something in XML; another's is none of ours. */
    if ((!rule->days && !rule->abort_days) || strpbrk(rule->prefix, "<>&"))
        return;
    strbuf_printf(b, "<Rule><ID>" RULE_ID "%s</ID><Filter><Prefix>%s</Prefix></Filter>", rule->prefix, rule->prefix);
    strbuf_puts(b, "<Status>Enabled</Status>");
    if (rule->days)
        strbuf_printf(b, "<Expiration><Days>%u</Days></Expiration>", rule->days);
    if (rule->abort_days)
        strbuf_printf(b, "<%s><DaysAfterInitiation>%u</DaysAfterInitiation></%s>", uploads_rule, rule->abort_days,
                      uploads_rule);
    strbuf_puts(b, "</Rule>");
}

/* *ret_unknown: the service does not know such rules. */
static int put_rules(struct s3_http *h, const struct rules *rules, const struct s3_retention *keep, bool aborts,
                     bool *ret_unknown, struct err *err)
{
    struct strbuf b = STRBUF_INIT_MAX(1 << 20);
    struct s3_response res = {0};
    struct rule rule = {.abort_days = aborts ? ABORT_DAYS : 0};
    char header[64] = "Content-MD5: ";
    const unsigned days[] = {keep->targets_days, keep->results_days, keep->corpora_days};
    strbuf_puts(&b, "<LifecycleConfiguration>");
    uploads_prefix(rules, rule.prefix);
    put_rule(&b, &rule);
    for (size_t i = 0; s3_classes[i]; i++) {
        rule = (struct rule){.days = days[i]};
        snprintf(rule.prefix, sizeof rule.prefix, "%spacks/%s/", rules->store, s3_classes[i]);
        put_rule(&b, &rule);
    }
    VEC_EACH(&rules->kept, other)
        put_rule(&b, other);
    strbuf_puts(&b, "</LifecycleConfiguration>");
    int r = strbuf_check(&b, err);
    if (r == 0)
        r = md5_base64(b.s, b.len, header + strlen(header), err); /* the protocol wants it for this call */
    if (r == 0) {
        struct s3_request q = {.method = "PUT", .query = "lifecycle=", .headers = {header}, .body = b.s, .body_len = b.len,
                               .max_bytes = 64 << 10};
        r = s3_http_call(h, &q, &res, err);
    }
    *ret_unknown = r < 0 && (res.status == 400 || res.status == 501) && r != -ERR_UNAUTHENTICATED;
    s3_response_release(&res);
    strbuf_release(&b);
    return r;
}

static int remove_rules(struct s3_http *h, struct err *err)
{
    struct s3_response res;
    struct s3_request q = {.method = "DELETE", .query = "lifecycle=", .max_bytes = 64 << 10};
    int r = s3_http_call(h, &q, &res, err);
    s3_response_release(&res);
    return r;
}

static int set_rules(struct s3_http *h, const struct rules *rules, bool supported, const struct s3_retention *keep,
                     struct err *err)
{
    bool any = keep->targets_days || keep->results_days || keep->corpora_days, unknown;
    if (!any && !rules->own && (!supported || rules->others))
        return 0;
    if (!supported) {
        err_set(err, ERR_UNIMPLEMENTED, "this S3 service cannot expire objects by itself");
        return err_hint(err, "set s3.keep_* to 0 and leave it to 'ff store gc'");
    }
    if (rules->others) { /* there is one configuration a bucket: ours would replace theirs */
        err_set(err, ERR_STATE, "the bucket has rules of somebody else about what expires");
        return err_hint(err, "add a rule for %spacks/ to them, or use a bucket of its own", rules->store);
    }
    int r = put_rules(h, rules, keep, true, &unknown, err);
    if (r == -ERR_PERMISSION && !any && !rules->own)
        return 0; /* nobody asked for that one */
    if (r == 0 || !unknown)
        return r;
    /* MinIO refuses the rule about uploads: it gives up those of a day ago unasked. */
    if (any || rules->kept.len)
        return put_rules(h, rules, keep, false, &unknown, err);
    return rules->own ? remove_rules(h, err) : 0;
}

int api_bucket_expiry(struct s3_http *h, const char *prefix, const struct s3_retention *keep, struct err *err)
{
    struct rules rules = {.store = prefix};
    bool supported;
    int r = read_rules(h, &rules, &supported, err);
    if (r == 0)
        r = set_rules(h, &rules, supported, keep, err);
    VEC_RELEASE(&rules.kept);
    return r;
}
