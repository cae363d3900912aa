#include "learners/methods/tame/tame_buffer.h"

#include "daemon/base/invariant.h"

#include <string.h>

void tame_buffer_plan(const struct tame_buffer_shape *s, struct arena_plan *p)
{
    arena_plan_add(p, s->capacity, sizeof(struct tame_entry));
    arena_plan_add(p, s->groups_max, sizeof(struct tame_group));
    arena_plan_add(p, s->capacity, sizeof(uint32_t));
    arena_plan_add(p, s->capacity, s->payload_bytes);
}

int tame_buffer_new(const struct tame_buffer_shape *s,
                    struct arena *arena,
                    struct tame_buffer *ret_buffer)
{
    struct tame_buffer b = {.shape = *s};
    b.entries = arena_alloc(arena, s->capacity, sizeof *b.entries);
    b.groups = arena_alloc(arena, s->groups_max, sizeof *b.groups);
    b.free_places = arena_alloc(arena, s->capacity, sizeof *b.free_places);
    b.payload = arena_alloc(arena, s->capacity, s->payload_bytes);
    if (!b.entries || !b.groups || !b.free_places || !b.payload)
        return 0;
    for (uint32_t i = 0; i < s->capacity; i++)
        b.free_places[i] = s->capacity - 1 - i;
    *ret_buffer = b;
    return 1;
}

/* ------------------------------------------------------------------ order */

static int compare_u64(uint64_t a, uint64_t b)
{
    return a < b ? -1 : a > b;
}

/* Rank of two samples of a group: above 0 if the first is the better one. */
static int
rank(const struct tame_buffer *b, uint64_t key, uint64_t id, uint64_t other_key, uint64_t other_id)
{
    const int k = compare_u64(key, other_key);
    const int order = k ? k : compare_u64(id, other_id);
    return b->shape.smallest ? -order : order;
}

static uint32_t group_label(const struct tame_buffer *b, uint32_t label)
{
    return b->shape.per_expert ? 0 : label;
}

static int compare_group(uint32_t expert, uint32_t label, uint32_t other, uint32_t other_label)
{
    const int e = compare_u64(expert, other);
    return e ? e : compare_u64(label, other_label);
}

/* First group that is not before (expert, label). */
static uint32_t group_at(const struct tame_buffer *b, uint32_t expert, uint32_t label)
{
    uint32_t lo = 0, hi = b->n_groups;
    while (lo < hi) {
        const uint32_t mid = lo + (hi - lo) / 2;
        const struct tame_group *g = &b->groups[mid];
        if (compare_group(g->expert, g->label, expert, label) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

static int group_is(const struct tame_buffer *b, uint32_t g, uint32_t expert, uint32_t label)
{
    return g < b->n_groups && b->groups[g].expert == expert && b->groups[g].label == label;
}

/* First entry of group g: groups and entries are in the same order. */
static uint32_t group_start(const struct tame_buffer *b, uint32_t g)
{
    uint32_t at = 0;
    for (uint32_t i = 0; i < g; i++)
        at += b->groups[i].n;
    return at;
}

uint32_t tame_buffer_quota(const struct tame_buffer *b)
{
    if (b->shape.per_expert)
        return b->shape.per_expert;
    const uint32_t share = b->n_groups ? b->shape.capacity / b->n_groups : b->shape.capacity;
    return share ? share : 1;
}

/* ------------------------------------------------------------------ change */

static void raise_bar(const struct tame_buffer *b, struct tame_group *g, uint64_t key, uint64_t id)
{
    if (g->has_bar && rank(b, key, id, g->bar_key, g->bar_id) <= 0)
        return;
    g->has_bar = 1;
    g->bar_key = key;
    g->bar_id = id;
}

static void drop_entry(struct tame_buffer *b, uint32_t at)
{
    const uint32_t place = b->entries[at].place;
    memset(b->payload + place * b->shape.payload_bytes, 0, b->shape.payload_bytes);
    memmove(b->entries + at, b->entries + at + 1, (b->n - at - 1) * sizeof *b->entries);
    b->n--;
    b->free_places[b->shape.capacity - b->n - 1] = place;
}

/* The lowest entries of every group go until each fits into its share. */
static void truncate_groups(struct tame_buffer *b)
{
    const uint32_t quota = tame_buffer_quota(b);
    uint32_t start = 0;
    for (uint32_t g = 0; g < b->n_groups; g++) {
        struct tame_group *x = &b->groups[g];
        for (; x->n > quota; x->n--) {
            raise_bar(b, x, b->entries[start].key, b->entries[start].id);
            drop_entry(b, start);
        }
        start += x->n;
    }
}

/* A new, empty group at g; false if there is no place for it. */
static int insert_group(struct tame_buffer *b, uint32_t g, uint32_t expert, uint32_t label)
{
    if (b->n_groups == b->shape.groups_max || b->n_groups == b->shape.capacity)
        return 0;
    memmove(b->groups + g + 1, b->groups + g, (b->n_groups - g) * sizeof *b->groups);
    b->groups[g] = (struct tame_group){.expert = expert, .label = label};
    b->n_groups++;
    truncate_groups(b);
    return 1;
}

void tame_buffer_add_group(struct tame_buffer *b, const struct tame_group *x)
{
    const uint32_t g = group_at(b, x->expert, x->label);
    INVARIANT(!group_is(b, g, x->expert, x->label) && x->n == 0);
    if (insert_group(b, g, x->expert, x->label))
        b->groups[g] = *x;
}

static void remove_group(struct tame_buffer *b, uint32_t g)
{
    memmove(b->groups + g, b->groups + g + 1, (b->n_groups - g - 1) * sizeof *b->groups);
    b->n_groups--;
}

static int known_id(const struct tame_buffer *b, uint64_t id)
{
    for (uint32_t i = 0; i < b->n; i++)
        if (b->entries[i].id == id)
            return 1;
    return 0;
}

/* Puts the sample in its order into group g, which has a place. */
static uint8_t *insert_entry(struct tame_buffer *b, uint32_t g, const struct tame_entry *x)
{
    const uint32_t start = group_start(b, g), end = start + b->groups[g].n;
    uint32_t at = start;
    while (at < end && rank(b, x->key, x->id, b->entries[at].key, b->entries[at].id) > 0)
        at++;
    const uint32_t place = b->free_places[b->shape.capacity - b->n - 1];
    memmove(b->entries + at + 1, b->entries + at, (b->n - at) * sizeof *b->entries);
    b->entries[at] = *x;
    b->entries[at].place = place;
    b->n++;
    b->groups[g].n++;
    return b->payload + place * b->shape.payload_bytes;
}

uint8_t *
tame_buffer_offer(struct tame_buffer *b, uint32_t expert, uint32_t label, uint64_t key, uint64_t id)
{
    const struct tame_entry x = {.key = key, .id = id, .expert = expert, .label = label};
    const uint32_t of = group_label(b, label);
    const uint32_t g = group_at(b, expert, of);
    if (b->shape.capacity == 0)
        return NULL;
    if (group_is(b, g, expert, of)) {
        const struct tame_group *old = &b->groups[g];
        if (old->has_bar && rank(b, key, id, old->bar_key, old->bar_id) <= 0)
            return NULL;
    }
    if (known_id(b, id))
        return NULL;
    if (!group_is(b, g, expert, of) && !insert_group(b, g, expert, of))
        return NULL;
    struct tame_group *to = &b->groups[g];
    if (to->n >= tame_buffer_quota(b)) {
        const uint32_t low = group_start(b, g);
        if (rank(b, key, id, b->entries[low].key, b->entries[low].id) < 0) {
            raise_bar(b, to, key, id);
            return NULL;
        }
        raise_bar(b, to, b->entries[low].key, b->entries[low].id);
        drop_entry(b, low);
        to->n--;
    }
    if (b->n == b->shape.capacity)
        return NULL;
    return insert_entry(b, g, &x);
}

const uint8_t *tame_buffer_payload(const struct tame_buffer *b, uint32_t entry)
{
    return b->payload + b->entries[entry].place * b->shape.payload_bytes;
}

uint32_t tame_buffer_of(const struct tame_buffer *b, uint32_t expert, uint32_t *ret_n)
{
    uint32_t at = 0;
    while (at < b->n && b->entries[at].expert < expert)
        at++;
    uint32_t end = at;
    while (end < b->n && b->entries[end].expert == expert)
        end++;
    *ret_n = end - at;
    return at;
}

/* ------------------------------------------------------------------ erasure */

int tame_cut_hits(const struct tame_cut *cut, uint32_t label, uint64_t id)
{
    for (uint32_t i = 0; i < cut->n_classes; i++)
        if (cut->classes[i] == label)
            return 1;
    uint32_t lo = 0, hi = cut->n_ids;
    while (lo < hi) {
        const uint32_t mid = lo + (hi - lo) / 2;
        if (cut->ids[mid] < id)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < cut->n_ids && cut->ids[lo] == id;
}

static int cut_takes(const struct tame_cut *cut, const struct tame_entry *x)
{
    if (cut->expert != UINT32_MAX && x->expert != cut->expert)
        return 0;
    if (cut->n_classes == 0 && cut->n_ids == 0)
        return cut->expert != UINT32_MAX;
    return tame_cut_hits(cut, x->label, x->id);
}

uint32_t tame_buffer_count(const struct tame_buffer *b, const struct tame_cut *cut)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < b->n; i++)
        n += cut_takes(cut, &b->entries[i]) != 0;
    return n;
}

/* Whether the group itself disappears, its bar with it. */
static int
cut_takes_group(const struct tame_buffer *b, const struct tame_cut *cut, const struct tame_group *g)
{
    if (cut->expert != UINT32_MAX && g->expert != cut->expert)
        return 0;
    if (cut->n_classes == 0 && cut->n_ids == 0)
        return cut->expert != UINT32_MAX;
    for (uint32_t i = 0; i < cut->n_classes && !b->shape.per_expert; i++)
        if (cut->classes[i] == g->label)
            return 1;
    return g->n == 0 && !g->has_bar;
}

uint32_t tame_buffer_remove(struct tame_buffer *b, const struct tame_cut *cut)
{
    uint32_t removed = 0;
    for (uint32_t i = b->n; i-- > 0;) {
        const struct tame_entry x = b->entries[i];
        if (!cut_takes(cut, &x))
            continue;
        const uint32_t g = group_at(b, x.expert, group_label(b, x.label));
        drop_entry(b, i);
        b->groups[g].n--;
        removed++;
    }
    for (uint32_t g = b->n_groups; g-- > 0;)
        if (cut_takes_group(b, cut, &b->groups[g]))
            remove_group(b, g);
    return removed;
}
