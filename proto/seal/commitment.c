#include "proto/seal/commitment.h"

#include "proto/seal/hash.h"

#include <string.h>

struct commitment_salt commitment_salt_make(void)
{
    struct commitment_salt salt;
    seal_random(salt.b, sizeof salt.b);
    return salt;
}

struct sha256
commitment_make(const struct commitment_salt *salt, const char *name, const void *bytes, size_t n)
{
    const struct sha256_part parts[] = {
        {"lethe/", 6}, {name, strlen(name)}, {"/v1\n", 4}, {bytes, n}};
    return sha256_mac(salt->b, parts, sizeof parts / sizeof *parts);
}

int commitment_opens(const struct sha256 *commitment,
                     const struct commitment_salt *salt,
                     const char *name,
                     const void *bytes,
                     size_t n)
{
    const struct sha256 made = commitment_make(salt, name, bytes, n);
    return sha256_equal(commitment, &made);
}
