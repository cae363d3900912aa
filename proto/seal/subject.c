#include "proto/seal/subject.h"

#include <stdio.h>
#include <string.h>

#include "proto/seal/hash.h"

static const char purpose[] = "lethe/subject/v1\n";
static const char prefix[] = "subject:";

struct digest subject_public(const char *id)
{
    struct seal_hasher h;
    if (id[0] == '\0')
        return (struct digest){0};
    seal_hash_init(&h);
    seal_hash_update(&h, purpose, sizeof purpose - 1);
    seal_hash_update(&h, id, strlen(id));
    return seal_hash_final(&h);
}

struct digest subject_stored(const struct subject_key *key, const struct digest *from_public)
{
    if (digest_is_zero(from_public))
        return (struct digest){0};
    return seal_hash_keyed(key->b, sizeof key->b, from_public->b, DIGEST_SIZE);
}

void subject_format(const struct digest *stored, char text[SUBJECT_TEXT_SIZE])
{
    memcpy(text, prefix, sizeof prefix - 1);
    digest_format(stored, text + sizeof prefix - 1);
}

int subject_parse(const char *text, struct digest *ret_stored)
{
    if (strncmp(text, prefix, sizeof prefix - 1) != 0)
        return -1;
    if (digest_parse(text + sizeof prefix - 1, ret_stored) != 0)
        return -1;
    return digest_is_zero(ret_stored) ? -1 : 0; /* nobody is nobody to ask for */
}
