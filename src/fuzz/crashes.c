/* The crashes of a campaign. An input is copied and kept before anything else is done with it; then its report says which
 * bug it is. */
#include "base/cleanup.h"
#include "base/mem.h"
#include "base/units.h"
#include "codec/json.h"
#include "fuzz/campaign_internal.h"
#include "fuzz/panic.h"
#include "fuzz/places.h"
#include "os/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define REPORT_MAX ((size_t)24 << 10)
#define NOT_NAMED (-1)
#define TRACES_MAX 4096
#define CHECKPOINT_REPORTS ((size_t)48 << 10) /* bytes, of all; a byte may become six */
#define SIGNATURE_FRAMES 5
#define REPLAY_TRIES 3 /* of an input of a known bug, before it is said to be fixed */
#define SIGNATURE_FRAMES_PANIC 20 /* most of them are the panic's own */
#define CRASH_BYTES_MAX ((uint64_t)4 << 30)

/* A set's value for the index of an input: never NULL. */
static void *index_value(size_t i)
{
    return (void *)(uintptr_t)(i + 1);
}

static const char *const fault_types[] = {"Crash", "Timeout", "Out-of-memory", "Memory-leak", NULL};

static void keep(struct campaign *c, const struct crash_input *in)
{
    _cleanup_free_ char *path = os_path_join(c->crashes_dir, in->name);
    if (path)
        module_keep(c->ctx, path, in->name);
    c->kept++;
}

static void remove_copy(const struct campaign *c, const struct crash_input *in)
{
    _cleanup_free_ char *path = os_path_join(c->crashes_dir, in->name);
    if (path)
        unlink(path);
}

/* As a file of its own, or in an archive. */
static int keep_input(struct campaign *c, const struct crash_input *in, struct err *err)
{
    if (c->given)
        return 0;
    if (!in->packed) {
        keep(c, in);
        return 0;
    }
    struct err why = {0};
    _cleanup_free_ char *path = os_path_join(c->crashes_dir, in->name);
    int r = path ? packs_add(&c->packs, in->name, path, in->size, &why) : err_nomem(&why);
    if (r == -ERR_LIMIT && c->dropped++ == 0)
        module_log(c->ctx, "warning", "%s: the others are counted", why.msg);
    return r == -ERR_LIMIT ? 0 : r < 0 ? err_copy(err, &why) : 0;
}

/* What the input is called: its fault and its content. */
static int copy_in(struct campaign *c, const char *path, struct crash_input *in, char hex[65], struct err *err)
{
    _cleanup_free_ char *part = os_path_join(c->crashes_dir, ".part");
    int r = part ? fuzz_copy_file(path, part, CRASH_BYTES_MAX, hex, &in->size, err) : err_nomem(err);
    if (r < 0)
        return r;
    snprintf(in->name, sizeof in->name, "%s-%.40s", fuzz_fault_name(in->fault), hex);
    _cleanup_free_ char *to = os_path_join(c->crashes_dir, in->name);
    return to ? os_rename(part, to, err) : err_nomem(err);
}

static int note_input(struct campaign *c, const struct crash_input *in, struct err *err)
{
    if (!VEC_PUSH(&c->inputs, *in) || !map_set(&c->known, in->name, index_value(c->inputs.len - 1)))
        return err_nomem(err);
    return 0;
}

/* Which of the known bugs; -1: none. */
static int find_bug(const struct campaign *c, const struct fuzz_verdict *v)
{
    for (size_t i = 0; i < c->bugs.len; i++)
        if (fuzz_verdict_same(&c->bugs.v[i].verdict, v))
            return (int)i;
    return -1;
}

void campaign_signature(const char *report, size_t len, char *ret, size_t size)
{
    struct fuzz_verdict v;
    size_t n = 0;
    ret[0] = 0;
    if (fuzz_verdict_read(report, len, NULL, NULL, &v, NULL) < 0)
        return;
    if (v.type[0])
        n = (size_t)snprintf(ret, size, "%s%s%s", v.type, v.thrown[0] ? " " : "", v.thrown);
    struct fuzz_panic panic;
    bool panics = fuzz_panic_read(report, len, &panic);
    if (panics && n < size)
        n += (size_t)snprintf(ret + n, size - n, "|%.100s:%d:%d", panic.file, panic.line, panic.column);
    int frames = 0, most = panics ? SIGNATURE_FRAMES_PANIC : SIGNATURE_FRAMES;
    for (const char *p = report; frames < most && (p = strstr(p, "+0x")) && n < size; p += 3, frames++)
        n += (size_t)snprintf(ret + n, size - n, "|%.*s", (int)strspn(p + 3, "0123456789abcdef") % 17, p + 3);
    if (!frames && v.state[0] && n < size)
        snprintf(ret + n, size - n, "|%.200s", v.state);
    fuzz_verdict_release(&v);
}

/* A report that is too long, as that of a recursion is, says at its head what it is: its end may go. What the target printed
 * before goes first. */
static char *cut_report(const char *report, size_t len)
{
    static const char *const heads[] = {"==ERROR: ", "== Java Exception: ", "goroutine stack exceeds"};
    size_t from = len > REPORT_MAX ? len - REPORT_MAX : 0, n = len - from;
    for (size_t i = 0; from && i < ARRAY_LEN(heads); i++) {
        const char *p = memmem(report, len, heads[i], strlen(heads[i]));
        const char *line = p ? memrchr(report, '\n', (size_t)(p - report)) : NULL;
        size_t at = line ? (size_t)(line + 1 - report) : 0;
        if (p && at < from)
            from = at;
    }
    return mem_strndup(report + from, n);
}

/* Of a signal libFuzzer alone knows no stack, and all such crashes look alike: running the input again may tell more. */
static bool tells_place(const char *report, size_t len)
{
    struct fuzz_verdict v;
    if (fuzz_verdict_read(report, len, NULL, NULL, &v, NULL) < 0)
        return false;
    bool tells = strcmp(v.type, "Fatal-signal") != 0 || json_array_size(v.frames);
    fuzz_verdict_release(&v);
    return tells;
}

/* The trace of a report, made if it is new; -1: it has none, or there are too many. */
static int trace_of(struct campaign *c, const char *report, size_t len)
{
    char text[512], digest[65];
    campaign_signature(report, len, text, sizeof text);
    fuzz_text_digest(text, digest);
    if (!text[0] || !digest[0])
        return -1;
    for (size_t i = 0; i < c->traces.len; i++)
        if (strncmp(c->traces.v[i].digest, digest, CORPUS_NAME_BYTES - 1) == 0)
            return (int)i;
    struct trace t = {.bug = -1, .report = cut_report(report, len)};
    snprintf(t.digest, sizeof t.digest, "%.40s", digest);
    if (c->traces.len >= TRACES_MAX || !VEC_PUSH(&c->traces, t)) {
        free(t.report);
        return -1;
    }
    return (int)c->traces.len - 1;
}

/* The bug that a verdict is of, made if it is new; -1: there are more bugs than anybody reads. Takes v. */
static int bug_of(struct campaign *c, const struct crash_input *in, struct fuzz_verdict *v, const char *report, size_t len,
                  struct err *err)
{
    int i = find_bug(c, v);
    if (i < 0 && c->bugs.len < CAMPAIGN_BUGS_MAX) {
        struct bug b = {.verdict = *v, .first_ms = in->seen_ms, .last_ms = in->seen_ms, .fault = in->fault, .engine = in->engine,
                        .known = -1, .report = cut_report(report, len)};
        memset(v, 0, sizeof *v);
        if (!b.report || !VEC_PUSH(&c->bugs, b)) {
            free(b.report);
            fuzz_verdict_release(&b.verdict);
            err_nomem(err);
            return -1;
        }
        i = (int)c->bugs.len - 1;
        memory_match(c, i);
        module_log(c->ctx, "info", "bug: %s", b.verdict.title);
    }
    fuzz_verdict_release(v);
    return i;
}

static void join(struct campaign *c, struct crash_input *in, int bug, uint64_t count)
{
    struct bug *b = &c->bugs.v[bug];
    in->bug = bug;
    if (in->known >= 0)
        memory_replayed(c, in, bug);
    b->count += in->known >= 0 ? 0 : count;
    b->kept += !in->packed;
    b->first_ms = in->seen_ms < b->first_ms ? in->seen_ms : b->first_ms;
    b->last_ms = in->seen_ms > b->last_ms ? in->seen_ms : b->last_ms;
    if (!b->input[0] || (in->size < b->size && !b->worked_on)) {
        snprintf(b->input, sizeof b->input, "%s", in->name);
        b->size = in->size;
        if (in->packed) {
            keep(c, in);
            in->packed = false;
            b->kept++;
        }
    }
    if (in->packed && in->known < 0)
        remove_copy(c, in);
}

static void count(struct campaign *c, int trace, int bug)
{
    if (bug < 0 && trace >= 0)
        bug = c->traces.v[trace].bug;
    if (bug >= 0) {
        c->bugs.v[bug].count++;
        c->bugs.v[bug].last_ms = campaign_ms(c);
    } else if (trace >= 0) {
        c->traces.v[trace].count++;
    }
}

/* Is there need for one more input of it as a file of its own? A smaller one is welcome, as long as nobody has begun to work
 * on it. */
static bool is_wanted(const struct campaign *c, int trace, uint64_t size)
{
    if (c->given)
        return true;
    if (c->kept >= CAMPAIGN_KEPT_MAX)
        return false;
    if (trace < 0)
        return true;
    const struct trace *t = &c->traces.v[trace];
    if (t->bug < 0)
        return t->kept < CAMPAIGN_KEPT_OF_BUG;
    const struct bug *b = &c->bugs.v[t->bug];
    return b->kept < CAMPAIGN_KEPT_OF_BUG || (size < b->size && !b->worked_on && b->kept < 2 * CAMPAIGN_KEPT_OF_BUG);
}

/* Bytes that are in the corpus and kill the target would kill each new start of an engine. */
static void leave_corpus(struct campaign *c, const char *hex)
{
    char name[CORPUS_NAME_BYTES];
    snprintf(name, sizeof name, "%.40s", hex);
    corpus_remove(&c->corpus, name);
    for (int i = 0; i < c->sessions_count; i++) {
        _cleanup_free_ char *p = mem_printf("%s/%s/%s", c->sessions[i].s.dir, c->sessions[i].s.driver->corpus_dir, name);
        if (p)
            unlink(p);
    }
}

/* An input that is new and kept: does it tell anything that is not known? */
static int take_input(struct campaign *c, struct crash_input *in, struct err *err)
{
    struct trace *t = in->trace >= 0 ? &c->traces.v[in->trace] : NULL;
    bool tells = !in->packed || !t || (t->bug < 0 && t->kept == 0);
    if (!tells || c->inputs.len >= CAMPAIGN_INPUTS_MAX) {
        count(c, in->trace, -1);
        remove_copy(c, in);
        return 0;
    }
    if (t && t->bug >= 0) {
        join(c, in, t->bug, 1);
    } else if (t) {
        t->kept++;
        t->count++;
    }
    return note_input(c, in, err);
}

int campaign_crash(struct campaign *c, int engine, const char *path, enum fuzz_fault fault, const char *report, size_t report_len,
                   struct err *err)
{
    struct crash_input in = {.fault = fault, .seen_ms = campaign_ms(c), .bug = NOT_NAMED, .engine = engine, .trace = -1,
                             .known = -1};
    char hex[65];
    int r = copy_in(c, path, &in, hex, err);
    if (r == -ERR_NO_MEMORY || r == -ERR_NO_SPACE)
        return r;
    if (r < 0) /* it has gone, or was never a file: nothing to keep */
        return 0;
    c->crashes++;
    c->last_crash_ms = in.seen_ms;
    c->changed = true;
    leave_corpus(c, hex);
    size_t known = (size_t)(uintptr_t)map_get(&c->known, in.name);
    if (known) {
        count(c, c->inputs.v[known - 1].trace, c->inputs.v[known - 1].bug);
        return 0;
    }
    in.trace = report && tells_place(report, report_len) ? trace_of(c, report, report_len) : -1;
    if (packs_has(&c->packs, in.name)) {
        count(c, in.trace, -1);
        remove_copy(c, &in);
        return 0;
    }
    in.packed = !is_wanted(c, in.trace, in.size);
    r = keep_input(c, &in, err);
    return r < 0 ? r : take_input(c, &in, err);
}

void campaign_trace(struct campaign *c, int input, const char *report, size_t len)
{
    struct crash_input *in = &c->inputs.v[input];
    in->trace = trace_of(c, report, len);
    if (in->trace < 0)
        return;
    struct trace *t = &c->traces.v[in->trace];
    if (t->bug >= 0) {
        join(c, in, t->bug, 1);
    } else {
        t->kept++;
        t->count++;
    }
}

/* All inputs of a trace that has got its bug. */
static void settle(struct campaign *c, int trace, int bug)
{
    struct trace *t = &c->traces.v[trace];
    t->bug = bug;
    free(TAKE_PTR(t->report));
    if (bug < 0)
        return;
    c->bugs.v[bug].count += t->count;
    t->count = 0;
    VEC_EACH(&c->inputs, in)
        if (in->trace == trace && in->bug < 0)
            join(c, in, bug, 0);
}

int campaign_classify(struct campaign *c, int input, bool crashed, const char *report, size_t len, struct err *err)
{
    struct crash_input *in = &c->inputs.v[input];
    struct trace *t = in->trace >= 0 ? &c->traces.v[in->trace] : NULL;
    struct fuzz_verdict v;
    if (!crashed && t && t->report) { /* it does not show again: what the engine saw is all there is */
        report = t->report;
        len = strlen(report);
    }
    if (!crashed && in->known >= 0 && !t) {
        if (++in->tries < REPLAY_TRIES)
            return 0;
        memory_replayed(c, in, -1);
        in->fault = FAULT_NONE;
        return 0;
    }
    if (!crashed && c->given && !t) { /* nobody but the user said that it is a crash */
        in->fault = FAULT_NONE;
        return 0;
    }
    int r = fuzz_verdict_read(report, len, c->targets[in->engine].name, fault_types[in->fault], &v, err);
    if (r < 0)
        return r;
    int bug = bug_of(c, in, &v, report, len, err);
    if (in->trace >= 0) {
        settle(c, in->trace, bug);
    } else if (bug >= 0) {
        join(c, in, bug, 1);
    }
    if (in->bug < 0)
        in->fault = FAULT_NONE; /* not again */
    return 0;
}

bool campaign_is_open(const struct campaign *c, const struct crash_input *in)
{
    return in->bug < 0 && in->fault != FAULT_NONE && (in->trace < 0 || c->traces.v[in->trace].bug < 0);
}

/* --- over attempts ---------------------------------------------------------------------------------------- */

static bool fault_of_name(const char *name, enum fuzz_fault *ret)
{
    for (int f = FAULT_CRASH; f < FAULT_NONE; f++) {
        size_t n = strlen(fuzz_fault_name((enum fuzz_fault)f));
        *ret = (enum fuzz_fault)f;
        if (strncmp(name, fuzz_fault_name(*ret), n) == 0 && name[n] == '-')
            return true;
    }
    return false;
}

int campaign_restore_input(struct campaign *c, const char *name, const char *path, bool keep_anew, struct err *err)
{
    struct crash_input in = {.bug = NOT_NAMED, .trace = -1, .known = -1};
    if (!fault_of_name(name, &in.fault) || strlen(name) >= sizeof in.name || map_get(&c->known, name))
        return 0;
    snprintf(in.name, sizeof in.name, "%s", name);
    _cleanup_free_ char *to = os_path_join(c->crashes_dir, name);
    int r = to ? fuzz_copy_file(path, to, CRASH_BYTES_MAX, NULL, &in.size, err) : err_nomem(err);
    if (r == 0 && keep_anew)
        keep(c, &in);
    else
        c->kept++;
    return r < 0 ? r : note_input(c, &in, err);
}

int campaign_replay_input(struct campaign *c, const char *name, const char *from, int engine, int known, struct err *err)
{
    struct crash_input in = {.bug = NOT_NAMED, .trace = -1, .known = known, .engine = engine, .packed = true};
    if (strlen(name) >= sizeof in.name || map_get(&c->known, name) || !fault_of_name(name, &in.fault))
        return 0;
    snprintf(in.name, sizeof in.name, "%s", name);
    _cleanup_free_ char *to = os_path_join(c->crashes_dir, name);
    int r = to ? fuzz_copy_file(from, to, CRASH_BYTES_MAX, NULL, &in.size, err) : err_nomem(err);
    if (r < 0 || engine < 0) /* there for the next run */
        return r;
    c->known_bugs.v[known].replays++;
    c->known_bugs.v[known].open++;
    return note_input(c, &in, err);
}

json_t *campaign_open_json(const struct campaign *c)
{
    json_t *list = json_array();
    VEC_EACH(&c->inputs, in)
        if (in->packed && in->known < 0 && campaign_is_open(c, in) && json_array_size(list) < CAMPAIGN_OPEN_MAX)
            json_array_append_new(list, json_string(in->name));
    return list;
}

int campaign_flush(struct campaign *c, struct err *err)
{
    char name[64];
    bool open = false;
    if (!c->packs.dirty)
        return 0;
    packs_name(&c->packs, name, sizeof name);
    _cleanup_free_ char *path = os_path_join(c->crashes_dir, name);
    if (!path)
        return err_nomem(err);
    module_keep(c->ctx, path, name);
    c->packs.dirty = false;
    VEC_EACH(&c->inputs, in)
        open |= in->packed && in->known < 0 && campaign_is_open(c, in);
    return open ? checkpoint_save(c, err) : 0; /* it says which of them are to be looked at */
}

/* Inputs of an archive that nobody has looked at. */
static int restore_open(struct campaign *c, const char *tar, const json_t *open, struct err *err)
{
    size_t i;
    json_t *name;
    json_array_foreach(open, i, name) {
        const char *text = json_string_value(name);
        struct crash_input in = {.bug = NOT_NAMED, .trace = -1, .known = -1, .packed = true};
        if (!text || strlen(text) >= sizeof in.name || map_get(&c->known, text) || !fault_of_name(text, &in.fault))
            continue;
        snprintf(in.name, sizeof in.name, "%s", text);
        _cleanup_free_ char *to = os_path_join(c->crashes_dir, text);
        int r = to ? packs_extract(tar, text, to, &in.size, err) : err_nomem(err);
        if (r == 0)
            r = note_input(c, &in, err);
        if (r < 0 && r != -ERR_NOT_FOUND)
            return r;
    }
    return 0;
}

int campaign_restore_pack(struct campaign *c, const char *name, const char *path, const json_t *open, bool keep_anew,
                          struct err *err)
{
    _cleanup_free_ char *to = os_path_join(c->crashes_dir, name);
    int number = atoi(name + strlen("crashes-"));
    int r = to ? fuzz_copy_file(path, to, PACKS_BYTES_MAX, NULL, NULL, err) : err_nomem(err);
    if (r == 0)
        r = packs_restore(&c->packs, number, to, err);
    if (r == 0)
        r = restore_open(c, to, open, err);
    if (r == 0 && keep_anew)
        module_keep(c->ctx, to, name);
    return r;
}

/* What is only shown grows less the more bugs there are: a checkpoint is one message, of at most a megabyte. */
static json_t *short_report(const struct campaign *c, const struct bug *b)
{
    _cleanup_free_ char *text = mem_strndup(b->report, CHECKPOINT_REPORTS / c->bugs.len);
    return json_clean_string(text ? text : "");
}

static json_t *short_stack(const struct campaign *c, const struct bug *b)
{
    size_t most = c->bugs.len <= 16 ? 32 : c->bugs.len <= 64 ? 8 : 3;
    json_t *list = json_array();
    for (size_t i = 0; i < most && i < json_array_size(b->verdict.frames); i++)
        json_array_append(list, json_array_get(b->verdict.frames, i));
    return list;
}

static json_t *bug_json(const struct campaign *c, const struct bug *b)
{
    json_t *inputs = json_array();
    int number = (int)(b - c->bugs.v);
    for (size_t i = 0; i < c->inputs.len; i++)
        if (c->inputs.v[i].bug == number && !c->inputs.v[i].packed)
            json_array_append_new(inputs, json_string(c->inputs.v[i].name));
    const struct fuzz_verdict *v = &b->verdict;
    json_t *j = json_pack("{s:s, s:s, s:s, s:s, s:i, s:i, s:s, s:b, s:s, s:o}", "type", v->type, "state", v->state,
                          "title", v->title, "file", v->file, "line", v->line, "column", v->column, "severity",
                          severity_name(v->severity), "security", v->security, "reason", v->reason, "frames",
                          short_stack(c, b));
    json_t *k = json_pack("{s:I, s:s, s:I, s:s, s:i, s:i, s:b, s:b, s:I}", "count", (json_int_t)b->count, "input", b->input,
                          "size", (json_int_t)b->size, "sha256", b->sha256, "tries", b->tries, "hits", b->hits,
                          "worked_on", b->worked_on, "minimised", b->minimised, "min_size", (json_int_t)b->min_size);
    json_t *l = json_pack("{s:s, s:I, s:I, s:s, s:s, s:o, s:o}", "thrown", v->thrown, "first_ms", (json_int_t)b->first_ms,
                          "last_ms", (json_int_t)b->last_ms, "fault", fuzz_fault_name(b->fault), "engine",
                          c->drivers[b->engine]->name, "report", short_report(c, b), "inputs", inputs);
    if (j && l)
        json_object_update(j, l);
    json_decref(l);
    if (j && k)
        json_object_update(j, k);
    json_decref(k);
    return j;
}

json_t *campaign_bugs_json(const struct campaign *c)
{
    json_t *list = json_array();
    VEC_EACH(&c->bugs, b)
        json_array_append_new(list, bug_json(c, b));
    return list;
}

static int restore_bug(struct campaign *c, const json_t *j, struct err *err)
{
    struct bug b = {.count = (uint64_t)json_i64(j, "count", 0), .size = (uint64_t)json_i64(j, "size", 0),
                    .tries = (int)json_i64(j, "tries", 0), .hits = (int)json_i64(j, "hits", 0),
                    .worked_on = json_flag(j, "worked_on", false), .minimised = json_flag(j, "minimised", false),
                    .min_size = (uint64_t)json_i64(j, "min_size", 0), .first_ms = json_i64(j, "first_ms", 0),
                    .last_ms = json_i64(j, "last_ms", 0), .known = -1, .report = mem_strdup(json_str(j, "report", ""))};
    struct fuzz_verdict *v = &b.verdict;
    snprintf(v->type, sizeof v->type, "%s", json_str(j, "type", ""));
    snprintf(v->state, sizeof v->state, "%s", json_str(j, "state", ""));
    snprintf(v->title, sizeof v->title, "%s", json_str(j, "title", ""));
    snprintf(v->thrown, sizeof v->thrown, "%s", json_str(j, "thrown", ""));
    snprintf(v->file, sizeof v->file, "%s", json_str(j, "file", ""));
    snprintf(v->reason, sizeof v->reason, "%s", json_str(j, "reason", ""));
    snprintf(b.input, sizeof b.input, "%s", json_str(j, "input", ""));
    snprintf(b.sha256, sizeof b.sha256, "%s", json_str(j, "sha256", ""));
    v->line = (int)json_i64(j, "line", 0);
    v->column = (int)json_i64(j, "column", 0);
    v->security = json_flag(j, "security", false);
    severity_parse(json_str(j, "severity", "medium"), &v->severity, NULL);
    v->frames = json_incref(json_object_get(j, "frames"));
    for (int f = FAULT_CRASH; f < FAULT_NONE; f++)
        if (strcmp(json_str(j, "fault", "crash"), fuzz_fault_name((enum fuzz_fault)f)) == 0)
            b.fault = (enum fuzz_fault)f;
    for (int i = 0; i < c->engines; i++)
        if (strcmp(json_str(j, "engine", ""), c->drivers[i]->name) == 0)
            b.engine = i;
    if (!b.report || !VEC_PUSH(&c->bugs, b))
        return err_nomem(err);
    return 0;
}

int campaign_restore_bugs(struct campaign *c, const json_t *bugs, struct err *err)
{
    size_t i, k;
    json_t *j, *name;
    int r = 0;
    json_array_foreach(bugs, i, j) {
        if (r == 0)
            r = restore_bug(c, j, err);
        json_array_foreach(json_object_get(j, "inputs"), k, name) {
            size_t at = json_is_string(name) ? (size_t)(uintptr_t)map_get(&c->known, json_string_value(name)) : 0;
            if (r == 0 && at) {
                c->inputs.v[at - 1].bug = (int)c->bugs.len - 1;
                c->bugs.v[c->bugs.len - 1].kept++;
            }
        }
    }
    return r;
}

void campaign_bugs_release(struct campaign *c)
{
    VEC_EACH(&c->bugs, b) {
        fuzz_verdict_release(&b->verdict);
        free(b->report);
    }
    VEC_RELEASE(&c->bugs);
    VEC_EACH(&c->traces, t)
        free(t->report);
    VEC_RELEASE(&c->traces);
    VEC_RELEASE(&c->inputs);
    map_release(&c->known);
    packs_release(&c->packs);
}

/* --- findings --------------------------------------------------------------------------------------------- */

static struct fuzz_places places_of(const struct campaign *c)
{
    return (struct fuzz_places){.scratch = c->base, .workspace = module_workspace(c->ctx)};
}

/* The caller frees; NULL: it is none of the target's tree. */
static char *tree_path(const struct campaign *c, const struct bug *b, const char *file)
{
    struct fuzz_places places = places_of(c);
    char *listed = fuzz_listed_source(&c->targets[b->engine], file);
    return listed || !file[0] ? listed : fuzz_place(&places, file);
}

/* How much a frame says of where the bug is. */
enum worth { WORTH_NONE, WORTH_HARNESS, WORTH_PROGRAM };

/* What is of the tree counts as the program, whatever its name: one of one letter tells no bug, but a place. A frame that has a
 * source elsewhere is of a header, or of a library: nothing to show alone. */
static enum worth worth_of(const json_t *frame, const char *path, bool *ret_alone)
{
    const char *file = json_str(frame, "file", NULL);
    bool engine = (file && strstr(file, "/work/stand-in-")) || /* of cargo_fuzz.sh */
                  strncmp(json_str(frame, "function", ""), "libfuzzer_sys::", 15) == 0; /* vendored */
    *ret_alone = path || !file;
    if (engine || (json_flag(frame, "ignored", false) && !(path && file[0] == '/')))
        return WORTH_NONE;
    return json_flag(frame, "harness", false) ? WORTH_HARNESS : WORTH_PROGRAM;
}

/* The program's own part of the stack. With the harness where there is nothing else, and all of it where that is not there. */
static json_t *own_stack(const struct campaign *c, const struct bug *b)
{
    json_t *f, *lists[] = {json_array(), json_array(), json_array()}, *best;
    struct fuzz_places places = places_of(c);
    bool alone, program = false;
    size_t i;
    json_array_foreach(b->verdict.frames, i, f) {
        const char *file = json_str(f, "file", NULL);
        _cleanup_free_ char *path = file ? tree_path(c, b, file) : NULL;
        enum worth worth = worth_of(f, path, &alone);
        json_t *own = json_copy(f);
        json_object_del(own, "ignored");
        json_object_del(own, "harness");
        _cleanup_free_ char *code = path ? fuzz_source_line(&places, path, (int)json_i64(f, "line", 0)) : NULL;
        if (path)
            json_object_set_new(own, "file", json_string(path));
        if (code)
            json_object_set_new(own, "snippet", json_string(code));
        for (int k = WORTH_NONE; k <= (int)worth; k++)
            json_array_append(lists[k], own);
        json_decref(own);
        program = program || (worth == WORTH_PROGRAM && alone);
    }
    best = program ? lists[WORTH_PROGRAM] : json_array_size(lists[WORTH_HARNESS]) ? lists[WORTH_HARNESS] : lists[WORTH_NONE];
    best = json_is_array(b->verdict.frames) ? json_incref(best) : NULL;
    for (i = 0; i < ARRAY_LEN(lists); i++)
        json_decref(lists[i]);
    return best;
}

/* Where the bug is, for who has the tree: a fault in a library is at the call. The caller frees; NULL: nowhere. */
static char *place_of(const struct campaign *c, const struct bug *b, int *ret_line, int *ret_column)
{
    size_t i;
    json_t *f;
    char *path = tree_path(c, b, b->verdict.file);
    *ret_line = path ? b->verdict.line : 0;
    *ret_column = path ? b->verdict.column : 0;
    json_array_foreach(b->verdict.frames, i, f) {
        if (path || json_flag(f, "ignored", false) || json_i64(f, "line", 0) == 0)
            continue;
        path = tree_path(c, b, json_str(f, "file", ""));
        *ret_line = path ? (int)json_i64(f, "line", 0) : 0;
        *ret_column = path ? (int)json_i64(f, "column", 0) : 0;
    }
    return path;
}

/* A word of a shell's command line. */
static void add_word(struct strbuf *b, const char *word)
{
    bool plain = word[strcspn(word, " \t\n\"'`$\\|&;<>()*?[]{}~#!")] == 0;
    strbuf_puts(b, plain ? " " : " '");
    for (const char *p = word; *p; p++)
        strbuf_puts(b, *p == '\'' ? "'\\''" : (char[]){*p, 0});
    strbuf_puts(b, plain ? "" : "'");
}

/* The commands that crash the target again: its build, for who stands in the tree (NULL: there was none), and the input's
 * replay with the bounds that the campaign had. */
static void commands_of(const struct campaign *c, const struct bug *b, const char *input, json_t **ret_build,
                        json_t **ret_command)
{
    const struct fuzz_target *t = &c->targets[b->engine];
    const char *engine = c->drivers[b->engine]->name;
    size_t base = strlen(c->base);
    bool built = t->program && strncmp(t->program, c->base, base) == 0 && strncmp(t->program + base, "/b/", 3) == 0;
    _cleanup_free_ char *program = built ? mem_printf("fuzz-out%s", t->program + base) : NULL;
    _cleanup_(strbuf_release) struct strbuf w = STRBUF_INIT;
    strbuf_printf(&w, "ff fuzz reproduce --engine %s --binary", engine);
    add_word(&w, program ? program : t->name);
    if (t->function) {
        strbuf_puts(&w, " --function");
        add_word(&w, t->function);
    }
    if (c->bounds.input_ms != INPUT_MS_DEFAULT)
        strbuf_printf(&w, c->bounds.input_ms % 1000 ? " --timeout-input %lldms" : " --timeout-input %llds",
                      (long long)c->bounds.input_ms / (c->bounds.input_ms % 1000 ? 1 : 1000));
    if (c->bounds.memory_mb != MEMORY_MB_DEFAULT)
        strbuf_printf(&w, " --memory %llu", (unsigned long long)c->bounds.memory_mb);
    add_word(&w, input);
    *ret_command = json_string(strbuf_str(&w));
    strbuf_clear(&w);
    strbuf_printf(&w, "ff fuzz build . --engine %s%s", engine, t->sanitizers ? " --sanitizers" : "");
    if (t->sanitizers)
        add_word(&w, t->sanitizers);
    strbuf_puts(&w, t->fetched ? " --fetch" : "");
    *ret_build = program ? json_string(strbuf_str(&w)) : NULL;
}

static json_t *evidence_of(const struct campaign *c, const struct bug *b)
{
    char ref[80];
    snprintf(ref, sizeof ref, "sha256:%s", b->sha256);
    char name[CAMPAIGN_NAME_MAX + 8];
    snprintf(name, sizeof name, "%s%s", b->minimised ? "min-" : "", b->input);
    json_t *reproducer = json_pack("{s:s, s:I, s:s, s:b}", "name", name, "bytes",
                                   (json_int_t)(b->minimised ? b->min_size : b->size), "ref", ref, "minimised", b->minimised);
    json_t *build, *command;
    commands_of(c, b, name, &build, &command);
    struct fuzz_places places = places_of(c);
    _cleanup_free_ char *report = fuzz_places_in(&places, b->report);
    return json_pack("{s:o, s:o*, s:o, s:o?, s:s, s:s, s:i, s:i, s:o}", "reproducer", reproducer, "build", build, "command",
                     command, "stack", own_stack(c, b), "crash_type", b->verdict.type, "crash_state", b->verdict.state, "tries",
                     b->tries, "reproduced", b->hits, "report", json_clean_string(report ? report : b->report));
}

static void report_bug(struct campaign *c, const struct bug *b)
{
    char rule[CRASH_RULE_MAX], said[CRASH_REPRODUCED_MAX], description[1200];
    int line, column;
    uint64_t bytes = b->minimised ? b->min_size : b->size;
    _cleanup_free_ char *path = place_of(c, b, &line, &column);
    struct fuzz_places places = places_of(c);
    _cleanup_free_ char *code = path ? fuzz_source_line(&places, path, line) : NULL;
    crash_rule_id(b->verdict.type, rule);
    snprintf(description, sizeof description,
             "The target %s does not survive an input of %llu byte%s: %s. Seen %llu time%s, first after %llu s; "
             "%s.",
             c->targets[b->engine].name, (unsigned long long)bytes, UNITS_S(bytes), b->verdict.reason,
             (unsigned long long)b->count, UNITS_S(b->count), (unsigned long long)b->first_ms / 1000,
             crash_reproduced(b->hits, b->tries, said));
    char digest[65] = "";
    enum bug_novelty novelty = memory_novelty(c, b);
    if (c->regression && novelty == BUG_STILL)
        return;
    memory_identity(c, b, digest);
    struct finding f = {
        .rule_id = rule, .title = (char *)(uintptr_t)b->verdict.title, .description = description,
        .severity = b->verdict.severity,
        .confidence = b->tries == 0 ? CONFIDENCE_MEDIUM : b->hits == 0 ? CONFIDENCE_LOW : CONFIDENCE_HIGH,
        .file = path, .line = line, .column = column, .snippet = code,
        .context_hash = digest[0] ? digest : NULL,
        .status = novelty == BUG_STILL ? FINDING_UNCHANGED : FINDING_NEW,
        .recommendation = (char *)(uintptr_t)crash_advice(b->verdict.type),
        .evidence = evidence_of(c, b),
        .metadata = json_pack("{s:s, s:s, s:s, s:I, s:b}", "state", memory_novelty_name(novelty), "target",
                              c->targets[b->engine].name, "engine", c->drivers[b->engine]->name,
                              "count", (json_int_t)b->count, "security", b->verdict.security),
    };
    int cwe = crash_cwe(b->verdict.type);
    if (cwe)
        f.cwe[f.cwe_count++] = cwe;
    module_finding(c->ctx, &f);
    json_decref(f.evidence);
    json_decref(f.metadata);
}

void campaign_report(struct campaign *c)
{
    VEC_EACH(&c->bugs, b) {
        triage_digest(c, b);
        report_bug(c, b);
    }
}
