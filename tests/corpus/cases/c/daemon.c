#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define BUF 128

typedef struct {
    uint16_t type;
    uint16_t len;
    char body[BUF];
} packet_t;

typedef struct session {
    char user[32];
    char *token;
    int fd;
    struct session *next;
} session_t;

static int get_line(int fd, char *out, size_t n)
{
    ssize_t r = recv(fd, out, n - 1, 0);
    if (r < 0)
        return -1;
    out[r] = '\0';
    return (int)r;
}

static void handle_name(session_t *s)
{
    char line[256];
    if (get_line(s->fd, line, sizeof line) < 0)
        return;
    strcpy(s->user, line);
    strncpy(s->user, line, sizeof s->user - 1);
    s->user[sizeof s->user - 1] = '\0';
}

static void handle_packet(int fd)
{
    packet_t p;
    char copy[64];
    if (recv(fd, &p, sizeof p, 0) <= 0)
        return;
    memcpy(copy, p.body, p.len);
    size_t n = ntohs(p.len);
    if (n > sizeof copy)
        n = sizeof copy;
    memcpy(copy, p.body, n);
}

static char *dup_name(const char *name)
{
    size_t n = strlen(name);
    char *d = malloc(n);
    if (!d)
        return NULL;
    strcpy(d, name);
    return d;
}

static char *dup_name_ok(const char *name)
{
    size_t n = strlen(name) + 1;
    char *d = malloc(n);
    if (!d)
        return NULL;
    memcpy(d, name, n);
    return d;
}

static void append_path(const char *a, const char *b)
{
    char full[64];
    strcpy(full, "/srv/");
    strcat(full, a);
    strlcat(full, b, sizeof full);
    puts(full);
}

static void pointer_size(void)
{
    char *buf = malloc(100);
    if (!buf)
        return;
    fgets(buf, 200, stdin);
    fgets(buf, 100, stdin);
    free(buf);
}

static void fixed_index(void)
{
    int a[4];
    a[4] = 1;
    a[3] = 1;
    printf("%d", a[0]);
}

static void copy_loop(const char *s)
{
    char d[16];
    int i = 0;
    while (s[i]) {
        d[i] = s[i];
        i++;
    }
    d[i] = 0;
    int k = 0;
    while (s[k] && k < 15) {
        d[k] = s[k];
        k++;
    }
    d[k] = 0;
    puts(d);
}

static void vlog(const char *fmt, ...)
{
    char b[64];
    va_list ap;
    va_start(ap, fmt);
    vsprintf(b, fmt, ap);
    va_end(ap);
    va_start(ap, fmt);
    vsnprintf(b, sizeof b, fmt, ap);
    va_end(ap);
    fputs(b, stderr);
}

static void greet(int fd)
{
    char name[64];
    get_line(fd, name, sizeof name);
    dprintf(fd, name);
    dprintf(fd, "%s", name);
    const char *fmt = fd > 3 ? "%s\n" : "%s";
    dprintf(fd, fmt, name);
}

static void run_tool(int fd)
{
    char arg[64], cmd[256];
    get_line(fd, arg, sizeof arg);
    sprintf(cmd, "/usr/bin/tool --name=%s", arg);
    system(cmd);
    for (char *c = arg; *c; c++)
        if (*c < 'a' || *c > 'z')
            return;
    char *const argv[] = {"tool", "--name", arg, NULL};
    execv("/usr/bin/tool", argv);
}

static void run_env(void)
{
    const char *editor = getenv("EDITOR");
    if (!editor)
        editor = "vi";
    char cmd[512];
    snprintf(cmd, sizeof cmd, "%s /etc/motd", editor);
    if (system(cmd) != 0)
        perror("editor");
    const char *pager = isatty(1) ? "less" : "cat";
    snprintf(cmd, sizeof cmd, "%s /etc/motd", pager);
    if (system(cmd) != 0)
        perror("pager");
}

static session_t *sessions;

static void drop(session_t *s)
{
    free(s->token);
    free(s);
    printf("dropped %s\n", s->user);
}

static void drop_ok(session_t *s)
{
    printf("dropping %s\n", s->user);
    free(s->token);
    free(s);
}

static char *grow(char *p, size_t n)
{
    char *q = realloc(p, n);
    if (!q)
        return NULL;
    p[0] = 'x';
    q[0] = 'x';
    return q;
}

static char *stale(void)
{
    char *p = strdup("x");
    free(p);
    return p;
}

static void cleanup_twice(int mode)
{
    char *a = malloc(10);
    char *b = malloc(10);
    if (!a || !b)
        goto out;
    if (mode == 1) {
        free(a);
        goto out;
    }
    free(b);
    return;
out:
    free(a);
    free(b);
}

static void two_frees(char *a, char *b)
{
    free(a);
    free(b);
    a = NULL;
    free(a);
}

static void double_plain(void)
{
    session_t *s = calloc(1, sizeof *s);
    if (!s)
        return;
    free(s);
    sessions = NULL;
    free(s);
}

static void *read_records(int fd)
{
    uint32_t count;
    if (read(fd, &count, sizeof count) != sizeof count)
        return NULL;
    session_t *v = malloc(count * sizeof(session_t));
    if (count > 4096)
        return v;
    session_t *w = malloc(count * sizeof(session_t));
    free(w);
    return v;
}

static void signed_len(int fd, char *out)
{
    char in[16], src[64] = "x";
    get_line(fd, in, sizeof in);
    int len = atoi(in);
    if (len > 64)
        return;
    memcpy(out, src, len);
    if (len < 0)
        return;
    memcpy(out, src, len);
}

static void check_then_use(const char *p)
{
    struct stat st;
    if (lstat(p, &st) == 0 && !S_ISLNK(st.st_mode)) {
        int fd = open(p, O_RDWR);
        close(fd);
    }
    int fd = open(p, O_RDWR | O_CREAT | O_EXCL, 0600);
    close(fd);
    if (access(p, R_OK) != 0)
        return;
    execl(p, p, (char *)NULL);
}

static void names(int fd)
{
    char name[64], full[PATH_MAX];
    get_line(fd, name, sizeof name);
    snprintf(full, sizeof full, "/srv/www/%s", name);
    int f = open(full, O_RDONLY);
    close(f);
    char real[PATH_MAX];
    if (!realpath(full, real) || strncmp(real, "/srv/www/", 9) != 0)
        return;
    f = open(real, O_RDONLY);
    close(f);
}

static void make_token(char *out)
{
    srand((unsigned)time(NULL));
    for (int i = 0; i < 16; i++)
        out[i] = "0123456789abcdef"[rand() % 16];
}

static void make_token_ok(unsigned char *out)
{
    RAND_bytes(out, 16);
}

static void hash_it(const char *pw, unsigned char *out)
{
    SHA1((const unsigned char *)pw, strlen(pw), out);
    SHA256((const unsigned char *)pw, strlen(pw), out);
    EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
    EVP_EncryptInit_ex(c, EVP_aes_128_ecb(), NULL, out, NULL);
    EVP_EncryptInit_ex(c, EVP_rc4(), NULL, out, NULL);
    EVP_EncryptInit_ex(c, EVP_chacha20_poly1305(), NULL, out, out);
}

static void work_files(void)
{
    char n[64];
    snprintf(n, sizeof n, "/tmp/daemon.%d", (int)getpid());
    int fd = open(n, O_CREAT | O_RDWR, 0600);
    close(fd);
    FILE *f = tmpfile();
    char *t = tempnam("/tmp", "d");
    printf("%p%s", (void *)f, t);
    mkdir("/var/run/d", 0777);
    mkdir("/var/run/d", 0750);
}
