/* What stands around the words of a report: a terminal's colours, another encoding, the prefixes of who logged it. */
#include "codec/crash/scan_internal.h"

#include "base/cleanup.h"
#include "codec/utf8.h"

/* --- bytes ------------------------------------------------------------------------------------------------------------ */

/* The length of the escape sequence that v begins with: "ESC [ 1 m", "ESC ( B", "ESC ] title BEL". */
static size_t escape_length(struct view v)
{
    size_t i = 2;
    if (v.n < 2 || (v.s[1] != '[' && v.s[1] != ']'))
        return v.n > 2 && v.s[1] == '(' ? 3 : 1;
    if (v.s[1] == '[') {
        while (i < v.n && v.s[i] >= 0x20 && v.s[i] < 0x40)
            i++;
        return i < v.n && v.s[i] >= 0x40 ? i + 1 : i;
    }
    while (i < v.n && v.s[i] >= 0x20)
        i++;
    return i < v.n && v.s[i] == '\a' ? i + 1 : i;
}

/* Windows' shells write what they redirect in this encoding. */
static void from_utf16(struct view text, struct strbuf *ret)
{
    bool big = text.s[0] == '\xfe';
    for (size_t i = 2; i + 1 < text.n; i += 2) {
        unsigned unit = (unsigned char)text.s[i + !big] << 8 | (unsigned char)text.s[i + big];
        if (unit < 0x80) {
            strbuf_putc(ret, unit ? (char)unit : ' ');
        } else if (unit < 0x800) {
            strbuf_putc(ret, (char)(0xc0 | unit >> 6));
            strbuf_putc(ret, (char)(0x80 | (unit & 63)));
        } else if (unit < 0xd800 || unit > 0xdfff) {
            strbuf_putc(ret, (char)(0xe0 | unit >> 12));
            strbuf_putc(ret, (char)(0x80 | (unit >> 6 & 63)));
            strbuf_putc(ret, (char)(0x80 | (unit & 63)));
        } else {
            strbuf_putc(ret, '?');
        }
    }
}

bool text_clean(struct view text, struct strbuf *ret)
{
    if (text.n > 2 && (memcmp(text.s, "\xff\xfe", 2) == 0 || memcmp(text.s, "\xfe\xff", 2) == 0)) {
        from_utf16(text, ret);
        return true;
    }
    if (!text.n || (!memchr(text.s, '\033', text.n) && !memchr(text.s, 0, text.n)))
        return false;
    for (size_t i = 0, from = 0; i <= text.n; i++) {
        if (i < text.n && text.s[i] != '\033' && text.s[i])
            continue;
        strbuf_append(ret, text.s + from, i - from);
        if (i < text.n && !text.s[i])
            strbuf_putc(ret, ' ');
        else if (i < text.n)
            i += escape_length(view_from(text, i)) - 1;
        from = i + 1;
    }
    return true;
}

/* --- lines ------------------------------------------------------------------------------------------------------------ */

static bool is_stamp(char c)
{
    return is_digit(c) || (c && strchr("-:.,+/TZ", c));
}

static bool is_time(struct view v)
{
    ssize_t colon = view_find_char(v, ':');
    return v.n && is_digit(v.s[0]) && colon > 0 && view_find_char(view_from(v, (size_t)colon + 1), ':') > 0;
}

/* "2024-05-01T10:11:12.5Z ", "05-01 10:11:12.123 ", "10:11:12 " */
static bool skip_time(struct view *line)
{
    struct view rest = *line, stamp = view_take(&rest, is_stamp);
    if (stamp.n > 4 && !is_time(stamp) && is_digit(stamp.s[0]) && view_skip(&rest, " "))
        stamp = view_take(&rest, is_stamp);
    if (!is_time(stamp) || !view_skip(&rest, " "))
        return false;
    *line = rest;
    return true;
}

/* "[   12.345678] ", "<4>[   12.345678][  T77] ": the kernel's. */
static bool skip_kernel_time(struct view *line)
{
    struct view rest = *line;
    if (view_skip(&rest, "<"))
        while (rest.n && (is_digit(rest.s[0]) || rest.s[0] == '>'))
            rest = view_from(rest, 1);
    if (!view_skip(&rest, "["))
        return false;
    view_skip_space(&rest);
    if (!view_take(&rest, is_digit).n || !view_skip(&rest, ".") || !view_take(&rest, is_digit).n || !view_skip(&rest, "]"))
        return false;
    if (view_skip(&rest, "[")) {
        ssize_t close = view_find_char(view_first(rest, 16), ']');
        rest = close < 0 ? rest : view_from(rest, (size_t)close + 1);
    }
    view_skip(&rest, " ");
    *line = rest;
    return true;
}

/* "May  1 10:11:12 host kernel: ", "4242  4242 F DEBUG   : " behind the time: who says it. */
static bool skip_speaker(struct view *line, bool syslog)
{
    struct view rest = *line, word;
    if (syslog) {
        if (view_take(&rest, is_alpha).n != 3 || !view_skip_space(&rest) || !view_take(&rest, is_digit).n ||
            !view_skip(&rest, " ") || !skip_time(&rest) || !view_take(&rest, is_not_space).n || !view_skip(&rest, " "))
            return false;
        word = view_take(&rest, is_not_space);
        if (!view_ends(word, ":") || !view_skip(&rest, " "))
            return false;
    } else {
        view_skip_space(&rest);
        if (!view_take(&rest, is_digit).n || !view_skip_space(&rest) || !view_take(&rest, is_digit).n ||
            !view_skip_space(&rest) || view_take(&rest, is_alpha).n != 1 || !view_skip_space(&rest) ||
            !view_take(&rest, is_word).n)
            return false;
        view_skip_space(&rest);
        if (!view_skip(&rest, ": "))
            return false;
    }
    *line = rest;
    return true;
}

/* "fuzz-1  | ": a container's. */
static bool skip_container(struct view *line)
{
    struct view rest = *line;
    if (!view_take(&rest, is_not_space).n || !view_skip_space(&rest) || !view_skip(&rest, "| "))
        return false;
    *line = rest;
    return true;
}

static struct view without_prefix(struct view line)
{
    skip_container(&line);
    if (skip_speaker(&line, true)) {
        skip_kernel_time(&line);
        return line;
    }
    if (skip_time(&line)) {
        skip_speaker(&line, false);
        return line;
    }
    skip_kernel_time(&line);
    return line;
}

bool log_prefixes_drop(struct view text, struct strbuf *ret)
{
    size_t dropped = 0;
    while (text.n) {
        ssize_t end = view_find_char(text, '\n');
        struct view line = view_first(text, end < 0 ? text.n : (size_t)end), own = without_prefix(line);
        dropped += own.n != line.n;
        strbuf_append(ret, own.s, own.n);
        strbuf_putc(ret, '\n');
        text = view_from(text, line.n + 1);
    }
    return dropped && !ret->failed;
}
