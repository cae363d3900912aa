#include "client/result.h"

#include "client/lethe.h"
#include "daemon/base/invariant.h"
#include "daemon/base/sysio.h"
#include "proto/limits.h"

#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define RESULT_MAGIC 0x52657375u

/* Address space only: pages are taken as they are touched.  The decoded reply, raw frames, the
 * request, and at most twice the decoded reply for the public structures made from it. */
#define RESULT_BYTES ((size_t)3 * LIMIT_REPLY_DECODE_BYTES + (size_t)2 * LIMIT_MESSAGE_BYTES)

struct result {
    uint32_t magic;
    size_t mapped;
    struct arena arena;
};

/* The root lies behind the header, aligned like everything in an arena. */
#define HEADER_BYTES ((sizeof(struct result) + ARENA_ALIGN - 1) / ARENA_ALIGN * ARENA_ALIGN)

struct result *result_new(size_t root_bytes)
{
    void *memory = sysio_mmap(RESULT_BYTES, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
        return NULL;
    struct result *r = memory;
    const size_t head = HEADER_BYTES + (root_bytes + ARENA_ALIGN - 1) / ARENA_ALIGN * ARENA_ALIGN;
    r->magic = RESULT_MAGIC;
    r->mapped = RESULT_BYTES;
    arena_init(&r->arena, (unsigned char *)memory + head, RESULT_BYTES - head);
    return r;
}

void result_free(struct result *r)
{
    if (!r)
        return;
    INVARIANT(r->magic == RESULT_MAGIC);
    if (r->arena.base)
        arena_fini(&r->arena);
    r->magic = 0;
    (void)munmap(r, r->mapped);
}

void *result_root(struct result *r)
{
    return (unsigned char *)r + HEADER_BYTES;
}

struct arena *result_arena(struct result *r)
{
    return &r->arena;
}

void *result_finish(struct result *r)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    const size_t used = (size_t)(r->arena.base - (unsigned char *)r) + r->arena.used;
    const size_t keep = (used + page - 1) / page * page;
    arena_fini(&r->arena);
    if (keep < r->mapped && munmap((unsigned char *)r + keep, r->mapped - keep) == 0)
        r->mapped = keep;
    return result_root(r);
}

void lethe_free(void *result)
{
    if (!result)
        return;
    unsigned char *at = (unsigned char *)result - HEADER_BYTES;
    struct result *r = (void *)at;
    INVARIANT(r->magic == RESULT_MAGIC);
    result_free(r);
}
