/* All payloads of a message, whatever their place in it. */
#ifndef FF_CODEC_PBWALK_H
#define FF_CODEC_PBWALK_H

#include "proto/pb.h"

/* Called for each; a negative answer ends the walk and is its result. It may change the payload in place. */
typedef int pbwalk_fn(void *arg, Pb__Payload *p);

/* Calls fn for each payload in m, but not for those of search attributes, which the server must be able to read. Any depth
 * below a hundred (what pbx_scan() lets in). */
int pbwalk_payloads(ProtobufCMessage *m, pbwalk_fn *fn, void *arg);

#endif
