/* The command line as a whole: usage, exits, what goes to which stream, what is sent. */
#include "tests/unit/client/fake_server.h"

#include "client/cli/command.h"
#include "proto/seal/hash.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

/* ------------------------------------------------------------------ support */

struct ran {
    int code;
    char *out, *err;
};

static void ran_free(struct ran *r)
{
    free(r->out);
    free(r->err);
}

static struct ran run(const char *const *words, int n)
{
    struct ran r;
    size_t out_size, err_size;
    const char *argv[32] = {"lethe"};
    for (int i = 0; i < n; i++)
        argv[i + 1] = words[i];
    struct cli c = {.out = open_memstream(&r.out, &out_size),
                    .err = open_memstream(&r.err, &err_size)};
    assert_non_null(c.out);
    assert_non_null(c.err);
    fake_sync();
    r.code = command_main(&c, n + 1, argv);
    fake_sync();
    assert_null(c.lethe);
    assert_int_equal(fclose(c.out), 0);
    assert_int_equal(fclose(c.err), 0);
    return r;
}
#define RUN(...)                                                                                   \
    run((const char *const[]){__VA_ARGS__},                                                        \
        (int)(sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *)))

static void assert_has(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("\"%s\" is not in:\n%s", part, text);
}

int group_setup(void **state);
int group_setup(void **state)
{
    (void)state;
    unsetenv("LETHE_ENDPOINT");
    unsetenv("LETHE_KEY");
    unsetenv("LETHE_SERVER_KEY");
    return 0;
}

static const char ID[] = "018bcfe5-687b-7f01-bf03-040506070809";

/* ------------------------------------------------------------------ usage */

void test_command_usage_errors(void **state)
{
    (void)state;
    static const struct {
        const char *words[8];
        const char *says;
    } CASES[] = {
        {{"frobnicate"}, "there is no command \"frobnicate\""},
        {{"stauts"}, "did you mean \"status\"?"},
        {{"data", "imprt"}, "did you mean \"data import\"?"},
        {{"status", "now"}, "\"now\" is one operand too many"},
        {{"status", "--colour"}, "there is no option --colour"},
        {{"--colour", "status"}, "there is no option --colour"},
        {{"request"}, "lethe request needs ID"},
        {{"diff", "1"}, "lethe diff needs VERSION VERSION"},
        {{"forget"}, "nothing to forget"},
        {{"forget", "--class"}, "--class needs a value"},
        {{"forget", "--class", "A", "--mode", "slow"}, "--mode is one of exact, fast"},
        {{"forget", "--class", "A", "--probe", "x"}, "--probe is one of"},
        {{"forget", "--class", "A", "--due", "soon"}, "is no date"},
        {{"forget", "--class", "A", "--due", "2001-01-01"}, "has passed"},
        {{"forget", "--class", "A", "--option", "depth"}, "NAME=VALUE"},
        {{"forget", "--class", "A", "--option", "=1"}, "NAME=VALUE"},
        {{"forget", "--class", "A", "--seed", "-1"}, "--seed is a number"},
        {{"forget", "--class", "A", "--timeout", "0"}, "--timeout is a number from 1"},
        {{"requests", "--state", "done"}, "--state is one of"},
        {{"history", "--limit", "0"}, "--limit is a number from 1 to 1000"},
        {{"served-at", "teatime"}, "is no time"},
        {{"pin"}, "a VERSION, or --release"},
        {{"pin", "3", "--release"}, "a VERSION, or --release"},
        {{"export", "3", "--format", "peft"}, "-o DIR"},
        {{"export", "3", "-o", "x"}, "--format"},
        {{"export", "3", "-o", "x", "-f", "h5"}, "--format is one of"},
        {{"predict", "--top", "0", "x.png"}, "--top is a number"},
        {{"predict", "--decision", "x", "x.png"}, "--decision is one of"},
        {{"data", "import", "a", "b", "--role", "x"}, "--role is one of"},
        {{"--endpoint", "lethe.sock", "status"}, "is no endpoint"},
        {{"--endpoint", "tcp://h:1", "status"}, "needs both"},
        {{"help", "frobnicate"}, "there is no command"},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        int n = 0;
        while (n < 8 && CASES[i].words[n])
            n++;
        struct ran r = run(CASES[i].words, n);
        if (r.code != CLI_USAGE)
            fail_msg("%s: exit %d", CASES[i].says, r.code);
        assert_has(r.err, CASES[i].says);
        assert_string_equal(r.out, "");
        ran_free(&r);
    }
    struct ran r = run(NULL, 0);
    assert_int_equal(r.code, CLI_USAGE);
    assert_has(r.err, "usage: lethe");
    ran_free(&r);
}

void test_command_help_of_every_command(void **state)
{
    (void)state;
    const struct command *list[64];
    const size_t n = command_list(list, 64);
    struct ran all = RUN("help");
    assert_int_equal(all.code, CLI_DONE);
    assert_true(n >= 19);
    for (size_t i = 0; i < n; i++) {
        char name[64];
        (void)snprintf(name, sizeof name, "%s", list[i]->name);
        char *second = strchr(name, ' ');
        if (second)
            *second++ = '\0';
        const char *words[] = {"help", name, second};
        struct ran r = run(words, second ? 3 : 2);
        assert_int_equal(r.code, CLI_DONE);
        assert_has(r.out, list[i]->summary);
        assert_has(all.out, list[i]->summary);
        const char *asked[] = {name, second ? second : "--help", "--help"};
        struct ran same = run(asked, second ? 3 : 2);
        assert_string_equal(same.out, r.out);
        ran_free(&same);
        ran_free(&r);
    }
    ran_free(&all);
    struct ran r = RUN("--version");
    assert_int_equal(r.code, CLI_DONE);
    assert_memory_equal(r.out, "lethe ", 6);
    ran_free(&r);
}

void test_command_unreachable(void **state)
{
    (void)state;
    struct ran r = RUN("--timeout", "1", "-e", "ipc:///tmp/lethe-test-nobody", "status");
    assert_int_equal(r.code, CLI_UNREACHABLE);
    assert_string_equal(r.out, "");
    assert_has(r.err, "no daemon can be reached at ipc:///tmp/lethe-test-nobody");
    assert_has(r.err, "there is no socket /tmp/lethe-test-nobody");
    assert_has(r.err, "lethed --base FOLDER --store DIR");
    ran_free(&r);
    setenv("LETHE_ENDPOINT", "ipc:///tmp/lethe-test-from-environment", 1);
    r = RUN("--json", "--timeout", "1", "status");
    assert_int_equal(r.code, CLI_UNREACHABLE);
    assert_has(r.out, "{\"error\":{\"code\":\"DEADLINE_EXCEEDED\"");
    assert_has(r.err, "lethe-test-from-environment");
    unsetenv("LETHE_ENDPOINT");
    ran_free(&r);
}

/* ------------------------------------------------------------------ a small daemon */

/* What the scripted daemon does and what it saw. */
struct script {
    const char *state; /* final state of the request */
    bool dry_run;
    bool refuse_classes;
    bool never_final;
    bool damaged;
    const char *export_path;
    struct wire_error error;
    struct fault f;
    int waits;
    int64_t due_at;
    uint64_t seed;
    char option[64];
    char version[64];
    enum wire_pixel pixel;
    size_t images;
    size_t image_bytes;
    uint32_t top;
    float first_pixel;
    unsigned char upload[4096];
    size_t uploaded;
    size_t n_classes;
    char class_names[10][32];
    uint64_t upload_images;
};

static const struct wire_label_info LABELS[] = {
    {"T-shirt/top", "base", "active", {{0}}},
    {"Sandal", "base", "active", {{0}}},
    {"Bag", "base", "forgotten", {{0}}},
};
static const float MEAN[] = {0.5f};

static const char REPORT[] =
    "{\"acc_forget\":0.001,\"acc_forget_before\":0.97,\"acc_retain\":0.925,"
    "\"acc_retain_before\":0.93,\"h_mean\":0.95,\"per_class\":[{\"label\":\"Sandal\","
    "\"owner\":\"base\",\"n\":1000,\"acc\":0.001,\"acc_before\":0.97}],\"mia\":{\"auc\":0.51},"
    "\"probe\":{\"ncm\":0.2,\"ridge\":null,\"reference\":{\"ncm\":0.25}},\"relapse\":[],"
    "\"gate\":{\"passed\":false,\"reasons\":[\"acc_retain: 0.925 < 0.93\"]},\"n_eval\":10000,"
    "\"seconds\":3.5}";

static void give_request(const struct script *s, struct fake_call *call, const char *state)
{
    struct wire_request r = {.kind = "forget",
                             .state = state,
                             .dry_run = s->dry_run,
                             .evaluation = {(const uint8_t *)REPORT, sizeof REPORT - 1}};
    struct request_id id;
    assert_int_equal(request_id_parse(ID, &id), 0);
    r.id = id;
    call->reply.answer = WIRE_ANSWER_REQUEST;
    call->reply.body.request = r;
}

static bool answer_forget(struct script *s, struct fake_call *call)
{
    const struct wire_forget *w = &call->message->body.forget;
    s->due_at = w->due_at;
    s->seed = w->seed;
    if (w->n_options > 0)
        (void)snprintf(s->option, sizeof s->option, "%s:%s", w->options[0].name,
                       w->options[0].value);
    if (s->refuse_classes) {
        (void)fault_set(&s->f, STATUS_NOT_FOUND, __FILE__, __LINE__, "classes",
                        "the model has no class \"%s\"", w->classes[0]);
        s->error = wire_error_make(STATUS_NOT_FOUND, &s->f, 0);
        call->reply.error = &s->error;
        return true;
    }
    give_request(s, call, "queued");
    return true;
}

static bool answer_predict(struct script *s, struct fake_call *call)
{
    static const struct wire_scored_label SCORED[] = {{"Sandal", "base", 0.9f},
                                                      {"T-shirt/top", "base", 0.1f}};
    static const float LOGITS[] = {0.1f, 2, -1};
    static const char *const NAMES[] = {"T-shirt/top", "Sandal", "Bag"};
    const struct wire_predict *w = &call->message->body.predict;
    struct wire_prediction *items = arena_alloc_zero(call->arena, call->n_raw, sizeof *items);
    for (size_t i = 0; i < call->n_raw; i++)
        items[i] = (struct wire_prediction){.labels = SCORED,
                                            .n_labels = w->top < 2 ? 1 : 2,
                                            .logits = LOGITS,
                                            .n_logits = w->logits ? 3 : 0};
    if (s->images == 0)
        s->first_pixel = w->pixel == WIRE_PIXEL_U8 ? call->raw[0].at[0] : -1;
    s->pixel = w->pixel;
    s->images += call->n_raw;
    s->image_bytes = call->raw[0].size;
    s->top = w->top;
    memset(call->reply.body.predictions.version.b, 0xab, DIGEST_SIZE);
    call->reply.answer = WIRE_ANSWER_PREDICTIONS;
    call->reply.body.predictions.items = items;
    call->reply.body.predictions.n_items = call->n_raw;
    call->reply.body.predictions.logit_labels = NAMES;
    call->reply.body.predictions.n_logit_labels = 3;
    return true;
}

static const unsigned char EXPORTED[] = "weights";

static bool answer_export(const struct script *s, struct fake_call *call)
{
    struct wire_exported_file *file = arena_alloc_zero(call->arena, 1, sizeof *file);
    file->path = s->export_path;
    file->digest = seal_hash(EXPORTED, 7);
    file->bytes = 7;
    call->reply.answer = WIRE_ANSWER_EXPORTED;
    memset(call->reply.body.exported.version.b, 1, DIGEST_SIZE);
    call->reply.body.exported.files = file;
    call->reply.body.exported.n_files = 1;
    return true;
}

static bool answer_upload(struct script *s, struct fake_call *call)
{
    if (call->message->kind == WIRE_KIND_DATA_OPEN) {
        const struct wire_data_open *w = &call->message->body.data_open;
        s->n_classes = w->n_classes;
        s->upload_images = w->images;
        for (size_t i = 0; i < w->n_classes && i < 10; i++)
            (void)snprintf(s->class_names[i], sizeof s->class_names[i], "%s", w->classes[i]);
    } else {
        memcpy(s->upload + s->uploaded, call->raw[0].at, call->raw[0].size);
        s->uploaded += call->raw[0].size;
    }
    call->reply.answer = WIRE_ANSWER_UPLOAD;
    memset(call->reply.body.upload.upload.b, 7, REQUEST_ID_SIZE);
    call->reply.body.upload.offset = s->uploaded;
    call->reply.body.upload.credit = 8;
    return true;
}

static bool answer_versions(struct script *s, struct fake_call *call)
{
    struct wire_version v = {.number = 3, .serving = true};
    memset(v.id.b, 0xcd, DIGEST_SIZE);
    const char *name = call->message->kind == WIRE_KIND_ROLLBACK
                           ? call->message->body.rollback.version
                           : call->message->body.version.version;
    (void)snprintf(s->version, sizeof s->version, "%s", name);
    call->reply.answer = WIRE_ANSWER_VERSION;
    call->reply.body.version = v;
    return true;
}

static bool answer_list(struct fake_call *call)
{
    static const struct wire_request ITEMS[] = {{.kind = "forget", .state = "committed"},
                                                {.kind = "forget", .state = "rejected"}};
    call->reply.answer = WIRE_ANSWER_REQUESTS;
    call->reply.body.requests = (struct wire_requests){ITEMS, 2, 0};
    return true;
}

static bool daemon_answers(void *context, struct fake_call *call)
{
    static const struct wire_dataset SETS[] = {{.name = "mine", .role = "train", .images = 2}};
    static const char *const FINDINGS[] = {"blob 17 is damaged"};
    struct script *s = context;
    switch ((int)call->message->kind) {
    case WIRE_KIND_STATUS:
        call->reply.answer = WIRE_ANSWER_STATUS;
        call->reply.body.status = (struct wire_status){.state = "serving", .model = "vit-tiny"};
        return true;
    case WIRE_KIND_MODEL:
        call->reply.answer = WIRE_ANSWER_MODEL;
        call->reply.body.model =
            (struct wire_model){"vit-tiny", 4, 1, MEAN, 1, MEAN, 1, "bilinear", 0, LABELS, 3};
        return true;
    case WIRE_KIND_FORGET:
        return answer_forget(s, call);
    case WIRE_KIND_WAIT:
        s->waits++;
        give_request(s, call, s->never_final || s->waits < 2 ? "running" : s->state);
        return true;
    case WIRE_KIND_REQUESTS:
        return answer_list(call);
    case WIRE_KIND_PREDICT:
        return answer_predict(s, call);
    case WIRE_KIND_SHOW:
    case WIRE_KIND_PIN:
    case WIRE_KIND_ROLLBACK:
        return answer_versions(s, call);
    case WIRE_KIND_EVALUATE:
        call->reply.answer = WIRE_ANSWER_REPORT;
        call->reply.body.report.evaluation =
            (struct wire_bytes){(const uint8_t *)REPORT, sizeof REPORT - 1};
        return true;
    case WIRE_KIND_EXPORT:
        return answer_export(s, call);
    case WIRE_KIND_BLOB:
        call->has_raw = true;
        call->answer_raw = (struct wire_bytes){EXPORTED, 7};
        return true;
    case WIRE_KIND_FSCK:
        call->reply.answer = WIRE_ANSWER_FSCK;
        call->reply.body.fsck = (struct wire_fsck){
            .ok = !s->damaged, .findings = FINDINGS, .n_findings = s->damaged ? 1 : 0};
        return true;
    case WIRE_KIND_DATA_OPEN:
    case WIRE_KIND_DATA_CHUNK:
        return answer_upload(s, call);
    case WIRE_KIND_DATA_CLOSE:
    case WIRE_KIND_DATA_LIST:
        call->reply.answer = WIRE_ANSWER_DATASETS;
        call->reply.body.datasets = (struct wire_datasets){SETS, 1};
        return true;
    case WIRE_KIND_DATA_REMOVE:
        return true;
    default:
        return false;
    }
}

/* One command line against the scripted daemon. */
#define WITH(script, server, ...)                                                                  \
    (fake_start(&(server), daemon_answers, &(script)), RUN("-e", (server).endpoint, __VA_ARGS__))

/* ------------------------------------------------------------------ commands */

void test_command_status(void **state)
{
    (void)state;
    struct script s = {0};
    struct fake_server server;
    struct ran r = WITH(s, server, "--json", "status");
    assert_int_equal(r.code, CLI_DONE);
    assert_memory_equal(r.out, "{\"state\":\"serving\"", 18);
    assert_string_equal(strchr(r.out, '\n'), "\n");
    assert_string_equal(r.err, "");
    ran_free(&r);
    r = RUN("-e", server.endpoint, "status");
    assert_int_equal(r.code, CLI_DONE);
    assert_has(r.out, "vit-tiny, 0 classes active");
    ran_free(&r);
    fake_stop(&server);
}

void test_command_forget_returns_at_acceptance(void **state)
{
    (void)state;
    struct script s = {0};
    struct fake_server server;
    struct ran r = WITH(s, server, "forget", "--class", "Sandal", "--due", "2100-01-01", "--seed",
                        "7", "--option", "depth=off", "w_d=0.3");
    assert_int_equal(r.code, CLI_DONE);
    assert_int_equal(s.waits, 0);
    assert_int_equal(s.seed, 7);
    assert_string_equal(s.option, "depth:off");
    assert_int_equal(s.due_at, INT64_C(4102531199000000)); /* the end of that day */
    assert_has(r.out, ID);
    assert_has(r.err, "lethe wait 018b");
    ran_free(&r);
    fake_stop(&server);
}

void test_command_exit_of_a_waited_request(void **state)
{
    (void)state;
    static const struct {
        const char *state;
        bool dry_run;
        int code;
    } CASES[] = {{"committed", false, CLI_DONE},        {"rejected", false, CLI_ENDED_BADLY},
                 {"failed", false, CLI_ENDED_BADLY},    {"denied", false, CLI_ENDED_BADLY},
                 {"cancelled", false, CLI_ENDED_BADLY}, {"cancelled", true, CLI_DONE},
                 {"duplicate", false, CLI_DONE}};
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        struct script s = {.state = CASES[i].state, .dry_run = CASES[i].dry_run};
        struct fake_server server;
        struct ran r = WITH(s, server, "--json", "forget", "--class", "Sandal", "--wait");
        assert_int_equal(r.code, CASES[i].code);
        char want[64];
        (void)snprintf(want, sizeof want, "\"state\":\"%s\"", CASES[i].state);
        assert_has(r.out, want);
        assert_string_equal(strchr(r.out, '\n'), "\n"); /* one object, one line */
        assert_has(r.err, "is queued");
        assert_int_equal(s.waits, 2);
        ran_free(&r);
        s.waits = 0;
        r = RUN("-e", server.endpoint, "--quiet", "wait", ID);
        assert_int_equal(r.code, CASES[i].code);
        assert_has(r.out, "gate: NOT PASSED\n  acc_retain: 0.925 < 0.93");
        assert_has(r.out, "accuracy, classes to forget");
        assert_string_equal(r.err, "");
        ran_free(&r);
        fake_stop(&server);
    }
}

void test_command_wait_has_a_deadline(void **state)
{
    (void)state;
    struct script s = {.never_final = true};
    struct fake_server server;
    struct ran r = WITH(s, server, "wait", ID, "--timeout", "1");
    assert_int_equal(r.code, CLI_UNREACHABLE);
    assert_string_equal(r.out, "");
    assert_has(r.err, "it goes on");
    ran_free(&r);
    fake_stop(&server);
}

void test_command_suggests_labels(void **state)
{
    (void)state;
    struct script s = {.refuse_classes = true};
    struct fake_server server;
    struct ran r = WITH(s, server, "forget", "--class", "Sandals");
    assert_int_equal(r.code, CLI_REFUSED);
    assert_string_equal(r.out, "");
    assert_has(r.err, "the model has no class \"Sandals\"");
    assert_has(r.err, "did you mean \"Sandal\"?");
    assert_has(r.err, "labels that can be forgotten: T-shirt/top, Sandal\n");
    ran_free(&r);
    r = RUN("--json", "-q", "-e", server.endpoint, "forget", "--class", "Sandals");
    assert_int_equal(r.code, CLI_REFUSED);
    assert_string_equal(r.out,
                        "{\"error\":{\"code\":\"NOT_FOUND\",\"message\":\"the model has no class "
                        "\\\"Sandals\\\"\",\"field\":\"classes\"}}\n");
    ran_free(&r);
    fake_stop(&server);
}

void test_command_lists(void **state)
{
    (void)state;
    struct script s = {0};
    struct fake_server server;
    struct ran r = WITH(s, server, "requests", "--json");
    assert_int_equal(r.code, CLI_DONE);
    const char *second = strchr(r.out, '\n');
    assert_non_null(second);
    assert_int_equal(second[1], '{');
    assert_string_equal(strchr(second + 1, '\n'), "\n");
    ran_free(&r);
    r = RUN("-e", server.endpoint, "requests");
    assert_has(r.out, "request  kind    state");
    assert_has(r.out, "rejected");
    ran_free(&r);
    r = RUN("-e", server.endpoint, "data", "list", "--json");
    assert_has(r.out, "{\"name\":\"mine\",\"role\":\"train\"");
    ran_free(&r);
    fake_stop(&server);
}

void test_command_versions(void **state)
{
    (void)state;
    struct script s = {0};
    struct fake_server server;
    struct ran r = WITH(s, server, "rollback", "cdcdcdcd");
    assert_int_equal(r.code, CLI_DONE);
    assert_string_equal(s.version, "cdcdcdcd");
    assert_has(r.out, "3  (serving)");
    ran_free(&r);
    r = RUN("-e", server.endpoint, "pin", "--release");
    assert_int_equal(r.code, CLI_DONE);
    assert_string_equal(s.version, "");
    ran_free(&r);
    r = RUN("-e", server.endpoint, "evaluate", "--json");
    assert_int_equal(r.code, CLI_DONE);
    assert_memory_equal(r.out, "{\"version\":null,\"acc_forget\":0.001,", 35);
    ran_free(&r);
    fake_stop(&server);
}

void test_command_fsck(void **state)
{
    (void)state;
    struct script s = {0};
    struct fake_server server;
    struct ran r = WITH(s, server, "fsck");
    assert_int_equal(r.code, CLI_DONE);
    ran_free(&r);
    s.damaged = true;
    r = RUN("-e", server.endpoint, "fsck");
    assert_int_equal(r.code, CLI_ENDED_BADLY);
    assert_has(r.out, "blob 17 is damaged");
    ran_free(&r);
    fake_stop(&server);
}

/* ------------------------------------------------------------------ files */

static void write_bytes(const char *path, const void *bytes, size_t n)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

/* n images of 4 x 4 with value 10 i, and labels i mod 3, as IDX. */
static void write_idx(const char *folder, uint8_t n, uint8_t side)
{
    unsigned char images[16 + 100 * 25] = {0, 0, 8, 3, 0, 0, 0, n, 0, 0, 0, side, 0, 0, 0, side};
    unsigned char labels[8 + 100] = {0, 0, 8, 1, 0, 0, 0, n};
    const size_t size = (size_t)side * side;
    for (uint8_t i = 0; i < n; i++) {
        memset(images + 16 + i * size, 2 * i, size);
        labels[8 + i] = i % 3;
    }
    char path[400];
    (void)snprintf(path, sizeof path, "%s/train-images-idx3-ubyte", folder);
    write_bytes(path, images, 16 + n * size);
    (void)snprintf(path, sizeof path, "%s/train-labels-idx1-ubyte", folder);
    write_bytes(path, labels, 8u + n);
}

static int count_lines(const char *text)
{
    int n = 0;
    for (; *text != '\0'; text++)
        n += *text == '\n';
    return n;
}

void test_command_predict_arrays(void **state)
{
    (void)state;
    struct script s = {0};
    struct fake_server server;
    char folder[256];
    test_support_mkdir(folder);
    write_idx(folder, 70, 4);
    struct ran r =
        WITH(s, server, "predict", "--json", "--range", "5:50", "--logits", "-k", "2", folder);
    assert_string_equal(r.err, "");
    assert_int_equal(r.code, CLI_DONE);
    assert_int_equal(s.images, 45); /* in two messages */
    assert_int_equal(s.image_bytes, 16);
    assert_int_equal(s.pixel, WIRE_PIXEL_U8);
    assert_int_equal(s.top, 2);
    assert_near(s.first_pixel, 10, 0);
    assert_int_equal(count_lines(r.out), 45);
    assert_has(r.out, "\"index\":5,\"logits\":[0.100000001,2.0,-1.0],\"logit_labels\":[");
    assert_has(r.out, "\"index\":49,");
    ran_free(&r);
    r = RUN("-e", server.endpoint, "predict", "--range", "70:71", folder);
    assert_int_equal(r.code, CLI_USAGE);
    assert_has(r.err, "images 70:71 of 70");
    ran_free(&r);
    r = RUN("-e", server.endpoint, "predict", "--range", "1", folder);
    assert_has(r.out, "1  Sandal  base        90.0 %\n");
    ran_free(&r);
    write_idx(folder, 3, 5);
    r = RUN("-e", server.endpoint, "predict", folder);
    assert_int_equal(r.code, CLI_USAGE);
    assert_has(r.err, "5x5 pixels, 1 channel; the model takes 4x4, 1 channel");
    ran_free(&r);
    r = RUN("-e", server.endpoint, "predict", "/nonexistent.png");
    assert_int_equal(r.code, CLI_USAGE);
    assert_has(r.err, "/nonexistent.png");
    ran_free(&r);
    fake_stop(&server);
    test_support_rmdir(folder);
}

void test_command_predict_float(void **state)
{
    (void)state;
    struct script s = {0};
    struct fake_server server;
    char folder[256], path[300];
    unsigned char npy[128 + 64] = "\x93NUMPY\x01";
    npy[8] = 118;
    memset(npy + 10, ' ', 118);
    static const char HEADER[] = "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 4, 4), }";
    memcpy(npy + 10, HEADER, sizeof HEADER - 1);
    npy[127] = '\n';
    test_support_mkdir(folder);
    (void)snprintf(path, sizeof path, "%s/x.npy", folder);
    write_bytes(path, npy, sizeof npy);
    struct ran r = WITH(s, server, "predict", path, path);
    assert_string_equal(r.err, "");
    assert_int_equal(r.code, CLI_DONE);
    assert_int_equal(s.pixel, WIRE_PIXEL_F32);
    assert_int_equal(s.image_bytes, 64);
    assert_int_equal(s.images, 2);
    ran_free(&r);
    fake_stop(&server);
    test_support_rmdir(folder);
}

void test_command_data_import(void **state)
{
    (void)state;
    struct script s = {0};
    struct fake_server server;
    char folder[256], names[300];
    test_support_mkdir(folder);
    write_idx(folder, 9, 4);
    struct ran r = WITH(s, server, "data", "import", "mine", folder, "--range", "2:4");
    assert_int_equal(r.code, CLI_DONE);
    assert_has(r.err, "take the model's labels");
    assert_has(r.out, "mine");
    assert_int_equal(s.upload_images, 2);
    assert_int_equal(s.uploaded, 2 * (16 + 4));
    assert_int_equal(s.upload[0], 4);
    assert_int_equal(s.upload[16], 6);
    static const unsigned char LABEL_BYTES[] = {2, 0, 0, 0, 0, 0, 0, 0};
    assert_memory_equal(s.upload + 32, LABEL_BYTES, 8);
    assert_int_equal(s.n_classes, 3);
    assert_string_equal(s.class_names[2], "Bag");
    ran_free(&r);
    s = (struct script){0};
    r = RUN("-e", server.endpoint, "data", "import", "mine", folder, "--role", "unseen");
    assert_int_equal(r.code, CLI_DONE);
    assert_string_equal(s.class_names[1], "mine 1");
    ran_free(&r);
    (void)snprintf(names, sizeof names, "%s/names", folder);
    write_bytes(names, "a\r\nb\nc", 6);
    s = (struct script){0};
    r = RUN("-e", server.endpoint, "data", "import", "mine", folder, "--class-names", names);
    assert_int_equal(r.code, CLI_DONE);
    assert_string_equal(s.class_names[0], "a");
    assert_string_equal(s.class_names[2], "c");
    ran_free(&r);
    write_bytes(names, "a\nb\n", 4);
    r = RUN("-e", server.endpoint, "data", "import", "mine", folder, "--class-names", names);
    assert_int_equal(r.code, CLI_USAGE);
    assert_has(r.err, "2 names for 3 classes");
    ran_free(&r);
    write_bytes(names, "a\nb\na\n", 6);
    r = RUN("-e", server.endpoint, "data", "import", "mine", folder, "--class-names", names);
    assert_int_equal(r.code, CLI_USAGE);
    assert_has(r.err, "two classes are called \"a\"");
    ran_free(&r);
    fake_stop(&server);
    test_support_rmdir(folder);
}

void test_command_export(void **state)
{
    (void)state;
    static const char *const BAD[] = {"../x", "/etc/x", "a/../../x", "", "a//b", ".", "a/."};
    struct script s = {.export_path = "adapter/model.safetensors"};
    struct fake_server server;
    char folder[256], out[300], path[400], text[16] = "";
    test_support_mkdir(folder);
    (void)snprintf(out, sizeof out, "%s/new/out", folder);
    struct ran r = WITH(s, server, "export", "3", "--format", "peft", "-o", out);
    assert_int_equal(r.code, CLI_DONE);
    assert_has(r.out, "adapter/model.safetensors");
    (void)snprintf(path, sizeof path, "%s/adapter/model.safetensors", out);
    const int fd = open(path, O_RDONLY);
    assert_true(fd >= 0);
    assert_int_equal(read(fd, text, sizeof text), 7);
    assert_string_equal(text, "weights");
    close(fd);
    ran_free(&r);
    for (size_t i = 0; i < sizeof BAD / sizeof BAD[0]; i++) {
        s.export_path = BAD[i];
        r = RUN("-e", server.endpoint, "export", "3", "--format", "peft", "-o", out);
        assert_int_equal(r.code, CLI_REFUSED);
        assert_has(r.err, "outside the folder");
        ran_free(&r);
    }
    s.export_path = "x";
    r = RUN("-e", server.endpoint, "export", "3", "--format", "peft", "-o", "/proc/nowhere");
    assert_int_equal(r.code, CLI_USAGE);
    assert_has(r.err, "/proc/nowhere");
    ran_free(&r);
    fake_stop(&server);
    test_support_rmdir(folder);
}
