/* libmicrohttpd, loaded when a server is first asked for: linked in, each process that is forked for an activity would map it
 * and the nine libraries that it depends on. Types are those of its own header. The same for wslay. */
#ifndef FF_API_REST_MHD_H
#define FF_API_REST_MHD_H

#include "os/library.h"

#include <microhttpd.h>
#include <wslay/wslay.h>

#define MHD_CALLS(X) \
    X(MHD_add_connection) X(MHD_add_response_header) X(MHD_create_response_from_buffer)                                    \
    X(MHD_create_response_from_callback)                                                                                  \
    X(MHD_create_response_from_fd64) X(MHD_create_response_for_upgrade) X(MHD_destroy_response)                         \
    X(MHD_get_connection_info) X(MHD_get_connection_values) X(MHD_get_daemon_info) X(MHD_get_reason_phrase_for)         \
    X(MHD_lookup_connection_value)                                                                                       \
    X(MHD_queue_response) X(MHD_quiesce_daemon) X(MHD_resume_connection) X(MHD_set_connection_option)                   \
    X(MHD_start_daemon) X(MHD_stop_daemon) X(MHD_suspend_connection) X(MHD_upgrade_action)

#define WSLAY_CALLS(X) \
    X(wslay_event_config_set_max_recv_msg_length) X(wslay_event_context_free) X(wslay_event_context_server_init)         \
    X(wslay_event_get_close_received) X(wslay_event_get_queued_msg_length) X(wslay_event_queue_close)                    \
    X(wslay_event_queue_msg) X(wslay_event_recv) X(wslay_event_send) X(wslay_event_set_error) X(wslay_event_want_read)   \
    X(wslay_event_want_write)

struct http_calls {
    MHD_CALLS(OS_LIBRARY_FIELD) WSLAY_CALLS(OS_LIBRARY_FIELD)
};
extern struct http_calls http;

/* For the rest of the process's life; any number of times, from any thread. -ERR_MISSING. */
int http_load(struct err *err);

/* The library answers by itself what it cannot read, in HTML, and some of it with two heads: then it calls its own
 * MHD_queue_response, which the program's stands before (mhd.c; calls of this program go by http). This sends an answer and ends
 * what is sent: to end the connection itself is left to the library, which goes on to use it. */
void http_refused(struct MHD_Connection *conn, unsigned status);
/* A first line that is none it does not answer at all, but ends the connection: by shutdown(2), which the program's stands
 * before. This answers where it is so. */
void http_ends(int fd);

#endif
