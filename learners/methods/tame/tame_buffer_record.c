/*
 * One expert's samples in a buffer, as bytes: u32 groups; of each u32 label, u32 n, u8 has_bar,
 * u64 bar key, u64 bar id, then its n samples (u32 label, u64 key, u64 id, payload), worst first.
 */
#include "learners/methods/tame/tame_buffer.h"

#include "daemon/base/invariant.h"

#include <string.h>

#define TAME_SAMPLE_HEADER 20 /* bytes before a payload */

static void put_group(const struct tame_buffer *b,
                      const struct tame_group *g,
                      uint32_t start,
                      struct byte_writer *w)
{
    put_u32(w, g->label);
    put_u32(w, g->n);
    put_u8(w, (uint8_t)g->has_bar);
    put_u64(w, g->bar_key);
    put_u64(w, g->bar_id);
    for (uint32_t i = start; i < start + g->n; i++) {
        put_u32(w, b->entries[i].label);
        put_u64(w, b->entries[i].key);
        put_u64(w, b->entries[i].id);
        put_bytes(w, tame_buffer_payload(b, i), b->shape.payload_bytes);
    }
}

void tame_buffer_put(const struct tame_buffer *b, uint32_t expert, struct byte_writer *w)
{
    uint32_t groups = 0, start = 0;
    for (uint32_t g = 0; g < b->n_groups; g++)
        groups += b->groups[g].expert == expert;
    put_u32(w, groups);
    for (uint32_t g = 0; g < b->n_groups; g++) {
        if (b->groups[g].expert == expert)
            put_group(b, &b->groups[g], start, w);
        start += b->groups[g].n;
    }
}

/* True if `x` may follow `last` in its group. */
static int
in_order(const struct tame_buffer *b, const struct tame_entry *last, const struct tame_entry *x)
{
    const int key = x->key == last->key ? (x->id > last->id) - (x->id < last->id)
                                        : (x->key > last->key ? 1 : -1);
    return b->shape.smallest ? key < 0 : key > 0;
}

static enum status get_samples(struct tame_buffer *b,
                               const struct tame_group *g,
                               struct byte_reader *r,
                               int commit,
                               struct fault *f)
{
    struct tame_entry last = {0};
    for (uint32_t i = 0; i < g->n; i++) {
        struct tame_entry x = {.expert = g->expert};
        x.label = get_u32(r);
        x.key = get_u64(r);
        x.id = get_u64(r);
        if (r->failed || (i > 0 && !in_order(b, &last, &x)) ||
            (!b->shape.per_expert && x.label != g->label))
            FAIL(f, STATUS_BAD_FORMAT, "buffer", "samples are not in their order");
        uint8_t *to = commit ? tame_buffer_offer(b, x.expert, x.label, x.key, x.id) : NULL;
        if (to)
            get_bytes(r, to, b->shape.payload_bytes);
        else
            r->used += b->shape.payload_bytes;
        last = x;
    }
    return STATUS_OK;
}

static enum status
get_group(struct byte_reader *r, const struct tame_buffer *b, struct tame_group *g, struct fault *f)
{
    g->label = get_u32(r);
    g->n = get_u32(r);
    const uint8_t flag = get_u8(r);
    g->has_bar = flag;
    g->bar_key = get_u64(r);
    g->bar_id = get_u64(r);
    const size_t each = TAME_SAMPLE_HEADER + b->shape.payload_bytes;
    if (r->failed || flag > 1 || g->n > (r->size - r->used) / each)
        FAIL(f, STATUS_BAD_FORMAT, "buffer", "a group does not fit the record");
    if (b->shape.per_expert ? g->n > b->shape.per_expert || g->label != 0
                            : g->n > b->shape.capacity)
        FAIL(f, STATUS_BAD_FORMAT, "buffer", "%u samples are more than a group has", g->n);
    if (g->n == 0 && !g->has_bar)
        FAIL(f, STATUS_BAD_FORMAT, "buffer", "an empty group");
    return STATUS_OK;
}

/* Sets the bar of a group that was filled again; makes the group if no sample did. */
static void set_bar(struct tame_buffer *b, const struct tame_group *g)
{
    for (uint32_t i = 0; i < b->n_groups; i++)
        if (b->groups[i].expert == g->expert && b->groups[i].label == g->label) {
            struct tame_group *to = &b->groups[i];
            const struct tame_entry old = {.key = to->bar_key, .id = to->bar_id};
            const struct tame_entry bar = {.key = g->bar_key, .id = g->bar_id};
            /* truncation while filling may have raised it already */
            if (g->has_bar && (!to->has_bar || in_order(b, &old, &bar))) {
                to->has_bar = 1;
                to->bar_key = g->bar_key;
                to->bar_id = g->bar_id;
            }
            return;
        }
    struct tame_group empty = *g;
    empty.n = 0;
    tame_buffer_add_group(b, &empty);
}

enum status tame_buffer_get(
    struct tame_buffer *b, uint32_t expert, struct byte_reader *r, int commit, struct fault *f)
{
    const uint32_t n = get_u32(r);
    uint32_t last = 0;
    if (r->failed || n > b->shape.groups_max || (b->shape.per_expert && n > 1))
        FAIL(f, STATUS_BAD_FORMAT, "buffer", "%u groups are too many", n);
    for (uint32_t i = 0; i < n; i++) {
        struct tame_group g = {.expert = expert};
        TRY(get_group(r, b, &g, f));
        if (i > 0 && g.label <= last)
            FAIL(f, STATUS_BAD_FORMAT, "buffer", "groups are not ascending");
        TRY(get_samples(b, &g, r, commit, f));
        if (commit)
            set_bar(b, &g);
        last = g.label;
    }
    return STATUS_OK;
}
