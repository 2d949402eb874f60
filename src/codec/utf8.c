#include "codec/utf8.h"

size_t utf8_sequence(const char *text, size_t n)
{
    const unsigned char *s = (const unsigned char *)text;
    if (n == 0)
        return 0;
    unsigned char c = s[0];
    if (c < 0x80)
        return 1;
    size_t more = c >= 0xf0 && c <= 0xf4 ? 3 : c >= 0xe0 && c < 0xf0 ? 2 : c >= 0xc2 && c < 0xe0 ? 1 : 0;
    if (!more || n - 1 < more)
        return 0;
    unsigned char lo = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;
    unsigned char hi = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
    if (s[1] < lo || s[1] > hi)
        return 0;
    for (size_t k = 2; k <= more; k++)
        if ((s[k] & 0xc0) != 0x80)
            return 0;
    return more + 1;
}

bool utf8_valid(const char *s, size_t n)
{
    for (size_t i = 0; i < n;) {
        size_t k = utf8_sequence(s + i, n - i);
        if (!k)
            return false;
        i += k;
    }
    return true;
}

size_t utf8_cut(const char *s, size_t n, size_t max)
{
    if (n <= max)
        return n;
    size_t i = max;
    while (i > 0 && max - i < 3 && ((unsigned char)s[i] & 0xc0) == 0x80)
        i--;
    return utf8_sequence(s + i, n - i) > max - i ? i : max;
}

void utf8_append_clean(struct strbuf *b, const char *s, size_t n)
{
    size_t from = 0, i = 0;
    while (i < n) {
        size_t k = s[i] ? utf8_sequence(s + i, n - i) : 0;
        if (k) {
            i += k;
            continue;
        }
        strbuf_append(b, s + from, i - from);
        strbuf_puts(b, "\xef\xbf\xbd");
        from = ++i;
    }
    strbuf_append(b, s + from, n - from);
}

void utf8_append_name(struct strbuf *b, const char *s, size_t n)
{
    for (size_t i = 0; i < n;) {
        size_t k = utf8_sequence(s + i, n - i);
        if (k)
            strbuf_append(b, s + i, k);
        else
            strbuf_printf(b, "%%%02X", (unsigned)(unsigned char)s[i]);
        i += k ? k : 1;
    }
}

size_t utf8_utf16_units(const char *s, size_t n)
{
    size_t units = 0;
    for (size_t i = 0; i < n;) {
        size_t k = utf8_sequence(s + i, n - i);
        units += k == 4 ? 2 : 1;
        i += k ? k : 1;
    }
    return units;
}
