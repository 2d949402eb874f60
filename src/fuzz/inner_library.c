/* Loaded into an engine: what that executes by execv() is its target; what its shell scripts start is not. */
#include "fuzz/inner_wall.h"

#include <stdlib.h>
#include <string.h>

int execv(const char *path, char *const argv[])
{
    const char *preload = getenv("LD_PRELOAD");
    if (inner_wall_enter() < 0)
        return -1;
    if (preload && strcmp(preload, INNER_CODE) == 0) /* else it is the target's own, by AFL_PRELOAD */
        unsetenv("LD_PRELOAD");
    return execve(path, argv, environ);
}
