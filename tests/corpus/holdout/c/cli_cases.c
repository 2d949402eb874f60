#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <wchar.h>

#include <curl/curl.h>
#include <openssl/des.h>
#include <openssl/evp.h>
#include <openssl/rc4.h>
#include <openssl/sha.h>
#include <sqlite3.h>

void case001_bad(const char *arg)
{
    char buf[64];
    strcpy(buf, arg);
    puts(buf);
}

void case001_good(void)
{
    char buf[64];
    strcpy(buf, "fixed text");
    puts(buf);
}

void case002_bad(const char *a, const char *b)
{
    char path[128];
    strcpy(path, a);
    strcat(path, b);
    puts(path);
}

void case002_good(const char *a, const char *b)
{
    char path[128];
    snprintf(path, sizeof path, "%s%s", a, b);
    puts(path);
}

void case003_bad(void)
{
    char name[16];
    scanf("%s", name);
    puts(name);
}

void case003_good(void)
{
    char name[16];
    scanf("%15s", name);
    puts(name);
}

void case004_bad(const char *user)
{
    char line[80];
    sprintf(line, "user=%s", user);
    puts(line);
}

void case004_good(int n)
{
    char line[80];
    snprintf(line, sizeof(line), "n=%d", n);
    puts(line);
}

void case005_bad(void)
{
    char line[80];
    gets(line);
    puts(line);
}

void case005_good(void)
{
    char line[80];
    if (fgets(line, sizeof line, stdin))
        puts(line);
}

void case006_bad(const char *fmt, ...)
{
    char out[100];
    va_list ap;
    va_start(ap, fmt);
    vsprintf(out, fmt, ap);
    va_end(ap);
}

void case006_good(const char *fmt, ...)
{
    char out[100];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(out, sizeof out, fmt, ap);
    va_end(ap);
}

void case007_bad(int fd, size_t announced)
{
    char packet[512], copy[64];
    ssize_t n = recv(fd, packet, sizeof packet, 0);
    if (n > 0)
        memcpy(copy, packet, announced);
}

void case007_good(int fd)
{
    char packet[512], copy[64];
    ssize_t n = recv(fd, packet, sizeof packet, 0);
    if (n > 0)
        memcpy(copy, packet, sizeof copy);
}

void case008_bad(char **argv)
{
    printf(argv[1]);
}

void case008_good(char **argv)
{
    printf("%s", argv[1]);
}

void case009_bad(FILE *log, const char *msg)
{
    fprintf(log, msg);
}

void case009_good(FILE *log, const char *msg)
{
    fprintf(log, "%s\n", msg);
}

void case010_bad(char *out, size_t size, const char *msg)
{
    snprintf(out, size, msg);
}

void case010_good(FILE *log)
{
    fprintf(log, "done\n");
}

void case011_bad(char **argv)
{
    char cmd[256];
    snprintf(cmd, sizeof cmd, "ping -c 1 %s", argv[1]);
    system(cmd);
}

void case011_good(void)
{
    system("sync");
}

void case012_bad(const char *user)
{
    char cmd[256] = "id ";
    strncat(cmd, user, sizeof cmd - 4);
    FILE *p = popen(cmd, "r");
    if (p)
        pclose(p);
}

void case012_good(const char *user)
{
    execlp("id", "id", user, (char *)NULL);
}

void case013_bad(const char *script)
{
    execl("/bin/sh", "sh", "-c", script, (char *)NULL);
}

void case014_bad(sqlite3 *db, const char *name)
{
    char sql[256];
    snprintf(sql, sizeof sql, "SELECT * FROM t WHERE a = '%s'", name);
    sqlite3_exec(db, sql, NULL, NULL, NULL);
}

void case014_good(sqlite3 *db, const char *name)
{
    sqlite3_stmt *st;
    sqlite3_prepare_v2(db, "SELECT * FROM t WHERE a = ?", -1, &st, NULL);
    sqlite3_bind_text(st, 1, name, -1, SQLITE_STATIC);
}

void case015_good(sqlite3 *db)
{
    sqlite3_exec(db, "VACUUM", NULL, NULL, NULL);
}

void case016_bad(const char *name)
{
    char path[300];
    snprintf(path, sizeof path, "/data/%s", name);
    FILE *f = fopen(path, "r");
    if (f)
        fclose(f);
}

void case016_good(void)
{
    FILE *f = fopen("/data/readme", "r");
    if (f)
        fclose(f);
}

void case017_bad(const unsigned char *d, size_t n, unsigned char *out)
{
    SHA1(d, n, out);
}

void case017_good(const unsigned char *d, size_t n, unsigned char *out)
{
    SHA256(d, n, out);
}

const EVP_MD *case018_bad(void)
{
    return EVP_md5();
}

void case019_bad(RC4_KEY *key, const unsigned char *k)
{
    RC4_set_key(key, 16, k);
}

const EVP_CIPHER *case020_bad(void)
{
    return EVP_aes_128_ecb();
}

const EVP_CIPHER *case020_good(void)
{
    return EVP_chacha20_poly1305();
}

unsigned case021_bad(void)
{
    srand((unsigned)time(NULL));
    unsigned token = (unsigned)rand();
    return token;
}

unsigned case021_good(void)
{
    unsigned token = 0;
    getentropy(&token, sizeof token);
    return token;
}

void case022_bad(CURL *c)
{
    curl_easy_setopt(c, CURLOPT_SSL_VERIFYPEER, 0L);
}

void case022_good(CURL *c)
{
    curl_easy_setopt(c, CURLOPT_SSL_VERIFYPEER, 1L);
}

int case023_bad(const char *given)
{
    const char *password = "Old-Oak-7788";
    return strcmp(given, password) == 0;
}

int case023_good(const char *given)
{
    const char *password = getenv("APP_PASSWORD");
    return password && strcmp(given, password) == 0;
}

void case024_good(void)
{
    /* gets(buf); strcpy(a, b);
     */
    const char *text = "system(argv[1]);";
    puts(text);
}

char *case025_bad(void)
{
    char *name = tmpnam(NULL);
    return name;
}

int case025_good(void)
{
    char name[] = "/tmp/x-XXXXXX";
    return mkstemp(name);
}
