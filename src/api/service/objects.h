/* Objects of the store, as users name them: by their references. */
#ifndef FF_API_SERVICE_OBJECTS_H
#define FF_API_SERVICE_OBJECTS_H

#include "api/service/service.h"

#define OBJECT_OWNER_MAX (STORE_REF_LEN + 8)

/* The owner of the pin of an object that a user has put: one an object, so that it can be taken back alone. */
void object_pin_owner(const char *ref, char buf[OBJECT_OWNER_MAX]);
/* As store_list(), store_stat(), store_get_fd(). */
int objects_list(const struct service *svc, bool (*one)(void *arg, const struct store_object_info *i), void *arg,
                 struct err *err);
int object_stat(const struct service *svc, const char *ref, struct store_object_info *ret, struct err *err);
int object_get_fd(const struct service *svc, const char *ref, int fd, uint64_t *ret_size, struct err *err);
/* With the user's pin. -ERR_STATE, -ERR_BUSY: something else keeps it. */
int object_remove(const struct service *svc, const char *ref, struct err *err);
/* {ref, bytes, stored_bytes, media_type, created_at}; NULL: no memory. */
json_t *object_json(const struct store_object_info *i);

#endif
