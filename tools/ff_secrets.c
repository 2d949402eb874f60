/* ff-secrets DIR: runs secret_detection on a folder, without sandbox or engine, and prints its messages: for work
 * on the rules. */
#include "codec/json.h"
#include "os/file.h"
#include "scan/builtin.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    _cleanup_json_ json_t *request = NULL;
    if (argc != 2) {
        fprintf(stderr, "usage: ff-secrets DIR\n");
        return 2;
    }
    request = json_pack("{s:i,s:s,s:s,s:i,s:{s:s},s:s,s:n}", "protocol", 1, "module", secret_detection_module.name,
                        "run_id", "ff-secrets", "attempt", 1, "input", "max_file_size", "4G", "workspace", argv[1],
                        "checkpoint");
    struct strbuf line = STRBUF_INIT;
    int fd = memfd_create("request", 0);
    if (!request || fd < 0 || json_write(request, &line, NULL) < 0)
        return 1;
    strbuf_putc(&line, '\n');
    if (os_write_full(fd, strbuf_str(&line), line.len, NULL) < 0)
        return 1;
    strbuf_release(&line);
    lseek(fd, 0, SEEK_SET);
    return module_serve(&secret_detection_module, fd, STDOUT_FILENO);
}
