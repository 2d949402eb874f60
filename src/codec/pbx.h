/* Protobuf helpers: bounded decoding and the small constructions that every user of proto/ needs.
 *
 * protobuf-c's unpack recurses without a limit, so bytes from outside (and from disk) pass pbx_scan()
 * first: an iterative walk that knows the descriptor. */
#ifndef FF_CODEC_PBX_H
#define FF_CODEC_PBX_H

#include "base/err.h"
#include "proto/pb.h"

#include <jansson.h>
#include <stdint.h>

#define PBX_DEPTH_MAX 100
#define PBX_EXPANSION_MAX 32 /* decoded size / wire size, before small messages' constant */

/* Checks framing, depth, UTF-8 of strings, number of fields, and expansion. */
int pbx_scan(const ProtobufCMessageDescriptor *d, const void *data, size_t len, struct err *err);
/* Scan, then unpack. Free with protobuf_c_message_free_unpacked(m, NULL). */
int pbx_unpack(const ProtobufCMessageDescriptor *d, const void *data, size_t len,
               ProtobufCMessage **ret, struct err *err);
/* The same for a message that is only read, in one piece of memory: *ret lives as long as the block. */
struct pbx_block;
int pbx_unpack_block(const ProtobufCMessageDescriptor *d, const void *data, size_t len, struct pbx_block **ret_block,
                     const ProtobufCMessage **ret, struct err *err);
void pbx_block_free(struct pbx_block *b); /* NULL is fine */
/* Packs into fresh memory that the caller frees. */
int pbx_pack(const ProtobufCMessage *m, uint8_t **ret, size_t *ret_len, struct err *err);
/* Deep copy by packing and unpacking (unknown fields included). */
int pbx_dup(const ProtobufCMessage *m, ProtobufCMessage **ret, struct err *err);

/* Everything below allocates with malloc, in the shape that protobuf_c_message_free_unpacked() frees.
 * NULL when memory is out. */
char *pbx_str(const char *s); /* NULL gives protobuf's empty string */
Pb__Timestamp *pbx_timestamp(int64_t unix_ns);
Pb__Duration *pbx_duration(int64_t ns);
int64_t pbx_timestamp_ns(const Pb__Timestamp *t); /* 0 for NULL; clamped to what int64 holds */
int64_t pbx_duration_ns(const Pb__Duration *d);   /* 0 for NULL; clamped */

/* Metadata of a payload whose bytes are in the object store, under that name (engine/offload/offload.h). */
#define PBX_OBJECT_KEY "ff-object"
/* Beside it, while the store cannot be asked for them: why not. */
#define PBX_AWAY_KEY "ff-away"

/* Payloads with metadata encoding = "json/plain" and one payload of the JSON text. */
Pb__Payload *pbx_json_payload(const json_t *j);
Pb__Payloads *pbx_json_payloads(const json_t *j);
/* Decodes payload i; *ret is a new reference, JSON null for no payload, binary/null or index out of range.
 * -ERR_INVALID for an encoding that is not JSON; for bytes in a store -ERR_NOT_FOUND if it does not have them, -ERR_UNAVAILABLE
 * if that is not known. */
int pbx_payload_json(const Pb__Payload *p, json_t **ret, struct err *err);
int pbx_payloads_json(const Pb__Payloads *p, size_t i, json_t **ret, struct err *err);
/* An application failure as Temporal's SDKs write it. details may be NULL. */
Pb__Failure *pbx_app_failure(const char *message, const char *type, bool non_retryable,
                             const json_t *details);
/* Its message with those of its causes, "a: b: c"; at most some 4 KB. */
char *pbx_failure_text(const Pb__Failure *f);

#endif
