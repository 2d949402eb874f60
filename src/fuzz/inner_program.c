/* Stands for a target: the engine starts it, and it becomes the target, which works in the folder for temporary files. */
#include "fuzz/inner_wall.h"

#include <stdlib.h>

int main(int argc, char **argv)
{
    char *program = getenv(INNER_PROGRAM_ENV);
    const char *tmp = getenv("TMPDIR");
    if (argc < 1 || !program || !tmp || chdir(tmp) < 0 || inner_wall_enter() < 0)
        return 126;
    argv[0] = program;
    unsetenv(INNER_PROGRAM_ENV);
    execve(program, argv, environ);
    return 127;
}
