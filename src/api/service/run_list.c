#include "api/service/run_list.h"

#include "api/service/runs.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/vec.h"
#include "codec/json.h"
#include "codec/sarif.h"
#include "os/file.h"

#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

#define PAGE 200
#define SEARCH_RUNS_MAX 1000 /* how far back a finding is looked for */
#define FILE_BYTES_MAX ((size_t)1 << 30)
#define ID_MIN 4

void run_list_release(struct run_list *l)
{
    run_info_release(&l->run);
    findings_release(&l->list);
}

/* --- runs ------------------------------------------------------------------------------------------------- */

struct ids {
    VEC(char *) list;
    bool failed;
};

static void add_id(void *arg, const struct run_item *item)
{
    struct ids *p = arg;
    char *id = mem_strdup(item->run_id);
    if (id && VEC_PUSH(&p->list, id))
        return;
    free(id);
    p->failed = true;
}

int findings_each_run(const struct service *svc, size_t max, int (*one)(void *arg, const char *run_id, struct err *err),
                      void *arg, struct err *err)
{
    ProtobufCBinaryData token = {0};
    int r;
    do {
        struct ids page = {0};
        r = runs_list_current(svc, "", max < PAGE ? max : PAGE, &token, add_id, &page, err);
        if (r == 0 && page.failed)
            r = err_nomem(err);
        max -= page.list.len < max ? page.list.len : max;
        VEC_EACH(&page.list, id) {
            if (r == 0)
                r = one(arg, *id, err);
            free(*id);
        }
        VEC_RELEASE(&page.list);
    } while (r == 0 && token.len && max);
    free(token.data);
    return r < 0 ? r : 0;
}

static int open_run(const struct service *svc, const char *run_id, struct run_list *ret, struct err *err)
{
    *ret = (struct run_list){0};
    int r = run_read(svc, run_id, &ret->run, err);
    if (r < 0)
        return r;
    r = run_findings(svc, &ret->run, &ret->list, err);
    if (r < 0) {
        run_list_release(ret);
        ret->lost = true;
    }
    return r;
}

int run_list_open_quietly(const struct service *svc, const char *run_id, struct run_list *ret)
{
    struct err err = {0};
    int r = open_run(svc, run_id, ret, &err);
    if (r < 0)
        log_warn("the findings of run %s cannot be read: %s", run_id, err.msg);
    return r;
}

struct latest {
    const struct service *svc;
    char *run_id;
};

static int take_if_closed(void *arg, const char *run_id, struct err *err)
{
    struct latest *l = arg;
    struct run_info info;
    int r = run_read(l->svc, run_id, &info, err);
    if (r < 0)
        return r;
    if (info.closed && info.result && !(l->run_id = mem_strdup(run_id)))
        r = err_nomem(err);
    run_info_release(&info);
    return r < 0 ? r : l->run_id != NULL;
}

int run_list_open(const struct service *svc, const char *id, struct run_list *ret, struct err *err)
{
    _cleanup_free_ char *run_id = NULL;
    int r;
    *ret = (struct run_list){0};
    if (id && strcmp(id, "latest") != 0) {
        r = run_resolve(svc, id, &run_id, err);
    } else {
        struct latest l = {.svc = svc};
        r = findings_each_run(svc, SEARCH_RUNS_MAX, take_if_closed, &l, err);
        run_id = l.run_id;
        if (r == 0 && !run_id) {
            err_set(err, ERR_NOT_FOUND, "no run has ended yet");
            return err_hint(err, "'ff run security_assessment FOLDER' makes one");
        }
    }
    return r < 0 ? r : open_run(svc, run_id, ret, err);
}

int run_list_open_file(const char *path, struct run_list *ret, struct err *err)
{
    _cleanup_free_ char *text = NULL;
    size_t len;
    *ret = (struct run_list){0};
    int r = os_read_file(path, FILE_BYTES_MAX, &text, &len, err);
    if (r < 0)
        return r;
    if (sarif_looks_like(text, len))
        r = sarif_read(text, len, &ret->list, err);
    else if ((r = findings_read(&ret->list, text, len, err)) == 0)
        r = findings_merge(&ret->list, err);
    for (size_t i = 0; r == 0 && i < ret->list.len; i++)
        if (!ret->list.v[i].fingerprint) /* of a tool that gives none */
            r = findings_fingerprint(&ret->list, err);
    if (r == 0)
        return 0;
    run_list_release(ret);
    return err_wrap(err, "%s", path);
}

/* --- one finding ------------------------------------------------------------------------------------------ */

struct search {
    const struct service *svc;
    const char *id;
    struct run_list *ret;
    size_t *ret_index;
    bool found;
};

static bool begins(const char *text, const char *with)
{
    return text && strncasecmp(text, with, strlen(with)) == 0;
}

/* The finding that id means in the list: an exact one, else the only one that begins so. */
static int find_in(const struct findings *list, const char *id, size_t *ret_index, struct err *err)
{
    size_t found = 0;
    for (size_t i = 0; i < list->len; i++) {
        const struct finding *f = &list->v[i];
        if (!begins(f->id, id) && !begins(f->fingerprint, id))
            continue;
        bool exact = strlen(id) == 26 || strlen(id) == FINDINGS_FINGERPRINT_HEX;
        *ret_index = i;
        found++;
        if (exact)
            return 1;
    }
    if (found > 1) {
        err_set(err, ERR_USAGE, "'%s' is the beginning of %zu findings", id, found);
        return err_hint(err, "write more of it");
    }
    return (int)found;
}

static int search_run(void *arg, const char *run_id, struct err *err)
{
    struct search *s = arg;
    struct run_list l;
    int r = run_list_open_quietly(s->svc, run_id, &l);
    if (r < 0)
        return 0;
    r = find_in(&l.list, s->id, s->ret_index, err);
    if (r == 1) {
        *s->ret = l;
        s->found = true;
        return 1;
    }
    run_list_release(&l);
    return r;
}

int run_list_find(const struct service *svc, const char *run_id, const char *id, struct run_list *ret, size_t *ret_index,
                  struct err *err)
{
    struct search s = {.svc = svc, .id = id, .ret = ret, .ret_index = ret_index};
    int r = 0;
    if (strlen(id) < ID_MIN)
        return err_set(err, ERR_USAGE, "'%s' is too short for the id of a finding", id);
    if (run_id) {
        _cleanup_free_ char *full = NULL;
        r = run_resolve(svc, run_id, &full, err);
        if (r == 0)
            r = search_run(&s, full, err);
    } else {
        r = findings_each_run(svc, SEARCH_RUNS_MAX, search_run, &s, err);
    }
    if (r < 0 || s.found)
        return r < 0 ? r : 0;
    err_set(err, ERR_NOT_FOUND, "finding '%.64s' not found", id);
    return err_hint(err, "'ff findings list' shows the findings of the last run with their ids");
}

/* --- filters ---------------------------------------------------------------------------------------------- */

int findings_filter_severity(struct findings_filter *f, const char *text, struct err *err)
{
    bool list = strchr(text, ',') != NULL;
    memset(f->severities, 0, sizeof f->severities);
    for (const char *p = text; *p;) {
        size_t n = strcspn(p, ",");
        _cleanup_free_ char *word = mem_strndup(p, n);
        enum severity s;
        if (!word)
            return err_nomem(err);
        int r = severity_parse(word, &s, err);
        if (r < 0)
            return err_wrap(err, "severity");
        for (int k = (int)s; k <= (list ? (int)s : SEVERITY_CRITICAL); k++)
            f->severities[k] = true;
        p += n + (p[n] == ',');
    }
    return 0;
}

int findings_filter_status(struct findings_filter *f, const char *text, struct err *err)
{
    f->fresh = f->unchanged = f->absent = f->suppressed = false;
    for (const char *p = text; *p;) {
        size_t n = strcspn(p, ",");
        bool active = n == 6 && strncmp(p, "active", n) == 0;
        if (active || (n == 3 && strncmp(p, "new", n) == 0))
            f->fresh = true;
        if (active || (n == 9 && strncmp(p, "unchanged", n) == 0))
            f->unchanged = true;
        else if (n == 6 && strncmp(p, "absent", n) == 0)
            f->absent = true;
        else if (n == 10 && strncmp(p, "suppressed", n) == 0)
            f->suppressed = true;
        else if (!active && !(n == 3 && strncmp(p, "new", n) == 0))
            return err_set(err, ERR_USAGE, "status '%.*s': one of new unchanged absent suppressed active", (int)n, p);
        p += n + (p[n] == ',');
    }
    return 0;
}

/* A glob, or the beginning up to a slash. */
static bool fits(const char *pattern, const char *text)
{
    size_t n = strlen(pattern);
    while (n > 0 && pattern[n - 1] == '/')
        n--;
    if (!text)
        return false;
    return fnmatch(pattern, text, 0) == 0 || (strncmp(pattern, text, n) == 0 && (text[n] == '/' || !text[n]));
}

static bool passes(const void *arg, const struct finding *f)
{
    const struct findings_filter *w = arg;
    bool state = f->status == FINDING_ABSENT      ? w->absent
                 : f->suppressed                  ? w->suppressed
                 : f->status == FINDING_UNCHANGED ? w->unchanged
                                                  : w->fresh;
    return state && w->severities[f->severity] && (!w->rule || fits(w->rule, f->rule_id)) &&
           (!w->path || fits(w->path + (strncmp(w->path, "./", 2) == 0 ? 2 : 0), f->file)) &&
           (!w->module || (f->module && strcmp(w->module, f->module) == 0));
}

void findings_filter(const struct findings_filter *w, struct findings *list)
{
    findings_keep(list, passes, w);
}
