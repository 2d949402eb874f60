#include <ctype.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#define MAX_NAME 16

struct user {
    int id;
    char name[MAX_NAME];
    char *email;
};

void CWE121_char_array_strcpy_bad(void)
{
    char *data;
    char dataBuffer[100];
    data = dataBuffer;
    memset(data, 'A', 100 - 1);
    data[100 - 1] = '\0';
    {
        char dest[50] = "";
        strcpy(dest, data);
        puts(dest);
    }
}

void CWE121_char_array_strcpy_good(void)
{
    char dest[50] = "";
    strcpy(dest, "hello");
    puts(dest);
}

void CWE122_malloc_loop_bad(void)
{
    char *data = (char *)malloc(50 * sizeof(char));
    if (data == NULL) { exit(-1); }
    {
        char source[100];
        memset(source, 'C', 100 - 1);
        source[100 - 1] = '\0';
        memmove(data, source, 100 * sizeof(char));
        data[49] = '\0';
        puts(data);
        free(data);
    }
}

void CWE122_malloc_good(void)
{
    char *data = (char *)malloc(100 * sizeof(char));
    if (data == NULL) { exit(-1); }
    {
        char source[100];
        memset(source, 'C', 100 - 1);
        source[100 - 1] = '\0';
        memmove(data, source, 100 * sizeof(char));
        free(data);
    }
}

void set_name_bad(struct user *u, const char *name)
{
    sprintf(u->name, "%s", name);
}

void set_name_good(struct user *u, const char *name)
{
    snprintf(u->name, sizeof(u->name), "%s", name);
}

void CWE129_fgets_bad(void)
{
    int data = -1;
    char inputBuffer[20] = "";
    if (fgets(inputBuffer, 20, stdin) != NULL) {
        data = atoi(inputBuffer);
    }
    {
        int buffer[10] = { 0 };
        if (data >= 0) {
            buffer[data] = 1;
        }
    }
}

void CWE129_fgets_good(void)
{
    int data = -1;
    char inputBuffer[20] = "";
    if (fgets(inputBuffer, 20, stdin) != NULL) {
        data = atoi(inputBuffer);
    }
    {
        int buffer[10] = { 0 };
        if (data >= 0 && data < (10)) {
            buffer[data] = 1;
        }
    }
}

void CWE134_console_bad(void)
{
    char data[100] = "";
    if (fgets(data, 100, stdin) == NULL)
        return;
    fprintf(stdout, data);
}

void CWE134_console_good(void)
{
    char data[100] = "";
    if (fgets(data, 100, stdin) == NULL)
        return;
    fprintf(stdout, "%s\n", data);
}

static void log_line(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
}

void use_log(void)
{
    log_line("%s %d\n", "x", 1);
}

void CWE78_env_bad(void)
{
    char data[100] = "ls ";
    size_t len = strlen(data);
    char *environment = getenv("ADD");
    if (environment != NULL) {
        strncat(data + len, environment, 100 - len - 1);
    }
    if (system(data) != 0) {
        puts("failed");
    }
}

void CWE78_env_good(void)
{
    char data[100] = "ls ";
    strcat(data, "*.*");
    if (system(data) != 0) {
        puts("failed");
    }
}

int main(int argc, char **argv)
{
    char line[512];
    if (argc < 2)
        return 1;
    for (int i = 1; i < argc; i++) {
        snprintf(line, sizeof line, "wc -l '%s'", argv[i]);
        FILE *p = popen(line, "r");
        if (p)
            pclose(p);
    }
    char *args[] = {"wc", "-l", argv[1], NULL};
    execvp("wc", args);
    return 0;
}

void CWE416_bad(void)
{
    struct user *u = (struct user *)calloc(1, sizeof(struct user));
    if (u == NULL) { exit(-1); }
    u->id = 5;
    free(u);
    printf("%d\n", u->id);
}

void CWE416_good(void)
{
    struct user *u = (struct user *)calloc(1, sizeof(struct user));
    if (u == NULL) { exit(-1); }
    u->id = 5;
    printf("%d\n", u->id);
    free(u);
}

static char *helper_freed(char *s)
{
    char *up = strdup(s);
    free(s);
    return up;
}

void CWE416_helper_bad(void)
{
    char *s = strdup("abc");
    char *t = helper_freed(s);
    puts(s);
    free(t);
}

void CWE415_bad(void)
{
    char *data = (char *)malloc(100);
    if (data == NULL) { exit(-1); }
    free(data);
    free(data);
}

void CWE415_loop_good(char **list, int n)
{
    for (int i = 0; i < n; i++)
        free(list[i]);
    free(list);
}

void CWE415_switch(int kind)
{
    char *a = malloc(4);
    switch (kind) {
    case 1:
        free(a);
        break;
    default:
        break;
    }
    free(a);
}

void CWE190_bad(void)
{
    int data = 0;
    fscanf(stdin, "%d", &data);
    {
        int result = data * 2;
        printf("%d\n", result);
    }
}

void CWE190_good(void)
{
    int data = 0;
    fscanf(stdin, "%d", &data);
    if (data > 0 && data < (INT_MAX / 2)) {
        int result = data * 2;
        printf("%d\n", result);
    }
}

struct user *alloc_users(FILE *f)
{
    unsigned int n;
    if (fread(&n, sizeof n, 1, f) != 1)
        return NULL;
    return malloc(n * sizeof(struct user));
}

void CWE367_bad(const char *file)
{
    struct stat sb;
    if (stat(file, &sb) == -1)
        return;
    if (sb.st_uid == getuid()) {
        int fd = open(file, O_RDWR);
        close(fd);
    }
}

void CWE367_good(const char *file)
{
    struct stat sb;
    int fd = open(file, O_RDWR | O_NOFOLLOW);
    if (fd < 0 || fstat(fd, &sb) == -1)
        return;
    close(fd);
}

void CWE23_bad(void)
{
    char name[100], full[200];
    if (scanf("%99s", name) != 1)
        return;
    strcpy(full, "/srv/");
    strncat(full, name, 150);
    FILE *f = fopen(full, "r");
    if (f)
        fclose(f);
}

void CWE23_good(void)
{
    char name[100], full[200];
    if (scanf("%99s", name) != 1)
        return;
    for (char *c = name; *c; c++)
        if (!isalnum((unsigned char)*c))
            return;
    snprintf(full, sizeof full, "/srv/%s", name);
    FILE *f = fopen(full, "r");
    if (f)
        fclose(f);
}

void CWE327(const unsigned char *d, size_t n, unsigned char *key)
{
    unsigned char out[64];
    unsigned int len;
    EVP_MD_CTX *m = EVP_MD_CTX_new();
    EVP_DigestInit_ex(m, EVP_md5(), NULL);
    EVP_DigestInit_ex(m, EVP_sha512(), NULL);
    EVP_DigestUpdate(m, d, n);
    EVP_DigestFinal_ex(m, out, &len);
    EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
    EVP_EncryptInit_ex(c, EVP_des_ede3_cbc(), NULL, key, NULL);
    EVP_EncryptInit_ex(c, EVP_aes_256_ctr(), NULL, key, NULL);
}

void CWE338_bad(unsigned char *session_key)
{
    for (int i = 0; i < 16; i++)
        session_key[i] = rand() & 0xff;
}

void CWE338_good(unsigned char *session_key)
{
    if (RAND_bytes(session_key, 16) != 1)
        abort();
}

void CWE377_bad(void)
{
    char name[L_tmpnam];
    tmpnam(name);
    FILE *f = fopen(name, "w+");
    if (f)
        fclose(f);
}

void CWE732(void)
{
    chmod("/etc/app.conf", 0666);
    chmod("/etc/app.conf", 0644);
}

int CWE798_bad(const char *password)
{
    return strcmp(password, "Adm1n$ecret") == 0;
}
