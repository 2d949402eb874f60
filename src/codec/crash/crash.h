/* Crash reports: what sanitizers, fuzzers, language runtimes, debuggers and kernels print when a program dies, read into
 * one form (docs/fuzzing.md).
 *
 * The terms are ClusterFuzz's, so that its users find what they know: a crash has a type ("Heap-buffer-overflow\nREAD 4"),
 * an address, and a state: the first three frames that say where the fault is, freed of arguments, template parameters,
 * addresses, and of the frames of allocators, sanitizers, libraries and harnesses. Two reports of one type and state are one
 * bug. Beside it stands CASR's judgement of how exploitable the crash looks. Pure functions of the report's bytes. */
#ifndef FF_CODEC_CRASH_H
#define FF_CODEC_CRASH_H

#include "base/arena.h"
#include "base/err.h"
#include "codec/finding.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Of a longer report the first and the last half of this are read (bytes). */
#define CRASH_REPORT_MAX ((size_t)16 << 20)
#define CRASH_STATE_FRAMES 3
#define CRASH_FRAMES_MAX 256 /* of one stack */
#define CRASH_TEXT_MAX 4096  /* bytes of a function's name or a path; longer ones are cut */

/* Who speaks. */
enum crash_kind {
    CRASH_NONE, /* no crash was found */
    CRASH_ASAN,
    CRASH_HWASAN,
    CRASH_MSAN,
    CRASH_TSAN,
    CRASH_LSAN,
    CRASH_UBSAN,
    CRASH_CFI,
    CRASH_LIBFUZZER,
    CRASH_CENTIPEDE,
    CRASH_AFL,
    CRASH_GO,
    CRASH_PYTHON,
    CRASH_RUST,
    CRASH_JAVA,
    CRASH_JAVASCRIPT,
    CRASH_V8,
    CRASH_CHECK,  /* an assertion or CHECK of the program itself */
    CRASH_SIGNAL, /* a signal, as a shell, Android or a handler of the program names it */
    CRASH_GLIBC,
    CRASH_VALGRIND,
    CRASH_GDB,
    CRASH_CDB,
    CRASH_KERNEL,
    CRASH_OTHER,
    CRASH_KINDS_
};

enum crash_access { CRASH_ACCESS_UNKNOWN, CRASH_READ, CRASH_WRITE, CRASH_EXEC };

/* CASR's three classes. */
enum crash_exploitability { CRASH_UNDEFINED, CRASH_NOT_EXPLOITABLE, CRASH_PROBABLY_EXPLOITABLE, CRASH_EXPLOITABLE };

struct crash_frame {
    const char *function; /* as it was printed, with its arguments; NULL: unknown */
    const char *file;     /* of the source; NULL: unknown */
    const char *module;   /* binary or library; NULL: unknown */
    int line, column;     /* 1-based; 0: unknown */
    uint64_t address, offset; /* offset: in the module; 0: unknown */
    bool ignored; /* of a runtime, allocator, harness...: not where the fault is */
    bool entry;   /* main() or the harness: what is below is the runtime's or the fuzzer's */
    bool harness; /* the function that the fuzzer calls, or a frame further out */
};

struct crash {
    struct arena arena; /* owns all that is below */
    enum crash_kind kind;
    const char *type;    /* "": no crash */
    const char *state;   /* one frame a line, each ended by a newline; "NULL": nothing is known; "": no crash */
    const char *address; /* as it was printed, "" if none was */
    enum crash_access access;
    uint64_t access_size; /* bytes; 0: unknown */
    bool near_null;       /* the address is known and lies in the first page */
    bool security;        /* ClusterFuzz's flag: the crash may have security consequences */
    enum severity severity;
    const char *severity_reason; /* a sentence */
    enum crash_exploitability exploitability;
    const char *exploit_class; /* CASR's name of the class: "heap-buffer-overflow(write)" */
    const struct crash_frame *frames; /* the crashing stack, innermost first */
    size_t frame_count;
    bool truncated; /* the report was longer than CRASH_REPORT_MAX */
};

struct crash_options {
    const char *target; /* the fuzz target's name: the state of time-outs and memory bounds; may be NULL */
    bool unsymbolized;  /* the stack has no names: keep module offsets in the state */
};

/* Reads a report: text, or a CASR report (JSON with a "Stacktrace"). Any bytes are a report; one without a crash has
 * kind CRASH_NONE. o may be NULL. Fails only for want of memory. crash_release() in any case. */
int crash_parse(const char *text, size_t len, const struct crash_options *o, struct crash *ret, struct err *err);
void crash_release(struct crash *c);

/* How many bytes of a text are the report of one program, where it is a log of several that ended one behind another: what
 * follows is to be parsed for itself. len: there is no other. */
size_t crash_report_end(const char *text, size_t len);

/* A name as rustc mangles it (version 0: "_RNvCs1_4demo5parse"), in words ("demo::parse"), without hashes. false: it is none, or
 * has no room; ret is "" then. */
bool crash_demangle_rust(const char *name, size_t len, char *ret, size_t size);

/* {kind, crash_type, crash_state, ...} as `ff fuzz parse --json` has it; file may be NULL. New reference, NULL when
 * memory is out. */
json_t *crash_to_json(const struct crash *c, const char *file);

const char *crash_kind_name(enum crash_kind k); /* "asan" */
const char *crash_access_name(enum crash_access a); /* "read"; NULL if unknown */
const char *crash_exploitability_name(enum crash_exploitability e); /* "PROBABLY_EXPLOITABLE" */

#endif
