/* What a process that stays says of itself in the state's folder: server.json, the one 'ff serve', and workers/ID.json, each
 * 'ff worker'. The file is locked as long as its process lives, so what a dead one left behind says nothing. */
#ifndef FF_CLI_PROCESS_FILE_H
#define FF_CLI_PROCESS_FILE_H

#include "base/err.h"

#include <jansson.h>
#include <stdint.h>
#include <sys/types.h>

struct process_file {
    char *path;
    int fd;
};

#define PROCESS_FILE_INIT {.fd = -1}
#define PROCESS_SERVER "server.json"

/* name: below the state's folder. doc (its reference is taken) says what there is to say beside the pid, which is added.
 * -ERR_EXISTS: a process that lives has written it. */
int process_file_write(struct process_file *f, const char *state_dir, const char *name, json_t *doc, struct err *err);
void process_file_remove(struct process_file *f);

/* *ret: the document, the caller's, with "pid"; NULL: there is none, or its process has ended. */
int process_file_read(const char *path, json_t **ret, struct err *err);
int process_server(const char *state_dir, json_t **ret, struct err *err);
/* The workers that live: an array of documents {pid, identity, verticals, file}, the caller's. What dead ones left is removed. */
int process_workers(const char *state_dir, json_t **ret, struct err *err);
/* A name for a worker's file that no other one has; the caller frees; NULL: memory is out. */
char *process_worker_name(void);

/* Asks the process of a document to end (SIGTERM). */
void process_end(const json_t *doc);
/* Waits until the file's process has ended. -ERR_TIMEOUT: it does not. */
int process_wait_end(const char *path, const char *what, struct err *err);

#endif
