/* labeld: takes label jobs from a socket and sends them to a printer. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <syslog.h>
#include <unistd.h>

#include <openssl/evp.h>
#include <openssl/md5.h>
#include <openssl/ssl.h>

#define NAME_MAX_LEN 32

struct job {
    char owner[NAME_MAX_LEN];
    char title[64];
    int copies;
};

static int read_console(char *line)
{
    char buffer[128];
    gets(buffer);
    return sscanf(buffer, "%99s", line);
}

static int read_console_strict(char *line, size_t size)
{
    return fgets(line, (int)size, stdin) ? 0 : -1;
}

static void set_owner(struct job *job, const char *owner)
{
    strcpy(job->owner, owner);
}

static void set_owner_strict(struct job *job, const char *owner)
{
    snprintf(job->owner, sizeof job->owner, "%s", owner);
}

static void set_title(struct job *job, const char *prefix, const char *title)
{
    sprintf(job->title, "%s: %s", prefix, title);
}

static void set_title_strict(struct job *job, const char *prefix, const char *title)
{
    snprintf(job->title, sizeof job->title, "%s: %s", prefix, title);
}

static void append_note(struct job *job, const char *note)
{
    strcat(job->title, note);
}

static void append_note_strict(struct job *job, const char *note)
{
    strncat(job->title, note, sizeof job->title - strlen(job->title) - 1);
}

static void log_job(const char *text)
{
    syslog(LOG_INFO, text);
}

static void log_job_strict(const char *text)
{
    syslog(LOG_INFO, "%s", text);
}

static void show_job(const char *title)
{
    printf(title);
}

static void show_job_strict(const char *title)
{
    printf("%s\n", title);
}

static int print_file(const char *printer)
{
    char command[256];
    snprintf(command, sizeof command, "lpr -P %s /var/spool/label.ps", printer);
    return system(command);
}

static int restart_spooler(void)
{
    return system("/usr/sbin/service cups restart");
}

static FILE *query_printer(const char *printer)
{
    char command[256];
    snprintf(command, sizeof command, "lpstat -p %s", printer);
    return popen(command, "r");
}

static int print_file_strict(const char *printer)
{
    pid_t pid = fork();
    if (pid == 0) {
        execl("/usr/bin/lpr", "lpr", "-P", printer, "/var/spool/label.ps", (char *)NULL);
        _exit(127);
    }
    int status;
    return waitpid(pid, &status, 0) < 0 ? -1 : status;
}

static void pin_digest(const unsigned char *data, size_t size, unsigned char out[16])
{
    MD5(data, size, out);
}

static int digest(const void *data, size_t size, unsigned char *out)
{
    return EVP_Digest(data, size, out, NULL, EVP_sha256(), NULL);
}

static int session_token(void)
{
    return rand();
}

static int session_token_strict(unsigned char *out, size_t size)
{
    int fd = open("/dev/urandom", O_RDONLY);
    if (fd < 0)
        return -errno;
    ssize_t n = read(fd, out, size);
    close(fd);
    return n == (ssize_t)size ? 0 : -EIO;
}

static int seal(EVP_CIPHER_CTX *ctx, const unsigned char *key, const unsigned char *iv)
{
    return EVP_EncryptInit_ex(ctx, EVP_des_cbc(), NULL, key, iv);
}

static int seal_strict(EVP_CIPHER_CTX *ctx, const unsigned char *key, const unsigned char *iv)
{
    return EVP_EncryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, key, iv);
}

static void trust_everyone(SSL_CTX *ctx)
{
    SSL_CTX_set_verify(ctx, SSL_VERIFY_NONE, NULL);
}

static void trust_known(SSL_CTX *ctx)
{
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
}

int main(int argc, char **argv)
{
    struct job job = {.copies = 1};
    char line[100];
    if (argc > 1)
        set_owner_strict(&job, argv[1]);
    if (read_console_strict(line, sizeof line) == 0)
        set_title_strict(&job, job.owner, line);
    log_job_strict(job.title);
    show_job_strict(job.title);
    return print_file_strict("depot") ? EXIT_FAILURE : EXIT_SUCCESS;
}
