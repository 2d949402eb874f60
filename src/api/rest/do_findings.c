/* What runs have found. */
#include "api/rest/rest_internal.h"

#include "api/service/run_list.h"
#include "api/service/suppressions.h"
#include "base/cleanup.h"
#include "base/mem.h"
#include "codec/json.h"
#include "codec/sarif.h"
#include "os/clock.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <xxhash.h>

#define ANSWER_MAX ((size_t)512 << 20)
#define CURSOR_FINDINGS 2
#define FINDINGS_NOT_FOUND "FindingsNotFound" /* the run is there */

static json_t *metadata_json(const struct run_info *run, const struct findings *f)
{
    char at[32];
    struct findings_counts c = findings_count(f);
    return json_pack("{s:s?, s:s, s:b, s:o, s:O?}", "completion_time",
                     run->finished_ns ? os_format_time(run->finished_ns, at) : NULL, "status", run->status, "incomplete",
                     run->incomplete, "findings_count", findings_counts_json(&c), "summary",
                     json_object_get(run->result, "summary"));
}

/* SARIF can be large: it is put into the document as text, not as a value. */
static int write_document(struct exchange *x, const struct run_info *run, const struct findings *f, struct err *err)
{
    struct strbuf b = STRBUF_INIT_MAX(ANSWER_MAX);
    struct sarif_options o;
    _cleanup_json_ json_t *head = json_pack("{s:s, s:s}", "workflow", run->workflow, "run_id", run->run_id);
    _cleanup_json_ json_t *metadata = metadata_json(run, f);
    run_report_facts(&x->svc, run, &o);
    int r = head && metadata ? json_write(head, &b, err) : err_nomem(err);
    if (r == 0) {
        b.len--; /* the closing brace */
        strbuf_puts(&b, ",\"sarif\":");
        r = sarif_write(f, &o, &b, err);
    }
    if (r == 0) {
        strbuf_puts(&b, ",\"metadata\":");
        r = json_write(metadata, &b, err);
    }
    strbuf_putc(&b, '}');
    if (r == 0)
        r = strbuf_check(&b, err);
    size_t len = b.len;
    if (r == 0)
        r = reply_text(x, 200, "application/json", strbuf_take(&b, NULL), len, err);
    strbuf_release(&b);
    if (r == 0)
        reply_etag(x);
    return r;
}

static int findings(struct exchange *x, const char *workflow, struct err *err)
{
    struct run_info run;
    struct findings f = {0};
    int r = exchange_run(x, &run, err);
    if (r < 0)
        return r;
    if (workflow && strcmp(workflow, run.workflow) != 0) {
        x->error_type = "RunNotFound";
        r = err_set(err, ERR_NOT_FOUND, "run '%s' is none of workflow '%s'", run.run_id, workflow);
    } else if (!run.closed) {
        x->error_status = 400;
        x->error_type = "RunNotCompleted";
        r = err_set(err, ERR_STATE, "run '%s' is still running", run.run_id);
    }
    if (r == 0 && (r = run_findings(&x->svc, &run, &f, err)) == -ERR_NOT_FOUND)
        x->error_type = FINDINGS_NOT_FOUND;
    if (r == 0)
        r = write_document(x, &run, &f, err);
    findings_release(&f);
    run_info_release(&run);
    return r;
}

int do_run_findings(struct exchange *x, struct err *err)
{
    return findings(x, NULL, err);
}

int do_workflow_findings(struct exchange *x, struct err *err)
{
    return findings(x, arg_text(x, "workflow"), err);
}

static int read_filter(const struct exchange *x, struct findings_filter *f, struct err *err)
{
    const char *severity = arg_text(x, "severity"), *status = arg_text(x, "finding_status");
    *f = (struct findings_filter)FINDINGS_FILTER_INIT;
    f->rule = arg_text(x, "rule");
    f->path = arg_text(x, "path");
    f->module = arg_text(x, "module");
    int r = severity ? findings_filter_severity(f, severity, err) : 0;
    if (r == 0 && status && strcmp(status, "all") == 0)
        f->absent = true;
    else if (r == 0 && status)
        r = findings_filter_status(f, status, err);
    return r;
}

/* Where a page begins, and of what: the next one is of the same run, also if none was named and another is the latest by then. */
struct place {
    uint64_t at, list;
    char run_id[ENGINE_ID_MAX];
};

/* The findings of an execution that the filters leave. */
static uint64_t list_of(const struct exchange *x, const struct run_info *run)
{
    static const char *const filters[] = {"severity", "rule", "path", "finding_status", "module"};
    uint64_t h = XXH3_64bits(run->execution_id, strlen(run->execution_id));
    for (size_t i = 0; i < ARRAY_LEN(filters); i++) {
        const char *text = arg_text(x, filters[i]);
        h = XXH3_64bits_withSeed(text ? text : "", text ? strlen(text) + 1 : 0, h);
    }
    return h;
}

static int other_list(struct err *err)
{
    return err_set(err, ERR_NOT_FOUND, "that cursor was not given for this list");
}

static int read_place(const char *cursor, struct place *ret, struct err *err)
{
    _cleanup_free_ uint8_t *bytes = NULL;
    size_t n, fixed = offsetof(struct place, run_id);
    int r = cursor_read(CURSOR_FINDINGS, cursor, &bytes, &n, err);
    if (r < 0)
        return r;
    if (n <= fixed || n >= sizeof *ret)
        return other_list(err);
    memcpy(ret, bytes, n);
    return 0;
}

static char *write_place(const struct exchange *x, const struct run_info *run, size_t at)
{
    struct place p = {.at = at, .list = list_of(x, run)};
    snprintf(p.run_id, sizeof p.run_id, "%s", run->run_id);
    return cursor_write(CURSOR_FINDINGS, &p, offsetof(struct place, run_id) + strlen(p.run_id));
}

/* run NULL: there is none. */
static int reply_findings(struct exchange *x, const struct run_info *run, const struct findings *list, size_t from,
                          struct err *err)
{
    size_t limit = (size_t)arg_number(x, "limit", 100), end = from;
    _cleanup_free_ char *next = NULL;
    json_t *out = json_array();
    for (; out && end < list->len && end - from < limit; end++)
        json_array_append_new(out, finding_to_json(&list->v[end]));
    if (end < list->len && !(next = write_place(x, run, end))) {
        json_decref(out);
        return err_nomem(err);
    }
    int r = reply_json(x, 200,
                       json_pack("{s:o, s:s?, s:s?, s:I}", "findings", out, "next_cursor", next, "run_id",
                                 run ? run->run_id : NULL, "total", (json_int_t)list->len),
                       err);
    if (r == 0)
        reply_etag(x);
    return r;
}

int do_list_findings(struct exchange *x, struct err *err)
{
    const char *cursor = arg_text(x, "cursor"), *run = arg_text(x, "run");
    struct run_list l = {0};
    struct findings_filter f;
    struct place from = {0};
    int r = cursor ? read_place(cursor, &from, err) : 0;
    if (r == 0)
        r = read_filter(x, &f, err);
    if (r == 0)
        r = run_list_open(&x->svc, run ? run : cursor ? from.run_id : NULL, &l, err);
    if (r == -ERR_NOT_FOUND && !l.lost && !run && !cursor) /* nothing has run yet */
        return reply_findings(x, NULL, &(struct findings){0}, 0, err);
    if (r == -ERR_NOT_FOUND && (run || l.lost))
        x->error_type = l.lost ? FINDINGS_NOT_FOUND : "RunNotFound";
    if (r < 0)
        return r;
    findings_filter(&f, &l.list);
    if (cursor && (strcmp(from.run_id, l.run.run_id) != 0 || from.list != list_of(x, &l.run) || from.at > l.list.len))
        r = other_list(err);
    else
        r = reply_findings(x, &l.run, &l.list, (size_t)from.at, err);
    run_list_release(&l);
    return r;
}

/* --- what is accepted -------------------------------------------------------------------------------------------------- */

int do_list_suppressions(struct exchange *x, struct err *err)
{
    json_t *doc = NULL;
    int r = suppressions_list(&x->svc, &doc, err);
    return r < 0 ? r : reply_json(x, 200, doc, err);
}

int do_add_suppressions(struct exchange *x, struct err *err)
{
    int r = body_json(x, err);
    json_t *list = json_object_get(x->json, "suppressions");
    if (r == 0)
        r = suppressions_add(&x->svc, list, err);
    return r < 0 ? r : reply_message(x, NULL, "%zu added", json_array_size(list));
}

int do_remove_suppressions(struct exchange *x, struct err *err)
{
    size_t n = 0;
    int r = suppressions_remove(&x->svc, arg_text(x, "suppression"), &n, err);
    return r < 0 ? r : reply_json(x, 200, json_pack("{s:I}", "removed", (json_int_t)n), err);
}
