/* Parts of the MCP server: sessions (session.c), methods (methods.c), tools (tools.c, tool_*.c), resources.c, prompts.c. */
#ifndef FF_API_MCP_MCP_INTERNAL_H
#define FF_API_MCP_MCP_INTERNAL_H

#include "api/mcp/mcp.h"
#include "api/service/run.h"

#include <pthread.h>
#include <stdatomic.h>

#define META_UNTRUSTED "io.fuzzforge/untrusted"
#define META_PROTOCOL "io.modelcontextprotocol/protocolVersion"
#define META_CAPABILITIES "io.modelcontextprotocol/clientCapabilities"
#define META_SERVER "io.modelcontextprotocol/serverInfo"
#define META_LOG_LEVEL "io.modelcontextprotocol/logLevel"

struct mcp {
    struct mcp_options o;
    json_t *tools; /* of tools.yaml */
};

struct mcp_session {
    struct mcp *mcp;
    struct service service; /* a copy, about the session's namespace */
    struct access_caller caller;
    char *peer;
    bool local;
    pthread_mutex_t lock;
    pthread_cond_t cond;
    char version[16]; /* "": initialize was not there yet */
    int log_level;
    atomic_bool closing; /* the client has gone: what it started goes on */
    struct mcp_call *calls; /* that are not finished */
    int count;
};

struct mcp_call {
    struct mcp_call *next;
    struct mcp_session *s;
    struct mcp_message m;
    struct mcp_sink sink;
    const struct method *method;
    atomic_bool cancelled;
    bool modern;
    int log_level; /* -1: no logs are wanted */
    const json_t *progress_token; /* NULL: none */
    double progress;
};

/* A failure as JSON-RPC knows it: what handlers of methods give. */
struct mcp_failure {
    int code;
    char text[ERR_MSG_MAX];
    json_t *data; /* owned, or NULL */
};
/* Gives NULL, so that a handler may return it. */
json_t *mcp_fail(struct mcp_failure *f, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
json_t *mcp_fail_err(struct mcp_failure *f, const struct err *err);

struct method {
    const char *name;
    /* The result, a new reference; NULL: f says why not. */
    json_t *(*handle)(struct mcp_call *c, struct mcp_failure *f);
    enum { METHOD_ANY, METHOD_HANDSHAKE, METHOD_MODERN } era;
    bool early;     /* also before initialize */
    bool slow;
    bool cacheable; /* 2026-07-28 wants to hear for how long its result is good */
};
const struct method *method_find(const char *name);

/* Tells of progress, if it was asked for: total 0: unknown. text may be NULL. */
void mcp_progress(struct mcp_call *c, double total, const char *text);
/* A log message, if this level is wanted. Levels are syslog's: 3 error, 4 warning, 6 info, 7 debug. */
void mcp_log(struct mcp_call *c, int level, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
int mcp_log_level(const char *name); /* -1: there is no such */

/* --- tools -------------------------------------------------------------------------------------------------------------- */

/* args are checked, and have their defaults. *ret is a new reference. */
typedef int tool_fn(struct mcp_call *c, const json_t *args, json_t **ret, struct err *err);
tool_fn tool_list_workflows, tool_workflow_metadata, tool_workflow_parameters, tool_metadata_schema, tool_submit, tool_summary,
    tool_status, tool_findings, tool_recent_runs, tool_fuzzing_stats, tool_crashes, tool_backend, tool_cancel, tool_retry,
    tool_artifact, tool_explain;
int tools_load(json_t **ret, struct err *err);
json_t *tools_list(struct mcp_call *c, struct mcp_failure *f);
json_t *tools_call(struct mcp_call *c, struct mcp_failure *f);

/* A run by its id or the beginning of one. */
int mcp_run(struct mcp_call *c, const char *id, struct run_info *ret, struct err *err);

/* Places in lists: a letter for the list, and where to go on. */
const char *cursor_of(const json_t *params); /* NULL: none is given; "": one that is no text */
json_t *cursor_number(char list, size_t at);
int cursor_read_number(char list, const char *text, size_t *ret, struct err *err); /* text NULL: 0. -ERR_INVALID */
json_t *cursor_bytes(char list, const void *data, size_t n);
int cursor_read_bytes(char list, const char *text, uint8_t **ret, size_t *ret_n, struct err *err);

/* --- the rest ------------------------------------------------------------------------------------------------------------ */

json_t *resources_list(struct mcp_call *c, struct mcp_failure *f);
json_t *resources_templates(struct mcp_call *c, struct mcp_failure *f);
json_t *resources_read(struct mcp_call *c, struct mcp_failure *f);
json_t *prompts_list(struct mcp_call *c, struct mcp_failure *f);
json_t *prompts_get(struct mcp_call *c, struct mcp_failure *f);

/* [{name, module, ref, bytes, media_type}] */
int mcp_artifacts(struct mcp_call *c, const char *run_id, char **ret_id, json_t **ret, struct err *err);

#endif
