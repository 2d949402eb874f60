/* ff token, ff audit: who may use a served state, and who changed what. */
#include "api/access/audit.h"
#include "base/cleanup.h"
#include "base/units.h"
#include "api/client/remote.h"
#include "cli/housekeeping.h"
#include "cli/table.h"
#include "cli/term.h"
#include "cli/tokens.h"
#include "codec/json.h"

#include <stdio.h>
#include <string.h>

DEFINE_CLEANUP(struct access *, access_close)

static int write_audit(struct app *app, const char *action, const char *name_space, const char *subject, struct err *err)
{
    struct access_caller me;
    access_local_caller("command line", &me);
    struct audit_entry e = {.who = &me, .via = "cli", .action = action, .name_space = name_space, .subject = subject};
    return audit_write(app->state_dir, &e, err);
}

static int read_request(const struct args *a, json_t **ret, struct err *err)
{
    const char *role = args_get(a, "role"), *expires = args_get(a, "expires"), *name_space = args_get(a, "namespace");
    enum access_role parsed = ACCESS_VIEWER;
    int64_t lifetime_ms = TOKENS_LIFETIME_MS;
    int r = role ? access_role_parse(role, &parsed, err) : 0;
    if (r == 0 && name_space)
        r = access_check_namespace(name_space, true, err);
    bool never = expires && strcmp(expires, "never") == 0;
    if (r == 0 && never)
        lifetime_ms = 0;
    else if (r == 0 && expires)
        r = units_parse_duration_ms(expires, &lifetime_ms, err);
    if (r == 0 && !lifetime_ms && !never)
        r = err_set(err, ERR_USAGE, "--expires 0: a time over 0, or 'never'");
    if (r < 0)
        return r;
    *ret = json_pack("{s:s*, s:s, s:s*, s:I}", "name", args_get(a, "name"), "role", access_role_name(parsed), "namespace",
                     name_space, "lifetime_ms", (json_int_t)lifetime_ms);
    return *ret ? 0 : err_nomem(err);
}

static void print_created(struct app *app, json_t *t)
{
    if (app->json) {
        app_print_json(app, json_incref(t));
        return;
    }
    printf("%s\n", json_str(t, "token", ""));
    if (app->quiet)
        return;
    fputs("ff: token '", stderr);
    term_text(stderr, json_str(t, "name", ""));
    fprintf(stderr, "', %s of namespace ", json_str(t, "role", ""));
    term_text(stderr, json_str(t, "namespace", ""));
    fputs("; it is not shown again\n", stderr);
}

/* Here, or through a server, which writes its own audit log. */
static int do_token(struct app *app, enum token_verb verb, const json_t *q, json_t **ret, struct err *err)
{
    static const char *const actions[] = {[TOKEN_CREATE] = "token.create", [TOKEN_REVOKE] = "token.revoke",
                                          [TOKEN_REVOKE_SESSIONS] = "session.revoke"};
    _cleanup_(access_close_cleanup_) struct access *access = NULL;
    const char *subject = json_str(q, "name", json_str(q, "token", NULL));
    if (app->remote) {
        int r = app_open(app, 0, err);
        return r < 0 ? r : client_tokens(app->client, verb, q, ret, err);
    }
    int r = access_open(app->state_dir, &access, err);
    if (r == 0 && verb != TOKEN_LIST)
        r = write_audit(app, actions[verb], verb == TOKEN_CREATE ? json_str(q, "namespace", "default") : NULL, subject, err);
    return r == 0 ? tokens_do(app, access, verb, q, ret, err) : r;
}

static int create(struct app *app, const struct args *a)
{
    struct err err = {0};
    _cleanup_json_ json_t *q = NULL, *token = NULL;
    int r = read_request(a, &q, &err);
    if (r == 0)
        r = do_token(app, TOKEN_CREATE, q, &token, &err);
    if (r < 0)
        return app_fail(app, &err);
    print_created(app, token);
    return EXIT_OK;
}

static void print_list(const json_t *list)
{
    static const char *const heads[] = {"ID", "NAME", "ROLE", "NAMESPACE", "STATE", "EXPIRES", "LAST USED", NULL};
    static const char *const keys[] = {"id", "name", "role", "namespace", "state", "expires_at", "last_used_at"};
    struct table t;
    size_t i;
    json_t *j;
    table_init(&t, heads);
    json_array_foreach(list, i, j)
        for (size_t k = 0; k < ARRAY_LEN(keys); k++) {
            const char *text = json_str(j, keys[k], NULL);
            bool time = k >= 5;
            table_addf(&t, "", "%.*s", text && time ? 19 : 200, text ? text : time && k == 5 ? "never" : "-");
        }
    table_print(&t);
}

static int list(struct app *app, const struct args *a)
{
    struct err err = {0};
    _cleanup_json_ json_t *q = json_pack("{s:b}", "all", args_has(a, "all")), *doc = NULL;
    int r = q ? do_token(app, TOKEN_LIST, q, &doc, &err) : err_nomem(&err);
    if (r < 0)
        return app_fail(app, &err);
    const json_t *tokens = json_object_get(doc, "tokens");
    if (app->json)
        app_print_json(app, json_incref(doc));
    else if (json_array_size(tokens))
        print_list(tokens);
    else if (!app->quiet)
        fprintf(stderr, "ff: no tokens\n");
    return EXIT_OK;
}

static void print_revoked(const json_t *t, bool sessions)
{
    if (sessions) {
        long long n = json_i64(t, "sessions_revoked", 0);
        printf("%lld session%s of browsers ended\n", n, n == 1 ? "" : "s");
        return;
    }
    fputs("token '", stdout);
    term_text(stdout, json_str(t, "name", ""));
    printf("' (%.40s) is revoked\n", json_str(t, "id", ""));
}

static int revoke_token(struct app *app, const struct args *a)
{
    struct err err = {0};
    bool sessions = args_has(a, "sessions");
    _cleanup_json_ json_t *q = json_pack("{s:s}", "token", args_pos(a, 0)), *t = NULL;
    int r = q ? do_token(app, sessions ? TOKEN_REVOKE_SESSIONS : TOKEN_REVOKE, q, &t, &err)
              : err_set(&err, ERR_INVALID, "no name of a token");
    if (r < 0)
        return app_fail(app, &err);
    if (app->json)
        app_print_json(app, json_incref(t));
    else if (!app->quiet)
        print_revoked(t, sessions);
    return EXIT_OK;
}

static const struct opt create_options[] = {
    {"role", 0, "ROLE", "viewer (reads), operator (starts and stops runs), admin; default: viewer"},
    {"namespace", 0, "NAME", "what it is for; '*' stands for all (default: default)"},
    {"expires", 0, "TIME", "30d, 12h, ... or never (default: 30d)"},
    {"name", 0, "NAME", "to tell it from others (default: token-ID)"},
    {NULL, 0, NULL, NULL},
};
static const struct opt list_options[] = {
    {"all", 'a', NULL, "those that were revoked or have expired too"},
    {NULL, 0, NULL, NULL},
};
static const struct opt revoke_options[] = {
    {"sessions", 0, NULL, "end the sessions of browsers that were made of it; the token stays"},
    {NULL, 0, NULL, NULL},
};
static const struct command c_create = {.remote = true,
                                        .name = "create", .summary = "Make a token and print it, this once",
                                        .usage = "[options]",
                                        .examples = "  ff token create --role operator --namespace team-a --expires 90d",
                                        .opts = create_options, .run = create};
static const struct command c_list = {.remote = true,
                                      .name = "list", .aliases = "ls", .summary = "List tokens; never their text",
                                      .usage = "[--all]",
                                      .examples = "  ff token list", .opts = list_options, .run = list};
static const struct command c_revoke = {.remote = true,
                                        .name = "revoke", .aliases = "rm", .summary = "Make a token worthless at once",
                                        .usage = "ID|NAME [--sessions]", .examples = "  ff token revoke ci",
                                        .opts = revoke_options,
                                        .min_args = 1, .max_args = 1,
                                        .run = revoke_token};

const struct command cmd_token = {
    .name = "token",
    .summary = "Tokens for those who use a served state: create, list, revoke",
    .usage = "create|list|revoke",
    .examples = "  ff token create --role viewer\n  ff token revoke ci",
    .subs = (const struct command *const[]){&c_create, &c_list, &c_revoke, NULL},
};

/* --- audit -------------------------------------------------------------------------------------------------- */

static int audit(struct app *app, const struct args *a)
{
    struct err err = {0};
    const char *limit = args_get(a, "limit");
    char *end = (char *)"";
    _cleanup_json_ json_t *doc = NULL;
    int64_t last = limit ? strtoll(limit, &end, 10) : 50;
    if (last < 1 || last > 1000000 || *end)
        return app_usage(app, "--limit takes a number from 1 to 1000000");
    json_t *q = json_pack("{s:s*, s:s*, s:s*, s:I}", "who", args_get(a, "who"), "action", args_get(a, "action"), "namespace",
                          args_get(a, "namespace"), "limit", (json_int_t)last);
    int r = q ? housekeeping_ask(app, 0, HOUSE_AUDIT, q, &doc, &err) : err_set(&err, ERR_INVALID, "no text that could be there");
    if (r < 0)
        return app_fail(app, &err);
    if (app->json) {
        app_print_json(app, TAKE_PTR(doc));
        return EXIT_OK;
    }
    static const char *const heads[] = {"TIME", "WHO", "ROLE", "VIA", "ACTION", "NAMESPACE", "OUTCOME", "SUBJECT", NULL};
    struct table t;
    size_t i;
    json_t *e;
    table_init(&t, heads);
    json_array_foreach(json_object_get(doc, "entries"), i, e) {
        const json_t *who = json_object_get(e, "who");
        table_addf(&t, "", "%.19s", json_str(e, "time", "damaged"));
        table_add(&t, "", json_str(who, "name", NULL));
        table_add(&t, "", json_str(who, "role", NULL));
        table_add(&t, "", json_str(e, "via", NULL));
        table_add(&t, "", json_str(e, "action", NULL));
        table_add(&t, "", json_str(e, "namespace", NULL));
        table_add(&t, strcmp(json_str(e, "outcome", ""), "denied") == 0 ? term_red() : "", json_str(e, "outcome", NULL));
        table_add(&t, "", json_str(e, "subject", NULL));
    }
    table_print(&t);
    return EXIT_OK;
}

static const struct opt audit_options[] = {
    {"who", 0, "TOKEN", "by the token of that name or id"},
    {"action", 0, "PREFIX", "as run.submit, or run. for all of a kind"},
    {"namespace", 0, "NAME", "in that namespace"},
    {"limit", 'n', "N", "the last so many (default 50)"},
    {NULL, 0, NULL, NULL},
};

const struct command cmd_audit = {
    .remote = true,
    .name = "audit",
    .summary = "Who changed what, and when",
    .usage = "[options]",
    .examples = "  ff audit --who ci --action run.",
    .opts = audit_options,
    .run = audit,
};
