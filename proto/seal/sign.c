#include "proto/seal/sign.h"

#include "daemon/base/bytes.h"
#include "daemon/base/invariant.h"
#include "proto/seal/aead.h"
#include "proto/seal/base64.h"
#include "proto/seal/hash.h"
#include "proto/seal/sha256.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

#define SIGN_MAGIC   0x5349474eu
#define PRIVATE      "PRIVATE+KEY+"
#define PRIVATE_SIZE (sizeof PRIVATE - 1)
#define HEX_ID_SIZE  (2 * SIGN_KEY_ID_SIZE)
#define TYPED_SIZE   (1 + SIGN_PUBLIC_SIZE) /* type and key, as the text forms carry them */

_Static_assert(SIGN_PUBLIC_SIZE == crypto_sign_PUBLICKEYBYTES, "as Ed25519 has them");
_Static_assert(SIGN_SEED_SIZE == crypto_sign_SEEDBYTES, "as Ed25519 has them");
_Static_assert(SIGN_SEED_SIZE == SIGN_PUBLIC_SIZE, "both text forms have one length");
_Static_assert(SIGN_SIGNATURE_SIZE == crypto_sign_BYTES, "as Ed25519 has them");

/* In memory of seal_secret_alloc. */
struct sign_key {
    uint32_t magic;
    struct sign_vkey vkey;
    uint8_t secret[crypto_sign_SECRETKEYBYTES];
};

void sign_wipe(void *bytes, size_t n)
{
    sodium_memzero(bytes, n);
}

/* ---------------------------------------------------------------- names and public halves */

static int is_name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("._-/:~", c) != NULL);
}

int sign_name_is_valid(const char *name, size_t n)
{
    if (n == 0 || n > SIGN_NAME_MAX)
        return 0;
    for (size_t i = 0; i < n; i++)
        if (!is_name_char(name[i]))
            return 0;
    return 1;
}

static int is_type(unsigned type)
{
    return type == SIGN_LOG || type == SIGN_WITNESS;
}

static struct sign_vkey
make_vkey(const char *name, size_t n, enum sign_type type, const uint8_t *public)
{
    struct sign_vkey v = {.type = type};
    const uint8_t head[2] = {'\n', (uint8_t)type};
    memcpy(v.name, name, n);
    memcpy(v.public, public, SIGN_PUBLIC_SIZE);
    const struct sha256_part parts[] = {{name, n}, {head, sizeof head}, {public, SIGN_PUBLIC_SIZE}};
    const struct sha256 h = sha256_parts(parts, 3);
    memcpy(v.id, h.b, SIGN_KEY_ID_SIZE);
    return v;
}

struct sign_vkey
sign_vkey_make(const char *name, enum sign_type type, const uint8_t public[SIGN_PUBLIC_SIZE])
{
    INVARIANT(sign_name_is_valid(name, strlen(name)) && is_type(type));
    return make_vkey(name, strlen(name), type, public);
}

/* ---------------------------------------------------------------- text forms */

/* NAME+HEXID+BASE64(type || key) and a NUL; returns the length. */
static size_t format(const struct sign_vkey *v, const uint8_t *key, char *to, size_t size)
{
    uint8_t typed[TYPED_SIZE] = {(uint8_t)v->type};
    char id[HEX_ID_SIZE + 1], base64[BASE64_TEXT_SIZE(TYPED_SIZE)];
    memcpy(typed + 1, key, SIGN_PUBLIC_SIZE);
    hex_format(v->id, SIGN_KEY_ID_SIZE, id);
    base64_format(typed, sizeof typed, base64);
    const int n = snprintf(to, size, "%s+%s+%s", v->name, id, base64);
    INVARIANT(n > 0 && (size_t)n < size);
    sign_wipe(typed, sizeof typed);
    sign_wipe(base64, sizeof base64);
    return (size_t)n;
}

void sign_vkey_format(const struct sign_vkey *vkey, char text[SIGN_VKEY_SIZE])
{
    (void)format(vkey, vkey->public, text, SIGN_VKEY_SIZE);
}

/* The parts of NAME+HEXID+BASE64(type || key). */
struct key_text {
    const char *name; /* borrowed */
    size_t name_size;
    uint8_t id[SIGN_KEY_ID_SIZE];
    uint8_t typed[TYPED_SIZE];
};

/* 0, or -1: not of this form. */
static int split(const char *text, size_t n, struct key_text *ret)
{
    const size_t tail = HEX_ID_SIZE + 2 + BASE64_CHARS(TYPED_SIZE);
    if (n <= tail || !sign_name_is_valid(text, n - tail))
        return -1;
    const char *rest = text + (n - tail);
    char id[HEX_ID_SIZE + 1], again[HEX_ID_SIZE + 1];
    if (rest[0] != '+' || rest[1 + HEX_ID_SIZE] != '+')
        return -1;
    memcpy(id, rest + 1, HEX_ID_SIZE);
    id[HEX_ID_SIZE] = '\0';
    if (hex_parse(id, ret->id, SIGN_KEY_ID_SIZE) != 0 ||
        base64_parse_exact(rest + HEX_ID_SIZE + 2, BASE64_CHARS(TYPED_SIZE), ret->typed,
                           TYPED_SIZE) != 0)
        return -1;
    hex_format(ret->id, SIGN_KEY_ID_SIZE, again);
    ret->name = text;
    ret->name_size = n - tail;
    return memcmp(id, again, HEX_ID_SIZE) == 0 && is_type(ret->typed[0]) ? 0 : -1;
}

enum status sign_vkey_parse(const char *text, size_t n, struct sign_vkey *ret_vkey, struct fault *f)
{
    struct key_text t;
    if (split(text, n, &t) != 0)
        FAIL(f, STATUS_INVALID_ARGUMENT, "key", "not a verifier key NAME+HEXID+BASE64");
    const struct sign_vkey v =
        make_vkey(t.name, t.name_size, (enum sign_type)t.typed[0], t.typed + 1);
    if (memcmp(v.id, t.id, SIGN_KEY_ID_SIZE) != 0)
        FAIL(f, STATUS_INVALID_ARGUMENT, "key", "the id does not belong to this name and key");
    /* Every signature would hold under a point of small order. */
    if (!crypto_core_ed25519_is_valid_point(v.public))
        FAIL(f, STATUS_INVALID_ARGUMENT, "key", "not a usable Ed25519 public key");
    *ret_vkey = v;
    return STATUS_OK;
}

/* ---------------------------------------------------------------- secret halves */

enum status sign_key_from_seed(const char *name,
                               enum sign_type type,
                               const uint8_t seed[SIGN_SEED_SIZE],
                               struct sign_key **ret_key,
                               struct fault *f)
{
    INVARIANT(is_type(type));
    if (!sign_name_is_valid(name, strlen(name)))
        FAIL(f, STATUS_INVALID_ARGUMENT, "name",
             "a key name has 1 to %d of a-z A-Z 0-9 . _ - / : ~", SIGN_NAME_MAX);
    struct sign_key *key = seal_secret_alloc(sizeof *key);
    if (!key)
        FAIL(f, STATUS_NO_MEMORY, NULL, "no locked memory for a signing key");
    uint8_t public[SIGN_PUBLIC_SIZE];
    (void)crypto_sign_seed_keypair(public, key->secret, seed);
    key->magic = SIGN_MAGIC;
    key->vkey = make_vkey(name, strlen(name), type, public);
    *ret_key = key;
    return STATUS_OK;
}

enum status
sign_key_generate(const char *name, enum sign_type type, struct sign_key **ret_key, struct fault *f)
{
    uint8_t seed[SIGN_SEED_SIZE];
    seal_random(seed, sizeof seed);
    const enum status st = sign_key_from_seed(name, type, seed, ret_key, f);
    sign_wipe(seed, sizeof seed);
    return st;
}

void sign_key_free(struct sign_key *key)
{
    if (!key)
        return;
    INVARIANT(key->magic == SIGN_MAGIC);
    seal_secret_free(key);
}

const struct sign_vkey *sign_key_public(const struct sign_key *key)
{
    INVARIANT(key->magic == SIGN_MAGIC);
    return &key->vkey;
}

size_t sign_key_format(const struct sign_key *key, char text[SIGN_SECRET_SIZE])
{
    uint8_t seed[SIGN_SEED_SIZE];
    INVARIANT(key->magic == SIGN_MAGIC);
    (void)crypto_sign_ed25519_sk_to_seed(seed, key->secret);
    memcpy(text, PRIVATE, PRIVATE_SIZE);
    size_t n = PRIVATE_SIZE;
    n += format(&key->vkey, seed, text + n, SIGN_SECRET_SIZE - n - 1);
    text[n++] = '\n';
    text[n] = '\0';
    sign_wipe(seed, sizeof seed);
    return n;
}

static enum status from_text(const struct key_text *t, struct sign_key **ret_key, struct fault *f)
{
    char name[SIGN_NAME_SIZE] = {0};
    struct sign_key *key = NULL;
    memcpy(name, t->name, t->name_size);
    TRY(sign_key_from_seed(name, (enum sign_type)t->typed[0], t->typed + 1, &key, f));
    if (memcmp(key->vkey.id, t->id, SIGN_KEY_ID_SIZE) != 0) {
        sign_key_free(key);
        FAIL(f, STATUS_INVALID_ARGUMENT, "key", "the id does not belong to this name and key");
    }
    *ret_key = key;
    return STATUS_OK;
}

enum status sign_key_parse(const char *text, size_t n, struct sign_key **ret_key, struct fault *f)
{
    struct key_text t;
    if (n > 0 && text[n - 1] == '\n')
        n--;
    if (n < PRIVATE_SIZE || memcmp(text, PRIVATE, PRIVATE_SIZE) != 0 ||
        split(text + PRIVATE_SIZE, n - PRIVATE_SIZE, &t) != 0)
        FAIL(f, STATUS_INVALID_ARGUMENT, "key", "not a signing key PRIVATE+KEY+NAME+HEXID+BASE64");
    const enum status st = from_text(&t, ret_key, f);
    sign_wipe(&t, sizeof t);
    return st;
}

/* ---------------------------------------------------------------- signatures */

void sign_bytes(const struct sign_key *key,
                const void *bytes,
                size_t n,
                uint8_t ret_signature[SIGN_SIGNATURE_SIZE])
{
    INVARIANT(key->magic == SIGN_MAGIC);
    (void)crypto_sign_detached(ret_signature, NULL, bytes, n, key->secret);
}

int sign_verify(const uint8_t public[SIGN_PUBLIC_SIZE],
                const void *bytes,
                size_t n,
                const uint8_t signature[SIGN_SIGNATURE_SIZE])
{
    return crypto_sign_verify_detached(signature, bytes, n, public) == 0;
}
