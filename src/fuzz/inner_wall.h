/* A wall inside an engine's own, for the target that it starts as a process of its own: the engine has to write its corpus
 * and its crashes, and to remove of them, the target has not. The engine inherits the rules (sandbox_wall) and a piece of
 * code that takes them on: a library whose execv() does it, for AFL++, which so sees the target's own file, and a target that
 * is linked statically has the wall too; or a program that stands for the target, for Go, which starts itself by its
 * argv[0]. */
#ifndef FF_FUZZ_INNER_WALL_H
#define FF_FUZZ_INNER_WALL_H

#include <fcntl.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Below those of AFL++'s fork server, 198 and 199. */
#define INNER_WALL_FD 197
#define INNER_CODE_FD 196
#define INNER_CODE "/proc/self/fd/196"
#define INNER_PROGRAM_ENV "FF_INNER_PROGRAM" /* the target, for the program */

extern const char fuzz_inner_library[], fuzz_inner_program[]; /* inner_library.c, inner_program.c */
extern const size_t fuzz_inner_library_len, fuzz_inner_program_len;

/* For that code: before exec of the target. Without rules, as where the kernel has no Landlock, there is no wall. */
static inline int inner_wall_enter(void)
{
    if (fcntl(INNER_WALL_FD, F_GETFD) >= 0 && syscall(SYS_landlock_restrict_self, INNER_WALL_FD, 0) < 0)
        return -1;
    close(INNER_WALL_FD);
    close(INNER_CODE_FD);
    return 0;
}

#endif
