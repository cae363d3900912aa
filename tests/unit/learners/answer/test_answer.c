/* What a version consists of: owners, labels, the router's map, scopes, and what is refused. */
#include "tests/unit/learners/answer/answer_fixture.h"

static void world_usual(struct world *x)
{
    world_init(x, 1);
    world_add(x, "erasure", "first", -1.0f, "nothing");
    world_add(x, "lane", "digits", -1.0f, "one,two");
    world_add(x, "expert", "shop.1", -1.0f, "shoe,hat,bag");
    world_add(x, "lane", "scenes", 0.8f, "sea,sky,red");
    world_add(x, "expert", "shop.2", -1.0f, "coat");
    world_add(x, "expert", "shopping", -1.0f, "cart");
}

void test_answer_owners_in_the_order_of_the_parts(void **state)
{
    (void)state;
    static const char *const names[] = {"base",        "lane:digits",   "expert:shop.1",
                                        "lane:scenes", "expert:shop.2", "expert:shopping"};
    static const char *const labels[] = {"red", "green", "blue", "one", "two",  "shoe", "hat",
                                         "bag", "sea",   "sky",  "red", "coat", "cart"};
    struct world x;
    world_usual(&x);
    world_build(&x);
    const struct answer_owner *owners;
    const struct answer_label *table;
    assert_int_equal(answer_owners(x.answer, &owners), 6);
    assert_int_equal(answer_labels(x.answer, &table), 13);
    uint32_t next = 0;
    for (uint32_t o = 0; o < 6; o++) {
        assert_string_equal(owners[o].name, names[o]);
        assert_int_equal(owners[o].first, next);
        assert_int_equal(owners[o].several, o == 3);
        assert_int_equal(answer_find_owner(x.answer, names[o]), o);
        next += owners[o].n_labels;
    }
    assert_string_equal(owners[2].component, "shop.1");
    assert_int_equal(owners[3].kind, ANSWER_LANE);
    assert_int_equal(owners[4].kind, ANSWER_EXPERT);
    for (uint32_t k = 0; k < 13; k++) {
        const struct answer_owner *o = &owners[table[k].owner];
        assert_string_equal(table[k].name, labels[k]);
        assert_in_range(k, o->first, o->first + o->n_labels - 1);
        assert_true(table[k].threshold == (table[k].owner == 3 ? 0.8f : 0.0f));
    }
    assert_int_equal(answer_find_label(x.answer, 0, "red"), 0);
    assert_int_equal(answer_find_label(x.answer, 3, "red"), 10);
    assert_int_equal(answer_find_label(x.answer, 1, "red"), ANSWER_NONE);
    assert_int_equal(answer_find_owner(x.answer, "lane:digit"), ANSWER_NONE);
    world_fini(&x);
}

/* Records may be gone once they are read. */
void test_answer_borrows_nothing_of_the_parts(void **state)
{
    (void)state;
    struct world x;
    world_usual(&x);
    world_build(&x);
    struct world_answers before = world_ask(&x, "all", 3);
    memset(x.records, 0, sizeof x.records);
    memset(x.parts, 0, sizeof x.parts);
    const struct answer_owner *owners;
    (void)answer_owners(x.answer, &owners);
    assert_string_equal(owners[1].name, "lane:digits");
    struct world_answers after = world_ask(&x, "all", 3);
    assert_memory_equal(before.raw, after.raw, WORLD_IMAGES * before.width * sizeof(float));
    world_answers_free(&before);
    world_answers_free(&after);
    world_fini(&x);
}

void test_answer_maps_the_routers_labels(void **state)
{
    (void)state;
    struct world x;
    world_usual(&x);
    world_add(&x, "router", "router", -1.0f,
              "lane:digits\x1ftwo,base\x1fgreen,lane:gone\x1fthing,expert:shop.2\x1f"
              "coat,"
              "lane:digits\x1fnine");
    world_build(&x);
    const uint32_t *map, right[] = {4, 1, ANSWER_NONE, 11, ANSWER_NONE};
    assert_int_equal(answer_router_labels(x.answer, &map), 5);
    assert_memory_equal(map, right, sizeof right);
    const struct answer_owner *owners;
    (void)answer_owners(x.answer, &owners);
    const int routed[] = {1, 1, 0, 0, 1, 0};
    for (uint32_t o = 0; o < 6; o++)
        assert_int_equal(owners[o].routed, routed[o]);
    world_fini(&x);
}

/* The terms of a router, one component an owner, whether they answer alone or together only. */
void test_answer_takes_a_router_in_parts(void **state)
{
    (void)state;
    for (int joins = 0; joins < 2; joins++) {
        struct world x;
        world_usual(&x);
        x.list.lookup = joins ? fake_lookup_joining : fake_lookup;
        world_add(&x, "router", "base", -1.0f, "base\x1fgreen,base\x1fred");
        world_add(&x, "router", "lane:digits", -1.0f, "lane:digits\x1ftwo");
        world_build(&x);
        const uint32_t *map, right[] = {1, 0, 4};
        assert_int_equal(answer_router_labels(x.answer, &map), 3);
        assert_memory_equal(map, right, sizeof right);
        world_fini(&x);
    }
}

/* ------------------------------------------------------------------ scopes */

static void scope_is(struct world *x, const char *scope, const uint8_t right[6])
{
    uint8_t wanted[6];
    world_ok(answer_scope(x->answer, scope, wanted, fx));
    assert_memory_equal(wanted, right, 6);
}

static void scope_refused(struct world *x, const char *scope, enum status code)
{
    uint8_t wanted[6];
    struct fault f = {0};
    assert_string_equal(status_name(answer_scope(x->answer, scope, wanted, &f)), status_name(code));
    assert_string_equal(f.field, "scope");
}

void test_answer_scopes(void **state)
{
    (void)state;
    struct world x;
    world_usual(&x);
    world_build(&x);
    scope_is(&x, "", (const uint8_t[]){1, 1, 1, 1, 1, 1});
    scope_is(&x, "all", (const uint8_t[]){1, 1, 1, 1, 1, 1});
    scope_is(&x, "base", (const uint8_t[]){1, 0, 0, 0, 0, 0});
    scope_is(&x, "lanes", (const uint8_t[]){0, 1, 0, 1, 0, 0});
    scope_is(&x, "stream:shop", (const uint8_t[]){0, 0, 1, 0, 1, 0});
    scope_is(&x, "stream:shopping", (const uint8_t[]){0, 0, 0, 0, 0, 1});
    scope_refused(&x, "stream:digits", STATUS_NOT_FOUND);
    scope_refused(&x, "stream:", STATUS_NOT_FOUND);
    scope_refused(&x, "stream:sho", STATUS_NOT_FOUND);
    scope_refused(&x, "lane", STATUS_INVALID_ARGUMENT);
    world_fini(&x);
    world_init(&x, 1);
    world_build(&x);
    scope_refused(&x, "lanes", STATUS_NOT_FOUND);
    scope_refused(&x, "stream:shop", STATUS_NOT_FOUND);
    world_fini(&x);
}

/* ------------------------------------------------------------------ refusals */

static void build_refused(struct world *x, enum status code, const char *field)
{
    static unsigned char memory[1 << 18], work[1 << 12];
    struct arena arena, scratch;
    struct answer *a = NULL;
    struct fault f = {0};
    size_t n;
    assert_true(answer_plan(&x->list, 1, &n) < sizeof memory && n < sizeof work);
    arena_init(&arena, memory, sizeof memory);
    arena_init(&scratch, work, sizeof work);
    const struct learner_tools tools = {.pool = x->vit.pool, .arena = &arena};
    const enum status st = answer_new(&x->list, &tools, &scratch, &a, &f);
    assert_string_equal(status_name(st), status_name(code));
    assert_string_equal(f.field, field);
    assert_null(a);
    assert_int_equal(arena_mark(&arena).used, 0);
    assert_int_equal(arena_mark(&scratch).used, 0);
    arena_fini(&arena);
    arena_fini(&scratch);
}

static const struct learner *no_lanes(const char *kind)
{
    return strcmp(kind, "lane") == 0 ? NULL : fake_lookup(kind);
}

void test_answer_refuses_what_cannot_answer(void **state)
{
    (void)state;
    struct world x;
    world_usual(&x);
    world_add(&x, "relapse", "first", -1.0f, "a");
    build_refused(&x, STATUS_INVALID_ARGUMENT, "kind");
    x.list.n_parts--;
    x.list.lookup = no_lanes;
    build_refused(&x, STATUS_INVALID_ARGUMENT, "kind");
    x.list.lookup = fake_lookup;
    world_add(&x, "lane", "digits", -1.0f, "a");
    build_refused(&x, STATUS_INVALID_ARGUMENT, "name");
    x.parts[6].kind = "expert"; /* a name is unique within its kind only */
    x.parts[6].name = "digits";
    world_build(&x);
    world_fini(&x);
}

void test_answer_refuses_bad_labels_and_routers(void **state)
{
    (void)state;
    struct world x;
    world_usual(&x);
    world_add(&x, "lane", "empty", -1.0f, "");
    build_refused(&x, STATUS_INVALID_ARGUMENT, "labels");
    x.list.n_parts--;
    world_add(&x, "router", "one", -1.0f, "base");
    build_refused(&x, STATUS_INVALID_ARGUMENT, "router");
    x.list.n_parts--;
    world_add(&x, "router", "one", -1.0f, "base\x1fred");
    world_add(&x, "router", "one", -1.0f, "base\x1fgreen");
    build_refused(&x, STATUS_INVALID_ARGUMENT, "name");
    world_fini(&x);
}

void test_answer_passes_on_what_import_says(void **state)
{
    (void)state;
    struct world x;
    world_usual(&x);
    x.records[3].magic++;
    build_refused(&x, STATUS_BAD_FORMAT, "record");
    x.records[3].magic--;
    x.parts[3].size--;
    build_refused(&x, STATUS_BAD_FORMAT, "record");
    x.parts[3].size++;
    x.list.lookup = fake_lookup_joining;
    world_add(&x, "router", "one", -1.0f, "base\x1fred")->magic++;
    build_refused(&x, STATUS_BAD_FORMAT, "record");
    world_fini(&x);
}

void test_answer_less_memory_is_refused_and_given_back(void **state)
{
    (void)state;
    static unsigned char memory[1 << 16], work[1 << 12];
    struct world x;
    size_t n;
    world_usual(&x);
    x.list.lookup = fake_lookup_joining;
    world_add(&x, "router", "one", -1.0f, "base\x1fred");
    world_add(&x, "router", "two", -1.0f, "base\x1fgreen");
    const size_t size = answer_plan(&x.list, 1, &n);
    assert_true(n < sizeof work);
    uint32_t made = 0;
    for (size_t part = 0; part < sizeof memory; part += 512) {
        struct arena arena, scratch;
        struct answer *a;
        struct fault f = {0};
        arena_init(&arena, memory, part);
        arena_init(&scratch, work, sizeof work);
        const struct learner_tools tools = {.pool = x.vit.pool, .arena = &arena};
        const enum status st = answer_new(&x.list, &tools, &scratch, &a, &f);
        if (st != STATUS_OK) {
            assert_int_equal(st, STATUS_NO_MEMORY);
            assert_int_equal(arena_mark(&arena).used, 0);
            assert_true(part < size);
        }
        made += st == STATUS_OK;
        arena_fini(&arena);
        arena_fini(&scratch);
    }
    assert_true(made > 0);
    world_fini(&x);
}
