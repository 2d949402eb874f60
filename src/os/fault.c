#include "os/fault.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

static atomic_bool armed; /* so that the usual case costs one load */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static long countdown;
static int fault_errno;
static bool sticky_fault, happened;
static char only_call[32];

void os_fault_set(long n, int errnum, bool sticky, const char *only)
{
    pthread_mutex_lock(&lock);
    countdown = n;
    fault_errno = errnum;
    sticky_fault = sticky;
    happened = false;
    only_call[0] = 0;
    if (only) {
        strncpy(only_call, only, sizeof only_call - 1);
        only_call[sizeof only_call - 1] = 0;
    }
    atomic_store(&armed, n > 0);
    pthread_mutex_unlock(&lock);
}

bool os_fault_hit(void)
{
    pthread_mutex_lock(&lock);
    bool h = happened;
    pthread_mutex_unlock(&lock);
    return h;
}

int os_fault(const char *call)
{
    if (!atomic_load_explicit(&armed, memory_order_relaxed))
        return 0;
    int r = 0;
    pthread_mutex_lock(&lock);
    if (!only_call[0] || strcmp(only_call, call) == 0) {
        if (happened)
            r = sticky_fault ? fault_errno : 0;
        else if (countdown > 0 && --countdown == 0) {
            happened = true;
            r = fault_errno;
        }
    }
    pthread_mutex_unlock(&lock);
    return r;
}
