/* The analyzer as a whole: what it finds where, suppression, fingerprints, hostile texts. */
#include "base/mem.h"
#include "scan/analyzer.h"
#include "scan/symtab.h"
#include "scan/builtin.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct seen {
    size_t count, suppressed;
    int line, column;
    enum severity severity;
    enum confidence confidence;
    char rule[80], context[80], reason[80], snippet[400];
};

static int on_finding(const struct finding *f, void *arg, struct err *err)
{
    struct seen *s = arg;
    (void)err;
    s->count++;
    s->suppressed += f->suppressed;
    s->line = f->line;
    s->column = f->column;
    s->severity = f->severity;
    s->confidence = f->confidence;
    snprintf(s->rule, sizeof s->rule, "%s", f->rule_id);
    snprintf(s->context, sizeof s->context, "%s", f->context_hash);
    snprintf(s->reason, sizeof s->reason, "%s", f->suppression_reason ? f->suppression_reason : "");
    snprintf(s->snippet, sizeof s->snippet, "%s", f->snippet);
    return 0;
}

/* Also for a caller who does not want to know why it failed: a pattern that only some of its rule's languages have is no failure. */
static void everything_is_read_ahead(void **state)
{
    struct err err = {0};
    (void)state;
    assert_int_equal(builtin_preload(NULL), 0);
    assert_int_equal(builtin_preload(&err), 0);
}

static struct seen run_at(enum lang lang, const char *path, const char *text, size_t len, const struct analyzer_options *o)
{
    struct seen s = {0};
    struct rules *rules;
    struct err err = {0};
    struct analyzer_result result;
    assert_int_equal(rules_builtin(&rules, &err), 0);
    if (analyzer_run(rules, o, lang, path, text, len, on_finding, &s, &result, &err) < 0)
        fail_msg("%s", err.msg);
    assert_int_equal(result.findings, s.count);
    return s;
}

static struct seen run(enum lang lang, const char *text, size_t len, const struct analyzer_options *o)
{
    return run_at(lang, "a/b", text, len, o);
}

static struct seen run_text(enum lang lang, const char *text)
{
    return run(lang, text, strlen(text), NULL);
}

static void places(void **state)
{
    (void)state;
    struct seen s = run_text(LANG_PYTHON, "import os\n\nx = '\xf0\x9f\x98\x80'; os.system(input())\n");
    assert_int_equal(s.count, 1);
    assert_int_equal(s.line, 3);
    assert_int_equal(s.column, 11); /* the face counts as two */
    assert_string_equal(s.rule, "command-injection/python-shell");
    s = run_text(LANG_PYTHON, "import os\nos.system(\n    'ls ' +\n    input())\n");
    assert_int_equal(s.count, 1);
    assert_int_equal(s.line, 2);
}

/* A line is shown without what is a secret there or elsewhere in the text; also where the shown part ends in one. */
static void secrets_are_not_shown(void **state)
{
    char text[1000];
    (void)state;
    const char *token = "ghp_" "a8Kd93jfLs02Lkd8Zmq1PqV7Yt5Rw4Xn3Cb2", *word = "Sup3rS3cretPassw0rd!x";
    snprintf(text, sizeof text, "import os\ndef f(x):\n    os.system('curl -H \"Authorization: token %s\" ' + x)\n", token);
    struct seen s = run_text(LANG_PYTHON, text);
    assert_int_equal(s.line, 3);
    assert_non_null(strstr(s.snippet, "token ghp_****3Cb2\" ' + x)"));
    snprintf(text, sizeof text, "import os\npassword = \"%s\"\ndef f(x):\n    os.system('mysql -p%s' + x)\n", word, word);
    s = run_text(LANG_PYTHON, text);
    assert_int_equal(s.line, 4);
    assert_non_null(strstr(s.snippet, "mysql -p"));
    assert_null(strstr(s.snippet, "Passw0rd"));
    int pad = 240 - (int)strlen("os.system('") - 20;
    snprintf(text, sizeof text, "import os\ndef f(x):\n    os.system('%*s%s' + x)\n", pad, "", token);
    s = run_text(LANG_PYTHON, text);
    assert_non_null(strstr(s.snippet, "ghp_****"));
    assert_null(strstr(s.snippet, "ghp_a8"));
}

static void comments_and_strings_are_no_code(void **state)
{
    (void)state;
    assert_int_equal(run_text(LANG_PYTHON, "# os.system(x)\ns = 'os.system(x)'\n\"\"\"\nos.system(x)\n\"\"\"\n").count, 0);
    assert_int_equal(run_text(LANG_C, "/* gets(b); */\n// gets(b);\nconst char *s = \"gets(b);\";\n").count, 0);
    assert_int_equal(run_text(LANG_PHP, "eval($x) <?php // eval($_GET['x']);\n").count, 0);
}

static void data_flows(void **state)
{
    (void)state;
    const char *through = "import os\ndef a(x):\n    os.system(x)\ndef b():\n    a(input())\n";
    const char *harmless = "import os\ndef a(x):\n    os.system(x)\ndef b():\n    a('ls')\n";
    assert_int_equal(run_text(LANG_PYTHON, through).line, 3);
    assert_int_equal(run_text(LANG_PYTHON, harmless).count, 0);
    const char *loop = "import os\ndef f():\n    y = 'ls'\n    for i in range(3):\n        os.system(y)\n        y = input()\n";
    assert_int_equal(run_text(LANG_PYTHON, loop).line, 5);
}

/* What a round of a loop, a case or a function without a name leaves when it is left early reaches what comes after. */
static void left_early(void **state)
{
    (void)state;
    const char *text = "import os\ndef f(names):\n    y = 'ls'\n    for n in names:\n        if n == input():\n"
                       "            y = input()\n            break\n    os.system(y)\n";
    assert_int_equal(run_text(LANG_PYTHON, text).line, 8);
    text = "import os\ndef f(names):\n    y = 'ls'\n    for n in names:\n        if n:\n"
           "            y = input()\n            continue\n        y = 'id'\n    os.system(y)\n";
    assert_int_equal(run_text(LANG_PYTHON, text).line, 9);
    text = "import os\ndef f():\n    while True:\n        y = input()\n        if y == 'ls':\n            break\n    os.system(y)\n";
    assert_int_equal(run_text(LANG_PYTHON, text).count, 0);
    text = "const cp = require('child_process');\nfunction f(req, k) {\n  let y = 'ls';\n  switch (k) {\n  case 1:\n"
           "    if (req.query.x) { y = req.query.x; break; }\n    y = 'id';\n  }\n  cp.exec(y);\n}\n";
    assert_int_equal(run_text(LANG_JAVASCRIPT, text).line, 9);
    text = "const cp = require('child_process');\nfunction f(req) {\n  let y = '';\n"
           "  req.query.a.forEach(x => { if (x) { y += x; return; } y += '-'; });\n  cp.exec(y);\n}\n";
    assert_int_equal(run_text(LANG_JAVASCRIPT, text).line, 5);
    text = "const cp = require('child_process');\nfunction f(req) {\n  let y = 'ls';\n"
           "  req.query.a.forEach(x => { let y = x; use(y); });\n  cp.exec(y);\n}\n";
    assert_int_equal(run_text(LANG_JAVASCRIPT, text).count, 0);
    text = "import os\ndef f():\n    a, b = input().split(':')\n    if a == 'ls':\n        os.system(b)\n";
    assert_int_equal(run_text(LANG_PYTHON, text).line, 5);
    text = "import os\ndef f():\n    a = input()\n    if a == 'ls' or a == 'id':\n        os.system(a)\n";
    assert_int_equal(run_text(LANG_PYTHON, text).count, 0);
    text = "import os\ndef f(b):\n    a = input()\n    if a == 'ls' or b == 'id':\n        os.system(a)\n";
    assert_int_equal(run_text(LANG_PYTHON, text).line, 5);
    text = "#include <stdlib.h>\nint f(int n) {\n  char *p = malloc(n);\n  if (n == 3) {\n    free(p);\n    goto out;\n  }\n"
           "  return 0;\nout:\n  free(p);\n  return 1;\n}\n";
    assert_int_equal(run_text(LANG_C, text).line, 10);
    text = "#include <stdlib.h>\nint f(int n) {\n  char *p = malloc(n);\n  if (n == 3)\n    goto out;\n  free(p);\n"
           "  return 0;\nout:\n  free(p);\n  return 1;\n}\n";
    assert_int_equal(run_text(LANG_C, text).count, 0);
    text = "import os, sys\ndef stop():\n    sys.exit(1)\ndef f():\n    a = input()\n    if a != 'ls':\n        stop()\n"
           "    os.system(a)\n";
    assert_int_equal(run_text(LANG_PYTHON, text).count, 0);
    text = "import os, sys\ndef stop(n):\n    if n:\n        return\n    sys.exit(1)\ndef f():\n    a = input()\n"
           "    if a != 'ls':\n        stop(1)\n    os.system(a)\n";
    assert_int_equal(run_text(LANG_PYTHON, text).line, 10);
    text = "def f\n  s = 'ls'\n  params[:n].each do |x|\n    s = x\n  end\n  system(s)\nend\n";
    assert_int_equal(run_text(LANG_RUBY, text).line, 6);
}

/* Tests are told of with low severity: where tests lie and only if they use what tests use. */
static void code_of_tests(void **state)
{
    (void)state;
    static const char test[] = "import pytest\nimport pickle\ndef test_it(x):\n    pickle.loads(x)\n";
    static const char program[] = "import pickle\ndef f(x):\n    pickle.loads(x)\n";
    struct seen s = run_at(LANG_PYTHON, "tests/test_it.py", test, sizeof test - 1, NULL);
    assert_int_equal(s.count, 1);
    assert_int_equal(s.severity, SEVERITY_LOW);
    assert_int_equal(s.confidence, CONFIDENCE_LOW);
    s = run_at(LANG_PYTHON, "tests/test_it.py", program, sizeof program - 1, NULL);
    assert_int_equal(s.severity, SEVERITY_HIGH);
    s = run_at(LANG_PYTHON, "app/contest.py", test, sizeof test - 1, NULL);
    assert_int_equal(s.severity, SEVERITY_HIGH);
}

static void suppression(void **state)
{
    (void)state;
    struct seen s = run_text(LANG_PYTHON, "import os\nos.system(input())  # ff:ignore[command-injection] a tool\n");
    assert_int_equal(s.count, 1);
    assert_int_equal(s.suppressed, 1);
    assert_string_equal(s.reason, "a tool");
    s = run_text(LANG_PYTHON, "import os\n# ff:ignore[xss] other\nos.system(input())\n");
    assert_int_equal(s.suppressed, 0);
    const struct analyzer_options o = {.no_inline_suppressions = true};
    const char *text = "import os\n# ff:ignore\nos.system(input())\n";
    assert_int_equal(run_text(LANG_PYTHON, text).suppressed, 1);
    assert_int_equal(run(LANG_PYTHON, text, strlen(text), &o).suppressed, 0);
}

static void groups(void **state)
{
    (void)state;
    const char *text = "PASSWORD = 's3cr3t-Pa55'\n";
    const struct analyzer_options o = {.no_secrets = true};
    assert_int_equal(run_text(LANG_PYTHON, text).count, 1);
    assert_int_equal(run(LANG_PYTHON, text, strlen(text), &o).count, 0);
}

/* A literal is one also where it is made into bytes; what is read from elsewhere is none. */
static void literals_as_bytes(void **state)
{
    (void)state;
    assert_int_equal(run_text(LANG_GO, "package a\nvar jwtKey = []byte(\"Xk29dkfj3921kdkf\")\n").line, 2);
    assert_int_equal(run_text(LANG_GO, "package a\nvar jwtKey = []byte(os.Getenv(\"JWT_KEY_VALUE\"))\n").count, 0);
    assert_int_equal(run_text(LANG_JAVA, "class A { byte[] aesKey = \"Xk29dkfj3921kdkf\".getBytes(); }\n").line, 1);
    assert_int_equal(run_text(LANG_JAVA, "class A { byte[] aesKey = load(\"Xk29dkfj3921kdkf\").getBytes(); }\n").count, 0);
}

/* A field that its class sets to a constant is one, unless the code puts something else into it. */
static void constant_fields(void **state)
{
    (void)state;
    const char *py = "class R:\n    t = 'x'\n    def f(self):\n        return self.c.execute('SELECT * FROM ' + self.t)\n";
    assert_int_equal(run_text(LANG_PYTHON, py).count, 0);
    char two[600];
    snprintf(two, sizeof two, "%sclass S:\n    def __init__(self, t):\n        self.t = t\n", py);
    assert_int_equal(run_text(LANG_PYTHON, two).count, 0); /* another class's */
    snprintf(two, sizeof two, "%s    def g(self, t):\n        self.t = t\n", py);
    assert_int_equal(run_text(LANG_PYTHON, two).line, 4);
    snprintf(two, sizeof two, "%sdef g(r, t):\n    r.t = t\n", py);
    assert_int_equal(run_text(LANG_PYTHON, two).line, 4);
    const char *made = "@dataclass\nclass R:\n    t: str = 'x'\n    def f(self):\n        self.c.execute('SELECT * FROM ' + self.t)\n";
    assert_int_equal(run_text(LANG_PYTHON, made).line, 5);
    const char *php = "<?php class R { private $t = 'x'; const U = 'y';\nfunction f() { $this->p->query(\"SELECT {$this->t} FROM \" . "
                      "self::U . \" WHERE a = 1\");\n%s} }";
    snprintf(two, sizeof two, php, "");
    assert_int_equal(run_text(LANG_PHP, two).count, 0);
    snprintf(two, sizeof two, php, "$this->t = $_GET['t'];");
    assert_int_equal(run_text(LANG_PHP, two).line, 2);
    const char *ts = "class R { private t = 'x';\n f() { return this.db.query(`SELECT * FROM ${this.t}`); }\n%s }\n";
    snprintf(two, sizeof two, ts, "");
    assert_int_equal(run_text(LANG_TYPESCRIPT, two).count, 0);
    snprintf(two, sizeof two, ts, "set(t: string) { this.t = t; }");
    assert_int_equal(run_text(LANG_TYPESCRIPT, two).line, 2);
}

/* What the framework or the filter has checked before the code sees it. */
static void checked_before(void **state)
{
    (void)state;
    char text[400];
    const char *flask = "@app.route('/a/<%sident>')\ndef a(ident):\n    db.execute(f'SELECT * FROM t WHERE id = {ident}')\n";
    snprintf(text, sizeof text, flask, "int:");
    assert_int_equal(run_text(LANG_PYTHON, text).count, 0);
    snprintf(text, sizeof text, flask, "");
    assert_int_equal(run_text(LANG_PYTHON, text).line, 3);
    assert_int_equal(run_text(LANG_PHP, "<?php $n = filter_input(INPUT_GET, 'n', FILTER_SANITIZE_SPECIAL_CHARS); echo $n;").count, 0);
    assert_int_equal(run_text(LANG_PHP, "<?php $n = filter_input(INPUT_GET, 'n'); echo $n;").count, 1);
}

static void context_stays_when_lines_move(void **state)
{
    (void)state;
    struct seen a = run_text(LANG_PYTHON, "import os\ndef f():\n    os.system(input())\n");
    struct seen b = run_text(LANG_PYTHON, "import os\n\n\n# more\ndef f():\n    x = 1\n    os.system( input() )\n");
    struct seen c = run_text(LANG_PYTHON, "import os\ndef g():\n    os.system(input())\n");
    assert_string_equal(a.context, b.context);
    assert_string_not_equal(a.context, c.context);
}

static void hostile_texts(void **state)
{
    (void)state;
    static const char *const units[] = {"(", "[", "{", "a.", "a+", "f\"{", "`${", "if x:\n ", "<a>", "\"", "/*", "x=(", "else ",
                                        "@a\n", "f(x)(", "{a:", "|x| ", "do ", "<?php ", "#{", "a?b:", "-", "!"};
    for (size_t u = 0; u < sizeof units / sizeof *units; u++) {
        size_t n = strlen(units[u]), total = 200000 / n * n;
        char *text = mem_alloc(total);
        assert_non_null(text);
        for (size_t i = 0; i < total; i += n)
            memcpy(text + i, units[u], n);
        for (int l = 1; l < LANG_COUNT; l++)
            if (lang_parsed((enum lang)l))
                (void)run((enum lang)l, text, total, NULL);
        free(text);
    }
}

/* A keyword where none belongs: every parser goes on. */
static void keywords_anywhere(void **state)
{
    (void)state;
    static const char *const words[] = {
#define X(w) #w,
        SCAN_KEYWORDS(X)
#undef X
    };
    static const char *const places[] = {"<?php function f(%s x) {}", "<?php function f(a %s) {}", "<?php function f(%s", "<?php class A { function f(a, %s %s", "function %s(%s",
                                         "def f(%s, *%s):\n  %s\n", "class %s { %s f(%s %s) { %s %s; } }", "func (%s) f(%s %s) %s {",
                                         "x = %s(%s: %s, %s = %s)", "%s %s { %s } %s", "[%s for %s in %s", "%s."};
    for (size_t w = 0; w < sizeof words / sizeof *words; w++)
        for (size_t k = 0; k < sizeof places / sizeof *places; k++) {
            char text[400];
            const char *v = words[w];
            size_t n = 0;
            for (const char *c = places[k]; *c; c++) { /* each %s is the word */
                if (c[0] == '%' && c[1] == 's') {
                    n += (size_t)snprintf(text + n, sizeof text - n, "%s", v);
                    c++;
                } else {
                    text[n++] = *c;
                }
            }
            for (int l = 1; l < LANG_COUNT; l++)
                if (lang_parsed((enum lang)l))
                    (void)run((enum lang)l, text, n, NULL);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_is_read_ahead), cmocka_unit_test(places), cmocka_unit_test(secrets_are_not_shown),
        cmocka_unit_test(comments_and_strings_are_no_code),
        cmocka_unit_test(data_flows), cmocka_unit_test(left_early), cmocka_unit_test(code_of_tests), cmocka_unit_test(suppression), cmocka_unit_test(groups), cmocka_unit_test(context_stays_when_lines_move),
        cmocka_unit_test(literals_as_bytes), cmocka_unit_test(constant_fields), cmocka_unit_test(checked_before),
        cmocka_unit_test(hostile_texts),
        cmocka_unit_test(keywords_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
