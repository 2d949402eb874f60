#include "codec/uri.h"

#include "codec/utf8.h"

#include <ctype.h>
#include <string.h>

static int hex(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool is_raw_byte(const char *p)
{
    return p[0] == '%' && p[1] && strchr("89ABCDEF", p[1]) && p[2] && strchr("0123456789ABCDEF", p[2]);
}

static void append_byte(struct strbuf *b, unsigned char c)
{
    if ((c < 0x80 && isalnum(c)) || strchr("-._~/", c))
        strbuf_putc(b, (char)c);
    else
        strbuf_printf(b, "%%%02X", c);
}

void uri_append_file(struct strbuf *b, const char *path)
{
    for (; *path; path++)
        append_byte(b, (unsigned char)*path);
}

void uri_append_path(struct strbuf *b, const char *path)
{
    for (const char *p = path; *p; p++) {
        if (is_raw_byte(p)) {
            strbuf_append(b, p, 3);
            p += 2;
        } else {
            append_byte(b, (unsigned char)*p);
        }
    }
}

int uri_append_decoded(struct strbuf *b, const char *uri, struct err *err)
{
    struct strbuf raw = STRBUF_INIT;
    for (const char *p = uri; *p && *p != '#' && *p != '?'; p++) {
        int hi = p[0] == '%' ? hex(p[1]) : -1, lo = hi >= 0 ? hex(p[2]) : -1;
        if (lo >= 0) {
            strbuf_putc(&raw, (char)(hi << 4 | lo));
            p += 2;
        } else {
            strbuf_putc(&raw, *p);
        }
    }
    int r = strbuf_check(&raw, err);
    if (r == 0)
        utf8_append_name(b, strbuf_str(&raw), raw.len);
    strbuf_release(&raw);
    return r < 0 ? r : strbuf_check(b, err);
}

void uri_append_value(struct strbuf *b, const char *text)
{
    for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
        bool plain = (*p >= '0' && *p <= '9') || (*p >= 'A' && *p <= 'Z') || (*p >= 'a' && *p <= 'z') || strchr("-_.~", *p);
        if (plain)
            strbuf_putc(b, (char)*p);
        else
            strbuf_printf(b, "%%%02X", *p);
    }
}
