/* What fuzzing engines and builds write, which a hostile target can make say anything: numbers never go back, rates are
 * numbers, texts stay in their bounds. The first byte says whose it is. */
#include "base/assert.h"
#include "base/cleanup.h"
#include "base/mem.h"
#include "codec/utf8.h"
#include "fuzz.h"
#include "fuzz/build_internal.h"
#include "fuzz/campaign_internal.h"
#include "fuzz/driver_internal.h"
#include "fuzz/libtest.h"
#include "fuzz/symbols.h"

#include <math.h>
#include <string.h>

static void lines(const struct fuzz_driver *d, char *text, struct fuzz_session *s)
{
    char *save = NULL;
    for (char *l = strtok_r(text, "\n", &save); l; l = strtok_r(NULL, "\n", &save)) {
        uint64_t before = s->counts.executions;
        d->line(s, l, strlen(l));
        ASSERT(s->counts.executions >= before && isfinite(s->counts.rate));
    }
}

static void tests(const char *text)
{
    struct libtest t = {0};
    for (const char *p = text; *p;) {
        size_t n = strcspn(p, "\n");
        libtest_line(&t, p, n);
        p += n + (p[n] == '\n');
    }
    ASSERT(t.failures.len <= LIBTEST_FAILURES_MAX);
    VEC_EACH(&t.failures, f)
        ASSERT(f->output.len <= LIBTEST_OUTPUT_MAX && !f->output.failed);
    libtest_release(&t);
}

static void report(const char *text, size_t len)
{
    struct fuzz_verdict v;
    char place[512], error[64];
    if (fuzz_verdict_read(text, len, "t", "Crash", &v, NULL) == 0) {
        ASSERT(v.type[0] && fuzz_verdict_same(&v, &v));
        ASSERT(utf8_valid(v.state, strlen(v.state)) && utf8_valid(v.title, strlen(v.title)) && utf8_valid(v.file, strlen(v.file)));
        fuzz_verdict_release(&v);
    }
    struct symbols_frame frame;
    if (symbols_read_frame(text, len, &frame))
        ASSERT(frame.module_len && frame.module > text && frame.module + frame.module_len < text + len && frame.address_len > 2);
    symbols_wanted(text, len);
    campaign_signature(text, len, place, sizeof place);
    fuzz_build_first_error(text, error, sizeof error);
    ASSERT(error[0] && strlen(place) < sizeof place);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    _cleanup_free_ char *text = mem_strndup((const char *)data + 1, size - 1);
    struct fuzz_session s = {0};
    struct strbuf script = STRBUF_INIT_MAX((size_t)1 << 20);
    json_t *options = json_array();
    ASSERT(text && options);
    switch (data[0]) {
    case 'l':
        lines(&libfuzzer_driver, text, &s);
        break;
    case 'g':
        lines(&go_driver, text, &s);
        break;
    case 't':
        tests(text);
        break;
    case 's':
        aflplusplus_read_stats(&s.counts, text);
        break;
    case 'p':
        aflplusplus_read_plot(&s.counts, text);
        break;
    case 'o':
        fuzz_build_options(text, "libfuzzer", options, NULL);
        break;
    case 'd':
        fuzz_build_dockerfile(text, &script, NULL);
        break;
    default:
        report(text, strlen(text));
    }
    ASSERT(isfinite(s.counts.rate));
    strbuf_release(&script);
    json_decref(options);
    return 0;
}
