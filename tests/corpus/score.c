/* score: how well findings fit a truth file.
 *
 *     score [--found X] [--youden X] [--false N] [--category NAME] [-v] (--run DIR | FINDINGS) TRUTH
 *
 * FINDINGS is NDJSON (lines of type finding) or a JSON document with "findings"; --run lets the built-in modules
 * that look for weaknesses and secrets scan DIR. A weakness is found when a finding stands on exactly its line and
 * names one of its CWE numbers. A safe place is flagged when a finding on its line does; a finding of another kind
 * there does not count. Youden's index of a category is the share found less the share flagged. Exits 1 when a
 * floor is not reached: --found (least share of weaknesses), --youden (least mean index), --false (most safe
 * places flagged). --category leaves out all others. -v names what was missed and flagged. */
#include "base/cleanup.h"
#include "base/mem.h"
#include "base/vec.h"
#include "codec/json.h"
#include "codec/yaml.h"
#include "os/file.h"
#include "scan/builtin.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define TEXT_MAX ((size_t)64 << 20)

struct tally {
    const char *name; /* borrowed from the truth */
    unsigned weak, found, safe, flagged;
};

struct score {
    json_t *truth;
    json_t *findings; /* array */
    VEC(struct tally) categories, languages;
    struct tally all;
    double youden; /* the mean */
    const char *only; /* category, or NULL */
    bool verbose;
};

struct floors {
    double found, youden;
    int flagged; /* -1: any number */
};

/* --- reading --- */

static int read_truth(struct score *s, const char *path, struct err *err)
{
    _cleanup_free_ char *text = NULL;
    size_t n;
    struct yaml_limits limits = {.bytes = TEXT_MAX, .nodes = 1000000};
    int r = os_read_file(path, TEXT_MAX, &text, &n, err);
    if (r == 0)
        r = yaml_parse(text, n, &limits, &s->truth, NULL, err);
    if (r < 0)
        return err_wrap(err, "%s", path);
    if (!json_array_size(json_object_get(s->truth, "weaknesses")))
        return err_set(err, ERR_INVALID, "%s: no weaknesses", path);
    return 0;
}

static int add_lines(struct score *s, const char *text, size_t len, struct err *err)
{
    for (const char *p = text, *end = text + len; p < end;) {
        const char *nl = memchr(p, '\n', (size_t)(end - p));
        size_t n = nl ? (size_t)(nl - p) : (size_t)(end - p);
        _cleanup_json_ json_t *j = NULL;
        int r = n ? json_parse(p, n, TEXT_MAX, &j, err) : 0;
        if (r < 0)
            return err_wrap(err, "findings");
        const json_t *list = json_object_get(j, "findings"), *f;
        size_t i;
        json_array_foreach(list, i, f)
            json_array_append(s->findings, json_array_get(list, i));
        if (!list && j && strcmp(json_str(j, "type", "finding"), "finding") == 0)
            json_array_append(s->findings, j);
        if (strcmp(json_str(j, "type", ""), "result") == 0 && strcmp(json_str(j, "status", ""), "success") != 0)
            return err_set(err, ERR_FAILED, "a module ended %s: %s", json_str(j, "status", "?"),
                           json_str(j, "error", ""));
        p += n + 1;
    }
    return 0;
}

static int read_findings(struct score *s, const char *path, struct err *err)
{
    _cleanup_free_ char *text = NULL;
    size_t n;
    int r = os_read_file(path, TEXT_MAX, &text, &n, err);
    return r < 0 ? r : add_lines(s, text, n, err);
}

static int run_module(struct score *s, const struct module *m, const char *dir, struct err *err)
{
    _cleanup_json_ json_t *request =
        json_pack("{s:i,s:s,s:s,s:i,s:{},s:s,s:n}", "protocol", 1, "module", m->name, "run_id", "score", "attempt", 1,
                  "input", "workspace", dir, "checkpoint");
    _cleanup_close_ int in = memfd_create("request", MFD_CLOEXEC), out = memfd_create("messages", MFD_CLOEXEC);
    struct strbuf line = STRBUF_INIT;
    if (!request || in < 0 || out < 0)
        return err_nomem(err);
    int r = json_write(request, &line, err);
    strbuf_putc(&line, '\n');
    if (r == 0)
        r = os_write_full(in, strbuf_str(&line), line.len, err);
    strbuf_release(&line);
    if (r < 0)
        return r;
    lseek(in, 0, SEEK_SET);
    if (module_serve(m, in, out) != 0)
        return err_set(err, ERR_FAILED, "module %s failed", m->name);
    size_t size = (size_t)lseek(out, 0, SEEK_END), n;
    _cleanup_free_ char *text = mem_alloc(size + 1);
    if (!text)
        return err_nomem(err);
    r = os_pread_full(out, text, size, 0, &n, err);
    return r < 0 ? r : add_lines(s, text, n, err);
}

static int run_modules(struct score *s, const char *dir, struct err *err)
{
    int r = 0;
    for (size_t i = 0; r == 0 && builtin_modules[i]; i++) {
        enum module_category c = builtin_modules[i]->category;
        if (c == MODULE_ANALYZER || c == MODULE_SECRETS)
            r = run_module(s, builtin_modules[i], dir, err);
    }
    return r;
}

/* --- counting --- */

static struct tally *tally_of(void *list, const char *name)
{
    VEC(struct tally) *l = list;
    VEC_EACH(l, t)
        if (strcmp(t->name, name) == 0)
            return t;
    return VEC_PUSH(l, ((struct tally){.name = name})) ? &l->v[l->len - 1] : NULL;
}

static const char *language_of(const char *file)
{
    const char *dot = strrchr(file, '.'), *slash = strrchr(file, '/');
    return dot && (!slash || dot > slash) ? dot + 1 : "-";
}

static bool share_number(const json_t *a, const json_t *b)
{
    size_t i, k;
    const json_t *x, *y;
    json_array_foreach(a, i, x)
        json_array_foreach(b, k, y)
            if (json_equal(x, y))
                return true;
    return false;
}

static const json_t *finding_at(const struct score *s, const json_t *place)
{
    const char *file = json_str(place, "file", "");
    int64_t line = json_i64(place, "line", 0), end = json_i64(place, "end_line", line);
    const json_t *f;
    size_t i;
    json_array_foreach(s->findings, i, f) {
        int64_t at = json_i64(f, "line", 0);
        if (at >= line && at <= end && strcmp(json_str(f, "file", ""), file) == 0 &&
            share_number(json_object_get(f, "cwe"), json_object_get(place, "cwe")))
            return f;
    }
    return NULL;
}

static void count_one(struct tally *t, bool weak, bool hit)
{
    if (weak) {
        t->weak++;
        t->found += hit;
    } else {
        t->safe++;
        t->flagged += hit;
    }
}

static int count(struct score *s, const char *key, bool weak, struct err *err)
{
    const json_t *place;
    size_t i;
    json_array_foreach(json_object_get(s->truth, key), i, place) {
        const char *category = json_str(place, "category", "-"), *file = json_str(place, "file", "");
        if (s->only && strcmp(s->only, category) != 0)
            continue;
        const json_t *f = finding_at(s, place);
        struct tally *c = tally_of(&s->categories, category), *l = tally_of(&s->languages, language_of(file));
        if (!c || !l)
            return err_nomem(err);
        count_one(c, weak, f != NULL);
        count_one(l, weak, f != NULL);
        count_one(&s->all, weak, f != NULL);
        if (s->verbose && weak != (f != NULL))
            printf("%s %s:%lld %s (%s)%s%s\n", weak ? "missed " : "flagged", file,
                   (long long)json_i64(place, "line", 0), category, json_str(place, "note", ""), f ? " by " : "",
                   f ? json_str(f, "rule_id", "") : "");
    }
    return 0;
}

static double share(unsigned part, unsigned whole)
{
    return whole ? (double)part / whole : 0;
}

static void print_table(const char *title, const struct tally *t, size_t n)
{
    printf("\n%-22s %12s %12s %8s\n", title, "found", "flagged", "Youden");
    for (; n-- > 0; t++)
        printf("%-22s %5u / %4u %5u / %4u %8.2f\n", t->name, t->found, t->weak, t->flagged, t->safe,
               share(t->found, t->weak) - share(t->flagged, t->safe));
}

static int judge(struct score *s, const struct floors *want, struct err *err)
{
    int r = count(s, "weaknesses", true, err);
    if (r == 0)
        r = count(s, "safe", false, err);
    if (r < 0)
        return r;
    unsigned n = 0;
    VEC_EACH(&s->categories, c) {
        if (c->weak == 0)
            continue;
        s->youden += share(c->found, c->weak) - share(c->flagged, c->safe);
        n++;
    }
    s->youden /= n ? n : 1;
    s->all.name = "all";
    print_table("category", s->categories.v, s->categories.len);
    print_table("language", s->languages.v, s->languages.len);
    print_table("", &s->all, 1);
    double found = share(s->all.found, s->all.weak);
    printf("\nfound %.1f %%, flagged %u of %u safe places, mean Youden index %.3f\n", found * 100, s->all.flagged,
           s->all.safe, s->youden);
    if (found < want->found)
        return err_set(err, ERR_FAILED, "found %.3f, wanted %.3f", found, want->found);
    if (s->youden < want->youden)
        return err_set(err, ERR_FAILED, "mean Youden index %.3f, wanted %.3f", s->youden, want->youden);
    if (want->flagged >= 0 && s->all.flagged > (unsigned)want->flagged)
        return err_set(err, ERR_FAILED, "%u safe places flagged, at most %d wanted", s->all.flagged, want->flagged);
    return 0;
}

int main(int argc, char **argv)
{
    struct score s = {.findings = json_array()};
    struct floors want = {.flagged = -1};
    const char *run = NULL;
    int i = 1;
    for (; i < argc && argv[i][0] == '-'; i++) {
        if (strcmp(argv[i], "-v") == 0)
            s.verbose = true;
        else if (strcmp(argv[i], "--found") == 0 && i + 1 < argc)
            want.found = atof(argv[++i]);
        else if (strcmp(argv[i], "--youden") == 0 && i + 1 < argc)
            want.youden = atof(argv[++i]);
        else if (strcmp(argv[i], "--false") == 0 && i + 1 < argc)
            want.flagged = atoi(argv[++i]);
        else if (strcmp(argv[i], "--category") == 0 && i + 1 < argc)
            s.only = argv[++i];
        else if (strcmp(argv[i], "--run") == 0 && i + 1 < argc)
            run = argv[++i];
        else
            break;
    }
    if (argc - i != (run ? 1 : 2)) {
        fprintf(stderr, "usage: score [--found X] [--youden X] [--false N] [--category NAME] [-v] (--run DIR | "
                        "FINDINGS) TRUTH\n");
        return 2;
    }
    struct err err = {0};
    int r = read_truth(&s, argv[argc - 1], &err);
    if (r == 0)
        r = run ? run_modules(&s, run, &err) : read_findings(&s, argv[i], &err);
    if (r == 0)
        r = judge(&s, &want, &err);
    if (r < 0)
        fprintf(stderr, "score: %s\n", err.msg);
    json_decref(s.truth);
    json_decref(s.findings);
    VEC_RELEASE(&s.categories);
    VEC_RELEASE(&s.languages);
    return r < 0;
}
