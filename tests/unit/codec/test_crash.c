/* Crash reports of every kind. The reports are our own, in the words of the tools. */
#include "base/cleanup.h"
#include "base/mem.h"
#include "codec/crash/advice.h"
#include "codec/crash/crash.h"
#include "codec/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct crash parse(const char *text, const char *target)
{
    struct crash_options o = {.target = target};
    struct crash c;
    struct err err = {0};
    assert_int_equal(crash_parse(text, strlen(text), &o, &c, &err), 0);
    return c;
}

struct sample {
    const char *text;
    enum crash_kind kind;
    const char *type, *state, *address;
    enum crash_access access;
    bool security;
    enum severity severity;
};

static void check(const struct sample *s)
{
    struct crash c = parse(s->text, NULL);
    if (strcmp(c.type, s->type) != 0 || strcmp(c.state, s->state) != 0 || c.kind != s->kind)
        fprintf(stderr, "in:\n%s\nkind %s\n", s->text, crash_kind_name(c.kind));
    assert_string_equal(c.type, s->type);
    assert_string_equal(c.state, s->state);
    assert_string_equal(c.address, s->address);
    assert_int_equal(c.kind, s->kind);
    assert_int_equal(c.access, s->access);
    assert_int_equal(c.security, s->security);
    assert_int_equal(c.severity, s->severity);
    crash_release(&c);
}

#define STACK \
    "    #0 0x4a1b2c in __asan_memcpy /llvm/compiler-rt/lib/asan/asan_interceptors.cpp:22:3\n" \
    "    #1 0x51aa10 in pack::(anonymous namespace)::read_header(char const*, unsigned long) /src/pack/header.cc:41:7\n" \
    "    #2 0x51bb20 in pack::Archive<std::vector<int> >::open(int) /src/pack/archive.cc:9:3\n" \
    "    #3 0x51cc30 in LLVMFuzzerTestOneInput /src/fuzz/pack_fuzzer.cc:5:3\n" \
    "    #4 0x430000 in fuzzer::Fuzzer::ExecuteCallback(unsigned char const*, unsigned long) /llvm/lib/fuzzer/FuzzerLoop.cpp:6:1\n"
#define STATE "pack::read_header\npack::Archive<std::vector<int> >::open\npack_fuzzer.cc\n"

/* Version 0 of Rust's mangling; the words are those of llvm-cxxfilt. */
static void test_rust_names(void **state)
{
    static const char *const names[][2] = {
        {"_RNvNtCs6xxl1lAjzDf_1a1m1f", "a::m::f"},
        {"_RINvMNtNtNtCsiDnBiUdckdf_10gix_config4file6access7comfortNtNtB9_5types4File11path_filterReQFG_RL0_NtB7_8MetadataEb"
         "ECs26ezDKuLN16_5cargo",
         "<gix_config::types::File>::path_filter::<&str, &mut for<'a> fn(&'a gix_config::file::Metadata) -> bool>"},
        {"_RNvXs_NtNtCsjrHSEGnQ3l9_3std2io5implsQDNtB6_5WriteNtNtCsgEmfK2I1SDS_4core6marker4SyncNtBO_4SendEL_BB_5flushCs26ezD"
         "KuLN16_5cargo",
         "<&mut dyn std::io::Write + core::marker::Sync + core::marker::Send as std::io::Write>::flush"},
        {"_RINvMNtCsgEmfK2I1SDS_4core5sliceSh12strip_prefixAhja_ECscWr0eeOer3a_3gix",
         "<[u8]>::strip_prefix::<[u8; 10]>"},
        {"_RNvXs1g_NtCsgEmfK2I1SDS_4core3fmtRINtNtNtCscWr0eeOer3a_3gix6config3key5ErrorNtNtB8_7convert10InfallibleKc73_Kc69_E"
         "NtB6_5Debug3fmtBD_",
         "<&gix::config::key::Error<core::convert::Infallible, 's', 'i'> as core::fmt::Debug>::fmt"},
        {"_RNvMs3_NtCslNYArtu3iFV_5alloc7raw_vecINtB5_6RawVecTOhFUKCBN_EuENtNtCsjrHSEGnQ3l9_3std5alloc6SystemE8grow_oneB13_",
         "<alloc::raw_vec::RawVec<(*mut u8, unsafe extern \"C\" fn(*mut u8)), std::alloc::System>>::grow_one"},
        {"_RNvXNtNtNtCsgEmfK2I1SDS_4core3ops8function5implsRDINtB4_2FnTNtNtCsfuIt0HfWOwz_3url6parser15SyntaxViolationEEp6Outp"
         "utuEL_IBN_BV_E4callB10_",
         "<&dyn core::ops::function::Fn<(url::parser::SyntaxViolation,), Output = ()> as core::ops::function::Fn<(url::parser"
         "::SyntaxViolation,)>>::call"},
        {"_RINvMNtNtCs9kwSTHXI8e5_7zlib_rs5crc329pclmulqdqNtB3_11Accumulator9fold_helpKb1_EB7_",
         "<zlib_rs::crc32::pclmulqdq::Accumulator>::fold_help::<true>"},
        {"_RNvYNCNvCs6xxl1lAjzDf_1a4mains_0INtNtNtCsgEmfK2I1SDS_4core3ops8function6FnOnceTReEE9call_onceB6_",
         "<a::main::{closure#1} as core::ops::function::FnOnce<(&str,)>>::call_once"},
        {"_RNvC1a1f.llvm.12", "a::f"},
        /* no names */
        {"_R", ""}, {"_RAND_bytes", ""}, {"_ZN1a1fE", ""}, {"_RNvC1a9f", ""}, {"_RNvC1a1fq", ""}, {"_RB_", ""}, {"_RNvB0_1f", ""},
        {"_RNvC9999999999999999999999a1f", ""}, {"_RNvCsZZZZZZZZZZZZZZZZZZZZZZZZ_1a1f", ""}, {"_RINvC1a1fFGZZZZ_uEuE", ""},
    };
    char text[512];
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        bool ok = crash_demangle_rust(names[i][0], strlen(names[i][0]), text, sizeof text);
        assert_string_equal(text, names[i][1]);
        assert_int_equal(ok, names[i][1][0] != 0);
    }
    char deep[4096] = "_RINvC1a1f"; /* each level would double it: (T, T) of the one before */
    for (size_t i = 0, n = strlen(deep), at = n - 2; i < 40; i++) {
        char was = (char)(at < 10 ? '0' + at : at < 36 ? 'a' + at - 10 : 'A' + at - 36);
        at = n - 2;
        n += (size_t)snprintf(deep + n, sizeof deep - n, i ? "TB%c_B%c_E" : "h", was, was);
        if (at > 60)
            break;
    }
    strcat(deep, "E");
    assert_false(crash_demangle_rust(deep, strlen(deep), text, sizeof text));
    assert_string_equal(text, "");
    memset(deep, 'R', sizeof deep - 1);
    memcpy(deep, "_RINvC1a1f", 10);
    assert_false(crash_demangle_rust(deep, sizeof deep - 1, text, sizeof text));
    assert_false(crash_demangle_rust("_RNvNtCs6xxl1lAjzDf_1a1m1f", 26, text, 7)); /* no room */
}

static void test_asan(void **state)
{
    static const struct sample samples[] = {
        {"==7==ERROR: AddressSanitizer: heap-buffer-overflow on address 0x602000000014 at pc 0x51aa10 bp 0x7ffd sp 0x7ffc\n"
         "READ of size 4 at 0x602000000014 thread T0\n" STACK
         "0x602000000014 is located 0 bytes to the right of 4-byte region [0x602000000010,0x602000000014)\n"
         "allocated by thread T0 here:\n    #0 0x49 in malloc /llvm/asan.cpp:1\n    #1 0x50 in other /src/o.c:2:1\n\n"
         "SUMMARY: AddressSanitizer: heap-buffer-overflow /src/pack/header.cc:41:7\n==7==ABORTING\n",
         CRASH_ASAN, "Heap-buffer-overflow\nREAD 4", STATE, "0x602000000014", CRASH_READ, true, SEVERITY_MEDIUM},
        {"==7==ERROR: AddressSanitizer: heap-use-after-free on address 0x602000000010 at pc 0x1 bp 0x2 sp 0x3\n"
         "WRITE of size 64 at 0x602000000010 thread T0\n" STACK,
         CRASH_ASAN, "Heap-use-after-free\nWRITE {*}", STATE, "0x602000000010", CRASH_WRITE, true, SEVERITY_HIGH},
        {"AddressSanitizer:DEADLYSIGNAL\n=====\n"
         "==7==ERROR: AddressSanitizer: SEGV on unknown address 0x000000000008 (pc 0x51aa10 bp 0x1 sp 0x2 T0)\n"
         "==7==The signal is caused by a READ memory access.\n==7==Hint: address points to the zero page.\n" STACK,
         CRASH_ASAN, "Null-dereference READ", STATE, "0x000000000008", CRASH_READ, false, SEVERITY_LOW},
        {"==7==ERROR: AddressSanitizer: SEGV on unknown address 0x414141414141 (pc 0x414141414141 bp 0x1 sp 0x2 T0)\n"
         "==7==The signal is caused by a READ memory access.\n" STACK,
         CRASH_ASAN, "UNKNOWN READ", STATE, "0x414141414141", CRASH_EXEC, true, SEVERITY_CRITICAL},
        {"==7==ERROR: AddressSanitizer: attempting double-free on 0x602000000010 in thread T0:\n" STACK,
         CRASH_ASAN, "Heap-double-free", STATE, "0x602000000010", CRASH_ACCESS_UNKNOWN, true, SEVERITY_HIGH},
        {"==7==ERROR: AddressSanitizer: attempting free on address which was not malloc()-ed: 0x7ffe1234 in thread T0\n" STACK,
         CRASH_ASAN, "Invalid-free", STATE, "0x7ffe1234", CRASH_ACCESS_UNKNOWN, true, SEVERITY_MEDIUM},
        {"==7==ERROR: AddressSanitizer: memcpy-param-overlap: memory ranges [0x10,0x20) and [0x18, 0x28) overlap\n" STACK,
         CRASH_ASAN, "Memcpy-param-overlap", STATE, "[0x10,0x20) and [0x18, 0x28)", CRASH_ACCESS_UNKNOWN, true,
         SEVERITY_MEDIUM},
        {"==7==ERROR: AddressSanitizer: negative-size-param: (size=-1)\n" STACK,
         CRASH_ASAN, "Negative-size-param", STATE, "", CRASH_ACCESS_UNKNOWN, true, SEVERITY_MEDIUM},
        {"==7==ERROR: AddressSanitizer: FPE on unknown address 0x51aa10 (pc 0x51aa10 bp 0x1 sp 0x2 T0)\n" STACK,
         CRASH_ASAN, "Floating-point-exception", STATE, "", CRASH_ACCESS_UNKNOWN, false, SEVERITY_LOW},
        {"==7==ERROR: AddressSanitizer: ABRT on unknown address 0x000000000007 (pc 0x1 bp 0x2 sp 0x3 T0)\n" STACK,
         CRASH_ASAN, "Abrt", STATE, "0x000000000007", CRASH_ACCESS_UNKNOWN, false, SEVERITY_LOW},
        {"==7==ERROR: HWAddressSanitizer: tag-mismatch on address 0x0042efdfff10 at pc 0x1\n"
         "WRITE of size 1 at 0x0042efdfff10 tags: 08/00 (ptr/mem) in thread T0\n" STACK,
         CRASH_HWASAN, "Tag-mismatch\nWRITE 1", STATE, "0x0042efdfff10", CRASH_WRITE, true, SEVERITY_HIGH},
    };
    for (size_t i = 0; i < ARRAY_LEN(samples); i++)
        check(&samples[i]);
}

static void test_sanitizers(void **state)
{
    static const struct sample samples[] = {
        {"==7==WARNING: MemorySanitizer: use-of-uninitialized-value\n" STACK
         "  Uninitialized value was stored to memory at\n    #0 0x1 in later /src/l.c:1:1\n",
         CRASH_MSAN, "Use-of-uninitialized-value", STATE, "", CRASH_ACCESS_UNKNOWN, true, SEVERITY_MEDIUM},
        {"==7==ERROR: MemorySanitizer: SEGV on unknown address 0x000041414141 (pc 0x000041414141 bp 0x0 sp 0x7ffe T7)\n"
         "==7==The signal is caused by a READ memory access.\nMemorySanitizer:DEADLYSIGNAL\n"
         "MemorySanitizer: nested bug in the same thread, aborting.\n",
         CRASH_MSAN, "UNKNOWN READ", "NULL", "0x000041414141", CRASH_EXEC, true, SEVERITY_CRITICAL},
        {"WARNING: ThreadSanitizer: data race (pid=7)\n  Write of size 8 at 0x7b0400000800 by main thread:\n"
         "    #0 0x1 in queue_push /src/q.c:7:9\n    #1 0x2 in run /src/main.c:8\n\n"
         "  Previous read of size 8 at 0x7b0400000800 by thread T1:\n    #0 0x1 in queue_len /src/q.c:2:9\n",
         CRASH_TSAN, "Data race\nWRITE 8", "queue_push\nrun\nqueue_len\n", "0x7b0400000800", CRASH_WRITE, false, SEVERITY_LOW},
        {"WARNING: ThreadSanitizer: double lock of a mutex (pid=7)\n    #0 pthread_mutex_lock <null> (box+0x6ffea) (BuildId: 79db04)\n"
         "    #1 box::lock(int) /src/box.cc:5:58 (box+0xd02fc) (BuildId: 79db04)\n    #2 run <null> (libbox.so+0x12)\n"
         "    #3 main /src/box.cc:9 (box+0x99)\n",
         CRASH_TSAN, "Double lock of a mutex", "box::lock\nrun\n", "", CRASH_ACCESS_UNKNOWN, true, SEVERITY_MEDIUM},
        {"==7==ERROR: LeakSanitizer: detected memory leaks\n\nIndirect leak of 8 byte(s) in 1 object(s) allocated from:\n"
         "    #0 0x1 in malloc /llvm/asan_malloc.cpp:1\n    #1 0x2 in node_new /src/n.c:4\n\n"
         "Direct leak of 16 byte(s) in 1 object(s) allocated from:\n"
         "    #0 0x1 in malloc /llvm/asan_malloc.cpp:1\n    #1 0x2 in list_new /src/l.c:4\n    #2 0x3 in main /src/m.c:1\n",
         CRASH_LSAN, "Direct-leak", "list_new\n", "", CRASH_ACCESS_UNKNOWN, false, SEVERITY_LOW},
        {"/src/a.c:9:5: runtime error: signed integer overflow: 2147483647 + 1 cannot be represented in type 'int'\n"
         "    #0 0x1 in add /src/a.c:9:5\n    #1 0x2 in sum /src/a.c:20\n",
         CRASH_UBSAN, "Integer-overflow", "add\nsum\n", "", CRASH_ACCESS_UNKNOWN, false, SEVERITY_LOW},
        {"/src/a.c:9:5: runtime error: index 5 out of bounds for type 'int [4]'\n    #0 0x1 in pick /src/a.c:9:5\n",
         CRASH_UBSAN, "Index-out-of-bounds", "pick\n", "", CRASH_ACCESS_UNKNOWN, true, SEVERITY_MEDIUM},
        {"/src/s.cc:3:1: runtime error: downcast of address 0x7f01 which does not point to an object of type 'Square'\n"
         "0x7f01: note: object is of type 'Circle'\n 00 00\n    #0 0x1 in draw(Shape*) /src/s.cc:3:1\n",
         CRASH_UBSAN, "Bad-cast", "Bad-cast to Square from Circle\ndraw\n", "0x7f01", CRASH_ACCESS_UNKNOWN, true, SEVERITY_HIGH},
        {"/src/a.c:1:2: runtime error: something new is undefined\n    #0 0x1 in odd /src/a.c:1:2\n",
         CRASH_UBSAN, "UNKNOWN", "odd\n", "", CRASH_ACCESS_UNKNOWN, false, SEVERITY_MEDIUM},
    };
    for (size_t i = 0; i < ARRAY_LEN(samples); i++)
        check(&samples[i]);
}

static void test_fuzzers(void **state)
{
    static const struct sample samples[] = {
        {"==7== ERROR: libFuzzer: deadly signal\n" STACK,
         CRASH_LIBFUZZER, "Fatal-signal", STATE, "", CRASH_ACCESS_UNKNOWN, false, SEVERITY_LOW},
        {"==7== ERROR: libFuzzer: timeout after 25 seconds\n" STACK,
         CRASH_LIBFUZZER, "Timeout", STATE, "", CRASH_ACCESS_UNKNOWN, false, SEVERITY_LOW},
        {"==7== ERROR: libFuzzer: out-of-memory (used: 2049Mb; limit: 2048Mb)\n   To change the limit use -rss_limit_mb\n",
         CRASH_LIBFUZZER, "Out-of-memory", "NULL", "", CRASH_ACCESS_UNKNOWN, false, SEVERITY_LOW},
        {"==7== ERROR: libFuzzer: fuzz target exited\n" STACK,
         CRASH_LIBFUZZER, "Unexpected-exit", STATE, "", CRASH_ACCESS_UNKNOWN, false, SEVERITY_INFO},
        {"+++ Program killed by signal 6 +++\n", CRASH_AFL, "Abrt", "NULL", "", CRASH_ACCESS_UNKNOWN, false, SEVERITY_LOW},
        {"CRASH LOG: ========= Per-input timeout exceeded: 6 > 5 (sec); exiting\n",
         CRASH_CENTIPEDE, "Timeout", "NULL", "", CRASH_ACCESS_UNKNOWN, false, SEVERITY_LOW},
    };
    for (size_t i = 0; i < ARRAY_LEN(samples); i++)
        check(&samples[i]);
    struct crash c = parse(samples[1].text, "pack_fuzzer");
    assert_string_equal(c.state, "pack_fuzzer\n");
    crash_release(&c);
}

/* What go test -fuzz says of a panic, which it has caught. */
#define GO_CAUGHT(what) "--- FAIL: FuzzBox (0.04s)\n    --- FAIL: FuzzBox (0.00s)\n        testing.go:1927: panic: " what "\n" \
    "            goroutine 22 [running]:\n            runtime/debug.Stack()\n            \t/go/src/runtime/debug/stack.go:26 +0x9b\n" \
    "            testing.tRunner.func1()\n            \t/go/src/testing/testing.go:1927 +0x1d0\n" \
    "            panic({0x63, 0x2d})\n            \t/go/src/runtime/panic.go:860 +0x13a\n" \
    "            example.org/box.Open(0x1)\n            \t/src/box/open.go:3 +0x2\n            \n    \n    Failing input written to x\n"

static void test_languages(void **state)
{
    static const struct sample samples[] = {
        {GO_CAUGHT("bad lid"), CRASH_GO, "ASSERT", "bad lid\nbox.Open\n", "", CRASH_ACCESS_UNKNOWN, true, SEVERITY_LOW},
        {GO_CAUGHT("runtime error: index out of range [9] with length 8"), CRASH_GO, "Index out of range", "box.Open\n", "",
         CRASH_ACCESS_UNKNOWN, false, SEVERITY_LOW},
        {"panic: runtime error: index out of range [9] with length 3\n\ngoroutine 1 [running]:\n"
         "example.org/box/codec.(*Reader).next(0xc000012345, 0x9)\n\t/src/box/codec/reader.go:31 +0x1d\n"
         "example.org/box/codec.Decode(...)\n\t/src/box/codec/codec.go:7\nmain.main()\n\t/src/box/main.go:3 +0x2\n",
         CRASH_GO, "Index out of range", "codec.(*Reader).next\ncodec.Decode\n", "", CRASH_ACCESS_UNKNOWN, false, SEVERITY_LOW},
        {"panic: bad length\n\ngoroutine 1 [running]:\nexample.org/box.Open(0x1)\n\t/src/box/open.go:3 +0x2\n",
         CRASH_GO, "ASSERT", "bad length\nbox.Open\n", "", CRASH_ACCESS_UNKNOWN, true, SEVERITY_LOW},
        {"fatal error: all goroutines are asleep - deadlock!\n\ngoroutine 1 [running]:\nbox.Wait()\n\t/src/wait.go:3 +0x2\n",
         CRASH_GO, "Fatal error", "all goroutines are asleep - deadlock!\nbox.Wait\n", "", CRASH_ACCESS_UNKNOWN, false,
         SEVERITY_LOW},
        {"==================\nWARNING: DATA RACE\nWrite at 0x00c000 by goroutine 7:\n  box.(*T).Set()\n      /src/t.go:5 +0x44\n",
         CRASH_GO, "Data race", "box.(*T).Set\n", "", CRASH_ACCESS_UNKNOWN, false, SEVERITY_LOW},
        {" === Uncaught Python exception: ===\nKeyError: 'a'\nTraceback (most recent call last):\n"
         "  File \"/src/fuzz.py\", line 9, in TestOneInput\n    load(data)\n"
         "  File \"/src/box.py\", line 4, in load\n    return table[key]\n\n==7== ERROR: libFuzzer: deadly signal\n" STACK,
         CRASH_PYTHON, "Uncaught exception", "load\nTestOneInput\n", "", CRASH_ACCESS_UNKNOWN, false, SEVERITY_LOW},
        {"Traceback (most recent call last):\n  File \"/src/a.py\", line 2, in <module>\n    divide()\n"
         "  File \"/src/a.py\", line 1, in divide\n    1/0\nZeroDivisionError: division by zero\n",
         CRASH_PYTHON, "Uncaught exception", "divide\n<module>\n", "", CRASH_ACCESS_UNKNOWN, false, SEVERITY_LOW},
        {"Traceback (most recent call last):\n  File \"/src/a.py\", line 2, in got_over\n    1/0\nZeroDivisionError: no\n"
         "Fatal Python error: Segmentation fault\n\nThread 0x00007f0f7b8c36c0 (most recent call first):\n"
         "  File \"/src/spin.py\", line 4 in spin\n\nCurrent thread 0x00007f0f7bb7e040 [python3] (most recent call first):\n"
         "  File \"/usr/lib/python3.11/ctypes/__init__.py\", line 519 in string_at\n  File \"/src/box.py\", line 4 in load\n"
         "  File \"/src/box.py\", line 7 in <module>\n\nExtension modules: box._box (total: 1)\nSegmentation fault\n",
         CRASH_PYTHON, "UNKNOWN", "string_at\nload\n<module>\n", "", CRASH_ACCESS_UNKNOWN, false, SEVERITY_MEDIUM},
        {"Fatal Python error: Aborted\n\nCurrent thread 0x00007f0f7bb7e040 (most recent call first):\n"
         "  File \"<string>\", line 1 in <module>\n", CRASH_PYTHON, "Abrt", "<module>\n", "", CRASH_ACCESS_UNKNOWN, false, SEVERITY_LOW},
        {"Fatal Python error: none_dealloc: deallocating None\nPython runtime state: initialized\n\nStack (most recent call first):\n"
         "  File \"/src/box.py\", line 4 in load\n", CRASH_PYTHON, "Fatal error", "none_dealloc: deallocating None\nload\n", "",
         CRASH_ACCESS_UNKNOWN, false, SEVERITY_LOW},
        {"Fatal Python error: _Py_CheckRecursiveCall: Cannot recover from stack overflow.\n", CRASH_PYTHON, "Stack-overflow", "NULL", "",
         CRASH_ACCESS_UNKNOWN, false, SEVERITY_LOW},
        {"Traceback (most recent call last):\n  File \"/src/a.py\", line 2, in logged\n    1/0\nZeroDivisionError: no\n"
         "going on\nTraceback (most recent call last):\n  File \"/src/a.py\", line 9, in fatal\n    raise A\nA\n",
         CRASH_PYTHON, "Uncaught exception", "fatal\n", "", CRASH_ACCESS_UNKNOWN, false, SEVERITY_LOW},
        {"  + Exception Group Traceback (most recent call last):\n  |   File \"/src/a.py\", line 2, in group\n  | ExceptionGroup: two\n"
         "  +-+---------------- 1 ----------------\n    | Traceback (most recent call last):\n"
         "    |   File \"/src/a.py\", line 3, in first\n    | KeyError: 0\n    +---------------- 2 ----------------\n"
         "    | Traceback (most recent call last):\n    |   File \"/src/a.py\", line 7, in outer\n    |     inner()\n"
         "    |   File \"/src/a.py\", line 4, in inner\n    | KeyError: 1\n    +------------------------------------\n",
         CRASH_PYTHON, "Uncaught exception", "inner\nouter\n", "", CRASH_ACCESS_UNKNOWN, false, SEVERITY_LOW},
        {"/src/box.js:3\n    throw new Odd('no')\n    ^\n\nOdd: no\n    at open (/src/box.js:3:9)\n\nNode.js v20\n",
         CRASH_JAVASCRIPT, "Uncaught exception", "open\n", "", CRASH_ACCESS_UNKNOWN, false, SEVERITY_LOW},
        {"/src/box.js:3\n    throw 'no'\n    ^\nno\n(Use `node --trace-uncaught ...` to show where the exception was thrown)\n\nNode.js v20\n",
         CRASH_JAVASCRIPT, "Uncaught exception", "NULL", "", CRASH_ACCESS_UNKNOWN, false, SEVERITY_LOW},
        {"\nthread 'main' (29188) has overflowed its stack\nfatal runtime error: stack overflow, aborting\n",
         CRASH_RUST, "Stack-overflow", "NULL", "", CRASH_ACCESS_UNKNOWN, false, SEVERITY_LOW},
        {"panic: first [recovered]\n\tpanic: again\n\ngoroutine 1 [running]:\nexample.org/box.Open(0x1)\n\t/src/box/open.go:3 +0x2\n",
         CRASH_GO, "ASSERT", "again\nbox.Open\n", "", CRASH_ACCESS_UNKNOWN, true, SEVERITY_LOW},
        {"thread 'main' panicked at 'index out of bounds: the len is 3 but the index is 9', src/lib.rs:7:5\n"
         "==7== ERROR: libFuzzer: deadly signal\n    #0 0x1 in rust_panic /rustc/1/library/std/src/panicking.rs:1\n"
         "    #1 0x2 in boxed::decode::h0123456789abcdef /src/lib.rs:7:5\n",
         CRASH_RUST, "ASSERT", "index out of bounds: the len is 3 but the index is 9\nboxed::decode::h0123456789abcdef\n", "",
         CRASH_ACCESS_UNKNOWN, true, SEVERITY_LOW},
        {"thread 'main' panicked at 'no', src/lib.rs:7:5\n==7== ERROR: libFuzzer: deadly signal\n"
         "    #0 0x1 in _RNvCs5_7___rustc10rust_panic /rustc/1/library/std/src/panicking.rs:1\n"
         "    #1 0x2 in _RNvMNtCs6xxl1lAjzDf_5boxed2inNtB2_3Box4open.llvm.77 /src/_RNvC1a1b/lib.rs:7:5\n"
         "    #2 0x3 in _RNCNvCs6xxl1lAjzDf_5boxed6decode0B3_ (/bin/x+0x12)\n    #3 0x4 in not_RNvC5boxed3one /src/lib.rs:9:5\n",
         CRASH_RUST, "ASSERT", "no\n<boxed::in::Box>::open\nboxed::decode::{closure#NUMBER}\n", "", CRASH_ACCESS_UNKNOWN, true,
         SEVERITY_LOW},
        {"thread 'main' panicked at src/lib.rs:7:5:\nattempt to add with overflow\nstack backtrace:\n"
         "   0: rust_begin_unwind\n             at /rustc/1/library/std/src/panicking.rs:1:5\n"
         "   1: core::panicking::panic_fmt\n   2: boxed::decode\n             at ./src/lib.rs:7:5\n   3: boxed::main\n",
         CRASH_RUST, "ASSERT", "attempt to add with overflow\nboxed::decode\nboxed::main\n", "", CRASH_ACCESS_UNKNOWN, true,
         SEVERITY_LOW},
        {"== Java Exception: java.lang.IllegalStateException: empty\n\tat org.example.Box.open(Box.java:12)\n"
         "\tat org.example.BoxFuzzer.fuzzerTestOneInput(BoxFuzzer.java:5)\n== libFuzzer crashing input ==\n",
         CRASH_JAVA, "Uncaught exception", "org.example.Box.open\norg.example.BoxFuzzer.fuzzerTestOneInput\n", "",
         CRASH_ACCESS_UNKNOWN, false, SEVERITY_LOW},
        {"== Java Exception: com.code_intelligence.jazzer.api.FuzzerSecurityIssueHigh: SQL Injection\n"
         "\tat org.example.Db.query(Db.java:12)\n",
         CRASH_JAVA, "Security exception", "org.example.Db.query\n", "", CRASH_ACCESS_UNKNOWN, true, SEVERITY_HIGH},
        {"Exception in thread \"main\" java.lang.NullPointerException\n\tat org.example.Box.open(Box.java:12)\n",
         CRASH_JAVA, "Uncaught exception", "org.example.Box.open\n", "", CRASH_ACCESS_UNKNOWN, false, SEVERITY_LOW},
        {"==7== Uncaught Exception: Jazzer.js: bad box\nError: bad box\n    at open (/src/box.js:3:9)\n"
         "    at module.exports.fuzz (/src/fuzz.js:5:1)\n",
         CRASH_JAVASCRIPT, "Uncaught exception", "open\nmodule.exports.fuzz\n", "", CRASH_ACCESS_UNKNOWN, false, SEVERITY_LOW},
        {"/src/box.js:3\n    throw new TypeError('no')\n    ^\n\nTypeError: no\n    at open (/src/box.js:3:9)\n"
         "    at Object.<anonymous> (/src/box.js:9:1)\n\nNode.js v20\n",
         CRASH_JAVASCRIPT, "Uncaught exception", "open\nObject.<anonymous>\n", "", CRASH_ACCESS_UNKNOWN, false, SEVERITY_LOW},
    };
    for (size_t i = 0; i < ARRAY_LEN(samples); i++)
        check(&samples[i]);
}

static void test_programs(void **state)
{
    static const struct sample samples[] = {
        {"box: src/box.c:12: box_open: Assertion `n > 0' failed.\n==7== ERROR: libFuzzer: deadly signal\n" STACK,
         CRASH_CHECK, "ASSERT", "n > 0\npack::read_header\npack::Archive<std::vector<int> >::open\n", "", CRASH_ACCESS_UNKNOWN,
         true, SEVERITY_LOW},
        {"[7:7:0101/120000.123456:FATAL:box.cc(12)] Check failed: n > 0 (-1 vs. 0)\n#0 0x55aa base::debug::StackTrace::StackTrace()\n"
         "#1 0x55bb box::Open()\n",
         CRASH_CHECK, "CHECK failure", "n > 0 in box.cc\nbox::Open\n", "", CRASH_ACCESS_UNKNOWN, false, SEVERITY_LOW},
        {"#\n# Fatal error in ../src/heap.cc, line 123\n# Debug check failed: size < max (12345 vs. 10).\n#\n",
         CRASH_V8, "DCHECK failure", "size < max in heap.cc\n", "", CRASH_ACCESS_UNKNOWN, true, SEVERITY_LOW},
        {"*** stack smashing detected ***: terminated\nAborted (core dumped)\n",
         CRASH_GLIBC, "Stack-buffer-overflow", "NULL", "", CRASH_ACCESS_UNKNOWN, true, SEVERITY_MEDIUM},
        {"==7==ERROR: UndefinedBehaviorSanitizer: SEGV on unknown address (pc 0x1 bp 0x2 sp 0x3 T7)\n"
         "==7==The signal is caused by a READ memory access.\n" STACK,
         CRASH_UBSAN, "Segv on unknown address", STATE, "", CRASH_ACCESS_UNKNOWN, true, SEVERITY_MEDIUM},
        {"--- FAIL: FuzzBox (0.00s)\n    --- FAIL: FuzzBox/input (0.00s)\n        box_test.go:15: broken lid, \"20\"\nFAIL\n",
         CRASH_GO, "Test failure", "broken lid\nFuzzBox\n", "", CRASH_ACCESS_UNKNOWN, false, SEVERITY_LOW},
        {"free(): double free detected in tcache 2\nAborted\n",
         CRASH_GLIBC, "Heap-double-free", "NULL", "", CRASH_ACCESS_UNKNOWN, true, SEVERITY_HIGH},
        {"terminate called after throwing an instance of 'box::Error'\n  what():  bad\nAborted\n",
         CRASH_CHECK, "Uncaught exception", "box::Error\n", "", CRASH_ACCESS_UNKNOWN, false, SEVERITY_LOW},
        {"Core was generated by `./box'.\nProgram terminated with signal SIGSEGV, Segmentation fault.\n"
         "#0  box_read (b=0x0) at box.c:9\n9\t  return b->n;\n(gdb) bt\n#0  box_read (b=0x0) at box.c:9\n"
         "#1  0x0000555555555180 in box_open (p=0x1) at box.c:20\n#2  0x00005555 in main () at box.c:30\n"
         "(gdb) thread apply all bt\nThread 2:\n#0  0x00007fff in other () at box.c:40\n",
         CRASH_GDB, "SIGSEGV", "box_read\nbox_open\n", "", CRASH_ACCESS_UNKNOWN, true, SEVERITY_MEDIUM},
        {"Thread 2 \"box\" received signal SIGSEGV, Segmentation fault.\n[Switching to Thread 0x7ffff7d8a6c0 (LWP 7)]\n"
         "box_read (b=0x0) at box.c:9\n9\t  return b->n;\n#0  box_read (b=0x0) at box.c:9\n"
         "#1  0x0000555555555180 in box_open (p=0x1) at box.c:20\n#2  0x00007ffff7e0d1c4 in start_thread () from /lib/libc.so.6\n",
         CRASH_GDB, "SIGSEGV", "box_read\nbox_open\n", "", CRASH_ACCESS_UNKNOWN, true, SEVERITY_MEDIUM},
        {"Program received signal SIGSEGV, Segmentation fault.\nbox_read (b=0x0) at box.c:9\n9\t  return b->n;\n"
         "#0  box_read (b=0x0) at box.c:9\n#1  0x0000555555555180 in box_open (p=0x1) at box.c:20\n#2  main () at box.c:30\n",
         CRASH_GDB, "SIGSEGV", "box_read\nbox_open\n", "", CRASH_ACCESS_UNKNOWN, true, SEVERITY_MEDIUM},
        {"BUG: KASAN: slab-out-of-bounds in box_ioctl+0x1a/0x80 at addr ffff8800123\nRead of size 4 by task box/7\nCall Trace:\n"
         " [<ffffffff81234567>] dump_stack+0x10/0x20\n [<ffffffff81234568>] box_ioctl+0x1a/0x80\n"
         " [<ffffffff81234569>] vfs_ioctl+0x1/0x2\n",
         CRASH_KERNEL, "Kernel failure\nSlab-out-of-bounds\nREAD 4", "box_ioctl\nvfs_ioctl\n", "0xffff8800123", CRASH_READ, true,
         SEVERITY_MEDIUM},
        {"Segmentation fault (core dumped)\n", CRASH_SIGNAL, "UNKNOWN", "NULL", "", CRASH_ACCESS_UNKNOWN, false, SEVERITY_MEDIUM},
        {"./run.sh: line 3:  4242 Segmentation fault      ./box input\n",
         CRASH_SIGNAL, "UNKNOWN", "NULL", "", CRASH_ACCESS_UNKNOWN, false, SEVERITY_MEDIUM},
        {"BUG: KASAN: slab-use-after-free in box_ack+0x2a3/0x1e40\nWrite of size 8 at addr ffff88800c1d5f40 by task box/7\n\n"
         "Call Trace:\n <TASK>\n dump_stack_lvl+0x48/0x70\n ? box_left+0x1/0x2\n kasan_report+0xbf/0x100\n box_ack+0x2a3/0x1e40\n"
         " box_receive+0x1e7/0xd30 net/box.c:12 [box]\n </TASK>\n\nAllocated by task 6:\n box_new+0x1/0x2\n",
         CRASH_KERNEL, "Kernel failure\nSlab-use-after-free\nWRITE 8", "box_ack\nbox_receive\n", "0xffff88800c1d5f40", CRASH_WRITE,
         true, SEVERITY_HIGH},
        {"[  101.000001] BUG: kernel NULL pointer dereference, address: 0000000000000008\n[  101.000002] RIP: 0010:box_ioctl+0x1d/0x40\n"
         "[  101.000003] Call Trace:\n[  101.000004]  vfs_ioctl+0x33/0x60\n[  101.000005] \n[  101.000006]  later+0x1/0x2\n",
         CRASH_KERNEL, "Kernel failure\nNull-dereference", "box_ioctl\nvfs_ioctl\n", "", CRASH_ACCESS_UNKNOWN, true, SEVERITY_LOW},
        {"*** GWP-ASan detected a memory error ***\nUse After Free at 0x7fecca (0 bytes into a 41-byte allocation) by thread 7 here:\n"
         "  #0 ./box(_ZN8gwp_asan4trapEm+0x2a) [0x5558]\n  #1 ./box(box_read+0x25) [0x5559]\n\n0x7fecca was deallocated by thread 7 here:\n"
         "  #0 ./box(box_free+0x5d) [0x555a]\n*** End GWP-ASan report ***\n",
         CRASH_OTHER, "Heap-use-after-free", "box_read\n", "0x7fecca", CRASH_ACCESS_UNKNOWN, true, SEVERITY_HIGH},
        {"#\n# A fatal error has been detected by the Java Runtime Environment:\n#\n#  SIGSEGV (0xb) at pc=0x00007f, pid=1, tid=2\n#\n"
         "# Problematic frame:\n# C  [libbox.so+0x1a2d]  box_decode+0x1d\n#\n",
         CRASH_JAVA, "UNKNOWN", "box_decode\n", "", CRASH_ACCESS_UNKNOWN, false, SEVERITY_MEDIUM},
        {"FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory\n 1: 0xb09c10 node::Abort() [node]\n",
         CRASH_JAVASCRIPT, "Out-of-memory", "NULL", "", CRASH_ACCESS_UNKNOWN, false, SEVERITY_LOW},
        {"memory allocation of 549755813888 bytes failed\nAborted (core dumped)\n",
         CRASH_RUST, "Out-of-memory", "NULL", "", CRASH_ACCESS_UNKNOWN, false, SEVERITY_LOW},
        {"/src/a.c:9:5: runtime error: signed integer overflow: 2147483647 + 1 cannot be represented in type 'int'\n",
         CRASH_UBSAN, "Integer-overflow", "a.c:9\n", "", CRASH_ACCESS_UNKNOWN, false, SEVERITY_LOW},
        /* Valgrind 3.19, of a program of our own */
        {"==18694== Memcheck, a memory error detector\n==18694== Command: ./a 0\n==18694== \n==18694== Invalid read of size 4\n"
         "==18694==    at 0x1093D6: long box::Tree::get<long>(long) (a.cpp:4)\n==18694==    by 0x109285: main (a.cpp:12)\n"
         "==18694==  Address 0x4d6fca8 is 0 bytes after a block of size 40 alloc'd\n"
         "==18694==    at 0x48417B4: malloc (in /usr/libexec/valgrind/vgpreload_memcheck-amd64-linux.so)\n"
         "==18694==    by 0x10926A: main (a.cpp:11)\n==18694== \n==18694== \n==18694== HEAP SUMMARY:\n"
         "==18694== 40 bytes in 1 blocks are definitely lost in loss record 1 of 1\n",
         CRASH_VALGRIND, "Heap-buffer-overflow\nREAD 4", "long box::Tree::get<long>\n", "0x4d6fca8", CRASH_READ, true, SEVERITY_MEDIUM},
        {"==19243== Invalid free() / delete / delete[] / realloc()\n"
         "==19243==    at 0x484417B: free (in /usr/libexec/valgrind/vgpreload_memcheck-amd64-linux.so)\n"
         "==19243==    by 0x10921F: box::twice(void*) (a.cpp:7)\n==19243==    by 0x1092F2: main (a.cpp:16)\n"
         "==19243==  Address 0x4d6fc80 is 0 bytes inside a block of size 40 free'd\n"
         "==19243==    at 0x484417B: free (in /usr/libexec/valgrind/vgpreload_memcheck-amd64-linux.so)\n"
         "==19243==    by 0x109213: box::once(void*) (a.cpp:7)\n==19243==  Block was alloc'd at\n",
         CRASH_VALGRIND, "Heap-double-free", "box::twice\n", "0x4d6fc80", CRASH_ACCESS_UNKNOWN, true, SEVERITY_HIGH},
        {"==19086== Conditional jump or move depends on uninitialised value(s)\n==19086==    at 0x1091E4: box::branch(int*) (a.cpp:6)\n"
         "==19086==    by 0x1092E0: main (a.cpp:15)\n==19086== \n",
         CRASH_VALGRIND, "Use-of-uninitialized-value", "box::branch\n", "", CRASH_ACCESS_UNKNOWN, true, SEVERITY_MEDIUM},
        {"==19604== Process terminating with default action of signal 11 (SIGSEGV)\n"
         "==19604==  Access not within mapped region at address 0x10\n==19604==    at 0x1093D6: box::get(long) (a.cpp:4)\n"
         "==19604==    by 0x1092FD: (below main) (libc_start_call_main.h:58)\n==19604==  If you believe this happened\n",
         CRASH_VALGRIND, "Null-dereference", "box::get\n", "0x10", CRASH_ACCESS_UNKNOWN, false, SEVERITY_LOW},
        {"==19394== 77 bytes in 1 blocks are definitely lost in loss record 1 of 1\n"
         "==19394==    at 0x48417B4: malloc (in /usr/libexec/valgrind/vgpreload_memcheck-amd64-linux.so)\n"
         "==19394==    by 0x109234: box::lose() (a.cpp:8)\n==19394==    by 0x1092FD: main (a.cpp:17)\n==19394== \n",
         CRASH_VALGRIND, "Direct-leak", "box::lose\n", "", CRASH_ACCESS_UNKNOWN, false, SEVERITY_LOW},
        {"==7== Invalid write of size x\n==7==\n==8==    at 0x:  ()\n", CRASH_VALGRIND, "UNKNOWN\nWRITE", "NULL", "", CRASH_WRITE,
         true, SEVERITY_HIGH},
        /* Android's tombstone */
        {"*** *** *** *** *** ***\npid: 7, tid: 8, name: box  >>> com.example.box <<<\n"
         "signal 11 (SIGSEGV), code 1 (SEGV_MAPERR), fault addr 0x0000000000000010\nCause: null pointer dereference\n\nbacktrace:\n"
         "      #00 pc 0000000000012250  /data/app/~~a==/lib/arm64/libbox.so (box::Tree::insert(int)+32) (BuildId: 01ab)\n"
         "      #01 pc 00000000000123f8  /data/app/~~a==/base.apk!libbox.so (offset 0x1000) (box_open+120) (BuildId: 01ab)\n"
         "      #02 pc 00000000000c8a04  /apex/com.android.runtime/lib64/bionic/libc.so\n\nmemory near x0:\n",
         CRASH_SIGNAL, "Null-dereference", "box::Tree::insert\nbox_open\n", "0x000000000010", CRASH_ACCESS_UNKNOWN, false,
         SEVERITY_LOW},
        {"all is well\n", CRASH_NONE, "", "", "", CRASH_ACCESS_UNKNOWN, false, SEVERITY_INFO},
        {"", CRASH_NONE, "", "", "", CRASH_ACCESS_UNKNOWN, false, SEVERITY_INFO},
    };
    for (size_t i = 0; i < ARRAY_LEN(samples); i++)
        check(&samples[i]);
}

#define LOGGED(before) \
    before "==7==ERROR: AddressSanitizer: heap-buffer-overflow on address 0x602000000014 at pc 0x51aa10 bp 0x7ffd sp 0x7ffc\n" before \
    "READ of size 4 at 0x602000000014 thread T0\n" before "    #0 0x51aa10 in box_read /src/box.c:41:7\n" before \
    "    #1 0x51bb20 in box_open /src/box.c:9:3\n"

/* Reports as they come out of terminals, logs and other systems. */
static void test_carried(void **state)
{
    static const char *const texts[] = {
        LOGGED(""), LOGGED("2024-05-01T10:11:12.1234567Z "), LOGGED("2024-05-01 10:11:12,123 "), LOGGED("fuzz-1  | "),
        LOGGED("May  1 10:11:12 host box[7]: "), LOGGED("05-01 10:11:12.223  4250  4250 F DEBUG   : "), LOGGED("[   12.345678] "),
        LOGGED("\033[1m\033[31m"), LOGGED("\033[0m\033(B"),
    };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        check(&(struct sample){texts[i], CRASH_ASAN, "Heap-buffer-overflow\nREAD 4", "box_read\nbox_open\n", "0x602000000014", CRASH_READ,
                               true, SEVERITY_MEDIUM});
    /* UTF-16 with its mark, as Windows' shells redirect; and zeros */
    char wide[2048] = "\xff\xfe", zeros[1024];
    size_t n = 2, len = strlen(texts[0]);
    struct crash c;
    struct err err = {0};
    for (size_t i = 0; i < len; i++, n += 2)
        wide[n] = texts[0][i];
    assert_int_equal(crash_parse(wide, n, NULL, &c, &err), 0);
    assert_string_equal(c.state, "box_read\nbox_open\n");
    crash_release(&c);
    memcpy(zeros, texts[0], len);
    *(char *)memchr(strstr(zeros, "#1") - 4, ' ', 4) = 0;
    assert_int_equal(crash_parse(zeros, len, NULL, &c, &err), 0);
    assert_string_equal(c.state, "box_read\nbox_open\n");
    crash_release(&c);
    /* two reports: what is said is all of one */
    c = parse(LOGGED("") "\n==8==ERROR: AddressSanitizer: heap-use-after-free on address 0x10 at pc 0x1 bp 0x2 sp 0x3\n"
              "WRITE of size 8 at 0x10 thread T0\n    #0 0x1 in box_put /src/box.c:7:1\n", NULL);
    assert_string_equal(c.type, "Heap-use-after-free\nWRITE 8");
    assert_int_equal(c.access_size, 8);
    crash_release(&c);
}

static void test_normalised(void **state)
{
    struct crash c = parse("==7==ERROR: AddressSanitizer: stack-overflow on address 0x7ffe0000 (pc 0x1 bp 0x2 sp 0x3 T0)\n"
              "    #0 0x1 in leaf /s.c:1\n    #1 0x2 in abc /s.c:2\n    #2 0x3 in bcd /s.c:3\n    #3 0x2 in abc /s.c:2\n"
              "    #4 0x3 in bcd /s.c:3\n    #5 0x2 in abc /s.c:2\n    #6 0x3 in bcd /s.c:3\n    #7 0x2 in abc /s.c:2\n",
              NULL);
    assert_string_equal(c.state, "abc\nbcd\n");
    crash_release(&c);
    c = parse("x.c:1: assertion failed: slot 0xdeadbeef of 12345, x1.so:77, 7\n", NULL);
    assert_string_equal(c.state, "slot ADDRESS of NUMBER, x1.so:77, 7\n");
    crash_release(&c);
}

/* What a report must not do to its reader. */
static void test_hostile(void **state)
{
    static const char head[] = "==7==ERROR: AddressSanitizer: heap-use-after-free on address 0x10 at pc 0x1 bp 0x2 sp 0x3\n"
                               "READ of size 1 at 0x10 thread T0\n";
    struct strbuf b = STRBUF_INIT;
    struct crash c;
    struct err err = {0};
    /* more than is read, the report at the end; one endless line in between */
    for (size_t i = 0; i < CRASH_REPORT_MAX + 4096; i += 8)
        strbuf_puts(&b, i < 8000000 ? "#0 0x1 \n" : "abcdefgh");
    strbuf_puts(&b, "\n");
    strbuf_puts(&b, head);
    strbuf_puts(&b, "    #0 0x1 in last_word /src/w.c:1:1\n");
    assert_int_equal(crash_parse(b.s, b.len, NULL, &c, &err), 0);
    assert_true(c.truncated);
    assert_string_equal(c.type, "Heap-use-after-free\nREAD 1");
    assert_string_equal(c.state, "last_word\n");
    crash_release(&c);
    /* more frames than are kept, with names that are no text */
    strbuf_clear(&b);
    strbuf_puts(&b, head);
    for (int i = 0; i < 20000; i++)
        strbuf_printf(&b, "    #%d 0x1 in non-virtual thunk to (anonymous namespace)::\xff\xfe%d%0200d /src/\x80.c:%d:1\n", i, i, 7, i);
    assert_int_equal(crash_parse(b.s, b.len, NULL, &c, &err), 0);
    assert_int_equal(c.frame_count, CRASH_FRAMES_MAX);
    json_t *j = crash_to_json(&c, "\xff");
    assert_non_null(j);
    assert_int_equal(json_array_size(json_object_get(j, "crash_state")), CRASH_STATE_FRAMES);
    json_decref(j);
    crash_release(&c);
    /* one frame that is a megabyte */
    strbuf_clear(&b);
    strbuf_puts(&b, head);
    strbuf_puts(&b, "    #0 0x1 in ");
    for (int i = 0; i < 100000; i++)
        strbuf_puts(&b, "(:1 +0x1 ");
    assert_int_equal(crash_parse(b.s, b.len, NULL, &c, &err), 0);
    crash_release(&c);
    /* zeros */
    assert_int_equal(crash_parse("\0\0\0#0 0x1", 10, NULL, &c, &err), 0);
    assert_int_equal(c.kind, CRASH_NONE);
    crash_release(&c);
    strbuf_release(&b);
}

/* Lines that would cost their length squared if each of their parts were looked at to the line's end. */
static void test_long_lines(void **state)
{
    static const char *const lines[][2] = {
        {"    #0 0x1 in f", " (x"}, {"    #0 0x1 in f", " (x+"}, {"    #0 0x1 in f", " :1"}, {"    #0 0x1 ", "(x) "},
        {"1 Box 0x1 ", "a 0x1 "}, {"panic", " panic in"}, {"panic", "panic: runtime error: "}, {"", "ERROR: AddressSanitizer on "},
        {"==1==ERROR: AddressSanitizer: ", " on 0"}, {"", "JNI DETECTED ERROR "}, {"", " in gsignal "}, {"[a:b.cc(1)] ", "Check failed: "},
        {"", "FuzzerSecurityIssue"}, {"", "assertion "}, {"\tf", " [0x1+1"}, {"", "SCARINESS: 1 "}, {"#0 0x1 _ZN", "1aI"},
    };
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        struct strbuf b = STRBUF_INIT;
        struct crash c;
        struct err err = {0};
        strbuf_puts(&b, "x.go:1: assert failed: y\n");
        for (int line = 0; line < 2; line++) {
            strbuf_puts(&b, lines[i][0]);
            for (size_t n = 0; n < 1000000; n += strlen(lines[i][1]))
                strbuf_puts(&b, lines[i][1]);
            strbuf_putc(&b, '\n');
        }
        assert_int_equal(crash_parse(b.s, b.len, NULL, &c, &err), 0);
        crash_release(&c);
        strbuf_release(&b);
    }
}

static void test_casrep(void **state)
{
    struct crash c = parse("{\"CrashSeverity\": {\"ShortDescription\": \"DestAv\"}, \"Stacktrace\": ["
                           "\"#0  0x00005555 in box_put (b=0x1) at box.c:7\", \"#1  box_open () at box.c:9\"]}", NULL);
    assert_string_equal(c.type, "SIGSEGV");
    assert_string_equal(c.state, "box_put\nbox_open\n");
    assert_int_equal(c.frame_count, 2);
    assert_string_equal(c.frames[1].file, "box.c");
    assert_int_equal(c.frames[1].line, 9);
    crash_release(&c);
    c = parse("{\"AsanReport\": [\"==7==ERROR: AddressSanitizer: heap-buffer-overflow on address 0x10 at pc 0x1 bp 0x2\","
              "\"WRITE of size 2 at 0x10 thread T0\", \"    #0 0x1 in box_put /src/box.c:7:1\"], \"Stacktrace\": []}", NULL);
    assert_string_equal(c.type, "Heap-buffer-overflow\nWRITE 2");
    assert_string_equal(c.exploit_class, "heap-buffer-overflow(write)");
    assert_int_equal(c.exploitability, CRASH_EXPLOITABLE);
    crash_release(&c);
    c = parse("{\"Stacktrace\": 7}", NULL);
    assert_int_equal(c.kind, CRASH_NONE);
    crash_release(&c);
}

static void test_frames(void **state)
{
    struct crash c = parse("==7==ERROR: AddressSanitizer: SEGV on unknown address 0x5000 (pc 0x1 bp 0x2 sp 0x3 T0)\n"
                           "    #0 0x11 in box::get(int) const /src/box.cc:7:3\n    #1 0x22 in free (/lib/libc.so.6+0x1234)\n"
                           "    #2 0x33  (/opt/box+0x77) (BuildId: 0123)\n    #3 0x44 in box::run /src/a b.cc:9\n\n"
                           "freed by thread T0 here:\n    #0 0x55 in other /src/o.c:1:1\n", NULL);
    assert_int_equal(c.frame_count, 4);
    assert_string_equal(c.frames[0].function, "box::get(int) const");
    assert_string_equal(c.frames[0].file, "/src/box.cc");
    assert_int_equal(c.frames[0].line, 7);
    assert_int_equal(c.frames[0].column, 3);
    assert_int_equal(c.frames[0].address, 0x11);
    assert_string_equal(c.frames[1].module, "/lib/libc.so.6");
    assert_int_equal(c.frames[1].offset, 0x1234);
    assert_true(c.frames[1].ignored && !c.frames[0].ignored);
    assert_string_equal(c.frames[2].module, "/opt/box");
    assert_null(c.frames[2].function);
    crash_release(&c);
}

/* Where the harness begins, and whether `ff fuzz parse` says that it is to be ignored. */
static void test_harness(void **state)
{
    static const struct {
        const char *report;
        size_t frames, harness;
        bool ignored;
    } cases[] = {
        {"==7==ERROR: AddressSanitizer: SEGV on unknown address 0x5000 (pc 0x1 bp 0x2 sp 0x3 T0)\n"
         "    #0 0x1 in parse /s/p.c:7:3\n    #1 0x2 in LLVMFuzzerTestOneInput /s/f.c:5:3\n    #2 0x3 in late /s/f.c:1:1\n", 3, 1, true},
        {"==7==ERROR: AddressSanitizer: SEGV on unknown address 0x5000 (pc 0x1 bp 0x2 sp 0x3 T0)\n"
         "    #0 0x1 in __asan_memcpy /s/a.c:7:3\n    #1 0x2 in LLVMFuzzerTestOneInput /s/f.c:5:3\n", 2, 1, false},
        {"panic: runtime error: index out of range [5] with length 3\n\ngoroutine 1 [running]:\na.io/b.(*T).FuzzIt.func1()\n"
         "\t/s/r.go:7 +0x1\na.io/b.FuzzParse.func1(0xc0, {0x1})\n\t/s/r_test.go:9 +0x1\nreflect.Value.call({0x1})\n"
         "\t/usr/lib/go/value.go:5 +0x2\n", 3, 1, true},
        {"== Java Exception: java.lang.ArithmeticException: / by zero\n\tat demo.Conf.read(Conf.java:5)\n"
         "\tat demo.ConfFuzzer.fuzzerTestOneInput(ConfFuzzer.java:3)\n", 2, 1, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct crash c = parse(cases[i].report, NULL);
        assert_int_equal(c.frame_count, cases[i].frames);
        for (size_t k = 0; k < c.frame_count; k++)
            assert_true(c.frames[k].harness == (k >= cases[i].harness));
        json_t *j = crash_to_json(&c, NULL), *f = json_array_get(json_object_get(j, "frames"), cases[i].harness);
        assert_true(json_is_true(json_object_get(f, "ignored")) == cases[i].ignored);
        json_decref(j);
        crash_release(&c);
    }
}

static void test_advice(void **state)
{
    static const struct {
        const char *type, *rule;
        int cwe;
    } cases[] = {
        {"Heap-buffer-overflow\nREAD 4", "fuzzing/heap-buffer-overflow-read", 125},
        {"Heap-buffer-overflow WRITE {*}", "fuzzing/heap-buffer-overflow-write", 787},
        {"Heap-use-after-free\nWRITE 1", "fuzzing/heap-use-after-free-write", 416},
        {"Makeslice: len out of range", "fuzzing/makeslice-len-out-of-range", 770},
        {"UNKNOWN READ", "fuzzing/unknown-read", 0},
        {"", "fuzzing/", 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char rule[CRASH_RULE_MAX];
        crash_rule_id(cases[i].type, rule);
        assert_string_equal(rule, cases[i].rule);
        assert_int_equal(crash_cwe(cases[i].type), cases[i].cwe);
        assert_int_equal(crash_advice(cases[i].type) != NULL, cases[i].cwe != 0);
    }
    char said[CRASH_REPRODUCED_MAX];
    assert_string_equal(crash_reproduced(9, 10, said), "reproduced 9 of 10 times");
    assert_string_equal(crash_reproduced(0, 3, said), "reproduced 0 of 3 times");
    assert_string_equal(crash_reproduced(1, 1, said), "reproduced 1 of 1 time");
    assert_string_equal(crash_reproduced(0, 0, said), "not yet reproduced");
}

static void test_mangled(void **state)
{
    struct crash c = parse("[7:7:0101/120000.1:FATAL:box.cc(12)] Check failed: n\n"
                           "0   Box Framework        0x000000010a99b743 _ZN4base5debug10StackTraceC1Ev + 19\n"
                           "1   Box Framework        0x000000010a99b744 _ZN3box12_GLOBAL__N_14Tree6insertERKNS_4NodeE + 7\n"
                           "2   Box Framework        0x000000010a99b745 _ZN3box4ListINS_4NodeELi3EED2Ev + 7\n"
                           "3   ???                  0x000000010a99b746 0x0 + 4866466759\n", NULL);
    assert_string_equal(c.state, "n in box.cc\nbox::Tree::insert\nbox::List<>::~List\n");
    assert_string_equal(c.frames[1].module, "Box Framework");
    crash_release(&c);
}

/* Wherever an allocation fails, the answer is that memory is out, and nothing is lost. */
static void test_memory(void **state)
{
    static const char text[] = "==7==ERROR: AddressSanitizer: stack-overflow on address 0x7ffe0000 (pc 0x1 bp 0x2 sp 0x3 T0)\n"
                               "    #0 0x1 in (anonymous namespace)::leaf /s.c:1\n    #1 0x2 in abc /s.c:2\n";
    int failures = 0;
    for (int n = 1; n < 100; n++) {
        struct crash c;
        struct err err = {0};
        mem_fault_set(n, 1);
        int r = crash_parse(text, sizeof text - 1, NULL, &c, &err);
        bool hit = mem_fault_hit();
        mem_fault_set(0, 0);
        assert_int_equal(r, hit ? -ERR_NO_MEMORY : 0);
        crash_release(&c);
        failures += hit;
        if (!hit)
            break;
    }
    assert_true(failures > 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rust_names),
        cmocka_unit_test(test_asan),       cmocka_unit_test(test_sanitizers), cmocka_unit_test(test_fuzzers),
        cmocka_unit_test(test_languages),  cmocka_unit_test(test_programs),   cmocka_unit_test(test_carried), cmocka_unit_test(test_normalised),
        cmocka_unit_test(test_hostile),    cmocka_unit_test(test_long_lines), cmocka_unit_test(test_casrep),     cmocka_unit_test(test_frames),
        cmocka_unit_test(test_harness),
        cmocka_unit_test(test_advice),     cmocka_unit_test(test_mangled),    cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
