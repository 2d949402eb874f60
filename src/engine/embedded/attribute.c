#include "engine/embedded/attribute.h"

#include "codec/json.h"
#include "codec/pbx.h"
#include "engine/embedded/filter.h"
#include "engine/embedded/namespace.h"

#include <string.h>

/* Of one attribute that is a list: more are not found by lists, but shown. */
#define VALUES_MAX 256

#define TYPE(NAME) PB__INDEXED_VALUE_TYPE__INDEXED_VALUE_TYPE_##NAME

/* Those that SDKs set by themselves: a filter may name them before any run has them. */
static const char *const predefined[] = {"TemporalChangeVersion", "BuildIds"};

static const char *const reserved[] = {
    "CloseTime", "ExecutionDuration", "ExecutionStatus", "ExecutionTime", "HistoryLength", "HistorySizeBytes", "ParentRunId",
    "ParentWorkflowId", "RootRunId", "RootWorkflowId", "RunId", "StartTime", "StateTransitionCount", "TaskQueue", "WorkflowId",
    "WorkflowType"};

bool attribute_reserved(const char *name)
{
    for (size_t i = 0; i < sizeof reserved / sizeof *reserved; i++)
        if (strcmp(reserved[i], name) == 0)
            return true;
    return false;
}

static bool one_fits(const json_t *v, Pb__IndexedValueType type)
{
    char time[FILTER_TIME_SIZE];
    switch (type) {
    case TYPE(INT): return json_is_integer(v);
    case TYPE(DOUBLE): return json_is_number(v);
    case TYPE(BOOL): return json_is_boolean(v);
    case TYPE(DATETIME):
        return json_is_string(v) && strchr(json_string_value(v), 'T') && filter_normal_time(json_string_value(v), time);
    default: return json_is_string(v);
    }
}

/* A list of one is as good as the value itself. */
static bool fits(const json_t *v, Pb__IndexedValueType type)
{
    if (json_is_null(v))
        return true;
    if (!json_is_array(v))
        return type != TYPE(KEYWORD_LIST) && one_fits(v, type);
    if (type != TYPE(KEYWORD_LIST) && json_array_size(v) > 1)
        return false;
    for (size_t i = 0; i < json_array_size(v); i++)
        if (!one_fits(json_array_get(v, i), type))
            return false;
    return true;
}

static int check(const Pb__EmbeddedNamespace *s, const char *name, const Pb__Payload *p, struct err *err)
{
    static const char *const type_names[] = {
        [TYPE(TEXT)] = "Text",  [TYPE(KEYWORD)] = "Keyword",   [TYPE(INT)] = "Int",
        [TYPE(DOUBLE)] = "Double", [TYPE(BOOL)] = "Bool", [TYPE(DATETIME)] = "Datetime", [TYPE(KEYWORD_LIST)] = "KeywordList"};
    if (attribute_reserved(name))
        return err_set(err, ERR_INVALID, "%s attribute can't be set in SearchAttributes", name);
    for (size_t i = 0; i < s->n_search_attributes; i++) {
        _cleanup_json_ json_t *v = NULL;
        Pb__IndexedValueType type = s->search_attributes[i]->value;
        if (strcmp(s->search_attributes[i]->key, name) != 0)
            continue;
        if (!p || pbx_payload_json(p, &v, NULL) < 0 || !fits(v, type))
            return err_set(err, ERR_INVALID, "invalid value for search attribute %.100s of type %s", name, type_names[type]);
    }
    return 0;
}

int attributes_check(struct eng *e, int64_t ns, const Pb__SearchAttributes *a, struct err *err)
{
    const struct namespace_entry *n = a && a->n_indexed_fields ? namespace_by_id(e, ns) : NULL;
    int r = 0;
    for (size_t i = 0; n && r == 0 && i < a->n_indexed_fields; i++)
        r = check(n->s, a->indexed_fields[i]->key, a->indexed_fields[i]->value, err);
    return r;
}

static int put_value(struct eng *e, const struct run *run, const char *name, const json_t *v, struct err *err)
{
    sqlite3_stmt *s = db_stmt(&e->db, DB_ATTRIBUTE_PUT);
    char time[FILTER_TIME_SIZE];
    sqlite3_bind_int64(s, 1, run->key);
    sqlite3_bind_text(s, 2, name, -1, SQLITE_STATIC);
    if (json_is_string(v))
        sqlite3_bind_text(s, 3, filter_normal_time(json_string_value(v), time) ? time : json_string_value(v), -1,
                          SQLITE_STATIC);
    else if (json_is_integer(v))
        sqlite3_bind_int64(s, 3, json_integer_value(v));
    else if (json_is_real(v))
        sqlite3_bind_double(s, 3, json_real_value(v));
    else if (json_is_boolean(v))
        sqlite3_bind_int64(s, 3, json_is_true(v));
    else
        return 0; /* nothing that can be compared */
    return db_exec(&e->db, s, err);
}

static int put(struct eng *e, const struct run *run, const char *name, const Pb__Payload *p, struct err *err)
{
    _cleanup_json_ json_t *v = NULL;
    if (!p || pbx_payload_json(p, &v, NULL) < 0)
        return 0; /* encoded by the caller's own means: only shown */
    if (!json_is_array(v))
        return put_value(e, run, name, v, err);
    int r = 0;
    for (size_t i = 0; r == 0 && i < json_array_size(v) && i < VALUES_MAX; i++)
        r = put_value(e, run, name, json_array_get(v, i), err);
    return r;
}

int attributes_delete(struct eng *e, struct run *run, struct err *err)
{
    sqlite3_stmt *s = db_stmt(&e->db, DB_ATTRIBUTE_DELETE);
    sqlite3_bind_int64(s, 1, run->key);
    return db_exec(&e->db, s, err);
}

int attributes_put(struct eng *e, struct run *run, struct err *err)
{
    const Pb__SearchAttributes *a = run->s->search_attributes;
    int r = run->fresh ? 0 : attributes_delete(e, run, err);
    for (size_t i = 0; r == 0 && a && i < a->n_indexed_fields; i++)
        r = put(e, run, a->indexed_fields[i]->key, a->indexed_fields[i]->value, err);
    return r;
}

bool attributes_known(void *arg, const char *name)
{
    struct eng *e = arg;
    for (size_t i = 0; i < sizeof predefined / sizeof *predefined; i++)
        if (strcmp(predefined[i], name) == 0)
            return true;
    sqlite3_stmt *s = db_stmt(&e->db, DB_ATTRIBUTE_KNOWN);
    sqlite3_bind_text(s, 1, name, -1, SQLITE_STATIC);
    bool known = sqlite3_step(s) == SQLITE_ROW;
    sqlite3_reset(s);
    return known;
}
