/* Processes and all their descendants, for hosts without pid namespaces, where no kernel does it
 * for us. */
#include "base/cleanup.h"
#include "sandbox/sandbox_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ROUNDS 50
#define DEPTH 64

/* Stops or kills the children of one process, and theirs; returns how many there were. */
static int signal_children(int proc_fd, pid_t pid, int sig, int depth)
{
    char path[64], text[65536];
    int n = 0;
    snprintf(path, sizeof path, "%d/task/%d/children", (int)pid, (int)pid);
    _cleanup_close_ int fd = openat(proc_fd, path, O_RDONLY | O_CLOEXEC);
    ssize_t len = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
    text[len > 0 ? len : 0] = 0;
    for (char *save = NULL, *word = strtok_r(text, " ", &save); word;
         word = strtok_r(NULL, " ", &save)) {
        pid_t child = (pid_t)atol(word);
        if (child <= 1)
            continue;
        if (depth < DEPTH)
            n += signal_children(proc_fd, child, sig, depth + 1);
        if (kill(child, sig) == 0)
            n++;
    }
    return n;
}

void tree_kill(int proc_fd, pid_t pid)
{
    /* Orphans go up to pid, which adopts them: it goes last, and stands still meanwhile. */
    for (int i = 0; i < ROUNDS && signal_children(proc_fd, pid, SIGKILL, 0) > 0; i++)
        usleep(200);
    kill(pid, SIGKILL);
}
