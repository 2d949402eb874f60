#include "api/access/access.h"

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/units.h"
#include "codec/sha256.h"
#include "os/clock.h"
#include "os/file.h"
#include "os/sqlite.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define BEARER "Bearer "
#define APPLICATION_ID 0x46464143 /* "FFAC" */
#define BUSY_MS 20000
#define FORGET_MS (INT64_C(30) * 24 * 3600 * 1000)
#define USED_EVERY_MS 60000

static const char *const role_names[] = {[ACCESS_VIEWER] = "viewer", [ACCESS_OPERATOR] = "operator", [ACCESS_ADMIN] = "admin"};

enum stmt { FIND, USED, INSERT, TAKEN, COUNT, FORGET, PICK, REVOKE, LIST, OWNER, USAGE_ADD, USAGE_GET,
            RESULT_ADD, RESULT_EACH, RESULT_FORGET, HISTORY_SET, HISTORY_EACH, HISTORY_FORGET,
            SESSION_FORGET, SESSION_CROWD, SESSION_OPEN, SESSION_FIND, SESSION_CLOSE, SESSION_REVOKE, STMT_COUNT };
#define COLUMNS "id, name, namespace, role, created, expires, used, revoked"
static const char *const sql[STMT_COUNT] = {
    [FIND] = "SELECT " COLUMNS ", hash FROM token WHERE prefix = ?1",
    [USED] = "UPDATE token SET used = ?2 WHERE id = ?1",
    [INSERT] = "INSERT INTO token(id, name, namespace, role, created, expires, prefix, hash)"
               " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    [TAKEN] = "SELECT 1 FROM token WHERE name = ?1 AND revoked = 0 AND (expires = 0 OR expires > ?2)",
    [COUNT] = "SELECT count(*) FROM token",
    [FORGET] = "DELETE FROM token WHERE (revoked <> 0 AND revoked < ?1) OR (expires <> 0 AND expires < ?1)",
    [PICK] = "SELECT " COLUMNS " FROM token WHERE revoked = 0 AND (id = ?1 OR name = ?1) ORDER BY id = ?1 DESC LIMIT 1",
    [REVOKE] = "UPDATE token SET revoked = ?2 WHERE id = ?1",
    [LIST] = "SELECT " COLUMNS " FROM token ORDER BY created, id",
    [OWNER] = "INSERT INTO token(id, name, namespace, role, created, expires, prefix, hash)"
              " VALUES(?1, ?1, ?2, ?3, ?4, 0, ?5, ?6) ON CONFLICT(id) DO UPDATE SET prefix = ?5, hash = ?6, created = ?4,"
              " used = 0, revoked = 0 WHERE hash <> ?6 OR revoked <> 0",
    [USAGE_ADD] = "INSERT INTO usage VALUES(?1, ?2, ?3) ON CONFLICT(namespace, day) DO UPDATE SET cpu_ms = cpu_ms + ?3",
    [SESSION_FORGET] = "DELETE FROM session WHERE expires <= ?1",
    [SESSION_CROWD] = "DELETE FROM session WHERE hash IN (SELECT hash FROM session WHERE token = ?1"
                      " ORDER BY expires DESC, hash LIMIT -1 OFFSET ?2)",
    [SESSION_OPEN] = "INSERT INTO session VALUES(?1, ?2, (SELECT prefix FROM token WHERE id = ?2), ?3)",
    [SESSION_FIND] = "SELECT id, name, namespace, role, created, token.expires, used, revoked, session.expires FROM session"
                     " JOIN token ON id = token AND token.prefix = session.prefix WHERE session.hash = ?1",
    [SESSION_CLOSE] = "DELETE FROM session WHERE hash = ?1",
    [SESSION_REVOKE] = "DELETE FROM session WHERE token = ?1",
    [RESULT_ADD] = "INSERT OR IGNORE INTO result VALUES(?1, ?2, ?3, ?4, ?5)",
    [RESULT_EACH] = "SELECT run, ref, bytes FROM result WHERE namespace = ?1",
    [RESULT_FORGET] = "DELETE FROM result WHERE namespace = ?1 AND run = ?2 AND at < ?3",
    [HISTORY_SET] = "INSERT OR REPLACE INTO history VALUES(?1, ?2, ?3, ?4)",
    [HISTORY_EACH] = "SELECT execution, run, event FROM history WHERE namespace = ?1",
    [HISTORY_FORGET] = "DELETE FROM history WHERE namespace = ?1 AND execution = ?2",
    [USAGE_GET] = "SELECT coalesce(sum(cpu_ms), 0) FROM usage WHERE namespace = ?1 AND day = ?2",
};

struct access {
    char *state_dir;
    sqlite3 *db;
    sqlite3_stmt *st[STMT_COUNT];
    pthread_mutex_t lock; /* the connection */
};

static int64_t now_ms(void)
{
    return os_now_ns() / NS_PER_MS;
}

/* --- roles and names ---------------------------------------------------------------------------------------- */

const char *access_role_name(enum access_role role)
{
    return role_names[role];
}

int access_role_parse(const char *text, enum access_role *ret, struct err *err)
{
    for (size_t i = 0; i < ARRAY_LEN(role_names); i++)
        if (strcmp(text, role_names[i]) == 0) {
            *ret = (enum access_role)i;
            return 0;
        }
    return err_set(err, ERR_USAGE, "role '%.40s': one of viewer operator admin", text);
}

int access_check_namespace(const char *name, bool all, struct err *err)
{
    size_t n = strlen(name);
    if (all && strcmp(name, ACCESS_ALL) == 0)
        return 0;
    if (!n || n > ACCESS_NAME_MAX || strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789._-") != n ||
        !isalnum((unsigned char)name[0]))
        return err_set(err, ERR_USAGE, "namespace '%.80s': up to %d small letters, digits, '.', '_' and '-', no sign first",
                       name,
                       ACCESS_NAME_MAX);
    return 0;
}

/* --- database ----------------------------------------------------------------------------------------------- */

static int failed(struct access *a, int rc, struct err *err)
{
    enum err_code code = os_sqlite_code(rc);
    err_set(err, code, "%s/access.db: %s", a->state_dir, a->db ? sqlite3_errmsg(a->db) : sqlite3_errstr(rc));
    return -(int)code;
}

static int exec(struct access *a, const char *text, struct err *err)
{
    int rc = sqlite3_exec(a->db, text, NULL, NULL, NULL);
    return rc == SQLITE_OK ? 0 : failed(a, rc, err);
}

static int version(struct access *a, int *ret, struct err *err)
{
    sqlite3_stmt *s = NULL;
    int rc = sqlite3_prepare_v2(a->db, "PRAGMA user_version", -1, &s, NULL);
    if (rc == SQLITE_OK && (rc = sqlite3_step(s)) == SQLITE_ROW)
        *ret = sqlite3_column_int(s, 0);
    sqlite3_finalize(s);
    return rc == SQLITE_ROW ? 0 : failed(a, rc, err);
}

static int make_schema(struct access *a, struct err *err)
{
    int v = 0;
    int r = version(a, &v, err);
    if (r < 0 || v == ACCESS_SCHEMA)
        return r;
    if (v > ACCESS_SCHEMA)
        return err_set(err, ERR_STATE, "the tokens were made by a newer version (%d, this one knows %d)", v, ACCESS_SCHEMA);
    char text[2048];
    snprintf(text, sizeof text,
             "PRAGMA journal_mode = WAL; BEGIN IMMEDIATE;"
             "CREATE TABLE IF NOT EXISTS token(id TEXT PRIMARY KEY, name TEXT NOT NULL, namespace TEXT NOT NULL,"
             " role INTEGER NOT NULL, created INTEGER NOT NULL,"
             " expires INTEGER NOT NULL DEFAULT 0,"
             " used INTEGER NOT NULL DEFAULT 0, revoked INTEGER NOT NULL DEFAULT 0, prefix INTEGER NOT NULL,"
             " hash BLOB NOT NULL) WITHOUT ROWID;"
             "CREATE INDEX IF NOT EXISTS token_prefix ON token(prefix);"
             "CREATE TABLE IF NOT EXISTS usage(namespace TEXT NOT NULL, day INTEGER NOT NULL, cpu_ms INTEGER NOT NULL,"
             " PRIMARY KEY(namespace, day)) WITHOUT ROWID;"
             "CREATE TABLE IF NOT EXISTS result(namespace TEXT NOT NULL, run TEXT NOT NULL, ref TEXT NOT NULL,"
             " bytes INTEGER NOT NULL, at INTEGER NOT NULL, PRIMARY KEY(namespace, run, ref)) WITHOUT ROWID;"
             "DROP TABLE IF EXISTS history;" /* of another form before 5; it is read again */
             "CREATE TABLE history(namespace TEXT NOT NULL, execution TEXT NOT NULL, run TEXT NOT NULL, event INTEGER NOT NULL,"
             " PRIMARY KEY(namespace, execution)) WITHOUT ROWID;"
             "CREATE TABLE IF NOT EXISTS session(hash BLOB PRIMARY KEY, token TEXT NOT NULL, prefix INTEGER NOT NULL,"
             " expires INTEGER NOT NULL) WITHOUT ROWID;"
             "CREATE INDEX IF NOT EXISTS session_token ON session(token);"
             "PRAGMA application_id = %d; PRAGMA user_version = %d; COMMIT",
             APPLICATION_ID, ACCESS_SCHEMA);
    return exec(a, text, err);
}

/* SQLite would make it as the umask says. Only if it is not there, and before SQLite opens it: closing a descriptor of a file
 * drops all record locks that the process has on it, and another process would then take the log of changes away. */
static int make_file_private(const char *path, struct err *err)
{
    _cleanup_close_ int fd = -1;
    int r = os_open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0600, &fd, err);
    return r == -ERR_EXISTS ? 0 : r;
}

static int open_db(struct access *a, struct err *err)
{
    _cleanup_free_ char *path = os_path_join(a->state_dir, "access.db");
    int r = path ? os_mkdirs(a->state_dir, 0700, err) : err_nomem(err);
    if (r == 0)
        r = make_file_private(path, err);
    if (r < 0)
        return r;
    int rc = sqlite3_open_v2(path, &a->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW, NULL);
    if (rc != SQLITE_OK)
        return failed(a, rc, err);
    sqlite3_busy_timeout(a->db, BUSY_MS);
    sqlite3_db_config(a->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(a->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    r = exec(a, "PRAGMA synchronous = FULL; PRAGMA cache_size = -256; PRAGMA journal_size_limit = 1048576", err);
    if (r == 0)
        r = make_schema(a, err);
    for (int i = 0; r == 0 && i < STMT_COUNT; i++)
        if ((rc = sqlite3_prepare_v3(a->db, sql[i], -1, SQLITE_PREPARE_PERSISTENT, &a->st[i], NULL)) != SQLITE_OK)
            r = failed(a, rc, err);
    return r;
}

int access_open(const char *state_dir, struct access **ret, struct err *err)
{
    struct access *a = mem_zalloc(sizeof *a);
    if (!a)
        return err_nomem(err);
    pthread_mutex_init(&a->lock, NULL);
    a->state_dir = mem_strdup(state_dir);
    int r = a->state_dir ? open_db(a, err) : err_nomem(err);
    if (r < 0) {
        access_close(a);
        return r;
    }
    *ret = a;
    return 0;
}

void access_close(struct access *a)
{
    if (!a)
        return;
    for (int i = 0; i < STMT_COUNT; i++)
        sqlite3_finalize(a->st[i]);
    sqlite3_close(a->db);
    pthread_mutex_destroy(&a->lock);
    free(a->state_dir);
    free(a);
}

/* One that gives no rows. */
static int run(struct access *a, enum stmt s, struct err *err)
{
    int rc = sqlite3_step(a->st[s]);
    int r = rc == SQLITE_DONE || rc == SQLITE_ROW ? 0 : failed(a, rc, err);
    sqlite3_reset(a->st[s]);
    sqlite3_clear_bindings(a->st[s]);
    return r;
}

static void bind_text(sqlite3_stmt *s, int i, const char *text)
{
    sqlite3_bind_text(s, i, text, -1, SQLITE_STATIC);
}

static void read_text(sqlite3_stmt *s, int i, char *buf, size_t size)
{
    const char *text = (const char *)sqlite3_column_text(s, i);
    snprintf(buf, size, "%s", text ? text : "");
}

static void read_row(sqlite3_stmt *s, struct access_token *t)
{
    memset(t, 0, sizeof *t);
    read_text(s, 0, t->caller.id, sizeof t->caller.id);
    read_text(s, 1, t->caller.name, sizeof t->caller.name);
    read_text(s, 2, t->caller.name_space, sizeof t->caller.name_space);
    int role = sqlite3_column_int(s, 3);
    t->caller.role = role >= ACCESS_VIEWER && role <= ACCESS_ADMIN ? (enum access_role)role : ACCESS_VIEWER;
    t->created_ms = sqlite3_column_int64(s, 4);
    t->expires_ms = sqlite3_column_int64(s, 5);
    t->used_ms = sqlite3_column_int64(s, 6);
    t->revoked_ms = sqlite3_column_int64(s, 7);
}

/* --- making ------------------------------------------------------------------------------------------------- */

struct hashed {
    unsigned char hash[SHA256_BYTES];
    int64_t prefix;
};

static int hash_token(const char *token, struct hashed *h, struct err *err)
{
    struct sha256 s = {0};
    sha256_begin(&s);
    sha256_add(&s, token, strlen(token));
    bool ok = sha256_end(&s, h->hash);
    sha256_release(&s);
    memcpy(&h->prefix, h->hash, sizeof h->prefix);
    return ok ? 0 : err_nomem(err);
}

static void random_hex(char *out, size_t digits)
{
    unsigned char bits[ACCESS_TOKEN_LEN / 2];
    os_random(bits, digits / 2);
    for (size_t i = 0; i < digits / 2; i++)
        snprintf(out + 2 * i, 3, "%02x", bits[i]);
    explicit_bzero(bits, sizeof bits);
}

static int check_request(const struct access_request *q, struct access_token *t, struct err *err)
{
    random_hex(t->caller.id, ACCESS_ID_LEN);
    t->created_ms = now_ms();
    t->expires_ms = q->lifetime_ms ? t->created_ms + q->lifetime_ms : 0;
    t->caller.role = q->role;
    const char *name_space = q->name_space ? q->name_space : "default";
    if (q->name && (!*q->name || strlen(q->name) > ACCESS_NAME_MAX))
        return err_set(err, ERR_USAGE, "a token's name has 1 to %d bytes", ACCESS_NAME_MAX);
    for (const char *p = q->name; p && *p; p++)
        if (!isgraph((unsigned char)*p))
            return err_set(err, ERR_USAGE, "a token's name has letters, digits and signs, no blanks");
    if (q->name && strcmp(q->name, ACCESS_OWNER) == 0)
        return err_set(err, ERR_USAGE, "'%s' is the state's own token", ACCESS_OWNER);
    int r = access_check_namespace(name_space, true, err);
    if (r < 0)
        return r;
    if (q->name)
        snprintf(t->caller.name, sizeof t->caller.name, "%s", q->name);
    else
        snprintf(t->caller.name, sizeof t->caller.name, "token-%s", t->caller.id);
    snprintf(t->caller.name_space, sizeof t->caller.name_space, "%s", name_space);
    return 0;
}

/* Within a transaction. */
static int insert(struct access *a, const struct access_token *t, const struct hashed *h, struct err *err)
{
    sqlite3_bind_int64(a->st[FORGET], 1, t->created_ms - FORGET_MS);
    int r = run(a, FORGET, err);
    if (r < 0)
        return r;
    bool full = sqlite3_step(a->st[COUNT]) == SQLITE_ROW && sqlite3_column_int64(a->st[COUNT], 0) >= ACCESS_TOKENS_MAX;
    sqlite3_reset(a->st[COUNT]);
    if (full)
        return err_set(err, ERR_LIMIT, "there are %d tokens, which is the limit", ACCESS_TOKENS_MAX);
    bind_text(a->st[TAKEN], 1, t->caller.name);
    sqlite3_bind_int64(a->st[TAKEN], 2, t->created_ms);
    bool taken = sqlite3_step(a->st[TAKEN]) == SQLITE_ROW;
    sqlite3_reset(a->st[TAKEN]);
    if (taken)
        return err_set(err, ERR_EXISTS, "there is a token named '%s'", t->caller.name);
    sqlite3_stmt *s = a->st[INSERT];
    bind_text(s, 1, t->caller.id);
    bind_text(s, 2, t->caller.name);
    bind_text(s, 3, t->caller.name_space);
    sqlite3_bind_int(s, 4, t->caller.role);
    sqlite3_bind_int64(s, 5, t->created_ms);
    sqlite3_bind_int64(s, 6, t->expires_ms);
    sqlite3_bind_int64(s, 7, h->prefix);
    sqlite3_bind_blob(s, 8, h->hash, sizeof h->hash, SQLITE_STATIC);
    return run(a, INSERT, err);
}

/* Ends the transaction, and the lock. */
static int finish(struct access *a, int r, struct err *err)
{
    if (r == 0)
        r = exec(a, "COMMIT", err);
    if (r < 0)
        sqlite3_exec(a->db, "ROLLBACK", NULL, NULL, NULL);
    pthread_mutex_unlock(&a->lock);
    return r;
}

int access_create(struct access *a, const struct access_request *q, char *token, struct access_token *ret, struct err *err)
{
    struct access_token t = {0};
    struct hashed h;
    int r = check_request(q, &t, err);
    random_hex(token, ACCESS_TOKEN_LEN);
    if (r == 0)
        r = hash_token(token, &h, err);
    if (r == 0) {
        pthread_mutex_lock(&a->lock);
        r = exec(a, "BEGIN IMMEDIATE", err);
        if (r == 0)
            r = insert(a, &t, &h, err);
        r = finish(a, r, err);
    }
    if (r < 0)
        explicit_bzero(token, ACCESS_TOKEN_LEN);
    else if (ret)
        *ret = t;
    return r;
}

static int pick(struct access *a, const char *id_or_name, struct access_token *ret, struct err *err)
{
    sqlite3_stmt *s = a->st[PICK];
    bind_text(s, 1, id_or_name);
    bool found = sqlite3_step(s) == SQLITE_ROW;
    if (found)
        read_row(s, ret);
    sqlite3_reset(s);
    return found ? 0 : err_set(err, ERR_NOT_FOUND, "no token '%.80s'", id_or_name);
}

int access_revoke(struct access *a, const char *id_or_name, struct access_token *ret, struct err *err)
{
    struct access_token t = {0};
    pthread_mutex_lock(&a->lock);
    int r = exec(a, "BEGIN IMMEDIATE", err);
    if (r == 0)
        r = pick(a, id_or_name, &t, err);
    if (r == 0 && strcmp(t.caller.id, ACCESS_OWNER) == 0) {
        _cleanup_free_ char *path = os_path_join(a->state_dir, ACCESS_OWNER_FILE);
        r = path ? os_unlink(path, true, err) : err_nomem(err);
    }
    if (r == 0) {
        t.revoked_ms = now_ms();
        bind_text(a->st[REVOKE], 1, t.caller.id);
        sqlite3_bind_int64(a->st[REVOKE], 2, t.revoked_ms);
        r = run(a, REVOKE, err);
    }
    r = finish(a, r, err);
    if (r == 0 && ret)
        *ret = t;
    return r;
}

int access_list(struct access *a, int (*one)(void *arg, const struct access_token *t, struct err *err), void *arg,
                struct err *err)
{
    struct access_token t;
    int r = 0, rc = SQLITE_DONE;
    pthread_mutex_lock(&a->lock);
    while (r >= 0 && (rc = sqlite3_step(a->st[LIST])) == SQLITE_ROW) {
        read_row(a->st[LIST], &t);
        r = one(arg, &t, err);
    }
    if (r >= 0)
        r = rc == SQLITE_DONE ? 0 : failed(a, rc, err);
    sqlite3_reset(a->st[LIST]);
    pthread_mutex_unlock(&a->lock);
    return r;
}

/* --- checking ----------------------------------------------------------------------------------------------- */

/* All of it, however early they differ. */
static bool same_bytes(const void *a, const void *b, size_t n)
{
    const unsigned char *x = a, *y = b;
    unsigned char differs = 0;
    for (size_t i = 0; i < n; i++)
        differs |= x[i] ^ y[i];
    return !differs;
}

static int find(struct access *a, const struct hashed *h, struct access_token *ret, bool *ret_found, struct err *err)
{
    sqlite3_stmt *s = a->st[FIND];
    int rc;
    *ret_found = false;
    sqlite3_bind_int64(s, 1, h->prefix);
    while ((rc = sqlite3_step(s)) == SQLITE_ROW) {
        const unsigned char *hash = sqlite3_column_blob(s, 8);
        if (hash && sqlite3_column_bytes(s, 8) == SHA256_BYTES && same_bytes(hash, h->hash, SHA256_BYTES)) {
            read_row(s, ret);
            *ret_found = true;
        }
    }
    int r = rc == SQLITE_DONE ? 0 : failed(a, rc, err);
    sqlite3_reset(s);
    return r;
}

int access_check(struct access *a, const char *token, struct access_caller *ret, struct err *err)
{
    struct access_token t;
    struct hashed h;
    bool found;
    int64_t now = now_ms();
    int r = hash_token(token, &h, err);
    if (r < 0)
        return r;
    pthread_mutex_lock(&a->lock);
    r = find(a, &h, &t, &found, err);
    if (r == 0 && (!found || t.revoked_ms))
        r = err_set(err, ERR_UNAUTHENTICATED, found ? "the token was revoked" : "the token is wrong");
    else if (r == 0 && t.expires_ms && t.expires_ms <= now)
        r = err_set(err, ERR_UNAUTHENTICATED, "the token has expired");
    if (r == 0 && now / USED_EVERY_MS != t.used_ms / USED_EVERY_MS) {
        bind_text(a->st[USED], 1, t.caller.id);
        sqlite3_bind_int64(a->st[USED], 2, now);
        run(a, USED, NULL); /* a full disk keeps nobody out */
    }
    pthread_mutex_unlock(&a->lock);
    if (r == 0)
        *ret = t.caller;
    return r;
}

int access_check_header(struct access *a, const char *authorization, struct access_caller *ret, struct err *err)
{
    if (authorization && strncasecmp(authorization, BEARER, strlen(BEARER)) == 0)
        return access_check(a, authorization + strlen(BEARER), ret, err);
    return err_set(err, ERR_UNAUTHENTICATED, authorization ? "the token is wrong" : "a token is needed");
}

void access_local_caller(const char *via, struct access_caller *ret)
{
    *ret = (struct access_caller){.id = "local", .name_space = ACCESS_ALL, .role = ACCESS_ADMIN};
    snprintf(ret->name, sizeof ret->name, "%s", via);
}

bool access_sees(const struct access_caller *c, const char *name_space)
{
    return strcmp(c->name_space, ACCESS_ALL) == 0 || strcmp(c->name_space, name_space) == 0;
}

int access_allow(const struct access_caller *c, enum access_role needed, const char *name_space, struct err *err)
{
    if (c->role < needed)
        return err_set(err, ERR_PERMISSION, "this needs the role %s; token '%s' is a %s's", role_names[needed], c->name,
                       role_names[c->role]);
    if (name_space && !access_sees(c, name_space))
        return err_set(err, ERR_PERMISSION, "token '%s' is for the namespace '%s', not for '%.80s'", c->name, c->name_space,
                       name_space);
    return 0;
}

/* --- sessions of browsers ------------------------------------------------------------------------------------ */

static void bind_hash(sqlite3_stmt *s, int i, const struct hashed *h)
{
    sqlite3_bind_blob(s, i, h->hash, sizeof h->hash, SQLITE_STATIC);
}

/* Within a transaction. */
static int insert_session(struct access *a, const char *token_id, const struct hashed *h, int64_t expires_ms, struct err *err)
{
    sqlite3_bind_int64(a->st[SESSION_FORGET], 1, now_ms());
    int r = run(a, SESSION_FORGET, err);
    bind_text(a->st[SESSION_CROWD], 1, token_id);
    sqlite3_bind_int(a->st[SESSION_CROWD], 2, ACCESS_SESSIONS_MAX - 1);
    if (r == 0)
        r = run(a, SESSION_CROWD, err);
    bind_hash(a->st[SESSION_OPEN], 1, h);
    bind_text(a->st[SESSION_OPEN], 2, token_id);
    sqlite3_bind_int64(a->st[SESSION_OPEN], 3, expires_ms);
    return r == 0 ? run(a, SESSION_OPEN, err) : r;
}

int access_session_open(struct access *a, const char *token, char *session, struct access_caller *ret, int64_t *ret_expires_ms,
                        struct err *err)
{
    struct access_token t;
    struct hashed h;
    bool found = false;
    int r = access_check(a, token, ret, err);
    random_hex(session, ACCESS_TOKEN_LEN);
    if (r == 0)
        r = hash_token(token, &h, err);
    if (r < 0)
        return r;
    pthread_mutex_lock(&a->lock);
    r = exec(a, "BEGIN IMMEDIATE", err);
    if (r == 0)
        r = find(a, &h, &t, &found, err);
    if (r == 0 && !found)
        r = err_set(err, ERR_UNAUTHENTICATED, "the token is wrong");
    *ret_expires_ms = now_ms() + ACCESS_SESSION_MS;
    if (found && t.expires_ms && t.expires_ms < *ret_expires_ms)
        *ret_expires_ms = t.expires_ms;
    if (r == 0)
        r = hash_token(session, &h, err);
    if (r == 0)
        r = insert_session(a, t.caller.id, &h, *ret_expires_ms, err);
    return finish(a, r, err);
}

int access_session_check(struct access *a, const char *session, struct access_caller *ret, int64_t *ret_expires_ms,
                         struct err *err)
{
    struct access_token t = {0};
    struct hashed h;
    int r = hash_token(session, &h, err);
    if (r < 0)
        return r;
    pthread_mutex_lock(&a->lock);
    sqlite3_stmt *s = a->st[SESSION_FIND];
    bind_hash(s, 1, &h);
    int rc = sqlite3_step(s);
    if (rc == SQLITE_ROW) {
        read_row(s, &t);
        *ret_expires_ms = sqlite3_column_int64(s, 8);
    }
    int64_t now = now_ms();
    if (rc != SQLITE_ROW && rc != SQLITE_DONE)
        r = failed(a, rc, err);
    else if (rc == SQLITE_DONE || t.revoked_ms || *ret_expires_ms <= now || (t.expires_ms && t.expires_ms <= now))
        r = err_set(err, ERR_UNAUTHENTICATED, "the session is over");
    sqlite3_reset(s);
    pthread_mutex_unlock(&a->lock);
    if (r == 0)
        *ret = t.caller;
    return r;
}

int access_session_close(struct access *a, const char *session, struct err *err)
{
    struct hashed h;
    int r = hash_token(session, &h, err);
    if (r < 0)
        return r;
    pthread_mutex_lock(&a->lock);
    bind_hash(a->st[SESSION_CLOSE], 1, &h);
    r = run(a, SESSION_CLOSE, err);
    pthread_mutex_unlock(&a->lock);
    return r;
}

int access_sessions_revoke(struct access *a, const char *id_or_name, int *ret_count, struct err *err)
{
    struct access_token t = {0};
    pthread_mutex_lock(&a->lock);
    int r = pick(a, id_or_name, &t, err);
    bind_text(a->st[SESSION_REVOKE], 1, t.caller.id);
    if (r == 0)
        r = run(a, SESSION_REVOKE, err);
    if (r == 0)
        *ret_count = sqlite3_changes(a->db);
    pthread_mutex_unlock(&a->lock);
    return r;
}

int access_session_csrf(const char *session, char *csrf, struct err *err)
{
    struct hashed h;
    _cleanup_free_ char *text = mem_printf("csrf:%s", session);
    int r = text ? hash_token(text, &h, err) : err_nomem(err);
    for (size_t i = 0; r == 0 && i < SHA256_BYTES; i++)
        snprintf(csrf + 2 * i, 3, "%02x", h.hash[i]);
    return r;
}

bool access_session_csrf_is(const char *session, const char *csrf)
{
    char right[ACCESS_TOKEN_LEN + 1];
    return strlen(csrf) == ACCESS_TOKEN_LEN && access_session_csrf(session, right, NULL) == 0 &&
           same_bytes(right, csrf, ACCESS_TOKEN_LEN);
}

/* --- the owner's token ---------------------------------------------------------------------------------------- */

/* Two processes may want to make it at one time: the file appears whole, and the first one stays. */
static int make_file(const char *path, struct err *err)
{
    char text[ACCESS_TOKEN_LEN + 2], id[27];
    random_hex(text, ACCESS_TOKEN_LEN);
    text[ACCESS_TOKEN_LEN] = '\n';
    os_ulid(id);
    _cleanup_free_ char *temp = mem_printf("%s.%s", path, id);
    int r = temp ? os_write_file_atomic(temp, text, ACCESS_TOKEN_LEN + 1, 0600, err) : err_nomem(err);
    if (r == 0 && link(temp, path) < 0 && errno != EEXIST)
        r = err_sys(err, errno, "make %s", path);
    if (temp)
        unlink(temp);
    explicit_bzero(text, sizeof text);
    return r;
}

static int read_file(const char *path, char *token, struct err *err)
{
    struct stat st;
    _cleanup_free_ char *text = NULL;
    size_t len;
    int r = os_read_file(path, 4096, &text, &len, err);
    if (r < 0)
        return r;
    if (stat(path, &st) < 0 || (st.st_mode & 077)) {
        err_set(err, ERR_PERMISSION, "%s can be read by others", path);
        return err_hint(err, "remove it: a new one is made; programs that use it need the new one");
    }
    while (len && (text[len - 1] == '\n' || text[len - 1] == '\r'))
        text[--len] = 0;
    if (len != ACCESS_TOKEN_LEN || strspn(text, "0123456789abcdef") != len) {
        err_set(err, ERR_CORRUPT, "%s is no token", path);
        return err_hint(err, "remove it: a new one is made");
    }
    memcpy(token, text, ACCESS_TOKEN_LEN + 1);
    explicit_bzero(text, len);
    return 0;
}

int access_owner_token(struct access *a, char *token, struct err *err)
{
    struct hashed h;
    _cleanup_free_ char *path = os_path_join(a->state_dir, ACCESS_OWNER_FILE);
    if (!path)
        return err_nomem(err);
    int r = read_file(path, token, err);
    if (r == -ERR_NOT_FOUND) {
        r = make_file(path, err);
        r = r < 0 ? r : read_file(path, token, err);
    }
    if (r == 0)
        r = hash_token(token, &h, err);
    if (r < 0)
        return r;
    pthread_mutex_lock(&a->lock);
    sqlite3_stmt *s = a->st[OWNER];
    bind_text(s, 1, ACCESS_OWNER);
    bind_text(s, 2, ACCESS_ALL);
    sqlite3_bind_int(s, 3, ACCESS_ADMIN);
    sqlite3_bind_int64(s, 4, now_ms());
    sqlite3_bind_int64(s, 5, h.prefix);
    sqlite3_bind_blob(s, 6, h.hash, sizeof h.hash, SQLITE_STATIC);
    r = run(a, OWNER, err);
    pthread_mutex_unlock(&a->lock);
    return r;
}

/* --- usage -------------------------------------------------------------------------------------------------- */

int access_usage_add(struct access *a, const char *name_space, int64_t day, int64_t cpu_ms, struct err *err)
{
    pthread_mutex_lock(&a->lock);
    sqlite3_stmt *s = a->st[USAGE_ADD];
    bind_text(s, 1, name_space);
    sqlite3_bind_int64(s, 2, day);
    sqlite3_bind_int64(s, 3, cpu_ms);
    int r = run(a, USAGE_ADD, err);
    pthread_mutex_unlock(&a->lock);
    return r;
}

int access_usage(struct access *a, const char *name_space, int64_t day, int64_t *ret_cpu_ms, struct err *err)
{
    pthread_mutex_lock(&a->lock);
    sqlite3_stmt *s = a->st[USAGE_GET];
    bind_text(s, 1, name_space);
    sqlite3_bind_int64(s, 2, day);
    int rc = sqlite3_step(s);
    int r = rc == SQLITE_ROW ? 0 : failed(a, rc, err);
    if (r == 0)
        *ret_cpu_ms = sqlite3_column_int64(s, 0);
    sqlite3_reset(s);
    pthread_mutex_unlock(&a->lock);
    return r;
}

static int add_result(struct access *a, const char *name_space, const char *run_id, const struct access_result *x,
                      struct err *err)
{
    sqlite3_stmt *s = a->st[RESULT_ADD];
    bind_text(s, 1, name_space);
    bind_text(s, 2, run_id);
    bind_text(s, 3, x->ref);
    sqlite3_bind_int64(s, 4, (int64_t)x->bytes);
    sqlite3_bind_int64(s, 5, now_ms());
    return run(a, RESULT_ADD, err);
}

static int set_history(struct access *a, const char *name_space, const struct access_history *h, struct err *err)
{
    sqlite3_stmt *s = a->st[HISTORY_SET];
    bind_text(s, 1, name_space);
    bind_text(s, 2, h->execution_id);
    bind_text(s, 3, h->run_id);
    sqlite3_bind_int64(s, 4, h->event);
    return run(a, HISTORY_SET, err);
}

int access_results_add(struct access *a, const char *name_space, const struct access_history *h, const struct access_result *list,
                       size_t n, struct err *err)
{
    pthread_mutex_lock(&a->lock);
    int r = exec(a, "BEGIN IMMEDIATE", err);
    bool begun = r == 0;
    for (size_t i = 0; r == 0 && i < n; i++)
        r = add_result(a, name_space, h->run_id, &list[i], err);
    if (r == 0)
        r = set_history(a, name_space, h, err);
    if (begun && (r < 0 || (r = exec(a, "COMMIT", err)) < 0))
        exec(a, "ROLLBACK", NULL);
    pthread_mutex_unlock(&a->lock);
    return r;
}

int access_results_each(struct access *a, const char *name_space,
                        int (*each)(void *arg, const char *run_id, const struct access_result *x), void *arg, struct err *err)
{
    pthread_mutex_lock(&a->lock);
    sqlite3_stmt *s = a->st[RESULT_EACH];
    bind_text(s, 1, name_space);
    int rc, r = 0;
    while (r == 0 && (rc = sqlite3_step(s)) == SQLITE_ROW) {
        const char *id = (const char *)sqlite3_column_text(s, 0), *ref = (const char *)sqlite3_column_text(s, 1);
        r = id && ref ? each(arg, id, &(struct access_result){ref, (uint64_t)sqlite3_column_int64(s, 2)}) : err_nomem(err);
    }
    if (r == 0 && rc != SQLITE_DONE)
        r = failed(a, rc, err);
    sqlite3_reset(s);
    pthread_mutex_unlock(&a->lock);
    return r;
}

int access_results_forget(struct access *a, const char *name_space, const char *run_id, int64_t before_ms, struct err *err)
{
    pthread_mutex_lock(&a->lock);
    sqlite3_stmt *s = a->st[RESULT_FORGET];
    bind_text(s, 1, name_space);
    bind_text(s, 2, run_id);
    sqlite3_bind_int64(s, 3, before_ms);
    int r = run(a, RESULT_FORGET, err);
    pthread_mutex_unlock(&a->lock);
    return r;
}

int access_histories_each(struct access *a, const char *name_space,
                          int (*each)(void *arg, const struct access_history *h), void *arg, struct err *err)
{
    pthread_mutex_lock(&a->lock);
    sqlite3_stmt *s = a->st[HISTORY_EACH];
    bind_text(s, 1, name_space);
    int rc, r = 0;
    while (r == 0 && (rc = sqlite3_step(s)) == SQLITE_ROW) {
        const char *id = (const char *)sqlite3_column_text(s, 0), *run_id = (const char *)sqlite3_column_text(s, 1);
        r = id && run_id ? each(arg, &(struct access_history){run_id, id, sqlite3_column_int64(s, 2)}) : err_nomem(err);
    }
    if (r == 0 && rc != SQLITE_DONE)
        r = failed(a, rc, err);
    sqlite3_reset(s);
    pthread_mutex_unlock(&a->lock);
    return r;
}

int access_history_forget(struct access *a, const char *name_space, const char *execution_id, struct err *err)
{
    pthread_mutex_lock(&a->lock);
    sqlite3_stmt *s = a->st[HISTORY_FORGET];
    bind_text(s, 1, name_space);
    bind_text(s, 2, execution_id);
    int r = run(a, HISTORY_FORGET, err);
    pthread_mutex_unlock(&a->lock);
    return r;
}
