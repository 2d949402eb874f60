/* What all ways in need: the command line, REST and MCP ask the same functions, which give documents or plain structures.
 *
 * A service borrows the opened parts of a state. It prints nothing and keeps nothing: any thread may use it at any time.
 * Functions block as long as engine and store do. */
#ifndef FF_API_SERVICE_SERVICE_H
#define FF_API_SERVICE_SERVICE_H

#include "engine/engine.h"
#include "ingest/ingest.h"
#include "module/registry.h"
#include "sandbox/sandbox.h"
#include "store/store.h"
#include "store/workspace.h"
#include "toolbox/toolbox.h"

#include <jansson.h>
#include <stdint.h>

struct client;

/* All borrowed. What a function does not need may be NULL. */
struct service {
    struct client *client; /* of a server, which is asked instead of all that follows (api/client/remote.h); NULL: none */
    struct engine *engine;
    struct store *store;
    struct workspaces *workspaces;
    struct toolbox *toolbox;
    struct spawner *spawner;                /* for archives and git */
    const struct module_registry *modules;
    const json_t *module_dirs;              /* array of absolute paths that runs carry with them; NULL: none */
    const char *state_dir;                  /* never part of a target */
    const char *suppressions;               /* the suppression file, there or not; NULL: none */
    bool suppressions_trusted;              /* false: its content counts for nothing */
    const char *version;                    /* of the program */
    /* The engine's namespace that all of this is about; NULL: "default". A caller who is bound to one gets a copy of the
     * service with it. */
    const char *name_space;
    /* Sees to it that somebody works for a namespace before a run is started in it; NULL: somebody does. */
    int (*need_namespace)(void *arg, const char *name_space, struct err *err);
    void *need_namespace_arg;
    /* May the namespace begin one more run, over a target of so many bytes? -ERR_QUOTA. The place and the room it gives are kept
     * for the run until admitted() says that the engine knows of it, or that nothing came of it. NULL: nothing is bounded. */
    int (*admit)(void *arg, const struct service *svc, uint64_t bytes, struct err *err);
    void (*admitted)(void *arg, const struct service *svc, uint64_t bytes);
    /* Would a target of so many bytes have room now? Asked while it is read. -ERR_QUOTA. NULL: nothing is bounded. */
    int (*has_room)(void *arg, const struct service *svc, uint64_t bytes, struct err *err);
    void *admit_arg;
    /* What a submission is bound by. */
    enum sandbox_network network_max;
    struct ingest_limits limits;
    const char *git_ca_file;                /* see struct ingest_options */
    const char *fetch_dir;                  /* for what is fetched; made when it is needed */
};

/* What can be done with tokens, also through a server. */
enum token_verb { TOKEN_LIST, TOKEN_CREATE, TOKEN_REVOKE, TOKEN_REVOKE_SESSIONS };
/* What keeps house, also through a server. */
enum house_verb { HOUSE_GC, HOUSE_VERIFY, HOUSE_CLEAN, HOUSE_AUDIT, HOUSE_INIT, HOUSE_REKEY, HOUSE_MIGRATE };

static inline int service_admit(const struct service *svc, uint64_t bytes, struct err *err)
{
    return svc->admit ? svc->admit(svc->admit_arg, svc, bytes, err) : 0;
}

static inline void service_admitted(const struct service *svc, uint64_t bytes)
{
    if (svc->admitted)
        svc->admitted(svc->admit_arg, svc, bytes);
}

static inline char *service_namespace(const struct service *svc)
{
    return (char *)(uintptr_t)(svc->name_space ? svc->name_space : "default");
}

#endif
