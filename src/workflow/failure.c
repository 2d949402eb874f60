/* Failures of the protocol <-> error values of a script.
 *
 * An error value is a table {type, message, retryable, details, activity | child, where} with a
 * metatable that shows it as "type: message". Behind one that an activity or a child gave stands the failure of the protocol,
 * which a script does not see: an ActivityFailure or ChildWorkflowExecutionFailure around what the server said, as Temporal's
 * SDKs have it. If nobody catches the error, that is how the run fails. */
#include "workflow/workflow_internal.h"

#include "base/mem.h"
#include "codec/json.h"
#include "codec/pbx.h"

#include <stdio.h>
#include <string.h>

#define KEPT_BYTES_MAX ((size_t)256 << 10)
#define KEPT_DEPTH_MAX 20 /* causes; the scan of a message allows some hundred levels */

const char failure_key;
static const char kept_key; /* registry: error table -> its failure, packed; weak keys */

/* Pushes the field of the table at idx if it is a string, without metamethods. */
static const char *raw_string(lua_State *L, int idx, const char *key)
{
    idx = lua_absindex(L, idx);
    lua_pushstring(L, key);
    lua_rawget(L, idx);
    return lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : NULL;
}

static int failure_tostring(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    const char *type = raw_string(L, 1, "type"), *message = raw_string(L, 1, "message");
    lua_pushfstring(L, "%s: %s", type ? type : "Error", message ? message : "");
    return 1;
}

void failure_open(lua_State *L)
{
    lua_createtable(L, 0, 3);
    lua_pushcfunction(L, failure_tostring);
    lua_setfield(L, -2, "__tostring");
    lua_pushliteral(L, "ff.error");
    lua_setfield(L, -2, "__name");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_rawsetp(L, LUA_REGISTRYINDEX, &failure_key);
    lua_newtable(L);
    lua_createtable(L, 0, 1);
    lua_pushliteral(L, "k");
    lua_setfield(L, -2, "__mode");
    lua_setmetatable(L, -2);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &kept_key);
}

void failure_keep(lua_State *L, const Pb__Failure *f)
{
    int depth = 0;
    for (const Pb__Failure *c = f; c; c = c->cause)
        depth++;
    size_t n = protobuf_c_message_get_packed_size(&f->base);
    if (n > KEPT_BYTES_MAX || depth > KEPT_DEPTH_MAX)
        return; /* the error's own words are what the run fails with */
    luaL_checkstack(L, 4, NULL);
    int error = lua_gettop(L);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &kept_key);
    lua_pushvalue(L, error);
    pb__failure__pack(f, lua_newuserdatauv(L, n, 1));
    lua_pushliteral(L, "message");
    lua_rawget(L, error);
    lua_setiuservalue(L, -2, 1); /* a script that writes another one wants it to be read */
    lua_rawset(L, -3);
    lua_pop(L, 1);
}

/* What was kept for the error table at idx, the caller's; NULL: nothing. *ret_same: it still has its message. */
static Pb__Failure *kept_failure(lua_State *L, int idx, bool *ret_same)
{
    int top = lua_gettop(L);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &kept_key);
    lua_pushvalue(L, idx);
    const void *packed = lua_rawget(L, -2) == LUA_TUSERDATA ? lua_touserdata(L, -1) : NULL;
    ProtobufCMessage *m = NULL;
    if (packed) {
        lua_getiuservalue(L, -1, 1);
        lua_pushliteral(L, "message");
        lua_rawget(L, idx);
        *ret_same = lua_rawequal(L, -1, -2);
        if (pbx_unpack(&pb__failure__descriptor, packed, lua_rawlen(L, top + 2), &m, NULL) < 0)
            m = NULL;
    }
    lua_settop(L, top);
    return (Pb__Failure *)m;
}

void failure_push(lua_State *L, const char *type, const char *message, bool retryable)
{
    luaL_checkstack(L, 6, NULL);
    lua_createtable(L, 0, 6);
    lua_pushstring(L, type);
    lua_setfield(L, -2, "type");
    lua_pushstring(L, message);
    lua_setfield(L, -2, "message");
    lua_pushboolean(L, retryable);
    lua_setfield(L, -2, "retryable");
    lua_rawgetp(L, LUA_REGISTRYINDEX, &failure_key);
    lua_setmetatable(L, -2);
}

void failure_push_cancelled(lua_State *L)
{
    const struct workflow *w = workflow_of(L);
    failure_push(L, "Cancelled", w->cancel_cause && *w->cancel_cause ? w->cancel_cause : "cancelled", false);
}

bool failure_is_cancelled(lua_State *L, int idx)
{
    idx = lua_absindex(L, idx);
    if (lua_type(L, idx) != LUA_TTABLE || !lua_checkstack(L, 3))
        return false;
    const char *type = raw_string(L, idx, "type");
    bool r = type && strcmp(type, "Cancelled") == 0;
    lua_pop(L, 1);
    return r;
}

static const char *timeout_name(Pb__TimeoutType t)
{
    static const char *const names[] = {"", "start to close", "schedule to start", "schedule to close", "heartbeat"};
    return t > 0 && t < 5 ? names[t] : "timeout";
}

static void push_details(lua_State *L, const Pb__Payloads *details)
{
    if (!details)
        return;
    if (value_read_payload(L, details))
        lua_setfield(L, -2, "details");
    else
        lua_pop(L, 1);
}

static bool is_envelope(const Pb__Failure *f)
{
    return f && f->cause &&
           (f->failure_info_case == PB__FAILURE__FAILURE_INFO_ACTIVITY_FAILURE_INFO ||
            f->failure_info_case == PB__FAILURE__FAILURE_INFO_CHILD_WORKFLOW_EXECUTION_FAILURE_INFO);
}

/* "activity 'probe': " */
static void push_envelope(lua_State *L, const Pb__Failure *f)
{
    bool activity = f->failure_info_case == PB__FAILURE__FAILURE_INFO_ACTIVITY_FAILURE_INFO;
    const Pb__ActivityType *a = activity ? f->activity_failure_info->activity_type : NULL;
    const Pb__WorkflowType *w = activity ? NULL : f->child_workflow_execution_failure_info->workflow_type;
    lua_pushfstring(L, "%s '%s': ", activity ? "activity" : "child workflow", a ? a->name : w ? w->name : "");
}

void failure_push_pb(lua_State *L, const Pb__Failure *f, const char *field, const char *name, const char *verb)
{
    luaL_checkstack(L, 8, NULL);
    lua_pushliteral(L, "");
    for (int depth = 0; is_envelope(f) && depth < 10; depth++) { /* what is inside tells more */
        push_envelope(L, f);
        lua_concat(L, 2);
        f = f->cause;
    }
    lua_pushstring(L, f && *f->message ? f->message : verb);
    lua_concat(L, 2);
    const char *message = lua_tostring(L, -1);
    switch (f ? f->failure_info_case : PB__FAILURE__FAILURE_INFO__NOT_SET) {
    case PB__FAILURE__FAILURE_INFO_APPLICATION_FAILURE_INFO: {
        const Pb__ApplicationFailureInfo *i = f->application_failure_info;
        failure_push(L, *i->type ? i->type : "Error", message, !i->non_retryable);
        push_details(L, i->details);
        break;
    }
    case PB__FAILURE__FAILURE_INFO_TIMEOUT_FAILURE_INFO: {
        const char *kind = timeout_name(f->timeout_failure_info->timeout_type);
        lua_pushfstring(L, "timed out (%s)", kind);
        failure_push(L, "Timeout", lua_tostring(L, -1), true);
        lua_remove(L, -2);
        lua_pushstring(L, kind);
        lua_setfield(L, -2, "timeout");
        push_details(L, f->timeout_failure_info->last_heartbeat_details);
        break;
    }
    case PB__FAILURE__FAILURE_INFO_CANCELED_FAILURE_INFO:
        failure_push(L, "Cancelled", message, false);
        push_details(L, f->canceled_failure_info->details);
        break;
    case PB__FAILURE__FAILURE_INFO_TERMINATED_FAILURE_INFO:
        failure_push(L, "Terminated", message, false);
        break;
    default:
        failure_push(L, "Error", message, true);
    }
    lua_remove(L, -2);
    lua_pushstring(L, name);
    lua_setfield(L, -2, field);
}

/* Makes an error table of what a script gave: a table or a message. */
static void make(lua_State *L, const char *who)
{
    static const char *const copied[] = {"type", "message", "retryable", "details"};
    if (lua_type(L, 1) == LUA_TTABLE) {
        failure_push(L, "Error", "", true);
        for (size_t i = 0; i < sizeof copied / sizeof *copied; i++) {
            lua_pushstring(L, copied[i]);
            if (lua_rawget(L, 1) == LUA_TNIL) {
                lua_pop(L, 1);
                continue;
            }
            if (i < 2 && lua_type(L, -1) != LUA_TSTRING)
                luaL_error(L, "%s: %s must be a string", who, copied[i]);
            lua_setfield(L, -2, copied[i]);
        }
    } else {
        failure_push(L, "Error", luaL_checkstring(L, 1), true);
    }
    luaL_where(L, 1);
    if (*lua_tostring(L, -1)) {
        const char *where = lua_tostring(L, -1);
        lua_pushlstring(L, where, strcspn(where, " ") - 1); /* "workflow.lua:3: " */
        lua_setfield(L, -3, "where");
    }
    lua_pop(L, 1);
}

int failure_raise(lua_State *L)
{
    make(L, "ff.error");
    return lua_error(L);
}

int failure_new(lua_State *L)
{
    make(L, "ff.new_error");
    return 1;
}

/* f becomes the failure of the run; NULL: memory is out. */
static void set_failure(struct workflow *w, Pb__Failure *f, const char *stack)
{
    if (w->failure)
        pb__failure__free_unpacked(w->failure, NULL);
    w->failure = f;
    if (!f) {
        w->heap.failed = true;
        w->failed = -ERR_NO_MEMORY;
        return;
    }
    char *copy = stack ? mem_strndup(stack, 8192) : NULL;
    if (copy) {
        if (f->stack_trace != (const char *)protobuf_c_empty_string)
            free(f->stack_trace);
        f->stack_trace = copy;
    }
}

void failure_set(struct workflow *w, const char *type, const char *message, const char *stack, bool non_retryable,
                 const json_t *details)
{
    set_failure(w, pbx_app_failure(message, type, non_retryable, details), stack);
}

static int write_details(lua_State *L)
{
    value_write(L, 1, &workflow_of(L)->text[1], "details", PAYLOAD_BYTES_MAX / 4);
    return 0;
}

/* The details of an error table as JSON, if they can be. */
static json_t *details_of(struct workflow *w, lua_State *L, int idx)
{
    lua_pushliteral(L, "details");
    lua_rawget(L, idx);
    if (lua_isnil(L, -1) || !lua_checkstack(w->L, 4)) {
        lua_pop(L, 1);
        return NULL;
    }
    lua_pushcfunction(w->L, write_details);
    lua_xmove(L, w->L, 1);
    json_t *j = NULL;
    if (lua_pcall(w->L, 1, 0, 0) == LUA_OK)
        j = json_loadb(w->text[1].s, w->text[1].len, JSON_DECODE_ANY, NULL);
    else
        lua_pop(w->L, 1);
    return j;
}

/* What the table itself says; cause, which is taken, stands behind it. */
static void from_table(struct workflow *w, lua_State *L, int idx, const char *stack, Pb__Failure *cause)
{
    int top = lua_gettop(L);
    const char *type = raw_string(L, idx, "type"), *message = raw_string(L, idx, "message");
    const char *activity = raw_string(L, idx, "activity"), *child = raw_string(L, idx, "child");
    lua_pushliteral(L, "retryable");
    lua_rawget(L, idx);
    bool non_retryable = lua_isboolean(L, -1) && !lua_toboolean(L, -1);
    if (!message)
        message = "the script raised a table without a message";
    bool named = !cause && (activity || child);
    char *full = named ? mem_printf("%s '%s': %s", activity ? "activity" : "child workflow", activity ? activity : child, message)
                       : mem_strdup(message);
    json_t *details = details_of(w, L, idx);
    Pb__Failure *f = full ? pbx_app_failure(full, type ? type : "ScriptError", non_retryable, details) : NULL;
    if (f)
        f->cause = cause;
    else if (cause)
        pb__failure__free_unpacked(cause, NULL);
    set_failure(w, f, stack);
    json_decref(details);
    free(full);
    lua_settop(L, top);
}

void failure_from_error(struct workflow *w, lua_State *L, int idx, const char *stack)
{
    char text[64];
    idx = lua_absindex(L, idx);
    luaL_checkstack(L, 8, NULL);
    if (lua_type(L, idx) == LUA_TSTRING || lua_type(L, idx) == LUA_TNUMBER) {
        lua_pushvalue(L, idx);
        failure_set(w, "ScriptError", lua_tostring(L, -1), stack, false, NULL);
        lua_pop(L, 1);
        return;
    }
    if (lua_type(L, idx) != LUA_TTABLE) {
        snprintf(text, sizeof text, "the script raised a %s value", luaL_typename(L, idx));
        failure_set(w, "ScriptError", text, stack, false, NULL);
        return;
    }
    bool same = false;
    Pb__Failure *kept = kept_failure(L, idx, &same);
    if (kept && same)
        set_failure(w, kept, stack);
    else
        from_table(w, L, idx, stack, kept);
}
