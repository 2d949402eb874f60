/* A backup from anybody: what is accepted leaves the parts of a state and nothing else, and nothing outside the folder. */
#include "base/assert.h"
#include "base/cleanup.h"
#include "cli/backup.h"
#include "fuzz.h"
#include "os/file.h"

#include <ftw.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static size_t root_len;

static int check_one(const char *path, const struct stat *st, int type, struct FTW *f)
{
    (void)st;
    (void)f;
    ASSERT(type == FTW_D || type == FTW_F);
    ASSERT(type == FTW_D || backup_name_ok(path + root_len + 1));
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct backup_count n;
    _cleanup_free_ char *dir = NULL;
    _cleanup_close_ int fd = memfd_create("backup", MFD_CLOEXEC);
    ASSERT(fd >= 0 && os_write_full(fd, data, size, NULL) == 0 && lseek(fd, 0, SEEK_SET) == 0);
    const char *tmp = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    ASSERT(os_temp_dir(tmp, "ff-fuzz-", &dir, NULL) == 0);
    root_len = strlen(dir);
    if (backup_read(fd, dir, &n, NULL) == 0)
        ASSERT(nftw(dir, check_one, 8, FTW_PHYS) == 0);
    os_remove_tree(dir, NULL);
    return 0;
}
