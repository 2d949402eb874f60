/* Calls about namespaces. */
#include "base/mem.h"
#include "codec/pbx.h"
#include "engine/embedded/calls.h"
#include "engine/embedded/namespace.h"

#include <stdio.h>
#include <string.h>

#define NAMESPACES_MAX 1000
#define CONFIG_BYTES_MAX ((size_t)64 << 10)

static Pb__NamespaceReplicationConfig *replication_of(struct eng *e)
{
    Pb__NamespaceReplicationConfig *g = mem_alloc(sizeof *g);
    Pb__ClusterReplicationConfig *k = mem_alloc(sizeof *k), **list = mem_alloc(sizeof *list);
    if (!g || !k || !list) {
        free(g);
        free(k);
        free(list);
        eng_nomem(e);
        return NULL;
    }
    pb__namespace_replication_config__init(g);
    pb__cluster_replication_config__init(k);
    g->clusters = list;
    g->clusters[0] = k;
    g->n_clusters = 1;
    str_set(e, &k->cluster_name, ENGINE_CLUSTER_NAME);
    str_set(e, &g->active_cluster_name, ENGINE_CLUSTER_NAME);
    return g;
}

static Pb__NamespaceInfoCapabilities *capabilities_of(struct eng *e)
{
    Pb__NamespaceInfoCapabilities *k = mem_alloc(sizeof *k);
    if (!k) {
        eng_nomem(e);
        return NULL;
    }
    pb__namespace_info_capabilities__init(k);
    k->eager_workflow_start = k->sync_update = k->async_update = true;
    return k;
}

static Pb__NamespaceInfoLimits *limits_of(struct eng *e)
{
    Pb__NamespaceInfoLimits *m = mem_alloc(sizeof *m);
    if (!m) {
        eng_nomem(e);
        return NULL;
    }
    pb__namespace_info_limits__init(m);
    m->blob_size_limit_error = m->memo_size_limit_error = (int64_t)ENGINE_PAYLOAD_MAX;
    return m;
}

static void fill(struct eng *e, const struct namespace_entry *n, Pb__DescribeNamespaceResponse *r)
{
    char uuid[NAMESPACE_ID_SIZE];
    msg_set(e, &r->namespace_info, n->s->info);
    msg_set(e, &r->config, n->s->config);
    if (r->namespace_info) {
        Pb__NamespaceInfo *i = r->namespace_info;
        str_set(e, &i->name, n->name);
        namespace_uuid(e, n->id, uuid);
        str_set(e, &i->id, uuid);
        i->state = PB__NAMESPACE_STATE__NAMESPACE_STATE_REGISTERED;
        i->capabilities = capabilities_of(e);
        i->limits = limits_of(e);
    }
    if (r->config) {
        r->config->history_archival_state = PB__ARCHIVAL_STATE__ARCHIVAL_STATE_DISABLED;
        r->config->visibility_archival_state = PB__ARCHIVAL_STATE__ARCHIVAL_STATE_DISABLED;
    }
    r->replication_config = replication_of(e);
}

void call_describe_namespace(struct eng *e, struct call *c)
{
    const Pb__DescribeNamespaceRequest *q = (const void *)c->req;
    const struct namespace_entry *n = namespace_find(e, q->namespace_, q->id);
    if (!n) {
        call_fail_namespace(e, c, *q->namespace_ ? q->namespace_ : q->id);
        return;
    }
    Pb__DescribeNamespaceResponse *r = (void *)call_new_response(c);
    if (r)
        fill(e, n, r);
    call_answer(e, c, (ProtobufCMessage *)r);
}

/* --- changing them ---------------------------------------------------------------------------------------- */

static void put_data(struct eng *e, Pb__NamespaceInfo *info, const char *key, const char *value)
{
    for (size_t i = 0; i < info->n_data; i++)
        if (strcmp(info->data[i]->key, key) == 0) {
            str_set(e, &info->data[i]->value, value);
            return;
        }
    Pb__NamespaceInfo__DataEntry *d = mem_alloc(sizeof *d), **list = mem_realloc(info->data, (info->n_data + 1) * sizeof *list);
    if (list)
        info->data = list;
    if (!d || !list) {
        free(d);
        eng_nomem(e);
        return;
    }
    pb__namespace_info__data_entry__init(d);
    str_set(e, &d->key, key);
    str_set(e, &d->value, value);
    info->data[info->n_data++] = d;
}

/* Nothing to keep yet; NULL: memory is out, the batch is at fault. Freed by its caller. */
static Pb__EmbeddedNamespace *copy_of(struct eng *e, const struct namespace_entry *n)
{
    Pb__EmbeddedNamespace empty = PB__EMBEDDED_NAMESPACE__INIT, *copy = NULL;
    Pb__NamespaceInfo info = PB__NAMESPACE_INFO__INIT;
    Pb__NamespaceConfig config = PB__NAMESPACE_CONFIG__INIT;
    empty.info = &info;
    empty.config = &config;
    msg_set(e, &copy, n ? n->s : &empty);
    return copy;
}

/* Is it fit to be kept? If not, the call is answered. */
static bool check(struct eng *e, struct call *c, const Pb__EmbeddedNamespace *s)
{
    if (pbx_duration_ns(s->config->workflow_execution_retention_ttl) < 0)
        call_fail(e, c, ERR_INVALID, "the retention is negative");
    else if (pb__embedded_namespace__get_packed_size(s) > CONFIG_BYTES_MAX)
        call_fail(e, c, ERR_INVALID, "description and data are longer than %zu bytes", CONFIG_BYTES_MAX);
    else
        return true;
    return false;
}

static bool may_be_added(struct eng *e, struct call *c, const char *name)
{
    if (!*name || strlen(name) > ENGINE_ID_MAX) {
        call_fail(e, c, ERR_INVALID, "namespace is not set or longer than %d bytes", ENGINE_ID_MAX);
        return false;
    }
    if (namespace_find(e, name, "")) {
        Pb__ErrorDetailNamespaceAlreadyExists *d = mem_alloc(sizeof *d);
        if (d)
            pb__error_detail_namespace_already_exists__init(d);
        call_fail(e, c, ERR_EXISTS, "Namespace \"%.200s\" already exists", name);
        call_detail(c, d);
        return false;
    }
    if (e->namespaces.len >= NAMESPACES_MAX) {
        call_fail(e, c, ERR_LIMIT, "there are %d namespaces, which is the limit", NAMESPACES_MAX);
        return false;
    }
    return true;
}

void call_register_namespace(struct eng *e, struct call *c)
{
    const Pb__RegisterNamespaceRequest *q = (const void *)c->req;
    if (!may_be_added(e, c, q->namespace_))
        return;
    Pb__EmbeddedNamespace *s = copy_of(e, NULL);
    if (!s) {
        call_answer(e, c, NULL);
        return;
    }
    str_set(e, &s->info->description, q->description);
    str_set(e, &s->info->owner_email, q->owner_email);
    for (size_t i = 0; i < q->n_data; i++)
        put_data(e, s->info, q->data[i]->key, q->data[i]->value);
    msg_set(e, &s->config->workflow_execution_retention_ttl, q->workflow_execution_retention_period);
    if (check(e, c, s)) {
        namespace_add(e, q->namespace_, s);
        call_answer_empty(e, c);
    }
    pb__embedded_namespace__free_unpacked(s, NULL);
}

void call_list_namespaces(struct eng *e, struct call *c)
{
    Pb__ListNamespacesResponse *r = (void *)call_new_response(c);
    if (r && (r->namespaces = mem_calloc(e->namespaces.len + 1, sizeof *r->namespaces)))
        VEC_EACH(&e->namespaces, n) {
            Pb__DescribeNamespaceResponse *d = n->s->deleted ? NULL : mem_alloc(sizeof *d);
            if (n->s->deleted)
                continue;
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

/* What is said changes; data are added to what there is. */
static void apply_update(struct eng *e, const Pb__UpdateNamespaceRequest *q, Pb__EmbeddedNamespace *s)
{
    const Pb__UpdateNamespaceInfo *u = q->update_info;
    if (u && *u->description)
        str_set(e, &s->info->description, u->description);
    if (u && *u->owner_email)
        str_set(e, &s->info->owner_email, u->owner_email);
    for (size_t i = 0; u && i < u->n_data; i++)
        put_data(e, s->info, u->data[i]->key, u->data[i]->value);
    if (q->config && q->config->workflow_execution_retention_ttl)
        msg_set(e, &s->config->workflow_execution_retention_ttl, q->config->workflow_execution_retention_ttl);
}

void call_update_namespace(struct eng *e, struct call *c)
{
    const Pb__UpdateNamespaceRequest *q = (const void *)c->req;
    struct namespace_entry *n = *q->namespace_ ? namespace_find(e, q->namespace_, "") : NULL;
    if (!n) {
        call_fail_namespace(e, c, q->namespace_);
        return;
    }
    Pb__EmbeddedNamespace *s = copy_of(e, n);
    Pb__UpdateNamespaceResponse *r = NULL;
    if (s) {
        apply_update(e, q, s);
        if (!check(e, c, s)) {
            pb__embedded_namespace__free_unpacked(s, NULL);
            return;
        }
        namespace_change(e, n, n->name, s);
        pb__embedded_namespace__free_unpacked(s, NULL);
        r = (void *)call_new_response(c);
    }
    if (r) {
        Pb__DescribeNamespaceResponse d = PB__DESCRIBE_NAMESPACE_RESPONSE__INIT;
        fill(e, n, &d);
        r->namespace_info = d.namespace_info;
        r->config = d.config;
        r->replication_config = d.replication_config;
    }
    call_answer(e, c, (ProtobufCMessage *)r);
}

/* Its name is free at once; its runs go bit by bit (retention.c). */
void call_delete_namespace(struct eng *e, struct call *c)
{
    const Pb__DeleteNamespaceRequest *q = (const void *)c->req;
    struct namespace_entry *n = namespace_find(e, q->namespace_, q->namespace_id);
    char uuid[NAMESPACE_ID_SIZE];
    if (!n) {
        call_fail_namespace(e, c, *q->namespace_ ? q->namespace_ : q->namespace_id);
        return;
    }
    if (n->id == NAMESPACE_DEFAULT) {
        call_fail(e, c, ERR_STATE, "the namespace '%s' is always there: its runs are deleted by 'ff clean'", n->name);
        return;
    }
    namespace_uuid(e, n->id, uuid);
    char *name = mem_printf("%.900s-deleted-%.8s", n->name, uuid);
    Pb__EmbeddedNamespace *s = copy_of(e, n);
    Pb__DeleteNamespaceResponse *r = name && s ? (void *)call_new_response(c) : NULL;
    if (r) {
        s->deleted = true;
        n->swept = n->runs_seen = false;
        namespace_change(e, n, name, s);
        str_set(e, &r->deleted_namespace, name);
    }
    if (s)
        pb__embedded_namespace__free_unpacked(s, NULL);
    free(name);
    call_answer(e, c, (ProtobufCMessage *)r);
}
