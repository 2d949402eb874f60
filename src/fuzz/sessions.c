/* The engines of a campaign: started, watched, started anew, stopped. */
#include "base/cleanup.h"
#include "base/mem.h"
#include "base/units.h"
#include "fuzz/campaign_internal.h"
#include "os/clock.h"
#include "os/file.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define QUICK_ENDS_MAX 8
#define EXECUTIONS_PER_S 20e6 /* more than any engine makes */
#define EXECUTIONS_AT_ONCE 1e6
#define STORM 4 /* crashes one after another, each soon after its start */
#define QUICK_NS (3 * NS_PER_S)
#define STOP_NS (3 * NS_PER_S)
#define LITTER_NS (NS_PER_S / 2)
/* An engine that is silent for so long, and has run for long enough, is asked for its numbers by a new start. */
#define SILENCE_NS (30 * NS_PER_S)
#define AGE_NS (120 * NS_PER_S)
#define FLOOD_BYTES ((uint64_t)256 << 20) /* of output of one start: it ends there */

static int add_session(struct campaign *c, int engine, bool is_main, struct err *err)
{
    struct session *x = &c->sessions[c->sessions_count];
    memset(x, 0, sizeof *x);
    fuzz_child_init(&x->s.child);
    x->s.driver = c->drivers[engine];
    x->s.target = &c->targets[engine];
    x->s.bounds = &c->bounds;
    x->s.shared = c->corpus.dir;
    x->s.number = c->sessions_count;
    x->engine = engine;
    x->move_to = -1;
    x->s.is_main = is_main;
    x->s.dir = mem_printf("%s/run/%d", c->base, c->sessions_count);
    if (!x->s.dir)
        return err_nomem(err);
    int r = os_mkdirs(x->s.dir, 0755, err);
    if (r == 0)
        r = x->s.driver->make_dirs(&x->s, err);
    c->sessions_count++;
    return r;
}

int sessions_make(struct campaign *c, int jobs, struct err *err)
{
    int r = 0;
    if (jobs < c->engines)
        jobs = c->engines;
    c->crash_watch = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    for (int i = 0; r == 0 && i < jobs && c->sessions_count < CAMPAIGN_SESSIONS_MAX; i++)
        r = add_session(c, i % c->engines, i < c->engines, err);
    return r;
}

void sessions_release(struct campaign *c)
{
    for (int i = 0; i < c->sessions_count; i++) {
        struct session *x = &c->sessions[i];
        fuzz_child_release(&x->s.child);
        map_release(&x->seen_corpus);
        map_release(&x->seen_crashes);
        map_release(&x->seen_import);
        free(x->s.dir);
        free(x->subset);
    }
    c->sessions_count = 0;
    if (c->crash_watch > 0)
        close(c->crash_watch);
    c->crash_watch = -1;
}

/* --- one of them ------------------------------------------------------------------------------------------ */

static void on_line(void *arg, const char *text, size_t len)
{
    struct session *x = arg;
    struct fuzz_counts before = x->s.counts;
    bool was_ready = x->s.ready;
    if (x->s.driver->line)
        x->s.driver->line(&x->s, text, len);
    int64_t now = os_mono_ns();
    if ((double)x->s.counts.executions > EXECUTIONS_AT_ONCE + (double)(now - x->start_ns) / NS_PER_S * EXECUTIONS_PER_S) {
        x->s.counts = before; /* no engine's words, but the target's */
        x->s.ready = was_ready;
    }
    if (x->s.counts.executions != before.executions)
        x->line_ns = now;
    if (x->s.ready && !x->ready_after_ns)
        x->ready_after_ns = os_mono_ns() - x->start_ns;
}

void session_note_coverage(struct campaign *c, struct session *x)
{
    const struct fuzz_counts *n = &x->s.counts;
    x->edges = n->edges > x->edges ? n->edges : x->edges;
    c->edges = x->edges > c->edges ? x->edges : c->edges;
    c->features = n->features > c->features ? n->features : c->features;
}

/* A shallow bug ends each start at once when an input that is close to it is in the corpus. Then a start begins with a few
 * inputs, picked at random, as libFuzzer's own fork mode does it: most of them are far from the bug. The file is a list
 * with commas, which is what -seed_inputs takes. */
static void pick_subset(struct campaign *c, struct session *x)
{
    struct strbuf list = STRBUF_INIT;
    size_t n = c->corpus.names.len, want = 1, i = 0, picked = 0;
    uint32_t random;
    x->s.subset = NULL;
    if (!x->s.driver->subsets || x->quick_crashes < STORM || n < 3)
        return;
    while (want * want < n + 2)
        want++;
    os_random(&random, sizeof random);
    if (random % 4 == 0) /* the bug may be gone from the corpus */
        return;
    MAP_EACH(&c->corpus.names, e) { /* want of n, each with the same chance */
        os_random(&random, sizeof random);
        if (picked < want && random % (n - i) < want - picked) {
            strbuf_printf(&list, "%s%s/%s", picked ? "," : "", c->corpus.dir, e->key);
            picked++;
        }
        i++;
    }
    _cleanup_free_ char *own = os_path_join(x->s.dir, x->s.driver->corpus_dir);
    if (!x->subset)
        x->subset = mem_printf("%s/subset-%d", c->base, x->s.number);
    if (own && x->subset && strbuf_check(&list, NULL) == 0 && os_remove_tree(own, NULL) == 0 &&
        os_write_file_atomic(x->subset, list.s, list.len, 0644, NULL) == 0)
        x->s.subset = x->subset;
    strbuf_release(&list);
}

static bool ends_at_crash(const struct session *x)
{
    return x->s.driver->ends_at_crash && !x->s.goes_on;
}

/* A target in the process of an engine that goes on could empty a crash that is not taken at once. */
static void watch_crashes(struct campaign *c, const struct session *x)
{
    _cleanup_free_ char *dir = x->s.driver->ends_at_crash ? NULL : os_path_join(x->s.dir, x->s.driver->crash_dir);
    if (dir && c->crash_watch > 0)
        inotify_add_watch(c->crash_watch, dir, IN_CLOSE_WRITE | IN_MOVED_TO);
}

static void start(struct campaign *c, struct session *x)
{
    struct fuzz_command cmd = {0};
    struct err err = {0};
    memset(&x->s.counts, 0, sizeof x->s.counts);
    x->s.ready = false;
    x->ready_after_ns = 0;
    pick_subset(c, x);
    x->s.driver->make_dirs(&x->s, NULL); /* the target may have removed them */
    watch_crashes(c, x);
    x->s.driver->command(&x->s, &cmd);
    if (fuzz_child_start(&x->s.child, &cmd, &err) < 0) {
        module_log(c->ctx, "warning", "%s: %s", x->s.driver->name, err.msg);
        x->start_at_ns = os_mono_ns() + NS_PER_S;
    }
    x->start_ns = x->line_ns = os_mono_ns();
    fuzz_command_release(&cmd);
}

/* An engine that goes on may have made the file, and not written it yet. */
static bool is_being_written(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && st.st_size == 0;
}

/* Every file of the folder that is new: of crashes, or of inputs that took too long where the engine has them apart. The engine's
 * output is the report of the one that ended it. */
static int scan_folder(struct campaign *c, struct session *x, const char *folder, bool ended, struct err *err)
{
    char **names;
    size_t n;
    bool slow = folder == x->s.driver->slow_dir || x->stuck; /* or what it ran when it was made to crash */
    _cleanup_free_ char *dir = os_path_join(x->s.dir, folder);
    int r = dir ? fuzz_list_files(dir, &names, &n, err) : err_nomem(err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < n; i++) {
        enum fuzz_fault fault = x->s.driver->fault(names[i]);
        _cleanup_free_ char *path = os_path_join(dir, names[i]), *key = mem_printf("%s/%s", folder, names[i]);
        bool is_new = key && (ends_at_crash(x) ? ended : !map_get(&x->seen_crashes, key));
        if (r == 0 && path && fault != FAULT_NONE && is_new && (ended || !is_being_written(path))) {
            bool report = ended && ends_at_crash(x) && !x->stuck;
            if (slow && fault == FAULT_CRASH)
                fault = FAULT_TIMEOUT;
            r = campaign_crash(c, x->engine, path, fault, report ? strbuf_str(&x->s.child.tail) : NULL, x->s.child.tail.len, err);
            if (ends_at_crash(x))
                unlink(path); /* it has another place now, and the next one of this content is a new crash */
            else if (!map_set(&x->seen_crashes, key, x))
                r = err_nomem(err);
        }
        free(names[i]);
    }
    free(names);
    return r;
}

static int scan(struct campaign *c, struct session *x, bool ended, struct err *err)
{
    int r = scan_folder(c, x, x->s.driver->crash_dir, ended, err);
    return r == 0 && x->s.driver->slow_dir ? scan_folder(c, x, x->s.driver->slow_dir, ended, err) : r;
}

/* Its last words are numbers. */
static void end_littered(struct session *x)
{
    x->littered = true;
    x->litter_by_ns = os_mono_ns() + LITTER_NS;
    fuzz_child_kill(&x->s.child, x->s.driver->stop_signal ? x->s.driver->stop_signal : SIGTERM);
}

int sessions_scan(struct campaign *c, struct err *err)
{
    int r = 0;
    for (int i = 0; r == 0 && i < c->sessions_count; i++) {
        struct session *x = &c->sessions[i];
        if (x->s.driver->poll)
            x->s.driver->poll(&x->s);
        if (!ends_at_crash(x))
            r = scan(c, x, false, err);
        if (x->s.child.pid && !x->littered && litter_of_session(x))
            end_littered(x);
    }
    return r;
}

/* The line that says why: the last one but Go's "FAIL", and but AFL++'s, which names a place in itself. */
static const char *last_words(const struct strbuf *tail)
{
    const char *text = strbuf_str(tail), *end = text + tail->len, *line = text;
    const char *reason = strstr(text, "PROGRAM ABORT : ");
    for (const char *p = text; p < end && !reason; p++)
        if (*p == '\n' && p + 1 < end && p[1] != '\n' && strncmp(p + 1, "FAIL\n", 5) != 0)
            line = p + 1 + strspn(p + 1, " \t");
    return reason ? reason : line;
}

/* To the line's end, without colours. */
static void copy_plain(char *to, size_t size, const char *from)
{
    size_t n = 0;
    while (*from && *from != '\n' && n + 1 < size) {
        if (from[0] == '\033' && from[1] == '[') {
            from += 2 + strspn(from + 2, "0123456789;");
            from += *from && *from != '\n';
        } else {
            to[n++] = *from++;
        }
    }
    to[n] = 0;
}

static void tell_end(struct campaign *c, struct session *x, const char *when)
{
    const struct fuzz_child *ch = &x->s.child;
    char why[320];
    copy_plain(why, sizeof why, last_words(&ch->tail));
    snprintf(c->last_words, sizeof c->last_words, "%s %d%s%s", WIFSIGNALED(ch->status) ? "signal" : "status",
             WIFSIGNALED(ch->status) ? WTERMSIG(ch->status) : WEXITSTATUS(ch->status), *why ? ": " : "", why);
    module_log(c->ctx, "warning", "%s ended %s, %s", x->s.driver->name, when, c->last_words);
}

static int take_finds(struct campaign *c, struct session *x, struct err *err)
{
    uint64_t added = 0;
    _cleanup_free_ char *dir = os_path_join(x->s.dir, x->s.driver->corpus_dir);
    int r = dir ? corpus_take(&c->corpus, dir, x->s.driver->input_name, &x->seen_corpus, &added, err) : err_nomem(err);
    x->finds += added;
    if (added) {
        c->last_find_ms = campaign_ms(c);
        c->changed = true;
    }
    return r;
}

static void on_end(struct campaign *c, struct session *x)
{
    struct err err = {0};
    uint64_t crashes = c->crashes;
    if (x->s.driver->poll)
        x->s.driver->poll(&x->s);
    session_note_coverage(c, x);
    x->executions += x->s.counts.executions;
    x->s.counts.executions = 0;
    x->discoveries += x->s.counts.discoveries;
    x->s.counts.discoveries = 0;
    if (scan(c, x, true, &err) < 0)
        module_log(c->ctx, "warning", "%s", err.msg);
    c->past_door = c->past_door || x->s.ready;
    c->door_ends += !x->s.ready && c->crashes > crashes;
    int64_t now = os_mono_ns();
    x->quick_crashes = c->crashes > crashes && now - x->start_ns < QUICK_NS ? x->quick_crashes + 1 : 0;
    if (x->s.driver->subsets && take_finds(c, x, &err) < 0) /* before a start empties the folder */
        module_log(c->ctx, "warning", "%s", err.msg);
    bool moves = x->move_to >= 0;
    if (moves && !c->stopping) {
        if (!x->s.driver->subsets && take_finds(c, x, &err) < 0)
            module_log(c->ctx, "warning", "%s", err.msg);
        session_move(c, x);
    }
    /* no crash either: it cannot run */
    if (x->littered)
        litter_clean_session(c, x);
    /* nobody and no crash has ended it */
    bool done = c->max_executions && campaign_executions(c) >= c->max_executions;
    bool own = !x->flooded && !x->littered && !x->asked && !moves && !done && c->crashes == crashes;
    bool quick = own && !x->s.ready && now - x->start_ns < QUICK_NS;
    if (own && !quick && !c->stopping && c->engine_ends++ == 0)
        tell_end(c, x, "without a crash");
    x->flooded = x->littered = x->asked = x->stuck = false;
    x->quick_ends = quick ? x->quick_ends + 1 : 0;
    x->start_at_ns = now;
    if (quick && !c->stopping) {
        tell_end(c, x, "before it began");
        x->start_at_ns = now + 100 * NS_PER_MS * x->quick_ends;
    }
    x->broken = x->quick_ends >= QUICK_ENDS_MAX;
}

/* The engine's clock and handlers are the target's to switch off: an input that never ends is then its end, and nobody
 * says so. */
static void end_stuck(struct campaign *c, struct session *x)
{
    bool again = x->stuck || !x->s.driver->keep_signal;
    if (!x->stuck)
        module_log(c->ctx, "warning", "%s gives no answer: an input runs for longer than it may, or the target hears no signals",
                   x->s.driver->name);
    x->stuck = true;
    x->answer_by_ns = os_mono_ns() + STOP_NS;
    fuzz_child_kill(&x->s.child, again ? SIGKILL : x->s.driver->keep_signal);
}

static void watch(struct campaign *c, struct session *x)
{
    int64_t now = os_mono_ns();
    if ((x->move_to >= 0 && now > x->move_by_ns) || (x->littered && now > x->litter_by_ns))
        fuzz_child_kill(&x->s.child, SIGKILL);
    if (x->s.child.output_bytes > FLOOD_BYTES && x->s.child.out_fd >= 0) {
        if (!x->s.mute)
            module_log(c->ctx, "warning", "%s: the target prints without end: its output is thrown away", x->s.driver->name);
        x->flooded = !x->s.mute; /* again: it cannot run */
        x->s.mute = true;
        fuzz_child_kill(&x->s.child, SIGKILL);
    }
    int64_t age = now - x->start_ns, least = x->ready_after_ns * 100 > AGE_NS ? x->ready_after_ns * 100 : AGE_NS;
    if (x->asked && now > x->answer_by_ns) {
        end_stuck(c, x);
    } else if (x->s.driver->line && x->s.driver->stop_signal && x->s.ready && !x->asked && now - x->line_ns > SILENCE_NS &&
               age > least) {
        fuzz_child_kill(&x->s.child, x->s.driver->stop_signal);
        x->asked = true;
        x->answer_by_ns = now + 2 * c->bounds.input_ms * NS_PER_MS + STOP_NS; /* it comes after the input in hand */
    }
}

void sessions_step(struct campaign *c)
{
    int64_t now = os_mono_ns();
    for (int i = 0; i < c->sessions_count; i++) {
        struct session *x = &c->sessions[i];
        if (x->broken)
            continue;
        if (x->s.child.pid == 0) {
            if (now >= x->start_at_ns)
                start(c, x);
        } else if (fuzz_child_ended(&x->s.child, on_line, x)) {
            on_end(c, x);
        } else {
            watch(c, x);
        }
    }
}

bool sessions_all_broken(const struct campaign *c)
{
    for (int i = 0; i < c->sessions_count; i++)
        if (!c->sessions[i].broken)
            return false;
    return c->sessions_count > 0;
}

bool sessions_all_ready(const struct campaign *c)
{
    for (int i = 0; i < c->sessions_count; i++)
        if (!c->sessions[i].broken && !c->sessions[i].s.ready)
            return false;
    return true;
}

/* --- corpora ---------------------------------------------------------------------------------------------- */

/* What is new in the shared corpus goes into the folder that the engine looks into. */
static int export_to(struct campaign *c, struct session *x, struct err *err)
{
    int r = 0;
    if (!x->s.driver->import_dir)
        return 0;
    MAP_EACH(&c->corpus.names, e) {
        if (map_get(&x->seen_import, e->key))
            continue;
        _cleanup_free_ char *from = os_path_join(c->corpus.dir, e->key);
        _cleanup_free_ char *to = mem_printf("%s/%s/%s", x->s.dir, x->s.driver->import_dir, e->key);
        if (!from || !to || !map_set(&x->seen_import, e->key, x) || !map_set(&x->seen_corpus, e->key, x))
            return err_nomem(err);
        if (x->s.child.pid) /* one that starts reads the shared folder itself */
            r = fuzz_copy_file(from, to, CORPUS_INPUT_MAX, NULL, NULL, err);
        if (r == -ERR_NO_SPACE || r == -ERR_NO_MEMORY)
            return r;
        r = 0;
    }
    return r;
}

int sessions_sync(struct campaign *c, struct err *err)
{
    int r = 0;
    for (int i = 0; r == 0 && i < c->sessions_count; i++) {
        struct session *x = &c->sessions[i];
        r = take_finds(c, x, err);
        if (x->s.child.pid && !x->littered && litter_in_corpus(x))
            end_littered(x);
    }
    for (int i = 0; r == 0 && c->sessions_count > 1 && i < c->sessions_count; i++)
        r = export_to(c, &c->sessions[i], err);
    return r;
}

/* --- the end ---------------------------------------------------------------------------------------------- */

void sessions_stop(struct campaign *c)
{
    int64_t until = os_mono_ns() + STOP_NS;
    c->stopping = true;
    for (int i = 0; i < c->sessions_count; i++) {
        struct fuzz_session *s = &c->sessions[i].s;
        fuzz_child_kill(&s->child, s->driver->stop_signal ? s->driver->stop_signal : SIGTERM);
    }
    for (bool any = true; any;) {
        any = false;
        for (int i = 0; i < c->sessions_count; i++) {
            struct session *x = &c->sessions[i];
            if (x->s.child.pid == 0)
                continue;
            if (os_mono_ns() > until)
                fuzz_child_kill(&x->s.child, SIGKILL);
            if (fuzz_child_ended(&x->s.child, on_line, x))
                on_end(c, x);
            else
                any = true;
        }
        if (any)
            sessions_wait(c, 20);
    }
    sessions_sweep(c);
}

void sessions_sweep(struct campaign *c)
{
    pid_t known[CAMPAIGN_SESSIONS_MAX + 2];
    size_t n = 0;
    for (int i = 0; i < c->sessions_count; i++)
        if (c->sessions[i].s.child.pid)
            known[n++] = c->sessions[i].s.child.pid;
    if (c->triage.child.pid)
        known[n++] = c->triage.child.pid;
    known[n] = 0;
    c->strays += (uint64_t)fuzz_children_sweep(known);
}

int sessions_wait(struct campaign *c, int ms)
{
    struct pollfd p[2 * (CAMPAIGN_SESSIONS_MAX + 1) + 1] = {{.fd = c->crash_watch > 0 ? c->crash_watch : -1, .events = POLLIN}};
    char events[4096];
    nfds_t n = 1 + fuzz_child_poll(&c->triage.child, p + 1);
    for (int i = 0; i < c->sessions_count; i++)
        n += fuzz_child_poll(&c->sessions[i].s.child, p + n);
    int r = poll(p, n, ms);
    while (p[0].revents && read(c->crash_watch, events, sizeof events) > 0)
        c->scan_ns = 0;
    return r;
}
