/* Answers of /runs/{id}/status for a moment: whoever polls asks for little, but often. */
#include "api/rest/rest_internal.h"

#include "base/mem.h"
#include "base/units.h"
#include "os/clock.h"

#include <string.h>

#define CACHE_MS 50
#define CACHE_SLOTS 256
#define CACHE_TEXT 1024

struct status_cache {
    pthread_mutex_t lock;
    struct {
        char run_id[128], text[CACHE_TEXT];
        size_t len;
        int64_t until_ns;
    } slot[CACHE_SLOTS];
};

struct status_cache *status_cache_new(void)
{
    struct status_cache *c = mem_zalloc(sizeof *c);
    if (c)
        pthread_mutex_init(&c->lock, NULL);
    return c;
}

void status_cache_free(struct status_cache *c)
{
    if (!c)
        return;
    pthread_mutex_destroy(&c->lock);
    free(c);
}

static size_t slot_of(const char *run_id)
{
    size_t h = 5381;
    for (; *run_id; run_id++)
        h = h * 33 + (unsigned char)*run_id;
    return h % CACHE_SLOTS;
}

bool status_cached(struct exchange *x, const char *run_id)
{
    struct status_cache *c = x->rest->cache;
    size_t i = slot_of(run_id);
    char *text = NULL;
    size_t len = 0;
    pthread_mutex_lock(&c->lock);
    if (c->slot[i].until_ns > os_mono_ns() && strcmp(c->slot[i].run_id, run_id) == 0) {
        len = c->slot[i].len;
        text = mem_dup(c->slot[i].text, len + 1);
    }
    pthread_mutex_unlock(&c->lock);
    return text && reply_text(x, 200, "application/json", text, len, NULL) == 0;
}

void status_keep(struct rest *r, const char *run_id, const char *text, size_t len)
{
    struct status_cache *c = r->cache;
    size_t i = slot_of(run_id);
    if (strlen(run_id) >= sizeof c->slot[i].run_id || len >= CACHE_TEXT)
        return;
    pthread_mutex_lock(&c->lock);
    strcpy(c->slot[i].run_id, run_id);
    memcpy(c->slot[i].text, text, len + 1);
    c->slot[i].len = len;
    c->slot[i].until_ns = os_mono_ns() + CACHE_MS * NS_PER_MS;
    pthread_mutex_unlock(&c->lock);
}

void status_forget(struct rest *r, const char *run_id)
{
    pthread_mutex_lock(&r->cache->lock);
    r->cache->slot[slot_of(run_id)].until_ns = 0;
    pthread_mutex_unlock(&r->cache->lock);
}
