#include "api/rest/handshake.h"

#include <openssl/evp.h>
#include <stdio.h>

#define GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

bool handshake_accept(const char *key, char ret[HANDSHAKE_ACCEPT_MAX])
{
    unsigned char sum[EVP_MAX_MD_SIZE];
    unsigned int n;
    char text[128];
    int len = snprintf(text, sizeof text, "%.64s" GUID, key);
    if (!EVP_Digest(text, (size_t)len, sum, &n, EVP_sha1(), NULL)) /* 20 bytes: 28 characters and a 0 */
        return false;
    EVP_EncodeBlock((unsigned char *)ret, sum, (int)n);
    return true;
}
