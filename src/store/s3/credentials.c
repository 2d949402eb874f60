#include "store/s3/credentials.h"

#include "base/cleanup.h"
#include "base/mem.h"
#include "os/file.h"

#include <string.h>

#define FILE_MAX ((size_t)1 << 20)

static void free_secret(char *s)
{
    if (s)
        explicit_bzero(s, strlen(s));
    free(s);
}

void s3_keys_release(struct s3_keys *k)
{
    free_secret(k->access);
    free_secret(k->secret);
    free_secret(k->token);
    *k = (struct s3_keys){0};
}

static int take(char **to, const char *value, struct err *err)
{
    free_secret(*to);
    *to = mem_strdup(value);
    return *to ? 0 : err_nomem(err);
}

int s3_keys_set(struct s3_keys *k, const char *access, const char *secret, const char *token, struct err *err)
{
    *k = (struct s3_keys){0};
    int r = take(&k->access, access, err);
    if (r == 0)
        r = take(&k->secret, secret, err);
    return r == 0 && token && *token ? take(&k->token, token, err) : r;
}

/* "  name = value  " of an INI file: cut in place; false for anything else. */
static bool split_line(char *line, char **name, char **value)
{
    char *eq = strchr(line, '=');
    if (!eq || line[0] == '#' || line[0] == ';')
        return false;
    *eq = 0;
    *name = line + strspn(line, " \t");
    (*name)[strcspn(*name, " \t")] = 0;
    *value = eq + 1 + strspn(eq + 1, " \t");
    size_t n = strlen(*value);
    while (n && strchr(" \t\r", (*value)[n - 1]))
        (*value)[--n] = 0;
    return true;
}

static int read_section(struct s3_keys *k, char *text, const char *profile, struct err *err)
{
    static const char *const names[] = {"aws_access_key_id", "aws_secret_access_key", "aws_session_token"};
    char **const to[] = {&k->access, &k->secret, &k->token};
    bool inside = false;
    char *save = NULL, *name, *value;
    size_t n = strlen(profile);
    int r = 0;
    for (char *line = strtok_r(text, "\n", &save); line && r == 0; line = strtok_r(NULL, "\n", &save)) {
        if (line[0] == '[') {
            inside = strncmp(line + 1, profile, n) == 0 && line[1 + n] == ']';
            continue;
        }
        if (!inside || !split_line(line, &name, &value))
            continue;
        for (size_t i = 0; i < ARRAY_LEN(names) && r == 0; i++)
            if (strcmp(name, names[i]) == 0)
                r = take(to[i], value, err);
    }
    return r;
}

int s3_keys_read(const char *path, const char *profile, struct s3_keys *ret, struct err *err)
{
    char *text = NULL;
    size_t len = 0;
    *ret = (struct s3_keys){0};
    int r = os_read_file(path, FILE_MAX, &text, &len, err);
    if (r == 0)
        r = read_section(ret, text, profile, err);
    if (text)
        explicit_bzero(text, len);
    free(text);
    if (r == 0 && (!ret->access || !*ret->access || !ret->secret || !*ret->secret))
        return err_set(err, ERR_UNAUTHENTICATED, "%s has no keys for the profile '%.60s'", path, profile);
    return r;
}
