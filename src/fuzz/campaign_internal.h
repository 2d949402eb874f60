/* A campaign while it runs: its sessions, its corpus, its crashes, and the work on them. */
#ifndef FF_FUZZ_CAMPAIGN_INTERNAL_H
#define FF_FUZZ_CAMPAIGN_INTERNAL_H

#include "base/map.h"
#include "codec/crash/advice.h"
#include "base/vec.h"
#include "fuzz/corpus.h"
#include "fuzz/driver.h"
#include "fuzz/packs.h"
#include "fuzz/verdict.h"
#include "module/module.h"

#define INPUT_MS_DEFAULT 10000
#define MEMORY_MB_DEFAULT 2048
#define CAMPAIGN_SESSIONS_MAX 16
#define CAMPAIGN_ENGINES_MAX 4
#define CAMPAIGN_NAME_MAX 64
#define CAMPAIGN_BUGS_MAX 256
#define CAMPAIGN_KEPT_OF_BUG 16     /* inputs that are files of their own; the others of it are in archives */
#define CAMPAIGN_KEPT_MAX 300       /* of all bugs; each bug has one besides */
#define CAMPAIGN_INPUTS_MAX 20000   /* that are remembered one by one */
#define CAMPAIGN_OPEN_MAX 500       /* of archives, not known yet, that a checkpoint names */
#define CAMPAIGN_TRIES 10

/* One input that the target did not survive. Its bytes are in crashes/NAME, and kept (module_keep). */
struct crash_input {
    char name[CAMPAIGN_NAME_MAX]; /* "crash-<40 digits>": fault and content */
    enum fuzz_fault fault;
    uint64_t size;
    int64_t seen_ms; /* of the campaign's own time */
    int bug;         /* index; -1: not known yet */
    int engine;      /* index of the campaign's engines */
    int trace;       /* index; -1: its engine does not say */
    bool traced;     /* it was run for that */
    bool named;      /* names were looked for in its trace's report */
    int known;       /* of an earlier run: index of the known bugs; -1: none */
    int tries;       /* runs without a crash, of such a one */
    bool packed;     /* kept in an archive; crashes/NAME is there until it is known */
};

/* A stack without names, as an engine prints it when it needs no symbolizer: where most crashes are known again at once,
 * so that the engine is back at work in milliseconds. The first input of each is replayed, with names. */
struct trace {
    char digest[CORPUS_NAME_BYTES];
    int bug; /* index; -1: not known yet */
    uint64_t count;
    int kept;
    char *report; /* until it is known */
};

/* All inputs with one type and state. */
struct bug {
    struct fuzz_verdict verdict;
    uint64_t count; /* crashes that were seen, kept or not */
    int kept;
    char input[CAMPAIGN_NAME_MAX]; /* the smallest one */
    uint64_t size;
    char sha256[65]; /* of what is shown: the minimised input, or the smallest */
    int tries, hits;
    bool worked_on, minimised;
    uint64_t min_size;
    int64_t first_ms, last_ms;
    enum fuzz_fault fault;
    int engine;
    int known;    /* index of the known bugs: it is one of them; -1 */
    char *report; /* what the target said, cut */
};

/* A bug that an earlier run has left (memory.c). */
struct known_bug {
    char type[96], state[512], thrown[80], title[160], engine[32];
    char identity[65]; /* what its fingerprint is made of */
    char since[208];   /* the run that saw it first, or saw it come back */
    char fixed_in[208];
    bool fixed, back;  /* as that was left */
    bool mended;       /* an attempt of this run has seen that it is fixed */
    json_t *inputs;    /* names */
    int replays, open; /* inputs to be tried; those that have not been yet */
    bool found;        /* it is there */
};

enum bug_novelty { BUG_NEW, BUG_STILL, BUG_BACK };

struct session {
    struct fuzz_session s; /* s.dir NULL: not in use */
    struct map seen_corpus, seen_crashes, seen_import;
    uint64_t executions; /* of starts that have ended */
    uint64_t edges; /* the most that a start of this engine told */
    int64_t line_ns, start_ns, ready_after_ns;
    int quick_crashes;   /* one after another */
    char *subset;        /* of which s.subset may be the name */
    int quick_ends;      /* one after another, before it was ready */
    int64_t start_at_ns; /* not before */
    bool broken;
    bool flooded;        /* this start was ended for what it printed */
    bool littered;       /* it is ended for the files that it has left */
    bool asked;          /* it is ended for its numbers */
    bool stuck;          /* it gave no answer: the input that it runs takes longer than it may, or it hears no signals */
    int64_t answer_by_ns;
    int64_t litter_by_ns;
    int engine;          /* index of the campaign's engines */
    uint64_t discoveries, judged; /* of starts that have ended; what was known when cores were assigned last */
    int move_to;         /* the engine that it is to run next; -1: as now */
    int64_t move_by_ns;
    uint64_t finds;      /* inputs that were new to the shared corpus */
};

/* One input worked on, one run of the target at a time, beside the engines (triage.c). */
struct triage {
    enum { TRIAGE_IDLE, TRIAGE_TRACE, TRIAGE_NAMES, TRIAGE_CLASSIFY, TRIAGE_REPRODUCE, TRIAGE_MINIMISE } phase;
    int input, bug; /* indices */
    struct fuzz_child child;
    int64_t stop_at_ns, deadline_ns; /* of the run; of the phase */
    int runs, hits;
    char signature[512];
    char *data;
    size_t len, pos, chunk;
    bool shrunk, shrunk_now; /* at all; since the pieces were large */
};

struct campaign {
    struct module_ctx *ctx;
    const json_t *input;
    char *base; /* scratch */
    struct fuzz_target targets[CAMPAIGN_ENGINES_MAX]; /* one an engine */
    const struct fuzz_driver *drivers[CAMPAIGN_ENGINES_MAX];
    int engines;
    struct fuzz_bounds bounds;
    struct session sessions[CAMPAIGN_SESSIONS_MAX];
    int sessions_count;
    int crash_watch; /* readable when an engine that goes on has written a crash (inotify); 0 or less: none */
    struct corpus corpus;
    char *crashes_dir, *work_dir;
    VEC(struct crash_input) inputs;
    VEC(struct bug) bugs;
    VEC(struct trace) traces;
    VEC(struct known_bug) known_bugs;
    struct map known; /* names of inputs */
    struct packs packs;
    int kept;         /* inputs that are files of their own */
    uint64_t dropped; /* inputs that no archive had room for */
    struct triage triage;
    /* When to stop; 0: never for that reason. */
    int64_t duration_ms, plateau_ms, minimise_ms;
    int64_t ends_ns, fuzz_until_ns; /* os_mono_ns(): all of it is over; the engines are */
    uint64_t max_executions;
    bool stop_at_crash;
    bool stopping;
    bool closing; /* it only reports what those before it have found */
    bool regression; /* only what is new is wanted, and only where the program has changed */
    bool affected;   /* the program is none that an earlier run had */
    bool triage_idle;
    uint64_t remembered; /* inputs of earlier runs */
    bool unread;         /* what one of them has left could not be read, and is to stay */
    bool given; /* the inputs are the user's: there are no engines */
    const char *stopped_by; /* "duration" ... */
    char last_words[400];   /* of an engine that cannot run */
    /* Counters; base_: of the attempts before. */
    int64_t began_ns, ended_ns, base_ms, last_find_ms, last_crash_ms;
    uint64_t base_executions, crashes, strays, moves, cleaned;
    uint64_t engine_ends; /* starts that ended by themselves, without a crash */
    uint64_t door_ends;   /* starts that a crash ended before all that they were given had run */
    bool past_door;       /* another one came further */
    size_t unmerged; /* inputs of the corpus that the merge had no time for */
    uint64_t edges, features;
    int64_t rate_ns;
    uint64_t rate_executions;
    double rate;
    /* Archives of the corpus that are kept: 0 has all, the others what came after. */
    int deltas;
    bool changed;
    int64_t pack_ns; /* how long the archive of the whole corpus took */
    int64_t stats_ns, scan_ns, sync_ns, save_ns, memory_ns, sync_every_ns;
    int64_t assign_ns, assign_every_ns;
};

/* campaign.c. Options, targets, folders, what an attempt before has left; no sessions yet. */
int campaign_prepare(struct campaign *c, struct module_ctx *ctx, struct err *err);
void campaign_release(struct campaign *c);
int64_t campaign_ms(const struct campaign *c); /* its own time, over all attempts */
uint64_t campaign_executions(const struct campaign *c);

/* merge.c. Takes out of the corpus what covers nothing of its own, by until (os_mono_ns()) at the latest. Inputs that crash are
 * crashes then, and no part of it. */
int merge_corpus(struct campaign *c, int64_t until, struct err *err);

/* crashes.c. A file that an engine says crashed: copied, kept, counted. report may be NULL: not known. */
int campaign_crash(struct campaign *c, int engine, const char *path, enum fuzz_fault fault, const char *report, size_t report_len,
                   struct err *err);
/* An input was replayed, with this report: it joins its bug, or is a new one. crashed: else what the engine saw counts. */
int campaign_classify(struct campaign *c, int input, bool crashed, const char *report, size_t len, struct err *err);
/* What a report without names says of the place, and the kind, of the fault; "": nothing. */
void campaign_signature(const char *report, size_t len, char *ret, size_t size);
/* An input was replayed without names. */
void campaign_trace(struct campaign *c, int input, const char *report, size_t len);
/* Its bug is not known, and nobody else's tells it. */
bool campaign_is_open(const struct campaign *c, const struct crash_input *in);
/* What was put into the archives is kept: before any number shows it. */
int campaign_flush(struct campaign *c, struct err *err);
/* Names of those in archives that are open still. */
json_t *campaign_open_json(const struct campaign *c);
int campaign_restore_pack(struct campaign *c, const char *name, const char *path, const json_t *open, bool keep_anew,
                          struct err *err);
int campaign_restore_input(struct campaign *c, const char *name, const char *path, bool keep_anew, struct err *err);
json_t *campaign_bugs_json(const struct campaign *c);
int campaign_restore_bugs(struct campaign *c, const json_t *bugs, struct err *err);
void campaign_bugs_release(struct campaign *c);
/* A finding for each bug. */
void campaign_report(struct campaign *c);

/* An input of a known bug: it is to be tried. engine -1: it cannot. */
int campaign_replay_input(struct campaign *c, const char *name, const char *from, int engine, int known, struct err *err);

/* memory.c. What earlier runs have left; then what this one leaves. */
int memory_load(struct campaign *c, struct err *err);
int memory_keep(struct campaign *c, struct err *err);
void memory_release(struct campaign *c);
void memory_match(struct campaign *c, int bug); /* a bug was found */
/* An input of a known bug was tried; bug -1: it does not crash any more. */
void memory_replayed(struct campaign *c, const struct crash_input *in, int bug);
enum bug_novelty memory_novelty(const struct campaign *c, const struct bug *b);
const char *memory_novelty_name(enum bug_novelty n);
bool memory_is_fixed(const struct known_bug *k);
bool memory_is_undecided(const struct campaign *c); /* whether a known bug is there: its inputs have not all been run */
void memory_identity(const struct campaign *c, const struct bug *b, char ret[65]); /* of its fingerprint */

/* triage.c. Does the next thing that is due; true: there is more to do. */
bool triage_step(struct campaign *c);
void triage_end(struct campaign *c); /* stops what it does */
void triage_digest(struct campaign *c, struct bug *b); /* b->sha256, of one that was not worked on to the end */

/* sessions.c */
int sessions_make(struct campaign *c, int jobs, struct err *err);
void sessions_step(struct campaign *c);       /* output, ends, new starts */
int sessions_scan(struct campaign *c, struct err *err); /* crashes */
int sessions_sync(struct campaign *c, struct err *err); /* corpora */
void sessions_stop(struct campaign *c);
/* ensemble.c. Looks which engine finds more, and lets it have a core of another one. */
void sessions_assign(struct campaign *c);
void session_move(struct campaign *c, struct session *x); /* it has ended; move_to is next */
/* Of what engines found for each core, and how many sessions each may lose: from which to which. */
bool ensemble_pick(const double *gain, const int *movable, int engines, int *ret_from, int *ret_to);
bool sessions_all_broken(const struct campaign *c);
void session_note_coverage(struct campaign *c, struct session *x); /* before its counts begin anew */
bool sessions_all_ready(const struct campaign *c); /* each has read the corpus, or cannot run */
void sessions_release(struct campaign *c);
void sessions_sweep(struct campaign *c);
int sessions_wait(struct campaign *c, int ms); /* until there is output */

/* litter.c */
bool litter_of_session(const struct session *x); /* the target has left more than may be */
bool litter_in_corpus(const struct session *x);  /* the same, among its inputs */
void litter_clean_session(struct campaign *c, struct session *x); /* one that has ended */
void litter_clean_work(struct campaign *c); /* where single inputs are run; while none is */

/* checkpoint.c */
int checkpoint_save(struct campaign *c, struct err *err);
int checkpoint_keep(struct campaign *c, struct err *err); /* as a file, at the end */
int checkpoint_restore(struct campaign *c, struct err *err);

#endif
