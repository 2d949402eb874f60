/* Objects of the store, as users name them: by their references. */
#ifndef FF_API_SERVICE_OBJECTS_H
#define FF_API_SERVICE_OBJECTS_H

#include "api/service/service.h"

/* All that fd gives, pinned until it is removed. */
int object_put(const struct service *svc, int fd, const char *media_type, struct store_ref *ret, uint64_t *ret_size,
               struct err *err);
/* As store_list(), store_stat(), store_get_fd(). */
int objects_list(const struct service *svc, bool (*one)(void *arg, const struct store_object_info *i), void *arg,
                 struct err *err);
int object_stat(const struct service *svc, const char *ref, struct store_object_info *ret, struct err *err);
int object_get_fd(const struct service *svc, const char *ref, int fd, uint64_t *ret_size, struct err *err);
/* Before one that a run's history or its findings name is read for whoever sees the run: -ERR_NOT_FOUND if the run's namespace
 * does not have it. A worker of the namespace's may have answered with any name. */
int object_of_run(const struct service *svc, const char *run_id, const char *ref, struct err *err);
/* With the user's pin. -ERR_STATE, -ERR_BUSY: something else keeps it. */
int object_remove(const struct service *svc, const char *ref, struct err *err);
/* {ref, bytes, stored_bytes, media_type, created_at}; NULL: no memory. */
json_t *object_json(const struct store_object_info *i);

#endif
