#include "store/s3/curl.h"

#include "base/cleanup.h"
#include "os/library.h"

#include <pthread.h>

struct curl_calls lib;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct err why;

static const struct os_symbol calls[] = {CURL_CALLS(OS_LIBRARY_ENTRY)};

static void load(void)
{
    if (os_library_load("libcurl.so.4", calls, ARRAY_LEN(calls), &why) == 0 &&
        lib.curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        err_set(&why, ERR_MISSING, "it does not start");
}

int curl_load(struct err *err)
{
    pthread_once(&once, load);
    return why.code ? err_set(err, ERR_MISSING, "libcurl cannot be loaded: %s", why.msg) : 0;
}
