/* Resources: what runs found and left behind, as documents with addresses.
 *
 * fuzzforge://runs/ID/summary, /findings, /sarif, /log, /artifacts/NAME, /crashes/ID */
#include "api/mcp/mcp_internal.h"
#include "api/mcp/visible.h"

#include "api/service/control.h"
#include "api/service/objects.h"
#include "api/service/run_list.h"
#include "api/service/runs.h"
#include "base/cleanup.h"
#include "base/mem.h"
#include "codec/json.h"
#include "codec/pbx.h"
#include "codec/sarif.h"
#include "codec/uri.h"
#include "codec/utf8.h"
#include "os/clock.h"

#include <stdio.h>
#include <string.h>

#define SCHEME "fuzzforge://runs/"
#define RUNS_PAGE 20
#define URI_MAX 4096
#define CONTENT_MAX ((size_t)16 << 20)

/* A kind: the word after the run's id. named: something follows. */
static const struct kind {
    const char *word, *type, *title, *description;
    bool named, closed; /* closed: of runs that have ended alone */
} kinds[] = {
    {"summary", "application/json", "Summary of a run", "State, counts and verdict", false, false},
    {"findings", "application/json", "Findings of a run", "All findings, as JSON", false, true},
    {"sarif", "application/sarif+json", "SARIF of a run", "All findings, as SARIF 2.1.0", false, true},
    {"log", "application/x-ndjson", "Log of a run", "What happened and what modules said, one event a line", false, false},
    {"artifacts", "application/octet-stream", "Artifact of a run", "What a module has left; get_artifact_mcp lists the names",
     true, false},
    {"crashes", "application/octet-stream", "Input that crashes", "The input that reproduces a crash, by the finding's id",
     true, true},
};

static json_t *untrusted(void)
{
    return json_pack("{s:b}", META_UNTRUSTED, 1);
}

/* --- lists ---------------------------------------------------------------------------------------------------------------- */

struct listing {
    const struct service *svc;
    json_t *list;
};

/* An execution of a run that was started again since: what is read by the run's id is the new one's. */
static bool is_superseded(const struct service *svc, const struct run_item *item)
{
    struct run_info run;
    if (run_read(svc, item->run_id, &run, NULL) < 0)
        return false;
    bool other = strcmp(run.execution_id, item->execution_id) != 0;
    run_info_release(&run);
    return other;
}

static void add_resources(void *arg, const struct run_item *item)
{
    const struct listing *l = arg;
    bool closed = item->finished_ns != 0;
    if (closed && is_superseded(l->svc, item))
        return;
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        char uri[URI_MAX], name[400];
        if (kinds[i].named || (kinds[i].closed && !closed))
            continue;
        struct strbuf id = STRBUF_INIT_MAX(URI_MAX - 100);
        uri_append_file(&id, item->run_id);
        snprintf(uri, sizeof uri, SCHEME "%s/%s", strbuf_str(&id), kinds[i].word);
        strbuf_release(&id);
        snprintf(name, sizeof name, "%s of %.200s", kinds[i].word, item->run_id);
        json_array_append_new(l->list, json_pack("{s:s, s:s, s:s, s:s, s:s, s:o}", "uri", uri, "name", name, "title",
                                             kinds[i].title,
                                             "description", kinds[i].description, "mimeType", kinds[i].type, "_meta",
                                                 untrusted()));
    }
}

json_t *resources_list(struct mcp_call *c, struct mcp_failure *f)
{
    struct err err = {0};
    json_t *list = json_array();
    struct listing l = {&c->s->service, list};
    ProtobufCBinaryData token = {0};
    int r = cursor_read_bytes('u', cursor_of(c->m.params), &token.data, &token.len, &err);
    if (r == 0 && !c->s->mcp->o.service)
        r = err_set(&err, ERR_UNAVAILABLE, "nothing is served");
    if (r == 0)
        r = runs_list_current(&c->s->service, "", RUNS_PAGE, &token, add_resources, &l, &err);
    json_t *next = r == 0 && token.len ? cursor_bytes('u', token.data, token.len) : NULL;
    free(token.data);
    if (r == 0)
        return json_pack("{s:o, s:o*}", "resources", list, "nextCursor", next);
    json_decref(list);
    return mcp_fail_err(f, &err);
}

json_t *resources_templates(struct mcp_call *c, struct mcp_failure *f)
{
    json_t *list = json_array();
    struct err err = {0};
    size_t from;
    if (cursor_read_number('p', cursor_of(c->m.params), &from, &err) < 0)
        return mcp_fail_err(f, &err);
    for (size_t i = from; i < ARRAY_LEN(kinds); i++) {
        char uri[200];
        snprintf(uri, sizeof uri, SCHEME "{run_id}/%s%s", kinds[i].word, kinds[i].named ? "/{name}" : "");
        json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s, s:s, s:o}", "uriTemplate", uri, "name", kinds[i].word,
                                              "title",
                                              kinds[i].title, "description", kinds[i].description, "mimeType", kinds[i].type,
                                                  "_meta",
                                              untrusted()));
    }
    return json_pack("{s:o}", "resourceTemplates", list);
}

/* --- reading -------------------------------------------------------------------------------------------------------------- */

struct address {
    char run[URI_MAX], name[URI_MAX];
    const struct kind *kind;
};

static int hex(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* %XX undone. false: it is none, or would hold a NUL. */
static bool decode(const char *s, size_t n, char *out)
{
    size_t k = 0;
    for (size_t i = 0; i < n; i++) {
        int c = (unsigned char)s[i];
        if (c == '%') {
            int a = n - i > 2 ? hex(s[i + 1]) : -1, b = n - i > 2 ? hex(s[i + 2]) : -1;
            if (a < 0 || b < 0)
                return false;
            c = a * 16 + b;
            i += 2;
        }
        if (!c)
            return false;
        out[k++] = (char)c;
    }
    out[k] = 0;
    return k > 0 && utf8_valid(out, k);
}

static bool parse(const char *uri, struct address *a)
{
    size_t n = strlen(uri);
    if (n >= URI_MAX || strncmp(uri, SCHEME, strlen(SCHEME)) != 0)
        return false;
    const char *id = uri + strlen(SCHEME), *slash = strchr(id, '/');
    if (!slash || !decode(id, (size_t)(slash - id), a->run))
        return false;
    const char *word = slash + 1;
    size_t len = strcspn(word, "/");
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        if (strlen(kinds[i].word) == len && strncmp(kinds[i].word, word, len) == 0 && kinds[i].named == (word[len] == '/')) {
            a->kind = &kinds[i];
            return !kinds[i].named || decode(word + len + 1, strlen(word + len + 1), a->name);
        }
    return false;
}

static int add_event(void *arg, const Pb__HistoryEvent *e, struct err *err)
{
    struct strbuf *b = arg;
    char time[32];
    const ProtobufCEnumValue *type = protobuf_c_enum_descriptor_get_value(&pb__event_type__descriptor, e->event_type);
    os_format_time(pbx_timestamp_ns(e->event_time), time);
    strbuf_printf(b, "{\"id\":%lld,\"time\":\"%s\",\"type\":\"%s\"}\n", (long long)e->event_id, time, type ? type->name : "");
    return strbuf_check(b, err);
}

static int write_findings(const struct run_list *l, struct strbuf *out, struct err *err)
{
    int r = 0;
    strbuf_puts(out, "[");
    for (size_t i = 0; r == 0 && i < l->list.len; i++) {
        _cleanup_json_ json_t *j = finding_to_json(&l->list.v[i]);
        strbuf_puts(out, i ? ",\n" : "\n");
        r = j ? json_write(j, out, err) : err_nomem(err);
    }
    strbuf_puts(out, "\n]\n");
    return r;
}

static int read_list(struct mcp_call *c, const struct address *a, struct strbuf *out, struct err *err)
{
    struct run_list l = {0};
    struct sarif_options o;
    int r = run_list_open(&c->s->service, a->run, &l, err);
    if (r < 0)
        return r;
    run_report_facts(&c->s->service, &l.run, &o);
    r = strcmp(a->kind->word, "sarif") == 0 ? sarif_write(&l.list, &o, out, err) : write_findings(&l, out, err);
    run_list_release(&l);
    return r;
}

static int read_summary(struct mcp_call *c, const struct address *a, struct strbuf *out, struct err *err)
{
    _cleanup_json_ json_t *args = json_pack("{s:s}", "run_id", a->run), *j = NULL;
    int r = args ? tool_summary(c, args, &j, err) : err_nomem(err);
    if (r == 0)
        r = j ? json_write_pretty(j, out, err) : err_nomem(err);
    return r;
}

static int add_live(void *arg, const struct live_event *e)
{
    struct strbuf *b = arg;
    char time[32];
    _cleanup_json_ json_t *data = NULL;
    if (json_parse(e->data, strlen(e->data), LIVE_DATA_MAX, &data, NULL) < 0 || visible_json(data, NULL) < 0)
        return 0;
    _cleanup_json_ json_t *line = json_pack("{s:I, s:s, s:s, s:O}", "id", (json_int_t)e->seq, "time",
                                            os_format_time(e->at_ns, time), "type", e->type, "data", data);
    if (line && json_write(line, b, NULL) == 0)
        strbuf_putc(b, '\n');
    return b->failed ? -1 : 0;
}

/* What modules and scripts have said, if it is kept; else what the engine's history has. */
static int read_log(struct mcp_call *c, const struct address *a, struct strbuf *out, struct err *err)
{
    _cleanup_free_ char *id = NULL;
    char key[LIVE_KEY_MAX];
    int64_t last;
    struct live *live = c->s->mcp->o.live;
    int r = run_resolve(&c->s->service, a->run, &id, err);
    if (r == 0 && live)
        r = live_read(live, live_key(c->s->service.name_space, id, key), 0, LIVE_EVENTS_MAX * 2, NULL, add_live, out, &last, err);
    return r < 0 || out->len ? r : run_each_event(&c->s->service, id, 0, add_event, out, err);
}

static int get(struct mcp_call *c, const char *run_id, const char *ref, struct strbuf *out, struct err *err)
{
    _cleanup_free_ char *bytes = NULL;
    size_t n;
    int r = object_of_run(&c->s->service, run_id, ref, err);
    if (r == 0)
        r = store_get(c->s->service.store, ref, CONTENT_MAX, &bytes, &n, err);
    if (r == 0)
        strbuf_append(out, bytes, n);
    return r;
}

static int read_artifact(struct mcp_call *c, const struct address *a, struct strbuf *out, struct err *err)
{
    _cleanup_json_ json_t *list = NULL;
    _cleanup_free_ char *id = NULL;
    const char *ref = NULL;
    size_t i;
    json_t *j;
    int r = mcp_artifacts(c, a->run, &id, &list, err);
    json_array_foreach(list, i, j)
        if (strcmp(json_str(j, "name", ""), a->name) == 0)
            ref = json_str(j, "ref", NULL);
    if (r == 0 && !ref)
        r = err_set(err, ERR_NOT_FOUND, "the run has no artifact '%.200s'", a->name);
    return r < 0 ? r : get(c, id, ref, out, err);
}

static int read_crash(struct mcp_call *c, const struct address *a, struct strbuf *out, struct err *err)
{
    struct run_list l = {0};
    size_t at;
    _cleanup_free_ char *id = NULL, *ref = NULL;
    int r = run_resolve(&c->s->service, a->run, &id, err);
    if (r == 0)
        r = run_list_find(&c->s->service, id, a->name, &l, &at, err);
    if (r == 0) {
        const json_t *input = json_object_get(l.list.v[at].evidence, "reproducer");
        const char *text = json_is_string(input) ? json_string_value(input) : json_str(input, "ref", NULL);
        ref = text ? mem_strdup(text) : NULL;
        if (!ref || !store_ref_valid(ref))
            r = err_set(err, ERR_NOT_FOUND, "the finding has no input that reproduces it");
    }
    run_list_release(&l);
    return r < 0 ? r : get(c, id, ref, out, err);
}

/* A document of ours that holds texts with what nobody sees. */
static int make_visible(struct strbuf *io, struct err *err)
{
    _cleanup_json_ json_t *j = NULL;
    int r = json_parse(strbuf_str(io), io->len, io->len, &j, err);
    if (r == 0)
        r = visible_json(j, err);
    strbuf_clear(io);
    return r < 0 ? r : json_write(j, io, err);
}

/* The bytes of a file stay as they are: with what nobody sees in them it is no text to be read. */
static json_t *contents(const char *uri, const struct kind *k, const struct strbuf *b)
{
    const char *s = strbuf_str(b);
    bool text = visible_as_is(s, b->len);
    const char *type = k->named && text ? "text/plain" : k->type;
    json_t *item = json_pack("{s:s, s:s, s:o, s:o}", "uri", uri, "mimeType", type, text ? "text" : "blob",
                             text ? json_stringn(s, b->len) : json_base64(s, b->len), "_meta", untrusted());
    return item ? json_pack("{s:[o]}", "contents", item) : NULL;
}

json_t *resources_read(struct mcp_call *c, struct mcp_failure *f)
{
    static int (*const readers[])(struct mcp_call *c, const struct address *a, struct strbuf *out, struct err *err) = {
        read_summary, read_list, read_list, read_log, read_artifact, read_crash};
    struct err err = {0};
    const char *uri = json_str(c->m.params, "uri", NULL);
    _cleanup_free_ struct address *a = mem_zalloc(sizeof *a);
    _cleanup_(strbuf_release) struct strbuf b = STRBUF_INIT_MAX(CONTENT_MAX);
    if (!uri)
        return mcp_fail(f, MCP_INVALID_PARAMS, "uri is missing");
    int r = !a ? err_nomem(&err) : parse(uri, a) ? 0 : err_set(&err, ERR_NOT_FOUND, "there is no such resource");
    if (r == 0 && !c->s->mcp->o.service)
        r = err_set(&err, ERR_UNAVAILABLE, "nothing is served");
    if (r == 0)
        r = readers[a->kind - kinds](c, a, &b, &err);
    if (r == 0)
        r = strbuf_check(&b, &err);
    if (r == 0 && !a->kind->named && !visible_as_is(strbuf_str(&b), b.len))
        r = make_visible(&b, &err);
    if (r == 0)
        return contents(uri, a->kind, &b);
    mcp_fail_err(f, &err);
    if (err.code == ERR_NOT_FOUND) {
        f->code = c->modern ? MCP_INVALID_PARAMS : MCP_RESOURCE_NOT_FOUND;
        f->data = json_pack("{s:s}", "uri", uri);
    } else if (err.code == ERR_LIMIT) {
        mcp_fail(f, MCP_INTERNAL_ERROR, "it is larger than %zu MB; get_run_findings_mcp and get_artifact_mcp give pieces",
                 CONTENT_MAX >> 20);
    }
    return NULL;
}
