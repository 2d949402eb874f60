/* GitLab's SAST report, schema 15 (docs.gitlab.com, "Security report schemas"). */
#include "base/cleanup.h"
#include "codec/export_internal.h"
#include "codec/json.h"
#include "codec/utf8.h"

#include <stdio.h>
#include <string.h>

#define SCHEMA_VERSION "15.0.7"
#define NAME_MAX_BYTES 255
#define SOLUTION_MAX_BYTES 7000
#define MESSAGES_MAX 1000

static json_t *cut_text(const char *s, size_t max)
{
    return json_stringn(s, utf8_cut(s, strlen(s), max));
}

static json_t *part(const char *id, const char *version)
{
    return json_pack("{s:s, s:s, s:s, s:{s:s}}", "id", id, "name", "FuzzForge", "version", version, "vendor", "name",
                     "FuzzForge");
}

static void add_messages(json_t *list, const json_t *notices)
{
    size_t i;
    json_t *notice;
    json_array_foreach((json_t *)(uintptr_t)notices, i, notice) {
        char text[1024];
        const char *place = json_str(notice, "path", json_str(notice, "module", NULL));
        if (json_array_size(list) >= MESSAGES_MAX)
            break;
        snprintf(text, sizeof text, "%s%s%s", place ? place : "", place ? ": " : "", json_str(notice, "text", ""));
        size_t n = utf8_cut(text, strlen(text), sizeof text - 5);
        json_array_append_new(list, json_pack("{s:s, s:s%}", "level", "warn", "value", text, n));
    }
}

static json_t *messages(const struct sarif_options *o)
{
    json_t *list = json_array();
    if (o->failure)
        json_array_append_new(list, json_pack("{s:s, s:o}", "level", "fatal", "value", json_clean_string(o->failure)));
    add_messages(list, o->module_notices);
    add_messages(list, o->notices);
    return list;
}

static json_t *scan(const struct sarif_options *o)
{
    char started[32], finished[32];
    const char *version = o->version ? o->version : "0";
    export_time(o->started_ns, started);
    export_time(o->finished_ns, finished);
    return json_pack("{s:o, s:o, s:s, s:s, s:s, s:s, s:o}", "analyzer", part("fuzzforge", version), "scanner",
                     part("fuzzforge", version), "type", "sast", "start_time",
                     *started ? started : "1970-01-01T00:00:00", "end_time",
                     *finished ? finished : "1970-01-01T00:00:00", "status", o->successful ? "success" : "failure",
                     "messages", messages(o));
}

static json_t *identifiers(const struct finding *f)
{
    json_t *list = json_pack("[{s:s, s:o, s:o}]", "type", "fuzzforge_rule", "name",
                             cut_text(f->rule_id, NAME_MAX_BYTES), "value", cut_text(f->rule_id, NAME_MAX_BYTES));
    for (size_t i = 0; list && i < f->cwe_count; i++) {
        char name[24], url[80];
        snprintf(name, sizeof name, "CWE-%d", f->cwe[i]);
        snprintf(url, sizeof url, "https://cwe.mitre.org/data/definitions/%d.html", f->cwe[i]);
        if (json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s}", "type", "cwe", "name", name, "value",
                                                  name + 4, "url", url)) < 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

static json_t *location(const struct finding *f)
{
    json_t *j = json_object();
    if (f->file)
        json_object_set_new(j, "file", json_clean_string(f->file));
    if (f->file && f->line) {
        json_object_set_new(j, "start_line", json_integer(f->line));
        json_object_set_new(j, "end_line", json_integer(f->end_line ? f->end_line : f->line));
    }
    return j;
}

static json_t *vulnerability(const struct finding *f)
{
    static const char *const severities[] = {"Info", "Low", "Medium", "High", "Critical"};
    json_t *j = json_pack("{s:s, s:o, s:s, s:o, s:o}", "id",
                          f->id ? f->id : f->fingerprint ? f->fingerprint : f->rule_id, "name",
                          cut_text(f->title, NAME_MAX_BYTES), "severity", severities[f->severity], "identifiers",
                          identifiers(f), "location", location(f));
    if (f->description)
        json_object_set_new(j, "description", json_clean_string(f->description));
    if (f->recommendation)
        json_object_set_new(j, "solution", cut_text(f->recommendation, SOLUTION_MAX_BYTES));
    if (f->suppressed)
        json_object_set_new(j, "flags",
                            json_pack("[{s:s, s:s, s:s}]", "type", "flagged-as-likely-false-positive", "origin",
                                      "FuzzForge", "description",
                                      f->suppression_reason ? f->suppression_reason : "suppressed"));
    return j;
}

int export_gitlab(const struct findings *list, const struct sarif_options *o, struct out *out, struct err *err)
{
    bool first = true;
    out_puts(out, "{\"version\":\"" SCHEMA_VERSION "\",\"scan\":");
    out_json(out, scan(o));
    out_puts(out, ",\"vulnerabilities\":[");
    for (size_t i = 0; i < list->len && !out_failed(out); i++) {
        if (list->v[i].status == FINDING_ABSENT)
            continue;
        out_puts(out, first ? "\n" : ",\n");
        first = false;
        out_json(out, vulnerability(&list->v[i]));
    }
    out_puts(out, "]}\n");
    return err_copy(err, &out->err);
}
