/* The module file_scanner: what there is in a workspace.
 *
 * Facts go into the artifact inventory.json, one entry a file; only files that should not be there become
 * findings. Input, all optional: patterns (globs of files to look at, default all), check_sensitive, calculate_hashes,
 * max_file_size (bytes or "10M"; a larger file is listed without hash and lines). */
#include "base/cleanup.h"
#include "base/mem.h"
#include "base/units.h"
#include "base/vec.h"
#include "codec/json.h"
#include "codec/sha256.h"
#include "codec/utf8.h"
#include "module/module.h"
#include "os/file.h"
#include "scan/builtin.h"
#include "scan/file_type.h"
#include "scan/scan_input.h"
#include "scan/sensitive.h"
#include "scan/walk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define READ_BYTES ((size_t)64 << 10)
#define INVENTORY_MAX ((uint64_t)512 << 20) /* bytes; beyond it entries are only counted */
#define FLUSH_BYTES ((size_t)256 << 10)

struct tally {
    const char *name;
    uint64_t files, bytes, lines;
};

struct inventory {
    struct module_ctx *ctx;
    struct scan_patterns patterns;
    bool sensitive, hashes;
    uint64_t max_file_size;
    VEC(struct tally) languages, types;
    uint64_t files, bytes, hashed, sensitive_files, larger, not_listed;
    struct sha256 sha;
    char *buf;        /* SENSITIVE_HEAD_BYTES, which READ_BYTES equals */
    struct strbuf out;
    int out_fd;
    uint64_t out_bytes;
};

struct facts {
    struct file_type type;
    const char *language;
    uint64_t lines;
    bool whole; /* all of it was read: lines and hash hold */
    unsigned char digest[SHA256_BYTES];
};

static bool count_in(void *list, const char *name, uint64_t bytes, uint64_t lines)
{
    VEC(struct tally) *l = list;
    VEC_EACH(l, t) {
        if (strcmp(t->name, name) == 0) {
            t->files++;
            t->bytes += bytes;
            t->lines += lines;
            return true;
        }
    }
    return VEC_PUSH(l, ((struct tally){name, 1, bytes, lines}));
}

static int flush(struct inventory *v, struct err *err)
{
    int r = strbuf_check(&v->out, err);
    if (r == 0 && v->out.len)
        r = os_write_full(v->out_fd, v->out.s, v->out.len, err);
    v->out_bytes += v->out.len;
    strbuf_clear(&v->out);
    return r;
}

static void put_string(struct strbuf *b, const char *s)
{
    strbuf_putc(b, '"');
    for (; *s; s++) {
        if (*s == '"' || *s == '\\')
            strbuf_printf(b, "\\%c", *s);
        else if ((unsigned char)*s < 32)
            strbuf_printf(b, "\\u%04x", (unsigned)*s);
        else
            strbuf_putc(b, *s);
    }
    strbuf_putc(b, '"');
}

/* One line of the inventory. shown is the path as reports have it. */
static int list_entry(struct inventory *v, const struct walk_entry *e, const char *shown, const struct facts *f,
                      const char *sensitive, struct err *err)
{
    static const char *const kinds[] = {"file", "folder", "link", "other"};
    if (v->out_bytes + v->out.len > INVENTORY_MAX) {
        v->not_listed++;
        return 0;
    }
    struct strbuf *b = &v->out;
    strbuf_puts(b, v->out_bytes || v->out.len > 1 ? ",\n{\"path\":" : "\n{\"path\":");
    put_string(b, shown);
    if (!f) {
        strbuf_printf(b, ",\"kind\":\"%s\"}", kinds[e->kind]);
        return 0;
    }
    strbuf_printf(b, ",\"bytes\":%llu,\"type\":\"%s\",\"class\":\"%s\"", (unsigned long long)e->size_bytes,
                  f->type.name, file_class_name(f->type.class));
    if (f->language)
        strbuf_printf(b, ",\"language\":\"%s\"", f->language);
    if (f->whole && f->type.class == FILE_TEXT)
        strbuf_printf(b, ",\"lines\":%llu", (unsigned long long)f->lines);
    if (f->whole && v->hashes) {
        strbuf_puts(b, ",\"sha256\":\"");
        for (size_t i = 0; i < SHA256_BYTES; i++)
            strbuf_printf(b, "%02x", f->digest[i]);
        strbuf_putc(b, '"');
    }
    if (e->mode & 0111)
        strbuf_puts(b, ",\"executable\":true");
    if (e->ignored_by)
        strbuf_puts(b, ",\"ignored\":true");
    if (sensitive)
        strbuf_printf(b, ",\"sensitive\":\"%s\"", sensitive);
    strbuf_putc(b, '}');
    return b->len >= FLUSH_BYTES ? flush(v, err) : strbuf_check(b, err);
}

static void report(struct inventory *v, const struct walk_entry *e, const char *shown, const struct sensitive *s)
{
    char rule[96], reason[256];
    snprintf(rule, sizeof rule, "sensitive-file/%s", s->kind);
    struct finding f = {
        .rule_id = rule, .title = (char *)(uintptr_t)s->title, .severity = s->severity, .confidence = s->confidence,
        .file = (char *)(uintptr_t)shown, .line = 1, .recommendation = (char *)(uintptr_t)s->advice,
    };
    if (s->severity > SEVERITY_INFO) {
        f.cwe[f.cwe_count++] = 538;
        f.cwe[f.cwe_count++] = 312;
    }
    if (e->ignored_by) {
        snprintf(reason, sizeof reason, ".ffignore: %.200s", e->ignored_by);
        f.suppressed = true;
        f.suppression_reason = reason;
        f.suppression_kind = (char *)(uintptr_t) "external";
    }
    f.context_hash = NULL; /* rule and path are what it is: the title stands in for a statement */
    v->sensitive_files += s->severity > SEVERITY_INFO;
    module_finding(v->ctx, &f);
}

/* Reads what the facts need: the head, and the rest for lines and hash. */
static int read_facts(struct inventory *v, const struct walk_entry *e, struct facts *f, size_t *ret_head,
                      struct sensitive *ret_sensitive, bool *ret_is, struct err *err)
{
    _cleanup_close_ int fd = -1;
    size_t n = 0;
    int r = walk_open(e, &fd, NULL, err);
    if (r == 0)
        r = os_read_full(fd, v->buf, READ_BYTES, &n, err);
    if (r < 0)
        return r;
    *ret_head = n;
    f->type = file_type_detect(v->buf, n < FILE_HEAD_BYTES ? n : FILE_HEAD_BYTES);
    if (f->type.class == FILE_TEXT || f->type.class == FILE_EMPTY)
        f->language = file_language(e->name, v->buf, n);
    *ret_is = v->sensitive && sensitive_file(e->path, &f->type, v->buf, n, ret_sensitive);
    bool want = v->hashes || f->type.class == FILE_TEXT;
    if (e->size_bytes > v->max_file_size || !want)
        return 0;
    if (v->hashes)
        sha256_begin(&v->sha);
    char last = '\n';
    for (uint64_t total = 0; n > 0;) {
        if (v->hashes)
            sha256_add(&v->sha, v->buf, n);
        if (f->type.class == FILE_TEXT)
            for (const char *p = v->buf, *end = p + n; (p = memchr(p, '\n', (size_t)(end - p))); p++)
                f->lines++;
        last = v->buf[n - 1];
        total += n;
        if (n < READ_BYTES || total > v->max_file_size) /* it grew while we read */
            break;
        r = os_read_full(fd, v->buf, READ_BYTES, &n, err);
        if (r < 0)
            return r;
    }
    f->lines += last != '\n';
    if (v->hashes && !sha256_end(&v->sha, f->digest))
        return err_nomem(err);
    f->whole = true;
    return 0;
}

static int scan_file(struct inventory *v, const struct walk_entry *e, const char *shown, struct err *err)
{
    struct facts f = {0};
    struct sensitive s;
    bool is = false;
    size_t head;
    struct err why = {0};
    int r = read_facts(v, e, &f, &head, &s, &is, &why);
    if (r == -ERR_NO_MEMORY)
        return err_copy(err, &why);
    if (r < 0) {
        module_partial(v->ctx, "%s: %s", shown, why.msg);
        return 0;
    }
    v->files++;
    v->bytes += e->size_bytes;
    v->hashed += f.whole && v->hashes;
    if (e->size_bytes > v->max_file_size) {
        v->larger++;
        module_log(v->ctx, "info", "%s: over the size limit, no hash and no lines", shown);
    }
    if (!count_in(&v->types, f.type.name, e->size_bytes, f.lines) ||
        (f.language && !count_in(&v->languages, f.language, e->size_bytes, f.lines)))
        return err_nomem(err);
    if (is)
        report(v, e, shown, &s);
    if (v->files % 1000 == 0)
        module_progress(v->ctx, v->files, 0, NULL);
    return list_entry(v, e, shown, &f, is ? s.kind : NULL, err);
}

/* Of a repository's own folder only the configuration is looked at. */
static int scan_git_config(struct inventory *v, const struct walk_entry *dir, const char *shown_dir, struct err *err)
{
    _cleanup_close_ int fd = -1;
    struct stat st;
    if (os_openat(dir->dirfd, dir->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, &fd, NULL) < 0 ||
        fstatat(fd, "config", &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
        return WALK_SKIP;
    _cleanup_free_ char *path = mem_printf("%s/config", dir->path);
    _cleanup_free_ char *shown = mem_printf("%s/config", shown_dir);
    if (!path || !shown)
        return err_nomem(err);
    struct walk_entry e = {.dirfd = fd, .name = "config", .path = path, .kind = WALK_FILE, .mode = st.st_mode,
                           .size_bytes = (uint64_t)st.st_size, .ignored_by = dir->ignored_by};
    int r = scan_file(v, &e, shown, err);
    return r < 0 ? r : WALK_SKIP;
}

static int on_entry(const struct walk_entry *e, void *arg, struct err *err)
{
    struct inventory *v = arg;
    struct strbuf shown = STRBUF_INIT;
    walk_show_path(&shown, e->path);
    int r = strbuf_check(&shown, err);
    if (r == 0 && e->kind == WALK_DIR && strcmp(e->name, ".git") == 0)
        r = scan_git_config(v, e, strbuf_str(&shown), err);
    else if (r == 0 && e->kind == WALK_FILE && scan_patterns_fit(&v->patterns, e->path))
        r = scan_file(v, e, strbuf_str(&shown), err);
    else if (r == 0 && (e->kind == WALK_SYMLINK || e->kind == WALK_OTHER))
        r = list_entry(v, e, strbuf_str(&shown), NULL, NULL, err);
    strbuf_release(&shown);
    return r;
}

static void on_problem(const char *path, const struct err *why, void *arg)
{
    struct inventory *v = arg;
    struct strbuf shown = STRBUF_INIT;
    walk_show_path(&shown, *path ? path : ".");
    module_partial(v->ctx, "%s: %s", strbuf_str(&shown), why->msg);
    strbuf_release(&shown);
}

static int by_bytes(const void *pa, const void *pb)
{
    const struct tally *a = pa, *b = pb;
    return a->bytes != b->bytes ? (a->bytes < b->bytes ? 1 : -1) : strcmp(a->name, b->name);
}

static json_t *tallies(void *list, bool lines)
{
    VEC(struct tally) *l = list;
    json_t *j = json_object();
    if (l->len)
        qsort(l->v, l->len, sizeof *l->v, by_bytes);
    VEC_EACH(l, t) {
        json_t *one = json_pack("{s:I,s:I}", "files", (json_int_t)t->files, "bytes", (json_int_t)t->bytes);
        if (lines)
            json_object_set_new(one, "lines", json_integer((json_int_t)t->lines));
        json_object_set_new(j, t->name, one);
    }
    return j;
}

static void summarise(struct inventory *v, const struct walk_stats *st)
{
    json_t *s = json_pack("{s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I}", "files", (json_int_t)v->files, "bytes",
                          (json_int_t)v->bytes, "folders", (json_int_t)st->dirs, "links", (json_int_t)st->symlinks,
                          "other", (json_int_t)st->others, "ignored", (json_int_t)st->ignored, "hashed",
                          (json_int_t)v->hashed, "over_size", (json_int_t)v->larger, "not_listed",
                          (json_int_t)v->not_listed, "sensitive", (json_int_t)v->sensitive_files);
    json_object_set_new(s, "languages", tallies(&v->languages, true));
    json_object_set_new(s, "types", tallies(&v->types, false));
    module_summary(v->ctx, s);
}

static int take_inventory(struct inventory *v, struct err *err)
{
    struct walk_stats st = {0};
    struct walk_options o = {.entry = on_entry, .problem = on_problem, .arg = v};
    _cleanup_free_ char *path = os_path_join(module_scratch(v->ctx), "inventory.json");
    v->buf = mem_alloc(READ_BYTES);
    if (!path || !v->buf)
        return err_nomem(err);
    int r = os_open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600, &v->out_fd, err);
    if (r < 0)
        return r;
    strbuf_putc(&v->out, '[');
    r = walk_tree(module_workspace(v->ctx), &o, &st, err);
    strbuf_puts(&v->out, "\n]\n");
    if (r == 0)
        r = flush(v, err);
    if (r < 0)
        return r;
    if (v->not_listed)
        module_partial(v->ctx, "inventory.json is full: %llu file%s not listed", (unsigned long long)v->not_listed,
                       UNITS_S(v->not_listed));
    module_artifact(v->ctx, path, "inventory.json");
    summarise(v, &st);
    return 0;
}

static int run(struct module_ctx *ctx, struct err *err)
{
    const json_t *in = module_input(ctx);
    struct inventory v = {.ctx = ctx, .out = STRBUF_INIT, .out_fd = -1,
                          .sensitive = json_flag(in, "check_sensitive", true),
                          .hashes = json_flag(in, "calculate_hashes", true)};
    if (!module_scratch(ctx))
        return err_set(err, ERR_INVALID, "file_scanner needs a scratch folder");
    int r = scan_input_size(in, "max_file_size", SCAN_FILE_SIZE_DEFAULT, &v.max_file_size, err);
    if (r == 0)
        r = scan_patterns_init(&v.patterns, in, "patterns", err);
    if (r == 0)
        r = take_inventory(&v, err);
    if (v.out_fd >= 0)
        close(v.out_fd);
    sha256_release(&v.sha);
    strbuf_release(&v.out);
    VEC_RELEASE(&v.languages);
    VEC_RELEASE(&v.types);
    free(v.buf);
    return r;
}

static const char *const tags[] = {"inventory", "files", NULL};

const struct module file_scanner_module = {
    .name = "file_scanner",
    .version = "1.0.0",
    .description = "Inventory of files, types, hashes and languages; finds files that should not be there",
    .category = MODULE_SCANNER,
    .tags = tags,
    .input_schema =
        "{\"type\":\"object\",\"properties\":{"
        "\"patterns\":{\"type\":\"array\",\"items\":{\"type\":\"string\"},"
        "\"description\":\"globs of the files to look at; all if there are none\"},"
        "\"check_sensitive\":{\"type\":\"boolean\",\"default\":true},"
        "\"calculate_hashes\":{\"type\":\"boolean\",\"default\":true},"
        "\"max_file_size\":{\"type\":[\"integer\",\"string\"],\"default\":10485760,"
        "\"description\":\"bytes, or a size as 10M; larger files get no hash\"}}}",
    .output_schema =
        "{\"type\":\"object\",\"properties\":{\"files\":{\"type\":\"integer\"},\"bytes\":{\"type\":\"integer\"},"
        "\"languages\":{\"type\":\"object\"},\"types\":{\"type\":\"object\"},\"sensitive\":{\"type\":\"integer\"}}}",
    .requires_workspace = true,
    .run = run,
};
