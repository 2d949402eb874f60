#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/des.h>
#include <openssl/evp.h>
#include <openssl/md5.h>
#include <openssl/ssl.h>
#include <curl/curl.h>
#include <sqlite3.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>
#include <wchar.h>

#define NAME_MAX_LEN 32
#define SRC_STRING "AAAAAAAAAA"

struct record {
    char name[NAME_MAX_LEN];
    char *data;
    size_t len;
};

struct node {
    struct node *next;
    int value;
};

static void copy_bad(const char *src)
{
    char name[NAME_MAX_LEN];
    strcpy(name, src);
    puts(name);
}

static void copy_good(const char *src)
{
    char name[NAME_MAX_LEN];
    if (strlen(src) >= sizeof(name))
        return;
    strcpy(name, src);
    puts(name);
}

static void heap_small(void)
{
    char *data = (char *)malloc(10 * sizeof(char));
    if (!data)
        return;
    char source[10 + 1] = SRC_STRING;
    memcpy(data, source, (strlen(source) + 1) * sizeof(char));
    free(data);
}

static void heap_right(void)
{
    char *data = (char *)malloc((10 + 1) * sizeof(char));
    if (!data)
        return;
    char source[10 + 1] = SRC_STRING;
    memcpy(data, source, (strlen(source) + 1) * sizeof(char));
    free(data);
}

static void loop_off_by_one(void)
{
    int buf[10];
    for (int i = 0; i <= 10; i++)
        buf[i] = i;
    for (int i = 0; i < 10; i++)
        buf[i] = i;
    printf("%d\n", buf[3]);
}

static void stack_memset(void)
{
    char dest[50];
    char source[100];
    memset(source, 'C', 100 - 1);
    source[100 - 1] = '\0';
    memcpy(dest, source, 100);
    memcpy(dest, source, sizeof(dest));
    dest[49] = '\0';
    strncat(dest, source, sizeof(dest));
    puts(dest);
}

static void sprintf_cases(int id, const char *name)
{
    char buf[16];
    sprintf(buf, "user-%s", name);
    sprintf(buf, "%d", id);
    snprintf(buf, sizeof buf, "user-%s", name);
    snprintf(buf, 64, "user-%s", name);
}

static void read_len(int fd)
{
    char buf[64];
    uint32_t n;
    if (read(fd, &n, sizeof n) != sizeof n)
        return;
    read(fd, buf, n);
    if (n > sizeof buf)
        return;
    read(fd, buf, n);
}

static int table_at(void)
{
    static const int table[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    char in[16];
    if (!fgets(in, sizeof in, stdin))
        return 0;
    int i = atoi(in);
    int a = table[i];
    if (i < 0 || i >= 8)
        return 0;
    return a + table[i];
}

static int table_low(void)
{
    int buffer[10] = {0};
    char in[16];
    fgets(in, sizeof in, stdin);
    int data = atoi(in);
    if (data < 10)
        buffer[data] = 1;
    return buffer[0];
}

static void scan(void)
{
    char word[20];
    scanf("%s", word);
    scanf("%19s", word);
    gets(word);
    fgets(word, sizeof word, stdin);
}

static void formats(char **argv)
{
    char line[128];
    fgets(line, sizeof line, stdin);
    printf(line);
    printf("%s", line);
    fprintf(stderr, argv[1]);
    syslog(LOG_ERR, argv[1]);
    syslog(LOG_ERR, "%s", argv[1]);
    char out[64];
    snprintf(out, sizeof out, getenv("FMT"));
}

static void say(const char *fmt)
{
    printf(fmt, 1);
}

static void say_all(void)
{
    say("%d\n");
}

static void commands(char **argv)
{
    char cmd[256];
    snprintf(cmd, sizeof cmd, "ls %s", argv[1]);
    system(cmd);
    system("ls /srv");
    char *dir = getenv("DIR");
    strcpy(cmd, "du ");
    strncat(cmd, dir, sizeof cmd - 4);
    FILE *p = popen(cmd, "r");
    if (p)
        pclose(p);
    execl("/bin/sh", "sh", "-c", argv[2], (char *)NULL);
    execl("/bin/ls", "ls", "-l", "--", argv[2], (char *)NULL);
}

static void uaf(void)
{
    char *p = malloc(16);
    if (!p)
        return;
    strcpy(p, "abc");
    free(p);
    puts(p);
}

static void uaf_ok(void)
{
    char *p = malloc(16);
    if (!p)
        return;
    free(p);
    p = malloc(16);
    if (!p)
        return;
    p[0] = 0;
    puts(p);
    free(p);
}

static void uaf_branch(struct record *r, int bad)
{
    if (bad) {
        free(r->data);
    }
    r->len = strlen(r->data);
}

static void uaf_branch_ok(struct record *r, int bad)
{
    if (bad) {
        free(r->data);
        return;
    }
    r->len = strlen(r->data);
}

static void uaf_list(struct node *head)
{
    for (struct node *n = head; n; n = n->next)
        free(n);
}

static void uaf_list_ok(struct node *head)
{
    while (head) {
        struct node *next = head->next;
        free(head);
        head = next;
    }
}

static void twice(int err)
{
    char *p = malloc(8);
    if (err)
        free(p);
    free(p);
}

static void twice_ok(int err)
{
    char *p = malloc(8);
    if (err) {
        free(p);
        p = NULL;
    }
    free(p);
}

static void release(char *p)
{
    free(p);
}

static void twice_call(void)
{
    char *p = malloc(8);
    release(p);
    free(p);
}

static void *multiply(void)
{
    char in[16];
    fgets(in, sizeof in, stdin);
    int n = atoi(in);
    void *a = malloc(n * sizeof(struct record));
    void *b = calloc((size_t)n, sizeof(struct record));
    free(b);
    if (n <= 0 || n > 1000)
        return a;
    void *c = malloc(n * sizeof(struct record));
    free(c);
    return a;
}

static short narrow(void)
{
    char in[32];
    fgets(in, sizeof in, stdin);
    int n = (int)strtol(in, NULL, 10);
    int r = n + 1;
    if (n < INT_MAX)
        r = n + 1;
    return (short)r;
}

static void toctou(const char *path)
{
    if (access(path, W_OK) == 0) {
        FILE *f = fopen(path, "w");
        if (f)
            fclose(f);
    }
    struct stat st;
    if (stat(path, &st) == 0 && S_ISREG(st.st_mode))
        unlink(path);
    int fd = open(path, O_RDONLY | O_NOFOLLOW);
    if (fd >= 0 && fstat(fd, &st) == 0)
        close(fd);
}

static void temp(void)
{
    char *n = tmpnam(NULL);
    char t[] = "/tmp/fileXXXXXX";
    int fd = mkstemp(t);
    mktemp(t);
    FILE *f = fopen("/tmp/app.lock", "w");
    printf("%s %d %p", n, fd, (void *)f);
    chmod("/srv/x", 0777);
    chmod("/srv/x", 0600);
    umask(0);
    umask(077);
    int g = open("/srv/y", O_CREAT | O_WRONLY, 0666);
    close(g);
}

static void sql(sqlite3 *db, char **argv)
{
    char q[256];
    snprintf(q, sizeof q, "SELECT * FROM t WHERE n = '%s'", argv[1]);
    sqlite3_exec(db, q, NULL, NULL, NULL);
    char *z = sqlite3_mprintf("SELECT * FROM t WHERE n = %Q", argv[1]);
    sqlite3_exec(db, z, NULL, NULL, NULL);
    sqlite3_stmt *st;
    sqlite3_prepare_v2(db, "SELECT * FROM t WHERE n = ?", -1, &st, NULL);
}

static void path(char **argv)
{
    char p[PATH_MAX];
    snprintf(p, sizeof p, "/srv/data/%s", argv[1]);
    FILE *f = fopen(p, "r");
    if (strstr(argv[1], "..") || strchr(argv[1], '/'))
        return;
    FILE *g = fopen(p, "r");
    printf("%p %p", (void *)f, (void *)g);
}

static void crypto(const unsigned char *d, size_t n, CURL *c, SSL_CTX *ctx)
{
    unsigned char out[64];
    MD5(d, n, out);
    EVP_Digest(d, n, out, NULL, EVP_sha256(), NULL);
    EVP_Digest(d, n, out, NULL, EVP_sha1(), NULL);
    EVP_CIPHER_CTX *e = EVP_CIPHER_CTX_new();
    EVP_EncryptInit_ex(e, EVP_des_cbc(), NULL, out, out);
    EVP_EncryptInit_ex(e, EVP_aes_256_gcm(), NULL, out, out);
    curl_easy_setopt(c, CURLOPT_SSL_VERIFYPEER, 0L);
    curl_easy_setopt(c, CURLOPT_SSL_VERIFYPEER, 1L);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_NONE, NULL);
    int session_key = rand();
    int delay = rand() % 10;
    srand(time(NULL));
    printf("%d %d", session_key, delay);
    const char *password = "Pa55phrase!";
    const char *password_prompt = "Password: ";
    printf("%s%s", password, password_prompt);
    if (strcmp(getenv("PW"), "l3tm31n!!") == 0)
        puts("in");
}
