/* What the streams of an MCP session have said, kept for a while: a client whose connection broke goes on where it was, by the id
 * of the last event that it has seen (Last-Event-ID). */
#ifndef FF_API_MCP_REPLAY_H
#define FF_API_MCP_REPLAY_H

#include "api/rest/feed.h"

#include <stdint.h>

#define REPLAY_STREAMS 16              /* of a session, the last ones */
#define REPLAY_BYTES ((size_t)4 << 20) /* of a session; a stream with more cannot be gone back to its beginning */

struct replay;

/* NULL when memory is out. Any thread may call all of these. */
struct replay *replay_new(void);
void replay_free(struct replay *r); /* streams that go on lose their reader; NULL is fine */
/* A stream begins, read by feed, whose pushing side is the stream's from here on. Its number; 0: memory is out, and feed is
 * the caller's. */
uint32_t replay_begin(struct replay *r, struct rest_feed *feed);
/* A message on it: a JSON text. */
void replay_push(struct replay *r, uint32_t stream, const char *text);
void replay_end(struct replay *r, uint32_t stream);
/* What came after that event, and what will; the reader's side is the caller's. NULL: there was no such event, or what came
 * after it is not kept any more. */
struct rest_feed *replay_resume(struct replay *r, const char *event_id);

#endif
