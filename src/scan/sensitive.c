#include "scan/sensitive.h"

#include "base/cleanup.h"
#include "scan/walk.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

struct content {
    const struct file_type *type;
    const char *s;
    size_t len;
};

static bool has(const struct content *c, const char *word)
{
    return memmem(c->s, c->len, word, strlen(word)) != NULL;
}

/* --- what the content of a file must show: 0 it is none, else the confidence + 1 --- */

static int sure(const struct content *c)
{
    return c->len ? CONFIDENCE_HIGH + 1 : 0;
}

static int private_key(const struct content *c)
{
    if (has(c, "PRIVATE KEY") || has(c, "PuTTY-User-Key-File"))
        return CONFIDENCE_HIGH + 1;
    return 0;
}

/* A file with the name of a key that shows no key: perhaps in another encoding. */
static int named_key(const struct content *c)
{
    return c->len ? private_key(c) ? CONFIDENCE_HIGH + 1 : CONFIDENCE_LOW + 1 : 0;
}

/* ".key": a PEM block, or DER, which begins with a SEQUENCE that holds the version INTEGER (PKCS#1, #8: RFC 5208). */
static int key_file(const struct content *c)
{
    const unsigned char *p = (const unsigned char *)c->s;
    if (c->len > 8 && p[0] == 0x30 && p[1] == 0x82 && p[4] == 2 && p[5] == 1)
        return CONFIDENCE_MEDIUM + 1;
    return private_key(c);
}

/* "NAME=value" with a value, on a line that is no comment. */
static int settings(const struct content *c)
{
    const char *line = c->s, *end = c->s + c->len;
    while (line < end) {
        const char *nl = memchr(line, '\n', (size_t)(end - line));
        const char *stop = nl ? nl : end;
        while (line < stop && isblank((unsigned char)*line))
            line++;
        const char *eq = memchr(line, '=', (size_t)(stop - line));
        if (eq && *line != '#') {
            for (eq++; eq < stop && (isspace((unsigned char)*eq) || *eq == '"' || *eq == '\''); eq++)
                ;
            if (eq < stop && *eq != '#' && *eq != '<' && *eq != '$')
                return CONFIDENCE_HIGH + 1;
        }
        line = stop + 1;
    }
    return 0;
}

static int npm_token(const struct content *c)
{
    const char *p = memmem(c->s, c->len, "_auth", 5);
    if (!p)
        p = memmem(c->s, c->len, "_password", 9);
    if (!p)
        return 0;
    size_t left = (size_t)(c->s + c->len - p);
    const char *eq = memchr(p, '=', left);
    while (eq && eq + 1 < c->s + c->len && eq[1] == ' ')
        eq++;
    return eq && eq + 1 < c->s + c->len && eq[1] != '$' && eq[1] != '\n' ? CONFIDENCE_HIGH + 1 : 0;
}

static int password_word(const struct content *c)
{
    return has(c, "password") || has(c, "passwd") || has(c, "secret") ? CONFIDENCE_HIGH + 1 : 0;
}

static int docker_auth(const struct content *c)
{
    return has(c, "\"auth\"") || has(c, "\"identitytoken\"") ? CONFIDENCE_HIGH + 1 : 0;
}

static int cloud_credentials(const struct content *c)
{
    if (has(c, "private_key") || has(c, "client_secret") || has(c, "refresh_token") ||
        has(c, "aws_secret_access_key"))
        return CONFIDENCE_HIGH + 1;
    return has(c, "password") || has(c, "token") || has(c, "secret") ? CONFIDENCE_MEDIUM + 1 : 0;
}

static int service_account(const struct content *c)
{
    return has(c, "\"service_account\"") && has(c, "PRIVATE KEY") ? CONFIDENCE_HIGH + 1 : 0;
}

static int kube_config(const struct content *c)
{
    if (!has(c, "clusters") && !has(c, "users"))
        return 0;
    return has(c, "client-key-data") || has(c, "token:") || has(c, "password:") ? CONFIDENCE_HIGH + 1
                                                                              : CONFIDENCE_LOW + 1;
}

/* "url = https://user:password@host/", or a header with a token. */
static int git_config(const struct content *c)
{
    if (has(c, "AUTHORIZATION:") || has(c, "Authorization:"))
        return CONFIDENCE_HIGH + 1;
    for (const char *p = c->s, *end = c->s + c->len; (p = memmem(p, (size_t)(end - p), "://", 3));) {
        p += 3;
        size_t n = 0;
        bool colon = false;
        while (p + n < end && !strchr("/@ \t\r\n", p[n]))
            colon |= p[n++] == ':';
        if (p + n < end && p[n] == '@' && (colon || n > 30)) /* a token alone may be the user's name */
            return CONFIDENCE_HIGH + 1;
    }
    return 0;
}

static int shadow(const struct content *c)
{
    return has(c, ":$1$") || has(c, ":$5$") || has(c, ":$6$") || has(c, ":$y$") || has(c, ":$2")
               ? CONFIDENCE_HIGH + 1 : 0;
}

static int hashes(const struct content *c)
{
    return c->len && memchr(c->s, ':', c->len) ? CONFIDENCE_HIGH + 1 : 0;
}

static int rails_key(const struct content *c)
{
    size_t n = 0;
    while (n < c->len && isxdigit((unsigned char)c->s[n]))
        n++;
    return n >= 32 ? CONFIDENCE_HIGH + 1 : 0;
}

static int sql_dump(const struct content *c)
{
    if (has(c, "-- MySQL dump") || has(c, "-- MariaDB dump") || has(c, "PostgreSQL database dump") ||
        has(c, "-- Dump completed") || has(c, "phpMyAdmin SQL Dump"))
        return CONFIDENCE_HIGH + 1;
    return 0;
}

static int database(const struct content *c)
{
    return c->type->class == FILE_DATABASE ? CONFIDENCE_MEDIUM + 1 : 0;
}

static int keystore(const struct content *c)
{
    return c->type->class == FILE_TEXT ? 0 : sure(c);
}

static int core_dump(const struct content *c)
{
    return c->type->class == FILE_COREDUMP ? CONFIDENCE_HIGH + 1 : 0;
}

static int terraform_state(const struct content *c)
{
    return has(c, "\"terraform_version\"") || has(c, "\"resources\"") ? CONFIDENCE_HIGH + 1 : 0;
}

static int inline_key(const struct content *c)
{
    return has(c, "<key>") || has(c, "PRIVATE KEY") || has(c, "PrivateKey") ? CONFIDENCE_HIGH + 1 : 0;
}

#define KEY "Remove it from the tree and its history, replace the key, and keep the new one outside."
#define PASSWORDS "Remove it from the tree and its history, and change the passwords in it."
#define SETTINGS "Keep it out of the repository (.gitignore) and commit an .env.example without values instead."
#define DUMP "Remove it from the tree and its history; data of a running system does not belong beside its source."
#define LEFT "Delete it; the version history keeps old states."

/* The first that fits decides. A glob with a slash is matched against the whole path (behind any folder), one
 * without against the name; letters of either case. */
static const struct rule {
    const char *globs; /* blank-separated */
    const char *kind, *title, *advice;
    enum severity severity;
    int (*check)(const struct content *);
} rules[] = {
    {"id_rsa id_dsa id_ecdsa id_ecdsa_sk id_ed25519 id_ed25519_sk", "ssh-private-key", "SSH private key", KEY,
     SEVERITY_HIGH, named_key},
    {"*.ppk", "ssh-private-key", "SSH private key of PuTTY", KEY, SEVERITY_HIGH, named_key},
    {".git-credentials", "git-credentials", "Stored Git passwords", PASSWORDS, SEVERITY_HIGH, hashes},
    {".git/config", "git-config", "Git configuration with a password or token", PASSWORDS, SEVERITY_HIGH, git_config},
    {".env.example .env.sample .env.template .env.dist .env.defaults *.env.example *.env.sample *.env.template",
     NULL, NULL, NULL, SEVERITY_INFO, NULL},
    {".env .env.* *.env .envrc", "env-file", "Environment file with values", SETTINGS, SEVERITY_MEDIUM, settings},
    {".htpasswd *.htpasswd", "htpasswd", "Password file of a web server", PASSWORDS, SEVERITY_HIGH, hashes},
    {"shadow shadow- gshadow master.passwd", "shadow", "System password file", PASSWORDS, SEVERITY_CRITICAL, shadow},
    {".npmrc .yarnrc .yarnrc.yml", "npm-credentials", "Package registry credentials", PASSWORDS, SEVERITY_HIGH,
     npm_token},
    {".pypirc", "pypi-credentials", "Package index credentials", PASSWORDS, SEVERITY_HIGH, password_word},
    {".netrc _netrc", "netrc", "Stored passwords of network logins", PASSWORDS, SEVERITY_HIGH, password_word},
    {".pgpass pgpass.conf", "pgpass", "Stored PostgreSQL passwords", PASSWORDS, SEVERITY_HIGH, hashes},
    {".my.cnf .mylogin.cnf", "mysql-credentials", "Stored MySQL passwords", PASSWORDS, SEVERITY_HIGH, password_word},
    {".dockercfg .docker/config.json", "docker-credentials", "Container registry credentials", PASSWORDS,
     SEVERITY_HIGH, docker_auth},
    {".aws/credentials .aws/config", "cloud-credentials", "AWS credentials file", PASSWORDS, SEVERITY_HIGH,
     cloud_credentials},
    {"credentials.json client_secret*.json application_default_credentials.json credentials.xml credentials.csv "
     "accessKeys.csv *_accessKeys.csv credentials.db",
     "cloud-credentials", "Credentials file", PASSWORDS, SEVERITY_HIGH, cloud_credentials},
    {"*.json", "service-account", "Service account key", KEY, SEVERITY_HIGH, service_account},
    {"kubeconfig *.kubeconfig .kube/config kube.config", "kubeconfig", "Kubernetes access configuration", PASSWORDS,
     SEVERITY_HIGH, kube_config},
    {"*.kdbx *.kdb *.psafe3 *.agilekeychain *.keychain *.keychain-db", "password-store", "Password store", PASSWORDS,
     SEVERITY_HIGH, keystore},
    {"*.p12 *.pfx *.jks *.keystore *.bcfks", "keystore", "Key store", KEY, SEVERITY_HIGH, keystore},
    {"*.pem *.key *.pkcs8 *.pk8 *.asc *.gpg *.priv", "private-key", "Private key", KEY, SEVERITY_HIGH, key_file},
    {"secring.*", "private-key", "Private key ring", KEY, SEVERITY_HIGH, sure},
    {"*.ovpn wg*.conf", "vpn-config", "VPN configuration with a key", KEY, SEVERITY_HIGH, inline_key},
    {"master.key credentials.yml.key", "rails-master-key", "Master key of a Rails application", KEY, SEVERITY_HIGH,
     rails_key},
    {".vault-token .vault_pass .vault_pass.txt", "vault-token", "Token or password of a vault", PASSWORDS,
     SEVERITY_HIGH, sure},
    {".s3cfg .boto rclone.conf .passwd-s3fs", "cloud-credentials", "Storage credentials", PASSWORDS, SEVERITY_HIGH,
     cloud_credentials},
    {"*.tfstate *.tfstate.backup", "terraform-state", "Terraform state, which holds secrets in the clear", DUMP,
     SEVERITY_MEDIUM, terraform_state},
    {".bash_history .zsh_history .sh_history .mysql_history .psql_history .python_history .node_repl_history "
     ".irb_history .rediscli_history",
     "shell-history", "Command history", LEFT, SEVERITY_MEDIUM, sure},
    {"*.sql *.dump *.sql.txt", "database-dump", "Database dump", DUMP, SEVERITY_MEDIUM, sql_dump},
    {"*.dump *.backup *.pgdump *.sqlite *.sqlite3 *.db *.mdb", "database-file", "Database file", DUMP, SEVERITY_LOW,
     database},
    {"*.sql.gz *.sql.zip *.sql.bz2 *.sql.xz *.sql.zst", "database-dump", "Packed database dump", DUMP, SEVERITY_MEDIUM,
     sure},
    {"core core.* *.core *.hprof *.mdmp *.dmp", "memory-dump", "Memory dump", DUMP, SEVERITY_MEDIUM, core_dump},
    {"*.bak *.backup *.old *.orig *.swp *.swo *~ *.save", "backup-file", "Backup copy", LEFT, SEVERITY_LOW, sure},
};

static bool glob_fits(const char *glob, const char *path)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    const char *part = strchr(glob, '/');
    if (!part)
        return walk_glob(glob, name);
    size_t n = strlen(path), g = strlen(glob); /* no wildcards in these */
    return n >= g && strcmp(path + n - g, glob) == 0 && (n == g || path[n - g - 1] == '/');
}

static bool rule_fits(const struct rule *r, const char *path)
{
    char glob[64];
    for (const char *p = r->globs; *p;) {
        size_t n = strcspn(p, " ");
        snprintf(glob, sizeof glob, "%.*s", (int)n, p);
        for (char *c = glob; *c; c++)
            *c = (char)tolower((unsigned char)*c);
        if (glob_fits(glob, path))
            return true;
        p += n + (p[n] == ' ');
    }
    return false;
}

/* Names that promise something harmless, on content that is a program. */
static bool disguised(const char *path)
{
    static const char *const harmless[] = {"*.png", "*.jpg", "*.jpeg", "*.gif", "*.txt", "*.md", "*.pdf", "*.csv",
                                           "*.json", "*.html", "*.css", "*.svg", "*.xml", "*.py", "*.js"};
    for (size_t i = 0; i < ARRAY_LEN(harmless); i++)
        if (walk_glob_any(harmless[i], path))
            return true;
    return false;
}

bool sensitive_file(const char *path, const struct file_type *type, const char *head, size_t len,
                    struct sensitive *ret)
{
    struct content c = {.type = type, .s = head, .len = len};
    char lower[WALK_PATH_MAX + 1];
    snprintf(lower, sizeof lower, "%s", path);
    for (char *p = lower; *p; p++)
        *p = (char)tolower((unsigned char)*p);
    for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
        const struct rule *r = &rules[i];
        if (!rule_fits(r, lower))
            continue;
        if (!r->kind)
            return false;
        int found = r->check(&c);
        if (found) {
            *ret = (struct sensitive){r->kind, r->title, r->advice, r->severity,
                                      (enum confidence)(found - 1)};
            return true;
        }
    }
    if (type->class != FILE_EXECUTABLE)
        return false;
    if (disguised(lower))
        *ret = (struct sensitive){"disguised-executable", "A program under the name of a document",
                                  "Find out where it comes from, and remove it.", SEVERITY_MEDIUM, CONFIDENCE_HIGH};
    else
        *ret = (struct sensitive){"executable", "Compiled program in a source tree",
                                  "Build programs from source, or fetch them by a checked digest.", SEVERITY_INFO,
                                  CONFIDENCE_HIGH};
    return true;
}
