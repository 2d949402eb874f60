/* All generated messages: Pb__<Name>, from proto/NAME.proto by protoc-c. */
#ifndef FF_PROTO_PB_H
#define FF_PROTO_PB_H

#include "command.pb-c.h"
#include "common.pb-c.h"
#include "enums.pb-c.h"
#include "embedded_state.pb-c.h"
#include "error_details.pb-c.h"
#include "health.pb-c.h"
#include "history.pb-c.h"
#include "operator.pb-c.h"
#include "rpc_status.pb-c.h"
#include "service.pb-c.h"
#include "state.pb-c.h"
#include "update.pb-c.h"
#include "wellknown.pb-c.h"

#endif
