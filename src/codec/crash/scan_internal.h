/* The reading of one report, line by line: what is known so far, and the rules that change it. */
#ifndef FF_CODEC_CRASH_SCAN_INTERNAL_H
#define FF_CODEC_CRASH_SCAN_INTERNAL_H

#include "base/strbuf.h"
#include "base/vec.h"
#include "codec/crash/crash.h"
#include "codec/crash/view.h"

#define SCAN_TYPE_MAX 512
#define SCAN_STATE_MAX ((size_t)64 << 10)
#define SCAN_NAMES_MAX 4096           /* frames that are looked at for a cycle */
#define SCAN_NAME_MAX 256             /* bytes of a name in a cycle */
#define SCAN_LINE_MAX ((size_t)1 << 20) /* a longer line is no line of a report */
#define NULL_PAGE 0x1000              /* what lies below is a null pointer, perhaps with an offset */
#define SCAN_ARENA_MAX ((size_t)32 << 20)

struct scan {
    const struct crash_options *options;
    struct view text;
    struct crash *crash;
    /* what the text holds somewhere */
    bool kasan, go, python, js, node, trusty, lkl, signal;
    bool fallback; /* no tool has spoken: scan_fallback() reads */
    /* what has been met */
    enum crash_kind kind;
    char type[SCAN_TYPE_MAX];
    char address[128];
    struct strbuf state;
    int state_frames; /* in the state; at CRASH_STATE_FRAMES it is closed */
    bool java_exception, go_crash, script_crash, cast_closed, fatal_error, dead;
    bool stuck; /* the goroutine that was too late is reached */
    char check_file[256], process[128];
    VEC(const char *) names; /* of the frames that are not ignored */
    VEC(struct crash_frame) frames;
    int last_frame;    /* number of the last frame of a numbered stack; -1: none yet */
    bool stack_closed; /* the stack that crashed has been read: what follows tells of other things */
    char name[CRASH_TEXT_MAX], harness[CRASH_TEXT_MAX]; /* what frame_name() and a harness's name are made in */
    bool no_memory;
};

/* A rule looks at a line. true: the line has been understood, no other rule sees it. */
typedef bool scan_rule(struct scan *s, struct view line);

/* Sets the type, unless what is known weighs more. */
void scan_type(struct scan *s, enum crash_kind kind, const char *type);
void scan_sanitizer_type(struct scan *s, enum crash_kind kind, struct view name);
void scan_typef(struct scan *s, enum crash_kind kind, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void scan_add_to_type(struct scan *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
bool scan_is(const struct scan *s, const char *type);
bool scan_type_starts(const struct scan *s, const char *prefix);
void scan_address(struct scan *s, const char *prefix, struct view address);
/* Empties a text without forgetting that memory ran out. */
void scan_empty(struct scan *s, struct strbuf *b);
/* Forgets the frames so far, and with them the state. */
void scan_clear_state(struct scan *s);
/* The same, and the address: a new report begins. */
void scan_restart(struct scan *s);
/* The state is this line, and frames follow. */
void scan_set_state(struct scan *s, struct view line);
/* A type that says more than the signal that the program then ends by. */
bool scan_explains_signal(const struct scan *s);
bool scan_found(const struct scan *s); /* there is a type */

/* "[pid:tid:date:FATAL:file.cc(12)] Check failed: x." and the like: CHECK, file and condition make the state. */
void scan_check_failure(struct scan *s, enum crash_kind kind, const char *type, struct view file, struct view message);
struct view scan_clean_check(struct view message);
struct view scan_clean_file(struct view file);
/* A copy in the crash's arena, cut at CRASH_TEXT_MAX, fit for JSON; "" when memory is out. */
const char *scan_copy(struct scan *s, struct view v);

/* The rules, by who speaks. */
scan_rule rule_sanitizer_noise, rule_gnu_assert, rule_gdb, rule_msan_tsan, rule_lsan, rule_bad_cast, rule_cfi, rule_go_panic,
    rule_ubsan, rule_overlap, rule_python, rule_jazzer_js, rule_trusty, rule_segv, rule_bad_free, rule_double_free, rule_fpe,
    rule_san_address, rule_san_access, rule_android, rule_kernel, rule_kasan, rule_extra_sanitizers, rule_san_check,
    rule_security_check, rule_limits, rule_first_report, rule_fatal_error, rule_cdb_stack;

/* Those that rule_first_report() asks while nothing else has been found. */
scan_rule rule_asan, rule_java, rule_go_fatal, rule_check, rule_v8, rule_libfuzzer, rule_missing_library, rule_cdb;

/* Go tells the stack of its alarm first: behind that of the function that was too late; else text. */
struct view go_stuck(struct scan *s, struct view text);

/* An address that abort() and CRASH() of WebKit and Chromium write to, so that it shows in a report. */
bool is_assert_address(unsigned long long address);
/* A frame of any kind of stack. */
scan_rule rule_frame;
/* "/src/x.go:12": where the last frame is, told in a line of its own. */
void scan_source(struct scan *s, struct view text);
/* Whether a frame's text, as it was printed, says nothing of where the fault is. */
bool frame_ignored(struct view frame, bool symbolized);
/* The qualified name of a mangled C++ name, in buf; the name itself where it is none. */
struct view demangle(struct view name, char *buf, size_t size);
/* The name that the state has of a frame's text; good until the next call. */
struct view frame_name(struct scan *s, struct view frame);
/* An error of Memcheck begins; text: what follows the line. */
bool read_valgrind(struct scan *s, struct view line, struct view text);
/* "UNKNOWN" of 11: a signal's number on Linux. */
const char *signal_type(int number);
/* After the last line: what other voices there are if no tool has spoken; cycles, numbers, an empty state; the severity. */
void scan_fallback(struct scan *s);
void scan_normalise(struct scan *s);
void crash_rate(struct scan *s);

/* "msm_f+0xa0/0x124" at the beginning, perhaps in parentheses. */
bool kernel_function(struct view v, struct view *ret_name);
/* The backtrace of Android's tombstone, named by the system, where nothing else has said where the fault is. */
void scan_tombstone_stack(struct scan *s);
/* The stack of a kernel's report that has no addresses, which scan_fallback() reads where there was no other. */
void scan_kernel_stack(struct scan *s);

/* The text without a terminal's colours, without zeros, from UTF-16 if it is that. false: it needs nothing of that. */
bool text_clean(struct view text, struct strbuf *ret);
/* The text without what loggers put before its lines: the time, the host, the container. false: there is nothing of that. */
bool log_prefixes_drop(struct view text, struct strbuf *ret);

/* CASR's JSON. 1: it was one and *ret is filled in as crash_parse() does, 0: it is none. */
int casrep_parse(const char *text, size_t len, const struct crash_options *o, struct crash *ret, struct err *err);
int crash_parse_text(struct view text, const struct crash_options *o, struct crash *ret, struct err *err);

#endif
