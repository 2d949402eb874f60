/* The module security_analyzer: weaknesses in the code of a workspace. Input, all optional: file_extensions (a list as
 * [".py"]), check_secrets, check_sql, check_dangerous_functions (groups of rules, all on), max_file_size,
 * no_inline_suppressions, rules (texts of rule files of one's own). */
#include "base/cleanup.h"
#include "base/mem.h"
#include "codec/json.h"
#include "module/module.h"
#include "scan/analyzer.h"
#include "scan/builtin.h"
#include "scan/scan_input.h"
#include "scan/walk.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define NAMED_MAX 100 /* files left out that are named in the summary */

struct job {
    struct module_ctx *ctx;
    struct rules *rules;
    bool own_rules;
    struct analyzer_options options;
    const json_t *extensions;
    uint64_t max_file_size;
    const struct walk_entry *entry;
    const char *shown;
    size_t files, bytes, binary, larger, minified, passed_over, suppressed;
    size_t by_lang[LANG_COUNT], by_severity[5];
    json_t *left_out;
};

static int leave_out(struct job *j, const char *reason, struct err *err)
{
    if (json_array_size(j->left_out) >= NAMED_MAX)
        return 0;
    json_t *o = json_pack("{s:s,s:s}", "path", j->shown, "reason", reason);
    return o && json_array_append_new(j->left_out, o) == 0 ? 0 : err_nomem(err);
}

static int on_finding(const struct finding *found, void *arg, struct err *err)
{
    struct job *j = arg;
    struct finding f = *found;
    char reason[256];
    (void)err;
    if (j->entry->ignored_by) {
        snprintf(reason, sizeof reason, ".ffignore: %.200s", j->entry->ignored_by);
        f.suppressed = true;
        f.suppression_reason = reason;
        f.suppression_kind = (char *)(uintptr_t) "external";
    }
    j->by_severity[f.severity]++;
    j->suppressed += f.suppressed;
    module_finding(j->ctx, &f);
    return 0;
}

static bool extension_fits(const struct job *j, const char *name)
{
    if (!json_array_size(j->extensions))
        return true;
    const char *dot = strrchr(name, '.');
    for (size_t i = 0; i < json_array_size(j->extensions); i++) {
        const char *e = json_string_value(json_array_get(j->extensions, i));
        if (e && dot && strcasecmp(e, e[0] == '.' ? dot : dot + 1) == 0)
            return true;
    }
    return false;
}

static int analyze_file(struct job *j, struct err *err)
{
    _cleanup_free_ char *text = NULL;
    size_t len = 0;
    struct err why = {0};
    struct analyzer_result result = {0};
    int r = walk_read(j->entry, j->max_file_size, &text, &len, &why);
    if (r == 0 && walk_is_binary(text, len)) {
        j->binary++;
        return leave_out(j, "binary", err);
    }
    enum lang lang = r == 0 ? lang_detect(j->entry->path, text, len) : LANG_NONE;
    if (r == 0 && lang == LANG_NONE)
        return 0;
    if (r == 0)
        r = analyzer_run(j->rules, &j->options, lang, j->shown, text, len, on_finding, j, &result, &why);
    if (r == -ERR_INVALID || r == -ERR_INTERNAL)
        return err_copy(err, &why);
    if (r < 0) {
        module_partial(j->ctx, "%s: %s", j->shown, why.msg);
        return 0;
    }
    if (result.minified) {
        j->minified++;
        return leave_out(j, "minified", err);
    }
    if (result.cut)
        module_partial(j->ctx, "%s: too deep or too long to be analyzed to its end", j->shown);
    j->files++;
    j->bytes += len;
    j->by_lang[lang]++;
    if (j->files % 200 == 0)
        module_progress(j->ctx, j->files, 0, NULL);
    return 0;
}

static bool candidate(const char *path)
{
    const char *base = strrchr(path, '/');
    base = base ? base + 1 : path;
    return !strchr(base, '.') || lang_detect(path, "", 0) != LANG_NONE;
}

/* What a project has from others is not its code: left out, but not in silence. */
static int pass_over(struct job *j, const struct walk_entry *e, struct err *err)
{
    struct strbuf shown = STRBUF_INIT;
    walk_show_path(&shown, e->path);
    strbuf_putc(&shown, '/');
    int r = strbuf_check(&shown, err);
    j->shown = strbuf_str(&shown);
    if (r == 0)
        r = leave_out(j, "a folder of other people's code", err);
    j->passed_over++;
    strbuf_release(&shown);
    return r < 0 ? r : WALK_SKIP;
}

static int on_entry(const struct walk_entry *e, void *arg, struct err *err)
{
    struct job *j = arg;
    if (e->kind == WALK_DIR)
        return strcmp(e->name, ".git") == 0 ? WALK_SKIP : strcmp(e->name, "node_modules") == 0 ? pass_over(j, e, err) : 0;
    if (e->kind != WALK_FILE || !candidate(e->path) || !extension_fits(j, e->name))
        return 0;
    struct strbuf shown = STRBUF_INIT;
    walk_show_path(&shown, e->path);
    int r = strbuf_check(&shown, err);
    j->entry = e;
    j->shown = strbuf_str(&shown);
    if (r == 0 && e->size_bytes > j->max_file_size) {
        j->larger++;
        r = leave_out(j, "over the size limit", err);
    } else if (r == 0) {
        r = analyze_file(j, err);
    }
    strbuf_release(&shown);
    return r;
}

static void on_problem(const char *path, const struct err *why, void *arg)
{
    struct job *j = arg;
    struct strbuf shown = STRBUF_INIT;
    walk_show_path(&shown, *path ? path : ".");
    module_partial(j->ctx, "%s: %s", strbuf_str(&shown), why->msg);
    strbuf_release(&shown);
}

static json_t *summary(const struct job *j, const struct walk_stats *st)
{
    json_t *langs = json_object(), *severities = json_object();
    size_t total = 0;
    for (int l = 1; l < LANG_COUNT; l++)
        if (j->by_lang[l])
            json_object_set_new(langs, lang_name((enum lang)l), json_integer((json_int_t)j->by_lang[l]));
    for (int s = 4; s >= 0; s--) {
        json_object_set_new(severities, severity_name((enum severity)s), json_integer((json_int_t)j->by_severity[s]));
        total += j->by_severity[s];
    }
    return json_pack("{s:I,s:I,s:o,s:o,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:O}", "files", (json_int_t)j->files, "bytes",
                     (json_int_t)j->bytes, "languages", langs, "severities", severities, "findings", (json_int_t)total,
                     "suppressed", (json_int_t)j->suppressed, "binary", (json_int_t)j->binary, "over_size",
                     (json_int_t)j->larger, "minified", (json_int_t)j->minified, "passed_over",
                     (json_int_t)j->passed_over, "symlinks_skipped", (json_int_t)st->symlinks,
                     "rules", (json_int_t)rules_count(j->rules), "left_out", j->left_out);
}

/* Rules of the user's own are added to a set of their own. */
static int load_rules(struct job *j, const json_t *texts, struct err *err)
{
    if (!json_array_size(texts))
        return rules_builtin(&j->rules, err);
    int r = rules_new_builtin(&j->rules, err);
    j->own_rules = r == 0;
    for (size_t i = 0; i < json_array_size(texts) && r == 0; i++) {
        const json_t *t = json_array_get(texts, i);
        char name[32];
        snprintf(name, sizeof name, "rules[%zu]", i);
        r = json_is_string(t) ? rules_load(j->rules, json_string_value(t), json_string_length(t), name, err)
                              : err_set(err, ERR_INVALID, "%s is no text", name);
    }
    return r;
}

static int analyze(struct job *j, const json_t *in, struct err *err)
{
    struct walk_stats st = {0};
    struct walk_options o = {.entry = on_entry, .problem = on_problem, .arg = j};
    int r = scan_input_size(in, "max_file_size", SCAN_FILE_SIZE_DEFAULT, &j->max_file_size, err);
    if (r == 0)
        r = load_rules(j, json_object_get(in, "rules"), err);
    if (r == 0)
        r = walk_tree(module_workspace(j->ctx), &o, &st, err);
    if (r == 0)
        module_summary(j->ctx, summary(j, &st));
    return r;
}

static int run(struct module_ctx *ctx, struct err *err)
{
    const json_t *in = module_input(ctx);
    struct job j = {.ctx = ctx, .extensions = json_object_get(in, "file_extensions"), .left_out = json_array()};
    j.options.no_secrets = !json_flag(in, "check_secrets", true);
    j.options.no_sql = !json_flag(in, "check_sql", true);
    j.options.no_dangerous_functions = !json_flag(in, "check_dangerous_functions", true);
    j.options.no_inline_suppressions = json_flag(in, "no_inline_suppressions", false);
    int r = j.left_out ? analyze(&j, in, err) : err_nomem(err);
    json_decref(j.left_out);
    if (j.own_rules)
        rules_free(j.rules);
    return r;
}

static const char *const tags[] = {"sast", "code", NULL};

const struct module security_analyzer_module = {
    .name = "security_analyzer",
    .version = "1.0.0",
    .description = "Finds weaknesses in code: injection, unsafe functions, weak cryptography, hard-coded credentials",
    .category = MODULE_ANALYZER,
    .tags = tags,
    .input_schema =
        "{\"type\":\"object\",\"properties\":{"
        "\"file_extensions\":{\"type\":\"array\",\"items\":{\"type\":\"string\"},\"description\":\"only these, as .py\"},"
        "\"check_secrets\":{\"type\":\"boolean\",\"default\":true,\"description\":\"hard-coded credentials\"},"
        "\"check_sql\":{\"type\":\"boolean\",\"default\":true},"
        "\"check_dangerous_functions\":{\"type\":\"boolean\",\"default\":true,\"description\":\"all other rules\"},"
        "\"max_file_size\":{\"type\":[\"integer\",\"string\"],\"default\":10485760,"
        "\"description\":\"bytes, or a size as 10M; larger files are left out and named\"},"
        "\"no_inline_suppressions\":{\"type\":\"boolean\",\"default\":false},"
        "\"rules\":{\"type\":\"array\",\"items\":{\"type\":\"string\"},"
        "\"description\":\"texts of more rule files (docs/rules.md)\"}}}",
    .output_schema =
        "{\"type\":\"object\",\"properties\":{\"files\":{\"type\":\"integer\"},\"findings\":{\"type\":\"integer\"}}}",
    .requires_workspace = true,
    .run = run,
};
