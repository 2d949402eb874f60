#include "api/client/documents.h"

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/units.h"
#include "codec/json.h"
#include "os/clock.h"

#include <stdio.h>
#include <string.h>

#define WORD_MAX 1000

static int not_ours(struct err *err, const char *what)
{
    return err_set(err, ERR_CORRUPT, "the server's answer is not %s", what);
}

const char *document_word(const json_t *j, const char *key)
{
    const char *s = json_str(j, key, NULL);
    if (!s || strlen(s) > WORD_MAX)
        return NULL;
    for (const unsigned char *p = (const unsigned char *)s; *p; p++)
        if (*p < 0x20 || *p == 0x7f || (*p == 0xc2 && p[1] < 0xa0)) /* control characters, those of C1 too */
            return NULL;
    return s;
}

/* The status as static text; NULL: no such. */
static const char *status_of(const json_t *j)
{
    static const char *const all[] = {"PENDING", "RUNNING", "COMPLETED", "FAILED", "CANCELLED", "TERMINATED", "TIMED_OUT"};
    const char *s = json_str(j, "status", "");
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        if (strcmp(all[i], s) == 0)
            return all[i];
    return NULL;
}

/* Start and end so that they give the same times and the same duration as the server's, which counted in nanoseconds. */
static void read_times(const json_t *j, int64_t *ret_started, int64_t *ret_finished)
{
    *ret_started = os_parse_time(json_str(j, "started_at", ""));
    *ret_finished = os_parse_time(json_str(j, "finished_at", ""));
    if (*ret_finished && (*ret_finished - *ret_started) / NS_PER_MS > json_i64(j, "duration_ms", INT64_MAX))
        *ret_started += NS_PER_MS / 2;
}

static json_t *object_of(const json_t *j, const char *key)
{
    json_t *v = json_object_get(j, key);
    return json_is_null(v) ? NULL : json_incref(v);
}

/* The gate, as the server keeps it with the run. No file of this machine is ever named by it. */
static int read_gate(const json_t *j, struct gate_options *ret, struct err *err)
{
    int r = gate_options_parse(json_object_get(j, "options"), ret, err);
    free(ret->export_sarif);
    ret->export_sarif = NULL;
    if (ret->baseline && (ret->baseline[0] == '/' || !document_word(json_object_get(j, "options"), "baseline"))) {
        free(ret->baseline);
        ret->baseline = NULL;
    }
    return r;
}

int document_run(const json_t *j, struct run_info *ret, struct err *err)
{
    const char *id = document_word(j, "run_id"), *execution = document_word(j, "execution_id");
    const char *workflow = document_word(j, "workflow"), *status = status_of(j), *failure = json_str(j, "error", NULL);
    *ret = (struct run_info){.gate.fail_on = -1};
    if (!id || !execution || !workflow || !status)
        return not_ours(err, "that of a run");
    *ret = (struct run_info){.run_id = mem_strdup(id),
                             .execution_id = mem_strdup(execution),
                             .workflow = mem_strdup(workflow),
                             .status = status,
                             .closed = strcmp(status, "RUNNING") != 0,
                             .blocked = json_flag(j, "blocked", false),
                             .incomplete = json_flag(j, "incomplete", false),
                             .target = object_of(j, "target"),
                             .result = object_of(j, "result"),
                             .failure = mem_strdup(failure),
                             .activities = object_of(j, "pending_activities")};
    read_times(j, &ret->started_ns, &ret->finished_ns);
    int r = ret->run_id && ret->execution_id && ret->workflow && (!failure || ret->failure) ? 0 : err_nomem(err);
    if (r == 0)
        r = read_gate(j, &ret->gate, err);
    if (r == 0 && !ret->activities && !(ret->activities = json_array()))
        r = err_nomem(err);
    if (r < 0)
        run_info_release(ret);
    return r;
}

int document_item(const json_t *j, struct run_item *ret, struct err *err)
{
    *ret = (struct run_item){.run_id = document_word(j, "run_id"),
                             .execution_id = document_word(j, "execution_id"),
                             .workflow = document_word(j, "workflow"),
                             .status = status_of(j),
                             .target = json_str(j, "target", ""),
                             .target_ref = ""};
    read_times(j, &ret->started_ns, &ret->finished_ns);
    return ret->run_id && ret->execution_id && ret->workflow && ret->status ? 0 : not_ours(err, "a list of runs");
}

/* --- workflows ----------------------------------------------------------------------------------------------------- */

static int broken(const json_t *j, struct workflow_def *d, struct err *err)
{
    const char *file = json_str(j, "file", ""), *reason = json_str(j, "broken", "");
    char place[64];
    d->broken = true;
    d->broken_line = (int)json_i64(j, "line", 0);
    d->broken_file = mem_strdup(file);
    d->version = mem_strdup(json_str(j, "version", NULL));
    size_t n = strlen(file); /* the text begins with the place, which workflow_def_error() puts before it again */
    snprintf(place, sizeof place, d->broken_line ? ":%d: " : ": ", d->broken_line);
    if (strncmp(reason, file, n) == 0 && strncmp(reason + n, place, strlen(place)) == 0)
        reason += n + strlen(place);
    d->broken_reason = mem_strdup(reason);
    return d->broken_file && d->broken_reason ? 0 : err_nomem(err);
}

/* The same as metadata.yaml would have it, so that it is read and checked as that is. */
static json_t *metadata_of(const json_t *j)
{
    static const char *const same[] = {"name", "version", "vertical", "description", "author", "tags", "workspace_isolation",
                                       "default_parameters", "parameters", "output_schema", "required_modules", "resources",
                                       "network_if", "schedule"};
    json_t *m = json_object();
    for (size_t i = 0; m && i < ARRAY_LEN(same); i++) {
        json_t *v = json_object_get(j, same[i]);
        if (v && !json_is_null(v) && !(strcmp(same[i], "parameters") == 0 && json_object_size(v) == 0))
            json_object_set(m, same[i], v);
    }
    if (m && strcmp(json_str(j, "network", "none"), "none") != 0)
        json_object_set(m, "network", json_object_get(j, "network"));
    int64_t ms = json_i64(j, "timeout_ms", 0);
    if (m && ms > 0)
        json_object_set_new(m, "timeout", json_sprintf("%lldms", (long long)ms));
    return m;
}

static int whole(const json_t *j, struct workflow_def *d, struct err *err)
{
    _cleanup_json_ json_t *m = metadata_of(j);
    _cleanup_free_ char *text = m ? json_dumps(m, JSON_COMPACT) : NULL;
    int r = text ? workflow_def_read(d, text, strlen(text), err) : err_nomem(err);
    if (r == 0 && d->broken)
        r = not_ours(err, "that of a workflow");
    d->untrusted = json_flag(j, "untrusted", false);
    snprintf(d->script_ref, sizeof d->script_ref, "%.71s", json_str(j, "script_ref", ""));
    return r;
}

int document_workflow(const json_t *j, struct workflow_def **ret, struct err *err)
{
    const char *name = document_word(j, "name");
    struct workflow_def *d = mem_zalloc(sizeof *d);
    if (!d)
        return err_nomem(err);
    d->name = mem_strdup(name);
    d->dir = mem_strdup(json_str(j, "folder", ""));
    bool is_broken = json_str(j, "broken", NULL) != NULL;
    int r = !name || (!is_broken && !toolbox_name_valid(name)) ? not_ours(err, "that of a workflow")
            : !d->name || !d->dir                              ? err_nomem(err)
            : is_broken                                        ? broken(j, d, err)
                                                               : whole(j, d, err);
    if (r < 0)
        workflow_def_free(d);
    else
        *ret = d;
    return r;
}
