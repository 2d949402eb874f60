/* Protobuf messages as JSON, by protobuf's own mapping (protobuf.dev/programming-guides/json): what `--json` shows of a
 * history, as Temporal's tools print it. One way: nothing reads this back. */
#ifndef FF_CODEC_PBJSON_H
#define FF_CODEC_PBJSON_H

#include <jansson.h>
#include <protobuf-c/protobuf-c.h>

/* New reference; NULL when memory is out or nesting is deeper than 100. Fields that have their default are left out, bytes are
 * base64, enums are names, int64 are strings. Payloads whose encoding is JSON are shown decoded in "json". */
json_t *pbjson_encode(const ProtobufCMessage *m);

#endif
