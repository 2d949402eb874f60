#include "api/service/objects.h"

#include "api/client/remote.h"
#include "os/clock.h"
#include "store/owned.h"

#include <stdio.h>

#define OWNER_MAX (STORE_REF_LEN + 8)

/* The owner of the pin of an object that a user has put: one an object, so that it can be taken back alone. */
static void pin_owner(const char *ref, char buf[OWNER_MAX])
{
    snprintf(buf, OWNER_MAX, "user/%s", ref);
}

int object_put(const struct service *svc, int fd, const char *media_type, struct store_ref *ret, uint64_t *ret_size,
               struct err *err)
{
    char owner[OWNER_MAX];
    if (svc->client)
        return client_object_put(svc->client, fd, media_type, ret, ret_size, err);
    int r = store_put_fd(svc->store, STORE_RESULTS, fd, UINT64_MAX, media_type, ret, ret_size, err);
    pin_owner(ret->text, owner);
    return r < 0 ? r : store_pin(svc->store, owner, ret->text, 0, err);
}

int objects_list(const struct service *svc, bool (*one)(void *arg, const struct store_object_info *i), void *arg,
                 struct err *err)
{
    return svc->client ? client_objects(svc->client, one, arg, err) : store_list(svc->store, one, arg, err);
}

int object_stat(const struct service *svc, const char *ref, struct store_object_info *ret, struct err *err)
{
    return svc->client ? client_object(svc->client, ref, ret, err) : store_stat(svc->store, ref, ret, err);
}

int object_get_fd(const struct service *svc, const char *ref, int fd, uint64_t *ret_size, struct err *err)
{
    return svc->client ? client_object_get(svc->client, ref, fd, ret_size, err)
                       : store_get_fd(svc->store, ref, fd, ret_size, err);
}

int object_of_run(const struct service *svc, const char *run_id, const char *ref, struct err *err)
{
    return store_owned(svc->store, service_namespace(svc), run_id, ref, NULL, err);
}

int object_remove(const struct service *svc, const char *ref, struct err *err)
{
    char owner[OWNER_MAX];
    if (svc->client)
        return client_object_remove(svc->client, ref, err);
    pin_owner(ref, owner);
    int r = store_unpin_owner(svc->store, owner, err);
    return r < 0 ? r : store_remove(svc->store, ref, err);
}

json_t *object_json(const struct store_object_info *i)
{
    char created[32];
    return json_pack("{s:s, s:I, s:I, s:s, s:s}", "ref", i->ref.text, "bytes", (json_int_t)i->size_bytes, "stored_bytes",
                     (json_int_t)i->stored_bytes, "media_type", i->media_type, "created_at",
                     os_format_time(i->created_ns, created));
}
