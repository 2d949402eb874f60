/* The work on crashes, beside the engines: what is it (for engines that do not say), does it happen again (ten tries), and
 * how small can the input be. One run of the target at a time, at low priority; each step is short, so that the engines
 * are watched all the while.
 *
 * Minimising removes pieces, half the input, a quarter, ... one byte, as long as the same fault shows at the same place: by
 * module offsets of the stack, so that no run waits for a symbolizer. */
#include "base/cleanup.h"
#include "base/mem.h"
#include "base/units.h"
#include "fuzz/campaign_internal.h"
#include "fuzz/symbols.h"
#include "os/clock.h"
#include "os/file.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define MINIMISE_BYTES_MAX ((size_t)1 << 20)
#define RUN_SLACK_NS (5 * NS_PER_S)
#define TIMEOUT_TRIES 3
#define RUNS_MAX 20000
#define LOOK_EVERY 32 /* runs */
#define NAMES_NS (60 * NS_PER_S)
#define SMALL_ENOUGH 1
#define FINE_BYTES ((size_t)16)

static const char *candidate_path(struct campaign *c, char *buf, size_t size)
{
    snprintf(buf, size, "%s/input", c->work_dir);
    return buf;
}

static int engine_of(const struct campaign *c)
{
    const struct triage *t = &c->triage;
    return t->bug >= 0 ? c->bugs.v[t->bug].engine : c->inputs.v[t->input].engine;
}

/* Starts the target on a file. */
static bool run(struct campaign *c, const char *input, bool symbolize)
{
    struct triage *t = &c->triage;
    int e = engine_of(c);
    struct fuzz_command cmd = {0};
    struct err err = {0};
    struct fuzz_bounds bounds = c->bounds;
    /* it takes time: only where the engine, or perhaps the user, says that it is one */
    bounds.leaks &= c->given || (t->bug >= 0 ? c->bugs.v[t->bug].fault : c->inputs.v[t->input].fault) == FAULT_LEAK;
    c->drivers[e]->reproduce(&c->targets[e], &bounds, input, symbolize, &cmd);
    fuzz_word(&cmd.env, "TMPDIR=%s", c->work_dir);
    cmd.cwd = c->work_dir;
    cmd.writable[0] = c->work_dir;
    cmd.nice = 5;
    cmd.quiet = !c->drivers[e]->talks;
    t->stop_at_ns = os_mono_ns() + c->bounds.input_ms * NS_PER_MS + RUN_SLACK_NS;
    if (t->runs % LOOK_EVERY == 0)
        litter_clean_work(c);
    int r = fuzz_child_start(&t->child, &cmd, &err);
    fuzz_command_release(&cmd);
    if (r < 0)
        module_log(c->ctx, "warning", "reproduce: %s", err.msg);
    t->runs++;
    return r == 0;
}

static bool run_kept(struct campaign *c, const char *name, bool symbolize)
{
    _cleanup_free_ char *path = os_path_join(c->crashes_dir, name);
    return path && run(c, path, symbolize);
}

static void signature(struct campaign *c, char *ret, size_t size)
{
    campaign_signature(strbuf_str(&c->triage.child.tail), c->triage.child.tail.len, ret, size);
}

void triage_end(struct campaign *c)
{
    struct triage *t = &c->triage;
    fuzz_child_release(&t->child);
    free(TAKE_PTR(t->data));
    t->phase = TRIAGE_IDLE;
}

/* --- what to do next -------------------------------------------------------------------------------------- */

/* The first that is not known, of a trace that is not known. */
/* Its trace has told modules and offsets: names for them take no other run of the target. */
static bool begin_names(struct campaign *c, struct crash_input *in)
{
    struct triage *t = &c->triage;
    const char *report = in->trace >= 0 ? c->traces.v[in->trace].report : NULL;
    struct err err = {0};
    if (in->named || !report || !symbols_wanted(report, strlen(report)))
        return false;
    in->named = true;
    t->phase = TRIAGE_NAMES;
    t->stop_at_ns = os_mono_ns() + NAMES_NS;
    return symbols_start(&t->child, report, strlen(report), &err) == 0;
}

static bool begin(struct campaign *c)
{
    struct triage *t = &c->triage;
    for (size_t i = 0; i < c->inputs.len; i++) {
        if (!campaign_is_open(c, &c->inputs.v[i]))
            continue;
        struct crash_input *in = &c->inputs.v[i];
        t->input = (int)i;
        t->bug = -1;
        if (begin_names(c, in))
            return true;
        t->phase = in->trace < 0 && !in->traced ? TRIAGE_TRACE : TRIAGE_CLASSIFY;
        in->traced = true;
        if (!run_kept(c, in->name, t->phase == TRIAGE_CLASSIFY))
            in->fault = FAULT_NONE; /* not again */
        return true;
    }
    for (size_t i = 0; i < c->bugs.len; i++) {
        struct bug *b = &c->bugs.v[i];
        if (b->worked_on)
            continue;
        t->bug = (int)i;
        t->runs = t->hits = 0;
        t->phase = TRIAGE_REPRODUCE;
        if (!run_kept(c, b->input, false)) {
            b->worked_on = true;
            t->phase = TRIAGE_IDLE;
        }
        return true;
    }
    return false;
}

static bool hit(const struct campaign *c)
{
    const struct fuzz_driver *d = c->drivers[engine_of(c)];
    return d->crashed(c->triage.child.status);
}

/* --- minimising ------------------------------------------------------------------------------------------- */

static void set_digest(struct campaign *c, struct bug *b, const char *name, uint64_t *ret_size)
{
    _cleanup_free_ char *path = os_path_join(c->crashes_dir, name);
    _cleanup_free_ char *copy = os_path_join(c->work_dir, "digest");
    if (path && copy && fuzz_copy_file(path, copy, UINT64_MAX, b->sha256, ret_size, NULL) == 0)
        unlink(copy);
}

void triage_digest(struct campaign *c, struct bug *b)
{
    if (!b->sha256[0])
        set_digest(c, b, b->input, &b->size);
}

static void finish_bug(struct campaign *c)
{
    struct triage *t = &c->triage;
    struct bug *b = &c->bugs.v[t->bug];
    char name[CAMPAIGN_NAME_MAX + 8];
    snprintf(name, sizeof name, "min-%s", b->input);
    _cleanup_free_ char *path = os_path_join(c->crashes_dir, name);
    if (t->shrunk && path && os_write_file_atomic(path, t->data, t->len, 0644, NULL) == 0) {
        b->minimised = true;
        set_digest(c, b, name, &b->min_size);
        module_keep(c->ctx, path, name);
    } else {
        set_digest(c, b, b->input, &b->size);
    }
    b->worked_on = true;
    c->changed = true;
    triage_end(c);
}

/* Thousands a minute: it need not outlast anything. */
static bool write_candidate(const char *path, const char *data, size_t len)
{
    _cleanup_close_ int fd = -1;
    return os_open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0644, &fd, NULL) == 0 &&
           os_write_full(fd, data, len, NULL) == 0;
}

/* Writes the input without the piece in hand and runs it. false: nothing is left to try. */
static bool try_next(struct campaign *c)
{
    struct triage *t = &c->triage;
    if (t->pos >= t->len) {
        t->chunk = t->chunk > 1 ? t->chunk / 2 : 0;
        t->pos = 0;
        if (t->chunk == 0 && t->shrunk_now) { /* what is gone may let go of more */
            t->chunk = t->len > 2 * FINE_BYTES ? FINE_BYTES : t->len / 2;
            t->shrunk_now = false;
        }
    }
    if (t->chunk == 0 || t->len <= SMALL_ENOUGH || os_mono_ns() > t->deadline_ns || t->runs > RUNS_MAX)
        return false;
    size_t n = t->len - t->pos < t->chunk ? t->len - t->pos : t->chunk;
    char path[512];
    _cleanup_free_ char *data = mem_alloc(t->len + 1);
    if (!data)
        return false;
    memcpy(data, t->data, t->pos);
    memcpy(data + t->pos, t->data + t->pos + n, t->len - t->pos - n);
    return write_candidate(candidate_path(c, path, sizeof path), data, t->len - n) && run(c, path, false);
}

static void take_candidate(struct triage *t)
{
    size_t n = t->len - t->pos < t->chunk ? t->len - t->pos : t->chunk;
    memmove(t->data + t->pos, t->data + t->pos + n, t->len - t->pos - n);
    t->len -= n;
    t->shrunk = t->shrunk_now = true;
}

static void on_minimised(struct campaign *c)
{
    struct triage *t = &c->triage;
    char now[sizeof t->signature];
    signature(c, now, sizeof now);
    if (hit(c) && strcmp(now, t->signature) == 0)
        take_candidate(t);
    else
        t->pos += t->chunk > FINE_BYTES ? t->chunk : 1; /* small pieces begin anywhere */
    if (!try_next(c))
        finish_bug(c);
}

/* Go's engine does not tell it from a crash: its report does. */
static bool is_timeout(const struct bug *b)
{
    return b->fault == FAULT_TIMEOUT || strcmp(b->verdict.type, "Timeout") == 0;
}

static void begin_minimising(struct campaign *c)
{
    struct triage *t = &c->triage;
    struct bug *b = &c->bugs.v[t->bug];
    _cleanup_free_ char *path = os_path_join(c->crashes_dir, b->input);
    bool slow = is_timeout(b) || b->fault == FAULT_MEMORY || strcmp(b->verdict.type, "Out-of-memory") == 0;
    t->shrunk = t->shrunk_now = false;
    t->deadline_ns = os_mono_ns() + c->minimise_ms * NS_PER_MS;
    t->runs = 0;
    if (c->minimise_ms && b->size > MINIMISE_BYTES_MAX)
        module_log(c->ctx, "warning", "%s has %llu bytes: it is not made smaller", b->input, (unsigned long long)b->size);
    if (c->minimise_ms == 0 || slow || t->hits == 0 || !t->signature[0] || !path ||
        os_read_file(path, MINIMISE_BYTES_MAX, &t->data, &t->len, NULL) < 0) {
        finish_bug(c);
        return;
    }
    t->chunk = t->len > 1 ? t->len / 2 : 1;
    t->pos = 0;
    t->phase = TRIAGE_MINIMISE;
    if (!try_next(c))
        finish_bug(c);
}

static void on_reproduced(struct campaign *c)
{
    struct triage *t = &c->triage;
    struct bug *b = &c->bugs.v[t->bug];
    if (hit(c)) {
        t->hits++;
        signature(c, t->signature, sizeof t->signature);
    }
    b->tries = t->runs;
    b->hits = t->hits;
    int tries = is_timeout(b) ? TIMEOUT_TRIES : CAMPAIGN_TRIES;
    if (t->runs < tries && run_kept(c, b->input, false))
        return;
    begin_minimising(c);
}

static void classify(struct campaign *c, bool crashed)
{
    struct triage *t = &c->triage;
    struct crash_input *in = &c->inputs.v[t->input];
    struct err err = {0};
    t->phase = TRIAGE_IDLE;
    if (campaign_classify(c, t->input, crashed, strbuf_str(&t->child.tail), t->child.tail.len, &err) < 0) {
        module_log(c->ctx, "warning", "%s: %s", in->name, err.msg);
        in->fault = FAULT_NONE;
    }
    c->changed = true;
}

/* What no name was found for is run again, with a symbolizer. */
static void on_named(struct campaign *c)
{
    const struct triage *t = &c->triage;
    if (WIFEXITED(t->child.status) && WEXITSTATUS(t->child.status) == 0)
        classify(c, true);
    else
        c->triage.phase = TRIAGE_IDLE;
}

/* Without names: that is enough for most. One that does not crash is tried once more, with names. */
static void on_traced(struct campaign *c)
{
    struct triage *t = &c->triage;
    t->phase = TRIAGE_IDLE;
    if (hit(c))
        campaign_trace(c, t->input, strbuf_str(&t->child.tail), t->child.tail.len);
}

bool triage_step(struct campaign *c)
{
    struct triage *t = &c->triage;
    if (t->phase == TRIAGE_IDLE)
        return begin(c);
    if (!fuzz_child_ended(&t->child, NULL, NULL)) {
        if (os_mono_ns() > t->stop_at_ns)
            fuzz_child_kill(&t->child, SIGKILL);
        return true;
    }
    if (t->phase == TRIAGE_TRACE)
        on_traced(c);
    else if (t->phase == TRIAGE_CLASSIFY)
        classify(c, hit(c));
    else if (t->phase == TRIAGE_NAMES)
        on_named(c);
    else if (t->phase == TRIAGE_REPRODUCE)
        on_reproduced(c);
    else
        on_minimised(c);
    return true;
}
