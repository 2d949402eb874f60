#include "codec/out.h"

#include "codec/json.h"

#include <stdarg.h>
#include <string.h>

#define PIECE 65536

static int write_strbuf(void *arg, const char *data, size_t n, struct err *err)
{
    strbuf_append(arg, data, n);
    return strbuf_check(arg, err);
}

void out_init(struct out *o, int (*write)(void *arg, const char *data, size_t n, struct err *err), void *arg)
{
    *o = (struct out){.write = write, .arg = arg, .buf = STRBUF_INIT};
}

void out_init_strbuf(struct out *o, struct strbuf *b)
{
    out_init(o, write_strbuf, b);
}

bool out_failed(const struct out *o)
{
    return o->err.code != 0;
}

void out_fail(struct out *o, const struct err *err)
{
    if (!out_failed(o))
        o->err = *err;
}

static void flush(struct out *o, size_t above)
{
    if (out_failed(o) || strbuf_check(&o->buf, &o->err) < 0 || o->buf.len <= above)
        return;
    struct err err = {0};
    int r = o->write(o->arg, o->buf.s, o->buf.len, &err);
    if (r < 0) {
        if (!err.code)
            err_set(&err, (enum err_code)-r, "%s", err_text(r));
        o->err = err;
    }
    strbuf_clear(&o->buf);
}

void out_append(struct out *o, const char *s, size_t n)
{
    strbuf_append(&o->buf, s, n);
    o->bytes += n;
    flush(o, PIECE);
}

void out_puts(struct out *o, const char *s)
{
    out_append(o, s, strlen(s));
}

void out_printf(struct out *o, const char *fmt, ...)
{
    size_t before = o->buf.len;
    va_list ap;
    va_start(ap, fmt);
    strbuf_vprintf(&o->buf, fmt, ap);
    va_end(ap);
    o->bytes += o->buf.len - before;
    flush(o, PIECE);
}

void out_json(struct out *o, json_t *j)
{
    size_t before = o->buf.len;
    struct err err = {0};
    if (!j || json_write(j, &o->buf, &err) < 0) {
        if (!j)
            err_nomem(&err);
        out_fail(o, &err);
    }
    json_decref(j);
    o->bytes += o->buf.len - before;
    flush(o, PIECE);
}

int out_finish(struct out *o, struct err *err)
{
    flush(o, 0);
    strbuf_release(&o->buf);
    return err_copy(err, &o->err);
}
