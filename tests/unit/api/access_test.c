/* Tokens, the audit log and quotas. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/access/audit.h"
#include "api/access/quota.h"
#include "base/cleanup.h"
#include "base/strbuf.h"
#include "base/mem.h"
#include "codec/json.h"
#include "os/clock.h"
#include "os/fault.h"
#include "os/file.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static struct {
    char *dir;
    struct access *a;
} f;

static int set_up(void **state)
{
    struct err err = {0};
    (void)state;
    memset(&f, 0, sizeof f);
    return os_temp_dir("/tmp", "access-test-", &f.dir, &err) < 0 || access_open(f.dir, &f.a, &err) < 0 ? -1 : 0;
}

static int tear_down(void **state)
{
    (void)state;
    access_close(f.a);
    os_remove_tree(f.dir, NULL);
    free(f.dir);
    return 0;
}

static void make(const char *name, enum access_role role, const char *name_space, int64_t lifetime_ms, char *token)
{
    struct err err = {0};
    struct access_request q = {.name = name, .name_space = name_space, .role = role, .lifetime_ms = lifetime_ms};
    if (access_create(f.a, &q, token, NULL, &err) < 0)
        fail_msg("%s", err.msg);
}

static int check(const char *token, struct access_caller *ret)
{
    struct err err = {0};
    struct access_caller other;
    return access_check(f.a, token, ret ? ret : &other, &err);
}

static void a_token_is_known_until_it_is_revoked(void **state)
{
    (void)state;
    struct err err = {0};
    struct access_caller who;
    struct access_token t;
    char token[ACCESS_TOKEN_LEN + 1], other[ACCESS_TOKEN_LEN + 1];
    make("ci", ACCESS_OPERATOR, "team-a", 0, token);
    make(NULL, ACCESS_VIEWER, NULL, 0, other);
    assert_int_equal(strlen(token), ACCESS_TOKEN_LEN);
    assert_string_not_equal(token, other);
    assert_int_equal(check(token, &who), 0);
    assert_string_equal(who.name, "ci");
    assert_string_equal(who.name_space, "team-a");
    assert_int_equal(who.role, ACCESS_OPERATOR);
    assert_int_equal(check(other, &who), 0);
    assert_string_equal(who.name_space, "default");
    token[3] ^= 1;
    assert_int_equal(check(token, NULL), -ERR_UNAUTHENTICATED);
    token[3] ^= 1;
    assert_int_equal(check("", NULL), -ERR_UNAUTHENTICATED);
    assert_int_equal(access_revoke(f.a, "ci", &t, &err), 0);
    assert_int_equal(check(token, NULL), -ERR_UNAUTHENTICATED);
    assert_int_equal(check(other, NULL), 0);
    assert_int_equal(access_revoke(f.a, "ci", &t, &err), -ERR_NOT_FOUND);
    make("ci", ACCESS_VIEWER, NULL, 0, other); /* the name is free again */
}

/* What the other process of the next test does. */
static int revoke_in(const char *dir)
{
    struct err err = {0};
    struct access *a;
    int r = access_open(dir, &a, &err);
    if (r == 0)
        r = access_revoke(a, "ci", NULL, &err);
    if (r == 0)
        access_close(a);
    return r < 0;
}

/* A process that opens, writes and closes takes nothing away from one that has the tokens open. */
static void a_process_that_ends_leaves_the_rest(void **state)
{
    (void)state;
    char token[ACCESS_TOKEN_LEN + 1];
    int status = -1;
    make("ci", ACCESS_VIEWER, NULL, 0, token);
    assert_int_equal(check(token, NULL), 0);
    pid_t pid = fork();
    if (pid == 0) {
        execl("/proc/self/exe", "test", f.dir, (char *)NULL);
        _exit(9);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(check(token, NULL), -ERR_UNAUTHENTICATED);
}

static void another_process_sees_it_at_once(void **state)
{
    (void)state;
    struct err err = {0};
    struct access *other;
    struct access_caller who;
    char token[ACCESS_TOKEN_LEN + 1];
    assert_int_equal(access_open(f.dir, &other, &err), 0);
    make("ci", ACCESS_ADMIN, ACCESS_ALL, 0, token);
    assert_int_equal(access_check(other, token, &who, &err), 0);
    assert_int_equal(access_revoke(other, who.id, NULL, &err), 0);
    assert_int_equal(check(token, NULL), -ERR_UNAUTHENTICATED);
    access_close(other);
}

static void a_token_expires(void **state)
{
    (void)state;
    char token[ACCESS_TOKEN_LEN + 1];
    make("short", ACCESS_VIEWER, NULL, 1, token);
    os_sleep_ms(5);
    assert_int_equal(check(token, NULL), -ERR_UNAUTHENTICATED);
    make("short", ACCESS_VIEWER, NULL, 3600000, token); /* the name of a dead one */
    assert_int_equal(check(token, NULL), 0);
}

static void what_is_no_name_is_refused(void **state)
{
    (void)state;
    static const char *const names[] = {"", "a b", "owner", "a\nb",
                                        "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"};
    static const char *const spaces[] = {"", "A", "a/b", "-a", "a b", "**", "../x",
                                         "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"};
    char token[ACCESS_TOKEN_LEN + 1];
    struct err err = {0};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct access_request q = {.name = names[i]};
        assert_int_equal(access_create(f.a, &q, token, NULL, &err), -ERR_USAGE);
    }
    for (size_t i = 0; i < ARRAY_LEN(spaces); i++) {
        struct access_request q = {.name_space = spaces[i]};
        assert_int_equal(access_create(f.a, &q, token, NULL, &err), -ERR_USAGE);
    }
    struct access_request q = {.name = "x"};
    assert_int_equal(access_create(f.a, &q, token, NULL, &err), 0);
    assert_int_equal(access_create(f.a, &q, token, NULL, &err), -ERR_EXISTS);
}

static int find_text(void *arg, const struct access_token *t, struct err *err)
{
    (void)err;
    char text[512];
    snprintf(text, sizeof text, "%s %s %s", t->caller.id, t->caller.name, t->caller.name_space);
    return strstr(text, arg) ? -ERR_INTERNAL : 0;
}

/* Neither the list nor the file has the token's text. */
static void the_text_is_kept_nowhere(void **state)
{
    (void)state;
    struct err err = {0};
    char token[ACCESS_TOKEN_LEN + 1];
    static const char *const files[] = {"access.db", "access.db-wal"};
    make("ci", ACCESS_VIEWER, NULL, 0, token);
    assert_int_equal(access_list(f.a, find_text, token, &err), 0);
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        _cleanup_free_ char *path = os_path_join(f.dir, files[i]), *text = NULL;
        struct stat st;
        size_t len;
        assert_int_equal(os_read_file(path, 1 << 24, &text, &len, &err), 0);
        assert_null(memmem(text, len, token, ACCESS_TOKEN_LEN));
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 077, 0);
    }
}

static int used(void *arg, const struct access_token *t, struct err *err)
{
    (void)err;
    *(int64_t *)arg = t->used_ms;
    return 0;
}

static void the_last_use_is_noted(void **state)
{
    (void)state;
    struct err err = {0};
    char token[ACCESS_TOKEN_LEN + 1];
    int64_t at = -1;
    make("ci", ACCESS_VIEWER, NULL, 0, token);
    assert_int_equal(access_list(f.a, used, &at, &err), 0);
    assert_int_equal(at, 0);
    assert_int_equal(check(token, NULL), 0);
    assert_int_equal(access_list(f.a, used, &at, &err), 0);
    assert_true(at > os_now_ns() / 1000000 - 600000);
}

static void the_file_is_a_token_too(void **state)
{
    (void)state;
    struct err err = {0};
    struct access_caller who;
    char a[ACCESS_TOKEN_LEN + 1], b[ACCESS_TOKEN_LEN + 1];
    _cleanup_free_ char *path = os_path_join(f.dir, ACCESS_OWNER_FILE);
    assert_int_equal(access_owner_token(f.a, a, &err), 0);
    assert_int_equal(access_owner_token(f.a, b, &err), 0);
    assert_string_equal(a, b);
    assert_int_equal(strspn(a, "0123456789abcdef"), ACCESS_TOKEN_LEN);
    assert_int_equal(check(a, &who), 0);
    assert_string_equal(who.id, ACCESS_OWNER);
    assert_int_equal(who.role, ACCESS_ADMIN);
    assert_string_equal(who.name_space, ACCESS_ALL);
    os_unlink(path, false, NULL);
    assert_int_equal(access_owner_token(f.a, b, &err), 0);
    assert_string_not_equal(a, b);
    assert_int_equal(check(a, NULL), -ERR_UNAUTHENTICATED); /* the new one stands in its place */
    assert_int_equal(check(b, NULL), 0);
    assert_int_equal(access_revoke(f.a, ACCESS_OWNER, NULL, &err), 0);
    assert_false(os_exists(path));
    assert_int_equal(check(b, NULL), -ERR_UNAUTHENTICATED);
    assert_int_equal(access_owner_token(f.a, a, &err), 0);
    assert_int_equal(check(a, NULL), 0);
    chmod(path, 0640);
    assert_int_equal(access_owner_token(f.a, b, &err), -ERR_PERMISSION);
    assert_int_equal(os_write_file_atomic(path, "short\n", 6, 0600, &err), 0);
    assert_int_equal(access_owner_token(f.a, b, &err), -ERR_CORRUPT);
}

static void roles_and_namespaces(void **state)
{
    (void)state;
    static const struct {
        enum access_role has, needs;
        const char *own, *other;
        bool allowed;
    } table[] = {
        {ACCESS_VIEWER, ACCESS_VIEWER, "a", "a", true},     {ACCESS_VIEWER, ACCESS_OPERATOR, "a", "a", false},
        {ACCESS_OPERATOR, ACCESS_VIEWER, "a", "a", true},   {ACCESS_OPERATOR, ACCESS_ADMIN, "*", "a", false},
        {ACCESS_ADMIN, ACCESS_ADMIN, "a", "b", false},      {ACCESS_ADMIN, ACCESS_ADMIN, "*", "b", true},
        {ACCESS_VIEWER, ACCESS_VIEWER, "a", "*", false},    {ACCESS_VIEWER, ACCESS_VIEWER, "a", NULL, true},
        {ACCESS_VIEWER, ACCESS_VIEWER, "team", "tea", false}, {ACCESS_VIEWER, ACCESS_VIEWER, "tea", "team", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct err err = {0};
        struct access_caller who = {.role = table[i].has};
        snprintf(who.name_space, sizeof who.name_space, "%s", table[i].own);
        assert_int_equal(access_allow(&who, table[i].needs, table[i].other, &err), table[i].allowed ? 0 : -ERR_PERMISSION);
    }
}

static void *make_many(void *arg)
{
    char token[ACCESS_TOKEN_LEN + 1];
    int *failures = arg;
    for (int i = 0; i < 20; i++) {
        struct err err = {0};
        struct access_request q = {.role = ACCESS_VIEWER};
        struct access_caller who;
        *failures += access_create(f.a, &q, token, NULL, &err) < 0 || access_check(f.a, token, &who, &err) < 0;
    }
    return NULL;
}

static int count_tokens(void *arg, const struct access_token *t, struct err *err)
{
    (void)t;
    (void)err;
    ++*(int *)arg;
    return 0;
}

static void threads_share_it(void **state)
{
    (void)state;
    struct err err = {0};
    pthread_t t[4];
    int failures[4] = {0}, n = 0;
    for (size_t i = 0; i < ARRAY_LEN(t); i++)
        assert_int_equal(pthread_create(&t[i], NULL, make_many, &failures[i]), 0);
    for (size_t i = 0; i < ARRAY_LEN(t); i++) {
        pthread_join(t[i], NULL);
        assert_int_equal(failures[i], 0);
    }
    assert_int_equal(access_list(f.a, count_tokens, &n, &err), 0);
    assert_int_equal(n, 80);
}

/* --- audit -------------------------------------------------------------------------------------------------- */

struct seen {
    int n, damaged, denied;
    char last[600], allowed[600];
};

static int see(void *arg, json_t *e, struct err *err)
{
    struct seen *s = arg;
    (void)err;
    s->n++;
    s->damaged += json_flag(e, "damaged", false);
    s->denied += strcmp(json_str(e, "outcome", ""), "denied") == 0;
    snprintf(s->last, sizeof s->last, "%s", json_str(e, "subject", ""));
    if (strcmp(json_str(e, "outcome", ""), "allowed") == 0)
        snprintf(s->allowed + strlen(s->allowed), sizeof s->allowed - strlen(s->allowed), "%s", s->last);
    return 0;
}

static void changes_are_written_down(void **state)
{
    (void)state;
    struct err err = {0};
    struct seen s = {0};
    struct access_caller viewer = {.id = "1", .name = "v", .name_space = "a", .role = ACCESS_VIEWER};
    struct access_caller operator = {.id = "2", .name = "o", .name_space = "a", .role = ACCESS_OPERATOR};
    struct audit_entry e = {.who = &viewer, .via = "rest", .peer = "127.0.0.1", .action = "run.submit", .name_space = "a",
                            .subject = "x\"\n\xff"};
    assert_int_equal(audit_read(f.dir, see, &s, &err), 0);
    assert_int_equal(s.n, 0);
    assert_int_equal(audit_allow(f.dir, &e, ACCESS_OPERATOR, &err), -ERR_PERMISSION);
    e.who = &operator;
    e.subject = "run-1";
    assert_int_equal(audit_allow(f.dir, &e, ACCESS_OPERATOR, &err), 0);
    assert_int_equal(audit_read(f.dir, see, &s, &err), 0);
    assert_int_equal(s.n, 2);
    assert_int_equal(s.denied, 1);
    assert_string_equal(s.allowed, "run-1");
}

static void what_cannot_be_written_down_is_refused(void **state)
{
    (void)state;
    struct access_caller me;
    access_local_caller("test", &me);
    struct audit_entry e = {.who = &me, .via = "cli", .action = "x", .subject = "kept"};
    struct err err = {0};
    struct seen s = {0};
    assert_int_equal(audit_write(f.dir, &e, &err), 0);
    for (long step = 1; step < 50; step++) {
        os_fault_set(step, ENOSPC, false, NULL);
        int r = audit_allow(f.dir, &e, ACCESS_ADMIN, &err);
        bool hit = os_fault_hit();
        os_fault_set(0, 0, false, NULL);
        if (!hit) {
            assert_int_equal(r, 0);
            break;
        }
        assert_true(r < 0);
    }
    assert_int_equal(audit_read(f.dir, see, &s, &err), 0);
    assert_int_equal(s.n, 2);
    assert_int_equal(s.damaged, 0);
}

static void a_line_that_was_cut_short_takes_no_other_with_it(void **state)
{
    (void)state;
    struct access_caller me;
    access_local_caller("test", &me);
    struct audit_entry e = {.who = &me, .via = "cli", .action = "x", .subject = "first"};
    struct err err = {0};
    struct seen s = {0};
    _cleanup_free_ char *path = os_path_join(f.dir, "audit/audit.ndjson");
    struct stat st;
    assert_int_equal(audit_write(f.dir, &e, &err), 0);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(truncate(path, st.st_size / 2), 0);
    e.subject = "second";
    assert_int_equal(audit_write(f.dir, &e, &err), 0);
    assert_int_equal(audit_read(f.dir, see, &s, &err), 0);
    assert_int_equal(s.n, 2);
    assert_int_equal(s.damaged, 1);
    assert_string_equal(s.allowed, "second");
}

static void the_log_is_bounded(void **state)
{
    (void)state;
    struct err err = {0};
    struct seen s = {0};
    struct access_caller me;
    access_local_caller("test", &me);
    struct audit_entry e = {.who = &me, .via = "cli", .action = "x", .subject = "last"};
    _cleanup_free_ char *dir = os_path_join(f.dir, "audit"), *line = mem_alloc(AUDIT_FILE_MAX);
    assert_int_equal(os_mkdirs(dir, 0700, &err), 0);
    for (int round = 0; round < AUDIT_FILES + 3; round++) { /* a file that is full but for one line */
        _cleanup_free_ char *path = os_path_join(dir, "audit.ndjson");
        memset(line, 'x', AUDIT_FILE_MAX);
        line[AUDIT_FILE_MAX - 1] = '\n';
        assert_int_equal(os_write_file_atomic(path, line, AUDIT_FILE_MAX, 0600, &err), 0);
        assert_int_equal(audit_write(f.dir, &e, &err), 0);
    }
    for (int i = 1; i < AUDIT_FILES + 2; i++) {
        _cleanup_free_ char *path = mem_printf("%s/audit.%d.ndjson", dir, i);
        assert_int_equal(os_exists(path), i < AUDIT_FILES);
    }
    assert_int_equal(audit_read(f.dir, see, &s, &err), 0);
    assert_int_equal(s.n, AUDIT_FILES);
    assert_int_equal(s.damaged, AUDIT_FILES - 1);
    assert_string_equal(s.last, "last");
}

static void nobody_pushes_out_what_others_did(void **state)
{
    (void)state;
    struct err err = {0};
    struct seen s = {0};
    struct access_caller me, a = {.id = "1", .name = "a", .name_space = "a", .role = ACCESS_OPERATOR};
    access_local_caller("test", &me);
    struct audit_entry e = {.who = &me, .via = "cli", .action = "x", .subject = "mine"};
    _cleanup_free_ char *dir = os_path_join(f.dir, "audit/namespaces/a"), *line = mem_alloc(AUDIT_FILE_MAX);
    assert_int_equal(audit_write(f.dir, &e, &err), 0);
    e.who = &a;
    e.subject = "of a";
    assert_int_equal(audit_write(f.dir, &e, &err), 0);
    e.denied = true;
    for (int round = 0; round < AUDIT_FILES + 3; round++) {
        _cleanup_free_ char *path = os_path_join(dir, "denied.ndjson");
        memset(line, 'x', AUDIT_FILE_MAX);
        line[AUDIT_FILE_MAX - 1] = '\n';
        assert_int_equal(os_write_file_atomic(path, line, AUDIT_FILE_MAX, 0600, &err), 0);
        assert_int_equal(audit_write(f.dir, &e, &err), 0);
    }
    assert_int_equal(audit_read(f.dir, see, &s, &err), 0);
    assert_string_equal(s.allowed, "mineof a");
    assert_int_equal(s.denied, 1);
    assert_int_equal(s.damaged, AUDIT_DENIED_FILES - 1);
}

/* --- quotas ------------------------------------------------------------------------------------------------- */

static void quotas(void **state)
{
    (void)state;
    struct err err = {0};
    struct quota q;
    const char *named = "team-a runs=4 storage=1K; team-b cpu=2h";
    assert_int_equal(quota_of("runs=2", named, "team-a", &q, &err), 0);
    assert_int_equal(q.runs, 4);
    assert_int_equal(q.storage_bytes, 1024);
    assert_int_equal(quota_of("runs=2", named, "team-b", &q, &err), 0);
    assert_int_equal(q.runs, 2);
    assert_int_equal(q.cpu_ms, 7200000);
    assert_int_equal(quota_of("runs=2", named, "team", &q, &err), 0);
    assert_int_equal(q.runs, 2);
    assert_int_equal(q.storage_bytes, 0);
    static const char *const wrong[] = {"runs", "runs=", "runs=-1", "runs=99999999999999999999", "run=1", "cpu=x", "storage=much"};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        _cleanup_free_ char *other = mem_printf("other %s", wrong[i]);
        assert_int_equal(quota_of(wrong[i], "", "a", &q, &err), -ERR_INVALID);
        assert_int_equal(quota_of("", other, "a", &q, &err), -ERR_INVALID);
    }
    struct quota limit = {.runs = 2, .storage_bytes = 100, .cpu_ms = 1000};
    struct quota_usage u = {.runs = 1, .storage_bytes = 60, .cpu_ms = 999};
    assert_int_equal(quota_check(&limit, &u, 1, 40, "a", &err), 0);
    assert_int_equal(quota_check(&limit, &u, 2, 40, "a", &err), -ERR_QUOTA);
    assert_int_equal(quota_check(&limit, &u, 1, 41, "a", &err), -ERR_QUOTA);
    assert_int_equal(quota_check(&limit, &u, 1, UINT64_MAX, "a", &err), -ERR_QUOTA);
    u.cpu_ms = 1000;
    assert_int_equal(quota_check(&limit, &u, 0, 0, "a", &err), -ERR_QUOTA);
    assert_int_equal(err_http_status(ERR_QUOTA), 429);
    limit = (struct quota){0};
    assert_int_equal(quota_check(&limit, &u, 1000, UINT64_MAX, "a", &err), 0);
}

static void use_is_counted(void **state)
{
    (void)state;
    struct err err = {0};
    int64_t cpu;
    assert_int_equal(access_usage_add(f.a, "a", 7, 100, &err), 0);
    assert_int_equal(access_usage_add(f.a, "a", 7, 50, &err), 0);
    assert_int_equal(access_usage_add(f.a, "a", 8, 1, &err), 0);
    assert_int_equal(access_usage_add(f.a, "b", 7, 5, &err), 0);
    assert_int_equal(access_usage(f.a, "a", 7, &cpu, &err), 0);
    assert_int_equal(cpu, 150);
    assert_int_equal(access_usage(f.a, "c", 7, &cpu, &err), 0);
    assert_int_equal(cpu, 0);
}

static int add_text(void *arg, const char *run_id, const struct access_result *x)
{
    strbuf_printf(arg, "%s/%s=%d ", run_id, x->ref, (int)x->bytes);
    return 0;
}

static int refuse(void *arg, const char *run_id, const struct access_result *x)
{
    (void)run_id;
    (void)x;
    ++*(int *)arg;
    return -ERR_NO_MEMORY;
}

static void results_are(const char *name_space, const char *want)
{
    struct strbuf text = STRBUF_INIT_MAX(1000);
    struct err err = {0};
    strbuf_puts(&text, "");
    assert_int_equal(access_results_each(f.a, name_space, add_text, &text, &err), 0);
    assert_string_equal(strbuf_str(&text), want);
    strbuf_release(&text);
}

static int add_history(void *arg, const struct access_history *h)
{
    strbuf_printf(arg, "%s/%s=%lld ", h->run_id, h->execution_id, (long long)h->event);
    return 0;
}

static void histories_are(const char *name_space, const char *want)
{
    struct strbuf text = STRBUF_INIT_MAX(1000);
    struct err err = {0};
    strbuf_puts(&text, "");
    assert_int_equal(access_histories_each(f.a, name_space, add_history, &text, &err), 0);
    assert_string_equal(strbuf_str(&text), want);
    strbuf_release(&text);
}

static void results_are_noted(void **state)
{
    static const struct access_result list[] = {{"x", 10}, {"y", 20}, {"x", 10}};
    static const struct access_history one = {"one", "e1", 7}, later = {"one", "e1", 9}, two = {"two", "e2", 3};
    (void)state;
    struct err err = {0};
    int calls = 0;
    assert_int_equal(access_results_add(f.a, "a", &one, list, 3, &err), 0);
    assert_int_equal(access_results_add(f.a, "a", &later, list, 1, &err), 0); /* an activity that was run again */
    assert_int_equal(access_results_add(f.a, "a", &two, list, 1, &err), 0);
    assert_int_equal(access_results_add(f.a, "b", &one, list, 2, &err), 0);
    results_are("a", "one/x=10 one/y=20 two/x=10 ");
    assert_int_equal(access_results_each(f.a, "a", refuse, &calls, &err), -ERR_NO_MEMORY);
    assert_int_equal(calls, 1);
    assert_int_equal(access_results_forget(f.a, "a", "one", 1, &err), 0); /* they are younger */
    results_are("a", "one/x=10 one/y=20 two/x=10 ");
    assert_int_equal(access_results_forget(f.a, "a", "one", INT64_MAX, &err), 0);
    results_are("a", "two/x=10 ");
    results_are("b", "one/x=10 one/y=20 ");
    results_are("c", "");
    histories_are("a", "one/e1=9 two/e2=3 ");
    assert_int_equal(access_history_forget(f.a, "a", "e1", &err), 0);
    histories_are("a", "two/e2=3 ");
    histories_are("b", "one/e1=7 ");
}

int main(int argc, char **argv)
{
    if (argc == 2)
        return revoke_in(argv[1]);
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_token_is_known_until_it_is_revoked), TEST(another_process_sees_it_at_once),
        TEST(a_process_that_ends_leaves_the_rest), TEST(a_token_expires),
        TEST(what_is_no_name_is_refused), TEST(the_text_is_kept_nowhere), TEST(the_last_use_is_noted),
        TEST(the_file_is_a_token_too), TEST(roles_and_namespaces), TEST(threads_share_it), TEST(changes_are_written_down),
        TEST(what_cannot_be_written_down_is_refused), TEST(a_line_that_was_cut_short_takes_no_other_with_it),
        TEST(the_log_is_bounded),
        TEST(nobody_pushes_out_what_others_did), TEST(quotas), TEST(use_is_counted), TEST(results_are_noted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
