/* Task and page tokens: opaque to callers, bound to what they are for, signed with the state's key
 * (SipHash-2-4), so that one made
 * up by a caller is told from one that has grown stale. */
#ifndef FF_ENGINE_TOKEN_H
#define FF_ENGINE_TOKEN_H

#include "base/err.h"

#include <protobuf-c/protobuf-c.h>
#include <stdint.h>

enum token_kind {
    TOKEN_WORKFLOW_TASK = 'w', /* id: scheduled event, stamp: of the start */
    TOKEN_ACTIVITY_TASK = 'a', /* id: scheduled event, attempt, stamp: time of the start */
    TOKEN_QUERY = 'q',         /* id: of the query, stamp: process generation */
    TOKEN_HISTORY = 'h',       /* id: next event, attempt: enum history_token_flags, stamp: end */
    TOKEN_HISTORY_REVERSE = 'H', /* id: next event, backwards */
    TOKEN_LIST = 'l',          /* id: last run key seen, stamp: hash of the filter */
};

struct token {
    enum token_kind kind;
    int32_t attempt;
    int64_t ns, run_key, id, stamp;
};

#define TOKEN_SIZE 48

/* Into fresh memory, in the shape a message frees. data is NULL when memory is out. */
ProtobufCBinaryData token_make(const uint64_t key[2], const struct token *t);
/* -ERR_INVALID when it is not one of ours. */
int token_read(const uint64_t key[2], const ProtobufCBinaryData *b, struct token *ret,
               struct err *err);
/* The keyed hash itself (SipHash-2-4: Aumasson and Bernstein, 2012). */
uint64_t token_hash(const uint64_t key[2], const void *data, size_t n);

#endif
