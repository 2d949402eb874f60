/* An SQLite VFS for tests of the engine: files in memory, which know what of them has been
 * synced. It fails operations as it is told, and gives the image that a power loss would leave. */
#ifndef FF_TESTS_CRASH_ENGINE_VFS_H
#define FF_TESTS_CRASH_ENGINE_VFS_H

#include <stdbool.h>
#include <stdint.h>

#define TEST_VFS "ff-test"

enum vfs_op { VFS_WRITE = 1, VFS_SYNC = 2, VFS_TRUNCATE = 4, VFS_READ = 8, VFS_OPEN = 16 };

/* Registers it (once). No files at first. */
void vfs_init(void);
void vfs_clear(void); /* all files gone; none may be open */
/* The n-th operation of these kinds from now on fails with that SQLite code, and all later ones
 * too if sticky. 0: none. */
void vfs_fail(unsigned ops, long n, int code, bool sticky);
bool vfs_failed(void);
/* At the n-th writing operation (write, sync, truncate) from now on the power goes: what is kept
 * then is what was synced, and of the rest, by seed, some sectors. hook runs at that moment. The
 * running program does not notice. */
void vfs_lose_power(long n, uint64_t seed, void (*hook)(void *arg), void *arg);
bool vfs_power_lost(void);
/* The files become what was kept. None may be open. */
void vfs_restore(void);

#endif
