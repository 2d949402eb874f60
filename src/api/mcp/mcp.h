/* The Model Context Protocol (modelcontextprotocol.io/specification): what an AI agent may see of a state and do with it.
 *
 * Versions 2025-06-18 and 2025-11-25, which begin with "initialize", and 2026-07-28, where each request carries its version.
 * Knows nothing of pipes or HTTP: a session takes messages and gives others. Tools, resources and prompts stand on the service
 * layer. Text that came out of a target is marked as such, and made visible (visible.h); docs/mcp.md says how. */
#ifndef FF_API_MCP_MCP_H
#define FF_API_MCP_MCP_H

#include "api/access/access.h"
#include "api/live/live.h"
#include "api/mcp/message.h"
#include "api/service/service.h"

#define MCP_CALLS_MAX 16 /* requests of one session that are worked on at a time */

#define MCP_LATEST "2025-11-25"        /* that begins with "initialize" */
#define MCP_LATEST_MODERN "2026-07-28" /* whose requests stand alone */

struct mcp_options {
    const struct service *service;
    const char *version;   /* of the program */
    const char *state_dir; /* of the audit log */
    struct live *live;     /* what happens in runs, also for reading alone; NULL: not kept */
};

struct mcp;
/* o's pointers are borrowed. */
int mcp_new(const struct mcp_options *o, struct mcp **ret, struct err *err);
void mcp_free(struct mcp *m); /* NULL is fine; sessions are gone before */

struct mcp_session_options {
    struct access_caller caller; /* its namespace is what the session is about; of ACCESS_ALL: "default" */
    const char *peer;            /* for the audit log; NULL: this machine, whose owner's acts are not written down */
    bool local;                  /* the owner of this machine's files: may name them as targets */
};

struct mcp_session;
int mcp_session_new(struct mcp *m, const struct mcp_session_options *o, struct mcp_session **ret, struct err *err);
/* Ends what is being worked on, and waits for it. NULL is fine. */
void mcp_session_free(struct mcp_session *s);
/* As if the client had cancelled each of its requests. */
void mcp_session_cancel_all(struct mcp_session *s);
/* The same, but runs that it waits for go on. */
void mcp_session_leave(struct mcp_session *s);

/* Where messages go. Called from any thread, one message at a time for one call; message is borrowed. */
struct mcp_sink {
    void (*send)(void *arg, const json_t *message);
    void *arg;
};

/* A message on its way. One that is not slow can be run at once; a slow one may take as long as a run does. */
struct mcp_call;
/* Takes the message. NULL: it was dealt with, or answered as an error, right away. Messages are given in the order of their
 * arrival: a cancellation comes after what it cancels. */
struct mcp_call *mcp_call_new(struct mcp_session *s, struct mcp_message *m, const struct mcp_sink *sink);
bool mcp_call_slow(const struct mcp_call *c);
/* Does it, sends the answer, and frees it. A request that was cancelled is not answered: then false. Any thread. */
bool mcp_call_run(struct mcp_call *c);

/* Whether requests of that version stand alone; false: it is not known, or not one of these. */
bool mcp_version_modern(const char *version);
bool mcp_version_known(const char *version);
json_t *mcp_versions(void); /* ["2026-07-28", ...]; new reference */

#endif
