/* A log of several programs' ends, one behind another: where the first one's report ends. What one program says of itself is
 * one report, however many voices it has; so only a sanitizer's head with another process's number, after the one before has
 * said that it ends, begins a new one. */
#include "codec/crash/crash.h"
#include "codec/crash/view.h"

/* "==7==ABORTING", "==7== ERROR: libFuzzer: ...": the number, and what follows it. */
static bool of_process(struct view line, struct view *ret_number, struct view *ret_says)
{
    for (struct view rest = line; view_after(rest, "==", &rest);) {
        struct view says = rest, number = view_take(&says, is_digit);
        if (!number.n || !view_skip(&says, "=="))
            continue;
        view_skip(&says, " ");
        *ret_number = number;
        *ret_says = says;
        return true;
    }
    return false;
}

static bool is_head(struct view says)
{
    static const char *const tools[] = {"AddressSanitizer:", "HWAddressSanitizer:", "MemorySanitizer:", "libFuzzer:"};
    if (!view_skip(&says, "ERROR: ") && !view_skip(&says, "WARNING: "))
        return false;
    for (size_t i = 0; i < sizeof tools / sizeof *tools; i++)
        if (view_starts(says, tools[i]))
            return true;
    return false;
}

size_t crash_report_end(const char *text, size_t len)
{
    struct view rest = {text, len}, process = {0}, number = {0}, says = {0}, first = rest;
    size_t end = 0; /* of what the process has said; 0: it goes on */
    view_skip_space(&first);
    while (rest.n && !view_starts(first, "{")) { /* CASR's are one each */
        ssize_t n = view_find_char(rest, '\n');
        struct view line = view_first(rest, n < 0 ? rest.n : (size_t)n);
        rest = view_from(rest, n < 0 ? rest.n : (size_t)n + 1);
        bool spoken = of_process(line, &number, &says);
        bool same = spoken && process.n == number.n && memcmp(process.s, number.s, number.n) == 0;
        if (spoken && !same && is_head(says)) {
            if (end)
                return end;
            process = number;
        } else if ((same && (end || view_starts(says, "ABORTING"))) || (process.n && view_has(line, "SUMMARY: libFuzzer:")) ||
                   (end && line.s == text + end && view_starts(view_trim(line), "#"))) { /* also of the signal that it ends by */
            end = len - rest.n;
        }
    }
    return len;
}
