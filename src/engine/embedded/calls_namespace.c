/* Namespaces: rows of a table, few, all in memory. */
#include "base/mem.h"
#include "engine/embedded/calls.h"

#include <stdio.h>
#include <string.h>

#define NAMESPACES_MAX 1000

static bool add(struct eng *e, int64_t id, const char *name, const char *description,
                int64_t created_ns)
{
    struct namespace_entry n = {.id = id, .created_ns = created_ns, .name = mem_strdup(name),
                                .description = mem_strdup(description)};
    if (n.name && n.description && VEC_PUSH(&e->namespaces, n))
        return true;
    free(n.name);
    free(n.description);
    return false;
}

int namespaces_load(struct eng *e, struct err *err)
{
    sqlite3_stmt *s = db_stmt(&e->db, DB_NS_LIST);
    int rc, r = 0;
    while (r == 0 && (rc = sqlite3_step(s)) != SQLITE_DONE) {
        if (rc != SQLITE_ROW)
            r = db_error(&e->db, "read namespaces", err);
        else if (!add(e, sqlite3_column_int64(s, 0), (const char *)sqlite3_column_text(s, 1),
                      (const char *)sqlite3_column_text(s, 2), sqlite3_column_int64(s, 3)))
            r = err_nomem(err);
    }
    sqlite3_reset(s);
    return r;
}

void namespaces_release(struct eng *e)
{
    VEC_EACH(&e->namespaces, n) {
        free(n->name);
        free(n->description);
    }
    VEC_RELEASE(&e->namespaces);
}

static const struct namespace_entry *find(const struct eng *e, const char *name, const char *id)
{
    char text[24];
    VEC_EACH(&e->namespaces, n) {
        snprintf(text, sizeof text, "%lld", (long long)n->id);
        if (*name ? strcmp(n->name, name) == 0 : strcmp(text, id) == 0)
            return n;
    }
    return NULL;
}

static void fill(struct eng *e, const struct namespace_entry *n, Pb__DescribeNamespaceResponse *r)
{
    char id[24];
    r->namespace_info = mem_alloc(sizeof *r->namespace_info);
    if (r->namespace_info) {
        pb__namespace_info__init(r->namespace_info);
        str_set(e, &r->namespace_info->name, n->name);
        str_set(e, &r->namespace_info->description, n->description);
        snprintf(id, sizeof id, "%lld", (long long)n->id);
        str_set(e, &r->namespace_info->id, id);
        r->namespace_info->state = PB__NAMESPACE_STATE__NAMESPACE_STATE_REGISTERED;
    }
    r->config = mem_alloc(sizeof *r->config);
    if (r->config)
        pb__namespace_config__init(r->config);
    if (!r->namespace_info || !r->config)
        eng_nomem(e);
}

void call_describe_namespace(struct eng *e, struct call *c)
{
    const Pb__DescribeNamespaceRequest *q = (const void *)c->req;
    const struct namespace_entry *n = find(e, q->namespace_, q->id);
    if (!n) {
        call_fail(e, c, ERR_NOT_FOUND, "Namespace %.200s is not found.",
                  *q->namespace_ ? q->namespace_ : q->id);
        return;
    }
    Pb__DescribeNamespaceResponse *r = (void *)call_new_response(c);
    if (r)
        fill(e, n, r);
    call_answer(e, c, (ProtobufCMessage *)r);
}

void call_register_namespace(struct eng *e, struct call *c)
{
    const Pb__RegisterNamespaceRequest *q = (const void *)c->req;
    struct err err = {0};
    if (!*q->namespace_ || strlen(q->namespace_) > ENGINE_ID_MAX) {
        call_fail(e, c, ERR_INVALID, "namespace is not set or longer than %d bytes", ENGINE_ID_MAX);
        return;
    }
    if (find(e, q->namespace_, "")) {
        call_fail(e, c, ERR_EXISTS, "Namespace already exists.");
        return;
    }
    if (e->namespaces.len >= NAMESPACES_MAX) {
        call_fail(e, c, ERR_LIMIT, "there are %d namespaces, which is the limit", NAMESPACES_MAX);
        return;
    }
    int64_t id = e->namespaces.len ? e->namespaces.v[e->namespaces.len - 1].id + 1 : 1;
    sqlite3_stmt *s = db_stmt(&e->db, DB_NS_PUT);
    sqlite3_bind_int64(s, 1, id);
    sqlite3_bind_text(s, 2, q->namespace_, -1, SQLITE_STATIC);
    sqlite3_bind_text(s, 3, q->description, -1, SQLITE_STATIC);
    sqlite3_bind_int64(s, 4, e->now);
    if (db_begin(&e->db, &err) < 0 || db_exec(&e->db, s, &err) < 0)
        eng_fault(e, &err);
    else if (!add(e, id, q->namespace_, q->description, e->now))
        eng_nomem(e);
    e->namespaces_changed = true;
    call_answer_empty(e, c);
}

void call_list_namespaces(struct eng *e, struct call *c)
{
    Pb__ListNamespacesResponse *r = (void *)call_new_response(c);
    if (r && (r->namespaces = mem_calloc(e->namespaces.len, sizeof *r->namespaces)))
        VEC_EACH(&e->namespaces, n) {
            Pb__DescribeNamespaceResponse *d = mem_alloc(sizeof *d);
            if (!d) {
                eng_nomem(e);
                break;
            }
            pb__describe_namespace_response__init(d);
            fill(e, n, d);
            r->namespaces[r->n_namespaces++] = d;
        }
    call_answer(e, c, (ProtobufCMessage *)r);
}
