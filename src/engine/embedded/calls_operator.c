/* Calls of Temporal's OperatorService, and what clients ask of search attributes.
 *
 * An attribute need not be registered to be used. What is registered is kept and listed, so that tools which register first, or
 * look before they set one, find what they expect. */
#include "base/mem.h"
#include "engine/embedded/attribute.h"
#include "engine/embedded/calls.h"
#include "engine/embedded/namespace.h"

#include <string.h>

#define ATTRIBUTES_MAX 200 /* of a namespace; a Temporal server stops at some dozens of each type */

#define TYPE(NAME) PB__INDEXED_VALUE_TYPE__INDEXED_VALUE_TYPE_##NAME
static const struct {
    const char *name;
    Pb__IndexedValueType type;
} system_attributes[] = {
    {"CloseTime", TYPE(DATETIME)}, {"ExecutionStatus", TYPE(KEYWORD)}, {"RunId", TYPE(KEYWORD)},
    {"StartTime", TYPE(DATETIME)}, {"WorkflowId", TYPE(KEYWORD)},      {"WorkflowType", TYPE(KEYWORD)},
};

enum { SYSTEM_COUNT = sizeof system_attributes / sizeof *system_attributes };

/* Makes the entry i of a list of entries of that type. */
#define NEW_ENTRY(e, list, count, init, name, type_)                                                                    \
    do {                                                                                                                \
        __typeof__(*(list)) entry_ = mem_alloc(sizeof *entry_);                                                         \
        if (!entry_) {                                                                                                  \
            eng_nomem(e);                                                                                               \
            break;                                                                                                      \
        }                                                                                                               \
        init(entry_);                                                                                                   \
        str_set(e, &entry_->key, name);                                                                                 \
        entry_->value = type_;                                                                                          \
        (list)[(count)++] = entry_;                                                                                     \
    } while (0)

void call_get_search_attributes(struct eng *e, struct call *c)
{
    Pb__GetSearchAttributesResponse *r = (void *)call_new_response(c);
    if (r)
        r->keys = mem_calloc(SYSTEM_COUNT, sizeof *r->keys);
    for (int i = 0; r && r->keys && i < SYSTEM_COUNT; i++)
        NEW_ENTRY(e, r->keys, r->n_keys, pb__get_search_attributes_response__keys_entry__init, system_attributes[i].name,
                  system_attributes[i].type);
    call_answer(e, c, (ProtobufCMessage *)r);
}

/* The index of a registered one; the number of them: it is none. */
static size_t find(const Pb__EmbeddedNamespace *s, const char *name)
{
    size_t i = 0;
    while (i < s->n_search_attributes && strcmp(s->search_attributes[i]->key, name) != 0)
        i++;
    return i;
}

static bool may_be_added(struct eng *e, struct call *c, const Pb__EmbeddedNamespace *s, const char *name,
                         Pb__IndexedValueType type)
{
    size_t i = find(s, name);
    if (!*name || strlen(name) > ENGINE_ID_MAX || attribute_reserved(name))
        call_fail(e, c, ERR_INVALID, "'%.100s' is no name for a search attribute of one's own", name);
    else if (type <= TYPE(UNSPECIFIED) || type > TYPE(KEYWORD_LIST))
        call_fail(e, c, ERR_INVALID, "search attribute %.100s: %d is no type", name, (int)type);
    else if (i < s->n_search_attributes && s->search_attributes[i]->value != type)
        call_fail(e, c, ERR_EXISTS, "search attribute %.100s is there already, with another type", name);
    else if (s->n_search_attributes >= ATTRIBUTES_MAX)
        call_fail(e, c, ERR_LIMIT, "there are %d search attributes, which is the limit", ATTRIBUTES_MAX);
    else
        return true;
    return false;
}

/* The namespace of the call, and a copy of what is kept of it, to be changed and freed; NULL: the call is answered. */
static Pb__EmbeddedNamespace *begin_change(struct eng *e, struct call *c, struct namespace_entry **ret)
{
    Pb__EmbeddedNamespace *s = NULL;
    *ret = namespace_by_id(e, c->ns);
    msg_set(e, &s, (*ret)->s);
    if (!s)
        call_answer(e, c, NULL);
    return s;
}

void call_add_search_attributes(struct eng *e, struct call *c)
{
    const Pb__AddSearchAttributesRequest *q = (const void *)c->req;
    struct namespace_entry *n;
    Pb__EmbeddedNamespace *s = begin_change(e, c, &n);
    bool ok = s != NULL;
    for (size_t i = 0; ok && i < q->n_search_attributes; i++) {
        const char *name = q->search_attributes[i]->key;
        Pb__IndexedValueType type = q->search_attributes[i]->value;
        ok = may_be_added(e, c, s, name, type);
        if (!ok || find(s, name) < s->n_search_attributes)
            continue;
        Pb__EmbeddedNamespace__SearchAttributesEntry **list =
            mem_realloc(s->search_attributes, (s->n_search_attributes + 1) * sizeof *list);
        if (list) {
            s->search_attributes = list;
            NEW_ENTRY(e, list, s->n_search_attributes, pb__embedded_namespace__search_attributes_entry__init, name, type);
        } else {
            eng_nomem(e);
        }
    }
    if (ok) {
        namespace_change(e, n, n->name, s);
        call_answer_empty(e, c);
    }
    if (s)
        pb__embedded_namespace__free_unpacked(s, NULL);
}

void call_remove_search_attributes(struct eng *e, struct call *c)
{
    const Pb__RemoveSearchAttributesRequest *q = (const void *)c->req;
    struct namespace_entry *n;
    Pb__EmbeddedNamespace *s = begin_change(e, c, &n);
    bool ok = s != NULL;
    for (size_t i = 0; ok && i < q->n_search_attributes; i++) {
        size_t at = find(s, q->search_attributes[i]);
        ok = at < s->n_search_attributes;
        if (!ok) {
            call_fail(e, c, ERR_NOT_FOUND, "search attribute %.100s is not registered", q->search_attributes[i]);
            continue;
        }
        engine_free_message(&s->search_attributes[at]->base);
        s->search_attributes[at] = s->search_attributes[--s->n_search_attributes];
    }
    if (ok) {
        namespace_change(e, n, n->name, s);
        call_answer_empty(e, c);
    }
    if (s)
        pb__embedded_namespace__free_unpacked(s, NULL);
}

void call_list_search_attributes(struct eng *e, struct call *c)
{
    const Pb__EmbeddedNamespace *s = namespace_by_id(e, c->ns)->s;
    Pb__ListSearchAttributesResponse *r = (void *)call_new_response(c);
    if (r) {
        r->custom_attributes = mem_calloc(s->n_search_attributes + 1, sizeof *r->custom_attributes);
        r->system_attributes = mem_calloc(SYSTEM_COUNT, sizeof *r->system_attributes);
    }
    for (size_t i = 0; r && r->custom_attributes && i < s->n_search_attributes; i++)
        NEW_ENTRY(e, r->custom_attributes, r->n_custom_attributes,
                  pb__list_search_attributes_response__custom_attributes_entry__init, s->search_attributes[i]->key,
                  s->search_attributes[i]->value);
    for (int i = 0; r && r->system_attributes && i < SYSTEM_COUNT; i++)
        NEW_ENTRY(e, r->system_attributes, r->n_system_attributes,
                  pb__list_search_attributes_response__system_attributes_entry__init, system_attributes[i].name,
                  system_attributes[i].type);
    call_answer(e, c, (ProtobufCMessage *)r);
}

/* One, which is this engine. */
void call_list_clusters(struct eng *e, struct call *c)
{
    Pb__ListClustersResponse *r = (void *)call_new_response(c);
    Pb__ClusterMetadata *m = mem_alloc(sizeof *m);
    char id[ENGINE_CLUSTER_ID_SIZE];
    if (r)
        r->clusters = mem_calloc(1, sizeof *r->clusters);
    if (!r || !m || !r->clusters) {
        free(m);
        engine_free_message((ProtobufCMessage *)r);
        call_answer(e, c, NULL);
        return;
    }
    pb__cluster_metadata__init(m);
    r->clusters[r->n_clusters++] = m;
    call_cluster_id(e, id);
    str_set(e, &m->cluster_name, ENGINE_CLUSTER_NAME);
    str_set(e, &m->cluster_id, id);
    m->initial_failover_version = m->history_shard_count = 1;
    m->is_connection_enabled = true;
    call_answer(e, c, &r->base);
}
