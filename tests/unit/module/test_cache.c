/* Results that the store has: found by all that decides on them, not found when anything of it or of them is missing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "module/cache.h"
#include "os/fault.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const char tree[] = "sha256:1111111111111111111111111111111111111111111111111111111111111111";
static struct store *store;

static int identity(const json_t *input, const char *tools, struct strbuf *ret, struct err *err)
{
    (void)err;
    strbuf_printf(ret, "%s %s", json_string_value(json_object_get(input, "flags")), tools);
    return 0;
}

static const struct module pure = {.name = "pure", .version = "1", .identity = identity}, other = {.name = "other", .version = "1"};

static int open_store(void **state)
{
    (void)state;
    return store_open_memory(&store, NULL);
}

static int close_store(void **state)
{
    (void)state;
    store_free(store);
    return 0;
}

static void key_of(const struct module *m, const char *scope, const char *flags, const char *tools, char ret[MODULE_CACHE_KEY_SIZE])
{
    json_t *in = json_pack("{s:s}", "flags", flags);
    assert_int_equal(module_cache_key(m, scope, tree, in, tools, ret, NULL), 0);
    json_decref(in);
}

static void keys_differ(void **state)
{
    (void)state;
    static const struct module newer = {.name = "pure", .version = "2", .identity = identity};
    char keys[5][MODULE_CACHE_KEY_SIZE], again[MODULE_CACHE_KEY_SIZE];
    key_of(&pure, "default", "-O1", "a", keys[0]);
    key_of(&pure, "default", "-O2", "a", keys[1]);
    key_of(&pure, "default", "-O1", "b", keys[2]);
    key_of(&pure, "team", "-O1", "a", keys[3]);
    key_of(&newer, "default", "-O1", "a", keys[4]);
    key_of(&pure, "default", "-O1", "a", again);
    assert_string_equal(keys[0], again);
    for (int i = 0; i < 5; i++)
        for (int k = 0; k < i; k++)
            assert_string_not_equal(keys[i], keys[k]);
    assert_int_equal(module_cache_key(&other, "default", tree, NULL, NULL, again, NULL), -ERR_UNIMPLEMENTED);
    assert_int_equal(module_cache_key(&pure, "default", NULL, NULL, NULL, again, NULL), -ERR_UNIMPLEMENTED);
}

static json_t *answer_with(const char *ref)
{
    return json_pack("{s:s, s:{s:{s:s, s:i}}}", "status", "success", "artifacts", "out", "ref", ref, "bytes", 3);
}

static void gives_what_was_put(void **state)
{
    (void)state;
    char key[MODULE_CACHE_KEY_SIZE];
    struct store_ref ref;
    struct store_gc_result gc;
    json_t *got = NULL;
    key_of(&pure, "default", "-O1", "a", key);
    assert_int_equal(module_cache_get(store, key, &got, NULL), -ERR_NOT_FOUND);
    assert_int_equal(store_put(store, "out", 3, "text/plain", &ref, NULL), 0);
    json_t *answer = answer_with(ref.text);
    assert_int_equal(module_cache_put(store, key, answer, NULL), 0);
    assert_int_equal(store_gc(store, 0, false, &gc, NULL), 0); /* it keeps its objects */
    assert_int_equal(module_cache_get(store, key, &got, NULL), 0);
    assert_true(json_equal(got, answer));
    json_decref(got);
    json_decref(answer);
}

/* A store that is away for a moment loses no entry. */
static void stays_when_it_cannot_be_read(void **state)
{
    (void)state;
    char key[MODULE_CACHE_KEY_SIZE];
    struct store_ref ref;
    bool hit = true;
    key_of(&pure, "default", "-O4", "a", key);
    assert_int_equal(store_put(store, "out", 3, "text/plain", &ref, NULL), 0);
    json_t *answer = answer_with(ref.text);
    assert_int_equal(module_cache_put(store, key, answer, NULL), 0);
    json_decref(answer);
    for (long n = 1; hit; n++) {
        json_t *got = NULL;
        os_fault_set(n, EHOSTUNREACH, false, "read");
        if (module_cache_get(store, key, &got, NULL) == 0)
            json_decref(got);
        hit = os_fault_hit();
        os_fault_set(0, 0, false, NULL);
        assert_int_equal(module_cache_get(store, key, &got, NULL), 0);
        json_decref(got);
    }
}

/* An entry that somebody has put there, or that has lost an object. */
static void bad_entry(const char *text, const char *key)
{
    char owner[MODULE_CACHE_KEY_SIZE + 16];
    struct store_ref ref;
    json_t *got = NULL;
    snprintf(owner, sizeof owner, "cache/%s", key);
    assert_int_equal(store_put(store, text, strlen(text), "application/vnd.fuzzforge.cache+json", &ref, NULL), 0);
    assert_int_equal(store_pin(store, owner, ref.text, 0, NULL), 0);
    assert_int_equal(module_cache_get(store, key, &got, NULL), -ERR_NOT_FOUND);
    assert_int_equal(store_unpin_owner(store, owner, NULL), 0);
}

static void bad_entries_are_none(void **state)
{
    (void)state;
    char key[MODULE_CACHE_KEY_SIZE], text[1024];
    static const char gone[] = "sha256:2222222222222222222222222222222222222222222222222222222222222222";
    key_of(&pure, "default", "-O3", "a", key);
    bad_entry("not JSON", key);
    bad_entry("{\"key\":\"another\",\"answer\":{}}", key);
    snprintf(text, sizeof text, "{\"key\":\"%s\",\"answer\":7}", key);
    bad_entry(text, key);
    snprintf(text, sizeof text, "{\"key\":\"%s\",\"answer\":{\"artifacts\":{\"out\":{\"ref\":\"%s\"}}}}", key, gone);
    bad_entry(text, key);
    snprintf(text, sizeof text, "{\"key\":\"%s\",\"answer\":{\"artifacts\":{\"out\":7}}}", key);
    bad_entry(text, key);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_differ),
        cmocka_unit_test(gives_what_was_put),
        cmocka_unit_test(bad_entries_are_none),
        cmocka_unit_test(stays_when_it_cannot_be_read),
    };
    return cmocka_run_group_tests(tests, open_store, close_store);
}
