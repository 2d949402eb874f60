#include "scan/lang.h"

#include <string.h>
#include <strings.h>

static const struct {
    const char *name;
    bool parsed;
} langs[] = {
#define X(id, name, parsed) {name, parsed},
    SCAN_LANGS(X)
#undef X
};

static const struct {
    const char *ext;
    enum lang lang;
} extensions[] = {
    {"py", LANG_PYTHON}, {"pyw", LANG_PYTHON}, {"pyi", LANG_PYTHON},
    {"js", LANG_JAVASCRIPT}, {"jsx", LANG_JAVASCRIPT}, {"mjs", LANG_JAVASCRIPT}, {"cjs", LANG_JAVASCRIPT},
    {"ts", LANG_TYPESCRIPT}, {"tsx", LANG_TYPESCRIPT}, {"mts", LANG_TYPESCRIPT}, {"cts", LANG_TYPESCRIPT},
    {"java", LANG_JAVA}, {"go", LANG_GO},
    {"rb", LANG_RUBY}, {"rake", LANG_RUBY}, {"ru", LANG_RUBY}, {"gemspec", LANG_RUBY},
    {"php", LANG_PHP}, {"phtml", LANG_PHP}, {"php5", LANG_PHP}, {"php7", LANG_PHP}, {"inc", LANG_PHP},
    {"c", LANG_C}, {"h", LANG_C},
    {"cc", LANG_CPP}, {"cpp", LANG_CPP}, {"cxx", LANG_CPP}, {"hpp", LANG_CPP}, {"hh", LANG_CPP},
    {"hxx", LANG_CPP}, {"cs", LANG_CSHARP},
    {"sh", LANG_SHELL}, {"bash", LANG_SHELL}, {"zsh", LANG_SHELL}, {"ksh", LANG_SHELL},
    {"html", LANG_HTML}, {"htm", LANG_HTML}, {"jinja", LANG_HTML}, {"jinja2", LANG_HTML}, {"j2", LANG_HTML},
    {"ejs", LANG_HTML}, {"erb", LANG_HTML}, {"hbs", LANG_HTML}, {"mustache", LANG_HTML}, {"vue", LANG_HTML},
    {"jsp", LANG_HTML}, {"twig", LANG_HTML}, {"cshtml", LANG_HTML}, {"tmpl", LANG_HTML}, {"gohtml", LANG_HTML},
    {"handlebars", LANG_HTML}, {"svelte", LANG_HTML}, {"haml", LANG_HTML}, {"ftl", LANG_HTML},
    {"pug", LANG_HTML},
    {"yaml", LANG_YAML}, {"yml", LANG_YAML},
    {"properties", LANG_CONFIG}, {"env", LANG_CONFIG}, {"ini", LANG_CONFIG}, {"cfg", LANG_CONFIG},
    {"conf", LANG_CONFIG}, {"toml", LANG_CONFIG},
    {"dockerfile", LANG_DOCKERFILE}, {"xml", LANG_XML}, {"config", LANG_XML}, {"plist", LANG_XML},
    {"json", LANG_JSON},
};

static const struct {
    const char *name;
    enum lang lang;
} whole_names[] = {
    {"Dockerfile", LANG_DOCKERFILE}, {"Containerfile", LANG_DOCKERFILE}, {"Rakefile", LANG_RUBY},
    {"Gemfile", LANG_RUBY}, {".env", LANG_CONFIG}, {"nginx.conf", LANG_CONFIG}, {"Vagrantfile", LANG_RUBY},
};

static const struct {
    const char *program;
    enum lang lang;
} programs[] = {
    {"python", LANG_PYTHON}, {"node", LANG_JAVASCRIPT}, {"deno", LANG_TYPESCRIPT}, {"ruby", LANG_RUBY},
    {"php", LANG_PHP}, {"bash", LANG_SHELL}, {"zsh", LANG_SHELL}, {"dash", LANG_SHELL}, {"ksh", LANG_SHELL},
    {"/sh", LANG_SHELL}, {" sh", LANG_SHELL},
};

const char *lang_name(enum lang l)
{
    return langs[l].name;
}

enum lang lang_by_name(const char *name, size_t len)
{
    for (size_t i = 1; i < LANG_COUNT; i++)
        if (strlen(langs[i].name) == len && memcmp(langs[i].name, name, len) == 0)
            return (enum lang)i;
    return LANG_NONE;
}

bool lang_parsed(enum lang l)
{
    return langs[l].parsed;
}

static enum lang by_shebang(const char *text, size_t len)
{
    if (len < 3 || text[0] != '#' || text[1] != '!')
        return LANG_NONE;
    const char *nl = memchr(text, '\n', len < 256 ? len : 256);
    size_t n = nl ? (size_t)(nl - text) : (len < 256 ? len : 256);
    for (size_t i = 0; i < sizeof programs / sizeof *programs; i++)
        if (memmem(text, n, programs[i].program, strlen(programs[i].program)))
            return programs[i].lang;
    return LANG_NONE;
}

enum lang lang_detect(const char *path, const char *text, size_t len)
{
    const char *base = strrchr(path, '/');
    base = base ? base + 1 : path;
    for (size_t i = 0; i < sizeof whole_names / sizeof *whole_names; i++)
        if (strcmp(base, whole_names[i].name) == 0)
            return whole_names[i].lang;
    if (strncmp(base, ".env", 4) == 0 || strncmp(base, "Dockerfile.", 11) == 0)
        return base[0] == '.' ? LANG_CONFIG : LANG_DOCKERFILE;
    const char *dot = strrchr(base, '.');
    if (!dot || dot == base)
        return by_shebang(text, len);
    for (size_t i = 0; i < sizeof extensions / sizeof *extensions; i++)
        if (strcasecmp(dot + 1, extensions[i].ext) == 0)
            return extensions[i].lang;
    return LANG_NONE;
}
