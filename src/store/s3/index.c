#include "store/s3/index.h"

#include "base/assert.h"
#include "base/cleanup.h"
#include "base/mem.h"
#include "base/vec.h"
#include "os/fault.h"
#include "os/file.h"
#include "os/sqlite.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VERSION 1
#define BUSY_MS 20000

static const char schema[] =
    "CREATE TABLE IF NOT EXISTS pack(id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE,"
    " size INTEGER NOT NULL, born INTEGER NOT NULL, stamp INTEGER NOT NULL, round INTEGER NOT NULL,"
    " key INTEGER NOT NULL, salt BLOB NOT NULL);"
    "CREATE TABLE IF NOT EXISTS blob(name BLOB NOT NULL, pack INTEGER NOT NULL, number INTEGER NOT NULL,"
    " offset INTEGER NOT NULL, len INTEGER NOT NULL, sum INTEGER NOT NULL, PRIMARY KEY(name, pack)) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS small(pack INTEGER PRIMARY KEY, data BLOB NOT NULL);"
    "CREATE TABLE IF NOT EXISTS meta(key TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID;"
    "INSERT OR IGNORE INTO meta VALUES('round', 1);";

enum {
    Q_BEGIN, Q_READ, Q_COMMIT, Q_ROLLBACK, Q_FIND, Q_HOLDERS, Q_ADD_PACK, Q_ADD_BLOB, Q_PACK, Q_DROP, Q_TOUCH,
    Q_SEEN, Q_ROUND, Q_NEXT_ROUND, Q_FORGET_BLOBS, Q_FORGET_SMALL, Q_FORGET, Q_LATEST, Q_PACKS, Q_BLOBS, Q_SMALL_ADD, Q_SMALL,
    Q_SMALL_DROP, Q_SMALL_SUM, Q_SMALL_TRIM, Q_COUNT
};
#define PACK_COLUMNS "p.name, p.size, p.stamp, p.key, p.salt"
static const char *const sql[Q_COUNT] = {
    [Q_BEGIN] = "BEGIN IMMEDIATE",
    [Q_READ] = "BEGIN",
    [Q_COMMIT] = "COMMIT",
    [Q_ROLLBACK] = "ROLLBACK",
    [Q_FIND] = "SELECT " PACK_COLUMNS ", b.offset, b.len, b.sum, b.number, p.born, p.id"
               " FROM blob b JOIN pack p ON p.id = b.pack WHERE b.name = ?1",
    [Q_HOLDERS] = "SELECT p.name FROM blob b JOIN pack p ON p.id = b.pack WHERE b.name = ?1",
    [Q_ADD_PACK] = "INSERT INTO pack(name, size, stamp, round, key, salt, born)"
                   " VALUES(?1, ?2, ?3, (SELECT value FROM meta WHERE key = 'round'), ?4, ?5, ?6)"
                   " ON CONFLICT(name) DO NOTHING",
    [Q_ADD_BLOB] = "INSERT OR IGNORE INTO blob(name, pack, number, offset, len, sum) VALUES(?1, ?2, ?3, ?4, ?5, ?6)",
    [Q_PACK] = "SELECT " PACK_COLUMNS " FROM pack p WHERE p.name = ?1",
    [Q_DROP] = "DELETE FROM pack WHERE name = ?1",
    [Q_TOUCH] = "UPDATE pack SET stamp = max(stamp, ?2) WHERE name = ?1",
    [Q_SEEN] = "UPDATE pack SET stamp = max(stamp, ?2), round = max(round, ?3) WHERE name = ?1",
    [Q_ROUND] = "SELECT value FROM meta WHERE key = 'round'",
    [Q_NEXT_ROUND] = "UPDATE meta SET value = value + 1 WHERE key = 'round'",
    [Q_FORGET_BLOBS] = "DELETE FROM blob WHERE pack NOT IN (SELECT id FROM pack)",
    [Q_FORGET_SMALL] = "DELETE FROM small WHERE pack NOT IN (SELECT id FROM pack)",
    [Q_FORGET] = "DELETE FROM pack WHERE round < ?1",
    [Q_LATEST] = "SELECT name FROM pack WHERE name > ?1 AND name < ?2 ORDER BY name DESC LIMIT 1",
    [Q_PACKS] = "SELECT " PACK_COLUMNS " FROM pack p WHERE p.name > ?1 ORDER BY p.name LIMIT ?2",
    [Q_SMALL_ADD] = "INSERT OR REPLACE INTO small(pack, data) VALUES(?1, ?2)",
    [Q_SMALL] = "SELECT substr(data, ?2 + 1, ?3) FROM small WHERE pack = (SELECT id FROM pack WHERE name = ?1)",
    [Q_SMALL_DROP] = "DELETE FROM small WHERE pack = (SELECT id FROM pack WHERE name = ?1)",
    [Q_SMALL_SUM] = "SELECT coalesce(sum(length(data)), 0) FROM small",
    [Q_SMALL_TRIM] = "DELETE FROM small WHERE pack <= (SELECT (min(pack) + max(pack)) / 2 FROM small)",
    [Q_BLOBS] = "SELECT b.name, b.len, max(p.stamp) FROM blob b JOIN pack p ON p.id = b.pack"
                " WHERE b.name > ?1 AND b.name < ?2 GROUP BY b.name ORDER BY b.name LIMIT ?3",
};

/* Chunks that were looked up lately: each is asked for several times while it is fetched. */
#define LATELY 4096
struct lately {
    uint64_t age; /* of the index when it was looked up; 0: none */
    struct blob_place place;
};

struct s3_index {
    sqlite3 *db;
    sqlite3_stmt *st[Q_COUNT];
    pthread_mutex_t lock;
    int64_t small_bytes; /* as far as this process knows */
    int64_t small_max;
    uint64_t age; /* counts this process's changes: what was looked up before does not count */
    struct lately lately[LATELY];
};

static int db_error(struct s3_index *x, int rc, struct err *err)
{
    return err_set(err, os_sqlite_code(rc), "index of the S3 store: %s", x->db ? sqlite3_errmsg(x->db) : sqlite3_errstr(rc));
}

static int exec(struct s3_index *x, const char *text, struct err *err)
{
    int rc = sqlite3_exec(x->db, text, NULL, NULL, NULL);
    return rc == SQLITE_OK ? 0 : db_error(x, rc, err);
}

/* A statement without rows; bindings are the caller's. */
static int run(struct s3_index *x, int q, struct err *err)
{
    int e = os_fault("sqlite");
    int rc = e ? SQLITE_IOERR : sqlite3_step(x->st[q]);
    int r = rc == SQLITE_DONE ? 0 : e ? err_sys(err, e, "index of the S3 store") : db_error(x, rc, err);
    sqlite3_reset(x->st[q]);
    return r;
}

/* A statement with rows: 1 while there is one, 0 at the end (and it is reset), or an error. */
static int step(struct s3_index *x, int q, struct err *err)
{
    int rc = sqlite3_step(x->st[q]);
    if (rc == SQLITE_ROW)
        return 1;
    int r = rc == SQLITE_DONE ? 0 : db_error(x, rc, err);
    sqlite3_reset(x->st[q]);
    return r;
}

static void bind_text(struct s3_index *x, int q, int i, const char *text)
{
    sqlite3_bind_text(x->st[q], i, text, -1, SQLITE_STATIC);
}

/* The key of a blob: its kind and its digest. */
struct blob_key {
    uint8_t b[1 + DIGEST_LEN];
};

static bool blob_key(const char *name, struct blob_key *ret)
{
    struct digest d;
    if ((name[0] != 'c' && name[0] != 'o') || name[1] != '/' || !digest_from_hex(name + 2, &d))
        return false;
    ret->b[0] = (uint8_t)name[0];
    memcpy(ret->b + 1, d.b, DIGEST_LEN);
    return true;
}

/* --- open ----------------------------------------------------------------------------------------------- */

static int prepare(struct s3_index *x, const char *path, struct err *err)
{
    int rc = sqlite3_open_v2(path, &x->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
    if (rc != SQLITE_OK)
        return db_error(x, rc, err);
    sqlite3_busy_timeout(x->db, BUSY_MS);
    sqlite3_db_config(x->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    int r = exec(x, "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA cache_size = -4096;"
                    "PRAGMA cell_size_check = ON; PRAGMA journal_size_limit = 4194304", err);
    if (r == 0)
        r = exec(x, schema, err);
    for (int i = 0; i < Q_COUNT && r == 0; i++) {
        rc = sqlite3_prepare_v3(x->db, sql[i], -1, SQLITE_PREPARE_PERSISTENT, &x->st[i], NULL);
        r = rc == SQLITE_OK ? 0 : db_error(x, rc, err);
    }
    return r;
}

/* Is it of this bucket? Sets so in a new one. */
static int check_identity(struct s3_index *x, const char *identity, bool *ret_same, struct err *err)
{
    char want[256], *text = sqlite3_mprintf("INSERT OR IGNORE INTO meta VALUES('identity', '%d %q')", VERSION, identity);
    sqlite3_stmt *st = NULL;
    if (!text)
        return err_nomem(err);
    int r = exec(x, text, err);
    sqlite3_free(text);
    snprintf(want, sizeof want, "%d %s", VERSION, identity);
    if (r == 0 && sqlite3_prepare_v2(x->db, "SELECT value FROM meta WHERE key = 'identity'", -1, &st, NULL) == SQLITE_OK &&
        sqlite3_step(st) == SQLITE_ROW) {
        const char *got = (const char *)sqlite3_column_text(st, 0);
        *ret_same = got && strcmp(got, want) == 0;
    }
    sqlite3_finalize(st);
    return r;
}

static void close_db(struct s3_index *x)
{
    for (int i = 0; i < Q_COUNT; i++) {
        sqlite3_finalize(x->st[i]);
        x->st[i] = NULL;
    }
    sqlite3_close(x->db);
    x->db = NULL;
}

static void remove_files(const char *path)
{
    static const char *const ends[] = {"", "-wal", "-shm"};
    for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
        _cleanup_free_ char *p = mem_printf("%s%s", path, ends[i]);
        if (p)
            (void)unlink(p);
    }
}

int index_open(const char *path, const char *identity, int64_t small_max, struct s3_index **ret, struct err *err)
{
    struct s3_index *x = mem_zalloc(sizeof *x);
    if (!x)
        return err_nomem(err);
    x->small_max = small_max;
    pthread_mutex_init(&x->lock, NULL);
    x->age = 1;
    int r = -ERR_CORRUPT;
    for (int i = 0; i < 2 && r == -ERR_CORRUPT; i++) {
        bool same = false;
        r = prepare(x, path, err);
        if (r == 0)
            r = check_identity(x, identity, &same, err);
        if (r == 0 && !same)
            r = err_set(err, ERR_CORRUPT, "%s is the index of another store", path);
        if (r == -ERR_CORRUPT) {
            close_db(x);
            remove_files(path);
        }
    }
    if (r < 0) {
        index_close(x);
        return r;
    }
    if (step(x, Q_SMALL_SUM, NULL) == 1) {
        x->small_bytes = sqlite3_column_int64(x->st[Q_SMALL_SUM], 0);
        sqlite3_reset(x->st[Q_SMALL_SUM]);
    }
    *ret = x;
    return 0;
}

void index_close(struct s3_index *x)
{
    if (!x)
        return;
    close_db(x);
    pthread_mutex_destroy(&x->lock);
    free(x);
}

int index_bind(struct s3_index *x, const char *store_id, struct err *err)
{
    char *text = sqlite3_mprintf("BEGIN IMMEDIATE;"
                                 "CREATE TEMP TABLE same AS SELECT 1 FROM meta WHERE key = 'store' AND value = %Q;"
                                 "DELETE FROM blob WHERE NOT EXISTS (SELECT 1 FROM same);"
                                 "DELETE FROM small WHERE NOT EXISTS (SELECT 1 FROM same);"
                                 "DELETE FROM pack WHERE NOT EXISTS (SELECT 1 FROM same);"
                                 "INSERT OR REPLACE INTO meta VALUES('store', %Q);"
                                 "DROP TABLE same; COMMIT",
                                 store_id, store_id);
    if (!text)
        return err_nomem(err);
    pthread_mutex_lock(&x->lock);
    x->age++;
    int r = exec(x, text, err);
    if (r < 0 && !sqlite3_get_autocommit(x->db))
        (void)run(x, Q_ROLLBACK, NULL);
    pthread_mutex_unlock(&x->lock);
    sqlite3_free(text);
    return r;
}

/* --- reading -------------------------------------------------------------------------------------------- */

static void read_pack(struct s3_index *x, int q, struct pack_info *ret)
{
    sqlite3_stmt *st = x->st[q];
    *ret = (struct pack_info){.size_bytes = (uint64_t)sqlite3_column_int64(st, 1),
                              .stamp_ns = sqlite3_column_int64(st, 2)};
    snprintf(ret->name, sizeof ret->name, "%s", (const char *)sqlite3_column_text(st, 0));
    ret->seal.key_id = (uint32_t)sqlite3_column_int64(st, 3);
    if (sqlite3_column_bytes(st, 4) == SEAL_SALT)
        memcpy(ret->seal.salt, sqlite3_column_blob(st, 4), SEAL_SALT);
}

static struct lately *lately_of(struct s3_index *x, const struct blob_key *k)
{
    return &x->lately[(k->b[1] << 8 | k->b[2]) % LATELY];
}

/* Does the row that stands there count more than the best one so far? The few that there are of a blob are compared here: a
 * sorter costs more than all else of a search. */
static bool counts_more(struct s3_index *x, bool chunk, const char *class, int64_t best[2])
{
    sqlite3_stmt *st = x->st[Q_FIND];
    const char *name = (const char *)sqlite3_column_text(st, 0);
    size_t n = class ? strlen(class) : 0;
    int64_t this[2] = {sqlite3_column_int64(st, chunk ? 2 : 9), sqlite3_column_int64(st, 10)};
    if (!name || (class && (strncmp(name, class, n) != 0 || name[n] != '/')) ||
        (best[1] && (this[0] < best[0] || (this[0] == best[0] && this[1] < best[1]))))
        return false;
    memcpy(best, this, sizeof this);
    return true;
}

/* Under the lock. */
static int find(struct s3_index *x, const struct blob_key *k, const char *class, struct blob_place *ret, struct err *err)
{
    bool chunk = k->b[0] == 'c';
    sqlite3_stmt *st = x->st[Q_FIND];
    int64_t best[2] = {0}; /* what counts, the pack's id; of those with the same stamp the one that came last */
    sqlite3_bind_blob(st, 1, k->b, sizeof k->b, SQLITE_STATIC);
    int r;
    while ((r = step(x, Q_FIND, err)) == 1) {
        if (!counts_more(x, chunk, class, best))
            continue;
        read_pack(x, Q_FIND, &ret->pack);
        ret->e = (struct pack_entry){.kind = (char)k->b[0],
                                     .offset = (uint32_t)sqlite3_column_int64(st, 5),
                                     .len = (uint32_t)sqlite3_column_int64(st, 6),
                                     .check = (uint64_t)sqlite3_column_int64(st, 7)};
        ret->number = (uint32_t)sqlite3_column_int64(st, 8);
        memcpy(ret->e.digest.b, k->b + 1, DIGEST_LEN);
    }
    if (r == 0 && best[1] && chunk && !class) /* of a record the latest counts, which another process may have written */
        *lately_of(x, k) = (struct lately){x->age, *ret};
    return r < 0 ? r : best[1] ? 0 : -ERR_NOT_FOUND;
}

/* Under the lock. */
static const struct blob_place *recall(struct s3_index *x, const struct blob_key *k)
{
    struct lately *l = lately_of(x, k);
    bool known = k->b[0] == 'c' && l->age == x->age && memcmp(l->place.e.digest.b, k->b + 1, DIGEST_LEN) == 0;
    return known ? &l->place : NULL;
}

int index_find(struct s3_index *x, const char *blob, const char *class, struct blob_place *ret, struct err *err)
{
    struct blob_key k;
    if (!blob_key(blob, &k))
        return -ERR_NOT_FOUND;
    pthread_mutex_lock(&x->lock);
    int r = find(x, &k, class, ret, err);
    pthread_mutex_unlock(&x->lock);
    return r;
}

int index_recall(struct s3_index *x, const char *blob, struct blob_place *ret, struct err *err)
{
    struct blob_key k;
    if (!blob_key(blob, &k))
        return -ERR_NOT_FOUND;
    pthread_mutex_lock(&x->lock);
    const struct blob_place *known = recall(x, &k);
    if (known)
        *ret = *known;
    int r = known ? 0 : find(x, &k, NULL, ret, err);
    pthread_mutex_unlock(&x->lock);
    return r;
}

void index_recall_chunks(struct s3_index *x, const struct digest *chunks, size_t n,
                         void (*each)(void *arg, size_t i, const struct blob_place *place), void *arg)
{
    bool asked = false;
    pthread_mutex_lock(&x->lock);
    for (size_t i = 0; i < n; i++) {
        struct blob_key k = {{'c'}};
        struct blob_place place;
        memcpy(k.b + 1, chunks[i].b, DIGEST_LEN);
        const struct blob_place *known = recall(x, &k);
        if (!known && !asked) { /* one transaction for all that is asked of the file */
            asked = true;
            (void)run(x, Q_READ, NULL);
        }
        if (known || find(x, &k, NULL, &place, NULL) == 0)
            each(arg, i, known ? known : &place);
    }
    if (asked && !sqlite3_get_autocommit(x->db))
        (void)run(x, Q_COMMIT, NULL);
    pthread_mutex_unlock(&x->lock);
}

void name_list_release(struct name_list *l)
{
    VEC_EACH(l, p)
        free(*p);
    VEC_RELEASE(l);
}

int index_holders(struct s3_index *x, const char *blob, struct name_list *ret, struct err *err)
{
    struct blob_key k;
    *ret = (struct name_list){0};
    if (!blob_key(blob, &k))
        return 0;
    pthread_mutex_lock(&x->lock);
    sqlite3_stmt *st = x->st[Q_HOLDERS];
    sqlite3_bind_blob(st, 1, k.b, sizeof k.b, SQLITE_STATIC);
    int r;
    while ((r = step(x, Q_HOLDERS, err)) == 1) {
        char *name = mem_strdup((const char *)sqlite3_column_text(st, 0));
        if (!name || !VEC_PUSH(ret, name)) {
            free(name);
            r = err_nomem(err);
            sqlite3_reset(st);
            break;
        }
    }
    pthread_mutex_unlock(&x->lock);
    return r;
}

int index_pack(struct s3_index *x, const char *name, struct pack_info *ret, struct err *err)
{
    pthread_mutex_lock(&x->lock);
    bind_text(x, Q_PACK, 1, name);
    int r = step(x, Q_PACK, err);
    if (r == 1) {
        read_pack(x, Q_PACK, ret);
        sqlite3_reset(x->st[Q_PACK]);
    }
    pthread_mutex_unlock(&x->lock);
    return r < 0 ? r : r == 1 ? 0 : -ERR_NOT_FOUND;
}

int index_latest(struct s3_index *x, const char *class, int64_t until_ms, char ret[PACK_NAME_MAX], struct err *err)
{
    char from[PACK_NAME_MAX], to[PACK_NAME_MAX];
    snprintf(from, sizeof from, "%s/", class);
    snprintf(to, sizeof to, "%s/%013llx", class, (unsigned long long)until_ms);
    *ret = 0;
    pthread_mutex_lock(&x->lock);
    bind_text(x, Q_LATEST, 1, from);
    bind_text(x, Q_LATEST, 2, to);
    int r = step(x, Q_LATEST, err);
    if (r == 1) {
        snprintf(ret, PACK_NAME_MAX, "%s", (const char *)sqlite3_column_text(x->st[Q_LATEST], 0));
        sqlite3_reset(x->st[Q_LATEST]);
    }
    pthread_mutex_unlock(&x->lock);
    return r < 0 ? r : 0;
}

int index_packs(struct s3_index *x, const char *after, struct pack_info *ret, size_t cap, size_t *ret_n,
                struct err *err)
{
    size_t n = 0;
    pthread_mutex_lock(&x->lock);
    bind_text(x, Q_PACKS, 1, after);
    sqlite3_bind_int64(x->st[Q_PACKS], 2, (sqlite3_int64)cap);
    int r;
    while ((r = step(x, Q_PACKS, err)) == 1)
        read_pack(x, Q_PACKS, &ret[n++]);
    pthread_mutex_unlock(&x->lock);
    *ret_n = n;
    return r;
}

/* The first key that begins with the prefix ("o/" and hex digits), or the first after all that do. */
static size_t prefix_key(const char *prefix, bool upper, uint8_t out[1 + DIGEST_LEN])
{
    size_t n = 1;
    out[0] = (uint8_t)prefix[0];
    const char *hex = prefix + 2;
    memset(out + 1, upper ? 0xff : 0, DIGEST_LEN);
    for (size_t i = 0; hex[i] && i < DIGEST_HEX; i++) {
        const char *digits = "0123456789abcdef", *d = strchr(digits, hex[i]);
        unsigned v = d ? (unsigned)(d - digits) : 0, shift = i % 2 ? 0 : 4;
        out[1 + i / 2] = (uint8_t)((out[1 + i / 2] & ~(15u << shift)) | v << shift);
        n = 1 + i / 2 + 1;
    }
    return upper ? 1 + DIGEST_LEN : n;
}

int index_blobs(struct s3_index *x, const char *prefix, const char *after, struct blob_row *ret, size_t cap,
                size_t *ret_n, struct err *err)
{
    uint8_t from[1 + DIGEST_LEN], to[1 + DIGEST_LEN + 1];
    struct blob_key k;
    size_t n = 0, from_len = prefix_key(prefix, false, from);
    size_t to_len = prefix_key(prefix, true, to);
    to[to_len++] = 0; /* b.name < to includes the last one */
    if (*after && blob_key(after, &k)) {
        memcpy(from, k.b, sizeof from);
        from_len = sizeof from;
    } else if (from_len == 1 + DIGEST_LEN) {
        from_len--; /* a whole name: itself too */
    }
    pthread_mutex_lock(&x->lock);
    sqlite3_stmt *st = x->st[Q_BLOBS];
    sqlite3_bind_blob(st, 1, from, (int)from_len, SQLITE_STATIC);
    sqlite3_bind_blob(st, 2, to, (int)to_len, SQLITE_STATIC);
    sqlite3_bind_int64(st, 3, (sqlite3_int64)cap);
    int r;
    while ((r = step(x, Q_BLOBS, err)) == 1) {
        const uint8_t *name = sqlite3_column_blob(st, 0);
        struct digest d;
        if (sqlite3_column_bytes(st, 0) != 1 + DIGEST_LEN)
            continue;
        memcpy(d.b, name + 1, DIGEST_LEN);
        ret[n].name[0] = (char)name[0];
        ret[n].name[1] = '/';
        digest_hex(&d, ret[n].name + 2);
        ret[n].size_bytes = (uint64_t)sqlite3_column_int64(st, 1);
        ret[n++].stamp_ns = sqlite3_column_int64(st, 2);
    }
    pthread_mutex_unlock(&x->lock);
    *ret_n = n;
    return r;
}

/* --- writing -------------------------------------------------------------------------------------------- */

static int end_transaction(struct s3_index *x, int r, struct err *err)
{
    if (r == 0)
        r = run(x, Q_COMMIT, err);
    if (r < 0 && !sqlite3_get_autocommit(x->db))
        (void)run(x, Q_ROLLBACK, NULL);
    return r;
}

static int add_blob(struct s3_index *x, int64_t pack, size_t number, const struct pack_entry *e, struct err *err)
{
    sqlite3_stmt *st = x->st[Q_ADD_BLOB];
    uint8_t k[1 + DIGEST_LEN];
    k[0] = (uint8_t)e->kind;
    memcpy(k + 1, e->digest.b, DIGEST_LEN);
    sqlite3_bind_blob(st, 1, k, sizeof k, SQLITE_STATIC);
    sqlite3_bind_int64(st, 2, pack);
    sqlite3_bind_int64(st, 3, (sqlite3_int64)number);
    sqlite3_bind_int64(st, 4, e->offset);
    sqlite3_bind_int64(st, 5, e->len);
    sqlite3_bind_int64(st, 6, (sqlite3_int64)e->check);
    return run(x, Q_ADD_BLOB, err);
}

static int add_small(struct s3_index *x, int64_t id, const struct new_pack *p, struct err *err)
{
    sqlite3_stmt *st = x->st[Q_SMALL_ADD];
    int r = 0;
    if (x->small_bytes > x->small_max) {
        r = run(x, Q_SMALL_TRIM, err);
        x->small_bytes /= 2; /* about: packs do not differ much */
    }
    sqlite3_bind_int64(st, 1, id);
    sqlite3_bind_blob64(st, 2, p->whole, p->info.size_bytes, SQLITE_STATIC);
    if (r == 0)
        r = run(x, Q_SMALL_ADD, err);
    sqlite3_clear_bindings(st);
    x->small_bytes += (int64_t)p->info.size_bytes;
    return r;
}

static int add_pack(struct s3_index *x, const struct new_pack *p, struct err *err)
{
    sqlite3_stmt *st = x->st[Q_ADD_PACK];
    bind_text(x, Q_ADD_PACK, 1, p->info.name);
    sqlite3_bind_int64(st, 2, (sqlite3_int64)p->info.size_bytes);
    sqlite3_bind_int64(st, 3, p->info.stamp_ns);
    sqlite3_bind_int64(st, 4, p->info.seal.key_id);
    sqlite3_bind_blob(st, 5, p->info.seal.salt, SEAL_SALT, SQLITE_STATIC);
    const char *slash = strchr(p->info.name, '/');
    sqlite3_bind_int64(st, 6, slash ? (sqlite3_int64)strtoull(slash + 1, NULL, 16) : 0);
    int r = run(x, Q_ADD_PACK, err);
    if (r < 0 || sqlite3_changes(x->db) == 0)
        return r;
    int64_t id = sqlite3_last_insert_rowid(x->db);
    for (size_t i = 0; i < p->entries.len && r == 0; i++)
        r = add_blob(x, id, i, &p->entries.v[i], err);
    return r == 0 && p->whole && p->info.size_bytes <= SMALL_PACK ? add_small(x, id, p, err) : r;
}

int index_add(struct s3_index *x, const struct new_pack *packs, size_t n, struct err *err)
{
    pthread_mutex_lock(&x->lock);
    int r = run(x, Q_BEGIN, err);
    for (size_t i = 0; i < n && r == 0; i++)
        r = add_pack(x, &packs[i], err);
    r = end_transaction(x, r, err);
    pthread_mutex_unlock(&x->lock);
    return r;
}

int index_drop(struct s3_index *x, const char *name, struct err *err)
{
    pthread_mutex_lock(&x->lock);
    x->age++;
    bind_text(x, Q_DROP, 1, name); /* its blobs go with the next listing: an id is never used again */
    int r = run(x, Q_DROP, err);
    pthread_mutex_unlock(&x->lock);
    return r;
}

int index_small(struct s3_index *x, const char *name, uint64_t offset, size_t len, char **ret, struct err *err)
{
    pthread_mutex_lock(&x->lock);
    sqlite3_stmt *st = x->st[Q_SMALL];
    bind_text(x, Q_SMALL, 1, name);
    sqlite3_bind_int64(st, 2, (sqlite3_int64)offset);
    sqlite3_bind_int64(st, 3, (sqlite3_int64)len);
    int r = step(x, Q_SMALL, err);
    if (r == 1) {
        r = (size_t)sqlite3_column_bytes(st, 0) == len;
        if (r == 1 && !(*ret = mem_alloc(len + 1)))
            r = err_nomem(err);
        if (r == 1 && len)
            memcpy(*ret, sqlite3_column_blob(st, 0), len);
        sqlite3_reset(st);
    }
    pthread_mutex_unlock(&x->lock);
    return r;
}

void index_small_drop(struct s3_index *x, const char *name)
{
    pthread_mutex_lock(&x->lock);
    bind_text(x, Q_SMALL_DROP, 1, name);
    (void)run(x, Q_SMALL_DROP, NULL);
    pthread_mutex_unlock(&x->lock);
}

int index_touch(struct s3_index *x, const char *name, int64_t stamp_ns, struct err *err)
{
    pthread_mutex_lock(&x->lock);
    x->age++;
    bind_text(x, Q_TOUCH, 1, name);
    sqlite3_bind_int64(x->st[Q_TOUCH], 2, stamp_ns);
    int r = run(x, Q_TOUCH, err);
    pthread_mutex_unlock(&x->lock);
    return r;
}

int index_listing_begin(struct s3_index *x, int64_t *ret_round, struct err *err)
{
    pthread_mutex_lock(&x->lock);
    int r = run(x, Q_NEXT_ROUND, err);
    if (r == 0 && (r = step(x, Q_ROUND, err)) == 1) {
        *ret_round = sqlite3_column_int64(x->st[Q_ROUND], 0);
        sqlite3_reset(x->st[Q_ROUND]);
        r = 0;
    }
    pthread_mutex_unlock(&x->lock);
    return r;
}

static int see_pack(struct s3_index *x, int64_t round, const struct pack_info *p, bool *ret_known, struct err *err)
{
    bind_text(x, Q_SEEN, 1, p->name);
    sqlite3_bind_int64(x->st[Q_SEEN], 2, p->stamp_ns);
    sqlite3_bind_int64(x->st[Q_SEEN], 3, round);
    int r = run(x, Q_SEEN, err);
    *ret_known = r == 0 && sqlite3_changes(x->db) > 0;
    return r;
}

int index_listing_seen(struct s3_index *x, int64_t round, const struct pack_info *p, size_t n, bool *ret_known, struct err *err)
{
    pthread_mutex_lock(&x->lock);
    x->age++;
    int r = run(x, Q_BEGIN, err);
    for (size_t i = 0; i < n && r == 0; i++)
        r = see_pack(x, round, &p[i], &ret_known[i], err);
    r = end_transaction(x, r, err);
    pthread_mutex_unlock(&x->lock);
    return r;
}

int index_listing_end(struct s3_index *x, int64_t round, struct err *err)
{
    pthread_mutex_lock(&x->lock);
    x->age++;
    int r = run(x, Q_BEGIN, err);
    sqlite3_bind_int64(x->st[Q_FORGET], 1, round);
    if (r == 0)
        r = run(x, Q_FORGET, err);
    bool gone = r == 0 && sqlite3_changes(x->db) > 0;
    if (gone)
        r = run(x, Q_FORGET_BLOBS, err);
    if (gone && r == 0)
        r = run(x, Q_FORGET_SMALL, err);
    r = end_transaction(x, r, err);
    pthread_mutex_unlock(&x->lock);
    return r;
}
