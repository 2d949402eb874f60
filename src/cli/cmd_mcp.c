/* ff mcp: the state, for an AI agent that starts this program and speaks MCP with it. */
#include "api/client/bridge.h"
#include "api/mcp/stdio.h"
#include "cli/cmd_run.h"
#include "cli/follow.h"
#include "version.h"

#include <signal.h>
#include <unistd.h>

/* Runs go on when the agent has left. */
static void leave(struct app *app)
{
    Pb__CountWorkflowExecutionsRequest q = PB__COUNT_WORKFLOW_EXECUTIONS_REQUEST__INIT;
    ProtobufCMessage *m = NULL;
    struct err err = {0};
    q.namespace_ = service_namespace(&app->service);
    q.query = (char *)(uintptr_t) "ExecutionStatus = 'Running'";
    int r = engine_call_sync(app->engine, ENGINE_COUNT, &q.base, 0, &m, &err);
    bool running = r == 0 && ((const Pb__CountWorkflowExecutionsResponse *)m)->count > 0;
    engine_free_message(m);
    if (running && app->share)
        hold_in_background(app, NULL);
    else
        app_close_state(app);
}

static int through_server(struct app *app)
{
    struct err err = {0};
    int r = app_open(app, APP_ENGINE, &err);
    if (r == 0)
        r = client_mcp_bridge(app->client, STDIN_FILENO, STDOUT_FILENO, follow_signal_fd(), &err);
    return r < 0 ? app_fail(app, &err) : EXIT_OK;
}

static int mcp(struct app *app, const struct args *a)
{
    struct err err = {0};
    struct mcp *m = NULL;
    struct live *live = NULL;
    struct mcp_session_options o = {.local = true};
    (void)a;
    signal(SIGPIPE, SIG_IGN);
    app->quiet = true; /* stdout is the protocol's */
    follow_prepare(app, false);
    if (app->remote)
        return through_server(app);
    int r = app_open(app, APP_WORKER, &err);
    if (r < 0)
        return app_fail(app, &err);
    live_open_reader(app->state_dir, &live, NULL); /* of a server, if there was one */
    struct mcp_options mo = {.service = &app->service, .version = FF_VERSION, .state_dir = app->state_dir, .live = live};
    access_local_caller("ff mcp", &o.caller);
    r = mcp_new(&mo, &m, &err);
    if (r == 0)
        r = mcp_stdio(m, &o, STDIN_FILENO, STDOUT_FILENO, follow_signal_fd(), &err);
    mcp_free(m);
    live_close(live);
    leave(app);
    return r < 0 ? app_fail(app, &err) : EXIT_OK;
}

const struct command cmd_mcp = {
    .remote = true,
    .name = "mcp",
    .summary = "Speak MCP on stdin and stdout, for an AI agent",
    .usage = "",
    .details = "The agent starts this program and asks for workflows, runs and findings (docs/mcp.md). It holds the engine, or\n"
               "uses the one that runs; with --server it hands on what an agent that speaks no HTTP and a server's /mcp say to\n"
               "each other. Ends when stdin does; runs go on in the background.",
    .examples = "  in the client's file of servers:\n"
                "  {\"mcpServers\": {\"fuzzforge\": {\"command\": \"ff\", \"args\": [\"mcp\"]}}}",
    .run = mcp,
};
