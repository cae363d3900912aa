#include "proto/seal/trunk_digest.h"

#include "proto/seal/hash.h"

struct digest trunk_digest(const struct digest *base, const struct digest *erasures, size_t n)
{
    static const char magic[8] = {'l', 'e', 't', 'h', 'e', 't', 'r', '1'};
    struct seal_hasher h;
    seal_hash_init(&h);
    seal_hash_update(&h, magic, sizeof magic);
    seal_hash_update(&h, base->b, sizeof base->b);
    for (size_t i = 0; i < n; i++)
        seal_hash_update(&h, erasures[i].b, sizeof erasures[i].b);
    return seal_hash_final(&h);
}
