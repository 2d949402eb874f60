/* Calls of guests: from the link to the holder's engine and back. Who connects is this user, whom nothing is refused. */
#include "engine/shared/shared_internal.h"

#include "base/mem.h"

#include <stdlib.h>

struct served {
    struct engine *engine;
    struct link_server *link;
    struct rpc_method methods[ENGINE_METHOD_COUNT_];
};

static void answered(void *arg, ProtobufCMessage *resp, const struct err *err)
{
    if (!err->code) {
        link_call_reply(arg, resp);
        return;
    }
    link_call_fail(arg, err, resp ? engine_detail_name(resp->descriptor) : NULL, resp);
    engine_free_message(resp);
}

static void handle(void *arg, struct link_call *call, const struct rpc_method *method, const ProtobufCMessage *req,
                   int64_t wait_ms)
{
    struct served *s = arg;
    enum engine_method m = (enum engine_method)(method - s->methods);
    engine_call(s->engine, m, req, engine_method_info(m)->flags & ENGINE_LONG_POLL ? wait_ms : 0, answered, call);
}

static void cancel(void *arg, struct link_call *call)
{
    struct served *s = arg;
    engine_cancel(s->engine, answered, call);
}

int served_start(struct engine *outside, struct served **ret, struct err *err)
{
    struct served *s = mem_zalloc(sizeof *s);
    if (!s)
        return err_nomem(err);
    s->engine = outside;
    for (int i = 0; i < ENGINE_METHOD_COUNT_; i++) {
        const struct engine_method_info *info = engine_method_info((enum engine_method)i);
        s->methods[i] = (struct rpc_method){.path = info->path, .request = info->request};
    }
    struct link_server_options o = {
        .methods = s->methods, .methods_count = ENGINE_METHOD_COUNT_, .handle = handle, .cancel = cancel, .arg = s};
    int r = link_server_new(&o, &s->link, err);
    if (r < 0) {
        free(s);
        return r;
    }
    *ret = s;
    return 0;
}

void served_adopt(struct served *s, int fd)
{
    link_server_adopt(s->link, fd);
}

void served_stop(struct served *s, int64_t grace_ms)
{
    if (!s)
        return;
    link_server_free(s->link, grace_ms);
    free(s);
}
