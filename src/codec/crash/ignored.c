/* Frames that are in a stack but say nothing of where the fault is: what noticed the fault, what was called to do common
 * work, and what called the program. A rule matches a frame as it was printed, path and all. */
#include "codec/crash/scan_internal.h"

#include "base/cleanup.h"

/* The frame begins so. Sorted by first byte only as far as people read it. */
static const char *const beginnings[] = {
    /* libc: memory and strings, asked to work on what the caller gave */
    "memcmp", "memcpy", "memmove", "memset", "strcmp", "strcpy", "strdup", "strlen", "strncpy", "scanf",
    "__memcmp", "__memcpy", "__memmove", "__memset", "__strcmp", "__strcpy", "__strdup", "__strlen", "__strncpy",
    "aeabi_", "__aeabi_", "__GI_",
    /* allocators */
    "malloc", "calloc", "realloc", "free", "new", "New", "delete", "operator", "mozalloc_", "alloc::",
    /* the way in and the way out of a process */
    "main", "_start", "__libc_", "__scrt_common_main_seh", "__run_exit_handlers", "__cxa_atexit", "common_exit",
    "ExitCallback", "exit_or_terminate_process", "_L_unlock_",
    /* abort, exceptions that nobody caught */
    "abort", "Abort(", "gsignal", "__pthread_kill", "__assert_", "__cxa_throw", "__cxa_rethrow", "std::__terminate",
    "demangling_terminate_handler", "_objc_terminate", "fpehandler(", "SignalHandler", "SignalAction", "RaiseException",
    "CFCrash", "X11Error", "g_log", "_swift_stdlib_",
    /* sanitizers and their interceptors */
    "asan_", "_asan_", "__asan_", "__asan::", "asan.module_ctor", "asan.module_dtor", "_hwasan_", "__hwasan_", "__hwasan::",
    "_lsan_", "__lsan_", "__lsan::", "_msan_", "__msan_", "__msan::", "MSanAtExitWrapper", "_tsan_", "__tsan_", "__tsan::",
    "_ubsan_", "__ubsan_", "__ubsan::", "_sanitizer_", "__sanitizer_", "__sanitizer::", "__interceptor_",
    "___interceptor_backtrace", "generic_cpp_", "<libclang_rt.asan.so>",
    /* fuzzers */
    "fuzzer::", "LLVMFuzzerTestOneInput", "TestOneProtoInput", "libfuzzer_sys::initialize", "rust_fuzzer_test_input",
    /* Rust's panic */
    "core::panic", "core::fmt::write", "std::panic", "std::io::Write::write_fmt", "std::process::abort",
    "std::sys::unix::abort", "std::sys::backtrace", "std::sys_common::backtrace", "panic_abort::", "rust_panic",
    "rust_begin_unwind", "__rustc::", "rust_oom", "__rust_try", "__rust_start_panic", "_$LT$",
    /* Go's */
    "runtime.", "testing.tRunner", "testing.(*F).", "reflect.Value.",
    /* kernels: KASAN and the dump itself */
    "kasan_", "__kasan_", "check_memory_region", "print_address_description", "print_trailer", "object_err", "dump_stack",
    "__dump_stack", "dump_backtrace", "show_stack", "_etext",
    /* Android, Fuchsia, Cobalt */
    "android.app.ActivityManagerProxy.", "android.os.Parcel.", "art::Thread::CreateNativeThread", "CrashTrampolineAsm",
    "libc_io_functions_not_implemented_use_fdio_instead", "__zx_panic", "syslog::LogMessage", "SbSystemBreakIntoDebugger",
    /* WebKit, Chromium, V8, Skia, Abseil: what raises a failed check */
    "WTF::", "WTFCrash", "IsSandboxedProcess", "V8_Fatal", "blink::ReportV8FatalError", "v8::api_internal::ToLocalEmpty",
    "v8::internal::Isolate::PushStackTraceAndDie", "v8::internal::Isolate::PushParamsAndDie", "absl::log_internal::",
    "SkAbort_FileLine", "SkMutex::~SkMutex",
    /* nothing known */
    "<null>", "linux-gate.so", "libgcc_s.so", "c:/clusterfuzz/bot/build",
};

/* The frame is this. */
static const char *const wholes[] = {
    "exit", "raise", "tgkill", "pthread_create", "pthread_kill", "__chk_fail", "__fortify_fail", "panic", "<unknown>",
    "[vdso]",
};

/* The frame has this somewhere, the second after the first. */
static const char *const parts[][2] = {
    /* names */
    {"assert"}, {"logger"}, {"allocator_shim"}, {"PartitionAlloc"}, {"_asan_rtl_"}, {"asan_Heap"}, {"asan_check_access"},
    {"agent::asan::"}, {"ASAN_OnSIGSEGV"}, {"centipede::"}, {"fuzztest::internal::"}, {"base::FuzzedDataProvider"},
    {"base::allocator"}, {"base::android::CheckException"}, {"base::debug::BreakDebugger"},
    {"base::debug::CollectStackTrace"}, {"base::debug::StackTrace::StackTrace"}, {"logging::CheckError"},
    {"logging::", "LogMessage"}, {"logging::", "NoreturnError"}, {"v8::base::OS::Abort"}, {"Runtime_AbortCSADcheck"},
    {"DefaultDcheckHandler"}, {"StackDumpSignalHandler"}, {"ForceCrashOnSigAbort"}, {"SkDebugf"}, {"DebugBreak"},
    {"__android_log_assert"}, {"stdext::exception::what"},
    /* Windows */
    {"BaseThreadInitThunk"}, {"RtlUserThreadStart"}, {"RtlInitializeExceptionChain"}, {"RtlFreeHeap"},
    {"RtlReportCriticalFailure"}, {"RtlpHeapHandleError"}, {"RtlpLogHeapFailure"}, {"__tmainCRTStartup"},
    {"MemoryProtection::CMemoryProtector"}, {"Inline Function @"},
    /* paths of compilers, their libraries, allocators, harnesses */
    {"/gcc/"}, {"/glibc-"}, {"sysdeps/posix/raise.c"}, {"linux/raise.c"},
    {"/libc/"}, {"/libc++"}, {"libc++/"}, {"libpthread"}, {"ieee754-"}, {"/sanitizer_common/"},
    {"/tcmalloc/"}, {"/jemalloc/"}, {"/googletest/"}, {"third_party/fuzztest/"}, {"/memorycmp.c"}, {"/llvm-build/"},
    {"/crosstool/"}, {"/AOSP-toolchain/"}, {"/win_toolchain/"}, {"/minkernel/crts/"}, {"/vctools/crt/"}, {"/vc/include/"},
    {"asan_osx_dynamic.dylib"}, {" /rust/"}, {" /rustc/"}, {" base/callback"}, {"/bindings/ToV8.h"},
    /* nothing known */
    {"+Unknown"}, {"<unknown module>"},
};

/* Modules: only where others have names. */
static const char *const libraries[][2] = {
    {"libc.so"}, {"libc++.so"}, {"libc++_shared.so"}, {"libstdc++.so"}, {"libc-", ".so"},
};

static bool has_any(struct view v, const char *const list[][2], size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct view rest;
        if (view_after(v, list[i][0], &rest) && (!list[i][1] || view_has(rest, list[i][1])))
            return true;
    }
    return false;
}

bool frame_ignored(struct view frame, bool symbolized)
{
    char slashed[CRASH_TEXT_MAX];
    if (frame.n < 3)
        return true;
    if (view_find_char(frame, '\\') >= 0) {
        frame = view_first(frame, sizeof slashed);
        for (size_t i = 0; i < frame.n; i++)
            slashed[i] = frame.s[i] == '\\' ? '/' : frame.s[i];
        frame.s = slashed;
    }
    for (size_t i = 0; i < ARRAY_LEN(beginnings); i++)
        if (beginnings[i][0] == frame.s[0] && view_starts(frame, beginnings[i]))
            return true;
    for (size_t i = 0; i < ARRAY_LEN(wholes); i++)
        if (view_is(frame, wholes[i]))
            return true;
    return has_any(frame, parts, ARRAY_LEN(parts)) || (symbolized && has_any(frame, libraries, ARRAY_LEN(libraries)));
}
