#include "scan/file_type.h"

#include "base/cleanup.h"
#include "scan/walk.h"

#include <ctype.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

struct magic {
    unsigned short offset, len;
    const char *bytes;
    struct file_type type;
};

#define M(offset, bytes, name, class) {offset, sizeof bytes - 1, bytes, {name, class}}

/* The first that fits decides, so longer marks stand before shorter ones. */
static const struct magic magics[] = {
    M(0, "MZ", "pe", FILE_EXECUTABLE),
    M(0, "\xfe\xed\xfa\xce", "mach-o", FILE_EXECUTABLE),
    M(0, "\xfe\xed\xfa\xcf", "mach-o", FILE_EXECUTABLE),
    M(0, "\xce\xfa\xed\xfe", "mach-o", FILE_EXECUTABLE),
    M(0, "\xcf\xfa\xed\xfe", "mach-o", FILE_EXECUTABLE),
    M(0, "\0asm", "wasm", FILE_OBJECT),
    M(0, "dex\n", "dex", FILE_OBJECT),
    M(0, "BC\xc0\xde", "llvm-bitcode", FILE_OBJECT),
    M(0, "\x1bLua", "lua-bytecode", FILE_OBJECT),
    M(0, "!<arch>\n", "ar", FILE_ARCHIVE),
    M(0, "PK\x03\x04", "zip", FILE_ARCHIVE),
    M(0, "PK\x05\x06", "zip", FILE_ARCHIVE),
    M(0, "\x1f\x8b", "gzip", FILE_ARCHIVE),
    M(0, "BZh", "bzip2", FILE_ARCHIVE),
    M(0, "\xfd" "7zXZ\0", "xz", FILE_ARCHIVE),
    M(0, "\x28\xb5\x2f\xfd", "zstd", FILE_ARCHIVE),
    M(0, "7z\xbc\xaf\x27\x1c", "7z", FILE_ARCHIVE),
    M(0, "Rar!\x1a\x07", "rar", FILE_ARCHIVE),
    M(257, "ustar", "tar", FILE_ARCHIVE),
    M(0, "\xed\xab\xee\xdb", "rpm", FILE_ARCHIVE),
    M(0, "\x89PNG\r\n\x1a\n", "png", FILE_IMAGE),
    M(0, "\xff\xd8\xff", "jpeg", FILE_IMAGE),
    M(0, "GIF87a", "gif", FILE_IMAGE),
    M(0, "GIF89a", "gif", FILE_IMAGE),
    M(8, "WEBP", "webp", FILE_IMAGE),
    M(0, "BM", "bmp", FILE_IMAGE),
    M(0, "\0\0\1\0", "ico", FILE_IMAGE),
    M(0, "II*\0", "tiff", FILE_IMAGE),
    M(0, "MM\0*", "tiff", FILE_IMAGE),
    M(0, "ID3", "mp3", FILE_MEDIA),
    M(0, "OggS", "ogg", FILE_MEDIA),
    M(0, "fLaC", "flac", FILE_MEDIA),
    M(8, "WAVE", "wav", FILE_MEDIA),
    M(4, "ftyp", "mp4", FILE_MEDIA),
    M(0, "\x1a\x45\xdf\xa3", "matroska", FILE_MEDIA),
    M(0, "%PDF-", "pdf", FILE_DOCUMENT),
    M(0, "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "ole", FILE_DOCUMENT),
    M(0, "SQLite format 3\0", "sqlite", FILE_DATABASE),
    M(0, "PGDMP", "pgdump", FILE_DATABASE),
    M(0, "JAVA PROFILE 1.", "hprof", FILE_COREDUMP),
    M(0, "\x03\xd9\xa2\x9a", "keepass", FILE_KEYSTORE),
    M(0, "\xfe\xed\xfe\xed", "java-keystore", FILE_KEYSTORE),
    M(0, "\xce\xce\xce\xce", "java-keystore", FILE_KEYSTORE),
    M(0, "\xd4\xc3\xb2\xa1", "pcap", FILE_BINARY),
    M(0, "\x0a\x0d\x0d\x0a", "pcap", FILE_BINARY),
    M(0, "wOFF", "woff", FILE_FONT),
    M(0, "wOF2", "woff2", FILE_FONT),
    M(0, "\0\1\0\0\0", "ttf", FILE_FONT),
    M(0, "OTTO", "otf", FILE_FONT),
};

static const char *const class_names[] = {
    [FILE_EMPTY] = "empty",       [FILE_TEXT] = "text",         [FILE_EXECUTABLE] = "executable",
    [FILE_OBJECT] = "object",     [FILE_ARCHIVE] = "archive",   [FILE_IMAGE] = "image",
    [FILE_MEDIA] = "media",       [FILE_DOCUMENT] = "document", [FILE_DATABASE] = "database",
    [FILE_KEYSTORE] = "keystore", [FILE_COREDUMP] = "coredump", [FILE_FONT] = "font",
    [FILE_BINARY] = "binary",
};

const char *file_class_name(enum file_class c)
{
    return class_names[c];
}

/* ELF's e_type (gabi, "ELF Header"): 1 relocatable, 2 executable, 3 shared, 4 core. A shared object is as able to
 * run as a program. */
static struct file_type elf_type(const unsigned char *p, size_t len)
{
    unsigned type = len < 18 ? 0 : p[5] == 2 ? (unsigned)p[16] << 8 | p[17] : (unsigned)p[17] << 8 | p[16];
    if (type == 4)
        return (struct file_type){"core", FILE_COREDUMP};
    return (struct file_type){"elf", type == 1 ? FILE_OBJECT : FILE_EXECUTABLE};
}

struct file_type file_type_detect(const void *head, size_t len)
{
    const unsigned char *p = head;
    if (len == 0)
        return (struct file_type){"empty", FILE_EMPTY};
    if (len >= 4 && memcmp(p, "\x7f" "ELF", 4) == 0)
        return elf_type(p, len);
    /* A fat Mach-O counts its few architectures where a Java class has its version, 45 or more. */
    if (len >= 8 && memcmp(p, "\xca\xfe\xba\xbe", 4) == 0)
        return p[7] < 40 ? (struct file_type){"mach-o", FILE_EXECUTABLE}
                         : (struct file_type){"java-class", FILE_OBJECT};
    bool binary = walk_is_binary(p, len);
    for (size_t i = 0; i < ARRAY_LEN(magics); i++) {
        const struct magic *m = &magics[i];
        if (len >= (size_t)m->offset + m->len && memcmp(p + m->offset, m->bytes, m->len) == 0 &&
            (binary || m->len > 3)) /* "BM" and "MZ" begin many an honest text */
            return m->type;
    }
    return binary ? (struct file_type){"binary", FILE_BINARY} : (struct file_type){"text", FILE_TEXT};
}

/* Extensions, and whole names where they tell. */
static const struct language {
    const char *name;
    const char *extensions; /* blank-separated */
} languages[] = {
    {"Python", "py pyw pyi"},
    {"JavaScript", "js mjs cjs jsx"},
    {"TypeScript", "ts tsx mts cts"},
    {"Java", "java"},
    {"Kotlin", "kt kts"},
    {"Scala", "scala sc"},
    {"Groovy", "groovy gradle"},
    {"Go", "go"},
    {"Ruby", "rb rake gemspec ru"},
    {"PHP", "php phtml php5 php7 inc"},
    {"C", "c h"},
    {"C++", "cc cpp cxx c++ hh hpp hxx ipp"},
    {"Objective-C", "m mm"},
    {"C#", "cs"},
    {"F#", "fs fsx"},
    {"Visual Basic", "vb vbs"},
    {"Rust", "rs"},
    {"Swift", "swift"},
    {"Dart", "dart"},
    {"Zig", "zig"},
    {"Perl", "pl pm"},
    {"Lua", "lua"},
    {"R", "r"},
    {"Julia", "jl"},
    {"Elixir", "ex exs"},
    {"Erlang", "erl hrl"},
    {"Haskell", "hs"},
    {"OCaml", "ml mli"},
    {"Clojure", "clj cljs"},
    {"Assembly", "s asm"},
    {"Shell", "sh bash zsh ksh"},
    {"PowerShell", "ps1 psm1"},
    {"Batch", "bat cmd"},
    {"SQL", "sql"},
    {"HTML", "html htm xhtml"},
    {"CSS", "css scss sass less"},
    {"Vue", "vue"},
    {"Svelte", "svelte"},
    {"Template", "ejs erb hbs jinja j2 twig mustache jsp"},
    {"Solidity", "sol"},
    {"Protocol Buffers", "proto"},
    {"GraphQL", "graphql gql"},
    {"Terraform", "tf tfvars hcl"},
    {"YAML", "yaml yml"},
    {"JSON", "json jsonc json5"},
    {"TOML", "toml"},
    {"XML", "xml xsd xsl xslt pom svg"},
    {"INI", "ini cfg conf properties env"},
    {"Markdown", "md markdown"},
    {"reStructuredText", "rst"},
    {"Text", "txt"},
    {"CMake", "cmake"},
    {"Nix", "nix"},
};

static const struct {
    const char *file, *language;
} file_names[] = {
    {"Dockerfile", "Dockerfile"}, {"Makefile", "Makefile"},     {"GNUmakefile", "Makefile"},
    {"Rakefile", "Ruby"},         {"Gemfile", "Ruby"},          {"Vagrantfile", "Ruby"},
    {"Jenkinsfile", "Groovy"},    {"CMakeLists.txt", "CMake"},  {"meson.build", "Meson"},
    {"go.mod", "Go module"},      {"go.sum", "Go module"},      {"BUILD", "Bazel"},
};

static const struct {
    const char *program, *language;
} interpreters[] = {
    {"python", "Python"}, {"node", "JavaScript"}, {"ruby", "Ruby"}, {"php", "PHP"},   {"perl", "Perl"},
    {"bash", "Shell"},    {"dash", "Shell"},      {"zsh", "Shell"}, {"ksh", "Shell"}, {"sh", "Shell"},
    {"lua", "Lua"},       {"deno", "TypeScript"}, {"Rscript", "R"},
};

static bool word_in(const char *list, const char *word)
{
    size_t n = strlen(word);
    for (const char *p = list; *p;) {
        size_t len = strcspn(p, " ");
        if (len == n && strncasecmp(p, word, n) == 0)
            return true;
        p += len + (p[len] == ' ');
    }
    return false;
}

/* "#!/usr/bin/env python3 -u": the last part of the first word, or of the second after "env". */
static const char *by_interpreter(const char *p, size_t len)
{
    if (len < 3 || p[0] != '#' || p[1] != '!')
        return NULL;
    const char *end = memchr(p, '\n', len);
    end = end ? end : p + len;
    const char *word = p + 2, *stop = word;
    for (int i = 0; i < 2; i++) {
        for (word = stop; word < end && (*word == ' ' || *word == '\t'); word++)
            ;
        for (stop = word; stop < end && !isspace((unsigned char)*stop); stop++)
            ;
        for (const char *s = word; s < stop; s++)
            if (*s == '/')
                word = s + 1;
        if (stop - word != 3 || memcmp(word, "env", 3) != 0)
            break;
    }
    for (size_t i = 0; i < ARRAY_LEN(interpreters); i++) {
        size_t n = strlen(interpreters[i].program);
        if ((size_t)(stop - word) >= n && memcmp(word, interpreters[i].program, n) == 0 &&
            (word + n == stop || isdigit((unsigned char)word[n])))
            return interpreters[i].language;
    }
    return NULL;
}

const char *file_language(const char *name, const void *head, size_t len)
{
    for (size_t i = 0; i < ARRAY_LEN(file_names); i++)
        if (strcmp(name, file_names[i].file) == 0)
            return file_names[i].language;
    const char *dot = strrchr(name, '.');
    if (dot && dot[1])
        for (size_t i = 0; i < ARRAY_LEN(languages); i++)
            if (word_in(languages[i].extensions, dot + 1))
                return languages[i].name;
    return by_interpreter(head, len);
}
