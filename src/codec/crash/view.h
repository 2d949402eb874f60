/* A stretch of bytes inside a larger text, and the few questions that the parsers of crash reports ask of one. Nothing
 * is copied and nothing is 0-terminated; needles and prefixes are literals of ours. */
#ifndef FF_CODEC_CRASH_VIEW_H
#define FF_CODEC_CRASH_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/types.h>

struct view {
    const char *s;
    size_t n;
};

static inline struct view view_of(const char *s)
{
    return (struct view){s, strlen(s)};
}

static inline struct view view_first(struct view v, size_t n)
{
    return (struct view){v.s, n < v.n ? n : v.n};
}

static inline struct view view_from(struct view v, size_t i)
{
    return i < v.n ? (struct view){v.s + i, v.n - i} : (struct view){v.n ? v.s + v.n : v.s, 0};
}

/* Where the needle begins, first or last; -1: nowhere. */
ssize_t view_find(struct view v, const char *needle);
ssize_t view_rfind(struct view v, const char *needle);
ssize_t view_find_char(struct view v, char c);
ssize_t view_rfind_char(struct view v, char c);
bool view_has(struct view v, const char *needle);
bool view_is(struct view v, const char *text);
bool view_starts(struct view v, const char *prefix);
bool view_starts_nocase(struct view v, const char *prefix);
bool view_ends(struct view v, const char *suffix);
/* Where the needle begins, in whatever case; the needle is in lower case. */
ssize_t view_find_nocase(struct view v, const char *needle);

/* What stands behind the first (last) occurrence of the needle. false: there is none, and *ret is unchanged. */
bool view_after(struct view v, const char *needle, struct view *ret);
bool view_after_last(struct view v, const char *needle, struct view *ret);
/* Drops the prefix if it is there. */
bool view_skip(struct view *v, const char *prefix);
/* Drops and gives the longest beginning whose bytes are all of the class. */
struct view view_take(struct view *v, bool (*is)(char c));
bool view_skip_space(struct view *v); /* true if there was any */
struct view view_trim(struct view v);
struct view view_trim_set(struct view v, const char *set);
/* The last part of a path. */
struct view view_basename(struct view v);
/* The value of 0x and hexadecimal digits, or of the digits alone; 0 where that is no number. */
unsigned long long view_hex(struct view v);
/* Decimal digits at the beginning, at most what an int holds; 0 if there are none. */
int view_int(struct view v);

/* Classes of bytes. */
bool is_blank(char c);  /* space, tab, and what else ends a word */
bool is_digit(char c);
bool is_hex(char c);    /* as tools print numbers: digits, letters a to f, the x of 0x */
bool is_alpha(char c);
bool is_word(char c);   /* of an identifier */
bool is_not_space(char c);
/* Upper and lower case of ASCII, whatever the locale. */
char to_upper(char c);
char to_lower(char c);

#endif
