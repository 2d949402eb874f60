/* The XML of S3's answers: expat with bounds. Entities, document types and processing instructions
 * are refused, so nothing expands; depth, text and the number of elements are bounded. */
#ifndef FF_STORE_S3_XML_H
#define FF_STORE_S3_XML_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define S3_XML_MAX ((size_t)8 << 20)
#define S3_KEY_MAX 1024

/* Calls back at the end of each element with its path ("ListBucketResult/Contents/Key") and its text
 * (entities of XML itself resolved; cut off from the white space around it). A negative result stops
 * and is returned. -ERR_CORRUPT for what is no such document. */
int s3_xml_walk(const char *doc, size_t len,
                int (*each)(void *arg, const char *path, const char *text, struct err *err), void *arg,
                struct err *err);

/* The code and message of an error document; false if it is none. */
struct s3_xml_error {
    char code[64], message[200], region[32];
};
bool s3_xml_error(const char *doc, size_t len, struct s3_xml_error *ret);

/* A page of a listing (ListObjectsV2, ListMultipartUploads). */
struct s3_xml_entry {
    const char *key; /* borrowed during the call */
    uint64_t size;
    int64_t modified_ns;
    const char *upload_id; /* of an upload, else "" */
};
struct s3_xml_list {
    bool truncated;
    char token[S3_KEY_MAX * 2]; /* where the next page begins; of uploads: the key */
    char upload_id[S3_KEY_MAX]; /* of uploads */
};
int s3_xml_list(const char *doc, size_t len, struct s3_xml_list *ret,
                int (*each)(void *arg, const struct s3_xml_entry *e, struct err *err), void *arg,
                struct err *err);

/* The text of one element, the first of that path; -ERR_CORRUPT without it. */
int s3_xml_text(const char *doc, size_t len, const char *path, char *ret, size_t cap,
                struct err *err);

#endif
