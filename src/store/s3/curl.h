/* libcurl, loaded when it is first needed: linked in, each process that is forked for an activity would map it and
 * the thirty libraries that it depends on. Types are those of its own header. */
#ifndef FF_STORE_S3_CURL_H
#define FF_STORE_S3_CURL_H

#include "os/library.h"

#define CURL_DISABLE_TYPECHECK
#include <curl/curl.h>
#undef curl_easy_setopt
#undef curl_easy_getinfo

#define CURL_CALLS(X) \
    X(curl_easy_cleanup) X(curl_easy_getinfo) X(curl_easy_init) X(curl_easy_perform) X(curl_easy_reset)               \
    X(curl_easy_setopt) X(curl_easy_strerror) X(curl_getdate) X(curl_global_init) X(curl_mime_addpart)                \
    X(curl_mime_data) X(curl_mime_data_cb) X(curl_mime_filename) X(curl_mime_free) X(curl_mime_init) X(curl_mime_name) \
    X(curl_mime_type) X(curl_multi_add_handle) X(curl_multi_cleanup) X(curl_multi_info_read) X(curl_multi_init)       \
    X(curl_multi_perform) X(curl_multi_poll) X(curl_multi_remove_handle) X(curl_slist_append) X(curl_slist_free_all)

struct curl_calls {
    CURL_CALLS(OS_LIBRARY_FIELD)
};
extern struct curl_calls lib;

/* For the rest of the process's life; any number of times, from any thread. -ERR_MISSING. */
int curl_load(struct err *err);

#endif
