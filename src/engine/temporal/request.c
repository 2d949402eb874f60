/* What a request is given on its way to the cluster. */
#include "temporal_internal.h"

#include "base/mem.h"
#include "os/clock.h"

#include <string.h>

/* The string field of that name, or NULL. */
static char **text_field(const ProtobufCMessage *m, const char *name)
{
    const ProtobufCFieldDescriptor *f = protobuf_c_message_descriptor_get_field_by_name(m->descriptor, name);
    return f && f->type == PROTOBUF_C_TYPE_STRING && f->label != PROTOBUF_C_LABEL_REPEATED ? (char **)((char *)m + f->offset)
                                                                                            : NULL;
}

static bool is(char *const *field, const char *text)
{
    return field && strcmp(*field ? *field : "", text) == 0;
}

int temporal_request(const struct temporal *t, const ProtobufCMessage *req, char id[37], const ProtobufCMessage **ret,
                     void **ret_copy, struct err *err)
{
    bool name_space = strcmp(t->name_space, "default") != 0 && is(text_field(req, "namespace"), "default");
    bool request_id = is(text_field(req, "request_id"), "");
    bool identity = t->identity && is(text_field(req, "identity"), "");
    *ret = req;
    *ret_copy = NULL;
    if (!name_space && !request_id && !identity)
        return 0;
    ProtobufCMessage *copy = mem_dup(req, req->descriptor->sizeof_message);
    if (!copy)
        return err_nomem(err);
    if (name_space)
        *text_field(copy, "namespace") = t->name_space;
    if (request_id) {
        os_uuid(id);
        *text_field(copy, "request_id") = id;
    }
    if (identity)
        *text_field(copy, "identity") = t->identity;
    *ret = copy;
    *ret_copy = copy;
    return 0;
}
