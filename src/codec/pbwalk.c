#include "codec/pbwalk.h"

#include "codec/pbx.h"

struct walk {
    pbwalk_fn *fn;
    void *arg;
};

static int visit(const struct walk *w, ProtobufCMessage *m, int depth);

static int visit_field(const struct walk *w, ProtobufCMessage *m, const ProtobufCFieldDescriptor *f, int depth)
{
    char *at = (char *)m + f->offset, *quantifier = (char *)m + f->quantifier_offset;
    if (f->label == PROTOBUF_C_LABEL_REPEATED) {
        size_t n = *(size_t *)(void *)quantifier;
        ProtobufCMessage **list = *(ProtobufCMessage ***)(void *)at;
        int r = 0;
        for (size_t i = 0; r == 0 && i < n; i++)
            r = visit(w, list[i], depth);
        return r;
    }
    if ((f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) && *(uint32_t *)(void *)quantifier != f->id)
        return 0; /* another member is set */
    ProtobufCMessage *sub = *(ProtobufCMessage **)(void *)at;
    return sub ? visit(w, sub, depth) : 0;
}

static int visit(const struct walk *w, ProtobufCMessage *m, int depth)
{
    const ProtobufCMessageDescriptor *d = m->descriptor;
    if (d == &pb__payload__descriptor)
        return w->fn(w->arg, (Pb__Payload *)m);
    if (d == &pb__search_attributes__descriptor || depth >= PBX_DEPTH_MAX)
        return 0;
    int r = 0;
    for (unsigned i = 0; r == 0 && i < d->n_fields; i++)
        if (d->fields[i].type == PROTOBUF_C_TYPE_MESSAGE)
            r = visit_field(w, m, &d->fields[i], depth + 1);
    return r;
}

int pbwalk_payloads(ProtobufCMessage *m, pbwalk_fn *fn, void *arg)
{
    const struct walk w = {fn, arg};
    return visit(&w, m, 0);
}
