#include "api/client/sse.h"

#include <stdio.h>
#include <string.h>

void sse_init(struct sse *s, int (*one)(void *arg, const struct sse_event *e, struct err *err), void *arg)
{
    *s = (struct sse){.line = STRBUF_INIT_MAX(SSE_LINE_MAX), .data = STRBUF_INIT_MAX(SSE_DATA_MAX), .one = one, .arg = arg};
}

void sse_reset(struct sse *s)
{
    strbuf_clear(&s->line);
    strbuf_clear(&s->data);
    s->type[0] = 0;
    s->has_data = s->after_cr = false;
}

void sse_release(struct sse *s)
{
    strbuf_release(&s->line);
    strbuf_release(&s->data);
}

/* An empty line: the event is whole. */
static int dispatch(struct sse *s, struct err *err)
{
    int r = 0;
    if (s->has_data) {
        struct sse_event e = {s->id, s->type[0] ? s->type : "message", strbuf_str(&s->data), s->data.len};
        r = s->one(s->arg, &e, err);
    }
    strbuf_clear(&s->data);
    s->type[0] = 0;
    s->has_data = false;
    return r;
}

static int take_line(struct sse *s, struct err *err)
{
    const char *line = strbuf_str(&s->line), *colon = memchr(line, ':', s->line.len);
    size_t name = colon ? (size_t)(colon - line) : s->line.len;
    const char *value = colon ? colon + 1 : line + s->line.len;
    if (!s->line.len)
        return dispatch(s, err);
    value += *value == ' ';
    size_t len = (size_t)(line + s->line.len - value);
    if (name == 4 && memcmp(line, "data", 4) == 0) {
        if (s->has_data)
            strbuf_putc(&s->data, '\n');
        strbuf_append(&s->data, value, len);
        s->has_data = true;
        return strbuf_check(&s->data, err);
    }
    if (name == 5 && memcmp(line, "event", 5) == 0)
        snprintf(s->type, sizeof s->type, "%.*s", (int)(len < sizeof s->type ? len : sizeof s->type), value);
    else if (name == 2 && memcmp(line, "id", 2) == 0 && len < sizeof s->id && strspn(value, "0123456789") == len)
        snprintf(s->id, sizeof s->id, "%s", value);
    return 0;
}

int sse_feed(struct sse *s, const void *data, size_t len, struct err *err)
{
    const char *p = data, *end = p + len;
    while (p < end) {
        if (s->after_cr && *p == '\n') /* of CR LF */
            p++;
        s->after_cr = false;
        const char *stop = p;
        while (stop < end && *stop != '\n' && *stop != '\r')
            stop++;
        strbuf_append(&s->line, p, (size_t)(stop - p));
        int r = strbuf_check(&s->line, err);
        if (r == 0 && stop < end) {
            s->after_cr = *stop == '\r';
            r = take_line(s, err);
            strbuf_clear(&s->line);
            stop++;
        }
        if (r < 0)
            return r;
        p = stop;
    }
    return 0;
}
