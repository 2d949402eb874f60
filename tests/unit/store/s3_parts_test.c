/* The parts of the S3 back end that need no service: signature, XML, packs, keys, cache. */
#include "lab.h"

#include "base/units.h"
#include "base/vec.h"
#include "os/clock.h"
#include "store/s3/cache.h"
#include "store/s3/index.h"
#include "store/s3/pack.h"
#include "store/s3/seal.h"
#include "store/s3/sign.h"
#include "store/s3/xml.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

/* --- signature: the examples of AWS's documentation, "Authenticating Requests: Using the Authorization Header" --- */

#define EMPTY_SHA "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

static void check_signature(const char *method, const char *path, const char *query, const char *sha,
                            const char *const *headers, size_t n, const char *want)
{
    struct sign_request q = {.access_key = "AKIAIOSFODNN7EXAMPLE", .secret_key = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
                             .region = "us-east-1", .method = method, .path = path, .query = query,
                             .date = "20130524T000000Z", .sha256 = sha, .headers = headers, .headers_len = n};
    struct strbuf b = STRBUF_INIT;
    assert_ok(s3_sign(&q, &b, err));
    const char *got = strstr(b.s, "Signature=");
    assert_non_null(got);
    assert_string_equal(got + 10, want);
    strbuf_release(&b);
}

static void test_signature(void **state)
{
    const char *get[] = {"Host: examplebucket.s3.amazonaws.com", "Range: bytes=0-9", "x-amz-content-sha256: " EMPTY_SHA,
                         "x-amz-date: 20130524T000000Z"};
    check_signature("GET", "/test.txt", "", EMPTY_SHA, get, 4, "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
    const char *list[] = {"x-amz-date: 20130524T000000Z", "Host: examplebucket.s3.amazonaws.com",
                          "x-amz-content-sha256: " EMPTY_SHA};
    check_signature("GET", "/", "lifecycle=", EMPTY_SHA, list, 3, "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543");
    check_signature("GET", "/", "max-keys=2&prefix=J", EMPTY_SHA, list, 3,
                    "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7");
    static const char sha[] = "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072";
    const char *put[] = {"Date: Fri, 24 May 2013 00:00:00 GMT", "Host: examplebucket.s3.amazonaws.com",
                         "x-amz-content-sha256: 44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072",
                         "x-amz-date: 20130524T000000Z", "x-amz-storage-class: REDUCED_REDUNDANCY"};
    check_signature("PUT", "/test%24file.text", "", sha, put, 5, "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd");
}

static void test_checksum(void **state)
{
    char text[CRC32_BASE64];
    crc32_base64("123456789", 9, text); /* the check value of CRC-32/ISO-HDLC, cbf43926 */
    assert_string_equal(text, "y/Q5Jg==");
    crc32_base64("", 0, text);
    assert_string_equal(text, "AAAAAA==");
}

/* --- XML --- */

static int note_entry(void *arg, const struct s3_xml_entry *e, struct err *err)
{
    struct strbuf *b = arg;
    strbuf_printf(b, "%s %llu %lld;", e->key, (unsigned long long)e->size, (long long)(e->modified_ns / NS_PER_MS));
    return 0;
}

static void test_xml(void **state)
{
    static const char page[] =
        "<?xml version=\"1.0\"?><ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Name>b</Name>"
        "<IsTruncated>true</IsTruncated><NextContinuationToken>t/1&amp;=</NextContinuationToken>"
        "<Contents><Key>a&lt;b</Key><LastModified>2026-11-25T10:00:00.250Z</LastModified><Size>12</Size></Contents>"
        "<Contents><Size>0</Size><Key>z</Key><LastModified>rubbish</LastModified></Contents></ListBucketResult>";
    struct s3_xml_list l;
    struct strbuf b = STRBUF_INIT;
    assert_ok(s3_xml_list(page, sizeof page - 1, &l, note_entry, &b, err));
    assert_true(l.truncated);
    assert_string_equal(l.token, "t/1&=");
    assert_string_equal(b.s, "a<b 12 1795600800250;z 0 0;");
    strbuf_release(&b);
    static const char error[] = "<Error><Code>NoSuchBucket</Code><Message>it is\nnot there</Message></Error>";
    struct s3_xml_error e;
    assert_true(s3_xml_error(error, sizeof error - 1, &e));
    assert_string_equal(e.code, "NoSuchBucket");
    assert_false(s3_xml_error(page, sizeof page - 1, &e));
    char text[16];
    assert_ok(s3_xml_text(error, sizeof error - 1, "Error/Code", text, sizeof text, err));
    assert_int_equal(s3_xml_text(error, sizeof error - 1, "Error/Code", text, 5, NULL), -ERR_CORRUPT);
    assert_int_equal(s3_xml_text(error, sizeof error - 1, "Error/Region", text, sizeof text, NULL), -ERR_CORRUPT);
}

static void test_hostile_xml(void **state)
{
    static const char *const docs[] = {
        "", "x", "<ListBucketResult>", "<Other></Other>", "<a><b></a></b>",
        "<!DOCTYPE x [<!ENTITY a \"aaaaaaaa\"><!ENTITY b \"&a;&a;&a;&a;\">]><ListBucketResult>&b;</ListBucketResult>",
        "<ListBucketResult><?php x ?></ListBucketResult>",
        "<ListBucketResult><Contents><Key>k</Key><Size>-</Size></Contents></ListBucketResult>",
        "<a><a><a><a><a><a><a><a><a><a><a><a><a><a>",
    };
    struct s3_xml_list l;
    struct strbuf b = STRBUF_INIT;
    for (size_t i = 0; i < ARRAY_LEN(docs); i++) {
        struct err e = {0};
        assert_int_equal(s3_xml_list(docs[i], strlen(docs[i]), &l, note_entry, &b, &e), -ERR_CORRUPT);
        assert_true(strlen(e.msg) > 5);
    }
    strbuf_release(&b);
    struct strbuf big = STRBUF_INIT;
    strbuf_puts(&big, "<ListBucketResult><Contents><Key>");
    for (int i = 0; i < 3000; i++)
        strbuf_putc(&big, 'k');
    strbuf_puts(&big, "</Key></Contents></ListBucketResult>");
    assert_int_equal(s3_xml_list(big.s, big.len, &l, note_entry, &b, NULL), -ERR_CORRUPT);
    strbuf_release(&big);
}

/* --- packs --- */

static void ring_of(struct keyring *k, const char *dir, const char *text)
{
    _cleanup_free_ char *path = os_path_join(dir, "keys");
    lab_write(dir, "keys", text, strlen(text));
    assert_int_equal(chmod(path, 0600), 0);
    assert_ok(keyring_load(k, path, err));
}

#define KEY_A "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\n"
#define KEY_B "ffeeddccbbaa99887766554433221100ffeeddccbbaa99887766554433221100 # the old one\n"

static void name_of(char kind, int i, char out[2 + DIGEST_HEX + 1])
{
    struct digest d;
    assert_ok(digest_of(&i, sizeof i, &d, err));
    out[0] = kind;
    out[1] = '/';
    digest_hex(&d, out + 2);
}

static void fill(struct pack *p, int from, int to)
{
    for (int i = from; i < to; i++) {
        char name[2 + DIGEST_HEX + 1];
        _cleanup_free_ char *data = lab_noise((size_t)i * 37, (uint64_t)i);
        name_of(i % 3 ? 'c' : 'o', i, name);
        assert_ok(pack_add(p, name, data, (size_t)i * 37, err));
    }
}

/* Reads all blobs back, with the right contents. */
static void check_pack(const struct pack *p, const struct keyring *keys, int n)
{
    struct pack_entries e;
    struct pack_seal seal;
    size_t need;
    assert_ok(pack_tail(p->buf.s, p->buf.len, p->buf.len, &need, NULL, err));
    assert_ok(pack_directory(p->buf.s + p->buf.len - need, need, p->buf.len, keys, &e, &seal, err));
    assert_int_equal(e.len, n);
    for (int i = 0; i < n; i++) {
        size_t len = e.v[i].len;
        _cleanup_free_ char *data = mem_dup(p->buf.s + e.v[i].offset, len), *want = lab_noise((size_t)i * 37, (uint64_t)i);
        assert_ok(pack_open_blob(keys, &seal, &e.v[i], (uint32_t)i, data, &len, err));
        assert_int_equal(len, i * 37);
        assert_memory_equal(data, want, len);
        assert_int_equal(e.v[i].kind, i % 3 ? 'c' : 'o');
    }
    VEC_RELEASE(&e);
}

static void pack_with(const struct keyring *keys)
{
    struct pack p, q;
    pack_init(&p, keys->len > 0);
    pack_init(&q, keys->len > 0);
    fill(&p, 0, 20);
    fill(&q, 20, 50);
    assert_ok(pack_append(&p, &q, err));
    assert_true(pack_empty(&q));
    assert_ok(pack_finish(&p, keys, err));
    check_pack(&p, keys, 50);
    /* Not one changed bit of directory and footer is taken for good. */
    size_t need;
    assert_ok(pack_tail(p.buf.s, p.buf.len, p.buf.len, &need, NULL, err));
    for (size_t i = 0; i < need; i++) {
        struct pack_entries e;
        struct pack_seal seal;
        size_t again;
        char *at = p.buf.s + p.buf.len - 1 - i;
        *at ^= 0x20;
        int r = pack_tail(p.buf.s + p.buf.len - need, need, p.buf.len, &again, NULL, NULL);
        if (r == 0)
            r = pack_directory(p.buf.s + p.buf.len - need, need, p.buf.len, keys, &e, &seal, NULL);
        assert_true(r == -ERR_CORRUPT || r == -ERR_MISSING);
        *at ^= 0x20;
    }
    pack_release(&p);
    pack_release(&q);
}

static void test_pack(void **state)
{
    struct keyring none = {0};
    pack_with(&none);
}

static void test_sealed_pack(void **state)
{
    _cleanup_dir_ char *dir = lab_dir();
    struct keyring a, ba, b;
    struct pack p;
    struct pack_entries e;
    struct pack_seal seal;
    struct err er = {0};
    ring_of(&a, dir, "# comment\n\n" KEY_A);
    pack_with(&a);
    pack_init(&p, true);
    fill(&p, 0, 10);
    assert_ok(pack_finish(&p, &a, err));
    assert_null(memmem(p.buf.s, p.buf.len, p.entries.v[3].digest.b, DIGEST_LEN)); /* names are sealed as well */
    ring_of(&ba, dir, KEY_B KEY_A); /* a new key in front: what is there can still be read */
    check_pack(&p, &ba, 10);
    ring_of(&b, dir, KEY_B);
    assert_int_equal(pack_directory(p.buf.s, p.buf.len, p.buf.len, &b, &e, &seal, &er), -ERR_MISSING);
    assert_non_null(strstr(er.msg, "s3.key_file"));
    /* A blob in another's place is refused. */
    assert_ok(pack_directory(p.buf.s, p.buf.len, p.buf.len, &a, &e, &seal, err));
    size_t len = e.v[4].len;
    _cleanup_free_ char *data = mem_dup(p.buf.s + e.v[4].offset, len);
    assert_int_equal(pack_open_blob(&a, &seal, &e.v[5], 4, data, &len, NULL), -ERR_CORRUPT);
    VEC_RELEASE(&e);
    pack_release(&p);
}

/* A pack tells the directories of those that were sent before it, as they are, and of no others. */
static void siblings_with(const struct keyring *keys)
{
    struct pack p, q;
    struct digest d;
    char hex[DIGEST_HEX + 1], name[PACK_NAME_MAX];
    size_t need, len;
    pack_init(&p, keys->len > 0);
    pack_init(&q, keys->len > 0);
    fill(&p, 0, 20);
    assert_ok(pack_finish(&p, keys, err));
    assert_ok(pack_digest(&p, &d, err));
    digest_hex(&d, hex);
    snprintf(name, sizeof name, "results/0123456789abc-%s", hex);
    fill(&q, 20, 30);
    for (int i = 0; i < 3; i++)
        pack_sibling(&q.siblings, name, &p);
    assert_ok(pack_finish(&q, keys, err));
    assert_ok(pack_tail(q.buf.s, q.buf.len, q.buf.len, &need, &len, err));
    assert_int_equal(len, q.siblings.len);
    uint8_t *end = (uint8_t *)q.buf.s + q.buf.len - need;
    const uint8_t *at = end - len;
    struct pack_sibling x;
    for (int i = 0; i < 3; i++) {
        struct pack_entries e;
        struct pack_seal seal;
        assert_true(pack_next_sibling(&at, end, &x));
        assert_string_equal(x.name, name);
        assert_int_equal(x.size, p.buf.len);
        assert_ok(pack_directory(x.tail, x.tail_len, x.size, keys, &e, &seal, err));
        assert_int_equal(e.len, 20);
        assert_memory_equal(&e.v[7].digest, &p.entries.v[7].digest, sizeof e.v[7].digest);
        VEC_RELEASE(&e);
    }
    assert_false(pack_next_sibling(&at, end, &x));
    for (size_t i = 9; i < len / 3; i += 11) { /* a changed name or directory is none */
        at = end - len;
        end[-(ptrdiff_t)len + (ptrdiff_t)i] ^= 1;
        bool same = pack_next_sibling(&at, end, &x) && strcmp(x.name, name) == 0;
        assert_true(!same || i < 9 + 22); /* class and time are only looked up */
        end[-(ptrdiff_t)len + (ptrdiff_t)i] ^= 1;
    }
    /* What does not fit is left out, and the pack is whole all the same. */
    struct pack full;
    pack_init(&full, keys->len > 0);
    while (full.siblings.len + len < SIBLINGS_MAX)
        pack_sibling(&full.siblings, name, &p);
    pack_more_siblings(&full.siblings, &full.siblings);
    assert_true(full.siblings.len <= SIBLINGS_MAX);
    fill(&full, 0, 10);
    assert_ok(pack_finish(&full, keys, err));
    check_pack(&full, keys, 10);
    pack_release(&full);
    pack_release(&p);
    pack_release(&q);
}

static void test_siblings(void **state)
{
    _cleanup_dir_ char *dir = lab_dir();
    struct keyring none = {0}, a;
    siblings_with(&none);
    ring_of(&a, dir, KEY_A);
    siblings_with(&a);
}

static void test_key_files(void **state)
{
    _cleanup_dir_ char *dir = lab_dir();
    _cleanup_free_ char *path = os_path_join(dir, "keys");
    struct keyring k;
    struct err e = {0};
    static const char *const wrong[] = {"", "# nothing\n", "0011\n", KEY_A "zz\n"};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        lab_write(dir, "keys", wrong[i], strlen(wrong[i]));
        chmod(path, 0600);
        assert_int_equal(keyring_load(&k, path, &e), -ERR_INVALID);
        assert_int_equal(k.len, 0);
    }
    assert_non_null(strstr(e.msg, "keys:2"));
    lab_write(dir, "keys", KEY_A, strlen(KEY_A));
    chmod(path, 0644);
    assert_int_equal(keyring_load(&k, path, &e), -ERR_PERMISSION);
    assert_ok(keyring_load(&k, "", err));
    assert_int_equal(k.len, 0);
}

/* --- the cache --- */

#define PACK_A "results/0000000000001-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define ALL_C "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"
#define PACK_B "results/0000000000002-bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

static void put_extent(struct s3_cache *c, const char *pack, uint64_t offset, size_t len, uint64_t seed)
{
    struct extent *e = cache_reserve(c, pack, offset, len);
    assert_non_null(e);
    _cleanup_free_ char *noise = lab_noise(len, seed);
    memcpy(cache_room(c, e), noise, len);
    cache_fill(c, e);
}

static bool has_bytes(struct s3_cache *c, const char *pack, uint64_t offset, size_t len, uint64_t seed, size_t skip)
{
    _cleanup_free_ char *want = lab_noise(skip + len, seed);
    struct cache_view v;
    struct err e = {0};
    int r = cache_look(c, pack, offset, len, &v, &e);
    assert_true(r >= 0);
    if (r)
        assert_memory_equal(v.data, want + skip, len);
    cache_view_release(c, &v);
    return r;
}

static void test_cache(void **state)
{
    _cleanup_dir_ char *dir = lab_dir();
    struct s3_cache *c;
    assert_ok(cache_open(dir, 1 << 20, 3600 * 1000, 100000, &c, err));
    assert_false(has_bytes(c, PACK_A, 0, 10, 1, 0));
    put_extent(c, PACK_A, 1000, 50000, 1);
    assert_true(has_bytes(c, PACK_A, 1000, 50000, 1, 0));
    assert_true(has_bytes(c, PACK_A, 3000, 100, 1, 2000));
    assert_false(has_bytes(c, PACK_A, 999, 10, 1, 0));
    assert_false(has_bytes(c, PACK_A, 50999, 2, 1, 0));
    assert_null(cache_reserve(c, PACK_A, 2000, 100)); /* it is here */
    for (int i = 0; i < 5; i++) /* more than memory holds: from files then */
        put_extent(c, PACK_B, (uint64_t)i * 60000, 60000, (uint64_t)i);
    assert_true(cache_memory(c) <= 160000 && cache_flying(c) == 0);
    int held = 0;
    for (int i = 0; i < 5; i++)
        held += has_bytes(c, PACK_B, (uint64_t)i * 60000 + 5, 1000, (uint64_t)i, 5);
    assert_true(held >= 1); /* what was not written when there was no more room was let go */
    cache_close(c);
    assert_ok(cache_open(dir, 1 << 20, 3600 * 1000, 100000, &c, err)); /* another process */
    put_extent(c, "results/0000000000003-" ALL_C, 0, 50000, 9);
    cache_close(c); /* writes what is in memory yet */
    assert_ok(cache_open(dir, 1 << 20, 3600 * 1000, 100000, &c, err));
    assert_true(has_bytes(c, "results/0000000000003-" ALL_C, 3000, 100, 9, 3000));
    for (int i = 0; i < 40; i++) /* over the bound */
        put_extent(c, PACK_A, 1000000 + (uint64_t)i * 60000, 60000, (uint64_t)i);
    cache_drop(c, PACK_A);
    assert_false(has_bytes(c, PACK_A, 3000, 100, 1, 2000));
    cache_close(c);
    os_sleep_ms(5);
    assert_ok(cache_open(dir, 1 << 20, 0, 100000, &c, err)); /* nothing lives that long */
    assert_false(has_bytes(c, PACK_B, 0, 100, 0, 0));
    cache_close(c);
}

static uint64_t file_bytes(const char *dir)
{
    _cleanup_free_ char *command = mem_printf("find %s -type f -printf '%%s\n' | awk '{ n += $1 } END { print n + 0 }'", dir);
    FILE *p = popen(command, "r");
    unsigned long long n = 0;
    assert_non_null(p);
    assert_int_equal(fscanf(p, "%llu", &n), 1);
    assert_int_equal(pclose(p), 0);
    return n;
}

static void wait_for_file(const char *dir, const char *pack, uint64_t offset, size_t len, bool there)
{
    const char *name = pack + strlen(pack) - 64;
    _cleanup_free_ char *path = mem_printf("%s/%.2s/%s.%llu.%zu", dir, name, name, (unsigned long long)offset, len);
    for (int i = 0; i < 6000 && (access(path, F_OK) == 0) != there; i++)
        os_sleep_ms(10);
    assert_int_equal(access(path, F_OK) == 0, there);
}

/* Two processes share the bound, and what is too old goes while they run. */
static void test_cache_bound(void **state)
{
    _cleanup_dir_ char *dir = lab_dir();
    struct s3_cache *c[2];
    for (int i = 0; i < 2; i++)
        assert_ok(cache_open(dir, 1 << 20, 3600 * 1000, 1 << 20, &c[i], err));
    for (int i = 0; i < 40; i++) {
        put_extent(c[i % 2], PACK_A, (uint64_t)i * 60000, 60000, 1);
        wait_for_file(dir, PACK_A, (uint64_t)i * 60000, 60000, true);
        assert_true(file_bytes(dir) <= (1 << 20) + 2 * ((1 << 20) / 16 + 60000));
    }
    cache_close(c[0]);
    cache_close(c[1]);
    assert_ok(cache_open(dir, 1 << 20, 3600 * 1000, 1 << 20, &c[0], err));
    wait_for_file(dir, PACK_A, 39 * 60000, 60000, true); /* the latest are there yet */
    cache_close(c[0]);
    assert_ok(cache_open(dir, 1 << 20, 2000, 1 << 20, &c[0], err));
    put_extent(c[0], PACK_B, 0, 60000, 1);
    wait_for_file(dir, PACK_B, 0, 60000, true);
    wait_for_file(dir, PACK_B, 0, 60000, false); /* nobody asks for anything */
    cache_close(c[0]);
}

/* What somebody looks at stays as it is, whatever comes after it, and also if its pack is dropped. */
static void test_cache_view(void **state)
{
    _cleanup_dir_ char *dir = lab_dir();
    _cleanup_free_ char *want = lab_noise(50000, 1);
    struct s3_cache *c;
    struct cache_view first, again;
    struct err e = {0};
    assert_ok(cache_open(dir, 1 << 20, 3600 * 1000, 100000, &c, err));
    put_extent(c, PACK_A, 0, 50000, 1);
    assert_int_equal(cache_look(c, PACK_A, 0, 50000, &first, &e), 1);
    assert_int_equal(cache_look(c, PACK_A, 10, 100, &again, &e), 1);
    assert_true(first.held && first.held == again.held);
    for (int i = 0; i < 20; i++) /* more than memory holds */
        put_extent(c, PACK_B, (uint64_t)i * 60000, 60000, 2);
    assert_memory_equal(first.data, want, 50000);
    cache_drop(c, PACK_A);
    assert_false(has_bytes(c, PACK_A, 0, 100, 1, 0));
    for (int i = 20; i < 40; i++) /* in room that was in use before */
        put_extent(c, PACK_B, (uint64_t)i * 60000, 60000, 2);
    assert_memory_equal(first.data, want, 50000);
    cache_view_release(c, &first);
    assert_memory_equal(again.data, want + 10, 100);
    cache_view_release(c, &again);
    cache_view_release(c, &again);
    cache_close(c);
}

/* --- the index --- */

/* What was looked up lately is for reading; who relies on a blob asks the file, which other processes write as well. */
static void test_index_recall(void **state)
{
    _cleanup_dir_ char *dir = lab_dir();
    _cleanup_free_ char *path = os_path_join(dir, "index.db");
    struct s3_index *x, *other;
    struct pack_entry e = {.kind = 'c', .offset = 8, .len = 100, .digest = {{7, 1, 2}}};
    struct new_pack p = {.info = {.name = PACK_A, .size_bytes = 5000, .stamp_ns = 100}, .entries = {&e, 1, 1}};
    struct blob_place place;
    char name[2 + DIGEST_HEX + 1] = "c/";
    digest_hex(&e.digest, name + 2);
    assert_ok(index_open(path, "here", 1 << 20, &x, err));
    assert_ok(index_open(path, "here", 1 << 20, &other, err));
    assert_int_equal(index_recall(x, name, &place, NULL), -ERR_NOT_FOUND);
    assert_ok(index_add(x, &p, 1, err));
    assert_ok(index_recall(x, name, &place, err));
    assert_string_equal(place.pack.name, PACK_A);
    assert_ok(index_drop(other, PACK_A, err));
    assert_int_equal(index_find(x, name, NULL, &place, NULL), -ERR_NOT_FOUND);
    assert_ok(index_recall(x, name, &place, err));
    assert_ok(index_drop(x, PACK_A, err));
    assert_int_equal(index_recall(x, name, &place, NULL), -ERR_NOT_FOUND);
    index_close(other);
    index_close(x);
}

static void test_index(void **state)
{
    _cleanup_dir_ char *dir = lab_dir();
    _cleanup_free_ char *path = os_path_join(dir, "index.db");
    struct s3_index *x;
    struct new_pack p = {.info = {.name = PACK_A, .size_bytes = 5000, .stamp_ns = 100}};
    struct pack_entry e[3] = {{.kind = 'c', .offset = 8, .len = 100, .check = UINT64_MAX}, {.kind = 'o', .offset = 108, .len = 7}};
    struct blob_place at;
    struct blob_row rows[4];
    char c[2 + DIGEST_HEX + 1], o[2 + DIGEST_HEX + 1];
    size_t n;
    name_of('c', 1, c);
    name_of('o', 2, o);
    assert_true(digest_from_hex(c + 2, &e[0].digest) && digest_from_hex(o + 2, &e[1].digest));
    p.entries = (struct pack_entries){e, 2, 2};
    assert_ok(index_open(path, "one", 1 << 20, &x, err));
    assert_int_equal(index_find(x, c, NULL, &at, NULL), -ERR_NOT_FOUND);
    assert_ok(index_add(x, &p, 1, err));
    assert_ok(index_add(x, &p, 1, err)); /* again */
    assert_ok(index_find(x, c, NULL, &at, err));
    assert_string_equal(at.pack.name, PACK_A);
    assert_true(at.e.check == UINT64_MAX && at.e.len == 100 && at.number == 0);
    assert_ok(index_find(x, c, "results", &at, err));
    assert_int_equal(index_find(x, c, "result", &at, NULL), -ERR_NOT_FOUND);
    assert_int_equal(index_find(x, c, "targets", &at, NULL), -ERR_NOT_FOUND);
    p.info = (struct pack_info){.name = PACK_B, .size_bytes = 6000, .stamp_ns = 50};
    assert_ok(index_add(x, &p, 1, err));
    assert_ok(index_find(x, c, NULL, &at, err)); /* of a chunk, the one stamped last */
    assert_string_equal(at.pack.name, PACK_A);
    assert_ok(index_find(x, o, NULL, &at, err)); /* of a record, the latest */
    assert_string_equal(at.pack.name, PACK_B);
    assert_ok(index_touch(x, PACK_B, 200, err));
    assert_ok(index_find(x, c, NULL, &at, err));
    assert_string_equal(at.pack.name, PACK_B);
    assert_ok(index_blobs(x, "o/", "", rows, 4, &n, err));
    assert_int_equal(n, 1);
    assert_string_equal(rows[0].name, o);
    assert_int_equal(rows[0].stamp_ns, 200);
    assert_ok(index_blobs(x, "o/", o, rows, 4, &n, err));
    assert_int_equal(n, 0);
    int64_t round;
    bool known[2];
    assert_ok(index_listing_begin(x, &round, err)); /* A is gone */
    struct pack_info listed[2] = {p.info, {.name = "results/0000000000009-" ALL_C}};
    assert_ok(index_listing_seen(x, round, listed, 2, known, err));
    assert_true(known[0] && !known[1]);
    assert_ok(index_listing_end(x, round, err));
    assert_int_equal(index_pack(x, PACK_A, &p.info, NULL), -ERR_NOT_FOUND);
    assert_ok(index_find(x, c, NULL, &at, err));
    assert_ok(index_drop(x, PACK_B, err));
    assert_int_equal(index_find(x, c, NULL, &at, NULL), -ERR_NOT_FOUND);
    index_close(x);
    assert_ok(index_open(path, "one", 1 << 20, &x, err));
    index_close(x);
    assert_ok(index_open(path, "one", 1 << 20, &x, err));
    assert_ok(index_bind(x, "store 1", err));
    assert_ok(index_add(x, &p, 1, err));
    assert_ok(index_bind(x, "store 1", err));
    assert_ok(index_find(x, c, NULL, &at, err));
    assert_ok(index_bind(x, "store 2", err)); /* the bucket was made anew */
    assert_int_equal(index_find(x, c, NULL, &at, NULL), -ERR_NOT_FOUND);
    index_close(x);
    assert_ok(index_open(path, "another", 1 << 20, &x, err)); /* of another bucket: begun anew */
    assert_ok(index_latest(x, "results", INT64_C(1) << 50, at.pack.name, err));
    assert_string_equal(at.pack.name, "");
    p.info = (struct pack_info){.name = PACK_A, .size_bytes = 5000};
    assert_ok(index_add(x, &p, 1, err));
    p.info = (struct pack_info){.name = "results/fffffffffff00-" ALL_C, .size_bytes = 5000}; /* as by a clock gone wrong */
    assert_ok(index_add(x, &p, 1, err));
    assert_ok(index_latest(x, "results", INT64_C(1) << 44, at.pack.name, err));
    assert_string_equal(at.pack.name, PACK_A);
    index_close(x);
    lab_write(dir, "index.db", "rubbish that is no database at all, and long enough to be looked at ..............", 80);
    assert_ok(index_open(path, "one", 1 << 20, &x, err));
    index_close(x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_signature),   cmocka_unit_test(test_checksum),    cmocka_unit_test(test_xml),       cmocka_unit_test(test_hostile_xml),
        cmocka_unit_test(test_pack),        cmocka_unit_test(test_sealed_pack), cmocka_unit_test(test_siblings), cmocka_unit_test(test_key_files),
        cmocka_unit_test(test_cache), cmocka_unit_test(test_cache_bound),
        cmocka_unit_test(test_cache_view),       cmocka_unit_test(test_index),       cmocka_unit_test(test_index_recall),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
