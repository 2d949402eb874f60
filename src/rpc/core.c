/* libgrpc is loaded and started when it is first needed; its own log goes nowhere unless it was asked for. */
#include "rpc_internal.h"

#include "base/cleanup.h"
#include "base/sanitizer.h"
#include "os/clock.h"
#include "os/library.h"

#include <stdlib.h>

struct rpc_core core;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static bool loaded;

static void drop(gpr_log_func_args *args)
{
    (void)args;
}

static int load(struct err *err)
{
    static const struct os_symbol functions[] = {
#define X(name) {#name, &core.name},
#include "core_functions.h"
#undef X
    };
    if (os_library_load(FF_GRPC_SONAME, functions, ARRAY_LEN(functions), err) < 0)
        return err_wrap(err, "gRPC cannot be loaded");
    /* What matters comes back as the status of a call; the library's lines on standard error would be in the way of ours. */
    if (!getenv("GRPC_VERBOSITY") && !getenv("GRPC_TRACE"))
        core.gpr_set_log_function(drop);
    return 0;
}

#ifdef BUILT_WITH_ASAN
#include <dlfcn.h>

/* The library's threads live until the process ends. LeakSanitizer, which looks at all threads then, stumbles over those that
 * are just ending, and takes what OpenSSL keeps for each for a leak: so they end before. Otherwise there is nothing to gain:
 * the library may wait for seconds for what it thinks is still open. */
#define LOAD_CRYPTO_STRINGS 2 /* of OpenSSL; with no option at all it does nothing */

static void stop(void)
{
    core.grpc_shutdown_blocking();
    for (int i = 0; i < 5000 && core.grpc_is_initialized(); i++) /* channels that are on their way out keep it up */
        os_sleep_ms(1);
}

/* Its OpenSSL, which is not the one that is linked into this program, is started first: so its own end comes after this one, and
 * its threads can tidy up. */
static void stop_before_leaks_are_looked_for(void)
{
    int (*start)(uint64_t options, const void *settings);
    void *library = dlopen(FF_GRPC_SONAME, RTLD_NOW | RTLD_NOLOAD);
    *(void **)&start = library ? dlsym(library, "OPENSSL_init_crypto") : NULL;
    if (start)
        start(LOAD_CRYPTO_STRINGS, NULL);
    atexit(stop);
}
#endif

int rpc_core_start(struct err *err)
{
    int r = 0;
    pthread_mutex_lock(&lock);
    if (!loaded)
        r = load(err);
    if (!loaded && r == 0) {
        core.grpc_init();
        loaded = true;
#ifdef BUILT_WITH_ASAN
        stop_before_leaks_are_looked_for();
#endif
    }
    pthread_mutex_unlock(&lock);
    return r;
}

#ifdef BUILT_WITH_TSAN
#include <sanitizer/tsan_interface.h>

void rpc_happens_before(void *tag)
{
    __tsan_release(tag);
}

void rpc_happens_after(void *tag)
{
    __tsan_acquire(tag);
}
#else
void rpc_happens_before(void *tag)
{
    (void)tag;
}

void rpc_happens_after(void *tag)
{
    (void)tag;
}
#endif
