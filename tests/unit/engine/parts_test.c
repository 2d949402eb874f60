/* The small parts of the embedded engine: timers, retry arithmetic, tokens, run ids. */
#include "base/units.h"
#include "codec/pbx.h"
#include "engine/embedded/heap.h"
#include "engine/embedded/retry.h"
#include "engine/embedded/run.h"
#include "engine/embedded/token.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void heap_gives_the_earliest(void **state)
{
    (void)state;
    struct heap h = {0};
    struct heap_entry e[500];
    memset(e, 0, sizeof e);
    srand(7);
    for (int round = 0; round < 3000; round++) {
        struct heap_entry *t = &e[rand() % 500];
        if (rand() % 3)
            assert_true(heap_set(&h, t, rand() % 1000));
        else
            heap_remove(&h, t);
        size_t in = 0;
        int64_t least = INT64_MAX;
        for (int i = 0; i < 500; i++)
            if (e[i].pos) {
                in++;
                least = e[i].due_ns < least ? e[i].due_ns : least;
                assert_ptr_equal(h.v[e[i].pos - 1], &e[i]);
            }
        assert_int_equal(in, h.len);
        assert_true(in ? heap_first(&h)->due_ns == least : !heap_first(&h));
    }
    int64_t last = -1;
    while (heap_first(&h)) {
        assert_true(heap_first(&h)->due_ns >= last);
        last = heap_first(&h)->due_ns;
        heap_remove(&h, heap_first(&h));
    }
    heap_release(&h);
}

#define STATE(NAME) PB__RETRY_STATE__RETRY_STATE_##NAME

struct retry_case {
    int32_t attempt, maximum, free_attempts;
    int64_t initial_ms, max_ms;
    double factor;
    const char *type; /* of the failure */
    bool non_retryable;
    int64_t next_delay_ms, deadline_in_ms;
    Pb__RetryState state;
    int64_t delay_ms;
};

static void retries_as_the_policy_says(void **state)
{
    (void)state;
    static const struct retry_case cases[] = {
        {.attempt = 1, .state = STATE(IN_PROGRESS), .delay_ms = 1000},
        {.attempt = 2, .state = STATE(IN_PROGRESS), .delay_ms = 2000},
        {.attempt = 5, .state = STATE(IN_PROGRESS), .delay_ms = 16000},
        {.attempt = 8, .state = STATE(IN_PROGRESS), .delay_ms = 100000}, /* 100 times the first */
        {.attempt = 2000000000, .state = STATE(IN_PROGRESS), .delay_ms = 100000},
        {.attempt = 3, .initial_ms = 10, .factor = 1, .state = STATE(IN_PROGRESS), .delay_ms = 10},
        {.attempt = 3, .initial_ms = 10, .factor = 3, .state = STATE(IN_PROGRESS), .delay_ms = 90},
        {.attempt = 9, .initial_ms = 10, .max_ms = 50, .state = STATE(IN_PROGRESS), .delay_ms = 50},
        {.attempt = 2, .maximum = 3, .state = STATE(IN_PROGRESS), .delay_ms = 2000},
        {.attempt = 3, .maximum = 3, .state = STATE(MAXIMUM_ATTEMPTS_REACHED)},
        {.attempt = 3, .maximum = 3, .free_attempts = 1, .state = STATE(IN_PROGRESS), .delay_ms = 4000},
        {.attempt = 1, .type = "Fatal", .state = STATE(NON_RETRYABLE_FAILURE)},
        {.attempt = 1, .type = "Other", .state = STATE(IN_PROGRESS), .delay_ms = 1000},
        {.attempt = 1, .type = "Other", .non_retryable = true, .state = STATE(NON_RETRYABLE_FAILURE)},
        {.attempt = 4, .type = "Other", .next_delay_ms = 33, .state = STATE(IN_PROGRESS), .delay_ms = 33},
        {.attempt = 1, .deadline_in_ms = 1001, .state = STATE(IN_PROGRESS), .delay_ms = 1000},
        {.attempt = 1, .deadline_in_ms = 999, .state = STATE(TIMEOUT)},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct retry_case *c = &cases[i];
        char *types[] = {(char *)"Fatal"};
        Pb__RetryPolicy p = PB__RETRY_POLICY__INIT;
        Pb__Duration initial, maximum, d1 = PB__DURATION__INIT, d2 = PB__DURATION__INIT;
        d1.nanos = (int32_t)(c->initial_ms * NS_PER_MS);
        d2.nanos = (int32_t)(c->max_ms * NS_PER_MS);
        p.initial_interval = c->initial_ms ? &d1 : NULL;
        p.maximum_interval = c->max_ms ? &d2 : NULL;
        p.backoff_coefficient = c->factor;
        p.maximum_attempts = c->maximum;
        p.non_retryable_error_types = types;
        p.n_non_retryable_error_types = 1;
        retry_fill_defaults(&p, &initial, &maximum);
        Pb__Failure *f = c->type ? pbx_app_failure("m", c->type, c->non_retryable, NULL) : NULL;
        if (c->next_delay_ms)
            f->application_failure_info->next_retry_delay = pbx_duration(c->next_delay_ms * NS_PER_MS);
        struct retry_input in = {.policy = &p, .failure = f, .attempt = c->attempt,
                                 .free_attempts = c->free_attempts, .now_ns = 1000 * NS_PER_S};
        if (c->deadline_in_ms)
            in.deadline_ns = in.now_ns + c->deadline_in_ms * NS_PER_MS;
        int64_t delay;
        assert_int_equal(retry_decide(&in, &delay), c->state);
        assert_int_equal(delay / NS_PER_MS, c->delay_ms);
        if (f)
            pb__failure__free_unpacked(f, NULL);
    }
    int64_t delay;
    struct retry_input none = {.attempt = 1};
    assert_int_equal(retry_decide(&none, &delay), STATE(RETRY_POLICY_NOT_SET));
}

/* Vectors of the paper's appendix: key 00..0f, message 00, 01, ... */
static void token_hash_is_siphash(void **state)
{
    (void)state;
    const uint64_t key[2] = {UINT64_C(0x0706050403020100), UINT64_C(0x0f0e0d0c0b0a0908)};
    uint8_t m[15];
    for (int i = 0; i < 15; i++)
        m[i] = (uint8_t)i;
    assert_true(token_hash(key, m, 15) == UINT64_C(0xa129ca6149be45e5));
    assert_true(token_hash(key, m, 0) == UINT64_C(0x726fdb47dd0e0e31));
}

static void tokens_are_signed(void **state)
{
    (void)state;
    const uint64_t key[2] = {1, 2}, other[2] = {1, 3};
    struct token t = {.kind = TOKEN_ACTIVITY_TASK, .attempt = -7, .ns = 1, .run_key = INT64_MAX, .id = -1,
                      .stamp = 5},
                 back;
    struct err err = {0};
    ProtobufCBinaryData b = token_make(key, &t);
    assert_int_equal(b.len, TOKEN_SIZE);
    assert_int_equal(token_read(key, &b, &back, &err), 0);
    assert_int_equal(back.kind, t.kind);
    assert_int_equal(back.attempt, t.attempt);
    assert_true(back.run_key == t.run_key && back.id == t.id && back.stamp == t.stamp && back.ns == t.ns);
    assert_int_equal(token_read(other, &b, &back, &err), -ERR_INVALID);
    for (size_t i = 0; i < TOKEN_SIZE; i++) {
        b.data[i] ^= 4;
        assert_int_equal(token_read(key, &b, &back, &err), -ERR_INVALID);
        b.data[i] ^= 4;
    }
    for (b.len = 0; b.len < TOKEN_SIZE; b.len++)
        assert_int_equal(token_read(key, &b, &back, &err), -ERR_INVALID);
    free(b.data);
}

static void run_ids_carry_their_key(void **state)
{
    (void)state;
    static const int64_t keys[] = {1, 2, 3, 1000, INT64_C(0x7fffffffff), INT64_C(0xffffffffffff)};
    char a[RUN_ID_LEN + 1], b[RUN_ID_LEN + 1];
    int64_t key;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        run_id_make(keys[i], a);
        run_id_make(keys[i], b);
        assert_string_not_equal(a, b);
        assert_int_equal(strlen(a), RUN_ID_LEN);
        assert_int_equal(a[14], '8');
        assert_true(strchr("89ab", a[19]) != NULL);
        assert_true(run_id_key(a, &key));
        assert_true(key == keys[i]);
    }
    assert_false(run_id_key("", &key));
    assert_false(run_id_key("not a uuid at all, but as long as it", &key));
    assert_false(run_id_key("0e37b0c8-9f4b-4b1c-8c5b-0123456789ab", &key)); /* of version 4 */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(heap_gives_the_earliest),
        cmocka_unit_test(retries_as_the_policy_says),
        cmocka_unit_test(token_hash_is_siphash),
        cmocka_unit_test(tokens_are_signed),
        cmocka_unit_test(run_ids_carry_their_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
