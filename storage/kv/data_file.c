#include "storage/kv/data_file.h"

#include "daemon/base/bytes.h"
#include "daemon/base/sysio.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE_HEADER   16u
#define NODE_HEADER   8u
#define META_SIZE     152u
#define META_MAGIC    0xBEEFC0DEu
#define META_VERSION  1u
#define PAGE_MIN      512u
#define PAGE_MAX      65536u
#define KEY_MAX       511u
#define DEPTH_MAX     32u
#define NO_PAGE       UINT64_MAX
#define PAGE_BRANCH   0x01u
#define PAGE_LEAF     0x02u
#define PAGE_OVERFLOW 0x04u
#define PAGE_META     0x08u
#define NODE_BIG      0x01u /* the value is in an overflow run */
#define NODE_TREE     0x02u /* the value is a tree record */

struct tree {
    uint16_t flags;
    uint16_t depth;
    uint64_t root;
};

struct meta {
    uint32_t page_size;
    struct tree free;
    struct tree main;
    uint64_t last_page;
    uint64_t transaction;
};

enum tree_kind { TREE_FREE, TREE_MAIN, TREE_NAMED };

struct data_file {
    int fd;
    uint64_t size;
    struct meta meta;
    uint8_t *seen;  /* one bit a page: each belongs to one place */
    uint8_t *pages; /* one page buffer a level of the tree being walked */
    struct fault *f;
};

struct node {
    const uint8_t *key;
    size_t key_size;
    unsigned flags;
    uint64_t child; /* branch */
    const uint8_t *value;
    uint64_t value_size;
};

#define DAMAGED(d, page, ...) return damaged((d)->f, __LINE__, (page), __VA_ARGS__)

static enum status damaged(struct fault *f, int line, uint64_t page, const char *how)
{
    return fault_set(f, STATUS_DATA_LOSS, __FILE__, line, "store",
                     "the data file is damaged at page %llu: %s", (unsigned long long)page, how);
}

static enum status read_at(struct data_file *d, uint64_t offset, void *to, size_t n)
{
    uint8_t *p = to;
    while (n > 0) {
        const ssize_t got = sysio_should_fail(SYSIO_READ) ? -1 : pread(d->fd, p, n, (off_t)offset);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            FAIL(d->f, status_from_errno(errno), "store", "cannot read the data file: %s",
                 strerror(errno));
        if (got == 0)
            FAIL(d->f, STATUS_DATA_LOSS, "store",
                 "the data file ends at %llu bytes, but goes on in its own record",
                 (unsigned long long)offset);
        p += got;
        offset += (uint64_t)got;
        n -= (size_t)got;
    }
    return STATUS_OK;
}

/* ---------------------------------------------------------------- meta pages */

static struct tree get_tree(struct byte_reader *r)
{
    struct tree t;
    (void)get_u32(r);
    t.flags = get_u16(r);
    t.depth = get_u16(r);
    for (size_t i = 0; i < 4; i++)
        (void)get_u64(r);
    t.root = get_u64(r);
    return t;
}

static enum status read_meta(struct data_file *d, uint64_t number, uint64_t offset, struct meta *m)
{
    uint8_t b[META_SIZE];
    TRY(read_at(d, offset, b, sizeof b));
    struct byte_reader r = byte_reader_make(b, sizeof b);
    (void)get_u64(&r);
    (void)get_u16(&r);
    const uint16_t flags = get_u16(&r);
    (void)get_u32(&r);
    if ((flags & PAGE_META) == 0 || get_u32(&r) != META_MAGIC)
        DAMAGED(d, number, "not a meta page");
    if (get_u32(&r) != META_VERSION)
        DAMAGED(d, number, "unknown version of the file format");
    (void)get_u64(&r);
    (void)get_u64(&r);
    struct byte_reader size = r;
    m->page_size = get_u32(&size);
    m->free = get_tree(&r);
    m->main = get_tree(&r);
    m->last_page = get_u64(&r);
    m->transaction = get_u64(&r);
    if (m->page_size < PAGE_MIN || m->page_size > PAGE_MAX ||
        (m->page_size & (m->page_size - 1)) != 0)
        DAMAGED(d, number, "impossible page size");
    if (m->last_page < 1 || m->last_page >= d->size / m->page_size)
        DAMAGED(d, number, "the file is shorter than its own record says");
    return STATUS_OK;
}

/* As LMDB does: both must be sound, the one of the later transaction counts. */
static enum status read_metas(struct data_file *d)
{
    struct meta second;
    TRY(read_meta(d, 0, 0, &d->meta));
    TRY(read_meta(d, 1, d->meta.page_size, &second));
    if (second.page_size != d->meta.page_size)
        DAMAGED(d, 1, "the meta pages disagree on the page size");
    if (second.transaction > d->meta.transaction)
        d->meta = second;
    return STATUS_OK;
}

/* ---------------------------------------------------------------- pages */

static enum status take_pages(struct data_file *d, uint64_t page, uint64_t count)
{
    if (page < 2 || page > d->meta.last_page || count == 0 || count > d->meta.last_page - page + 1)
        DAMAGED(d, page, "a page outside the file is named");
    for (uint64_t p = page; p < page + count; p++) {
        if (d->seen[p / 8] & (1u << (p % 8)))
            DAMAGED(d, p, "a page is used twice");
        d->seen[p / 8] |= (uint8_t)(1u << (p % 8));
    }
    return STATUS_OK;
}

static uint16_t u16_at(const uint8_t *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}

static uint64_t u64_at(const uint8_t *p)
{
    struct byte_reader r = byte_reader_make(p, 8);
    return get_u64(&r);
}

/* Reads a branch or leaf page and checks its header; *ret_keys is its number of nodes. */
static enum status
read_page(struct data_file *d, uint64_t number, unsigned expected, uint8_t *page, size_t *ret_keys)
{
    const uint32_t size = d->meta.page_size;
    TRY(take_pages(d, number, 1));
    TRY(read_at(d, number * size, page, size));
    const unsigned lower = u16_at(page + 12);
    const unsigned upper = u16_at(page + 14);
    if (u64_at(page) != number || u16_at(page + 10) != expected)
        DAMAGED(d, number, "another kind of page is expected here");
    if (lower < PAGE_HEADER || lower > upper || upper > size || lower % 2 != 0)
        DAMAGED(d, number, "impossible bounds");
    *ret_keys = (lower - PAGE_HEADER) / 2;
    /* LMDB insists on two children; and an empty tree has no page at all. */
    if (*ret_keys < (expected == PAGE_BRANCH ? 2u : 1u))
        DAMAGED(d, number, "too few entries");
    return STATUS_OK;
}

static enum status
get_node(struct data_file *d, uint64_t number, const uint8_t *page, size_t i, struct node *n)
{
    const size_t size = d->meta.page_size;
    const size_t at = u16_at(page + PAGE_HEADER + 2 * i);
    if (at < u16_at(page + 14) || at + NODE_HEADER > size)
        DAMAGED(d, number, "an entry lies outside the page");
    const uint8_t *p = page + at;
    const uint64_t low = u16_at(p) | (uint64_t)u16_at(p + 2) << 16;
    n->flags = u16_at(p + 4);
    n->key_size = u16_at(p + 6);
    n->key = p + NODE_HEADER;
    n->child = low | (uint64_t)n->flags << 32;
    n->value = n->key + n->key_size;
    n->value_size = low;
    size_t inside = NODE_HEADER + n->key_size;
    if (u16_at(page + 10) == PAGE_LEAF)
        inside += n->flags & NODE_BIG ? 8 : (size_t)low;
    if (n->key_size > KEY_MAX || inside > size - at)
        DAMAGED(d, number, "an entry is longer than the page");
    return STATUS_OK;
}

/* ---------------------------------------------------------------- values */

static enum status check_overflow(struct data_file *d, uint64_t number, const struct node *n)
{
    uint8_t head[PAGE_HEADER];
    const uint64_t first = u64_at(n->value);
    if (first > d->meta.last_page)
        DAMAGED(d, number, "a value outside the file is named");
    TRY(read_at(d, first * d->meta.page_size, head, sizeof head));
    const uint64_t pages = u16_at(head + 12) | (uint64_t)u16_at(head + 14) << 16;
    if (u64_at(head) != first || u16_at(head + 10) != PAGE_OVERFLOW)
        DAMAGED(d, first, "the head of a long value is expected here");
    if (pages > d->meta.last_page || pages * d->meta.page_size < PAGE_HEADER + n->value_size)
        DAMAGED(d, first, "a long value does not fit its pages");
    return take_pages(d, first, pages);
}

/* A record of the free list: u64 count, then page numbers in falling order. */
static enum status check_free(struct data_file *d, uint64_t number, const struct node *n)
{
    const uint64_t words = n->value_size / 8;
    if (n->key_size != 8 || n->value_size % 8 != 0 || words == 0)
        DAMAGED(d, number, "a record of the free list is malformed");
    uint8_t *list = sysio_alloc((size_t)words, 8);
    if (!list)
        FAIL(d->f, STATUS_NO_MEMORY, NULL, "no memory to check the store");
    enum status st = STATUS_OK;
    if (n->flags & NODE_BIG)
        st = read_at(d, u64_at(n->value) * d->meta.page_size + PAGE_HEADER, list,
                     (size_t)n->value_size);
    else
        memcpy(list, n->value, (size_t)n->value_size);
    const uint64_t count = st == STATUS_OK ? u64_at(list) : 0;
    uint64_t above = d->meta.last_page + 1;
    if (count > words - 1)
        st = damaged(d->f, __LINE__, number, "a record of the free list counts too much");
    for (uint64_t i = 1; st == STATUS_OK && i <= count; i++) {
        const uint64_t page = u64_at(list + 8 * i);
        if (page < 2 || page >= above)
            st = damaged(d->f, __LINE__, number, "the free list names an impossible page");
        else
            st = take_pages(d, page, 1);
        above = page;
    }
    sysio_free(list);
    return st;
}

/* ---------------------------------------------------------------- trees */

static enum status walk_tree(struct data_file *d, const struct tree *t, enum tree_kind kind);

static enum status
check_leaf_node(struct data_file *d, uint64_t number, const struct node *n, enum tree_kind kind)
{
    if (n->flags & ~(NODE_BIG | NODE_TREE))
        DAMAGED(d, number, "an entry has unknown flags");
    if (n->flags & NODE_BIG)
        TRY(check_overflow(d, number, n));
    if (kind == TREE_FREE)
        return check_free(d, number, n);
    if ((n->flags & NODE_TREE) == 0)
        return STATUS_OK;
    if (kind != TREE_MAIN || n->flags != NODE_TREE || n->value_size != 48)
        DAMAGED(d, number, "a tree in an impossible place");
    struct byte_reader r = byte_reader_make(n->value, 48);
    const struct tree inner = get_tree(&r);
    return walk_tree(d, &inner, TREE_NAMED);
}

/* Keys rise; the first key of a branch page stands for "everything below" and is not compared. */
static enum status check_order(struct data_file *d,
                               uint64_t number,
                               const struct node *a,
                               const struct node *b,
                               enum tree_kind kind)
{
    int order;
    if (kind == TREE_FREE) {
        const uint64_t x = a->key_size == 8 ? u64_at(a->key) : NO_PAGE;
        const uint64_t y = b->key_size == 8 ? u64_at(b->key) : 0;
        order = x < y ? -1 : 1;
    } else {
        const size_t n = a->key_size < b->key_size ? a->key_size : b->key_size;
        order = memcmp(a->key, b->key, n);
        if (order == 0)
            order = a->key_size < b->key_size ? -1 : 1;
    }
    if (order > 0)
        DAMAGED(d, number, "the keys are not in order");
    return STATUS_OK;
}

static enum status
walk_page(struct data_file *d, uint64_t number, unsigned level, unsigned depth, enum tree_kind kind)
{
    const unsigned expected = level + 1 == depth ? PAGE_LEAF : PAGE_BRANCH;
    /* The main tree's leaves hold other trees, whose walk needs buffers of its own. */
    uint8_t *page =
        d->pages + (size_t)((kind == TREE_NAMED ? DEPTH_MAX : 0) + level) * d->meta.page_size;
    struct node last = {0};
    size_t keys = 0;
    TRY(read_page(d, number, expected, page, &keys));
    for (size_t i = 0; i < keys; i++) {
        struct node n;
        TRY(get_node(d, number, page, i, &n));
        if (i > (expected == PAGE_BRANCH ? 1u : 0u))
            TRY(check_order(d, number, &last, &n, kind));
        if (expected == PAGE_BRANCH)
            TRY(walk_page(d, n.child, level + 1, depth, kind));
        else
            TRY(check_leaf_node(d, number, &n, kind));
        last = n;
    }
    return STATUS_OK;
}

static enum status walk_tree(struct data_file *d, const struct tree *t, enum tree_kind kind)
{
    if (t->root == NO_PAGE)
        return STATUS_OK;
    if (t->depth == 0 || t->depth > DEPTH_MAX)
        DAMAGED(d, t->root, "a tree of impossible depth");
    return walk_page(d, t->root, 0, t->depth, kind);
}

static enum status check_open_file(struct data_file *d)
{
    TRY(read_metas(d));
    d->seen = sysio_alloc((size_t)(d->meta.last_page / 8 + 1), 1);
    d->pages = sysio_alloc((size_t)2 * DEPTH_MAX, d->meta.page_size);
    if (!d->seen || !d->pages)
        FAIL(d->f, STATUS_NO_MEMORY, NULL, "no memory to check the store");
    TRY(walk_tree(d, &d->meta.free, TREE_FREE));
    return walk_tree(d, &d->meta.main, TREE_MAIN);
}

enum status data_file_check(const char *path, int must_exist, struct fault *f)
{
    struct data_file d = {.f = f};
    struct stat info;
    d.fd = sysio_open(path, O_RDONLY, 0);
    if (d.fd < 0 && (errno != ENOENT || must_exist))
        FAIL(f, errno == ENOENT ? STATUS_DATA_LOSS : status_from_errno(errno), "store",
             "cannot open %.80s: %s", path, strerror(errno));
    if (d.fd < 0)
        return STATUS_OK;
    enum status st = STATUS_OK;
    if (fstat(d.fd, &info) != 0 || !S_ISREG(info.st_mode))
        st = fault_set(f, STATUS_DATA_LOSS, __FILE__, __LINE__, "store", "%.80s is not a file",
                       path);
    d.size = st == STATUS_OK ? (uint64_t)info.st_size : 0;
    if (st == STATUS_OK && d.size == 0 && must_exist)
        st = fault_set(f, STATUS_DATA_LOSS, __FILE__, __LINE__, "store", "%.80s is empty", path);
    else if (st == STATUS_OK && d.size > 0)
        st = check_open_file(&d);
    sysio_free(d.seen);
    sysio_free(d.pages);
    (void)close(d.fd);
    return st;
}
