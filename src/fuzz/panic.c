#include "fuzz/panic.h"

#include "base/cleanup.h"
#include "codec/utf8.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* How messages of the standard library begin. */
static const struct {
    const char *says, *type;
} types[] = {
    {"index out of bounds", "Index-out-of-bounds"},
    {"range start index ", "Index-out-of-bounds"},
    {"range end index ", "Index-out-of-bounds"},
    {"slice index ", "Index-out-of-bounds"},
    {"byte index ", "Index-out-of-bounds"},
    {"attempt to divide by zero", "Divide-by-zero"},
    {"attempt to calculate the remainder with a divisor of zero", "Divide-by-zero"},
    {"attempt to ", "Integer-overflow"},
    {"assertion ", "ASSERT"},
    {"internal error: entered unreachable code", "Unreachable code"},
};

static void copy(char *to, size_t size, const char *from, size_t n)
{
    snprintf(to, size, "%.*s", (int)utf8_cut(from, n, size - 1), from);
}

/* "FILE:LINE:COLUMN" */
static void read_place(const char *s, size_t n, struct fuzz_panic *p)
{
    int *numbers[] = {&p->column, &p->line};
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        const char *colon = memrchr(s, ':', n);
        if (!colon)
            return;
        char digits[10];
        copy(digits, sizeof digits, colon + 1, n - (size_t)(colon + 1 - s));
        *numbers[i] = atoi(digits);
        n = (size_t)(colon - s);
    }
    copy(p->file, sizeof p->file, s, n);
}

/* What is behind "panicked at ". */
static void read_rest(const char *s, const char *line_end, const char *text_end, struct fuzz_panic *p)
{
    const char *place = s;
    if (*s == '\'') {
        place = memmem(s + 1, (size_t)(line_end - s - 1), "', ", 3);
        for (const char *more = place; more; more = memmem(more + 3, (size_t)(line_end - more - 3), "', ", 3))
            place = more;
        copy(p->message, sizeof p->message, s + 1, (size_t)((place ? place : line_end) - s - 1));
        place = place ? place + 3 : line_end;
    } else if (line_end < text_end) {
        const char *m = line_end + 1, *end = memchr(m, '\n', (size_t)(text_end - m));
        copy(p->message, sizeof p->message, m, (size_t)((end ? end : text_end) - m));
    }
    if (line_end > place && line_end[-1] == ':')
        line_end--;
    read_place(place, (size_t)(line_end - place), p);
}

static bool read_line(const char *line, const char *line_end, const char *text_end, struct fuzz_panic *p)
{
    static const char begins[] = "thread '", at[] = " panicked at ";
    size_t n = (size_t)(line_end - line);
    if (n < sizeof begins || memcmp(line, begins, sizeof begins - 1) != 0)
        return false;
    const char *place = memmem(line, n, at, sizeof at - 1);
    if (!place)
        return false;
    const char *name = line + sizeof begins - 1, *quote = memrchr(name, '\'', (size_t)(place - name));
    memset(p, 0, sizeof *p);
    if (quote)
        copy(p->thread, sizeof p->thread, name, (size_t)(quote - name));
    read_rest(place + sizeof at - 1, line_end, text_end, p);
    p->type = "Panic";
    for (size_t i = ARRAY_LEN(types); i-- > 0;)
        if (strncmp(p->message, types[i].says, strlen(types[i].says)) == 0)
            p->type = types[i].type;
    return true;
}

bool fuzz_panic_read(const char *text, size_t len, struct fuzz_panic *ret)
{
    const char *end = text + len;
    bool found = false;
    for (const char *line = text; line < end;) {
        const char *nl = memchr(line, '\n', (size_t)(end - line));
        found |= read_line(line, nl ? nl : end, end, ret);
        line = nl ? nl + 1 : end;
    }
    return found;
}
