/* The rules of the house, checked on the source text: who may include whom, and the sizes of lines, functions and files.
 *
 * usage: test_layout SOURCE_ROOT. The ranks are those of ARCHITECTURE.md. */
#include "base/cleanup.h"
#include "os/file.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILE_BYTES_MAX ((size_t)4 << 20)
#define FILE_LINES_MAX 1000
#define FUNCTION_LINES_MAX 70
#define LINE_COLUMNS_MAX 130

/* A folder of src/ and the rank it has. only: the folders it may use, where that is less than its rank allows. */
static const struct folder {
    const char *name;
    int rank;
    const char *only;
} folders[] = {
    {"base", 0, NULL},
    {"os", 1, NULL},
    {"codec", 1, "base proto"}, /* the parsers stand on generated messages */
    {"proto", 1, NULL},
    {"store", 2, NULL},
    {"sandbox", 2, NULL},
    {"rpc", 2, NULL},
    {"engine", 3, NULL},
    {"workflow", 3, "base codec proto"}, /* no clock, no input or output of its own */
    {"module", 3, NULL},
    {"scan", 4, NULL},
    {"fuzz", 4, NULL},
    {"ingest", 4, NULL},
    {"worker", 4, NULL},
    {"toolbox", 4, NULL},
    {"api", 5, NULL},
    {"cli", 6, NULL},
};

static int violations;
static bool quiet;
static int files_seen, includes_seen, functions_seen;

static void violation(const char *path, int line, const char *what)
{
    if (!quiet)
        fprintf(stderr, "%s:%d: %s\n", path, line, what);
    violations++;
}

static const struct folder *find_folder(const char *name, size_t n)
{
    for (size_t i = 0; i < ARRAY_LEN(folders); i++)
        if (strlen(folders[i].name) == n && strncmp(folders[i].name, name, n) == 0)
            return &folders[i];
    return NULL;
}

static bool has_word(const char *words, const char *word)
{
    size_t n = strlen(word);
    for (const char *p = words; *p;) {
        size_t m = strcspn(p, " ");
        if (m == n && strncmp(p, word, n) == 0)
            return true;
        p += m + (p[m] == ' ');
    }
    return false;
}

static bool may_use(const struct folder *own, const struct folder *other)
{
    if (own == other)
        return true;
    return own->only ? has_word(own->only, other->name) : other->rank < own->rank;
}

static void check_include(const char *path, int line, const struct folder *own, const char *name)
{
    char what[300];
    const char *slash = strchr(name, '/');
    includes_seen++;
    if (!slash)
        return; /* generated, beside the file */
    const struct folder *other = find_folder(name, (size_t)(slash - name));
    snprintf(what, sizeof what, "src/%s must not include %s", own->name, name);
    if (!other || !may_use(own, other))
        violation(path, line, what);
    else if (own != other && strstr(name, "_internal.h"))
        violation(path, line, what);
}

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/* A line that is one long name cannot be broken. */
static bool breakable(const char *s)
{
    while (*s == ' ')
        s++;
    while (is_word(*s))
        s++;
    return *s && strcmp(s, ";") != 0 && strcmp(s, ",") != 0;
}

static void check_line(const char *path, int number, const char *line, const struct folder *own)
{
    char name[256];
    size_t columns = 0;
    for (const char *p = line; *p; p++)
        columns += ((unsigned char)*p & 0xc0) != 0x80;
    if (strchr(line, '\t'))
        violation(path, number, "a tab");
    if (columns > LINE_COLUMNS_MAX && breakable(line))
        violation(path, number, "the line is too long");
    if (columns > 0 && line[strlen(line) - 1] == ' ')
        violation(path, number, "blanks at the end of the line");
    if (own && sscanf(line, "#include \"%255[^\"]\"", name) == 1)
        check_include(path, number, own, name);
}

static void check_text(const char *path, char *text, const struct folder *own)
{
    int number = 0, body = 0;
    for (char *line = text; *line; number++) {
        size_t n = strcspn(line, "\n");
        bool more = line[n] == '\n';
        line[n] = 0;
        check_line(path, number + 1, line, own);
        if (strcmp(line, "{") == 0) {
            body = number;
            functions_seen++;
        }
        if (strcmp(line, "}") == 0 && body) {
            if (number - body - 1 > FUNCTION_LINES_MAX)
                violation(path, body + 1, "the function is too long");
            body = 0;
        }
        line += n + more;
    }
    if (number > FILE_LINES_MAX)
        violation(path, number, "the file is too long");
    if (strncmp(text, "/*", 2) != 0 && strstr(path, ".h") && !strstr(path, "/tbl/"))
        violation(path, 1, "the header does not open with what it is for");
}

static void check_file(const char *path, const struct folder *own)
{
    _cleanup_free_ char *text = NULL;
    struct err err = {0};
    if (os_read_file(path, FILE_BYTES_MAX, &text, NULL, &err) < 0) {
        violation(path, 0, err.msg);
        return;
    }
    files_seen++;
    check_text(path, text, own);
}

static bool is_source(const char *name)
{
    size_t n = strlen(name);
    return n > 2 && name[0] != '.' && name[n - 2] == '.' && (name[n - 1] == 'c' || name[n - 1] == 'h');
}

/* own: the folder of src/ that dir is in; NULL in src/ itself. */
static void check_dir(const char *dir, const struct folder *own)
{
    DIR *d = opendir(dir);
    struct dirent *e;
    if (!d) {
        violation(dir, 0, "cannot be read");
        return;
    }
    while ((e = readdir(d))) {
        _cleanup_free_ char *path = os_path_join(dir, e->d_name);
        if (!path || e->d_name[0] == '.')
            continue;
        if (os_is_dir(path)) {
            const struct folder *f = own ? own : find_folder(e->d_name, strlen(e->d_name));
            if (f)
                check_dir(path, f);
            else
                violation(path, 0, "the folder has no rank: give it one here and in ARCHITECTURE.md");
        } else if (is_source(e->d_name)) {
            check_file(path, own);
        }
    }
    closedir(d);
}

/* The checks are not asleep. */
static void check_checks(void)
{
    static const struct {
        const char *folder, *text;
        int found;
    } table[] = {
        {"os", "#include \"store/store.h\"\n", 1},  {"store", "#include \"os/file.h\"\n", 0},
        {"os", "#include \"codec/json.h\"\n", 1},   {"codec", "#include \"proto/pb.h\"\n", 0},
        {"workflow", "#include \"os/clock.h\"\n", 1}, {"cli", "#include \"engine/engine_internal.h\"\n", 1},
        {"engine", "#include \"engine/embedded/engine_internal.h\"\n", 0}, {"cli", "#include \"nowhere/x.h\"\n", 1},
        {"os", "\tint x;\n", 1},                    {"os", "int x; \n", 1},
        {"worker", "#include \"toolbox/toolbox.h\"\n", 1},
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        char text[200];
        int before = violations;
        snprintf(text, sizeof text, "%s", table[i].text);
        quiet = true;
        check_text("(expected)", text, find_folder(table[i].folder, strlen(table[i].folder)));
        if (violations - before != table[i].found) {
            fprintf(stderr, "test_layout itself: '%s' in %s\n", table[i].text, table[i].folder);
            exit(1);
        }
        violations = before;
        quiet = false;
    }
    files_seen = includes_seen = 0;
}

int main(int argc, char **argv)
{
    if (argc != 2)
        return 2;
    check_checks();
    _cleanup_free_ char *src = os_path_join(argv[1], "src");
    if (!src)
        return 1;
    check_dir(src, NULL);
    printf("%d files, %d includes, %d functions: %d violations\n", files_seen, includes_seen, functions_seen, violations);
    return violations || files_seen < 50 || includes_seen < 200 || functions_seen < 500;
}
