/* CASR's reports (.casrep): JSON with the text of a sanitizer or runtime in one of several members, and the stack, taken
 * apart from it, in "Stacktrace". */
#include "codec/crash/scan_internal.h"

#include "base/cleanup.h"
#include "codec/json.h"

static void append_lines(struct strbuf *out, const json_t *lines)
{
    size_t i;
    json_t *line;
    json_array_foreach(lines, i, line) {
        strbuf_append(out, json_string_value(line), json_string_length(line));
        strbuf_putc(out, '\n');
    }
}

/* The text that the report was made of, or what gdb would have printed. */
static void append_report(struct strbuf *out, const json_t *report)
{
    static const char *const members[] = {"AsanReport", "MsanReport", "UbsanReport", "PythonReport", "GoReport", "JavaReport",
                                          "RustReport", "JsReport", "CSharpReport", "LuaReport"};
    static const struct {
        const char *class, *signal;
    } signals[] = {
        {"AbortSignal", "SIGABRT"}, {"StackGuard", "SIGABRT"}, {"HeapError", "SIGABRT"}, {"SafeFunctionCheck", "SIGABRT"},
        {"BadInstruction", "SIGILL"}, {"FPE", "SIGFPE"}, {"TrapSignal", "SIGTRAP"},
    };
    for (size_t i = 0; i < ARRAY_LEN(members); i++)
        append_lines(out, json_object_get(report, members[i]));
    if (out->len)
        return;
    const char *class = json_str(json_object_get(report, "CrashSeverity"), "ShortDescription", ""), *signal = "SIGSEGV";
    for (size_t i = 0; i < ARRAY_LEN(signals); i++)
        if (strcmp(class, signals[i].class) == 0)
            signal = signals[i].signal;
    strbuf_printf(out, "Program terminated with signal %s, \n", signal);
    append_lines(out, json_object_get(report, "Stacktrace"));
}

int casrep_parse(const char *text, size_t len, const struct crash_options *o, struct crash *ret, struct err *err)
{
    _cleanup_json_ json_t *report = NULL;
    json_error_t unread;
    struct view head = view_trim(view_first((struct view){text, len}, 64));
    if (!view_starts(head, "{") || !view_has((struct view){text, len}, "\"Stacktrace\""))
        return 0;
    /* Registers do not fit a signed integer; arguments of functions have any bytes. jansson bounds the depth. */
    report = json_loadb(text, len, JSON_DECODE_INT_AS_REAL | JSON_ALLOW_NUL, &unread);
    if (!report && json_error_code(&unread) == json_error_out_of_memory)
        return err_nomem(err);
    if (!json_is_array(json_object_get(report, "Stacktrace")))
        return 0;
    struct strbuf b = STRBUF_INIT_MAX(CRASH_REPORT_MAX * 2);
    append_report(&b, report);
    int r = strbuf_check(&b, err);
    if (r == 0)
        r = crash_parse_text((struct view){strbuf_str(&b), b.len}, o, ret, err);
    strbuf_release(&b);
    return r < 0 ? r : 1;
}
