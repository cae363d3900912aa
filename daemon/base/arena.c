#include "daemon/base/arena.h"

#include "daemon/base/invariant.h"

#include <string.h>

#if defined(__SANITIZE_ADDRESS__)
#define ARENA_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_ASAN 1
#endif
#endif

#ifdef ARENA_ASAN
#include <sanitizer/asan_interface.h>
#define ARENA_POISON(p, n)   ASAN_POISON_MEMORY_REGION((p), (n))
#define ARENA_UNPOISON(p, n) ASAN_UNPOISON_MEMORY_REGION((p), (n))
#else
#define ARENA_POISON(p, n)   ((void)(p), (void)(n))
#define ARENA_UNPOISON(p, n) ((void)(p), (void)(n))
#endif

#define ARENA_MAGIC    0x41524e41u
#define ARENA_RED_ZONE 64u

int size_mul(size_t a, size_t b, size_t *ret_product)
{
    return !__builtin_mul_overflow(a, b, ret_product);
}

/* Bytes that an allocation takes: payload rounded up, and a red zone. False on overflow. */
static int arena_footprint(size_t count, size_t size, size_t *ret_bytes)
{
    size_t n;
    if (!size_mul(count, size, &n) || n > SIZE_MAX - ARENA_ALIGN - ARENA_RED_ZONE)
        return 0;
    *ret_bytes = (n + ARENA_ALIGN - 1) / ARENA_ALIGN * ARENA_ALIGN + ARENA_RED_ZONE;
    return 1;
}

void arena_init(struct arena *a, void *memory, size_t size)
{
    uintptr_t at = (uintptr_t)memory;
    size_t skip = (ARENA_ALIGN - at % ARENA_ALIGN) % ARENA_ALIGN;
    if (skip > size)
        skip = size;
    *a = (struct arena){
        .magic = ARENA_MAGIC, .base = (unsigned char *)memory + skip, .size = size - skip};
    ARENA_POISON(a->base, a->size);
}

void arena_fini(struct arena *a)
{
    INVARIANT(a->magic == ARENA_MAGIC);
    ARENA_UNPOISON(a->base, a->size);
    *a = (struct arena){0};
}

void *arena_alloc(struct arena *a, size_t count, size_t size)
{
    INVARIANT(a->magic == ARENA_MAGIC);
    size_t n;
    if (!arena_footprint(count, size, &n) || n > a->size - a->used)
        return NULL;
    void *p = a->base + a->used;
    ARENA_UNPOISON(p, count * size);
    a->used += n;
    if (a->used > a->high_water)
        a->high_water = a->used;
    return p;
}

void *arena_alloc_zero(struct arena *a, size_t count, size_t size)
{
    void *p = arena_alloc(a, count, size);
    if (p)
        memset(p, 0, count * size);
    return p;
}

struct arena_mark arena_mark(const struct arena *a)
{
    return (struct arena_mark){a->used};
}

void arena_rewind(struct arena *a, struct arena_mark mark)
{
    INVARIANT(a->magic == ARENA_MAGIC && mark.used <= a->used);
    a->used = mark.used;
    ARENA_POISON(a->base + a->used, a->size - a->used);
}

size_t arena_high_water(const struct arena *a)
{
    return a->high_water;
}

void arena_plan_add(struct arena_plan *p, size_t count, size_t size)
{
    size_t n;
    if (!arena_footprint(count, size, &n) || p->bytes > SIZE_MAX - ARENA_ALIGN - n)
        p->bytes = SIZE_MAX - ARENA_ALIGN;
    else
        p->bytes += n;
}

size_t arena_plan_bytes(const struct arena_plan *p)
{
    /* room for aligning the block itself */
    return p->bytes + ARENA_ALIGN;
}
