#include "api/grpc/rights.h"

#include "api/access/audit.h"
#include "base/log.h"

#include <string.h>

/* audit: what a change is called; NULL: it is none. */
static const struct {
    enum access_role role;
    const char *audit;
} rights[ENGINE_METHOD_COUNT_] = {
    [ENGINE_START_WORKFLOW] = {ACCESS_OPERATOR, "run.submit"},
    [ENGINE_SIGNAL_WORKFLOW] = {ACCESS_OPERATOR, "run.signal"},
    [ENGINE_SIGNAL_WITH_START] = {ACCESS_OPERATOR, "run.submit"},
    [ENGINE_REQUEST_CANCEL] = {ACCESS_OPERATOR, "run.cancel"},
    [ENGINE_TERMINATE] = {ACCESS_OPERATOR, "run.terminate"},
    [ENGINE_DELETE] = {ACCESS_OPERATOR, "run.delete"},
    [ENGINE_DESCRIBE] = {ACCESS_VIEWER, NULL},
    [ENGINE_LIST] = {ACCESS_VIEWER, NULL},
    [ENGINE_COUNT] = {ACCESS_VIEWER, NULL},
    [ENGINE_QUERY] = {ACCESS_VIEWER, NULL},
    [ENGINE_GET_HISTORY] = {ACCESS_VIEWER, NULL},
    [ENGINE_POLL_WORKFLOW_TASK] = {ACCESS_OPERATOR, NULL},
    [ENGINE_COMPLETE_WORKFLOW_TASK] = {ACCESS_OPERATOR, NULL},
    [ENGINE_FAIL_WORKFLOW_TASK] = {ACCESS_OPERATOR, NULL},
    [ENGINE_COMPLETE_QUERY] = {ACCESS_OPERATOR, NULL},
    [ENGINE_RESET_STICKY] = {ACCESS_OPERATOR, NULL},
    [ENGINE_POLL_ACTIVITY_TASK] = {ACCESS_OPERATOR, NULL},
    [ENGINE_HEARTBEAT] = {ACCESS_OPERATOR, NULL},
    [ENGINE_COMPLETE_ACTIVITY] = {ACCESS_OPERATOR, NULL},
    [ENGINE_FAIL_ACTIVITY] = {ACCESS_OPERATOR, NULL},
    [ENGINE_CANCEL_ACTIVITY] = {ACCESS_OPERATOR, NULL},
    [ENGINE_DESCRIBE_TASK_QUEUE] = {ACCESS_VIEWER, NULL},
    [ENGINE_DESCRIBE_NAMESPACE] = {ACCESS_VIEWER, NULL},
    [ENGINE_REGISTER_NAMESPACE] = {ACCESS_ADMIN, "namespace.create"},
    [ENGINE_LIST_NAMESPACES] = {ACCESS_VIEWER, NULL},
    [ENGINE_UPDATE_NAMESPACE] = {ACCESS_ADMIN, "namespace.update"},
    [ENGINE_GET_SYSTEM_INFO] = {ACCESS_VIEWER, NULL},
    [ENGINE_GET_CLUSTER_INFO] = {ACCESS_VIEWER, NULL},
    [ENGINE_GET_HISTORY_REVERSE] = {ACCESS_VIEWER, NULL},
    [ENGINE_UPDATE_WORKFLOW] = {ACCESS_OPERATOR, "run.update"},
    [ENGINE_POLL_UPDATE] = {ACCESS_VIEWER, NULL},
    [ENGINE_MULTI_OPERATION] = {ACCESS_OPERATOR, "run.submit"},
    [ENGINE_RESET_WORKFLOW] = {ACCESS_OPERATOR, "run.reset"},
    [ENGINE_HEARTBEAT_BY_ID] = {ACCESS_OPERATOR, NULL},
    [ENGINE_COMPLETE_ACTIVITY_BY_ID] = {ACCESS_OPERATOR, NULL},
    [ENGINE_FAIL_ACTIVITY_BY_ID] = {ACCESS_OPERATOR, NULL},
    [ENGINE_CANCEL_ACTIVITY_BY_ID] = {ACCESS_OPERATOR, NULL},
    [ENGINE_SHUTDOWN_WORKER] = {ACCESS_OPERATOR, NULL},
    [ENGINE_LIST_OPEN] = {ACCESS_VIEWER, NULL},
    [ENGINE_LIST_CLOSED] = {ACCESS_VIEWER, NULL},
    [ENGINE_SCAN] = {ACCESS_VIEWER, NULL},
    [ENGINE_GET_SEARCH_ATTRIBUTES] = {ACCESS_VIEWER, NULL},
    [ENGINE_LIST_PARTITIONS] = {ACCESS_VIEWER, NULL},
    [ENGINE_ADD_SEARCH_ATTRIBUTES] = {ACCESS_ADMIN, "namespace.update"},
    [ENGINE_REMOVE_SEARCH_ATTRIBUTES] = {ACCESS_ADMIN, "namespace.update"},
    [ENGINE_LIST_SEARCH_ATTRIBUTES] = {ACCESS_VIEWER, NULL},
    [ENGINE_DELETE_NAMESPACE] = {ACCESS_ADMIN, "namespace.delete"},
    [ENGINE_LIST_CLUSTERS] = {ACCESS_VIEWER, NULL},
};

/* A field by its name; NULL: the message has none of that type. */
static const void *field(const ProtobufCMessage *m, const char *name, ProtobufCType type)
{
    const ProtobufCFieldDescriptor *f = m ? protobuf_c_message_descriptor_get_field_by_name(m->descriptor, name) : NULL;
    return f && f->type == type && f->label != PROTOBUF_C_LABEL_REPEATED ? (const char *)m + f->offset : NULL;
}

static const char *text(const ProtobufCMessage *m, const char *name)
{
    char *const *p = field(m, name, PROTOBUF_C_TYPE_STRING);
    return p && *p && **p ? *p : NULL;
}

/* Which run is meant. */
static const char *subject(const ProtobufCMessage *req)
{
    static const char *const members[] = {"workflow_execution", "execution"};
    const char *id = text(req, "workflow_id");
    for (size_t i = 0; !id && i < sizeof members / sizeof *members; i++) {
        ProtobufCMessage *const *x = field(req, members[i], PROTOBUF_C_TYPE_MESSAGE);
        id = x ? text(*x, "workflow_id") : NULL;
    }
    return id;
}

/* Methods that name no namespace are about none, but for two: these are for who sees them all. A task token opens what it is
 * for, in the namespace that goes with it: whoever is bound to one has to say it. */
static int check_namespace(const struct access_caller *who, enum engine_method m, const char *name_space, struct err *err)
{
    if (name_space || access_sees(who, ACCESS_ALL))
        return 0;
    bool none = m == ENGINE_GET_SYSTEM_INFO || m == ENGINE_GET_CLUSTER_INFO ||
                m == ENGINE_GET_SEARCH_ATTRIBUTES || m == ENGINE_LIST_CLUSTERS;
    return none ? 0
                : err_set(err, ERR_PERMISSION, "token '%s' is for the namespace '%s': the request has to name it", who->name,
                          who->name_space);
}

int rights_check(const char *state_dir, const struct access_caller *who, enum engine_method m, const ProtobufCMessage *req,
                 const char *peer, struct err *err)
{
    const char *name_space = text(req, "namespace");
    enum access_role role = rights[m].role;
    /* An admin of one makes no others, and does not do away with it. */
    bool own = (m == ENGINE_REGISTER_NAMESPACE || m == ENGINE_DELETE_NAMESPACE) && !access_sees(who, ACCESS_ALL);
    int r = own ? err_set(err, ERR_PERMISSION, "token '%s' is for the namespace '%s' alone", who->name, who->name_space)
                : check_namespace(who, m, name_space, err);
    struct audit_entry e = {.who = who, .via = "grpc", .peer = peer, .action = rights[m].audit, .name_space = name_space,
                            .subject = subject(req), .denied = r < 0};
    bool audited = e.action && peer;
    struct err none = {0};
    if (r < 0 && audited && audit_write(state_dir, &e, &none) < 0)
        log_error("%s", none.msg);
    if (r < 0 || !audited)
        return r < 0 ? r : access_allow(who, role, name_space, err);
    return audit_allow(state_dir, &e, role, err);
}

bool rights_starts_run(enum engine_method m)
{
    return m == ENGINE_START_WORKFLOW || m == ENGINE_SIGNAL_WITH_START || m == ENGINE_MULTI_OPERATION ||
           m == ENGINE_RESET_WORKFLOW;
}

const char *rights_namespace(const ProtobufCMessage *req)
{
    const char *name = text(req, "namespace");
    return name ? name : "";
}
