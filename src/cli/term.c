#include "cli/term.h"

#include "base/log.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static bool colour_on, out_tty, err_tty, dumb;
static bool status_shown;

static void log_above_status(enum log_level level, const char *line, void *arg)
{
    (void)arg;
    static const char *const names[] = {"error", "warning", "info", "debug"};
    flockfile(stderr); /* also guards status_shown: lines come from any thread */
    term_status_clear();
    fprintf(stderr, "ff: %s: %s\n", names[level], line);
    funlockfile(stderr);
}

void term_init(int colour)
{
    out_tty = isatty(STDOUT_FILENO) == 1;
    err_tty = isatty(STDERR_FILENO) == 1;
    const char *no = getenv("NO_COLOR"), *t = getenv("TERM");
    dumb = !t || strcmp(t, "dumb") == 0;
    colour_on = colour != 0 && out_tty && !(no && *no) && !dumb;
    if (dumb)
        err_tty = false;
    log_set_sink(log_above_status, NULL);
}

bool term_stdout_is_tty(void)
{
    return out_tty;
}

bool term_stderr_is_tty(void)
{
    return err_tty;
}

int term_width(void)
{
    struct winsize w;
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col >= 20)
        return w.ws_col;
    return 80;
}

static const char *seq(const char *s)
{
    return colour_on ? s : "";
}

const char *term_bold(void)
{
    return seq("\033[1m");
}

const char *term_dim(void)
{
    return seq("\033[2m");
}

const char *term_off(void)
{
    return seq("\033[0m");
}

const char *term_red(void)
{
    return seq("\033[31m");
}

const char *term_green(void)
{
    return seq("\033[32m");
}

const char *term_yellow(void)
{
    return seq("\033[33m");
}

const char *term_severity(enum severity s)
{
    switch (s) {
    case SEVERITY_CRITICAL:
        return seq("\033[1;35m");
    case SEVERITY_HIGH:
        return seq("\033[1;31m");
    case SEVERITY_MEDIUM:
        return seq("\033[33m");
    case SEVERITY_LOW:
        return seq("\033[36m");
    default:
        return seq("\033[2m");
    }
}

/* The length of the valid UTF-8 sequence at s that is no control character, or 0. */
static int printable_len(const unsigned char *s)
{
    if (s[0] < 0x80)
        return s[0] >= 0x20 && s[0] != 0x7f;
    int n = s[0] >= 0xf0 && s[0] <= 0xf4 ? 4 : s[0] >= 0xe0 && s[0] < 0xf0 ? 3 : s[0] >= 0xc2 && s[0] < 0xe0 ? 2 : 0;
    for (int i = 1; i < n; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    if (n == 2 && s[0] == 0xc2 && s[1] < 0xa0)
        return 0; /* C1 controls */
    if (n == 3 && s[0] == 0xe2 && ((s[1] == 0x80 && s[2] >= 0xaa && s[2] <= 0xae) || (s[1] == 0x81 && s[2] >= 0xa6)))
        return 0; /* direction overrides */
    return n;
}

void term_text_cut(FILE *f, const char *text, int columns)
{
    const unsigned char *s = (const unsigned char *)text;
    int col = 0;
    while (*s) {
        if (columns > 0 && col >= columns - 1 && s[1]) {
            fputs("…", f);
            return;
        }
        int n = printable_len(s);
        if (n) {
            fwrite(s, 1, (size_t)n, f);
            s += n;
            col++;
        } else if (*s == '\t' || *s == '\n') {
            fputc(' ', f);
            s++;
            col++;
        } else {
            fprintf(f, "\\x%02x", *s++);
            col += 4;
        }
    }
}

void term_text(FILE *f, const char *text)
{
    term_text_cut(f, text, 0);
}

void term_status(const char *fmt, ...)
{
    if (!err_tty)
        return;
    char line[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    flockfile(stderr);
    fputs("\r\033[K", stderr);
    term_text_cut(stderr, line, term_width() - 1);
    fflush(stderr);
    status_shown = true;
    funlockfile(stderr);
}

bool term_screen_begin(void)
{
    if (!out_tty || dumb)
        return false;
    fputs("\033[?1049h\033[?25l\033[?7l", stdout); /* another screen, no cursor, no line goes on in the next */
    fflush(stdout);
    return true;
}

int term_screen_rows(void)
{
    struct winsize w;
    return ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_row >= 4 ? w.ws_row - 1 : 23;
}

void term_screen_draw(const char *text)
{
    fputs("\033[H", stdout);
    for (const char *end; (end = strchr(text, '\n')); text = end + 1) {
        fwrite(text, 1, (size_t)(end - text), stdout);
        fputs("\033[K\n", stdout);
    }
    fputs("\033[J", stdout);
    fflush(stdout);
}

void term_screen_end(void)
{
    fputs("\033[?7h\033[?25h\033[?1049l", stdout);
    fflush(stdout);
}

void term_status_clear(void)
{
    flockfile(stderr);
    if (status_shown) {
        fputs("\r\033[K", stderr);
        fflush(stderr);
        status_shown = false;
    }
    funlockfile(stderr);
}
