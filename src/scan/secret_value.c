#include "scan/secret_value.h"

#include "base/cleanup.h"
#include "scan/secret_rules.h"

#include <ctype.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

/* Anywhere in the value: it is filled in elsewhere. */
static const char *const marks[] = {"${", "$(", "{{", "}}", "<%", "%>", "%(", "#{", "...", "[[", "***", "\\(", "@@",
                                    "$env:", "process.env", "os.environ", "getenv", "env."};
/* Anywhere in the value, letters of either case: it is an example. */
static const char *const example_words[] = {"example", "placeholder", "dummy", "changeme", "change_me", "change-me",
                                            "redacted", "replace", "your_", "your-", "yourkey", "yourtoken", "sample",
                                            "notreal", "not_a_", "not-a-", "insert", "fixme", "todo", "foobar",
                                            "xxxxxx", "fake"};
static const char *const sequences[] = {"abcdefgh", "1234567890", "0123456789", "9876543210", "testtest", "qwertyui"};
/* The whole value. */
static const char *const words[] = {"password", "passwd", "pass", "secret", "token", "username", "user", "admin",
                                    "root", "postgres", "mysql", "guest", "null", "none", "true", "false",
                                    "undefined", "string", "test", "default", "empty", "unknown", "nil", "pwd",
                                    "apikey", "api_key", "credentials", "required", "optional", "123456", "12345678",
                                    "changeit", "hunter2", "localhost", "tiger"};

static bool contains(const char *s, size_t n, const char *word)
{
    size_t w = strlen(word);
    for (size_t i = 0; i + w <= n; i++)
        if (strncasecmp(s + i, word, w) == 0)
            return true;
    return false;
}

static size_t longest_run(const char *s, size_t n)
{
    size_t best = 0, run = 0;
    for (size_t i = 0; i < n; i++) {
        run = i && s[i] == s[i - 1] ? run + 1 : 1;
        if (run > best)
            best = run;
    }
    return best;
}

enum secret_look secret_look(const char *s, size_t n, bool runs)
{
    if (n == 0 || (s[0] == '<' && memchr(s, '>', n)) || s[0] == '$' || (s[0] == '{' && memchr(s, '}', n)) ||
        (s[0] == '%' && (n < 4 || s[n - 1] == '%')))
        return SECRET_PLACEHOLDER;
    for (size_t i = 0; i < ARRAY_LEN(marks); i++)
        if (contains(s, n, marks[i]))
            return SECRET_PLACEHOLDER;
    size_t stem = n; /* password1, token2: the names of fields */
    for (int digits = 0; digits < 2 && stem > 1 && isdigit((unsigned char)s[stem - 1]); digits++)
        stem--;
    if (!isalpha((unsigned char)s[stem - 1]))
        stem = n;
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (strlen(words[i]) == stem && strncasecmp(s, words[i], stem) == 0)
            return SECRET_PLACEHOLDER;
    if (!runs && (longest_run(s, n) >= 9 || longest_run(s, n) * 2 > n))
        return SECRET_PLACEHOLDER;
    if ((n > 12 && memcmp(s + n - 7, "EXAMPLE", 7) == 0) || (n > 15 && memcmp(s + n - 10, "EXAMPLEKEY", 10) == 0))
        return SECRET_PLACEHOLDER; /* the keys of a provider's own documentation */
    for (size_t i = 0; i < ARRAY_LEN(example_words); i++)
        if (contains(s, n, example_words[i]))
            return SECRET_EXAMPLE;
    for (size_t i = 0; i < ARRAY_LEN(sequences); i++)
        if (contains(s, n, sequences[i]))
            return SECRET_SEQUENCE;
    return SECRET_LIKELY;
}

/* Letters of one case between separators, perhaps with a number at the end: "accounts/password-reset", "sha256". */
static bool only_words(const char *s, size_t n)
{
    size_t changes = 0; /* between letters and digits, which words have seldom */
    size_t vowels = 0, letters = 0;
    for (size_t i = 0; i < n; i++) {
        changes += i && !!isdigit((unsigned char)s[i]) != !!isdigit((unsigned char)s[i - 1]);
        letters += isalpha((unsigned char)s[i]) != 0;
        vowels += s[i] && strchr("aeiouyAEIOUY", s[i]) != NULL;
    }
    bool separated = false;
    for (size_t i = 0; i < n; i++)
        separated |= s[i] && strchr("/._- :", s[i]) != NULL;
    return letters * 10 >= n * 7 && changes <= 2 && separated && vowels * 4 >= letters;
}

bool secret_looks_random(const char *s, size_t n)
{
    size_t lower = 0, upper = 0, digit = 0, other = 0;
    for (size_t i = 0; i < n; i++) {
        lower += islower((unsigned char)s[i]) != 0;
        upper += isupper((unsigned char)s[i]) != 0;
        digit += isdigit((unsigned char)s[i]) != 0;
        other += !isalnum((unsigned char)s[i]);
    }
    if (strchr("/.~[^", s[0]) || memmem(s, n, "://", 3) || digit + other == n)
        return false;
    if (n > 3 && strchr("([", s[n - 1]) == NULL && memchr(s, '(', n) && memchr(s, ')', n))
        return false; /* a call */
    if (only_words(s, n))
        return false;
    int classes = (lower > 0) + (upper > 0) + (digit > 0) + (other > 0);
    if (digit == 0) /* a pass phrase, not an identifier */
        return (classes >= 3 && other > 0 && !memchr(s, '_', n) && !memchr(s, '.', n) && !memchr(s, '-', n)) ||
               (n >= 24 && classes >= 2 && secret_entropy(s, n) >= 4.2 && other == 0);
    return classes >= 2 && secret_entropy(s, n) >= 2.8;
}

static uint32_t crc32_of(const char *s, size_t n)
{
    uint32_t c = 0xffffffff;
    for (size_t i = 0; i < n; i++) {
        c ^= (unsigned char)s[i];
        for (int b = 0; b < 8; b++)
            c = c & 1 ? (c >> 1) ^ 0xedb88320 : c >> 1;
    }
    return ~c;
}

bool secret_github_checksum(const char *token, size_t n)
{
    static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    const char *mark = memrchr(token, '_', n);
    size_t body = mark ? (size_t)(mark - token) + 1 : 0;
    if (n < body + 7)
        return false;
    uint32_t crc = crc32_of(token + body, n - body - 6);
    for (size_t i = 0; i < 6; i++, crc /= 62)
        if (token[n - 1 - i] != digits[crc % 62])
            return false;
    return true;
}

void secret_redact(struct strbuf *out, const char *s, size_t n)
{
    size_t first = n >= 24 ? 4 : n >= 12 ? 2 : n >= 6 ? 1 : 0, last = n >= 24 ? 4 : n >= 12 ? 2 : 0;
    for (size_t i = 0; i < first; i++)
        strbuf_putc(out, isprint((unsigned char)s[i]) ? s[i] : '?');
    strbuf_puts(out, "****");
    for (size_t i = n - last; i < n; i++)
        strbuf_putc(out, isprint((unsigned char)s[i]) ? s[i] : '?');
}
