/* Regular expressions of rules: PCRE2 with bounds, so that no text makes one run for long. */
#include "scan/rules.h"

#include "base/mem.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

struct regex {
    pcre2_code *code;
    pcre2_match_data *data;
    pcre2_match_context *context;
};

int regex_new(const char *text, struct regex **ret, struct err *err)
{
    int code;
    size_t offset;
    struct regex *re = mem_zalloc(sizeof *re);
    if (!re)
        return err_nomem(err);
    re->code = pcre2_compile((const unsigned char *)text, PCRE2_ZERO_TERMINATED, PCRE2_NEVER_BACKSLASH_C, &code, &offset, NULL);
    if (!re->code) {
        unsigned char msg[120];
        pcre2_get_error_message(code, msg, sizeof msg);
        regex_free(re);
        return err_set(err, ERR_INVALID, "bad regular expression at %zu: %s", offset, (const char *)msg);
    }
    re->data = pcre2_match_data_create(1, NULL);
    re->context = pcre2_match_context_create(NULL);
    if (!re->data || !re->context) {
        regex_free(re);
        return err_nomem(err);
    }
    pcre2_set_match_limit(re->context, 200000);
    pcre2_set_depth_limit(re->context, 2000);
    *ret = re;
    return 0;
}

bool regex_matches(const struct regex *re, const char *s, size_t n)
{
    return pcre2_match(re->code, (const unsigned char *)s, n, 0, 0, re->data, re->context) >= 0;
}

void regex_free(struct regex *re)
{
    if (!re)
        return;
    pcre2_code_free(re->code);
    pcre2_match_data_free(re->data);
    pcre2_match_context_free(re->context);
    free(re);
}
