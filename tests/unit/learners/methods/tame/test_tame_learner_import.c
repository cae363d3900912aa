/* An expert of one stream joins another: what it keeps, what it gets anew, and who is turned away.
 */
#include "tests/unit/learners/methods/tame/tame_world.h"

#include "learners/methods/tame/tame_model.h"

#define RUN WORLD_RUN

/* Streams that differ in their first task: a to c, or d to f. */
struct pair {
    struct world from, to;
};

static void keep_incoming(struct world *x, const struct world_part *expert)
{
    const struct learner_part part = {
        .kind = TAME_INCOMING_KIND, .name = "s", .bytes = expert->bytes, .size = expert->size};
    struct world_part *to = &x->parts[x->n_parts++];
    memset(to, 0, sizeof *to);
    memcpy(to->kind, part.kind, strlen(part.kind));
    memcpy(to->name, part.name, strlen(part.name));
    to->bytes = vit_fixture_alloc(part.size, 1);
    to->size = part.size;
    memcpy(to->bytes, part.bytes, part.size);
}

/* The part that came is no component: it is taken away again, whatever became of it. */
static void drop_incoming(struct world *x)
{
    for (uint32_t i = 0; i < x->n_parts; i++)
        if (strcmp(x->parts[i].kind, TAME_INCOMING_KIND) == 0) {
            free(x->parts[i].bytes);
            x->parts[i] = x->parts[--x->n_parts];
        }
}

static enum status
give(struct world *x, const struct world_part *expert, const struct learner_erasure *erasure)
{
    static const struct learner_option import = {"action", "import"};
    keep_incoming(x, expert);
    const enum status st =
        world_run(x, &(struct world_wish){.options = &import, .n_options = 1, .erasure = erasure});
    drop_incoming(x);
    return st;
}

static void pair_init(struct pair *p)
{
    world_init(&p->from, 1);
    world_open(&p->from);
    world_push(&p->from, 0, RUN);
    world_init(&p->to, 1);
    world_open(&p->to);
    world_push(&p->to, RUN, 2 * RUN);
    assert_int_equal(world_info(&p->to).n_experts, 1);
}

static void pair_fini(struct pair *p)
{
    world_fini(&p->from);
    world_fini(&p->to);
}

/* Logits of an expert on a picture of the world. */
static uint32_t answers(struct world *x, const char *name, uint32_t row, float *logits, char *text)
{
    const struct world_part *w = world_the(x, name);
    const struct learner_part part = {
        .kind = "expert", .name = w->name, .bytes = w->bytes, .size = w->size};
    const size_t need = learner_tame.import_plan(&part, &x->trunk) + (1u << 20);
    void *memory = vit_fixture_alloc(need, 1);
    float pixels[WORLD_PIXELS];
    const float *image = pixels;
    struct arena arena;
    struct learner_model *model;
    struct learner_forward *forward;
    const char *const *labels;
    arena_init(&arena, memory, need);
    const struct learner_tools tools = {.pool = x->pool, .arena = &arena};
    assert_int_equal(learner_tame.import(&part, &x->trunk, &arena, &model, &x->f), STATUS_OK);
    for (uint32_t i = 0; i < WORLD_PIXELS; i++)
        pixels[i] = (float)x->pixels[row * WORLD_PIXELS + i] * 0.01f - 1.0f;
    assert_int_equal(learner_tame.forward_new(&model, 1, &x->trunk, 1, &tools, &forward, &x->f),
                     STATUS_OK);
    learner_tame.forward(forward, &(struct learner_stream){.n = 1, .images = &image}, &logits);
    const uint32_t n = learner_tame.labels(model, &labels);
    text[0] = '\0';
    for (uint32_t i = 0; i < n; i++)
        strcat(text, labels[i]);
    arena_fini(&arena);
    free(memory);
    return n;
}

void test_it_answers_as_before_under_the_next_number(void **state)
{
    (void)state;
    struct pair p;
    float before[8], after[8];
    char there[16], here[16], owner[LEARNER_NAME_SIZE], class[TAME_CLASS_NAME_SIZE];
    pair_init(&p);
    struct world_part own = world_copy(&p.to, "s.0");
    const struct tame_learner_info old = world_info(&p.to);
    assert_int_equal(give(&p.to, world_the(&p.from, "s.0"), NULL), STATUS_OK);
    const struct tame_learner_info info = world_info(&p.to);
    assert_int_equal(info.n_experts, 2);
    assert_int_equal(info.n_classes, 6);
    assert_int_equal(info.batches, old.batches);
    assert_string_equal(info.active, "s.0"); /* it came inactive */
    assert_same_part(&own, world_the(&p.to, "s.0"));
    const uint32_t n = answers(&p.from, "s.0", 5, before, there);
    assert_int_equal(answers(&p.to, "s.1", 5, after, here), n);
    assert_string_equal(there, here);
    assert_memory_equal(before, after, n * sizeof *before);
    const struct world_part *s = world_the(&p.to, "s");
    for (uint32_t i = 0; i < 6; i++) {
        assert_int_equal(tame_learner_class(s->bytes, s->size, i, class, owner, NULL), STATUS_OK);
        assert_string_equal(owner, class[0] < 'd' ? "s.1" : "s.0");
    }
    free(own.bytes);
    pair_fini(&p);
}

/* Window and threshold came with it: its task is recognised, no expert is made. */
void test_its_task_is_recognised(void **state)
{
    (void)state;
    struct pair p;
    pair_init(&p);
    assert_int_equal(give(&p.to, world_the(&p.from, "s.0"), NULL), STATUS_OK);
    world_push(&p.to, 2 * RUN, 2 * RUN + 8);
    const struct tame_learner_info info = world_info(&p.to);
    assert_int_equal(info.n_experts, 2);
    assert_string_equal(info.active, "s.1");
    pair_fini(&p);
}

/* Its ledger names the request that brought it; all of it is destroyed with its classes. */
void test_its_ledger_names_the_import_and_it_can_be_destroyed(void **state)
{
    (void)state;
    static const char *const gone[] = {"a", "b", "c"}, *const part[] = {"b"};
    static const struct learner_option erase = {"action", "erase"};
    const struct learner_erasure all = {.classes = gone, .n_classes = 3};
    const struct learner_erasure some = {.classes = part, .n_classes = 1};
    struct pair p;
    char text[16];
    float logits[8];
    pair_init(&p);
    struct world_part own = world_copy(&p.to, "s.0"), before = world_copy(&p.to, "s");
    assert_int_equal(give(&p.to, world_the(&p.from, "s.0"), NULL), STATUS_OK);
    (void)answers(&p.to, "s.1", 0, logits, text);
    /* a part of it: what would be left cannot be trained, the data are not here */
    struct world_wish wish = {.options = &erase, .n_options = 1, .erasure = &some};
    wish.images = 1;
    assert_int_equal(world_run(&p.to, &wish), STATUS_FAILED_PRECONDITION);
    assert_string_equal(p.to.f.field, "images");
    wish.erasure = &all;
    world_must(&p.to, &wish);
    assert_null(world_part(&p.to, "s.1"));
    assert_int_equal(world_info(&p.to).n_experts, 1);
    assert_int_equal(world_info(&p.to).n_classes, 3);
    assert_same_part(&own, world_the(&p.to, "s.0"));
    /* a number is never given again */
    char next[LEARNER_NAME_SIZE];
    const struct world_part *s = world_the(&p.to, "s"), *x = world_the(&p.from, "s.0");
    assert_int_equal(tame_learner_joins(s->bytes, s->size, x->bytes, x->size, next, NULL),
                     STATUS_OK);
    assert_string_equal(next, "s.2");
    free(own.bytes);
    free(before.bytes);
    pair_fini(&p);
}

static void refused(struct world *x,
                    const struct world_part *expert,
                    const struct learner_erasure *erasure,
                    enum status st,
                    const char *field)
{
    struct world_part before = world_copy(x, "s");
    const enum status got = give(x, expert, erasure);
    if (got != st || strcmp(x->f.field, field) != 0)
        fail_msg("%d: %s: %s, expected %d (%s)", (int)got, x->f.field, x->f.text, (int)st, field);
    assert_same_part(&before, world_the(x, "s"));
    free(before.bytes);
}

void test_who_is_turned_away(void **state)
{
    (void)state;
    static const struct learner_option other[] = {
        {"action", "open"},   {"batch", "12"},    {"n_run", "20"},       {"lr", "0.03"},
        {"rank", "2"},        {"reserve", "0.2"}, {"reserve_max", "60"}, {"experts_max", "8"},
        {"classes_max", "8"}, {"probe", "off"}};
    static const struct learner_option close = {"action", "close"};
    struct pair p;
    struct world x;
    pair_init(&p);
    struct world_part *expert = world_the(&p.from, "s.0");
    refused(&p.from, world_the(&p.from, "s.0"), NULL, STATUS_ALREADY_EXISTS, "labels");
    uint64_t key = p.from.keys[0];
    const struct learner_erasure forgotten = {.keys = &key, .n_keys = 1};
    uint64_t keys[1024], n;
    assert_int_equal(tame_learner_trained(expert->bytes, expert->size, keys, 1024, &n, NULL),
                     STATUS_OK);
    key = keys[7];
    refused(&p.to, expert, &forgotten, STATUS_FAILED_PRECONDITION, "samples");
    expert->size--;
    refused(&p.to, expert, NULL, STATUS_BAD_FORMAT, "buffer");
    expert->size++;
    world_init(&x, 1);
    world_must(&x, &(struct world_wish){.options = other, .n_options = 10});
    refused(&x, expert, NULL, STATUS_FAILED_PRECONDITION, "options");
    assert_non_null(strstr(x.f.text, "lr"));
    world_fini(&x);
    world_must(&p.to, &(struct world_wish){.options = &close, .n_options = 1});
    refused(&p.to, expert, NULL, STATUS_FAILED_PRECONDITION, "stream");
    pair_fini(&p);
}

void test_a_full_stream_turns_it_away(void **state)
{
    (void)state;
    static const struct learner_option one[] = {
        {"action", "open"},   {"batch", "12"},    {"n_run", "20"},       {"lr", "0.02"},
        {"rank", "2"},        {"reserve", "0.2"}, {"reserve_max", "60"}, {"experts_max", "1"},
        {"classes_max", "8"}, {"probe", "off"}};
    struct world from, to;
    world_init(&from, 1);
    world_must(&from, &(struct world_wish){.options = one, .n_options = 10});
    world_push(&from, 0, RUN);
    world_init(&to, 1);
    world_must(&to, &(struct world_wish){.options = one, .n_options = 10});
    world_push(&to, RUN, 2 * RUN);
    refused(&to, world_the(&from, "s.0"), NULL, STATUS_RESOURCE_EXHAUSTED, "experts_max");
    world_fini(&from);
    world_fini(&to);
}

/* Cut anywhere or with a byte wrong anywhere, it is refused or joins, and never more than that. */
void test_hostile_experts(void **state)
{
    (void)state;
    struct pair p;
    struct rng r;
    uint32_t refusals = 0;
    pair_init(&p);
    struct world_part *expert = world_the(&p.from, "s.0");
    const size_t size = expert->size;
    for (size_t cut = 0; cut < size; cut += size / 41) {
        expert->size = cut;
        assert_int_equal(give(&p.to, expert, NULL), STATUS_BAD_FORMAT);
    }
    expert->size = size;
    rng_init(&r, &(struct rng_root){.seed = 4}, "flip", 0);
    for (uint32_t i = 0; i < 300 && refusals < 100; i++) {
        const size_t at = (size_t)rng_below(&r, i % 2 ? 512 : (uint32_t)size);
        const uint8_t good = expert->bytes[at];
        expert->bytes[at] ^= (uint8_t)(1u + rng_below(&r, 255));
        const enum status st = give(&p.to, expert, NULL);
        expert->bytes[at] = good;
        refusals += st != STATUS_OK;
        if (st == STATUS_OK) { /* a number of the network, say: start again */
            pair_fini(&p);
            pair_init(&p);
            expert = world_the(&p.from, "s.0");
        }
    }
    assert_true(refusals > 50);
    pair_fini(&p);
}
