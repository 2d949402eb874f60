#include <ctype.h>
#include <fcntl.h>
#include <limits.h>
#include <mysql/mysql.h>
#include <openssl/des.h>
#include <openssl/evp.h>
#include <openssl/md5.h>
#include <openssl/ssl.h>
#include <curl/curl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct peer {
    char name[32];
    char path[128];
    unsigned char key[16];
    char *note;
};

static const char *admin_password = "letmein-7788";

void set_name(struct peer *p, const char *from)
{
    strcpy(p->name, from);
}

void set_name_checked(struct peer *p, const char *from)
{
    if (strlen(from) >= sizeof p->name)
        return;
    strcpy(p->name, from);
}

void set_path(struct peer *p, const char *dir, const char *file)
{
    sprintf(p->path, "%s/%s", dir, file);
}

void set_path_bounded(struct peer *p, const char *dir, const char *file)
{
    snprintf(p->path, sizeof p->path, "%s/%s", dir, file);
}

int read_packet(int fd)
{
    char buf[256];
    unsigned short len;
    if (read(fd, &len, sizeof len) != sizeof len)
        return -1;
    return (int)read(fd, buf, len);
}

int read_packet_checked(int fd)
{
    char buf[256];
    unsigned short len;
    if (read(fd, &len, sizeof len) != sizeof len || len > sizeof buf)
        return -1;
    return (int)read(fd, buf, len);
}

void append_greeting(const char *user)
{
    char line[64] = "hello ";
    strcat(line, user);
    puts(line);
}

int ask(void)
{
    char answer[16];
    scanf("%s", answer);
    return answer[0] == 'y';
}

int ask_bounded(void)
{
    char answer[16];
    scanf("%15s", answer);
    return answer[0] == 'y';
}

void copy_key(struct peer *p, const unsigned char *data, size_t n)
{
    memcpy(p->key, data, n);
}

void copy_key_whole(struct peer *p, const unsigned char *data)
{
    memcpy(p->key, data, sizeof p->key);
}

void log_peer(const char *msg)
{
    syslog(LOG_INFO, msg);
}

void log_peer_safe(const char *msg)
{
    syslog(LOG_INFO, "%s", msg);
}

void log_file(FILE *f, const char *msg)
{
    fprintf(f, msg);
}

void drop(struct peer *p)
{
    free(p->note);
    printf("dropped %s\n", p->note);
}

void drop_twice(struct peer *p, int error)
{
    free(p->note);
    if (error)
        free(p->note);
}

void drop_once(struct peer *p)
{
    free(p->note);
    p->note = NULL;
    free(p->note);
}

int *table(size_t count)
{
    return malloc(count * sizeof(int));
}

int *table_safe(size_t count)
{
    return calloc(count, sizeof(int));
}

int ping(const char *host)
{
    char cmd[256];
    snprintf(cmd, sizeof cmd, "ping -c 1 %s", host);
    return system(cmd);
}

int sync_disk(void)
{
    return system("/bin/sync");
}

FILE *list_dir(char **argv)
{
    char cmd[512] = "ls -l ";
    strncat(cmd, argv[1], sizeof cmd - 7);
    return popen(cmd, "r");
}

int find_user(sqlite3 *db, const char *name)
{
    char sql[256];
    snprintf(sql, sizeof sql, "SELECT id FROM users WHERE name = '%s'", name);
    return sqlite3_exec(db, sql, NULL, NULL, NULL);
}

int find_user_mysql(MYSQL *db, const char *name)
{
    char sql[256];
    sprintf(sql, "SELECT id FROM users WHERE name = '%s'", name);
    return mysql_query(db, sql);
}

int find_user_bound(sqlite3 *db, sqlite3_stmt **st)
{
    return sqlite3_prepare_v2(db, "SELECT id FROM users WHERE name = ?", -1, st, NULL);
}

FILE *open_doc(const char *name)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "/srv/docs/%s", getenv("QUERY_STRING"));
    (void)name;
    return fopen(path, "r");
}

void digest(const unsigned char *d, size_t n, unsigned char *out)
{
    MD5(d, n, out);
}

void digest_safe(const unsigned char *d, size_t n, unsigned char *out)
{
    EVP_Digest(d, n, out, NULL, EVP_sha256(), NULL);
}

const EVP_CIPHER *cipher(void)
{
    return EVP_des_ede3_cbc();
}

const EVP_CIPHER *cipher_ecb(void)
{
    return EVP_aes_128_ecb();
}

const EVP_CIPHER *cipher_safe(void)
{
    return EVP_aes_256_gcm();
}

void session_key(unsigned char *key, size_t n)
{
    srand((unsigned)time(NULL));
    for (size_t i = 0; i < n; i++)
        key[i] = (unsigned char)rand();
}

void no_verify(SSL_CTX *ctx, CURL *curl)
{
    SSL_CTX_set_verify(ctx, SSL_VERIFY_NONE, NULL);
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 0L);
}

void verify(SSL_CTX *ctx, CURL *curl)
{
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 1L);
}

int scratch(void)
{
    char *name = tmpnam(NULL);
    return open(name, O_CREAT | O_RDWR, 0600);
}

int check_then_open(const char *path)
{
    if (access(path, W_OK) == 0)
        return open(path, O_WRONLY);
    return -1;
}
