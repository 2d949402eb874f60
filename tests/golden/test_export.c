/* Every export format of one list that has what is hard in it: hostile text, odd names, all statuses, all evidence.
 *
 * usage: golden_export FOLDER           compares each format with FOLDER/findings.SUFFIX
 *        golden_export --print FORMAT   writes one to standard output (for checks by other programs) */
#include "golden.h"

#include "base/cleanup.h"
#include "codec/export.h"
#include "codec/json.h"

#include <stdio.h>
#include <string.h>

static const char sample[] =
    "{\"rule_id\":\"injection/sql\",\"title\":\"SQL built from input\",\"description\":\"The query joins <b>input</b> & text.\\nSecond line | with a bar.\","
    "\"severity\":\"critical\",\"confidence\":\"high\",\"cwe\":[89,564],\"file\":\"src/a b\\u00e4.py\",\"line\":12,\"column\":5,\"end_line\":12,\"end_column\":40,"
    "\"snippet\":\"cur.execute(\\\"SELECT \\\" + x)  # \\ud83d\\ude00 ```\",\"recommendation\":\"Bind the value.\",\"module\":\"security_analyzer\","
    "\"evidence\":{\"flow\":[{\"file\":\"src/a b\\u00e4.py\",\"line\":3,\"column\":9,\"message\":\"input()\"},{\"file\":\"src/a b\\u00e4.py\",\"line\":12,\"message\":\"execute\"}]}}\n"
    "{\"rule_id\":\"injection/sql\",\"title\":\"SQL built from input\",\"severity\":\"critical\",\"cwe\":[89],\"file\":\"src/b.py\",\"line\":1,\"module\":\"security_analyzer\"}\n"
    "{\"rule_id\":\"xss/reflected\",\"title\":\"</script><script>alert(1)</script> '\\\"&\",\"description\":\"]]> \\u0001 \\ufffe\",\"severity\":\"high\",\"cwe\":[79],"
    "\"file\":\"web/<img>|x.js\",\"line\":2,\"snippet\":\"el.innerHTML = q\",\"module\":\"security_analyzer\"}\n"
    "{\"rule_id\":\"secrets/aws-key\",\"title\":\"=cmd|'/c calc'!A0\",\"severity\":\"high\",\"confidence\":\"low\",\"cwe\":[798],\"file\":\"%FF%FE.env\",\"line\":7,"
    "\"snippet\":\"AKIA****************WXYZ\",\"module\":\"secret_detection\",\"suppressed\":true,\"suppression_reason\":\"@test, \\\"key\\\"\"}\n"
    "{\"rule_id\":\"crash/heap-overflow\",\"title\":\"Heap buffer overflow\",\"severity\":\"high\",\"file\":\"parse.c\",\"line\":99,\"module\":\"fuzzer\","
    "\"evidence\":{\"stack\":[{\"function\":\"parse\",\"file\":\"parse.c\",\"line\":99},{\"function\":\"malloc\",\"file\":\"/usr/lib/libc.c\",\"line\":5,\"module\":\"libc.so.6\"}],"
    "\"reproducer\":{\"ref\":\"sha256:00\",\"bytes\":4,\"name\":\"crash; rm x\",\"minimised\":true},\"command\":\"./parse_fuzzer <crash>\",\"tries\":10,"
    "\"reproduced\":9,\"report\":\"==1==ERROR: x\\n```\\n</details><script>\"},\"metadata\":{\"executions\":1234}}\n"
    "{\"rule_id\":\"crash/timeout\",\"title\":\"Time-out\",\"severity\":\"low\",\"file\":\"parse.c\",\"line\":5,\"module\":\"fuzzer\",\"evidence\":{"
    "\"reproducer\":{\"ref\":\"sha256:01\",\"bytes\":1,\"name\":\"crash-1\"},\"command\":\"./parse_fuzzer crash-1\",\"tries\":0,\"reproduced\":0}}\n"
    "{\"rule_id\":\"config/debug\",\"title\":\"Debug mode is on\",\"severity\":\"medium\",\"file\":\"settings.py\",\"module\":\"security_analyzer\"}\n"
    "{\"rule_id\":\"hash/weak\",\"title\":\"MD5\",\"severity\":\"low\",\"cwe\":[328],\"file\":\"h.go\",\"line\":4,\"module\":\"security_analyzer\",\"suppressed\":true,"
    "\"suppression_kind\":\"external\"}\n"
    "{\"rule_id\":\"project/no-licence\",\"title\":\"No licence\",\"severity\":\"info\"}\n";

static const char before[] =
    "{\"rule_id\":\"injection/sql\",\"title\":\"SQL built from input\",\"severity\":\"critical\",\"cwe\":[89],\"file\":\"src/b.py\",\"line\":30,\"module\":\"security_analyzer\"}\n"
    "{\"rule_id\":\"eval/exec\",\"title\":\"exec of text\",\"severity\":\"high\",\"file\":\"gone.py\",\"line\":8,\"snippet\":\"exec(x)\",\"module\":\"security_analyzer\"}\n";

static int make_list(struct findings *list, struct err *err)
{
    _cleanup_(findings_release) struct findings base = {0};
    int r = findings_read(list, sample, sizeof sample - 1, err);
    if (r == 0)
        r = findings_merge(list, err);
    if (r == 0)
        r = findings_assign_ids(list, "RUN", 1700000000000, err);
    if (r == 0)
        r = findings_read(&base, before, sizeof before - 1, err);
    if (r == 0)
        r = findings_merge(&base, err);
    if (r == 0)
        r = findings_assign_ids(&base, "BEFORE", 1690000000000, err);
    return r < 0 ? r : findings_compare(list, &base, true, err);
}

static int write_format(const struct findings *list, enum export_format f, struct strbuf *text, struct err *err)
{
    _cleanup_json_ json_t *notices = json_pack("[{s:s, s:s, s:s}, {s:s, s:s}]", "kind", "skipped", "path", "a b/<fifo>",
                                               "text", "a FIFO is not read", "kind", "bound", "text",
                                               "2 files over 10 MB were left out");
    _cleanup_json_ json_t *modules = json_pack("[{s:s, s:s, s:s}, {s:s, s:s}]", "name", "security_analyzer",
                                               "version", "1.0.0", "description", "Code weaknesses", "name",
                                               "file_scanner", "version", "1.0.0");
    struct sarif_options o = {.target_name = "shop <1>",
                              .root = "/home/u/shop",
                              .run_id = "RUN",
                              .workflow = "security_assessment",
                              .version = "1.2.3",
                              .started_ns = 1700000000123000000,
                              .finished_ns = 1700000002000000000,
                              .include_code_flows = true,
                              .compared = true,
                              .notices = notices,
                              .modules = modules};
    struct out out;
    out_init_strbuf(&out, text);
    int r = export_findings(list, f, &o, &out, err);
    int e = out_finish(&out, r < 0 ? NULL : err);
    return r < 0 ? r : e;
}

static int run(const char *folder, const char *only, struct err *err)
{
    _cleanup_(findings_release) struct findings list = {0};
    int differ = 0, r = make_list(&list, err);
    for (int f = 0; r == 0 && f < EXPORT_FORMATS_; f++) {
        char name[64];
        struct strbuf text = STRBUF_INIT;
        const char *format = export_format_name((enum export_format)f);
        if (only && strcmp(only, format) != 0)
            continue;
        r = write_format(&list, (enum export_format)f, &text, err);
        snprintf(name, sizeof name, "findings.%s%s", format, strcmp(export_format_suffix((enum export_format)f) + 1, format)
                 ? export_format_suffix((enum export_format)f) : "");
        if (r == 0 && only)
            fwrite(text.s, 1, text.len, stdout);
        else if (r == 0)
            differ |= golden_check(folder, name, text.s, text.len);
        strbuf_release(&text);
    }
    return r < 0 ? r : differ;
}

/* One finding alone, in the forms that have it. */
static int run_single(const char *folder, struct err *err)
{
    static const enum export_format formats[] = {EXPORT_MD, EXPORT_HTML};
    _cleanup_(findings_release) struct findings list = {0};
    int differ = 0, r = make_list(&list, err);
    for (size_t i = 0; r == 0 && i < ARRAY_LEN(formats); i++) {
        char name[64];
        struct strbuf text = STRBUF_INIT;
        struct out out;
        size_t at = 0;
        while (at < list.len && strcmp(list.v[at].rule_id, "crash/heap-overflow") != 0)
            at++;
        out_init_strbuf(&out, &text);
        r = export_finding(&list.v[at], formats[i], &out, err);
        int e = out_finish(&out, r < 0 ? NULL : err);
        r = r < 0 ? r : e;
        snprintf(name, sizeof name, "finding%s", export_format_suffix(formats[i]));
        if (r == 0)
            differ |= golden_check(folder, name, text.s, text.len);
        strbuf_release(&text);
    }
    return r < 0 ? r : differ;
}

int main(int argc, char **argv)
{
    struct err err = {0};
    bool print = argc == 3 && strcmp(argv[1], "--print") == 0;
    if (argc != 2 && !print)
        return 2;
    int r = run(argv[1], print ? argv[2] : NULL, &err);
    if (r >= 0 && !print)
        r |= run_single(argv[1], &err);
    if (r < 0)
        fprintf(stderr, "%s\n", err.msg);
    return r != 0;
}
