/* What needs no engine: harnesses by content, engines' output, options, fuzz.yaml, the corpus, children. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/units.h"
#include "codec/json.h"
#include "fuzz/build_internal.h"
#include "fuzz/campaign_internal.h"
#include "fuzz/corpus.h"
#include "fuzz/driver.h"
#include "fuzz/harness.h"
#include "fuzz/packs.h"
#include "fuzz/places.h"
#include "fuzz/symbols.h"
#include "fuzz/verdict.h"
#include "module/protocol.h"
#include "os/clock.h"
#include "os/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <sys/stat.h>
#include <unistd.h>

static char *dir;

static int make_dir(void **state)
{
    (void)state;
    return os_temp_dir("/tmp", "ff-fuzz-", &dir, NULL);
}

static int remove_dir(void **state)
{
    (void)state;
    os_remove_tree(dir, NULL);
    free(dir);
    return 0;
}

static char *put(const char *name, const char *text)
{
    char *path = os_path_join(dir, name);
    char *slash = strrchr(path, '/');
    *slash = 0;
    assert_int_equal(os_mkdirs(path, 0755, NULL), 0);
    *slash = '/';
    assert_int_equal(os_write_file_atomic(path, text, strlen(text), 0644, NULL), 0);
    return path;
}

static void finds_harnesses(void **state)
{
    (void)state;
    static const char *const files[][2] = {
        {"fuzz/parse.c", "int LLVMFuzzerTestOneInput(const uint8_t *d, size_t n) { return 0; }"},
        {"fuzz/read.cc", "extern \"C\" int LLVMFuzzerTestOneInput(const uint8_t *d, size_t n) { return 0; }"},
        {"src/plain.c", "int main(void) { return 0; }"},
        {"src/calls.c", "int LLVMFuzzerTestOneInput(const uint8_t *, size_t);\nint main(void) { return LLVMFuzzerTestOneInput(0, 0); }"},
        {"third_party/other.c", "int LLVMFuzzerTestOneInput(const uint8_t *d, size_t n) { return 0; }"},
        {"fuzz/fuzz_targets/t.rs", "fuzz_target!(|data: &[u8]| {});"},
        {"f.py", "import atheris\ndef TestOneInput(data): pass\natheris.Setup(sys.argv, TestOneInput)\n"},
        {"not.py", "def TestOneInput(data): pass\n"},
        {"a_test.go", "func FuzzOne(f *testing.F) {}\nfunc FuzzTwo(f *testing.F) {}\nfunc TestX(t *testing.T) {}\n"},
        {"J.java", "public static void fuzzerTestOneInput(byte[] b) {}"},
        {".git/x.c", "LLVMFuzzerTestOneInput"},
    };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        free(put(files[i][0], files[i][1]));
    fuzz_harness_list l = {0};
    assert_int_equal(fuzz_harness_find(dir, &l, NULL), 0);
    static const char *const want[] = {"java J", "go FuzzOne", "go FuzzTwo", "python f", "rust t", "c parse", "c++ read"};
    assert_int_equal(l.len, 7);
    for (size_t i = 0; i < l.len; i++) {
        char got[100];
        snprintf(got, sizeof got, "%s %s", l.v[i].language, l.v[i].name);
        assert_string_equal(got, want[i]);
    }
    fuzz_harness_release(&l);
}

static void reads_libfuzzer(void **state)
{
    (void)state;
    struct fuzz_session s = {0};
    static const char *const lines[] = {
        "INFO: Seed: 1", "#2\tINITED cov: 3 ft: 4 corp: 1/1b exec/s: 0 rss: 27Mb",
        "#2097152\tpulse  cov: 7 ft: 8 corp: 4/7b lim: 4096 exec/s: 699050 rss: 437Mb", "# cov: 9999 of the target's own",
        "#9\tNEW    cov: 6 ft: 8 corp: 4/6b lim: 4 exec/s: 0 rss: 30Mb", "stat::number_of_executed_units: 2097200", "#7\tREDUCE cov: 6 ft: 8 corp: 4/6b lim: 4 exec/s: 0 rss: 30Mb"};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        libfuzzer_driver.line(&s, lines[i], strlen(lines[i]));
    assert_true(s.ready);
    assert_int_equal(s.counts.executions, 2097200); /* never back */
    assert_int_equal(s.counts.edges, 6);
    assert_int_equal(s.counts.corpus, 4);
    assert_int_equal(s.counts.discoveries, 1); /* a smaller one of the same coverage is none */
    assert_int_equal(libfuzzer_driver.fault("crash-0123456789012345678901234567890123456789"), FAULT_CRASH);
    assert_int_equal(libfuzzer_driver.fault("oom-0123456789012345678901234567890123456789"), FAULT_MEMORY);
    assert_int_equal(libfuzzer_driver.fault("crash-deadbeef"), FAULT_NONE); /* not its name for anything */
    assert_int_equal(libfuzzer_driver.fault("slow-unit-12"), FAULT_NONE);
}

#define PYTHON(thrown) \
    "=== Uncaught Python exception: ===\n" thrown "\nTraceback (most recent call last):\n  File \"/x/f.py\", line 7, in TestOneInput\n" \
    "    parse(data)\n  File \"/x/ini.py\", line 5, in parse\n"

static void knows_exceptions_apart(void **state)
{
    (void)state;
    static const char one[] = PYTHON("KeyError: b'x'"), two[] = PYTHON("json.decoder.JSONDecodeError: Expecting value");
    struct fuzz_verdict v, w;
    assert_int_equal(fuzz_verdict_read(one, sizeof one - 1, NULL, NULL, &v, NULL), 0);
    assert_int_equal(fuzz_verdict_read(two, sizeof two - 1, NULL, NULL, &w, NULL), 0);
    assert_string_equal(v.title, "Uncaught exception KeyError in parse");
    assert_string_equal(w.title, "Uncaught exception JSONDecodeError in parse");
    assert_string_equal(v.reason, "KeyError: b'x'");
    assert_string_equal(v.state, w.state);
    assert_false(fuzz_verdict_same(&v, &w));
    fuzz_verdict_release(&v);
    fuzz_verdict_release(&w);
    char a[512], b[512];
    campaign_signature(one, sizeof one - 1, a, sizeof a);
    campaign_signature(two, sizeof two - 1, b, sizeof b);
    assert_string_not_equal(a, b);
}

/* The same bug, seen by AFL++'s driver and by libFuzzer. */
static void knows_drivers(void **state)
{
    (void)state;
    static const char head[] = "==13==ERROR: AddressSanitizer: heap-use-after-free on address 0x60 at pc 0x1\nWRITE of size 4 at 0x60 thread T0\n"
                               "    #0 0x1 in touch /x/a.c:3:1\n    #1 0x2 in LLVMFuzzerTestOneInput /x/f.c:8:170\n";
    struct strbuf afl = STRBUF_INIT, lib = STRBUF_INIT;
    strbuf_printf(&afl, "%s    #2 0x3 in ExecuteFilesOnyByOne (/x/p+0xe40ad)\n    #3 0x4 in LLVMFuzzerRunDriver (/x/p+0xe3ea8)\n"
                        "    #4 0x5 in main (/x/p+0xe3ab8)\n", head);
    strbuf_printf(&lib, "%s    #2 0x3 in fuzzer::Fuzzer::ExecuteCallback(unsigned char const*, unsigned long) (/x/p+0x1)\n"
                        "    #3 0x5 in main (/x/p+0xe3ab8)\n", head);
    struct fuzz_verdict v, w;
    assert_int_equal(fuzz_verdict_read(strbuf_str(&afl), afl.len, "f", NULL, &v, NULL), 0);
    assert_int_equal(fuzz_verdict_read(strbuf_str(&lib), lib.len, "f", NULL, &w, NULL), 0);
    assert_string_equal(v.state, "touch\nf.c\n");
    assert_true(fuzz_verdict_same(&v, &w));
    assert_true(json_is_true(json_object_get(json_array_get(v.frames, 2), "ignored")));
    assert_false(json_is_true(json_object_get(json_array_get(v.frames, 1), "ignored")));
    fuzz_verdict_release(&v);
    fuzz_verdict_release(&w);
    strbuf_release(&afl);
    strbuf_release(&lib);
}

static void reads_reports(void **state)
{
    (void)state;
    static const char report[] =
        "==7==ERROR: AddressSanitizer: heap-use-after-free on address 0x60 at pc 0x1\nWRITE of size 4 at 0x60 thread T0\n"
        "    #0 0x1 in __asan_memcpy (/scratch/t+0x1)\n    #1 0x2 in touch /scratch/b/libfuzzer/src/a.c:36:12\n"
        "    #2 0x3 in LLVMFuzzerTestOneInput /scratch/b/libfuzzer/src/f.c:5:3\n\n0x60 is located\nfreed by thread T0 here:\n"
        "    #0 0x4 in free\n    #1 0x5 in other /x.c:1:1\n";
    struct fuzz_verdict v, w;
    assert_int_equal(fuzz_verdict_read(report, sizeof report - 1, "t", NULL, &v, NULL), 0);
    assert_string_equal(v.type, "Heap-use-after-free WRITE 4");
    assert_memory_equal(v.state, "touch\n", 6);
    assert_int_equal(v.line, 36);
    assert_int_equal(v.severity, SEVERITY_HIGH);
    assert_int_equal(fuzz_verdict_read("nothing\n", 8, NULL, NULL, &w, NULL), 0);
    assert_string_equal(w.type, "");
    assert_false(fuzz_verdict_same(&v, &w));
    fuzz_verdict_release(&w);
    static const char late[] = "==7== ERROR: libFuzzer: timeout after 2 seconds\n    #0 0x1 in spin /a.c:3:5\n"
                               "    #1 0x3 in LLVMFuzzerTestOneInput /f.c:5:3\nSUMMARY: libFuzzer: timeout\n";
    assert_int_equal(fuzz_verdict_read(late, sizeof late - 1, "parse_fuzzer", NULL, &w, NULL), 0);
    assert_string_equal(w.type, "Timeout");
    assert_string_equal(w.state, "parse_fuzzer\n");
    fuzz_verdict_release(&v);
    fuzz_verdict_release(&w);
}

/* Go tells the stack of its alarm before that of the function that was too late; and memory that ran out as it likes. */
static void names_what_go_spends(void **state)
{
    static const char late[] =
        "panic: test timed out after 10s\n\trunning tests:\n\t\tFuzzParse/input (10s)\n\n"
        "goroutine 8 [running]:\ntesting.(*M).startAlarm.func1()\n\t/usr/local/go/src/testing/testing.go:2802 +0x354\n\n"
        "goroutine 6 [chan receive]:\ntesting.(*F).Fuzz.func1({0x66, 0x2b}, {{0x0, 0x0}})\n"
        "\t/usr/local/go/src/testing/fuzz.go:350 +0x6d9\nexample.org/records.FuzzParse(0x2b)\n\t/src/records_test.go:7 +0x85\n\n"
        "goroutine 7 [runnable]:\nexample.org/records.spin(...)\n\t/src/records.go:6\n"
        "example.org/records.Parse(0x2b, {0x2b, 0x2, 0x2})\n\t/src/records.go:15 +0x1d\n"
        "testing.(*F).Fuzz.func1.1(0x2b)\n\t/usr/local/go/src/testing/fuzz.go:334 +0x1e\n";
    static const char spent[] = "fatal error: out of memory allocating heap arena metadata\n\nruntime stack:\n"
                                "runtime.throw({0x66, 0x40})\n\t/usr/local/go/src/runtime/panic.go:1229 +0x48\n\n"
                                "goroutine 7 [running]:\nexample.org/records.Parse(0x2b, {0x2b, 0x2, 0x2})\n\t/src/records.go:10 +0x1d\n";
    (void)state;
    struct fuzz_verdict v;
    assert_int_equal(fuzz_verdict_read(late, sizeof late - 1, "FuzzParse", NULL, &v, NULL), 0);
    assert_string_equal(v.title, "Timeout in FuzzParse");
    assert_string_equal(v.file, "/src/records.go");
    assert_int_equal(v.line, 6);
    fuzz_verdict_release(&v);
    assert_int_equal(fuzz_verdict_read(spent, sizeof spent - 1, "FuzzParse", NULL, &v, NULL), 0);
    assert_string_equal(v.type, "Out-of-memory");
    assert_int_equal(v.line, 10);
    fuzz_verdict_release(&v);
}

static void tells_the_first_error(void **state)
{
    (void)state;
    char got[100];
    fuzz_build_first_error("cc -c a.c\na.c:3:5: error: use of undeclared identifier 'x'\nb.c:1: error: other\nmake: *** Error 1\n", got,
                           sizeof got);
    assert_string_equal(got, "a.c:3:5: error: use of undeclared identifier 'x'");
    fuzz_build_first_error("CMake Error at a/install.cmake:46 (file):\n  file cannot create directory: /x\n\nmake: *** Error 1\n", got,
                           sizeof got);
    assert_string_equal(got, "CMake Error at a/install.cmake:46 (file): file cannot create directory: /x");
    fuzz_build_first_error("CMake Error at t.txt:4 (cmake_minimum_required):\n  CMake 9 is required.\n\nninja: error: loading 'build.ninja'\n",
                           got, sizeof got);
    assert_string_equal(got, "CMake Error at t.txt:4 (cmake_minimum_required): CMake 9 is required.");
    fuzz_build_first_error("/usr/bin/ld: cannot find -lc++: No such file\nclang: error: linker command failed\n", got, sizeof got);
    assert_string_equal(got, "/usr/bin/ld: cannot find -lc++: No such file");
    fuzz_build_first_error("a.o: in function `f':\nt.c:(.text+0x2): undefined reference to `g'\nclang: error: linker command failed\n"
                           "make: *** [M:3: all] Error 1\n", got, sizeof got);
    assert_string_equal(got, "t.c:(.text+0x2): undefined reference to `g'");
    fuzz_build_first_error("odd\nclang: error: linker command failed\nmake: *** [M:3: all] Error 1\n", got, sizeof got);
    assert_string_equal(got, "clang: error: linker command failed");
    fuzz_build_first_error("a/meson.build:11:2: ERROR: File t does not exist.\ncat: log: No such file\n", got, sizeof got);
    assert_string_equal(got, "a/meson.build:11:2: ERROR: File t does not exist.");
    fuzz_build_first_error("one\nlast words\n", got, sizeof got);
    assert_string_equal(got, "last words");
    fuzz_build_first_error("", got, sizeof got);
    assert_string_equal(got, "it says nothing");
}

static void takes_what_lies_beside(void **state)
{
    (void)state;
    char *program = put("beside/prog", "x"), *room = os_path_join(dir, "beside-room");
    free(put("beside/prog.options", "[libfuzzer]\nmax_len = 64\ndict = words.dict\n[asan]\nx = 1\ny=2\n[ubsan]\nz=3\n"));
    free(put("beside/words.dict", "a=\"x\"\n"));
    free(put("beside/prog_seed_corpus/one", "x"));
    struct fuzz_target t = {.program = program, .engine = mem_strdup("libfuzzer")};
    assert_int_equal(fuzz_target_beside(&t, room, NULL), 0);
    assert_int_equal(t.options.len, 1);
    assert_string_equal(t.options.v[0], "max_len=64");
    assert_int_equal(t.env.len, 2);
    assert_string_equal(t.env.v[0], "ASAN_OPTIONS=x=1:y=2");
    assert_string_equal(t.env.v[1], "UBSAN_OPTIONS=z=3");
    assert_non_null(strstr(t.dict, "beside/words.dict"));
    assert_non_null(strstr(t.seeds, "beside/prog_seed_corpus"));
    fuzz_target_release(&t);
    free(room);
}

static void afl_keeps_the_target_s_options(void **state)
{
    (void)state;
    struct fuzz_target t = {.program = mem_strdup("p"), .engine = mem_strdup("aflplusplus")};
    struct fuzz_bounds bounds = {.input_ms = 1000};
    struct fuzz_command c = {0};
    const char *said = NULL;
    fuzz_word(&t.env, "ASAN_OPTIONS=exitcode=66:abort_on_error=0");
    aflplusplus_driver.merge(&t, &bounds, "into", "from", "crashes", &c);
    for (size_t i = 0; i < c.env.len; i++)
        if (strncmp(c.env.v[i], "ASAN_OPTIONS=", 13) == 0)
            said = c.env.v[i];
    assert_non_null(said);
    assert_non_null(strstr(said, "exitcode=66:abort_on_error=0:"));
    assert_non_null(strstr(strstr(said, "exitcode=66"), ":abort_on_error=1:symbolize=0"));
    fuzz_command_release(&c);
    fuzz_target_release(&t);
}

static void keeps_a_corpus(void **state)
{
    (void)state;
    char *a = put("in/a", "one"), *b = put("in/deep/b", "two"), *again = put("in/c", "one"), *where = os_path_join(dir, "corpus");
    char *from = os_path_join(dir, "in"), *tar = os_path_join(dir, "c.tar"), *second = os_path_join(dir, "second");
    struct corpus c, d;
    uint64_t added;
    char x[65], y[65];
    assert_int_equal(corpus_init(&c, where, NULL), 0);
    assert_int_equal(corpus_take(&c, from, NULL, NULL, &added, NULL), 0);
    assert_int_equal(added, 2);
    assert_int_equal(c.fresh, 2);
    assert_int_equal(corpus_pack(&c, true, tar, NULL), 0);
    assert_int_equal(c.fresh, 0);
    assert_int_equal(corpus_init(&d, second, NULL), 0);
    assert_int_equal(corpus_unpack(&d, tar, NULL), 0);
    assert_int_equal(d.names.len, 2);
    assert_int_equal(corpus_digest(&c, x, NULL), 0);
    assert_int_equal(corpus_digest(&d, y, NULL), 0);
    assert_string_equal(x, y);
    free(put("engine/0123456789012345678901234567890123456789", "an input"));
    free(put("engine/notes.txt", "the target's"));
    free(put("engine/0123456789abcdef0123456789abcdef01234567/1", "the target's too"));
    char *engine = os_path_join(dir, "engine");
    struct map seen = {0};
    assert_int_equal(corpus_take(&c, engine, libfuzzer_driver.input_name, &seen, &added, NULL), 0);
    assert_int_equal(added, 1);
    assert_int_equal(seen.len, 1);
    map_release(&seen);
    free(engine);
    char name[CORPUS_NAME_BYTES];
    bool is_new;
    assert_int_equal(corpus_add(&d, a, &is_new, name, NULL), 0);
    assert_false(is_new);
    corpus_remove(&d, name);
    assert_int_equal(d.names.len, 1);
    assert_int_equal(symlink("/etc/passwd", "link"), 0);
    assert_int_not_equal(corpus_add(&d, "link", &is_new, NULL, NULL), 0);
    unlink("link");
    corpus_release(&c);
    corpus_release(&d);
    char *all[] = {a, b, again, where, from, tar, second};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
}

static void names_places_of_the_tree(void **state)
{
    (void)state;
    static const struct fuzz_places p = {.scratch = "/scratch", .workspace = "/workspace"};
    static const char *const cases[][2] = {
        {"/scratch/b/libfuzzer/src/lib/ini.c", "lib/ini.c"}, {"/scratch/b/libfuzzer/work/build/../../src/lib/ini.c", "lib/ini.c"},
        {"/scratch/b/atheris/out/a/../x.py", "x.py"},        {"/workspace/lib/./a.c", "lib/a.c"},
        {"lib//a.c", "lib/a.c"},                             {"./a/../../b.c", NULL},
        {"../b.c", NULL},                                    {"/usr/include/a.h", NULL},
        {"/scratch/b/libfuzzer/work/build/gen.c", NULL},     {"/scratch/b/libfuzzer/src/../../../../usr/a.c", NULL},
        {"/scratch/b/libfuzzer/src/", NULL},                 {"", NULL}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *got = fuzz_place(&p, cases[i][0]);
        if (cases[i][1])
            assert_string_equal(got, cases[i][1]);
        else
            assert_null(got);
        free(got);
    }
    char *report = fuzz_places_in(&p, "  #0 0x1 in f(char const*) /scratch/b/libfuzzer/src/lib/c++/a.c:8:10\n"
                                      "  #1 0x2 in g /scratch/b/libfuzzer/work/build/../../src/b.c:1\n"
                                      "  #2 0x3  (/scratch/b/libfuzzer/out/prog+0x12)\n  File \"/scratch/b/atheris/out/x.py\", line 3\n"
                                      "  /scratch/b/libfuzzer/work/gen.c /scratch/run/0 /scratch/b/");
    assert_string_equal(report, "  #0 0x1 in f(char const*) lib/c++/a.c:8:10\n  #1 0x2 in g b.c:1\n  #2 0x3  (prog+0x12)\n"
                                "  File \"x.py\", line 3\n  /scratch/b/libfuzzer/work/gen.c /scratch/run/0 /scratch/b/");
    free(report);
}

static void packs_inputs(void **state)
{
    (void)state;
    char *one = put("one", "first"), *two = put("two", "the second one"), *to = os_path_join(dir, "out"), *text;
    char *tar = os_path_join(dir, "crashes-0.tar");
    struct packs p, q;
    uint64_t size;
    size_t len;
    packs_init(&p, dir);
    assert_int_equal(packs_add(&p, "crash-0123456789abcdef00", one, 5, NULL), 0);
    assert_int_equal(packs_add(&p, "oom-0123456789abcdef00", two, 14, NULL), 0);
    assert_int_equal(packs_add(&p, "crash-00000000000000aa00", two, 15, NULL), -ERR_IO); /* it has 14 bytes */
    assert_true(packs_has(&p, "crash-0123456789abcdef00") && packs_has(&p, "oom-0123456789abcdef00"));
    assert_false(packs_has(&p, "crash-00000000000000aa00"));
    char listing[] = "tar -tf ........................................................................";
    snprintf(listing, sizeof listing, "tar -tf %s", tar);
    FILE *f = popen(listing, "r");
    char got[200];
    got[fread(got, 1, sizeof got - 1, f)] = 0;
    assert_int_equal(pclose(f), 0);
    assert_string_equal(got, "crash-0123456789abcdef00\noom-0123456789abcdef00\n");
    packs_init(&q, dir);
    assert_int_equal(packs_restore(&q, 0, tar, NULL), 0);
    assert_true(packs_has(&q, "crash-0123456789abcdef00") && q.count == 2);
    assert_int_equal(packs_extract(tar, "oom-0123456789abcdef00", to, &size, NULL), 0);
    assert_int_equal(os_read_file(to, 100, &text, &len, NULL), 0);
    assert_string_equal(text, "the second one");
    free(text);
    assert_int_equal(packs_extract(tar, "oom-1", to, &size, NULL), -ERR_NOT_FOUND);
    assert_int_equal(packs_add(&q, "crash-00000000000000aa00", two, 14, NULL), 0); /* into the next one */
    assert_int_equal(q.number, 1);
    for (int i = 0; i < 5000; i++) { /* the set grows */
        char name[64];
        snprintf(name, sizeof name, "crash-%016x00", i * 7919 + 1);
        assert_int_equal(packs_add(&q, name, one, 5, NULL), 0);
        assert_true(packs_has(&q, name));
    }
    assert_int_equal(truncate(tar, 512 + 100), 0);
    packs_release(&p);
    packs_init(&p, dir);
    assert_int_equal(packs_restore(&p, 0, tar, NULL), 0);
    assert_int_equal(packs_extract(tar, "crash-0123456789abcdef00", to, &size, NULL), 0);
    packs_release(&p);
    packs_release(&q);
    char *all[] = {one, two, to, tar};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
}

static void picks_engines(void **state)
{
    (void)state;
    static const struct {
        double gain[3];
        int movable[3], from, to;
        bool want;
    } cases[] = {
        {{10, 3, 5}, {1, 1, 1}, 1, 0, true},  {{10, 3, 5}, {1, 0, 1}, 2, 0, true}, {{10, 6, 8}, {1, 1, 1}, 1, 0, false},
        {{0, 0, 0}, {1, 1, 1}, 0, 0, false},  {{10, 0, 0}, {1, 0, 0}, 0, 0, false}, {{0, 7, 0}, {0, 1, 1}, 2, 1, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int from, to;
        assert_int_equal(ensemble_pick(cases[i].gain, cases[i].movable, 3, &from, &to), cases[i].want);
        if (cases[i].want)
            assert_true(from == cases[i].from && to == cases[i].to);
    }
}

static void on_line(void *arg, const char *text, size_t len)
{
    (void)text;
    *(size_t *)arg += len;
}

/* The end of a child is seen when it comes, also of one that has closed its output before: no clock's next tick is waited for. */
static void sees_the_end(void **state)
{
    int64_t fastest = INT64_MAX;
    struct fuzz_command c = {0};
    struct fuzz_child child;
    fuzz_child_init(&child);
    fuzz_word(&c.argv, "/bin/sh");
    fuzz_word(&c.argv, "-c");
    fuzz_word(&c.argv, "exec >&- 2>&-; exec /bin/sleep 0.002");
    for (int i = 0; i < 40; i++) {
        int64_t began = os_mono_ns();
        assert_int_equal(fuzz_child_run(&c, began + 60 * NS_PER_S, &child, NULL, NULL), 0);
        fastest = os_mono_ns() - began < fastest ? os_mono_ns() - began : fastest;
    }
    assert_true(fastest < 18 * NS_PER_MS);
    fuzz_command_release(&c);
    fuzz_child_release(&child);
}

/* A file that has no end is cut off long before the sandbox's disk is full. */
static void bounds_files(void **state)
{
    char *path = os_path_join(dir, "big");
    struct stat st;
    struct fuzz_command c = {.cwd = dir, .writable = {dir}};
    struct fuzz_child child;
    fuzz_child_init(&child);
    fuzz_word(&c.argv, "/bin/sh");
    fuzz_word(&c.argv, "-c");
    fuzz_word(&c.argv, "trap '' XFSZ; dd if=/dev/zero of=big bs=1M seek=2047 count=2");
    assert_int_equal(fuzz_child_run(&c, os_mono_ns() + 60 * NS_PER_S, &child, NULL, NULL), 0);
    assert_true(WIFEXITED(child.status) && WEXITSTATUS(child.status) != 0);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_size, FUZZ_FILE_MAX);
    fuzz_command_release(&c);
    fuzz_child_release(&child);
    unlink(path);
    free(path);
}

static void runs_children(void **state)
{
    (void)state;
    struct fuzz_command c = {0};
    struct fuzz_child child;
    bool late;
    fuzz_child_init(&child);
    fuzz_word(&c.argv, "/bin/sh");
    fuzz_word(&c.argv, "-c");
    fuzz_word(&c.argv, "echo hello; echo $X; exit 3");
    fuzz_word(&c.env, "X=y");
    assert_int_equal(fuzz_child_run(&c, os_mono_ns() + 60 * NS_PER_S, &child, &late, NULL), 0);
    assert_false(late);
    assert_int_equal(WEXITSTATUS(child.status), 3);
    assert_string_equal(strbuf_str(&child.tail), "hello\ny\n");
    fuzz_command_release(&c);
    fuzz_child_release(&child);
    /* One that ignores signals, with a child in a session of its own that prints without end. */
    fuzz_children_adopt();
    struct fuzz_command d = {0};
    size_t seen = 0;
    fuzz_word(&d.argv, "/bin/sh");
    fuzz_word(&d.argv, "-c");
    fuzz_word(&d.argv, "trap '' TERM INT HUP USR1; setsid sh -c 'while :; do echo 0123456789; done' & sleep 1000");
    assert_int_equal(fuzz_child_start(&child, &d, NULL), 0);
    while (seen < 100000)
        fuzz_child_read(&child, on_line, &seen);
    assert_true(child.tail.len <= 3 * FUZZ_TAIL_BYTES);
    fuzz_child_release(&child);
    assert_true(fuzz_children_sweep(NULL) >= 1);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* no child is left */
    fuzz_command_release(&d);
}

static inline __attribute__((always_inline)) int inner(volatile int *p)
{
    return *p + 1; /* the line of inner */
}

__attribute__((noinline)) static int outer(volatile int *p)
{
    return inner(p);
}

/* Where the file was loaded: its first byte's place. */
static uintptr_t base_of_program(void)
{
    extern const char __ehdr_start[];
    return (uintptr_t)__ehdr_start;
}

static void names_frames(void **state)
{
    (void)state;
    struct symbols_frame f;
    static const char *const lines[] = {"    #0 0x55 in f /a.c:1:2", "#x 0x55  (/a+0x1)", "    #0 0x55  (<unknown module>)",
                                        "    #1 0x55  (/a+0x", "    #1 0x55  (/a+0x1", "    #1 0x55  (a+0x1)", "    #1 0x55  (+0x1)", "#"};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        assert_false(symbols_read_frame(lines[i], strlen(lines[i]), &f));
    static const char good[] = "    #12 0x55ec  (/a+b/c+0x1f) (BuildId: 00)";
    assert_true(symbols_read_frame(good, sizeof good - 1, &f));
    assert_true(f.offset == 0x1f && f.module_len == 6 && f.address_len == 6);
    volatile int x = 1;
    assert_int_equal(outer(&x), 2);
    char exe[400], report[1000];
    ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);
    assert_true(n > 0);
    exe[n] = 0;
    size_t len = (size_t)snprintf(report, sizeof report, "==1==ERROR: AddressSanitizer: SEGV\n    #0 0x1  (%s+0x%llx) (BuildId: 1)\n"
                                  "    #1 0x2  (/none+0x3)\nend\n", exe,
                                  (unsigned long long)((uintptr_t)outer - base_of_program()));
    assert_true(symbols_wanted(report, len));
    struct fuzz_child child;
    struct err err = {0};
    fuzz_child_init(&child);
    assert_int_equal(symbols_start(&child, report, len, &err), 0);
    while (!fuzz_child_ended(&child, NULL, NULL))
        os_sleep_ms(5);
    assert_int_equal(child.status, 0);
    const char *text = strbuf_str(&child.tail), *at = strstr(text, " in outer /");
    if (!at || !strstr(at, "test_fuzz.c:") || !strstr(text, " 0x2  (/none+0x3)\nend\n"))
        fail_msg("%s", text);
    static const char named[] = "    #0 0x1 in f /a.c:1:2\n    #1 0x2 in g (/a+0x3)\n";
    assert_false(symbols_wanted(named, sizeof named - 1));
    fuzz_child_release(&child);
}

static int yaml(const char *text, struct err *err)
{
    free(put("tree/" FUZZ_BUILD_FILE, text));
    char *tree = os_path_join(dir, "tree"), *base = os_path_join(dir, "base");
    fuzz_harness_list none = {0};
    struct fuzz_build b = {.tree = tree, .base = base, .driver = &libfuzzer_driver, .sanitizers = "address", .harnesses = &none,
                           .src = mem_strdup(tree), .out = mem_strdup(base), .work = mem_strdup(base), .targets = json_array()};
    strbuf_init(&b.log, 1 << 20);
    int r = fuzz_build_yaml(&b, err);
    fuzz_build_release(&b);
    free(tree);
    free(base);
    return r;
}

static void refuses_bad_yaml(void **state)
{
    (void)state;
    static const char *const bad[][2] = {
        {"targets: []\n", "it needs a list 'targets'"},
        {"target: []\ntargets: [{name: a, sources: [a.c]}]\n", "unknown key 'target'"},
        {"targets: [{name: ../a, sources: [a.c]}]\n", "needs a name"},
        {"targets: [{name: a}]\n", "either sources or a program"},
        {"targets: [{name: a, source: [x]}]\n", "unknown key 'source'"},
        {"a: [", "line 2"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct err err = {0};
        assert_true(yaml(bad[i][0], &err) < 0);
        if (!strstr(err.msg, bad[i][1]))
            fail_msg("%s: %s", bad[i][0], err.msg);
    }
}

static void reads_targets(void **state)
{
    (void)state;
    struct fuzz_target t;
    json_t *j = json_pack("{s:s, s:s, s:s, s:[s], s:s}", "name", "a", "engine", "libfuzzer", "program", "b/a", "options", "max_len=4",
                          "dict", "../../etc/passwd");
    assert_int_equal(fuzz_target_read(j, "/scratch", &t, NULL), -ERR_INVALID);
    fuzz_target_release(&t);
    json_object_del(j, "dict");
    assert_int_equal(fuzz_target_read(j, "/scratch", &t, NULL), 0);
    assert_string_equal(t.program, "/scratch/b/a");
    assert_string_equal(t.options.v[0], "max_len=4");
    fuzz_target_release(&t);
    json_decref(j);
}

/* A campaign without engines: takes what earlier ones have left, and leaves its own. */
static int remember(struct module_ctx *ctx, struct err *err)
{
    struct campaign *c = calloc(1, sizeof *c);
    c->ctx = ctx;
    c->input = module_input(ctx);
    c->base = mem_printf("%s/base", dir);
    c->crashes_dir = mem_printf("%s/base/crashes", dir);
    c->work_dir = mem_printf("%s/base/work", dir);
    char *corpus = mem_printf("%s/base/corpus", dir);
    int r = corpus_init(&c->corpus, corpus, err);
    if (r == 0)
        r = memory_load(c, err);
    if (r == 0)
        r = memory_keep(c, err);
    campaign_release(c);
    free(corpus);
    free(c);
    return r;
}

/* Does it leave something, beside these files of earlier runs? */
static bool leaves(const char *const *files, size_t n)
{
    static const struct module m = {.name = "remember", .version = "1", .description = "a test's", .run = remember};
    json_t *list = json_array(), *input = json_pack("{s:s}", "memory", "x");
    for (size_t i = 0; i < n; i++)
        json_array_append_new(list, json_pack("{s:s, s:o}", "ref", "r", "path", json_sprintf("%s/%s", dir, files[i])));
    struct module_request q = {.module = "remember", .run_id = "r", .attempt = 1, .input = input, .scratch = dir, .remembered = list};
    struct strbuf text = STRBUF_INIT;
    char *out = NULL;
    assert_int_equal(module_request_write(&q, &text, NULL), 0);
    FILE *in = tmpfile(), *to = tmpfile();
    assert_int_equal(fwrite(text.s, 1, text.len, in), text.len);
    rewind(in);
    assert_int_equal(module_serve(&m, fileno(in), fileno(to)), 0);
    size_t len = (size_t)lseek(fileno(to), 0, SEEK_END);
    out = calloc(len + 1, 1);
    assert_int_equal(pread(fileno(to), out, len, 0), len);
    bool kept = strstr(out, "\"keep\"") != NULL;
    free(out);
    fclose(in);
    fclose(to);
    strbuf_release(&text);
    json_decref(list);
    json_decref(input);
    return kept;
}

/* What a campaign leaves takes the place of what it was given, so that must all be in it. */
static void keeps_what_it_cannot_read(void **state)
{
    (void)state;
    static const char *const files[] = {"one.tar", "two.tar"};
    char *command = mem_printf("cd %s && mkdir corpus && echo x >corpus/a && echo '{}' >bugs.json && tar -cf one.tar corpus bugs.json"
                               " && echo no archive >two.tar", dir);
    assert_int_equal(system(command), 0);
    free(command);
    assert_true(leaves(NULL, 0));
    assert_true(leaves(files, 1));
    assert_false(leaves(files, 2));
    assert_false(leaves(files + 1, 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(finds_harnesses, make_dir, remove_dir),
        cmocka_unit_test(reads_libfuzzer),
        cmocka_unit_test(reads_reports),
        cmocka_unit_test(knows_exceptions_apart),
        cmocka_unit_test(knows_drivers),
        cmocka_unit_test(names_what_go_spends),
        cmocka_unit_test(tells_the_first_error),
        cmocka_unit_test_setup_teardown(takes_what_lies_beside, make_dir, remove_dir),
        cmocka_unit_test(afl_keeps_the_target_s_options),
        cmocka_unit_test_setup_teardown(keeps_a_corpus, make_dir, remove_dir),
        cmocka_unit_test(names_places_of_the_tree),
        cmocka_unit_test_setup_teardown(packs_inputs, make_dir, remove_dir),
        cmocka_unit_test(names_frames),
        cmocka_unit_test(picks_engines),
        cmocka_unit_test(sees_the_end),
        cmocka_unit_test_setup_teardown(bounds_files, make_dir, remove_dir),
        cmocka_unit_test(runs_children),
        cmocka_unit_test_setup_teardown(refuses_bad_yaml, make_dir, remove_dir),
        cmocka_unit_test(reads_targets),
        cmocka_unit_test_setup_teardown(keeps_what_it_cannot_read, make_dir, remove_dir),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
