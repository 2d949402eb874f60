/* Protobuf from outside: what would hurt protobuf-c never reaches it. */
#include "base/mem.h"
#include "codec/json.h"
#include "codec/pbx.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

static void put_varint(struct strbuf *b, uint64_t v)
{
    do
        strbuf_putc(b, (char)((v & 0x7f) | (v > 0x7f ? 0x80 : 0)));
    while (v >>= 7);
}

static void put_field(struct strbuf *b, unsigned field, const void *data, size_t n)
{
    put_varint(b, field << 3 | 2);
    put_varint(b, n);
    strbuf_append(b, data, n);
}

static int unpack(const ProtobufCMessageDescriptor *d, const struct strbuf *b, struct err *err)
{
    ProtobufCMessage *m = NULL;
    int r = pbx_unpack(d, b->s, b->len, &m, err);
    if (r == 0)
        protobuf_c_message_free_unpacked(m, NULL);
    return r;
}

/* depth failures, each the cause of the next. */
static void nest(struct strbuf *b, int depth)
{
    /* from the inside out, with the length of each known beforehand */
    size_t *lengths = calloc((size_t)depth, sizeof *lengths);
    assert_non_null(lengths);
    for (int i = 1; i < depth; i++) {
        size_t inner = lengths[i - 1], header = 1;
        for (size_t v = inner; ; v >>= 7) {
            header++;
            if (v < 0x80)
                break;
        }
        lengths[i] = inner + header;
    }
    for (int i = depth - 1; i > 0; i--) {
        put_varint(b, 4 << 3 | 2);
        put_varint(b, lengths[i - 1]);
    }
    free(lengths);
}

static void test_depth(void **state)
{
    static const int depths[] = {1, 50, PBX_DEPTH_MAX, PBX_DEPTH_MAX + 1, 20000};
    for (size_t i = 0; i < sizeof depths / sizeof depths[0]; i++) {
        struct strbuf b = STRBUF_INIT;
        struct err err = {0};
        nest(&b, depths[i]);
        int r = unpack(&pb__failure__descriptor, &b, &err);
        assert_int_equal(r, depths[i] > PBX_DEPTH_MAX ? -ERR_LIMIT : 0);
        strbuf_release(&b);
    }
}

static void test_expansion(void **state)
{
    /* Empty events: two bytes on the wire, over a hundred in memory. */
    struct strbuf b = STRBUF_INIT;
    for (int i = 0; i < 200000; i++)
        put_field(&b, 1, "", 0);
    struct err err = {0};
    assert_int_equal(unpack(&pb__history__descriptor, &b, &err), -ERR_LIMIT);
    strbuf_clear(&b);
    for (int i = 0; i < 1000; i++)
        put_field(&b, 1, "", 0);
    assert_int_equal(unpack(&pb__history__descriptor, &b, &err), 0);
    strbuf_release(&b);
}

static void test_malformed(void **state)
{
    static const struct {
        const char *bytes;
        size_t n;
    } bad[] = {
        {"\x0a", 1},                         /* no length */
        {"\x0a\x05xy", 4},                   /* over the end */
        {"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11}, /* a length of 2^64 - 1 */
        {"\x00\x01", 2},                     /* field 0 */
        {"\x0b\x0c", 2},                     /* groups */
        {"\x80", 1},                         /* half a varint */
        {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 12}, /* a varint that is too long */
        {"\x0a\x02\xc3\x28", 4},             /* text that is not UTF-8 */
        {"\x0a\x03\xed\xa0\x80", 5},         /* a surrogate */
        {"\x09\x01\x02", 3},                 /* half a fixed64 */
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct err err = {0};
        assert_int_equal(pbx_scan(&pb__failure__descriptor, bad[i].bytes, bad[i].n, &err), -ERR_INVALID);
        assert_true(err.msg[0]);
    }
    assert_int_equal(pbx_scan(&pb__failure__descriptor, "", 0, NULL), 0);
    assert_int_equal(pbx_scan(&pb__failure__descriptor, "\x0a\x02\xc3\xa4", 4, NULL), 0);
}

static void test_unknown_fields_survive(void **state)
{
    struct strbuf b = STRBUF_INIT;
    put_field(&b, 1, "message", 7);
    put_field(&b, 900, "later", 5);
    ProtobufCMessage *m, *copy;
    assert_int_equal(pbx_unpack(&pb__failure__descriptor, b.s, b.len, &m, NULL), 0);
    assert_int_equal(pbx_dup(m, &copy, NULL), 0);
    uint8_t *packed;
    size_t n;
    assert_int_equal(pbx_pack(copy, &packed, &n, NULL), 0);
    assert_int_equal(n, b.len);
    assert_memory_equal(packed, b.s, n);
    free(packed);
    protobuf_c_message_free_unpacked(m, NULL);
    protobuf_c_message_free_unpacked(copy, NULL);
    strbuf_release(&b);
}

static void same_in_a_block(const ProtobufCMessageDescriptor *d, const struct strbuf *b)
{
    struct pbx_block *block;
    const ProtobufCMessage *m;
    uint8_t *packed;
    size_t n;
    assert_int_equal(pbx_unpack_block(d, b->s, b->len, &block, &m, NULL), 0);
    assert_int_equal(pbx_pack(m, &packed, &n, NULL), 0);
    assert_int_equal(n, b->len);
    assert_memory_equal(packed, b->s, n);
    free(packed);
    pbx_block_free(block);
}

static void test_in_one_block(void **state)
{
    struct strbuf b = STRBUF_INIT, payload = STRBUF_INIT;
    struct pbx_block *block;
    const ProtobufCMessage *m;
    struct err err = {0};
    put_field(&b, 1, "message", 7);
    put_field(&b, 900, "later", 5);
    put_field(&b, 901, "and later", 9);
    same_in_a_block(&pb__failure__descriptor, &b);
    strbuf_clear(&b);
    nest(&b, PBX_DEPTH_MAX);
    same_in_a_block(&pb__failure__descriptor, &b);
    strbuf_clear(&b);
    same_in_a_block(&pb__failure__descriptor, &b);
    put_field(&payload, 2, "some bytes", 10);
    for (int i = 0; i < 5000; i++) /* what it takes to read so many fields does not fit the block */
        put_field(&b, 1, payload.s, payload.len);
    same_in_a_block(&pb__payloads__descriptor, &b);
    assert_int_equal(pbx_unpack_block(&pb__payloads__descriptor, "\x0a\x05", 2, &block, &m, &err), -ERR_INVALID);
    pbx_block_free(NULL);
    strbuf_release(&payload);
    strbuf_release(&b);
}

static void test_json_payloads(void **state)
{
    _cleanup_json_ json_t *j = json_pack("{s:[i,s]}", "a", 1, "x");
    Pb__Payloads *ps = pbx_json_payloads(j);
    assert_non_null(ps);
    json_t *back;
    assert_int_equal(pbx_payloads_json(ps, 0, &back, NULL), 0);
    assert_true(json_equal(j, back));
    json_decref(back);
    assert_int_equal(pbx_payloads_json(ps, 1, &back, NULL), 0);
    assert_true(json_is_null(back));
    assert_int_equal(pbx_payloads_json(NULL, 0, &back, NULL), 0);
    assert_true(json_is_null(back));
    memcpy(ps->payloads[0]->metadata[0]->value.data, "binary/any", 10);
    struct err err = {0};
    assert_int_equal(pbx_payloads_json(ps, 0, &back, &err), -ERR_INVALID);
    assert_non_null(strstr(err.msg, "binary/any"));
    pb__payloads__free_unpacked(ps, NULL);
}

static void test_times(void **state)
{
    static const int64_t table[] = {0, 1, -1, 1500000000, -1500000000, INT64_C(1700000000123456789), INT64_MAX, INT64_MIN};
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        Pb__Timestamp *t = pbx_timestamp(table[i]);
        assert_in_range(t->nanos, 0, 999999999);
        assert_true(pbx_timestamp_ns(t) == table[i]);
        pb__timestamp__free_unpacked(t, NULL);
        Pb__Duration *d = pbx_duration(table[i]);
        assert_true((d->nanos >= 0 && d->seconds >= 0) || (d->nanos <= 0 && d->seconds <= 0));
        assert_true(pbx_duration_ns(d) == table[i]);
        d->seconds = INT64_MAX; /* more than int64 nanoseconds hold */
        assert_true(pbx_duration_ns(d) == INT64_MAX);
        pb__duration__free_unpacked(d, NULL);
    }
    assert_int_equal(pbx_timestamp_ns(NULL), 0);
}

static void test_out_of_memory(void **state)
{
    _cleanup_json_ json_t *details = json_pack("[s]", "why");
    for (long n = 1;; n++) {
        mem_fault_set(n, 0);
        Pb__Failure *f = pbx_app_failure("message", "type", true, details);
        int hit = mem_fault_hit();
        mem_fault_set(0, 0);
        if (!hit) {
            assert_string_equal(f->message, "message");
            assert_string_equal(f->application_failure_info->type, "type");
            assert_true(f->application_failure_info->non_retryable);
            assert_int_equal(f->application_failure_info->details->n_payloads, 1);
            pb__failure__free_unpacked(f, NULL);
            break;
        }
        assert_null(f);
        assert_true(n < 100);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_depth),         cmocka_unit_test(test_expansion),
        cmocka_unit_test(test_malformed),     cmocka_unit_test(test_unknown_fields_survive),
        cmocka_unit_test(test_in_one_block),
        cmocka_unit_test(test_json_payloads), cmocka_unit_test(test_times),
        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
