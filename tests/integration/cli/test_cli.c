/*
 * The lethe command against the real daemon, worker and store, on a tiny model: import, forget,
 * predict, versions, export, and what is refused with which exit.  One daemon for all tests, which
 * run in the order of their names: b (basic), c (changes), d (refusals).
 */
#include "tests/support/test.h"

#include "tests/support/daemon.h"
#include "tests/support/tiny_model.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define OUT_SIZE  (1u << 18)
#define PER_CLASS 60

static struct test_daemon the_daemon;
static char the_model[256];
static char *the_out;

#define CLI(...) test_daemon_cli(&the_daemon, the_out, OUT_SIZE, __VA_ARGS__, NULL)

/* ------------------------------------------------------------------ support */

static void write_idx(const char *path, const void *bytes, size_t n, uint32_t count, int images)
{
    const uint8_t head[16] = {
        0, 0, 8, images ? 3 : 1, 0, 0, (uint8_t)(count >> 8), (uint8_t)count, 0, 0, 0, TINY_SIZE,
        0, 0, 0, TINY_SIZE};
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(head, 1, images ? 16 : 8, f), images ? 16 : 8);
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

/* The pair of files of one split, below the daemon's folder; gives their folder. */
static void write_split(const char *prefix, uint64_t seed, char folder[600])
{
    static uint8_t pixels[TINY_CLASSES * PER_CLASS * TINY_PIXELS];
    static int32_t labels[TINY_CLASSES * PER_CLASS];
    uint8_t bytes[TINY_CLASSES * PER_CLASS];
    char path[700];
    tiny_images(PER_CLASS, seed, pixels, labels);
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)labels[i];
    (void)snprintf(folder, 600, "%s/data", the_daemon.folder);
    (void)mkdir(folder, 0777);
    (void)snprintf(path, sizeof path, "%s/%s-images-idx3-ubyte", folder, prefix);
    write_idx(path, pixels, sizeof pixels, sizeof bytes, 1);
    (void)snprintf(path, sizeof path, "%s/%s-labels-idx1-ubyte", folder, prefix);
    write_idx(path, bytes, sizeof bytes, sizeof bytes, 0);
}

/* The first line of what was printed, as an object. */
static json_t *object(void)
{
    json_error_t e;
    json_t *o = json_loads(the_out, JSON_DISABLE_EOF_CHECK, &e);
    if (!json_is_object(o))
        fail_msg("no JSON object: %s\n%s", e.text, the_out);
    return o;
}

static const char *text_of(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));
    if (!s)
        fail_msg("%s is no text in %s", key, the_out);
    return s;
}

static void assert_keys(const json_t *o, const char *const *keys)
{
    for (size_t i = 0; keys[i]; i++) {
        if (!json_object_get(o, keys[i]))
            fail_msg("no key %s in %s", keys[i], the_out);
    }
}

static void assert_said(const char *part)
{
    if (!strstr(the_out, part))
        fail_msg("\"%s\" is not in:\n%s", part, the_out);
}

int group_setup(void **state);
int group_teardown(void **state);

int group_setup(void **state)
{
    (void)state;
    char folder[600];
    the_out = malloc(OUT_SIZE);
    assert_non_null(the_out);
    test_support_mkdir(the_model);
    tiny_model_write(the_model);
    test_daemon_new(&the_daemon, the_model, "");
    test_daemon_start(&the_daemon);
    write_split("train", 1, folder);
    write_split("t10k", 2, folder);
    return 0;
}

int group_teardown(void **state)
{
    (void)state;
    test_daemon_free(&the_daemon);
    test_support_rmdir(the_model);
    free(the_out);
    return 0;
}

/* ------------------------------------------------------------------ basic */

void test_cli_b1_status(void **state)
{
    (void)state;
    assert_int_equal(CLI("status", "--json"), 0);
    json_t *o = object();
    assert_string_equal(text_of(o, "state"), "serving");
    assert_int_equal(json_integer_value(json_object_get(o, "classes_active")), TINY_CLASSES);
    assert_true(json_is_false(json_object_get(o, "data_ready")));
    json_decref(o);
    assert_int_equal(CLI("status"), 0);
    assert_said("4 classes active");
}

void test_cli_b2_import(void **state)
{
    (void)state;
    char folder[600];
    (void)snprintf(folder, sizeof folder, "%s/data", the_daemon.folder);
    assert_int_equal(CLI("data", "import", "tiny", folder, "--json", "-q"), 0);
    json_t *o = object();
    assert_int_equal(json_integer_value(json_object_get(o, "images")), TINY_CLASSES * PER_CLASS);
    assert_string_equal(json_string_value(json_array_get(json_object_get(o, "classes"), 2)),
                        "Cross");
    json_decref(o);
    assert_int_equal(CLI("data", "import", "tiny", folder, "--role", "test"), 0);
    assert_said("take the model's labels");
    assert_int_equal(CLI("data", "list"), 0);
    assert_said("8x8x1");
}

void test_cli_b3_predict(void **state)
{
    (void)state;
    static const char *const KEYS[] = {"version", "labels", "expert", "latency_ms", NULL};
    char path[700];
    (void)snprintf(path, sizeof path, "%s/data/t10k-images-idx3-ubyte", the_daemon.folder);
    assert_int_equal(CLI("predict", "--json", "--range", "100:150", "--logits", "-k", "4", path),
                     0);
    json_t *o = object();
    assert_keys(o, KEYS);
    assert_int_equal(json_array_size(json_object_get(o, "labels")), 4);
    assert_int_equal(json_array_size(json_object_get(o, "logits")), 4);
    assert_int_equal(json_integer_value(json_object_get(o, "index")), 100);
    double sum = 0;
    for (size_t i = 0; i < 4; i++)
        sum += json_number_value(
            json_object_get(json_array_get(json_object_get(o, "labels"), i), "p"));
    assert_near(sum, 1, 1e-5);
    json_decref(o);
    int lines = 0;
    for (const char *c = the_out; *c != '\0'; c++)
        lines += *c == '\n';
    assert_int_equal(lines, 50);
}

/* ------------------------------------------------------------------ changes */

static char the_request[64];
static char the_base[80];
static char the_version[80];

void test_cli_c1_dry_run_commits_nothing(void **state)
{
    (void)state;
    assert_int_equal(CLI("show", "serving", "--json"), 0);
    json_t *o = object();
    (void)snprintf(the_base, sizeof the_base, "%s", text_of(o, "id"));
    json_decref(o);
    assert_int_equal(CLI("forget", "-c", "Cross", "--seed", "3", "-n", "-w", "--json", "-q"), 0);
    o = object();
    assert_string_equal(text_of(o, "state"), "cancelled");
    assert_true(json_is_object(json_object_get(o, "evaluation")));
    json_decref(o);
    assert_int_equal(CLI("show", "serving", "--json"), 0);
    assert_said(the_base);
}

void test_cli_c2_forget(void **state)
{
    (void)state;
    static const char *const KEYS[] = {
        "id",   "kind",           "state",         "submitted_at", "due_at", "finished_at",
        "role", "version_before", "version_after", "seed",         "error",  "evaluation",
        NULL};
    static const char *const REPORT[] = {"acc_forget",
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
    static const char ID[] = "018bcfe5-687b-7f01-bf03-040506070809";
    assert_int_equal(CLI("forget", "--class", "Square", "--seed", "7", "--ticket", "T-1", "--due",
                         "+10d", "--request-id", ID, "--json", "--quiet"),
                     0);
    json_t *o = object();
    assert_keys(o, KEYS);
    assert_string_equal(text_of(o, "id"), ID);
    assert_int_equal(json_integer_value(json_object_get(o, "seed")), 7);
    json_decref(o);
    const int code = CLI("wait", ID, "--json", "--timeout", "120");
    o = object();
    assert_string_equal(text_of(o, "state"), "committed");
    assert_int_equal(code, 0);
    assert_keys(json_object_get(o, "evaluation"), REPORT);
    assert_string_equal(text_of(o, "version_before"), the_base);
    assert_string_equal(text_of(o, "ticket"), "T-1");
    (void)snprintf(the_version, sizeof the_version, "%s", text_of(o, "version_after"));
    (void)snprintf(the_request, sizeof the_request, "%s", text_of(o, "id"));
    json_decref(o);
    /* the same again, with another payload */
    assert_int_equal(CLI("forget", "--class", "Cross", "--request-id", ID), 3);
    assert_int_equal(CLI("request", ID), 0);
    assert_said("gate: passed");
    assert_int_equal(CLI("requests", "--state", "committed", "--json"), 0);
    assert_said(ID);
}

void test_cli_c3_versions(void **state)
{
    (void)state;
    static const char *const KEYS[] = {"id",      "number",     "parent", "request", "created_at",
                                       "serving", "components", "bytes",  NULL};
    assert_int_equal(CLI("history", "--json"), 0);
    json_t *o = object();
    assert_keys(o, KEYS);
    assert_string_equal(text_of(o, "id"), the_version);
    assert_string_equal(text_of(o, "parent"), the_base);
    assert_string_equal(text_of(o, "request"), the_request);
    assert_true(json_is_true(json_object_get(o, "serving")));
    json_decref(o);
    assert_int_equal(CLI("show", "2"), 0);
    assert_said("forgotten");
    char prefix[9] = "";
    memcpy(prefix, the_base, 8);
    assert_int_equal(CLI("diff", prefix, "serving"), 0);
    assert_said("erasure");
    assert_said("Square");
    assert_int_equal(CLI("served-at", "now", "--json"), 0);
    assert_said(the_version);
    assert_int_equal(CLI("served-at", "2001-01-01"), 3);
}

void test_cli_c4_evaluate(void **state)
{
    (void)state;
    assert_int_equal(CLI("evaluate", "--json", "--version", "1"), 0);
    json_t *o = object();
    assert_string_equal(text_of(o, "version"), the_base);
    assert_true(json_is_number(json_object_get(o, "acc_retain")));
    json_decref(o);
}

void test_cli_c5_export(void **state)
{
    (void)state;
    static const char *const FORMATS[] = {"peft", "merged", "onnx-ready"};
    for (size_t i = 0; i < 3; i++) {
        char folder[600], path[1200];
        (void)snprintf(folder, sizeof folder, "%s/export-%s", the_daemon.folder, FORMATS[i]);
        assert_int_equal(CLI("export", "serving", "--format", FORMATS[i], "-o", folder, "--json"),
                         0);
        json_t *o = object();
        json_t *files = json_object_get(o, "files");
        assert_true(json_array_size(files) >= 2);
        for (size_t k = 0; k < json_array_size(files); k++) {
            const json_t *file = json_array_get(files, k);
            struct stat info;
            (void)snprintf(path, sizeof path, "%s/%s", folder, text_of(file, "path"));
            assert_int_equal(stat(path, &info), 0);
            assert_int_equal(info.st_size, json_integer_value(json_object_get(file, "bytes")));
        }
        json_decref(o);
    }
}

void test_cli_c6_fsck(void **state)
{
    (void)state;
    assert_int_equal(CLI("fsck"), 0);
    assert_said("the store is sound");
}

/* ------------------------------------------------------------------ refusals */

void test_cli_d1_refusals(void **state)
{
    (void)state;
    static const struct {
        const char *words[6];
        const char *says;
    } CASES[] = {
        {{"forget", "--class", "Sqare"}, "the model has no class \"Sqare\""},
        {{"forget", "--class", "Croos"}, "did you mean \"Cross\"?"},
        {{"forget", "--class", "Square"}, "labels that can be forgotten: Circle, Cross, Stripe"},
        {{"forget", "--class", "Circle", "Cross", "Stripe"}, "(classes)"},
        {{"forget", "--samples", "nothing"}, "\"nothing\""},
        {{"forget", "--class", "Cross", "--option", "colour=red"}, "colour"},
        {{"rollback", "1"}, "Square"},
        {{"show", "99"}, "(version)"},
        {{"show", "deadbeef"}, "(version)"},
        {{"request", "018bcfe5-687b-7f01-bf03-0405060708ff"}, ""},
        {{"cancel", "018bcfe5-687b-7f01-bf03-040506070809"}, ""},
        {{"data", "remove", "nothing"}, "(name)"},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        const char *const *w = CASES[i].words;
        const int code = CLI(w[0], w[1], w[2], w[3], w[4], w[5]);
        if (code != 3)
            fail_msg("%s %s: exit %d\n%s", w[0], w[1], code, the_out);
        assert_said(CASES[i].says);
        assert_said("lethe: ");
    }
}

void test_cli_d2_pictures_of_another_size(void **state)
{
    (void)state;
    char path[700];
    uint8_t npy[128 + 1 * 4 * 4];
    memset(npy, ' ', sizeof npy);
    memcpy(npy, "\x93NUMPY\x01\x00\x76\x00", 10);
    static const char HEADER[] = "{'descr': '|u1', 'fortran_order': False, 'shape': (1, 4, 4), }";
    memcpy(npy + 10, HEADER, sizeof HEADER - 1);
    npy[127] = '\n';
    (void)snprintf(path, sizeof path, "%s/small.npy", the_daemon.folder);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(npy, 1, sizeof npy, f), sizeof npy);
    assert_int_equal(fclose(f), 0);
    const int code = CLI("predict", path);
    assert_said("4x4 pixels");
    assert_int_equal(code, 2);
}

void test_cli_d3_nobody_there(void **state)
{
    (void)state;
    test_daemon_stop(&the_daemon);
    assert_int_equal(CLI("--timeout", "1", "status"), 4);
    assert_said("no daemon can be reached");
    test_daemon_start(&the_daemon);
    assert_int_equal(CLI("history", "--json"), 0);
    assert_said(the_version);
}
