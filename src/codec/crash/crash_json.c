/* A crash as users see it. */
#include "codec/crash/crash.h"

#include "base/cleanup.h"
#include "codec/json.h"

#include <string.h>

static const char *const kind_names[CRASH_KINDS_] = {
    [CRASH_NONE] = "none", [CRASH_ASAN] = "asan", [CRASH_HWASAN] = "hwasan", [CRASH_MSAN] = "msan", [CRASH_TSAN] = "tsan",
    [CRASH_LSAN] = "lsan", [CRASH_UBSAN] = "ubsan", [CRASH_CFI] = "cfi", [CRASH_LIBFUZZER] = "libfuzzer",
    [CRASH_CENTIPEDE] = "centipede", [CRASH_AFL] = "afl", [CRASH_GO] = "go", [CRASH_PYTHON] = "python",
    [CRASH_RUST] = "rust", [CRASH_JAVA] = "java", [CRASH_JAVASCRIPT] = "javascript", [CRASH_V8] = "v8",
    [CRASH_CHECK] = "check", [CRASH_SIGNAL] = "signal", [CRASH_GLIBC] = "glibc", [CRASH_GDB] = "gdb", [CRASH_CDB] = "cdb",
    [CRASH_VALGRIND] = "valgrind",
    [CRASH_KERNEL] = "kernel", [CRASH_OTHER] = "other",
};

const char *crash_kind_name(enum crash_kind k)
{
    return kind_names[k];
}

const char *crash_access_name(enum crash_access a)
{
    static const char *const names[] = {NULL, "read", "write", "exec"};
    return names[a];
}

const char *crash_exploitability_name(enum crash_exploitability e)
{
    static const char *const names[] = {"UNDEFINED", "NOT_EXPLOITABLE", "PROBABLY_EXPLOITABLE", "EXPLOITABLE"};
    return names[e];
}

static void set(json_t *object, const char *key, json_t *value)
{
    if (value)
        json_object_set_new(object, key, value);
}

static json_t *text_or_null(const char *s)
{
    return s ? json_clean_string(s) : json_null();
}

static json_t *hex_or_null(uint64_t value)
{
    return value ? json_sprintf("0x%llx", (unsigned long long)value) : json_null();
}

static json_t *frame_to_json(const struct crash_frame *f, bool ignored)
{
    json_t *j = json_object();
    set(j, "function", text_or_null(f->function));
    set(j, "file", text_or_null(f->file));
    set(j, "line", f->line ? json_integer(f->line) : json_null());
    set(j, "column", f->column ? json_integer(f->column) : json_null());
    set(j, "module", text_or_null(f->module));
    set(j, "offset", hex_or_null(f->offset));
    set(j, "address", hex_or_null(f->address));
    set(j, "ignored", json_boolean(ignored));
    return j;
}

/* The state's lines, without the newlines. */
static json_t *state_to_json(const char *state)
{
    json_t *list = json_array();
    for (const char *p = state; *p;) {
        size_t n = strcspn(p, "\n");
        json_array_append_new(list, json_stringn(p, n));
        p += n + (p[n] == '\n');
    }
    return list;
}

json_t *crash_to_json(const struct crash *c, const char *file)
{
    json_t *j = json_object(), *frames = json_array();
    bool program = false; /* until it was there, the harness is where the fault is */
    for (size_t i = 0; i < c->frame_count; i++) {
        const struct crash_frame *f = &c->frames[i];
        json_array_append_new(frames, frame_to_json(f, f->ignored || (f->harness && program)));
        program = program || !(f->ignored || f->harness);
    }
    set(j, "file", text_or_null(file));
    set(j, "kind", json_string(crash_kind_name(c->kind)));
    set(j, "crash_type", json_string(c->type));
    set(j, "crash_state", state_to_json(c->state));
    set(j, "crash_address", json_string(c->address));
    set(j, "access", text_or_null(crash_access_name(c->access)));
    set(j, "access_size", c->access_size ? json_integer((json_int_t)c->access_size) : json_null());
    set(j, "near_null", json_boolean(c->near_null));
    set(j, "security", json_boolean(c->security));
    set(j, "severity", json_string(severity_name(c->severity)));
    set(j, "severity_reason", json_string(c->severity_reason));
    set(j, "exploitability", json_pack("{s:s, s:s}", "severity", crash_exploitability_name(c->exploitability), "class",
                                       c->exploit_class));
    set(j, "truncated", json_boolean(c->truncated));
    set(j, "frames", frames);
    return j;
}
