#include "os/clock.h"

#include "base/assert.h"
#include "base/units.h"

#include <errno.h>
#include <stdio.h>
#include <sys/random.h>
#include <time.h>

static int64_t read_clock(clockid_t id)
{
    struct timespec t;
    ASSERT(clock_gettime(id, &t) == 0);
    return (int64_t)t.tv_sec * NS_PER_S + t.tv_nsec;
}

int64_t os_now_ns(void)
{
    return read_clock(CLOCK_REALTIME);
}

int64_t os_mono_ns(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

void os_sleep_ms(int64_t ms)
{
    struct timespec t = {.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000 * NS_PER_MS)};
    while (nanosleep(&t, &t) < 0 && errno == EINTR)
        ;
}

void os_random(void *buf, size_t n)
{
    char *p = buf;
    while (n) {
        ssize_t r = getrandom(p, n, 0);
        if (r < 0 && errno == EINTR)
            continue;
        ASSERT(r > 0);
        p += r;
        n -= (size_t)r;
    }
}

void os_ulid(char buf[27])
{
    static const char digits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    uint8_t b[16];
    uint64_t ms = (uint64_t)(os_now_ns() / NS_PER_MS);
    for (int i = 0; i < 6; i++)
        b[i] = (uint8_t)(ms >> (40 - 8 * i));
    os_random(b + 6, 10);
    for (int i = 0; i < 26; i++) { /* 130 bits, the first two of them 0 */
        int v = 0;
        for (int k = 0; k < 5; k++) {
            int bit = i * 5 + k - 2;
            v = v << 1 | (bit < 0 ? 0 : b[bit / 8] >> (7 - bit % 8) & 1);
        }
        buf[i] = digits[v];
    }
    buf[26] = 0;
}

void os_uuid(char buf[37])
{
    uint8_t b[16];
    os_random(b, sizeof b);
    b[6] = (uint8_t)((b[6] & 0x0f) | 0x40);
    b[8] = (uint8_t)((b[8] & 0x3f) | 0x80);
    snprintf(buf, 37, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0],
             b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13],
             b[14], b[15]);
}

const char *os_format_time(int64_t unix_ns, char buf[32])
{
    time_t s = (time_t)(unix_ns / NS_PER_S);
    struct tm tm;
    gmtime_r(&s, &tm);
    size_t n = strftime(buf, 32, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(buf + n, 32 - n, ".%03dZ", (int)(unix_ns % NS_PER_S / NS_PER_MS));
    return buf;
}

int64_t os_parse_time(const char *text)
{
    struct tm tm = {0};
    const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
    if (!rest || tm.tm_year < 0 || tm.tm_year > 400)
        return 0;
    int64_t ns = (int64_t)timegm(&tm) * NS_PER_S, unit = NS_PER_S / 10;
    if (*rest == '.')
        for (rest++; *rest >= '0' && *rest <= '9' && unit; rest++, unit /= 10)
            ns += (*rest - '0') * unit;
    return ns;
}
