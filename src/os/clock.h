/* Time, randomness and identifiers. */
#ifndef FF_OS_CLOCK_H
#define FF_OS_CLOCK_H

#include <stddef.h>
#include <stdint.h>

/* Nanoseconds since 1970 (may jump when the clock is set) and since some start (never jumps back). */
int64_t os_now_ns(void);
int64_t os_mono_ns(void);
void os_sleep_ms(int64_t ms);
/* n bytes from the kernel's generator; never fails on a kernel that ff runs on (asserts). */
void os_random(void *buf, size_t n);
/* A ULID: 26 characters, sorted by time, upper case (github.com/ulid/spec). buf of 27 bytes. */
void os_ulid(char buf[27]);
/* A random UUID (RFC 9562 version 4), lower case. buf of 37 bytes. */
void os_uuid(char buf[37]);
/* "2026-11-23T12:47:32.123Z". buf of 32 bytes. Returns buf. */
const char *os_format_time(int64_t unix_ns, char buf[32]);
/* And back, with any number of digits of a second's parts; 0 if it is not one. */
int64_t os_parse_time(const char *text);

#endif
