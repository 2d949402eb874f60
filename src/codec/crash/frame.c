/* Frames of stacks, in the forms that tools print. */
#include "codec/crash/scan_internal.h"

#include "base/cleanup.h"

#include <stdio.h>

/* A frame's text as tools print it ("in f(int) /src/x.c:1:2", "(/bin/x+0x12)"), taken apart. */
struct frame_parts {
    struct view text; /* as far as it is understood */
    struct view function, file, module, offset;
    int line, column;
};

/* So that a hostile line costs no more than its length. */
#define MODULE_MAX 8192 /* bytes of "(module+offset)" */
#define WORDS_MAX 4096  /* of a frame, looked at from its end */
#define IMAGE_MAX 256   /* bytes of the name of an image and of its address */

/* --- the text of a frame ---------------------------------------------------------------------------------------- */

/* "file:12:3", "file:12" at the beginning; *ret_n bytes of v are it. */
static bool parse_source(struct view v, struct frame_parts *ret, size_t *ret_n)
{
    struct view token = v, first = {0};
    token.n = view_take(&v, is_not_space).n;
    struct view all = token;
    /* from the right: the last number with a colon before it, and the one before that */
    for (ssize_t colon; (colon = view_rfind_char(token, ':')) > 0; token = view_first(token, (size_t)colon)) {
        struct view number = view_from(all, (size_t)colon + 1), digits = view_take(&number, is_digit);
        if (!digits.n)
            continue;
        struct view before = view_first(all, (size_t)colon);
        ssize_t other = view_rfind_char(before, ':');
        if (other > 0) {
            first = view_from(before, (size_t)other + 1);
            struct view tail = first;
            if (view_take(&tail, is_digit).n && !tail.n) {
                ret->column = view_int(digits);
                digits = first;
                before = view_first(before, (size_t)other);
            }
        }
        ret->file = before;
        ret->line = view_int(digits);
        *ret_n = (size_t)(number.s - all.s);
        return true;
    }
    return false;
}

/* "(/lib/x.so+0x12)", "(x.so)" at the beginning. */
static bool parse_module(struct view v, struct frame_parts *ret, size_t *ret_n)
{
    if (!view_starts(v, "("))
        return false;
    v = view_first(v, MODULE_MAX);
    ssize_t plus = view_find_char(v, '+'), close;
    if (plus > 1) {
        struct view rest = view_from(v, (size_t)plus + 1), offset = view_take(&rest, is_hex);
        if (offset.n && view_starts(rest, ")")) {
            ret->module = view_first(view_from(v, 1), (size_t)plus - 1);
            ret->offset = offset;
            *ret_n = (size_t)(rest.s - v.s) + 1;
            return true;
        }
    }
    close = view_rfind_char(plus > 0 ? view_first(v, (size_t)plus) : v, ')');
    if (close < 2)
        return false;
    ret->module = view_first(view_from(v, 1), (size_t)close - 1);
    *ret_n = (size_t)close + 1;
    return true;
}

/* A function that is followed by a source or a module: the last one in the text. */
static bool parse_located(struct view v, struct view body, struct frame_parts *ret)
{
    struct view head = body;
    int words = 0;
    for (ssize_t space; (space = view_rfind_char(head, ' ')) >= 0 && words < WORDS_MAX; head = view_first(head, (size_t)space)) {
        words++;
        struct view suffix = view_from(body, (size_t)space + 1);
        size_t n = 0;
        *ret = (struct frame_parts){0};
        if (!parse_source(suffix, ret, &n) && !parse_module(suffix, ret, &n))
            continue;
        ret->function = view_first(body, (size_t)space);
        ret->text = view_first(v, (size_t)(suffix.s - v.s) + n);
        return true;
    }
    return false;
}

/* Drops "+0x12" at the end. */
static void split_offset(struct view *name, struct view *ret_offset)
{
    ssize_t plus = view_rfind_char(*name, '+');
    struct view rest = view_from(*name, (size_t)(plus + 1)), offset;
    if (plus < 0 || !(offset = view_take(&rest, is_hex)).n || rest.n)
        return;
    *ret_offset = offset;
    name->n = (size_t)plus;
}

static bool parse_frame(struct view v, struct frame_parts *ret)
{
    struct view body = v, unused = {0};
    *ret = (struct frame_parts){0};
    if (view_skip(&body, "in")) {
        if (!parse_located(v, body, ret)) {
            /* gdb: "in f (x=1) at file.c:12" has a source; this has none */
            *ret = (struct frame_parts){.text = v, .function = body};
        }
        ret->function = view_trim(ret->function);
        split_offset(&ret->function, &unused);
        if (view_ends(ret->function, " at")) /* gdb */
            ret->function.n -= strlen(" at");
        return true;
    }
    if (!view_starts(v, "("))
        return false;
    ssize_t close = view_rfind_char(v, ')');
    struct view inside = v;
    for (; close > 0; close = view_rfind_char(view_first(v, (size_t)close), ')')) {
        inside = view_first(view_from(v, 1), (size_t)close - 1);
        split_offset(&inside, &ret->offset);
        if (ret->offset.n)
            break;
    }
    if (close <= 0 && (close = view_rfind_char(v, ')')) > 0)
        inside = view_first(view_from(v, 1), (size_t)close - 1);
    ret->module = inside;
    ret->text = view_first(v, (size_t)(close + 1));
    return close > 0;
}

/* --- names ---------------------------------------------------------------------------------------------------------- */

/* Drops every occurrence of a part, in place. */
static void drop_part(char *text, size_t *io_n, const char *part)
{
    size_t n = strlen(part), out = 0;
    struct view v = {text, *io_n};
    for (ssize_t at; v.n; v = view_from(v, (size_t)at + n)) {
        at = view_find(v, part);
        size_t keep = at < 0 ? v.n : (size_t)at;
        memmove(text + out, v.s, keep);
        out += keep;
        if (at < 0)
            break;
    }
    *io_n = out;
}

struct view frame_name(struct scan *s, struct view frame)
{
    static const char *const dropped[] = {"non-virtual thunk to ", "(anonymous namespace)::", "`anonymous namespace'::"};
    frame = view_first(frame, sizeof s->name);
    for (size_t i = 0; i < ARRAY_LEN(dropped); i++) {
        if (!view_has(frame, dropped[i]))
            continue;
        memmove(s->name, frame.s, frame.n);
        frame.s = s->name;
        drop_part(s->name, &frame.n, dropped[i]);
    }
    ssize_t module = view_rfind_char(frame, '!'); /* Windows: module!function */
    if (module >= 0)
        frame = view_from(frame, (size_t)module + 1);
    size_t i = 0;
    while (i < frame.n && frame.s[i] != '(' && frame.s[i] != '[')
        i++;
    if (i > 0 && i < frame.n)
        return view_trim(view_first(frame, i));
    frame = view_trim(frame);
    return view_take(&frame, is_not_space);
}

/* --- adding frames ---------------------------------------------------------------------------------------------------- */

static const char *copy_or_null(struct scan *s, struct view v)
{
    v = view_trim(v);
    return v.n ? scan_copy(s, v) : NULL;
}

/* number: of the frame, -1 where the stack has no numbers. */
static void keep_frame(struct scan *s, const struct frame_parts *p, struct view address, int number, bool ignored)
{
    if (number >= 0 && number < s->last_frame)
        s->stack_closed = true;
    s->last_frame = number >= 0 ? number : s->last_frame;
    if (s->stack_closed || s->frames.len >= CRASH_FRAMES_MAX)
        return;
    struct crash_frame f = {
        .function = copy_or_null(s, p->function), .file = copy_or_null(s, p->file), .module = copy_or_null(s, p->module),
        .line = p->line, .column = p->column, .address = view_hex(address), .offset = view_hex(p->offset), .ignored = ignored,
        .entry = view_starts(p->function, "main") || view_has(p->function, "LLVMFuzzerTestOneInput"),
    };
    if (!VEC_PUSH(&s->frames, f))
        s->no_memory = true;
}

static void add_name(struct scan *s, struct view name)
{
    if (s->names.len < SCAN_NAMES_MAX && scan_is(s, "Stack-overflow")) {
        const char *copy = scan_copy(s, view_first(name, SCAN_NAME_MAX));
        if (!VEC_PUSH(&s->names, copy))
            s->no_memory = true;
    }
    if (s->state_frames >= CRASH_STATE_FRAMES)
        return;
    strbuf_append(&s->state, name.s, name.n < CRASH_TEXT_MAX ? name.n : CRASH_TEXT_MAX);
    strbuf_putc(&s->state, '\n');
    s->state_frames++;
}

/* A frame that is a name and no more. */
static void add_plain(struct scan *s, struct view function, struct view name, const struct frame_parts *p)
{
    struct frame_parts own = p ? *p : (struct frame_parts){0};
    bool ignored = frame_ignored(function, !s->options->unsymbolized) || (s->fallback && view_starts(own.file, "node:"));
    own.function = function;
    keep_frame(s, &own, (struct view){"", 0}, -1, ignored);
    if (!ignored)
        add_name(s, name);
}

/* --- the forms ---------------------------------------------------------------------------------------------------------- */

/* "#3 0x55e0 " at the beginning, with blanks before it. *ret_rest: behind the address and the blanks. */
static bool numbered(struct view line, int *ret_number, struct view *ret_address, struct view *ret_rest)
{
    view_skip_space(&line);
    if (!view_skip(&line, "#"))
        return false;
    struct view digits = view_take(&line, is_digit);
    if (!digits.n || !view_skip_space(&line))
        return false;
    *ret_number = view_int(digits);
    *ret_address = view_take(&line, is_hex);
    *ret_rest = line;
    return ret_address->n && view_skip_space(ret_rest);
}

/* A harness is named after its file: all harnesses have one function's name. */
static struct view harness_name(struct scan *s, struct view frame, const struct frame_parts *p)
{
    static const char entry[] = "LLVMFuzzerTestOneInput";
    if (!view_starts(frame, entry) || !p->file.n)
        return frame;
    struct view file = view_first(view_basename(p->file), 512), rest = view_first(view_from(frame, sizeof entry - 1), 2048);
    int n = snprintf(s->harness, sizeof s->harness, "%.*s%.*s", (int)file.n, file.s, (int)rest.n, rest.s);
    return (struct view){s->harness, (size_t)n};
}

/* "    #0 0x4db921 in f(int) /src/x.c:1:2", "#1 0x55 (/lib/x.so+0x12)": sanitizers, gdb. */
static bool sanitizer_frame(struct scan *s, struct view line)
{
    struct view address, rest, frame;
    struct frame_parts p;
    int number;
    if (!numbered(line, &number, &address, &rest) || !parse_frame(rest, &p))
        return false;
    frame = view_trim(p.text);
    if (!view_skip(&frame, "in ") && view_starts(frame, "(") && view_ends(frame, ")"))
        frame = view_first(view_from(frame, 1), frame.n - 2);
    frame = harness_name(s, frame, &p);
    bool ignored = frame_ignored(frame, !s->options->unsymbolized);
    keep_frame(s, &p, address, number, ignored);
    if (!ignored)
        add_name(s, p.offset.n && !p.function.n ? frame : frame_name(s, frame));
    return true;
}

/* "    #1 f(int) /src/x.cc:1:2 (x+0x12) (BuildId: 3c9a)", "#0 malloc <null> (x+0x34)": ThreadSanitizer, which prints no
 * address where nobody asks for one. The second is of its own runtime. */
static bool tsan_frame(struct scan *s, struct view line)
{
    char text[CRASH_TEXT_MAX];
    struct view number;
    ssize_t module;
    view_skip_space(&line);
    if (s->kind != CRASH_TSAN || !view_skip(&line, "#") || !(number = view_take(&line, is_digit)).n || !view_skip_space(&line) ||
        (module = view_rfind(line, " (")) <= 0)
        return false;
    line.n = (size_t)module;
    if ((module = view_rfind(line, " (")) > 0 && view_has(view_from(line, (size_t)module), "+0x"))
        line.n = (size_t)module;
    bool own = view_ends(line, " <null>") && view_int(number) == 0;
    line.n -= view_ends(line, " <null>") ? strlen(" <null>") : 0;
    int n = snprintf(text, sizeof text, "#%d 0x0 in %s%.*s", view_int(number), own ? "__interceptor_" : "",
                     (int)(line.n < sizeof text - 64 ? line.n : sizeof text - 64), line.s);
    return sanitizer_frame(s, (struct view){text, (size_t)n});
}

/* "#1  f (x=1) at file.c:2": gdb leaves the address out where a line of code begins. */
static bool gdb_frame(struct scan *s, struct view line)
{
    char text[CRASH_TEXT_MAX];
    struct view number;
    line = view_trim(line);
    if (s->kind != CRASH_GDB || !view_skip(&line, "#") || !(number = view_take(&line, is_digit)).n || !view_skip_space(&line) ||
        view_starts(line, "0x"))
        return false;
    line = view_first(line, sizeof text - 40);
    int n = snprintf(text, sizeof text, "#%d 0x0 in %.*s", view_int(number), (int)line.n, line.s);
    return sanitizer_frame(s, (struct view){text, (size_t)n});
}

/* "#0 0x55e0 base::f()": Chromium's own. */
static bool chromium_frame(struct scan *s, struct view line)
{
    struct view address, rest, p = line;
    int number;
    while (view_skip(&p, " "))
        ;
    if (!view_starts(p, "#") || !numbered(p, &number, &address, &rest))
        return false;
    rest = view_from(p, (size_t)(address.s - p.s) + address.n + 1);
    if (!rest.n || view_find_char(rest, '/') >= 0 || view_find_char(rest, '\\') >= 0)
        return false;
    rest = view_trim(rest);
    bool ignored = frame_ignored(rest, !s->options->unsymbolized);
    keep_frame(s, &(struct frame_parts){.function = rest}, address, number, ignored);
    if (!ignored)
        add_name(s, frame_name(s, rest));
    return true;
}

static bool is_image(char c)
{
    return is_word(c) || is_blank(c) || c == '?';
}

/* "0x000123 f + 12" at the beginning: what follows the image. */
static bool mac_function(struct view rest, struct view *ret_address, struct view *ret_name)
{
    *ret_address = view_take(&rest, is_hex);
    if (!ret_address->n || !view_skip_space(&rest))
        return false;
    ssize_t plus = view_rfind_char(rest, '+');
    struct view offset = view_from(rest, (size_t)(plus + 1));
    if (plus <= 0)
        return false;
    *ret_name = view_trim(view_first(rest, (size_t)plus));
    view_skip_space(&offset);
    return view_take(&offset, is_digit).n && ret_name->n && view_find_char(*ret_name, '/') < 0 &&
           view_find_char(*ret_name, '\\') < 0;
}

/* "0   Chromium Framework   0x000123 f + 12": Chromium on macOS, with mangled names. */
static bool mac_frame(struct scan *s, struct view line)
{
    struct view rest = line, number = view_take(&rest, is_digit), address, name;
    if (!number.n || !view_skip_space(&rest))
        return false;
    struct view begin = view_first(rest, MODULE_MAX), image = view_first(view_take(&rest, is_image), IMAGE_MAX);
    for (ssize_t at; (at = view_rfind(image, " 0x")) > 0; image = view_first(image, (size_t)at)) {
        if (!mac_function(view_from(begin, (size_t)at + 1), &address, &name))
            continue;
        char plain[CRASH_TEXT_MAX];
        name = demangle(name, plain, sizeof plain);
        bool ignored = frame_ignored(name, !s->options->unsymbolized);
        keep_frame(s, &(struct frame_parts){.function = name, .module = view_trim(view_first(image, (size_t)at))}, address,
                   view_int(number), ignored);
        if (!ignored)
            add_name(s, frame_name(s, name));
        return true;
    }
    return false;
}

/* "\tbase::f [0x5ABC+12] (c:\src\x.cc:12)": Chromium on Windows. */
static bool windows_frame(struct scan *s, struct view line)
{
    struct frame_parts p = {0};
    ssize_t open = view_rfind(line, " [");
    for (; open > 0; open = view_rfind(view_first(line, (size_t)open), " [")) {
        struct view rest = view_from(line, (size_t)open + 2);
        if (!view_take(&rest, is_hex).n || !view_skip(&rest, "+") || !view_take(&rest, is_digit).n || !view_skip(&rest, "]"))
            continue;
        struct view name = view_first(line, (size_t)open);
        while (view_skip(&name, " ") || view_skip(&name, "\xe2\x80\x83")) /* U+2003, an em space */
            ;
        if (!name.n || view_find_char(name, '/') >= 0 || view_find_char(name, '\\') >= 0)
            return false;
        size_t n;
        if (view_skip(&rest, " ("))
            parse_source(rest, &p, &n);
        name = view_trim(name);
        add_plain(s, name, frame_name(s, name), &p);
        return true;
    }
    return false;
}

static bool is_cdb_address(char c)
{
    return is_digit(c) || is_alpha(c) || c == '`';
}

/* "0018f5c8 5a3b1c2d module!function+0x12": cdb. */
static bool cdb_frame(struct scan *s, struct view line)
{
    struct view rest = line, module;
    struct frame_parts p = {0};
    if (!view_take(&rest, is_cdb_address).n || !view_skip(&rest, " ") || !view_take(&rest, is_cdb_address).n ||
        !view_skip(&rest, " ") || !(module = view_take(&rest, is_word)).n || !view_skip(&rest, "!"))
        return false;
    for (ssize_t plus = view_rfind_char(rest, '+'); plus >= 0; plus = view_rfind_char(view_first(rest, (size_t)plus), '+')) {
        if ((size_t)plus + 1 >= rest.n || !is_hex(rest.s[plus + 1]))
            continue;
        struct view function = view_trim(view_first(rest, (size_t)plus));
        p.module = module;
        add_plain(s, function, frame_name(s, function), &p);
        return true;
    }
    return false;
}

/* "\tat com.example.T.f(T.java:12)" */
static bool java_frame(struct scan *s, struct view line)
{
    struct view rest = line;
    struct frame_parts p = {0};
    size_t n;
    view_skip_space(&rest);
    if (!view_skip(&rest, "at "))
        return false;
    ssize_t close = view_rfind_char(rest, ')'), open = close > 0 ? view_rfind_char(view_first(rest, (size_t)close), '(') : -1;
    if (open <= 0)
        return false;
    struct view place = view_first(view_from(rest, (size_t)open + 1), (size_t)(close - open) - 1);
    if (!parse_source(place, &p, &n))
        p.file = place;
    struct view function = view_trim(view_first(rest, (size_t)open));
    add_plain(s, function, frame_name(s, function), &p);
    return true;
}

bool kernel_function(struct view v, struct view *ret_name)
{
    view_skip(&v, "(");
    *ret_name = view_take(&v, is_word);
    return ret_name->n && view_skip(&v, "+") && view_take(&v, is_word).n && view_skip(&v, "/") && view_take(&v, is_word).n;
}

/* "[ 1998.15] [<c0667574>] (f+0xa0/0x124) from ...", "f+0xa0/0x124" */
static bool kernel_frame(struct scan *s, struct view line)
{
    ssize_t paren = view_find_char(line, '('), open = view_rfind(view_first(line, paren < 0 ? line.n : (size_t)paren), "[<");
    struct view name;
    if (open >= 0) {
        struct view rest = view_from(line, (size_t)open + 2), address = view_take(&rest, is_hex);
        if (address.n && view_skip(&rest, ">]") && view_skip_space(&rest) && kernel_function(rest, &name)) {
            add_plain(s, name, name, NULL);
            if (s->state_frames == 1 && !s->kasan)
                scan_address(s, "0x", address);
            return true;
        }
    }
    if (!kernel_function(line, &name))
        return false;
    add_plain(s, name, name, NULL);
    return true;
}

/* "# V8 correctness configs: x,y": what stands for frames where two engines disagree */
static bool correctness_line(struct scan *s, struct view line)
{
    struct view rest = line;
    if (!view_skip(&rest, "#"))
        return false;
    view_skip_space(&rest);
    if (!view_skip(&rest, "V8 correctness ") ||
        !(view_starts(rest, "configs: ") || view_starts(rest, "sources: ") || view_starts(rest, "suppression: ")))
        return false;
    add_plain(s, rest, view_trim(rest), NULL);
    return true;
}

static bool is_go_name(char c)
{
    return is_word(c) || (c && strchr(".-/\\()*", c));
}

static bool is_go_arguments(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'f') || is_blank(c) || (c && strchr("x,.{}?", c));
}

/* "example.com/mod/pkg.(*T).F(0xc000, {0x1, 0x2})" */
static bool go_frame(struct scan *s, struct view line)
{
    struct view name = line;
    if (!s->go || !view_ends(line, ")"))
        return false;
    name.n--;
    while (name.n && is_go_arguments(name.s[name.n - 1]))
        name.n--;
    if (name.n < 2 || name.s[name.n - 1] != '(')
        return false;
    name.n--;
    struct view rest = name;
    view_take(&rest, is_go_name);
    if (rest.n)
        return false;
    ssize_t slash = view_rfind_char(name, '/');
    /* Where Go is not sure of an argument it says so ("0x1?"); ClusterFuzz takes such a line for no frame of a state. */
    if (view_find_char(view_from(line, name.n), '?') < 0)
        add_plain(s, name, view_from(name, (size_t)(slash + 1)), NULL);
    else
        keep_frame(s, &(struct frame_parts){.function = name}, (struct view){"", 0}, -1, frame_ignored(name, true));
    return true;
}

void scan_source(struct scan *s, struct view text)
{
    struct frame_parts p = {0};
    size_t n;
    if (s->stack_closed || !s->frames.len || s->frames.v[s->frames.len - 1].file || !parse_source(text, &p, &n))
        return;
    struct crash_frame *f = &s->frames.v[s->frames.len - 1];
    f->file = copy_or_null(s, p.file);
    f->line = p.line;
    f->column = p.column;
}

/* "\t/src/x.go:12 +0x1d": the source of the frame before it */
static void go_source(struct scan *s, struct view line)
{
    if (s->go && view_skip_space(&line))
        scan_source(s, line);
}

/* "  File "x.py", line 12, in f"; of faulthandler "line 12 in f" */
static bool python_frame(struct scan *s, struct view line)
{
    struct view rest = line;
    struct frame_parts p = {0};
    view_skip_space(&rest);
    if (!s->python || !view_skip(&rest, "File \""))
        return false;
    ssize_t quote = view_find_char(rest, '"');
    if (quote <= 0)
        return false;
    p.file = view_first(rest, (size_t)quote);
    rest = view_from(rest, (size_t)quote);
    if (!view_skip(&rest, "\", line "))
        return false;
    struct view digits = view_take(&rest, is_digit);
    if (!digits.n || !(view_skip(&rest, ", in ") || (s->fallback && view_skip(&rest, " in "))) || !rest.n)
        return false;
    p.line = view_int(digits);
    rest = view_trim(rest);
    add_plain(s, rest, frame_name(s, rest), &p);
    return true;
}

/* "    at f (/out/x.js:6:15)" */
static bool js_frame(struct scan *s, struct view line)
{
    struct view rest = line;
    struct frame_parts p = {0};
    size_t n;
    if (!s->js || !view_skip_space(&rest) || !view_skip(&rest, "at "))
        return false;
    struct view function = view_take(&rest, is_not_space);
    if (!function.n || !view_skip(&rest, " (") || !parse_source(rest, &p, &n) || !p.column ||
        !view_starts(view_from(rest, n), ")"))
        return false;
    add_plain(s, function, frame_name(s, function), &p);
    return true;
}

/* "uSP+0x0010: 0xffff000012345678 in f" */
static bool trusty_frame(struct scan *s, struct view line)
{
    struct view rest = line;
    if (!s->trusty || !view_skip(&rest, "uSP+") || view_take(&rest, is_word).n != 6 || !view_skip(&rest, ": ") ||
        view_take(&rest, is_hex).n != 18 || !view_skip(&rest, " in "))
        return false;
    struct view name = view_take(&rest, is_word);
    if (!name.n)
        return false;
    add_plain(s, name, name, NULL);
    return true;
}

static bool is_symbol(char c)
{
    return is_word(c) || c == '.';
}

/* A frame of Rust whose names its tool did not know how to read: in words, in buf; else the line itself. */
static struct view rust_frame(struct view line, char *buf, size_t size)
{
    size_t i = 1;
    while (i + 2 < line.n && (line.s[i] != '_' || line.s[i + 1] != 'R' || is_word(line.s[i - 1])))
        i++;
    struct view rest = view_from(line, i), name = rest;
    name.n = view_take(&rest, is_word).n;
    while (view_starts(rest, ".")) /* ".llvm.123" */
        view_take(&rest, is_symbol);
    if (i + rest.n >= size || !crash_demangle_rust(name.s, name.n, buf + i, size - i - rest.n))
        return line;
    size_t n = strlen(buf + i);
    memcpy(buf, line.s, i);
    memcpy(buf + i + n, rest.s, rest.n);
    return (struct view){buf, i + n + rest.n};
}

bool rule_frame(struct scan *s, struct view line)
{
    char plain[MODULE_MAX];
    line = rust_frame(line, plain, sizeof plain);
    if (s->stack_closed && s->state_frames >= CRASH_STATE_FRAMES && !scan_is(s, "Stack-overflow"))
        return true; /* all that a state and a stack need has been read */
    /* The runtime's own frames differ where the application's fault is one. */
    if (view_has(line, "/art/runtime/") && s->state.len && strstr(strbuf_str(&s->state), "JNI DETECTED ERROR IN APPLICATION:"))
        return false;
    if (cdb_frame(s, line) || sanitizer_frame(s, line) || tsan_frame(s, line) || gdb_frame(s, line) || chromium_frame(s, line) ||
        mac_frame(s, line) || windows_frame(s, line))
        return true;
    if (s->java_exception && (scan_is(s, "CHECK failure") || scan_is(s, "Fatal Exception") ||
                              scan_is(s, "Uncaught exception") || scan_is(s, "Security exception")))
        return java_frame(s, line);
    if (kernel_frame(s, line) || correctness_line(s, line) || go_frame(s, line) || python_frame(s, line) ||
        js_frame(s, line) || trusty_frame(s, line))
        return true;
    go_source(s, line);
    return false;
}
