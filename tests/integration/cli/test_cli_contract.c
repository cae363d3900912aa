/*
 * What scripts rely on when they call lethe: exits 0 to 4, --json that is one object (a list: one a
 * line) and nothing else, the keys of every object, every form of picture, and a help text for
 * every command.  The real daemon runs on the tiny model.
 */
#include "tests/support/session.h"

#include <fcntl.h>
#include <jansson.h>
#include <png.h>
#include <spawn.h>
#include <sys/wait.h>

#define WORDS_MAX 24

static struct session s;
static char out[1u << 18];
static char err[1u << 16];
static char id[LETHE_ID_TEXT]; /* of the request that forgot Cross */

int group_setup(void **state);
int group_teardown(void **state);

int group_setup(void **state)
{
    (void)state;
    session_new(&s, SESSION_GATE SESSION_FAST);
    session_import(&s);
    struct lethe_request *r = session_forget_class(&s, "Cross");
    memcpy(id, r->id, sizeof id);
    lethe_free(r);
    return 0;
}

int group_teardown(void **state)
{
    (void)state;
    session_free(&s);
    return 0;
}

/* ------------------------------------------------------------------ running */

static void read_back(const char *path, char *to, size_t size)
{
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    to[fread(to, 1, size - 1, file)] = '\0';
    (void)fclose(file);
}

/* Runs `lethe --endpoint ENDPOINT WORDS...`; stdout and stderr go to out and err.  Its exit. */
static int lethe_at(const char *endpoint, const char *const *words)
{
    char program[] = LETHE_BUILD "/bin/lethe", option[] = "--endpoint", paths[2][600];
    char *argv[WORDS_MAX + 4] = {program, option};
    posix_spawn_file_actions_t actions;
    size_t n = 2;
    pid_t pid;
    int status;
    argv[n++] = strdup(endpoint);
    for (size_t i = 0; words[i]; i++) {
        assert_true(i < WORDS_MAX);
        argv[n++] = strdup(words[i]);
    }
    assert_int_equal(posix_spawn_file_actions_init(&actions), 0);
    for (int i = 0; i < 2; i++) {
        (void)snprintf(paths[i], sizeof paths[i], "%s/contract.%d", s.d.folder, i);
        assert_int_equal(posix_spawn_file_actions_addopen(&actions, i + 1, paths[i],
                                                          O_WRONLY | O_CREAT | O_TRUNC, 0600),
                         0);
    }
    assert_int_equal(posix_spawn(&pid, program, &actions, NULL, argv, environ), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    (void)posix_spawn_file_actions_destroy(&actions);
    for (size_t i = 2; i < n; i++)
        free(argv[i]);
    read_back(paths[0], out, sizeof out);
    read_back(paths[1], err, sizeof err);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

#define LETHE(...) lethe_at(s.d.endpoint, (const char *const[]){__VA_ARGS__, NULL})

static void assert_exit(int got, int wanted)
{
    if (got != wanted)
        fail_msg("exit %d instead of %d\n%s%s", got, wanted, out, err);
}

/* All of stdout is one object on one line, and nothing is on stderr. */
static json_t *only_object(void)
{
    json_error_t e;
    json_t *o = json_loads(out, 0, &e);
    if (!json_is_object(o))
        fail_msg("not one object: %s\n%s", e.text, out);
    const char *end = strchr(out, '\n');
    assert_true(end && end[1] == '\0');
    assert_string_equal(err, "");
    return o;
}

/* Every line of stdout is an object with these keys; how many lines. */
static size_t object_lines(const char *const *keys)
{
    size_t n = 0;
    for (char *line = out, *end; *line; line = end + 1, n++) {
        json_error_t e;
        end = strchr(line, '\n');
        assert_non_null(end);
        *end = '\0';
        json_t *o = json_loads(line, 0, &e);
        if (!json_is_object(o))
            fail_msg("not an object: %s\n%s", e.text, line);
        for (size_t i = 0; keys[i]; i++)
            if (!json_object_get(o, keys[i]))
                fail_msg("no key %s in %s", keys[i], line);
        json_decref(o);
    }
    assert_string_equal(err, "");
    return n;
}

static void assert_keys(const json_t *o, const char *const *keys)
{
    for (size_t i = 0; keys[i]; i++)
        if (!json_object_get(o, keys[i]))
            fail_msg("no key %s in %s", keys[i], out);
}

/* ------------------------------------------------------------------ exits */

void test_contract_exit_1_of_a_request_that_ends_badly(void **state)
{
    (void)state;
    struct session strict;
    static const char *const words[] = {"forget", "--class", "Circle", "--wait",
                                        "--json", "-q",      NULL};
    session_new(&strict, "memory_fraction = 1.0\nmax_attempts = 1\n[gate]\n"
                         "js_drift = 0.000001 pass\n[gslora]\nepochs = 1\n");
    session_import(&strict);
    assert_exit(lethe_at(strict.d.endpoint, words), 1);
    json_t *o = only_object();
    assert_string_equal(json_string_value(json_object_get(o, "state")), "rejected");
    const json_t *error = json_object_get(o, "error");
    assert_string_equal(json_string_value(json_object_get(error, "code")), "FAILED_PRECONDITION");
    assert_true(json_string_length(json_object_get(error, "message")) > 0);
    json_decref(o);
    session_free(&strict);
}

void test_contract_exit_2_of_wrong_usage(void **state)
{
    (void)state;
    assert_exit(LETHE("frobnicate"), 2);
    assert_exit(LETHE("forget"), 2);
    assert_exit(LETHE("forget", "--colour", "red"), 2);
    assert_exit(LETHE("show"), 2);
    assert_exit(LETHE("show", "1", "2"), 2);
    assert_exit(LETHE("predict", "/nonexistent.png"), 2);
    assert_exit(LETHE("export", "1", "--format", "onnx", "-o", "/tmp"), 2);
    assert_exit(LETHE("history", "--limit", "many"), 2);
    assert_string_equal(out, "");
    assert_non_null(strstr(err, "lethe: "));
}

void test_contract_exit_3_of_a_refusal(void **state)
{
    (void)state;
    static const char *const keys[] = {"code", "message", "field", NULL};
    assert_exit(LETHE("rollback", "1"), 3);
    assert_non_null(strstr(err, "Cross"));
    assert_exit(LETHE("show", "77"), 3);
    assert_exit(LETHE("--json", "forget", "--class", "Cross"), 3);
    /* even a failure is an object for a script that asks for one */
    json_error_t e;
    json_t *o = json_loads(out[0] != '\0' ? out : err, 0, &e);
    if (!json_is_object(o))
        fail_msg("no object: %s%s", out, err);
    const json_t *error = json_object_get(o, "error");
    assert_keys(error ? error : o, keys);
    json_decref(o);
}

void test_contract_exit_4_without_a_daemon(void **state)
{
    (void)state;
    static const char *const words[] = {"--timeout", "1", "status", NULL};
    assert_exit(lethe_at("ipc:///tmp/lethe-nobody-is-here.sock", words), 4);
    assert_exit(lethe_at("ipc:///tmp/lethe-nobody-is-here.sock",
                         (const char *const[]){"--timeout", "1", "--json", "history", NULL}),
                4);
}

/* ------------------------------------------------------------------ objects */

void test_contract_request_and_evaluation(void **state)
{
    (void)state;
    static const char *const request_keys[] = {
        "id",   "kind",           "state",         "submitted_at", "due_at", "finished_at",
        "role", "version_before", "version_after", "seed",         "error",  "evaluation",
        NULL};
    static const char *const evaluation_keys[] = {"acc_forget",
                                                  "acc_forget_before",
                                                  "acc_retain",
                                                  "acc_retain_before",
                                                  "acc_old_forgotten",
                                                  "h_mean",
                                                  "per_class",
                                                  "mia",
                                                  "probe",
                                                  "relapse",
                                                  "gate",
                                                  "n_eval",
                                                  "seconds",
                                                  NULL};
    static const char *const class_keys[] = {"label", "owner", "n", "acc", "acc_before", NULL};
    static const char *const mia_keys[] = {"auc", "auc_before", "n_forget", "n_unseen", "ci", NULL};
    static const char *const probe_keys[] = {"ncm", "ridge", "reference", NULL};
    assert_exit(LETHE("requests", "--json"), 0);
    assert_non_null(strstr(out, id));
    assert_true(object_lines(request_keys) >= 1);
    assert_exit(LETHE("request", id, "--json"), 0);
    json_t *o = only_object();
    assert_keys(o, request_keys);
    const json_t *report = json_object_get(o, "evaluation");
    assert_keys(report, evaluation_keys);
    assert_keys(json_array_get(json_object_get(report, "per_class"), 0), class_keys);
    assert_keys(json_object_get(report, "mia"), mia_keys);
    assert_keys(json_object_get(report, "probe"), probe_keys);
    assert_true(json_is_boolean(json_object_get(json_object_get(report, "gate"), "passed")));
    assert_true(json_is_array(json_object_get(json_object_get(report, "gate"), "reasons")));
    /* RFC 3339, UTC */
    const char *time = json_string_value(json_object_get(o, "submitted_at"));
    assert_non_null(time);
    assert_true(strlen(time) >= 20 && time[10] == 'T' && time[strlen(time) - 1] == 'Z');
    json_decref(o);
}

void test_contract_version(void **state)
{
    (void)state;
    static const char *const keys[] = {"id",      "number",     "parent", "request", "created_at",
                                       "serving", "components", "bytes",  NULL};
    static const char *const component_keys[] = {"kind",         "name",        "bytes", "digest",
                                                 "groups_total", "groups_zero", NULL};
    assert_exit(LETHE("history", "--json"), 0);
    assert_int_equal(object_lines(keys), 2);
    assert_exit(LETHE("show", "serving", "--json"), 0);
    json_t *o = only_object();
    assert_keys(o, keys);
    const json_t *components = json_object_get(o, "components");
    assert_true(json_array_size(components) >= 2);
    for (size_t i = 0; i < json_array_size(components); i++)
        assert_keys(json_array_get(components, i), component_keys);
    json_decref(o);
}

void test_contract_every_reading_command_prints_objects(void **state)
{
    (void)state;
    static const char *const none[] = {NULL};
    assert_exit(LETHE("--json", "status"), 0);
    json_decref(only_object());
    assert_exit(LETHE("--json", "diff", "1", "2"), 0);
    json_decref(only_object());
    assert_exit(LETHE("--json", "served-at", "now"), 0);
    json_decref(only_object());
    assert_exit(LETHE("--json", "evaluate"), 0);
    json_decref(only_object());
    assert_exit(LETHE("--json", "fsck"), 0);
    json_decref(only_object());
    assert_exit(LETHE("--json", "data", "list"), 0);
    assert_int_equal(object_lines(none), 2);
}

/* ------------------------------------------------------------------ pictures */

static const char *const prediction_keys[] = {"version", "labels", "expert", "latency_ms", NULL};

static void in_folder(const char *name, char path[600])
{
    (void)snprintf(path, 600, "%s/%s", s.d.folder, name);
}

static void
write_file(const char *path, const void *head, size_t n_head, const void *body, size_t n)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(head, 1, n_head, file), n_head);
    assert_int_equal(fwrite(body, 1, n, file), n);
    assert_int_equal(fclose(file), 0);
}

/* Best label of each line against the class of its picture. */
static void assert_answers(const char *const *labels, size_t n)
{
    const char *line = out;
    for (size_t i = 0; i < n; i++) {
        json_error_t e;
        json_t *o = json_loads(line, JSON_DISABLE_EOF_CHECK, &e);
        if (!json_is_object(o))
            fail_msg("line %zu: %s\n%s", i, e.text, out);
        assert_keys(o, prediction_keys);
        const json_t *best = json_array_get(json_object_get(o, "labels"), 0);
        assert_string_equal(json_string_value(json_object_get(best, "label")), labels[i]);
        assert_string_equal(json_string_value(json_object_get(best, "owner")), "base");
        assert_true(json_number_value(json_object_get(best, "p")) > 0.3);
        json_decref(o);
        line = strchr(line, '\n') + 1;
    }
    assert_int_equal(*line, '\0');
}

void test_contract_predict_png(void **state)
{
    (void)state;
    static const char *const labels[] = {"Stripe", "Circle"};
    char paths[2][600];
    for (uint32_t i = 0; i < 2; i++) {
        uint8_t pixels[TINY_PIXELS];
        png_image png = {.version = PNG_IMAGE_VERSION,
                         .width = TINY_SIZE,
                         .height = TINY_SIZE,
                         .format = PNG_FORMAT_GRAY};
        in_folder(i ? "circle.png" : "stripe.png", paths[i]);
        tiny_image(i ? 0 : 3, 21, 1, pixels);
        assert_true(png_image_write_to_file(&png, paths[i], 0, pixels, 0, NULL));
    }
    assert_exit(LETHE("predict", "--json", paths[0], paths[1]), 0);
    assert_answers(labels, 2);
    assert_exit(LETHE("predict", paths[0]), 0);
    assert_non_null(strstr(out, "Stripe"));
}

void test_contract_predict_npy(void **state)
{
    (void)state;
    static const char *const labels[] = {"Square"};
    static const char text[] = "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 8, 8), }";
    char path[600], head[128];
    uint8_t pixels[TINY_PIXELS];
    float x[TINY_PIXELS];
    memset(head, ' ', sizeof head);
    memcpy(head, "\x93NUMPY\x01\x00\x76\x00", 10);
    memcpy(head + 10, text, sizeof text - 1);
    head[127] = '\n';
    tiny_image(1, 21, 2, pixels);
    tiny_normalise(pixels, x);
    in_folder("square.npy", path);
    write_file(path, head, sizeof head, x, sizeof x);
    assert_exit(LETHE("predict", "--json", path), 0);
    assert_answers(labels, 1);
}

void test_contract_predict_idx_range(void **state)
{
    (void)state;
    static const char *const labels[] = {"Circle", "Circle", "Square", "Square", "Square"};
    static const uint8_t head[16] = {0, 0, 8, 3, 0, 0, 0, 8, 0, 0, 0, 8, 0, 0, 0, 8};
    char path[600];
    uint8_t pixels[8 * TINY_PIXELS];
    for (uint32_t i = 0; i < 8; i++)
        tiny_image(i / 4, 21, i, pixels + i * TINY_PIXELS);
    in_folder("some-images-idx3-ubyte", path);
    write_file(path, head, sizeof head, pixels, sizeof pixels);
    assert_exit(LETHE("predict", "--json", "--range", "2:7", path), 0);
    assert_answers(labels, 5);
    assert_exit(LETHE("predict", "--range", "7:9", path), 2);
}

/* ------------------------------------------------------------------ help */

void test_contract_help_of_every_command(void **state)
{
    (void)state;
    static const char *const commands[] = {
        "status",  "fsck", "forget", "requests",  "request",  "wait",     "cancel", "predict",
        "history", "show", "diff",   "served-at", "evaluate", "rollback", "pin",    "export"};
    assert_exit(LETHE("--help"), 0);
    char *all = strdup(out);
    assert_non_null(all);
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        assert_non_null(strstr(all, commands[i]));
        assert_exit(LETHE("help", commands[i]), 0);
        char *text = strdup(out);
        assert_non_null(text);
        assert_non_null(strstr(text, "usage: lethe"));
        assert_non_null(strstr(text, commands[i]));
        assert_exit(LETHE(commands[i], "--help"), 0);
        assert_string_equal(out, text);
        free(text);
    }
    free(all);
    assert_exit(LETHE("help", "data", "import"), 0);
    assert_non_null(strstr(out, "NAME PATH"));
    assert_exit(LETHE("--version"), 0);
    assert_non_null(strstr(out, "lethe"));
}
