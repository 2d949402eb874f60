/* Pins: small objects of their own, because they come and go with runs. With a key their bytes, which name the owner, are sealed:
 *
 *   4 bytes "FFPS", u32 key id, 16 bytes salt, the pin, 16 bytes tag (seal.h; bound to its name)
 *
 * Those of before there was a key are as they were until s3_rekey_pins(). */
#include "store/s3/s3_internal.h"

#include "base/mem.h"
#include "base/vec.h"
#include "os/clock.h"
#include "store/record.h"

#include <stdio.h>
#include <string.h>

#define HEADER (sizeof magic + 4 + SEAL_SALT)

static const char magic[4] = {'F', 'F', 'P', 'S'};

static void pin_key(char out[S3_KEY], const char *name)
{
    snprintf(out, S3_KEY, "pins/%s", name + 2);
}

int s3_put_pin(struct s3 *s, const char *name, const void *data, size_t len, struct err *err)
{
    char key[S3_KEY];
    static const uint8_t no_tag[SEAL_TAG];
    uint8_t salt[SEAL_SALT];
    struct strbuf b = STRBUF_INIT_MAX(S3_PIN_MAX);
    struct seal seal = {0};
    pin_key(key, name);
    if (!s->keys.len)
        return api_put(s, key, data, len, err);
    os_random(salt, sizeof salt);
    strbuf_append(&b, magic, sizeof magic);
    put_u32(&b, s->keys.v[0].id);
    strbuf_append(&b, salt, sizeof salt);
    strbuf_append(&b, data, len);
    strbuf_append(&b, no_tag, sizeof no_tag);
    int r = strbuf_check(&b, err);
    if (r == 0)
        r = seal_init(&seal, &s->keys, s->keys.v[0].id, salt, err);
    if (r == 0)
        r = seal_close(&seal, 0, name, strlen(name), (uint8_t *)b.s + HEADER, len, err);
    seal_release(&seal);
    if (r == 0)
        r = api_put(s, key, b.s, b.len, err);
    strbuf_release(&b);
    return r;
}

/* What a pin is sealed with; 0: it is not. */
static uint32_t key_of(const char *data, size_t len)
{
    struct cursor c = {(const uint8_t *)data + sizeof magic, (const uint8_t *)data + len, false};
    return len >= HEADER + SEAL_TAG && memcmp(data, magic, sizeof magic) == 0 ? get_u32(&c) : 0;
}

/* Opens it in place. */
static int open_pin(struct s3 *s, const char *name, char *data, size_t *len, struct err *err)
{
    struct seal seal = {0};
    uint32_t id = key_of(data, *len);
    if (!id)
        return 0;
    size_t n = *len - HEADER - SEAL_TAG;
    int r = seal_init(&seal, &s->keys, id, (const uint8_t *)data + HEADER - SEAL_SALT, err);
    if (r == 0)
        r = seal_open(&seal, 0, name, strlen(name), (uint8_t *)data + HEADER, n, err);
    seal_release(&seal);
    if (r < 0)
        return r;
    memmove(data, data + HEADER, n);
    data[n] = 0;
    *len = n;
    return 0;
}

int s3_get_pin(struct s3 *s, const char *name, size_t max, char **ret, size_t *ret_len, struct err *err)
{
    char key[S3_KEY];
    _cleanup_free_ char *data = NULL;
    size_t len;
    pin_key(key, name);
    int r = api_get(s, key, S3_PIN_MAX, &data, &len, err);
    if (r == 0)
        r = open_pin(s, name, data, &len, err);
    if (r == 0 && len > max)
        r = err_set(err, ERR_LIMIT, "it is over %zu bytes", max);
    if (r < 0)
        return r;
    *ret = TAKE_PTR(data);
    *ret_len = len;
    return 0;
}

static int note_key(void *arg, const struct api_entry *e, struct err *err)
{
    struct name_list *l = arg;
    char *name = strncmp(e->key, "pins/", 5) == 0 ? mem_printf("p/%s", e->key + 5) : NULL;
    if (name && VEC_PUSH(l, name))
        return 0;
    free(name);
    return err_nomem(err);
}

int s3_rekey_pins(struct s3 *s, bool (*stopped)(void *arg), void *arg, struct err *err)
{
    struct name_list names = {0};
    uint32_t want = s->keys.len ? s->keys.v[0].id : 0;
    int r = api_list(s, "pins/", NULL, note_key, &names, err);
    VEC_EACH(&names, name)
    {
        char key[S3_KEY];
        _cleanup_free_ char *data = NULL;
        size_t len;
        pin_key(key, *name);
        if (r == 0 && stopped && stopped(arg))
            r = err_set(err, ERR_CANCELLED, S3_CUT_SHORT);
        if (r == 0)
            r = api_get(s, key, S3_PIN_MAX, &data, &len, err);
        if (r == -ERR_NOT_FOUND) { /* gone meanwhile */
            r = 0;
            continue;
        }
        if (r < 0 || key_of(data, len) == want)
            continue;
        r = open_pin(s, *name, data, &len, err);
        if (r == 0)
            r = s3_put_pin(s, *name, data, len, err);
    }
    name_list_release(&names);
    return r;
}
