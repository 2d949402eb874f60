/* A fuzzing engine behind one interface: what differs between libFuzzer, AFL++ and the others, and nothing else. A campaign
 * (campaign.h) starts, watches and stops sessions by it; it never reads an engine's files itself.
 *
 * Everything runs in the module's sandbox. Methods are plain functions of one thread; those that build a command start
 * nothing. Folders of a session: dir (its own, writable by it: corpus, crashes, temporary files); shared (the corpus of
 * all engines of the target, read-only to it). */
#ifndef FF_FUZZ_DRIVER_H
#define FF_FUZZ_DRIVER_H

#include "base/err.h"
#include "fuzz/child.h"

#include <stdbool.h>
#include <stdint.h>

/* Something that can be fuzzed: a harness that was built for one engine. Texts are owned; paths are absolute. */
struct fuzz_target {
    char *name;
    char *engine;
    char *second;   /* a second build of program, with the driver's second_env; NULL: none */
    char *program;  /* binary, script or folder, as the driver has it */
    char *function; /* of a program with several: FuzzXxx, a class; NULL: none */
    char *source;   /* the harness, relative to the target's tree; NULL: unknown */
    char *dict;     /* a dictionary in AFL's form; NULL: none */
    char *seeds;    /* a folder of inputs; NULL: none */
    struct fuzz_words options; /* "max_len=100": of the [libfuzzer] section of an .options file */
    struct fuzz_words env;     /* "ASAN_OPTIONS=..." */
    char *sanitizers; /* that it was built with, where the user chose them; NULL */
    bool fetched;     /* the build needed what fuzz_fetch got */
};
void fuzz_target_release(struct fuzz_target *t);

struct fuzz_bounds {
    int64_t input_ms;    /* time of one input; over it: a time-out */
    uint64_t memory_mb;  /* of the target's process; over it: out of memory */
    uint64_t input_bytes; /* largest input; 0: the engine's own */
    uint64_t seed;        /* of the engine's generator; 0: its own */
    int64_t run_seconds;  /* of one start; 0: no end */
    uint64_t executions;  /* of one start, for engines that tell theirs too seldom; 0: no end */
    bool leaks;           /* memory that an input has lost is a fault too, where the engine can tell */
};

/* What the engine itself said last. Of one start: a session that starts anew counts from 0. */
struct fuzz_counts {
    uint64_t executions;
    double rate; /* executions a second */
    uint64_t edges, features, corpus, corpus_bytes, memory_mb;
    uint64_t discoveries; /* inputs of its own making with new coverage */
};

struct fuzz_session {
    const struct fuzz_driver *driver;
    const struct fuzz_target *target;
    const struct fuzz_bounds *bounds;
    char *dir;
    const char *shared;
    int number;  /* of the session in its campaign */
    bool is_main; /* the first of its engine */
    const char *subset; /* a file that lists the inputs to begin with, one a line; NULL: the whole corpus */
    struct fuzz_child child;
    struct fuzz_counts counts;
    bool ready; /* it has begun to make inputs of its own */
    bool goes_on; /* after crashes, though its driver says otherwise: what it was built with can */
    bool mute;  /* the target printed without end: what it prints is to be thrown away, if the engine can do that */
};

/* Why an input was kept by the engine. */
enum fuzz_fault { FAULT_CRASH, FAULT_TIMEOUT, FAULT_MEMORY, FAULT_LEAK, FAULT_NONE };
const char *fuzz_fault_name(enum fuzz_fault f); /* "crash" "timeout" "oom" "leak" */

struct fuzz_driver {
    const char *name, *vertical;
    const char *const *languages; /* of the harnesses that it runs, as harness.h has them; NULL-terminated */
    /* 0, or -ERR_MISSING with the package that brings it as the hint. */
    int (*missing)(struct err *err);

    /* Build: the environment that a build system needs to build for it, as OSS-Fuzz has it: CC CXX CFLAGS CXXFLAGS
     * LIB_FUZZING_ENGINE SANITIZER. sanitizers: "address,undefined". NULL: the target's source is run as it is. */
    void (*build_env)(const char *sanitizers, struct fuzz_words *env);
    /* How one harness is built, if not as the build system of a tree of C has it: a shell script, in the folder of the
     * sources, with HARNESS and NAME, that makes OUT/NAME. */
    const char *build_script;
    /* NULL, or "K=V": the target is built once more with it, as target->second. */
    const char *second_env;

    /* Start: the command of a session, whose folders are made by make_dirs (which may be called again for what is there). */
    int (*make_dirs)(const struct fuzz_session *s, struct err *err);
    void (*command)(const struct fuzz_session *s, struct fuzz_command *ret);
    /* Statistics: one line of its output; or, for engines that write a file, poll, called every second. Either may be NULL. */
    void (*line)(struct fuzz_session *s, const char *text, size_t len);
    void (*poll)(struct fuzz_session *s);
    /* Where, below dir, it keeps inputs that it found worth keeping, and those that crashed. */
    const char *corpus_dir, *crash_dir;
    /* The engine names its inputs so: files of other names, which the target may have put among them, are none. */
    bool (*input_name)(const char *file_name);
    /* What the name of a file there means; FAULT_NONE: no input. */
    enum fuzz_fault (*fault)(const char *file_name);
    /* Where, below dir, it takes what other engines found; NULL: it takes nothing while it runs. */
    const char *import_dir;
    bool subsets; /* a session may begin with a part of the corpus: command() looks at subset */
    bool ends_at_crash; /* it must be started anew after each */
    bool talks;         /* what a crash is stands on its standard output */
    const char *slow_dir; /* the same for inputs that took too long, where these have their own; NULL: they have not */
    int keep_signal;    /* on which it keeps the input that it runs, as one that crashes, and ends; 0: none */
    int stop_signal;    /* on which it ends by itself, with its last statistics */

    /* Reproduce: one input, once. symbolize: its report is to have names; else it may go without, faster. Its end is a crash
     * when crashed() says so, of waitpid's status. */
    void (*reproduce)(const struct fuzz_target *t, const struct fuzz_bounds *b, const char *input, bool symbolize,
                      struct fuzz_command *ret);
    bool (*crashed)(int status);
    bool many; /* the command of reproduce() takes more inputs behind the first one */
    /* Merge: into, which is empty, gets the inputs in from that cover all that those do. Those that crash are dropped, and lie in
     * the folder crashes then, named as in crash_dir; or they fail it (where many is set they are looked for before). NULL: not
     * offered. */
    void (*merge)(const struct fuzz_target *t, const struct fuzz_bounds *b, const char *into, const char *from,
                  const char *crashes, struct fuzz_command *ret);
    /* Minimise: NULL: by reproduction, as triage.h has it for all. Coverage: of all inputs of a folder; its lines are read
     * by line(). NULL: not offered. */
    void (*coverage)(const struct fuzz_target *t, const struct fuzz_bounds *b, const char *corpus, struct fuzz_command *ret);
};

extern const struct fuzz_driver *const fuzz_drivers[]; /* NULL-terminated */
/* -ERR_INVALID with the nearest name as the hint. */
int fuzz_driver_find(const char *name, const struct fuzz_driver **ret, struct err *err);
bool fuzz_driver_runs(const struct fuzz_driver *d, const char *language); /* of a harness */
extern const struct fuzz_driver libfuzzer_driver, aflplusplus_driver, atheris_driver, go_driver, cargo_fuzz_driver, jazzer_driver;

/* Of a native target: a signal, or a status that is none of a shell. */
bool fuzz_status_crashed(int status);
/* A path below one of the folders of FF_TOOLS (module/tools.h) at which there is something: "DIR/name"; the caller frees;
 * NULL: there is none, or no memory. */
char *fuzz_in_tools(const char *name);
/* The same, then below /usr/local and /usr. */
char *fuzz_in_system(const char *name);
/* Where the PATH has it; the caller frees; NULL: nowhere, or no memory. */
char *fuzz_program_path(const char *program);
/* The path in the tree of a source that a report knows by its package ("a/b/C.java"): by what the build left in PROGRAM.sources,
 * one a line. The caller frees; NULL: it is none of them. */
char *fuzz_listed_source(const struct fuzz_target *t, const char *name);
/* For drivers: is there such a program? Else -ERR_MISSING with what brings it. */
int fuzz_need_program(const char *program, const char *brought_by, struct err *err);
/* The sanitizers' settings that all native engines share. */
void fuzz_sanitizer_env(const struct fuzz_target *t, bool symbolize, struct fuzz_words *env);
/* Finds one of the two names of an LLVM tool ("clang-14", "clang"); NULL: neither is there. */
const char *fuzz_tool(const char *first, const char *second);

#endif
