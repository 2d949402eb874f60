/* What is known of a type of crash, whoever had it: for findings that are made of crashes. Types are as struct crash has
 * them; a blank may stand for the newline before the access. */
#ifndef FF_CODEC_CRASH_ADVICE_H
#define FF_CODEC_CRASH_ADVICE_H

#include <stddef.h>

#define CRASH_RULE_MAX 128
#define CRASH_REPRODUCED_MAX 64

/* "fuzzing/heap-buffer-overflow-write": category and type, without the size of the access. */
void crash_rule_id(const char *type, char ret[CRASH_RULE_MAX]);
/* The weakness, of cwe.mitre.org; 0: none is certain. */
int crash_cwe(const char *type);
/* How such a fault is found and mended, a sentence or two; NULL: nothing is to be said. */
const char *crash_advice(const char *type);
/* "reproduced 9 of 10 times"; "not yet reproduced" where it was not tried. Returns ret. */
const char *crash_reproduced(long long hits, long long tries, char ret[CRASH_REPRODUCED_MAX]);

#endif
