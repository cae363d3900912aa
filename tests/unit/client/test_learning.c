/* The library's calls of learning: what goes over the wire, ids, options, frames of a component. */
#include "tests/unit/client/fake_server.h"

#include "proto/seal/hash.h"

static const char ID[] = "018bcfe5-687b-7f01-bf03-040506070809";

/* What the server saw of the last call. */
struct seen {
    enum wire_kind kind;
    struct request_id id;
    char texts[5][64];
    uint64_t numbers[3];
    double floor;
    bool flags[2];
    size_t n_options;
    char option[64];
    unsigned char *file;
    size_t file_bytes, n_frames;
    struct digest digest;
    int answer_from; /* messages before it stay without an answer */
};

static void note_text(struct seen *s, size_t i, const char *text)
{
    (void)snprintf(s->texts[i], sizeof s->texts[i], "%s", text);
}

static void note_options(struct seen *s, const struct wire_option *options, size_t n)
{
    s->n_options = n;
    if (n > 0)
        (void)snprintf(s->option, sizeof s->option, "%s:%s", options[0].name, options[0].value);
}

static void note_learn(struct seen *s, const struct wire_learn *w)
{
    note_text(s, 0, w->task);
    note_text(s, 1, w->data);
    note_text(s, 2, w->method);
    note_text(s, 3, w->ticket);
    s->numbers[0] = w->seed;
    s->floor = (double)w->floor;
    s->flags[0] = w->dry_run;
    note_options(s, w->options, w->n_options);
}

static void note_open(struct seen *s, const struct wire_stream_open *w)
{
    note_text(s, 0, w->name);
    note_text(s, 1, w->expert);
    note_text(s, 3, w->ticket);
    s->numbers[0] = w->seed;
    s->numbers[1] = w->run;
    note_options(s, w->options, w->n_options);
}

static void note_push(struct seen *s, const struct wire_stream_push *w)
{
    note_text(s, 0, w->name);
    note_text(s, 1, w->data);
    note_text(s, 3, w->ticket);
    s->numbers[1] = w->batch;
    s->flags[0] = w->dry_run;
    s->flags[1] = w->probe;
    note_options(s, w->options, w->n_options);
}

static void note_import(struct seen *s, const struct fake_call *call)
{
    const struct wire_import *w = &call->message->body.import;
    note_text(s, 0, w->kind);
    note_text(s, 1, w->name);
    s->flags[0] = w->dry_run;
    s->digest = w->digest;
    s->n_frames = call->n_raw;
    s->file_bytes = 0;
    for (size_t i = 0; i < call->n_raw; i++) {
        memcpy(s->file + s->file_bytes, call->raw[i].at, call->raw[i].size);
        s->file_bytes += call->raw[i].size;
    }
}

static bool answer_learning(void *context, struct fake_call *call)
{
    struct seen *s = context;
    s->kind = call->message->kind;
    s->id = call->message->request_id;
    switch ((int)s->kind) {
    case WIRE_KIND_LEARN:
        note_learn(s, &call->message->body.learn);
        break;
    case WIRE_KIND_STREAM_OPEN:
        note_open(s, &call->message->body.stream_open);
        break;
    case WIRE_KIND_STREAM_PUSH:
        note_push(s, &call->message->body.stream_push);
        break;
    case WIRE_KIND_STREAM_CLOSE:
        note_text(s, 0, call->message->body.by_name.name);
        break;
    case WIRE_KIND_IMPORT:
        note_import(s, call);
        break;
    case WIRE_KIND_FORGET:
        note_text(s, 0, call->message->body.forget.task);
        note_text(s, 1, call->message->body.forget.subject);
        break;
    case WIRE_KIND_EXPORT:
        note_text(s, 0, call->message->body.export.format);
        note_text(s, 1, call->message->body.export.component);
        call->reply.answer = WIRE_ANSWER_EXPORTED;
        return true;
    default:
        return false;
    }
    call->reply.answer = WIRE_ANSWER_REQUEST;
    call->reply.body.request =
        (struct wire_request){.id = s->id, .kind = "learn", .state = "queued", .task = s->texts[0]};
    return call->n >= s->answer_from;
}

/* ------------------------------------------------------------------ tasks */

void test_learning_task(void **state)
{
    (void)state;
    struct seen s = {0};
    struct fake_server server;
    fake_start(&server, answer_learning, &s);
    struct lethe *l = open_client(&server, NULL);
    const struct lethe_option options[] = {{"epochs", "3"}, {"lr", "0.1"}};
    const struct lethe_learn_args args = {.request_id = ID,
                                          .task = "digits",
                                          .data = "mnist",
                                          .method = "ridge",
                                          .ticket = "T-1",
                                          .floor = 0.5f,
                                          .dry_run = true,
                                          .seed = 7,
                                          .options = options,
                                          .n_options = 2};
    struct lethe_request *r;
    struct lethe_error e;
    assert_call(lethe_learn(l, &args, &r, &e), LETHE_OK);
    assert_string_equal(r->id, ID);
    assert_string_equal(r->task, "digits");
    assert_int_equal(s.kind, WIRE_KIND_LEARN);
    assert_string_equal(s.texts[1], "mnist");
    assert_string_equal(s.texts[2], "ridge");
    assert_string_equal(s.texts[3], "T-1");
    assert_int_equal(s.numbers[0], 7);
    assert_true(s.flags[0]);
    assert_near(s.floor, 0.5, 0);
    assert_int_equal(s.n_options, 2);
    assert_string_equal(s.option, "epochs:3");
    lethe_free(r);
    const struct lethe_learn_args least = {.task = "a", .data = "b"};
    assert_call(lethe_learn(l, &least, &r, &e), LETHE_OK);
    assert_string_equal(s.texts[2], "");
    assert_false(request_id_is_zero(&s.id)); /* a fresh one */
    assert_string_not_equal(r->id, ID);
    lethe_free(r);
    lethe_close(l);
    fake_stop(&server);
}

void test_learning_refuses_before_it_sends(void **state)
{
    (void)state;
    struct seen s = {0};
    struct fake_server server;
    fake_start(&server, answer_learning, &s);
    struct lethe *l = open_client(&server, NULL);
    static struct lethe_option many[LIMIT_OPTIONS + 1];
    char name[LIMIT_NAME_BYTES + 2];
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    struct lethe_learn_args args = {
        .task = "a", .data = "b", .options = many, .n_options = LIMIT_OPTIONS + 1};
    struct lethe_request *r = (struct lethe_request *)&s;
    struct lethe_error e;
    assert_call(lethe_learn(l, &args, &r, &e), LETHE_INVALID_ARGUMENT);
    assert_string_equal(e.field, "options");
    assert_null(r);
    args.n_options = 0;
    args.request_id = "7";
    assert_call(lethe_learn(l, &args, &r, &e), LETHE_INVALID_ARGUMENT);
    assert_string_equal(e.field, "request_id");
    args.request_id = NULL;
    args.task = name;
    assert_call(lethe_learn(l, &args, &r, &e), LETHE_RESOURCE_EXHAUSTED);
    assert_string_equal(e.field, "learn.task");
    const struct lethe_push_args push = {.name = "s", .data = name};
    assert_call(lethe_stream_push(l, &push, &r, &e), LETHE_RESOURCE_EXHAUSTED);
    assert_string_equal(e.field, "stream_push.data");
    const struct lethe_component_args none = {.kind = "lane", .name = "x", .bytes = name};
    assert_call(lethe_component_import(l, &none, &r, &e), LETHE_INVALID_ARGUMENT);
    assert_string_equal(e.field, "bytes");
    const struct lethe_component_args large = {
        .kind = "lane", .name = "x", .bytes = name, .size = LETHE_COMPONENT_MAX + 1};
    assert_call(lethe_component_import(l, &large, &r, &e), LETHE_RESOURCE_EXHAUSTED);
    assert_int_equal(atomic_load(&server.calls), 0);
    lethe_close(l);
    fake_stop(&server);
}

void test_learning_repeats_with_the_same_id(void **state)
{
    (void)state;
    struct seen s = {.answer_from = 2};
    struct fake_server server;
    fake_start(&server, answer_learning, &s);
    struct lethe *l =
        open_client(&server, &(struct lethe_options){.timeout_ms = 8000, .attempts = 16});
    const struct lethe_learn_args args = {.task = "a", .data = "b"};
    struct lethe_request *r;
    struct lethe_error e;
    assert_call(lethe_learn(l, &args, &r, &e), LETHE_OK);
    const int calls = atomic_load(&server.calls);
    assert_true(calls >= 2);
    for (int i = 1; i < calls; i++)
        assert_true(request_id_equal(&server.ids[0], &server.ids[i]));
    lethe_free(r);
    lethe_close(l);
    fake_stop(&server);
}

/* ------------------------------------------------------------------ streams, forgetting */

void test_learning_stream(void **state)
{
    (void)state;
    struct seen s = {0};
    struct fake_server server;
    fake_start(&server, answer_learning, &s);
    struct lethe *l = open_client(&server, NULL);
    const struct lethe_option option = {"k_1", "0.12"};
    const struct lethe_stream_args open = {.name = "cam",
                                           .run = 30,
                                           .expert = "conv",
                                           .ticket = "T",
                                           .seed = 3,
                                           .options = &option,
                                           .n_options = 1};
    struct lethe_request *r;
    struct lethe_error e;
    assert_call(lethe_stream_open(l, &open, &r, &e), LETHE_OK);
    assert_int_equal(s.kind, WIRE_KIND_STREAM_OPEN);
    assert_string_equal(r->task, "cam");
    assert_string_equal(s.texts[1], "conv");
    assert_int_equal(s.numbers[0], 3);
    assert_int_equal(s.numbers[1], 30);
    assert_string_equal(s.option, "k_1:0.12");
    lethe_free(r);
    const struct lethe_push_args push = {.request_id = ID,
                                         .name = "cam",
                                         .data = "week-1",
                                         .ticket = "U",
                                         .probe = true,
                                         .batch = 64,
                                         .options = &option,
                                         .n_options = 1};
    assert_call(lethe_stream_push(l, &push, &r, &e), LETHE_OK);
    assert_int_equal(s.kind, WIRE_KIND_STREAM_PUSH);
    assert_string_equal(s.texts[1], "week-1");
    assert_string_equal(s.texts[3], "U");
    assert_int_equal(s.numbers[1], 64);
    assert_true(s.flags[1] && !s.flags[0]);
    assert_string_equal(r->id, ID);
    lethe_free(r);
    assert_call(lethe_stream_close(l, "cam", &r, &e), LETHE_OK);
    assert_int_equal(s.kind, WIRE_KIND_STREAM_CLOSE);
    assert_string_equal(s.texts[0], "cam");
    assert_false(request_id_is_zero(&s.id));
    lethe_free(r);
    lethe_close(l);
    fake_stop(&server);
}

void test_learning_forget_of_a_task_or_subject(void **state)
{
    (void)state;
    struct seen s = {0};
    struct fake_server server;
    fake_start(&server, answer_learning, &s);
    struct lethe *l = open_client(&server, NULL);
    struct lethe_request *r;
    struct lethe_error e;
    const struct lethe_forget_args task = {.task = "digits"};
    assert_call(lethe_forget(l, &task, &r, &e), LETHE_OK);
    assert_string_equal(s.texts[0], "digits");
    assert_string_equal(s.texts[1], "");
    lethe_free(r);
    const struct lethe_forget_args subject = {.subject = "user-4711"};
    assert_call(lethe_forget(l, &subject, &r, &e), LETHE_OK);
    assert_string_equal(s.texts[0], "");
    assert_string_equal(s.texts[1], "user-4711");
    lethe_free(r);
    lethe_close(l);
    fake_stop(&server);
}

/* ------------------------------------------------------------------ components */

/* Sizes around a frame, and the largest. */
void test_learning_component_import(void **state)
{
    (void)state;
    static const struct {
        size_t size, frames;
    } CASES[] = {{1, 1},
                 {LIMIT_FRAME_BYTES, 1},
                 {LIMIT_FRAME_BYTES + 1, 2},
                 {LIMIT_IMPORT_BYTES, LIMIT_IMPORT_BYTES / LIMIT_FRAME_BYTES}};
    struct seen s = {.file = malloc(LIMIT_IMPORT_BYTES)};
    unsigned char *file = malloc(LIMIT_IMPORT_BYTES);
    for (size_t i = 0; i < LIMIT_IMPORT_BYTES; i++)
        file[i] = (unsigned char)(i * 2654435761u >> 13);
    struct fake_server server;
    fake_start(&server, answer_learning, &s);
    struct lethe *l = open_client(&server, NULL);
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        const struct lethe_component_args args = {.kind = "lane",
                                                  .name = "digits",
                                                  .bytes = file,
                                                  .size = CASES[i].size,
                                                  .dry_run = i % 2 == 1};
        struct lethe_request *r;
        struct lethe_error e;
        assert_call(lethe_component_import(l, &args, &r, &e), LETHE_OK);
        assert_int_equal(s.n_frames, CASES[i].frames);
        assert_int_equal(s.file_bytes, CASES[i].size);
        assert_memory_equal(s.file, file, CASES[i].size);
        const struct digest digest = seal_hash(file, CASES[i].size);
        assert_true(digest_equal(&digest, &s.digest));
        assert_string_equal(s.texts[0], "lane");
        assert_int_equal(s.flags[0], i % 2);
        lethe_free(r);
    }
    lethe_close(l);
    fake_stop(&server);
    free(file);
    free(s.file);
}

void test_learning_component_export(void **state)
{
    (void)state;
    struct seen s = {0};
    struct fake_server server;
    fake_start(&server, answer_learning, &s);
    struct lethe *l = open_client(&server, NULL);
    struct lethe_export *x;
    struct lethe_error e;
    assert_call(lethe_component_export(l, "3", "lane:digits", &x, &e), LETHE_OK);
    assert_string_equal(s.texts[0], "");
    assert_string_equal(s.texts[1], "lane:digits");
    lethe_free(x);
    assert_call(lethe_export(l, "3", "peft", &x, &e), LETHE_OK);
    assert_string_equal(s.texts[0], "peft");
    assert_string_equal(s.texts[1], "");
    lethe_free(x);
    lethe_close(l);
    fake_stop(&server);
}
