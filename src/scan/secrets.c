/* The module secret_detection: secrets in the files of a workspace.
 *
 * A secret leaves this module as its first and last few characters and as a keyed hash, truncated: enough to tell
 * two apart and to know one again in the next run, too little to get it back.
 *
 * Input, all optional: patterns (globs of files), max_file_size (bytes or "10M"), generic (rules that go by the name
 * of a variable), generic_code (those in source code too: off where security_analyzer runs beside, which knows code
 * better), fingerprint_key. */
#include "base/cleanup.h"
#include "base/mem.h"
#include "base/units.h"
#include "codec/findings.h"
#include "codec/json.h"
#include "codec/sha256.h"
#include "module/module.h"
#include "os/file.h"
#include "scan/builtin.h"
#include "scan/file_type.h"
#include "scan/scan_input.h"
#include "scan/secret_scan.h"
#include "scan/walk.h"

#include <stdio.h>
#include <string.h>

#define READ_BYTES ((size_t)256 << 10)
#define HASH_BYTES 8 /* of the keyed hash */
#define KEY_MAX 64   /* bytes: the block of SHA-256 */
#define NAMED_MAX 100 /* files left out that are named in the summary */
/* Public, so that the same secret has the same fingerprint on every machine; a key of one's own keeps others from
 * trying out guesses. */
#define PUBLIC_KEY "fuzzforge secret fingerprint 1"

struct detection {
    struct module_ctx *ctx;
    struct secret_rules *rules;
    struct secret_scan *scan;
    struct scan_patterns patterns;
    uint64_t max_file_size;
    bool generic, generic_code;
    const char *key;
    struct sha256 sha;
    char *buf;
    const struct walk_entry *entry; /* of the file at hand */
    const char *shown;
    size_t files, bytes, binary, larger, secrets, suppressed;
    json_t *left_out; /* array of {path, reason} */
};

/* --- from a hit to a finding --- */

/* HMAC-SHA-256 (RFC 2104), the first bytes as hex. */
static int keyed_hash(struct detection *d, const struct secret_hit *h, char out[2 * HASH_BYTES + 1], struct err *err)
{
    unsigned char digest[SHA256_BYTES], pad[2][64];
    memset(pad[0], 0x36, sizeof pad[0]);
    memset(pad[1], 0x5c, sizeof pad[1]);
    for (size_t i = 0; d->key[i]; i++) { /* at most KEY_MAX bytes, a block */
        pad[0][i] ^= (unsigned char)d->key[i];
        pad[1][i] ^= (unsigned char)d->key[i];
    }
    sha256_begin(&d->sha);
    sha256_add(&d->sha, pad[0], sizeof pad[0]);
    sha256_add(&d->sha, h->secret, h->secret_len);
    bool ok = sha256_end(&d->sha, digest);
    sha256_begin(&d->sha);
    sha256_add(&d->sha, pad[1], sizeof pad[1]);
    sha256_add(&d->sha, digest, sizeof digest);
    if (!sha256_end(&d->sha, digest) || !ok)
        return err_nomem(err);
    for (size_t i = 0; i < HASH_BYTES; i++)
        snprintf(out + 2 * i, 3, "%02x", digest[i]);
    return 0;
}

/* Is the file in a language in which security_analyzer looks for credentials itself? */
static bool analysed(const char *name)
{
    static const char *const languages[] = {"Python", "JavaScript", "TypeScript", "Java", "Go", "Ruby", "PHP", "C"};
    const char *language = file_language(name, NULL, 0);
    for (size_t i = 0; language && i < ARRAY_LEN(languages); i++)
        if (strcmp(language, languages[i]) == 0)
            return true;
    return false;
}

static int on_hit(const struct secret_hit *h, void *arg, struct err *err)
{
    struct detection *d = arg;
    if (secret_rule_generic(h->rule) && (!d->generic || (!d->generic_code && analysed(d->entry->name))))
        return 0;
    char hash[2 * HASH_BYTES + 1], reason[256];
    int r = keyed_hash(d, h, hash, err);
    if (r < 0)
        return r;
    struct finding f = {
        .rule_id = (char *)(uintptr_t)secret_rule_id(h->rule), .title = (char *)(uintptr_t)secret_rule_title(h->rule),
        .description = (char *)(uintptr_t)"A secret in a file is known to everyone who can read the file, or any copy "
                                          "and old state of it.",
        .recommendation = (char *)(uintptr_t)"Revoke it and make a new one; keep that in the environment or a secret "
                                             "store, and remove it here.",
        .severity = h->severity, .confidence = h->confidence, .cwe = {798, 312}, .cwe_count = 2,
        .file = (char *)(uintptr_t)d->shown, .line = h->line, .column = h->column, .end_line = h->line,
        .end_column = h->end_column, .snippet = (char *)(uintptr_t)h->snippet, .suppressed = h->suppressed,
        .suppression_reason = (char *)(uintptr_t)h->reason,
    };
    if (d->entry->ignored_by) {
        snprintf(reason, sizeof reason, ".ffignore: %.200s", d->entry->ignored_by);
        f.suppressed = true;
        f.suppression_reason = reason;
        f.suppression_kind = (char *)(uintptr_t) "external";
    }
    r = finding_set_context(&f, hash, strlen(hash), err);
    if (r == 0)
        module_finding(d->ctx, &f);
    free(f.context_hash);
    d->secrets++;
    d->suppressed += f.suppressed;
    return r;
}

/* --- files --- */

static int leave_out(struct detection *d, const char *reason, struct err *err)
{
    if (json_array_size(d->left_out) >= NAMED_MAX)
        return 0;
    json_t *j = json_pack("{s:s,s:s}", "path", d->shown, "reason", reason);
    return j && json_array_append_new(d->left_out, j) == 0 ? 0 : err_nomem(err);
}

/* UTF-16 with a mark (RFC 2781): each unit becomes its low byte, or "?" when it has more, so that secrets, which
 * are ASCII, are found, on their lines. A pair is cut in two if the piece ends in it: pieces are of even length. */
static size_t narrow(char *p, size_t n, bool big)
{
    size_t out = 0;
    for (size_t i = 0; i + 1 < n; i += 2) {
        unsigned char high = (unsigned char)p[i + !big], low = (unsigned char)p[i + big];
        p[out++] = high || low > 126 ? '?' : (char)low;
    }
    return out;
}

static int scan_fd(struct detection *d, int fd, bool *ret_binary, struct err *err)
{
    int wide = -1; /* -1 not known yet, 0 bytes, 1 little, 2 big endian */
    uint64_t total = 0;
    for (size_t n = READ_BYTES; n == READ_BYTES && total <= d->max_file_size;) {
        int r = os_read_full(fd, d->buf, READ_BYTES, &n, err);
        if (r < 0)
            return r;
        if (wide < 0) {
            *ret_binary = walk_is_binary(d->buf, n);
            if (*ret_binary)
                return 0;
            wide = n < 2                               ? 0
                   : memcmp(d->buf, "\xff\xfe", 2) == 0 ? 1
                   : memcmp(d->buf, "\xfe\xff", 2) == 0 ? 2
                                                        : 0;
        }
        total += n;
        d->bytes += n;
        r = secret_scan_feed(d->scan, d->buf, wide ? narrow(d->buf, n, wide == 2) : n, err);
        if (r < 0)
            return r;
    }
    return 0;
}

static int scan_file(struct detection *d, struct err *err)
{
    _cleanup_close_ int fd = -1;
    bool binary = false;
    size_t more = 0;
    struct err why = {0};
    int r = walk_open(d->entry, &fd, NULL, &why);
    if (r == 0)
        r = secret_scan_begin(d->scan, d->entry->path, &why);
    if (r == 0)
        r = scan_fd(d, fd, &binary, &why);
    if (r == 0)
        r = secret_scan_end(d->scan, &more, &why);
    if (r == -ERR_NO_MEMORY || r == -ERR_INTERNAL)
        return err_copy(err, &why);
    if (r < 0) {
        module_partial(d->ctx, "%s: %s", d->shown, why.msg);
        return 0;
    }
    if (more)
        module_partial(d->ctx, "%s: %zu secret%s beyond the first %d not listed", d->shown, more, UNITS_S(more), SECRET_HITS_MAX);
    d->files += !binary;
    d->binary += binary;
    if (binary && leave_out(d, "binary", err) < 0)
        return -ERR_NO_MEMORY;
    if (d->files % 1000 == 0)
        module_progress(d->ctx, d->files, 0, NULL);
    return 0;
}

static int on_entry(const struct walk_entry *e, void *arg, struct err *err)
{
    struct detection *d = arg;
    if (e->kind == WALK_DIR)
        return strcmp(e->name, ".git") == 0 ? WALK_SKIP : 0; /* objects are packed; the history is another task */
    if (e->kind != WALK_FILE || !scan_patterns_fit(&d->patterns, e->path))
        return 0;
    struct strbuf shown = STRBUF_INIT;
    walk_show_path(&shown, e->path);
    int r = strbuf_check(&shown, err);
    d->entry = e;
    d->shown = strbuf_str(&shown);
    if (r == 0 && e->size_bytes > d->max_file_size) {
        d->larger++;
        r = leave_out(d, "over the size limit", err);
    } else if (r == 0) {
        r = scan_file(d, err);
    }
    strbuf_release(&shown);
    return r;
}

static void on_problem(const char *path, const struct err *why, void *arg)
{
    struct detection *d = arg;
    struct strbuf shown = STRBUF_INIT;
    walk_show_path(&shown, *path ? path : ".");
    module_partial(d->ctx, "%s: %s", strbuf_str(&shown), why->msg);
    strbuf_release(&shown);
}

static int detect(struct detection *d, struct err *err)
{
    struct walk_stats st = {0};
    struct walk_options o = {.entry = on_entry, .problem = on_problem, .arg = d};
    d->buf = mem_alloc(READ_BYTES);
    d->left_out = json_array();
    if (!d->buf || !d->left_out)
        return err_nomem(err);
    int r = secret_rules_shared(&d->rules, err);
    if (r == 0)
        r = secret_scan_new(d->rules, on_hit, d, &d->scan, err);
    if (r == 0)
        r = walk_tree(module_workspace(d->ctx), &o, &st, err);
    if (r < 0)
        return r;
    module_summary(d->ctx, json_pack("{s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:O}", "files", (json_int_t)d->files, "bytes",
                                     (json_int_t)d->bytes, "binary", (json_int_t)d->binary, "over_size",
                                     (json_int_t)d->larger, "secrets", (json_int_t)d->secrets, "suppressed",
                                     (json_int_t)d->suppressed, "rules", (json_int_t)secret_rules_count(d->rules),
                                     "left_out", d->left_out));
    return 0;
}

static int run(struct module_ctx *ctx, struct err *err)
{
    const json_t *in = module_input(ctx);
    struct detection d = {.ctx = ctx, .generic = json_flag(in, "generic", true),
                          .generic_code = json_flag(in, "generic_code", true),
                          .key = json_str(in, "fingerprint_key", PUBLIC_KEY)};
    int r = scan_input_size(in, "max_file_size", SCAN_FILE_SIZE_DEFAULT, &d.max_file_size, err);
    if (r == 0 && (!*d.key || strlen(d.key) > KEY_MAX))
        r = err_set(err, ERR_INVALID, "fingerprint_key: 1 to %d bytes are wanted", KEY_MAX);
    if (r == 0)
        r = scan_patterns_init(&d.patterns, in, "patterns", err);
    if (r == 0)
        r = detect(&d, err);
    secret_scan_free(d.scan);
    sha256_release(&d.sha);
    json_decref(d.left_out);
    free(d.buf);
    return r;
}

static const char *const tags[] = {"secrets", "credentials", NULL};

const struct module secret_detection_module = {
    .name = "secret_detection",
    .version = "1.0.0",
    .description = "Finds keys, tokens, passwords and other secrets in files",
    .category = MODULE_SECRETS,
    .tags = tags,
    .input_schema =
        "{\"type\":\"object\",\"properties\":{"
        "\"patterns\":{\"type\":\"array\",\"items\":{\"type\":\"string\"},"
        "\"description\":\"globs of the files to look at; all if there are none\"},"
        "\"max_file_size\":{\"type\":[\"integer\",\"string\"],\"default\":10485760,"
        "\"description\":\"bytes, or a size as 10M; larger files are left out and named\"},"
        "\"generic\":{\"type\":\"boolean\",\"default\":true,"
        "\"description\":\"also by the names of variables, not only by the form of known secrets\"},"
        "\"generic_code\":{\"type\":\"boolean\",\"default\":true,"
        "\"description\":\"these also in languages that security_analyzer examines\"},"
        "\"fingerprint_key\":{\"type\":\"string\",\"description\":\"key of the hash in fingerprints\"}}}",
    .output_schema =
        "{\"type\":\"object\",\"properties\":{\"files\":{\"type\":\"integer\"},\"secrets\":{\"type\":\"integer\"}}}",
    .requires_workspace = true,
    .run = run,
};
