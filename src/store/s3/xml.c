#include "store/s3/xml.h"

#include "base/mem.h"
#include "os/clock.h"

#include <expat.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX 12
#define PATH_MAX_ 512
#define TEXT_MAX 2048
#define ELEMENTS_MAX 100000

struct walk {
    XML_Parser p;
    int (*each)(void *, const char *, const char *, struct err *);
    void *arg;
    struct err *err;
    int r;
    char path[PATH_MAX_];
    size_t at[DEPTH_MAX]; /* where the path of each open element begins to be its own */
    size_t depth, path_len, elements;
    char text[TEXT_MAX];
    size_t text_len;
};

static void stop(struct walk *w, int r)
{
    if (w->r == 0)
        w->r = r;
    XML_StopParser(w->p, XML_FALSE);
}

static void on_start(void *arg, const char *name, const char **attributes)
{
    struct walk *w = arg;
    (void)attributes;
    size_t n = strlen(name);
    if (w->depth == DEPTH_MAX || w->path_len + n + 2 > sizeof w->path ||
        ++w->elements > ELEMENTS_MAX) {
        stop(w, err_set(w->err, ERR_CORRUPT, "an answer that is too deep or too large"));
        return;
    }
    w->at[w->depth++] = w->path_len;
    if (w->path_len)
        w->path[w->path_len++] = '/';
    memcpy(w->path + w->path_len, name, n + 1);
    w->path_len += n;
    w->text_len = 0;
}

static void on_end(void *arg, const char *name)
{
    struct walk *w = arg;
    (void)name;
    if (w->r < 0 || !w->depth)
        return;
    while (w->text_len && strchr(" \t\r\n", w->text[w->text_len - 1]))
        w->text_len--;
    w->text[w->text_len] = 0;
    int r = w->each(w->arg, w->path, w->text + strspn(w->text, " \t\r\n"), w->err);
    w->path_len = w->at[--w->depth];
    w->path[w->path_len] = 0;
    w->text_len = 0;
    if (r < 0)
        stop(w, r);
}

static void on_text(void *arg, const char *s, int len)
{
    struct walk *w = arg;
    if (w->text_len + (size_t)len >= sizeof w->text)
        stop(w, err_set(w->err, ERR_CORRUPT, "an answer with an overlong value"));
    else {
        memcpy(w->text + w->text_len, s, (size_t)len);
        w->text_len += (size_t)len;
    }
}

static void on_doctype(void *arg, const char *name, const char *sysid, const char *pubid, int subset)
{
    struct walk *w = arg;
    stop(w, err_set(w->err, ERR_CORRUPT, "an answer with a document type"));
}

static void on_instruction(void *arg, const char *target, const char *data)
{
    struct walk *w = arg;
    stop(w, err_set(w->err, ERR_CORRUPT, "an answer with a processing instruction"));
}

int s3_xml_walk(const char *doc, size_t len,
                int (*each)(void *arg, const char *path, const char *text, struct err *err), void *arg,
                struct err *err)
{
    if (len > S3_XML_MAX)
        return err_set(err, ERR_CORRUPT, "an answer of %zu bytes", len);
    struct walk *w = mem_zalloc(sizeof *w);
    if (!w || !(w->p = XML_ParserCreate("UTF-8"))) {
        free(w);
        return err_nomem(err);
    }
    w->each = each;
    w->arg = arg;
    w->err = err;
    XML_SetUserData(w->p, w);
    XML_SetElementHandler(w->p, on_start, on_end);
    XML_SetCharacterDataHandler(w->p, on_text);
    XML_SetStartDoctypeDeclHandler(w->p, on_doctype);
    XML_SetProcessingInstructionHandler(w->p, on_instruction);
    enum XML_Status ok = XML_Parse(w->p, doc, (int)len, XML_TRUE);
    int r = w->r;
    if (r == 0 && ok != XML_STATUS_OK)
        r = XML_GetErrorCode(w->p) == XML_ERROR_NO_MEMORY
                ? err_nomem(err)
                : err_set(err, ERR_CORRUPT, "an answer that is no XML: %s",
                          XML_ErrorString(XML_GetErrorCode(w->p)));
    XML_ParserFree(w->p);
    free(w);
    return r;
}

static void copy(char *to, size_t cap, const char *text)
{
    snprintf(to, cap, "%s", text);
}

static int on_error_element(void *arg, const char *path, const char *text, struct err *err)
{
    struct s3_xml_error *e = arg;
    if (strcmp(path, "Error/Code") == 0)
        copy(e->code, sizeof e->code, text);
    else if (strcmp(path, "Error/Message") == 0)
        copy(e->message, sizeof e->message, text);
    else if (strcmp(path, "Error/Region") == 0)
        copy(e->region, sizeof e->region, text);
    return 0;
}

bool s3_xml_error(const char *doc, size_t len, struct s3_xml_error *ret)
{
    *ret = (struct s3_xml_error){0};
    return s3_xml_walk(doc, len, on_error_element, ret, NULL) == 0 && ret->code[0];
}

struct list_walk {
    struct s3_xml_list *ret;
    int (*each)(void *, const struct s3_xml_entry *, struct err *);
    void *arg;
    bool ended; /* the document was a listing */
    char key[S3_KEY_MAX + 1], upload_id[S3_KEY_MAX];
    struct s3_xml_entry e;
};

static int list_entry(struct list_walk *l, struct err *err)
{
    l->e.key = l->key;
    l->e.upload_id = l->upload_id;
    int r = *l->key ? l->each(l->arg, &l->e, err) : 0;
    l->key[0] = l->upload_id[0] = 0;
    l->e = (struct s3_xml_entry){0};
    return r;
}

/* A value inside of an entry. */
static int list_field(struct list_walk *l, const char *name, const char *text, struct err *err)
{
    if (strcmp(name, "Key") == 0) {
        if (strlen(text) >= sizeof l->key)
            return err_set(err, ERR_CORRUPT, "a listing with an overlong key");
        copy(l->key, sizeof l->key, text);
    } else if (strcmp(name, "Size") == 0) {
        char *end;
        l->e.size = strtoull(text, &end, 10);
        if (end == text || *end)
            return err_set(err, ERR_CORRUPT, "a listing with a size of '%.20s'", text);
    } else if (strcmp(name, "LastModified") == 0 || strcmp(name, "Initiated") == 0)
        l->e.modified_ns = os_parse_time(text);
    else if (strcmp(name, "UploadId") == 0)
        copy(l->upload_id, sizeof l->upload_id, text);
    return 0;
}

static int on_list_element(void *arg, const char *path, const char *text, struct err *err)
{
    struct list_walk *l = arg;
    static const char *const roots[] = {"ListBucketResult", "ListMultipartUploadsResult"};
    size_t n = 0;
    for (size_t i = 0; i < 2 && !n; i++)
        if (strncmp(path, roots[i], strlen(roots[i])) == 0)
            n = strlen(roots[i]);
    if (!n || (path[n] && path[n] != '/'))
        return 0;
    if (!path[n]) {
        l->ended = true;
        return 0;
    }
    const char *rest = path + n + 1;
    if (strcmp(rest, "Contents") == 0 || strcmp(rest, "Upload") == 0)
        return list_entry(l, err);
    if (strncmp(rest, "Contents/", 9) == 0)
        return list_field(l, rest + 9, text, err);
    if (strncmp(rest, "Upload/", 7) == 0)
        return list_field(l, rest + 7, text, err);
    if (strcmp(rest, "IsTruncated") == 0)
        l->ret->truncated = strcmp(text, "true") == 0;
    else if (strcmp(rest, "NextContinuationToken") == 0 || strcmp(rest, "NextKeyMarker") == 0)
        copy(l->ret->token, sizeof l->ret->token, text);
    else if (strcmp(rest, "NextUploadIdMarker") == 0)
        copy(l->ret->upload_id, sizeof l->ret->upload_id, text);
    return 0;
}

int s3_xml_list(const char *doc, size_t len, struct s3_xml_list *ret,
                int (*each)(void *arg, const struct s3_xml_entry *e, struct err *err), void *arg,
                struct err *err)
{
    struct list_walk l = {.ret = ret, .each = each, .arg = arg};
    *ret = (struct s3_xml_list){0};
    int r = s3_xml_walk(doc, len, on_list_element, &l, err);
    if (r == 0 && !l.ended)
        r = err_set(err, ERR_CORRUPT, "an answer that is no listing");
    return r;
}

struct text_walk {
    const char *path;
    char *ret;
    size_t cap;
    bool found;
};

static int on_text_element(void *arg, const char *path, const char *text, struct err *err)
{
    struct text_walk *t = arg;
    if (t->found || strcmp(path, t->path) != 0)
        return 0;
    if (strlen(text) >= t->cap)
        return err_set(err, ERR_CORRUPT, "an answer with an overlong %s", path);
    copy(t->ret, t->cap, text);
    t->found = true;
    return 0;
}

int s3_xml_text(const char *doc, size_t len, const char *path, char *ret, size_t cap,
                struct err *err)
{
    struct text_walk t = {.path = path, .ret = ret, .cap = cap};
    int r = s3_xml_walk(doc, len, on_text_element, &t, err);
    if (r == 0 && !t.found)
        r = err_set(err, ERR_CORRUPT, "an answer without %s", path);
    return r;
}
