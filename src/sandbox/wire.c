/* The form of a plan on the wire: a sequence of fields, each {u16 tag, u16 zero, u32 length,
 * bytes}.
 *
 * Which fields exist, where they land and how large they may be stands in one table, used by writer
 * and reader. Strings carry their terminating zero. The fields of a mount follow the MOUNT field
 * that opens it. */
#include "base/assert.h"
#include "base/cleanup.h"
#include "sandbox/sandbox_internal.h"

#include <string.h>

enum field_kind { FIELD_STRING, FIELD_NUMBER, FIELD_ARGV, FIELD_ENV, FIELD_MOUNT };
enum field_scope { OF_PLAN, OF_MOUNT };

struct field {
    const char *name;
    enum field_kind kind;
    enum field_scope scope;
    size_t offset, size; /* size of a number's member */
    uint64_t max;        /* of a number, or bytes of a string */
    bool absolute;       /* a string that is an absolute path without ".." */
};

#define P(m) offsetof(struct sandbox_plan, m), sizeof(((struct sandbox_plan *)0)->m)
#define M(m) offsetof(struct sandbox_mount, m), sizeof(((struct sandbox_mount *)0)->m)
#define PATH_BYTES 4096

static const struct field fields[] = {
    {"name", FIELD_STRING, OF_PLAN, P(name), 256, false},
    {"builtin", FIELD_STRING, OF_PLAN, P(builtin), 256, false},
    {"argv", FIELD_ARGV, OF_PLAN, 0, 0, PLAN_STRING_MAX, false},
    {"env", FIELD_ENV, OF_PLAN, 0, 0, PLAN_STRING_MAX, false},
    {"cwd", FIELD_STRING, OF_PLAN, P(cwd), PATH_BYTES, true},
    {"scratch", FIELD_STRING, OF_PLAN, P(scratch), PATH_BYTES, true},
    {"network", FIELD_NUMBER, OF_PLAN, P(network), SANDBOX_NET_FULL, false},
    {"own code", FIELD_NUMBER, OF_PLAN, P(own_code), 1, false},
    {"inspects", FIELD_NUMBER, OF_PLAN, P(inspects), 1, false},
    {"loopback port", FIELD_NUMBER, OF_PLAN, P(loopback_port), UINT16_MAX, false},
    {"memory", FIELD_NUMBER, OF_PLAN, P(limits.memory_bytes), UINT64_MAX / 2, false},
    {"cpu", FIELD_NUMBER, OF_PLAN, P(limits.cpu_ms), UINT64_MAX / 2, false},
    {"pids", FIELD_NUMBER, OF_PLAN, P(limits.pids), 1 << 20, false},
    {"files", FIELD_NUMBER, OF_PLAN, P(limits.files), 1 << 20, false},
    {"disk", FIELD_NUMBER, OF_PLAN, P(limits.disk_bytes), UINT64_MAX / 2, false},
    {"output", FIELD_NUMBER, OF_PLAN, P(limits.output_bytes), UINT64_MAX / 2, false},
    {"wall", FIELD_NUMBER, OF_PLAN, P(limits.wall_ms), INT64_MAX / 2000000, false},
    {"mount", FIELD_MOUNT, OF_PLAN, M(kind), MOUNT_TMPFS, false},
    {"source", FIELD_STRING, OF_MOUNT, M(source), PATH_BYTES, true},
    {"upper", FIELD_STRING, OF_MOUNT, M(upper), PATH_BYTES, true},
    {"work", FIELD_STRING, OF_MOUNT, M(work), PATH_BYTES, true},
    {"target", FIELD_STRING, OF_MOUNT, M(target), PATH_BYTES, true},
    {"writable", FIELD_NUMBER, OF_MOUNT, M(writable), 1, false},
    {"size", FIELD_NUMBER, OF_MOUNT, M(size_bytes), UINT64_MAX / 2, false},
};

static const char *const limit_names[LIMIT_COUNT_] = {
    [LIMIT_MEMORY] = "memory", [LIMIT_CPU] = "cpu",       [LIMIT_PIDS] = "pids",
    [LIMIT_DISK] = "disk",     [LIMIT_OUTPUT] = "output", [LIMIT_TIME] = "time",
};

static const char *const network_names[] = {"none", "loopback", "full"};

const char *sandbox_network_name(enum sandbox_network n)
{
    return network_names[n];
}

bool sandbox_network_parse(const char *name, enum sandbox_network *ret)
{
    for (size_t i = 0; i < ARRAY_LEN(network_names); i++)
        if (strcmp(name, network_names[i]) == 0) {
            *ret = (enum sandbox_network)i;
            return true;
        }
    return false;
}

const char *sandbox_limit_name(enum limit_kind k)
{
    return k < LIMIT_COUNT_ ? limit_names[k] : NULL;
}

enum limit_kind limit_from_name(const char *name)
{
    if (!name)
        return LIMIT_NONE;
    for (int k = LIMIT_NONE + 1; k < LIMIT_COUNT_; k++)
        if (strcmp(limit_names[k], name) == 0)
            return (enum limit_kind)k;
    ASSERT(!"a known limit");
    return LIMIT_NONE;
}

struct field_head {
    uint16_t tag, zero;
    uint32_t len;
};

/* Numbers of 1, 4 or 8 bytes, all of them unsigned or never negative. */
static uint64_t number_get(const void *at, size_t size)
{
    uint8_t b;
    uint32_t w;
    uint64_t q;
    switch (size) {
    case 1:
        memcpy(&b, at, 1);
        return b;
    case 4:
        memcpy(&w, at, 4);
        return w;
    default:
        ASSERT(size == 8);
        memcpy(&q, at, 8);
        return q;
    }
}

static void number_set(void *at, size_t size, uint64_t v)
{
    uint8_t b = (uint8_t)v;
    uint32_t w = (uint32_t)v;
    memcpy(at, size == 1 ? (void *)&b : size == 4 ? (void *)&w : (void *)&v, size);
}

static void put(struct strbuf *out, size_t tag, const void *data, size_t len)
{
    struct field_head h = {.tag = (uint16_t)tag, .len = (uint32_t)len};
    strbuf_append(out, &h, sizeof h);
    strbuf_append(out, data, len);
}

static int put_string(struct strbuf *out, size_t tag, const char *s, struct err *err)
{
    if (!s)
        return 0;
    size_t n = strlen(s) + 1;
    if (n > fields[tag].max)
        return err_set(err, ERR_LIMIT, "sandbox plan: %s is longer than %llu bytes",
                       fields[tag].name, (unsigned long long)fields[tag].max);
    put(out, tag, s, n);
    return 0;
}

static int put_list(struct strbuf *out, size_t tag, const char *const *list, size_t max,
                    struct err *err)
{
    for (size_t i = 0; list && list[i]; i++) {
        if (i >= max)
            return err_set(err, ERR_LIMIT, "sandbox plan: more than %zu %s", max, fields[tag].name);
        int r = put_string(out, tag, list[i], err);
        if (r < 0)
            return r;
    }
    return 0;
}

static int put_scalars(struct strbuf *out, enum field_scope scope, const void *from,
                       struct err *err)
{
    for (size_t tag = 0; tag < ARRAY_LEN(fields); tag++) {
        const struct field *f = &fields[tag];
        const char *at = (const char *)from + f->offset;
        int r = 0;
        if (f->scope != scope)
            continue;
        if (f->kind == FIELD_STRING) {
            r = put_string(out, tag, *(const char *const *)(const void *)at, err);
        } else if (f->kind == FIELD_NUMBER) {
            uint64_t v = number_get(at, f->size);
            if (v)
                put(out, tag, &v, sizeof v);
        }
        if (r < 0)
            return r;
    }
    return 0;
}

int wire_encode_plan(const struct sandbox_plan *plan, struct strbuf *out, struct err *err)
{
    int r = put_scalars(out, OF_PLAN, plan, err);
    for (size_t tag = 0; r == 0 && tag < ARRAY_LEN(fields); tag++) {
        if (fields[tag].kind == FIELD_ARGV)
            r = put_list(out, tag, plan->argv, PLAN_ARGV_MAX, err);
        else if (fields[tag].kind == FIELD_ENV)
            r = put_list(out, tag, plan->env, PLAN_ENV_MAX, err);
        for (size_t i = 0; fields[tag].kind == FIELD_MOUNT && r == 0 && i < plan->mounts_count;
             i++) {
            uint64_t kind = plan->mounts[i].kind;
            put(out, tag, &kind, sizeof kind);
            r = put_scalars(out, OF_MOUNT, &plan->mounts[i], err);
        }
    }
    if (r < 0)
        return r;
    r = strbuf_check(out, err);
    return r < 0 ? err_wrap(err, "sandbox plan") : 0;
}

static int bad(struct err *err, const struct field *f, const char *why)
{
    return err_set(err, ERR_INVALID, "sandbox plan: %s %s", f->name, why);
}

static bool path_is_plain(const char *p)
{
    if (*p != '/')
        return false;
    for (; (p = strstr(p, "/..")); p += 3)
        if (p[3] == '/' || p[3] == 0)
            return false;
    return true;
}

static int read_string(const struct field *f, const char *data, size_t len, const char **ret,
                       struct err *err)
{
    if (len == 0 || len > f->max || data[len - 1] != 0 || strlen(data) != len - 1)
        return bad(err, f, "is no string or too long");
    if (f->absolute && !path_is_plain(data))
        return bad(err, f, "is no absolute path without \"..\"");
    *ret = data;
    return 0;
}

static int read_number(const struct field *f, const char *data, size_t len, uint64_t *ret,
                       struct err *err)
{
    if (len != sizeof *ret)
        return bad(err, f, "is no number");
    memcpy(ret, data, sizeof *ret);
    return *ret > f->max ? bad(err, f, "is out of range") : 0;
}

static int read_list(const struct field *f, const char *data, size_t len, const char **list,
                     size_t *count, size_t max, struct err *err)
{
    if (*count >= max)
        return bad(err, f, "has too many entries");
    int r = read_string(f, data, len, &list[*count], err);
    if (r == 0)
        (*count)++;
    return r;
}

static int read_field(const struct field *f, const char *data, size_t len, struct wire_plan *w,
                      struct err *err)
{
    struct sandbox_plan *p = &w->plan;
    uint64_t v;
    int r;
    if (f->scope == OF_MOUNT && p->mounts_count == 0)
        return bad(err, f, "stands before any mount");
    char *base = f->scope == OF_MOUNT ? (char *)&w->mounts[p->mounts_count - 1] : (char *)p;
    switch (f->kind) {
    case FIELD_STRING:
        return read_string(f, data, len, (const char **)(void *)(base + f->offset), err);
    case FIELD_NUMBER:
        r = read_number(f, data, len, &v, err);
        if (r == 0)
            number_set(base + f->offset, f->size, v);
        return r;
    case FIELD_ARGV:
        return read_list(f, data, len, w->argv, &w->argv_count, PLAN_ARGV_MAX, err);
    case FIELD_ENV:
        r = read_list(f, data, len, w->env, &w->env_count, PLAN_ENV_MAX, err);
        return r < 0 ? r
               : strchr(w->env[w->env_count - 1], '=') > w->env[w->env_count - 1]
                   ? 0
                   : bad(err, f, "is not of the form NAME=VALUE");
    case FIELD_MOUNT:
        r = read_number(f, data, len, &v, err);
        if (r < 0)
            return r;
        if (p->mounts_count >= PLAN_MOUNTS_MAX)
            return bad(err, f, "has too many entries");
        w->mounts[p->mounts_count++] = (struct sandbox_mount){.kind = (enum mount_kind)v};
        return 0;
    }
    return 0;
}

/* A mount may not cover what every sandbox has, nor the root itself. */
static bool target_is_allowed(const char *t)
{
    static const char *const kept[] = {"/proc", "/dev", "/etc",   "/usr",  "/bin",
                                       "/sbin", "/lib", "/lib64", "/lib32"};
    for (size_t i = 0; i < ARRAY_LEN(kept); i++) {
        size_t n = strlen(kept[i]);
        if (strncmp(t, kept[i], n) == 0 && (t[n] == '/' || t[n] == 0))
            return false;
    }
    return t[strspn(t, "/.")] != 0;
}

static int check_plan(struct wire_plan *w, struct err *err)
{
    struct sandbox_plan *p = &w->plan;
    if (!p->builtin == (w->argv_count == 0))
        return err_set(err, ERR_INVALID, "sandbox plan: needs either a built-in name or a program");
    for (size_t i = 0; i < p->mounts_count; i++) {
        const struct sandbox_mount *m = &w->mounts[i];
        if (!m->target || !target_is_allowed(m->target))
            return err_set(err, ERR_INVALID,
                           "sandbox plan: mount %zu has no target or a reserved one", i);
        if (m->kind != MOUNT_TMPFS && !m->source)
            return err_set(err, ERR_INVALID, "sandbox plan: mount %s has no source", m->target);
        if (m->kind == MOUNT_OVERLAY && (!m->upper || !m->work))
            return err_set(err, ERR_INVALID, "sandbox plan: overlay %s needs upper and work",
                           m->target);
    }
    p->argv = w->argv_count ? w->argv : NULL;
    p->env = w->env;
    p->mounts = w->mounts;
    if (!p->name)
        p->name = p->builtin ? p->builtin : w->argv[0];
    struct sandbox_limits *l = &p->limits;
    l->memory_bytes = l->memory_bytes ? l->memory_bytes : SANDBOX_MEMORY_USUAL;
    l->pids = l->pids ? l->pids : SANDBOX_PIDS_USUAL;
    l->files = l->files ? l->files : 1024;
    l->disk_bytes = l->disk_bytes ? l->disk_bytes : SANDBOX_DISK_USUAL;
    l->output_bytes = l->output_bytes ? l->output_bytes : UINT64_C(256) << 20;
    return 0;
}

int wire_decode_plan(const char *data, size_t len, struct wire_plan *ret, struct err *err)
{
    memset(ret, 0, sizeof *ret);
    while (len) {
        struct field_head h;
        if (len < sizeof h)
            return err_set(err, ERR_INVALID, "sandbox plan: cut short");
        memcpy(&h, data, sizeof h);
        data += sizeof h;
        len -= sizeof h;
        if (h.tag >= ARRAY_LEN(fields) || h.zero != 0)
            return err_set(err, ERR_INVALID, "sandbox plan: unknown field %u", h.tag);
        if (h.len > len)
            return err_set(err, ERR_INVALID, "sandbox plan: cut short");
        int r = read_field(&fields[h.tag], data, h.len, ret, err);
        if (r < 0)
            return r;
        data += h.len;
        len -= h.len;
    }
    return check_plan(ret, err);
}
