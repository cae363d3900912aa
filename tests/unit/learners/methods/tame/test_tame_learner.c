/* Runs of a stream: opening, pushing in one or many pieces, closing, and what is told of them. */
#include "tests/unit/learners/methods/tame/tame_world.h"

#include "learners/methods/tame/tame_keys.h"

void test_a_stream_is_opened_with_its_settings(void **state)
{
    (void)state;
    struct world x;
    world_init(&x, 1);
    world_open(&x);
    assert_int_equal(x.n_parts, 1);
    assert_int_equal(x.steps, 1);
    assert_string_equal(x.parts[0].kind, "stream");
    const struct tame_learner_info info = world_info(&x);
    assert_int_equal(info.batch, 12);
    assert_int_equal(info.closed, 0);
    assert_int_equal(info.n_experts + info.n_classes + info.held, 0);
    assert_int_equal(info.batches + info.offered, 0);
    assert_string_equal(info.active, "");
    world_fini(&x);
}

/* What is wrong with a run's options, and the field that says so. */
void test_wrong_options_are_named(void **state)
{
    (void)state;
    static const struct {
        struct learner_option option[2];
        enum status status;
        const char *field;
    } rows[] = {
        {{{"action", "open"}, {"expert", "conv"}}, STATUS_INVALID_ARGUMENT, "expert"},
        {{{"action", "open"}, {"kind", "conv"}}, STATUS_INVALID_ARGUMENT, "expert"},
        {{{"action", "open"}, {"mode", "parity"}}, STATUS_INVALID_ARGUMENT, "mode"},
        {{{"action", "open"}, {"preset", "parity"}}, STATUS_INVALID_ARGUMENT, "expert"},
        {{{"action", "open"}, {"outputs", "3"}}, STATUS_INVALID_ARGUMENT, "outputs"},
        {{{"action", "open"}, {"experts_max", "127"}}, STATUS_INVALID_ARGUMENT, "experts_max"},
        {{{"action", "open"}, {"blocks", "4"}}, STATUS_INVALID_ARGUMENT, "blocks"},
        {{{"action", "open"}, {"batch", "0"}}, STATUS_INVALID_ARGUMENT, "batch"},
        {{{"action", "open"}, {"batch", "7x"}}, STATUS_INVALID_ARGUMENT, "batch"},
        {{{"action", "open"}, {"experts", "s.0"}}, STATUS_INVALID_ARGUMENT, "experts"},
        {{{"action", "open"}, {"colour", "red"}}, STATUS_NOT_FOUND, "colour"},
        {{{"action", "melt"}, {"batch", "4"}}, STATUS_INVALID_ARGUMENT, "action"},
        {{{"action", "close"}, {"batch", "4"}}, STATUS_NOT_FOUND, "stream"},
        {{{"action", "erase"}, {"batch", "4"}}, STATUS_NOT_FOUND, "stream"},
        {{{"action", "refit"}, {"batch", "4"}}, STATUS_NOT_FOUND, "stream"},
    };
    struct world x;
    world_init(&x, 1);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct world_wish wish = {.options = rows[i].option, .n_options = 2};
        assert_int_equal(world_run(&x, &wish), rows[i].status);
        assert_string_equal(x.f.field, rows[i].field);
        assert_int_equal(x.n_parts, 0);
    }
    world_fini(&x);
}

void test_what_an_open_stream_refuses(void **state)
{
    (void)state;
    static const struct {
        struct learner_option option;
        uint32_t until;
        enum status status;
        const char *field;
    } rows[] = {
        {{"action", "open"}, 0, STATUS_ALREADY_EXISTS, "stream"},
        {{"lr", "0.1"}, 12, STATUS_INVALID_ARGUMENT, "lr"},
        {{"probe", "auto"}, 12, STATUS_INVALID_ARGUMENT, "probe"},
        {{"batch", "13"}, 12, STATUS_INVALID_ARGUMENT, "batch"},
        {{"action", "push"}, 0, STATUS_INVALID_ARGUMENT, "train"},
        {{"action", "erase"}, 0, STATUS_INVALID_ARGUMENT, "erasure"},
    };
    struct world x;
    world_init(&x, 1);
    world_open(&x);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct world_wish wish = {
            .options = &rows[i].option, .n_options = 1, .until = rows[i].until};
        assert_int_equal(world_run(&x, &wish), rows[i].status);
        assert_string_equal(x.f.field, rows[i].field);
    }
    x.trunk.state.b[0] ^= 1;
    assert_int_equal(world_run(&x, &(struct world_wish){.until = 12}), STATUS_FAILED_PRECONDITION);
    assert_string_equal(x.f.field, "trunk");
    x.trunk.base.b[0] ^= 8;
    assert_int_equal(world_run(&x, &(struct world_wish){.until = 12}), STATUS_FAILED_PRECONDITION);
    assert_string_equal(x.f.field, "base");
    world_fini(&x);
}

/* t0 t1 t0: two experts, and the first one again. */
void test_a_recurring_task_finds_its_expert(void **state)
{
    (void)state;
    struct world x;
    char class[TAME_CLASS_NAME_SIZE], expert[LEARNER_NAME_SIZE];
    world_init(&x, 1);
    world_open(&x);
    world_push(&x, 0, 3 * WORLD_RUN);
    assert_int_equal(x.steps, 3 * WORLD_RUN);
    const struct tame_learner_info info = world_info(&x);
    assert_int_equal(info.n_experts, 2);
    assert_string_equal(info.active, "s.0");
    assert_int_equal(info.batches, 3 * WORLD_RUN);
    assert_int_equal(info.offered, WORLD_IMAGES);
    assert_int_equal(info.n_classes, WORLD_CLASSES);
    const struct world_part *s = world_the(&x, "s");
    for (uint32_t i = 0; i < WORLD_CLASSES; i++) {
        assert_int_equal(tame_learner_class(s->bytes, s->size, i, class, expert, &x.f), STATUS_OK);
        assert_string_equal(class, world_classes[i]);
        assert_string_equal(expert, i < 3 ? "s.0" : "s.1");
    }
    assert_int_equal(tame_learner_class(s->bytes, s->size, WORLD_CLASSES, class, expert, &x.f),
                     STATUS_NOT_FOUND);
    assert_int_equal(tame_learner_expert(s->bytes, s->size, 1, expert, &x.f), STATUS_OK);
    assert_string_equal(expert, "s.1");
    assert_int_equal(tame_learner_expert(s->bytes, s->size, 2, expert, &x.f), STATUS_NOT_FOUND);
    world_fini(&x);
}

void test_events_are_switches_and_the_last_batch(void **state)
{
    (void)state;
    struct world x;
    world_init(&x, 1);
    world_open(&x);
    world_push(&x, 0, 3 * WORLD_RUN);
    assert_int_equal(x.n_events, 4);
    const struct learner_event *e = x.events;
    assert_true(e[0].created && !e[0].switched && e[0].batch == 0);
    assert_string_equal(e[0].expert, "s.0");
    assert_string_equal(e[0].from, "");
    assert_near(e[0].loss, log(3), 1e-5);
    assert_true(e[1].created && e[1].switched);
    assert_in_range(e[1].batch, WORLD_RUN, WORLD_RUN + 2);
    assert_string_equal(e[1].expert, "s.1");
    assert_string_equal(e[1].from, "s.0");
    assert_near(e[1].loss, 2 * log(3), 1e-5); /* classes that the expert does not have */
    assert_true(e[1].smoothed > e[1].threshold);
    assert_true(!e[2].created && e[2].switched);
    assert_in_range(e[2].batch, 2 * WORLD_RUN, 2 * WORLD_RUN + 2);
    assert_string_equal(e[2].expert, "s.0");
    assert_true(!e[3].created && !e[3].switched && e[3].batch == 3 * WORLD_RUN - 1);
    assert_int_equal(e[3].offered, WORLD_IMAGES);
    assert_int_equal(e[3].trained + e[3].reserved + e[3].quarantined, WORLD_IMAGES);
    assert_in_range(e[3].reserved, WORLD_IMAGES / 10, WORLD_IMAGES * 3 / 10);
    assert_int_equal(e[3].tombstoned, 0);
    world_fini(&x);
}

/* One run, many runs, two threads: the same components to the byte. */
void test_same_bytes_for_any_split_and_threads(void **state)
{
    (void)state;
    static const uint32_t cuts[] = {0, 1, 7, 20, 21, 22, 40, 55, 60};
    struct world x, y, z;
    world_init(&x, 1);
    world_init(&y, 1);
    world_init(&z, 2);
    world_open(&x);
    world_open(&y);
    world_open(&z);
    world_push(&x, 0, 60);
    for (size_t i = 0; i + 1 < sizeof cuts / sizeof *cuts; i++)
        world_push(&y, cuts[i], cuts[i + 1]);
    world_push(&z, 0, 60);
    assert_int_equal(x.n_parts, 3);
    for (uint32_t i = 0; i < x.n_parts; i++) {
        assert_same_part(&x.parts[i], world_the(&y, x.parts[i].name));
        assert_same_part(&x.parts[i], world_the(&z, x.parts[i].name));
    }
    world_fini(&x);
    world_fini(&y);
    world_fini(&z);
}

/* An expert that a push did not train is not exported: it is the same to the byte. */
void test_only_changed_experts_are_exported(void **state)
{
    (void)state;
    struct world x;
    world_init(&x, 1);
    world_open(&x);
    world_push(&x, 0, WORLD_RUN + 4);
    assert_int_equal(x.changed, 3);
    assert_string_equal(world_info(&x).active, "s.1");
    world_push(&x, WORLD_RUN + 4, WORLD_RUN + 8);
    assert_int_equal(x.changed, 2); /* the stream and s.1 */
    world_fini(&x);
}

void test_a_push_makes_the_stream_if_there_is_none(void **state)
{
    (void)state;
    static const struct learner_option options[] = {{"batch", "12"}, {"n_run", "20"}};
    struct world x;
    world_init(&x, 1);
    world_must(&x, &(struct world_wish){.options = options, .n_options = 2, .until = 30});
    assert_int_equal(world_info(&x).batch, 12);
    assert_int_equal(world_info(&x).batches, 3); /* the last one is smaller */
    assert_int_equal(world_info(&x).n_experts, 1);
    world_fini(&x);
}

/* A probe decides on four batches at once, so a short run is one step and one decision. */
void test_a_probe_decides_at_the_start_of_a_push(void **state)
{
    (void)state;
    static const struct learner_option on = {"probe", "on"};
    struct world x;
    world_init(&x, 1);
    world_open(&x);
    world_push(&x, 0, WORLD_RUN);
    const uint32_t from = WORLD_RUN * WORLD_BATCH;
    world_must(&x,
               &(struct world_wish){
                   .options = &on, .n_options = 1, .from = from, .until = from + 6 * WORLD_BATCH});
    assert_int_equal(x.steps, 3);
    assert_string_equal(world_info(&x).active, "s.1");
    assert_true(x.events[0].created && x.events[0].switched);
    assert_int_equal(world_info(&x).batches, WORLD_RUN + 6);
    world_must(&x, &(struct world_wish){.options = &on,
                                        .n_options = 1,
                                        .from = 2 * from,
                                        .until = 2 * from + 2 * WORLD_BATCH});
    assert_string_equal(world_info(&x).active, "s.0");
    world_fini(&x);
}

void test_a_closed_stream_takes_nothing_more(void **state)
{
    (void)state;
    static const struct learner_option close = {"action", "close"};
    struct world x;
    world_init(&x, 1);
    world_open(&x);
    world_push(&x, 0, WORLD_RUN + 1);
    assert_int_equal(world_info(&x).held, 1);
    world_must(&x, &(struct world_wish){.options = &close, .n_options = 1});
    assert_int_equal(world_info(&x).held, 0);
    assert_int_equal(world_info(&x).closed, 1);
    assert_int_equal(x.n_events, 1);
    assert_int_equal(x.events[0].quarantined > 0, 1); /* nobody wanted the held batch */
    assert_int_equal(world_run(&x, &(struct world_wish){.until = 12}), STATUS_FAILED_PRECONDITION);
    assert_string_equal(x.f.field, "stream");
    assert_int_equal(world_run(&x, &(struct world_wish){.options = &close, .n_options = 1}),
                     STATUS_FAILED_PRECONDITION);
    world_fini(&x);
}

/* With a selector in the settings, every push leaves one that was trained on what is kept. */
void test_a_selector_is_kept_where_it_is_wanted(void **state)
{
    (void)state;
    static const struct learner_option options[] = {
        {"action", "open"},     {"batch", "12"},          {"n_run", "20"}, {"lr", "0.02"},
        {"selector", "linear"}, {"selector_epochs", "5"}, {"buffer", "60"}};
    struct world x, y;
    world_init(&x, 1);
    world_init(&y, 1);
    world_must(&x, &(struct world_wish){.options = options, .n_options = 7});
    world_must(&y, &(struct world_wish){.options = options, .n_options = 7});
    world_push(&x, 0, 30);
    world_push(&y, 0, 11);
    world_push(&y, 11, 30);
    assert_int_equal(x.n_parts, 3);
    for (uint32_t i = 0; i < 3; i++)
        assert_same_part(&x.parts[i], world_the(&y, x.parts[i].name));
    world_fini(&x);
    world_fini(&y);
}

/* More switches than an outcome has room for: the newest stay, the sums are of all. */
void test_the_newest_events_stay(void **state)
{
    (void)state;
    enum { BLOCK = 4, BLOCKS = 270, EACH = 3 };
    static const struct learner_option options[] = {
        {"action", "open"}, {"batch", "3"}, {"window", "8"},      {"lr", "0.02"},
        {"patience", "1"},  {"ewma", "1"},  {"deviations", "0.5"}};
    struct world x;
    uint32_t *rows = vit_fixture_alloc(BLOCK * BLOCKS * EACH, sizeof *rows);
    world_init(&x, 1);
    world_must(&x, &(struct world_wish){.options = options, .n_options = 7});
    for (uint32_t i = 0; i < BLOCK * BLOCKS * EACH; i++) {
        const uint32_t task = i / (BLOCK * EACH) % 2;
        rows[i] = task * WORLD_RUN * WORLD_BATCH + i % 120;
    }
    struct learner_part parts[WORLD_PARTS], made[LEARNER_PARTS];
    struct learner_problem p = world_problem(&x, &(struct world_wish){0}, parts);
    p.lists[LEARNER_TRAIN] = (struct learner_rows){rows, BLOCK * BLOCKS * EACH};
    const size_t size = learner_tame.plan(&p, 1);
    void *memory = vit_fixture_alloc(size, 1);
    struct arena arena;
    struct learner_run *run;
    struct learner_outcome outcome;
    uint32_t n;
    arena_init(&arena, memory, size);
    const struct learner_tools tools = {.pool = x.pool, .arena = &arena};
    assert_int_equal(learner_tame.init(&p, &tools, &run, &x.f), STATUS_OK);
    assert_int_equal(world_steps(&x, run), STATUS_OK);
    assert_int_equal(learner_tame.export(run, made, &n, &outcome, &x.f), STATUS_OK);
    assert_int_equal(outcome.n_events, LEARNER_EVENTS);
    for (uint32_t i = 1; i < outcome.n_events; i++)
        assert_true(outcome.events[i].batch > outcome.events[i - 1].batch);
    assert_int_equal(outcome.events[LEARNER_EVENTS - 1].offered, BLOCK * BLOCKS * EACH);
    assert_int_equal(outcome.events[LEARNER_EVENTS - 1].batch, BLOCK * BLOCKS - 1);
    assert_true(outcome.events[0].batch > 0);
    arena_fini(&arena);
    free(memory);
    free(rows);
    world_fini(&x);
}

void test_cancel_stops_a_run(void **state)
{
    (void)state;
    struct world x;
    world_init(&x, 1);
    world_open(&x);
    struct learner_part parts[WORLD_PARTS];
    const struct learner_problem p = world_problem(&x, &(struct world_wish){.until = 60}, parts);
    const size_t size = learner_tame.plan(&p, 1);
    void *memory = vit_fixture_alloc(size, 1);
    struct arena arena;
    struct learner_run *run;
    struct learner_progress g;
    atomic_int cancel;
    atomic_init(&cancel, 0);
    arena_init(&arena, memory, size);
    const struct learner_tools tools = {.pool = x.pool, .arena = &arena, .cancel = &cancel};
    assert_int_equal(learner_tame.init(&p, &tools, &run, &x.f), STATUS_OK);
    assert_int_equal(learner_tame.step(run, &g, &x.f), STATUS_OK);
    atomic_store(&cancel, 1);
    assert_int_equal(learner_tame.step(run, &g, &x.f), STATUS_CANCELLED);
    arena_fini(&arena);
    free(memory);
    world_fini(&x);
}

void test_rows_are_found_by_key(void **state)
{
    (void)state;
    static const uint64_t keys[] = {9, 3, UINT64_MAX, 3, 0, 12, 9};
    static const uint32_t want[] = {4, 1, 3, 0, 6, 5, 2};
    uint32_t rows[7];
    tame_keys_sort(keys, 7, rows);
    assert_memory_equal(rows, want, sizeof want);
    assert_int_equal(tame_keys_find(keys, rows, 7, 3), 1); /* of equal ones the first */
    assert_int_equal(tame_keys_find(keys, rows, 7, UINT64_MAX), 2);
    assert_int_equal(tame_keys_find(keys, rows, 7, 10), UINT32_MAX);
    assert_int_equal(tame_keys_find(keys, rows, 0, 3), UINT32_MAX);
}
