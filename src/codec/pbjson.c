#include "codec/pbjson.h"

#include "base/mem.h"
#include "base/strbuf.h"
#include "codec/json.h"
#include "codec/pbx.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static json_t *encode(const ProtobufCMessage *m, int depth);

/* snake_case -> lowerCamelCase */
static void camel(const char *s, char *buf, size_t size)
{
    size_t n = 0;
    bool up = false;
    for (; *s && n + 1 < size; s++) {
        if (*s == '_') {
            up = true;
            continue;
        }
        buf[n++] = up ? (char)toupper((unsigned char)*s) : *s;
        up = false;
    }
    buf[n] = 0;
}

static json_t *int64_json(int64_t v)
{
    char text[32];
    snprintf(text, sizeof text, "%lld", (long long)v);
    return json_string(text);
}

static json_t *uint64_json(uint64_t v)
{
    char text[32];
    snprintf(text, sizeof text, "%llu", (unsigned long long)v);
    return json_string(text);
}

static json_t *real_json(double v)
{
    if (isnan(v))
        return json_string("NaN");
    return isinf(v) ? json_string(v < 0 ? "-Infinity" : "Infinity") : json_real(v);
}

static json_t *scalar(const ProtobufCFieldDescriptor *f, const void *p, int depth)
{
    switch (f->type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
        return json_integer(*(const int32_t *)p);
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
        return json_integer(*(const uint32_t *)p);
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
        return int64_json(*(const int64_t *)p);
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
        return uint64_json(*(const uint64_t *)p);
    case PROTOBUF_C_TYPE_BOOL:
        return json_boolean(*(const protobuf_c_boolean *)p);
    case PROTOBUF_C_TYPE_FLOAT:
        return real_json((double)*(const float *)p);
    case PROTOBUF_C_TYPE_DOUBLE:
        return real_json(*(const double *)p);
    case PROTOBUF_C_TYPE_ENUM: {
        int v = *(const int *)p;
        const ProtobufCEnumValue *e = protobuf_c_enum_descriptor_get_value(f->descriptor, v);
        return e ? json_string(e->name) : json_integer(v);
    }
    case PROTOBUF_C_TYPE_STRING: {
        const char *s = *(char *const *)p;
        return s ? json_string(s) : json_string("");
    }
    case PROTOBUF_C_TYPE_BYTES: {
        const ProtobufCBinaryData *b = p;
        return json_base64(b->data, b->len);
    }
    case PROTOBUF_C_TYPE_MESSAGE:
        return encode(*(ProtobufCMessage *const *)p, depth + 1);
    }
    return NULL;
}

static size_t element_size(const ProtobufCFieldDescriptor *f)
{
    switch (f->type) {
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_MESSAGE:
        return sizeof(void *);
    case PROTOBUF_C_TYPE_BYTES:
        return sizeof(ProtobufCBinaryData);
    case PROTOBUF_C_TYPE_BOOL:
        return sizeof(protobuf_c_boolean);
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_DOUBLE:
        return 8;
    default:
        return 4;
    }
}

/* A generated map is a list of messages with the fields key (1) and value (2), named ...Entry. */
static bool is_map(const ProtobufCFieldDescriptor *f)
{
    if (f->label != PROTOBUF_C_LABEL_REPEATED || f->type != PROTOBUF_C_TYPE_MESSAGE)
        return false;
    const ProtobufCMessageDescriptor *d = f->descriptor;
    size_t n = strlen(d->short_name);
    return n > 5 && strcmp(d->short_name + n - 5, "Entry") == 0 && d->n_fields == 2 &&
           strcmp(d->fields[0].name, "key") == 0 && d->fields[0].type == PROTOBUF_C_TYPE_STRING;
}

static json_t *map_json(const ProtobufCFieldDescriptor *f, ProtobufCMessage *const *list, size_t n, int depth)
{
    const ProtobufCMessageDescriptor *d = f->descriptor;
    json_t *o = json_object();
    for (size_t i = 0; o && i < n; i++) {
        const char *base = (const char *)list[i];
        const char *key = *(char *const *)(base + d->fields[0].offset);
        json_t *v = scalar(&d->fields[1], base + d->fields[1].offset, depth);
        if (!v || json_object_set_new(o, key ? key : "", v) < 0) {
            json_decref(o);
            return NULL;
        }
    }
    return o;
}

static json_t *repeated(const ProtobufCFieldDescriptor *f, const char *list, size_t n, int depth)
{
    if (is_map(f))
        return map_json(f, (ProtobufCMessage *const *)(const void *)list, n, depth);
    json_t *a = json_array();
    for (size_t i = 0; a && i < n; i++) {
        json_t *v = scalar(f, list + i * element_size(f), depth);
        if (!v || json_array_append_new(a, v) < 0) {
            json_decref(a);
            return NULL;
        }
    }
    return a;
}

static bool is_default(const ProtobufCFieldDescriptor *f, const void *p)
{
    static const uint64_t zero;
    switch (f->type) {
    case PROTOBUF_C_TYPE_MESSAGE:
        return *(void *const *)p == NULL;
    case PROTOBUF_C_TYPE_STRING:
        return !*(char *const *)p || !**(char *const *)p;
    case PROTOBUF_C_TYPE_BYTES:
        return ((const ProtobufCBinaryData *)p)->len == 0;
    default:
        return memcmp(p, &zero, element_size(f)) == 0;
    }
}

static json_t *time_json(const ProtobufCMessage *m)
{
    char text[64];
    if (m->descriptor == &pb__timestamp__descriptor) {
        const Pb__Timestamp *t = (const Pb__Timestamp *)m;
        time_t s = (time_t)t->seconds;
        struct tm tm;
        size_t n = gmtime_r(&s, &tm) ? strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm) : 0;
        snprintf(text + n, sizeof text - n, ".%09dZ", (int)t->nanos);
    } else {
        const Pb__Duration *d = (const Pb__Duration *)m;
        const char *sign = d->seconds < 0 || d->nanos < 0 ? "-" : "";
        uint64_t s = d->seconds < 0 ? -(uint64_t)d->seconds : (uint64_t)d->seconds;
        uint32_t n = d->nanos < 0 ? -(uint32_t)d->nanos : (uint32_t)d->nanos;
        if (n)
            snprintf(text, sizeof text, "%s%llu.%09us", sign, (unsigned long long)s, (unsigned)n);
        else
            snprintf(text, sizeof text, "%s%llus", sign, (unsigned long long)s);
    }
    return json_string(text);
}

static json_t *encode(const ProtobufCMessage *m, int depth)
{
    if (depth > PBX_DEPTH_MAX)
        return NULL;
    if (!m) /* the value of a map's entry that has none */
        return json_null();
    if (m->descriptor == &pb__timestamp__descriptor || m->descriptor == &pb__duration__descriptor)
        return time_json(m);
    if (m->descriptor == &pb__payload__descriptor) {
        json_t *plain = NULL;
        if (pbx_payload_json((const Pb__Payload *)m, &plain, NULL) == 0)
            return plain;
    }
    json_t *o = json_object();
    for (unsigned i = 0; o && i < m->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &m->descriptor->fields[i];
        const char *p = (const char *)m + f->offset;
        json_t *v;
        if (f->label == PROTOBUF_C_LABEL_REPEATED) {
            size_t n = *(const size_t *)(const void *)((const char *)m + f->quantifier_offset);
            if (!n)
                continue;
            v = repeated(f, *(char *const *)(const void *)p, n, depth);
        } else {
            bool oneof = (f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0;
            if (oneof && *(const uint32_t *)(const void *)((const char *)m + f->quantifier_offset) != f->id)
                continue;
            if (is_default(f, p))
                continue;
            v = scalar(f, p, depth);
        }
        char name[128];
        camel(f->name, name, sizeof name);
        if (!v || json_object_set_new(o, name, v) < 0) {
            json_decref(o);
            return NULL;
        }
    }
    return o;
}

json_t *pbjson_encode(const ProtobufCMessage *m)
{
    return encode(m, 0);
}
