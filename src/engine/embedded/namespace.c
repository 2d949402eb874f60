#include "engine/embedded/namespace.h"

#include "base/mem.h"
#include "codec/pbx.h"
#include "engine/embedded/token.h"

#include <stdio.h>
#include <string.h>

static void entry_release(struct namespace_entry *n)
{
    free(n->name);
    if (n->s)
        pb__embedded_namespace__free_unpacked(n->s, NULL);
}

/* With info and config, whatever it was made of. */
static Pb__EmbeddedNamespace *whole(Pb__EmbeddedNamespace *s, const char *description)
{
    if (!s->info && (s->info = mem_alloc(sizeof *s->info))) {
        pb__namespace_info__init(s->info);
        s->info->description = pbx_str(description);
    }
    if (!s->config && (s->config = mem_alloc(sizeof *s->config)))
        pb__namespace_config__init(s->config);
    if (s->info && s->info->description && s->config)
        return s;
    if (s->info && !s->info->description)
        s->info->description = (char *)protobuf_c_empty_string;
    pb__embedded_namespace__free_unpacked(s, NULL);
    return NULL;
}

static int read_row(struct eng *e, sqlite3_stmt *s, struct err *err)
{
    ProtobufCMessage *m;
    const char *name = (const char *)sqlite3_column_text(s, 1), *description = (const char *)sqlite3_column_text(s, 4);
    int r = pbx_unpack(&pb__embedded_namespace__descriptor, sqlite3_column_blob(s, 3), (size_t)sqlite3_column_bytes(s, 3), &m,
                       err);
    if (r < 0)
        return err_wrap(err, "namespace %s", name ? name : "");
    struct namespace_entry n = {.id = sqlite3_column_int64(s, 0), .created_ns = sqlite3_column_int64(s, 2)};
    n.s = whole((Pb__EmbeddedNamespace *)m, description ? description : "");
    n.name = mem_strdup(name ? name : "");
    if (n.s && n.name && VEC_PUSH(&e->namespaces, n))
        return 0;
    entry_release(&n);
    return err_nomem(err);
}

int namespaces_load(struct eng *e, struct err *err)
{
    sqlite3_stmt *s = db_stmt(&e->db, DB_NS_LIST);
    int rc, r = 0;
    while (r == 0 && (rc = sqlite3_step(s)) != SQLITE_DONE)
        r = rc == SQLITE_ROW ? read_row(e, s, err) : db_error(&e->db, "read namespaces", err);
    sqlite3_reset(s);
    retention_plan(e);
    return r;
}

void namespaces_release(struct eng *e)
{
    VEC_EACH(&e->namespaces, n)
        entry_release(n);
    VEC_RELEASE(&e->namespaces);
}

/* Version 8, RFC 9562. */
void namespace_uuid(const struct eng *e, int64_t id, char buf[NAMESPACE_ID_SIZE])
{
    uint64_t a = token_hash(e->db.token_key, &id, sizeof id), b = token_hash(e->db.token_key, &a, sizeof a);
    snprintf(buf, NAMESPACE_ID_SIZE, "%08llx-%04llx-8%03llx-%04llx-%012llx", (unsigned long long)(a >> 32),
             (unsigned long long)(a >> 16 & 0xffff), (unsigned long long)(a & 0xfff),
             (unsigned long long)(0x8000 | (b >> 48 & 0x3fff)), (unsigned long long)(b & 0xffffffffffff));
}

struct namespace_entry *namespace_find(const struct eng *e, const char *name, const char *uuid)
{
    char text[NAMESPACE_ID_SIZE];
    VEC_EACH(&e->namespaces, n) {
        if (n->s->deleted)
            continue;
        if (*name ? strcmp(n->name, name) == 0 : (namespace_uuid(e, n->id, text), strcmp(text, uuid) == 0))
            return n;
    }
    return NULL;
}

struct namespace_entry *namespace_by_id(const struct eng *e, int64_t id)
{
    VEC_EACH(&e->namespaces, n)
        if (n->id == id)
            return n;
    return NULL;
}

/* Runs a statement that has the packed config as its parameter `at`. */
static bool put(struct eng *e, sqlite3_stmt *s, int at, const Pb__EmbeddedNamespace *config)
{
    struct err err = {0};
    size_t n = pb__embedded_namespace__get_packed_size(config);
    void *p = arena_alloc(&e->arena, n + 1);
    if (!p) {
        eng_nomem(e);
        return false;
    }
    pb__embedded_namespace__pack(config, p);
    sqlite3_bind_blob64(s, at, p, n, SQLITE_STATIC);
    e->namespaces_changed = true;
    if (db_begin(&e->db, &err) == 0 && db_exec(&e->db, s, &err) == 0)
        return true;
    eng_fault(e, &err);
    return false;
}

void namespace_add(struct eng *e, const char *name, const Pb__EmbeddedNamespace *config)
{
    ProtobufCMessage *copy = NULL;
    struct namespace_entry n = {.id = 1, .created_ns = e->now, .name = mem_strdup(name)};
    if (e->namespaces.len)
        n.id = e->namespaces.v[e->namespaces.len - 1].id + 1;
    if (pbx_dup(&config->base, &copy, NULL) == 0)
        n.s = whole((Pb__EmbeddedNamespace *)copy, "");
    if (!n.name || !n.s || !VEC_PUSH(&e->namespaces, n)) {
        entry_release(&n);
        eng_nomem(e);
        return;
    }
    sqlite3_stmt *s = db_stmt(&e->db, DB_NS_PUT);
    sqlite3_bind_int64(s, 1, n.id);
    sqlite3_bind_text(s, 2, name, -1, SQLITE_STATIC);
    sqlite3_bind_int64(s, 3, n.created_ns);
    put(e, s, 4, n.s);
    retention_plan(e);
}

void namespace_change(struct eng *e, struct namespace_entry *n, const char *name, const Pb__EmbeddedNamespace *config)
{
    sqlite3_stmt *s = db_stmt(&e->db, DB_NS_UPDATE);
    sqlite3_bind_int64(s, 1, n->id);
    sqlite3_bind_text(s, 2, name, -1, SQLITE_STATIC);
    if (!put(e, s, 3, config))
        return;
    char *copy = mem_strdup(name);
    if (copy) {
        free(n->name);
        n->name = copy;
    } else {
        eng_nomem(e);
    }
    msg_set(e, &n->s, config);
    retention_plan(e);
}

void namespace_remove(struct eng *e, struct namespace_entry *n)
{
    struct err err = {0};
    sqlite3_stmt *s = db_stmt(&e->db, DB_NS_DELETE);
    sqlite3_bind_int64(s, 1, n->id);
    e->namespaces_changed = true;
    if (db_begin(&e->db, &err) < 0 || db_exec(&e->db, s, &err) < 0) {
        eng_fault(e, &err);
        return;
    }
    entry_release(n);
    size_t i = (size_t)(n - e->namespaces.v);
    memmove(n, n + 1, (--e->namespaces.len - i) * sizeof *n);
}
