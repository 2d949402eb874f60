/* Libraries that are loaded when they are first used. */
#include "os/library.h"

#include "base/cleanup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <zlib.h>

#include <cmocka.h>

#define ZLIB_CALLS(X) X(zlibVersion) X(adler32)
static struct {
    ZLIB_CALLS(OS_LIBRARY_FIELD)
} lib;

static void finds_functions(void **state)
{
    (void)state;
    static const struct os_symbol calls[] = {ZLIB_CALLS(OS_LIBRARY_ENTRY)};
    struct err err = {0};
    assert_int_equal(os_library_load("libz.so.1", calls, ARRAY_LEN(calls), &err), 0);
    assert_string_equal(lib.zlibVersion(), ZLIB_VERSION);
    assert_int_equal(lib.adler32(1, (const Bytef *)"a", 1), 0x620062);
}

static void says_what_is_missing(void **state)
{
    (void)state;
    void (*f)(void) = NULL;
    const struct os_symbol call = {"no_such_function", &f};
    struct err err = {0};
    assert_int_equal(os_library_load("libnowhere.so.1", &call, 1, &err), -ERR_MISSING);
    assert_non_null(strstr(err.msg, "libnowhere.so.1"));
    assert_int_equal(os_library_load("libz.so.1", &call, 1, &err), -ERR_MISSING);
    assert_string_equal(err.msg, "libz.so.1 has no no_such_function");
    assert_null(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_functions),
        cmocka_unit_test(says_what_is_missing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
