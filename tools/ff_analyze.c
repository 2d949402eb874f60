/* ff-analyze DIR: runs security_analyzer on a folder, without sandbox or engine, and prints its messages as NDJSON: for
 * work on rules and analysis. */
#include "codec/json.h"
#include "os/file.h"
#include "scan/builtin.h"

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    _cleanup_json_ json_t *request = NULL;
    if (argc != 2) {
        fprintf(stderr, "usage: ff-analyze DIR\n");
        return 2;
    }
    request = json_pack("{s:i,s:s,s:s,s:i,s:{},s:s,s:n}", "protocol", 1, "module", security_analyzer_module.name, "run_id",
                        "ff-analyze", "attempt", 1, "input", "workspace", argv[1], "checkpoint");
    struct strbuf line = STRBUF_INIT;
    int fd = memfd_create("request", 0);
    if (!request || fd < 0 || json_write(request, &line, NULL) < 0)
        return 1;
    strbuf_putc(&line, '\n');
    if (os_write_full(fd, strbuf_str(&line), line.len, NULL) < 0)
        return 1;
    strbuf_release(&line);
    lseek(fd, 0, SEEK_SET);
    return module_serve(&security_analyzer_module, fd, STDOUT_FILENO);
}
