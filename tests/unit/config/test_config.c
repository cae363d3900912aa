/* Configuration: defaults, every type of key at its bounds and beyond, and files that are wrong. */
#include "tests/support/test.h"

#include "daemon/config/config.h"
#include "learners/methods/gslora/gslora_options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static char folder[256];
static char path[300];

int group_setup(void **state);
int group_teardown(void **state);

int group_setup(void **state)
{
    (void)state;
    test_support_mkdir(folder);
    (void)snprintf(path, sizeof path, "%s/lethed.conf", folder);
    return 0;
}

int group_teardown(void **state)
{
    (void)state;
    test_support_rmdir(folder);
    return 0;
}

static void write_bytes(const char *bytes, size_t n)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, n, file), n);
    assert_int_equal(fclose(file), 0);
}

static enum status load(const char *text, struct config *c, struct fault *f)
{
    write_bytes(text, strlen(text));
    config_default(c);
    *f = (struct fault){0};
    return config_load(c, path, f);
}

static void expect_ok(const char *text, struct config *c)
{
    struct fault f;
    if (load(text, c, &f) != STATUS_OK)
        fail_msg("%s: %s", f.field, f.text);
}

/* Refused, with the line and the key; and the configuration is as it was. */
static void expect_bad(const char *text, enum status code, int line, const char *field)
{
    struct config c, untouched;
    struct fault f;
    char where[32];
    const enum status got = load(text, &c, &f);
    if (got != code)
        fail_msg("%s for \"%s\": %s", status_name(got), text, f.text);
    (void)snprintf(where, sizeof where, " line %d: ", line);
    if (!strstr(f.text, where))
        fail_msg("\"%s\" does not say%s", f.text, where);
    assert_string_equal(f.field, field);
    config_default(&untouched);
    assert_string_equal(c.base, untouched.base);
    assert_int_equal(c.max_attempts, untouched.max_attempts);
    assert_int_equal(c.n_gslora, 0);
}

void test_config_defaults(void **state)
{
    (void)state;
    struct config c;
    config_default(&c);
    assert_string_equal(c.base, "");
    assert_string_equal(c.endpoint, "ipc:///run/lethe/lethe.sock");
    assert_string_equal(c.store, "/var/lib/lethe");
    assert_near(c.memory_fraction, 0.10, 0);
    assert_int_equal(c.eval_per_class, 200);
    assert_int_equal(c.max_attempts, 3);
    assert_int_equal(c.log_level, CONFIG_LOG_INFO);
    assert_near(c.gate.at[GATE_CHECK_RETAIN_MACRO].limit, 0.02, 0);
    assert_int_equal(c.n_gslora, 0);
}

void test_config_reads_a_whole_file(void **state)
{
    (void)state;
    struct config c;
    expect_ok("# lethed\n"
              "base = /srv/models/vit ; the shipped one\n"
              "endpoint=ipc:///tmp/x.sock\n"
              "[lethed]\n"
              "threads = 2\n"
              "map_size_max = 1G\n"
              "memory_fraction = 0.25\n"
              "log_level = debug\n"
              "\n"
              "[gate]\n"
              "retain_loss_macro = 0.01\n"
              "mia_forget = 0.2 pass\n"
              "[gslora]\n"
              "depth = off\n"
              "lr = 0.005",
              &c);
    assert_string_equal(c.base, "/srv/models/vit");
    assert_string_equal(c.endpoint, "ipc:///tmp/x.sock");
    assert_int_equal(c.threads, 2);
    assert_true(c.map_size_max == 1ll << 30);
    assert_near(c.memory_fraction, 0.25, 0);
    assert_int_equal(c.log_level, CONFIG_LOG_DEBUG);
    assert_near(c.gate.at[GATE_CHECK_RETAIN_MACRO].limit, 0.01, 0);
    assert_int_equal(c.gate.at[GATE_CHECK_RETAIN_MACRO].rule, GATE_RULE_POINT);
    assert_near(c.gate.at[GATE_CHECK_MIA_FORGET].limit, 0.2, 0);
    assert_int_equal(c.gate.at[GATE_CHECK_MIA_FORGET].rule, GATE_RULE_PASS);
    assert_int_equal(c.n_gslora, 2);
    assert_string_equal(c.gslora[0].name, "depth");
    assert_string_equal(c.gslora[0].value, "off");
    assert_string_equal(c.gslora[1].name, "lr");
    assert_string_equal(c.gslora[1].value, "0.005");
}

void test_config_unknown_keys_and_sections_name_their_line(void **state)
{
    (void)state;
    expect_bad("base = /x\nbasee = /y\n", STATUS_NOT_FOUND, 2, "basee");
    expect_bad("[server]\nbase = /x\n", STATUS_NOT_FOUND, 1, "server");
    expect_bad("base = /x\n\n[metrics]\n", STATUS_NOT_FOUND, 3, "metrics");
    expect_bad("[gate]\nacc_forgot = 0.1\n", STATUS_NOT_FOUND, 2, "acc_forgot");
    expect_bad("[gslora]\ndept = off\n", STATUS_NOT_FOUND, 2, "dept");
    expect_bad("[gslora]\nthreads = 2\n", STATUS_NOT_FOUND, 2, "threads");
}

void test_config_ranges(void **state)
{
    (void)state;
    static const struct {
        const char *key;
        const char *good[2];
        const char *bad[4];
    } rows[] = {
        {"threads", {"0", "256"}, {"-1", "257", "99999999999999999999", "two"}},
        {"predict_batch_max", {"1", "32"}, {"0", "33", "", "1.5"}},
        {"max_attempts", {"1", "10"}, {"0", "11", "3x", " "}},
        {"worker_stall_s", {"5", "3600"}, {"4", "3601", "0x10", "1K"}},
        {"map_size_max", {"16M", "16T"}, {"16777215", "17T", "1KK", "M"}},
        {"worker_memory_max", {"67108864", "4096G"}, {"1", "9999999T", "-1G", "64m"}},
        {"memory_fraction", {"0.001", "1"}, {"0", "1.01", "nan", "inf"}},
        {"eval_per_class", {"10", "100000"}, {"9", "100001", "1e3", "-"}},
        {"log_level", {"error", "debug"}, {"warn", "infos", "inf", "3"}},
        {"seed", {"0", "9223372036854775807"}, {"-1", "9223372036854775808", "s", "0.5"}},
    };
    struct config c;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[128];
        for (size_t k = 0; k < 2; k++) {
            (void)snprintf(text, sizeof text, "%s = %s\n", rows[i].key, rows[i].good[k]);
            expect_ok(text, &c);
        }
        for (size_t k = 0; k < 4; k++) {
            (void)snprintf(text, sizeof text, "\n%s = %s\n", rows[i].key, rows[i].bad[k]);
            expect_bad(text, STATUS_INVALID_ARGUMENT, 2, rows[i].key);
        }
    }
}

void test_config_gate_values(void **state)
{
    (void)state;
    expect_bad("[gate]\njs_drift = big\n", STATUS_INVALID_ARGUMENT, 2, "js_drift");
    expect_bad("[gate]\njs_drift = 1.5\n", STATUS_INVALID_ARGUMENT, 2, "js_drift");
    expect_bad("[gate]\njs_drift = -0.1\n", STATUS_INVALID_ARGUMENT, 2, "js_drift");
    expect_bad("[gate]\njs_drift = 0.1 maybe\n", STATUS_INVALID_ARGUMENT, 2, "js_drift");
    expect_bad("[gate]\njs_drift =\n", STATUS_INVALID_ARGUMENT, 2, "js_drift");
    expect_bad("[gslora]\nlr = fast\n", STATUS_INVALID_ARGUMENT, 2, "lr");
}

void test_config_the_same_key_twice(void **state)
{
    (void)state;
    expect_bad("base = /x\nbase = /y\n", STATUS_ALREADY_EXISTS, 2, "base");
    expect_bad("base = /x\n[lethed]\nbase = /y\n", STATUS_ALREADY_EXISTS, 3, "base");
    expect_bad("[gslora]\nlr = 0.1\nlr = 0.2\n", STATUS_ALREADY_EXISTS, 3, "lr");
}

void test_config_lines_that_are_no_lines(void **state)
{
    (void)state;
    expect_bad("base = /x\nnonsense\n", STATUS_INVALID_ARGUMENT, 2, "");
    expect_bad("base = /x\n[gate\n", STATUS_INVALID_ARGUMENT, 2, "");
    char text[600];
    memset(text, 'x', sizeof text);
    memcpy(text, "\nbase = /", 9);
    text[sizeof text - 1] = '\0';
    expect_bad(text, STATUS_RESOURCE_EXHAUSTED, 2, "");
}

void test_config_longest_line_is_kept_whole(void **state)
{
    (void)state;
    struct config c;
    char text[200] = "base = /";
    memset(text + 8, 'x', 190);
    text[198] = '\0';
    expect_ok(text, &c);
    assert_int_equal(strlen(c.base), 191);
    text[198] = 'x';
    text[199] = '\0';
    expect_bad(text, STATUS_RESOURCE_EXHAUSTED, 1, "");
}

void test_config_files_that_cannot_be_read(void **state)
{
    (void)state;
    struct config c;
    struct fault f = {0};
    config_default(&c);
    assert_int_equal(config_load(&c, "/no/such/lethed.conf", &f), STATUS_NOT_FOUND);
    assert_non_null(strstr(f.text, "/no/such/lethed.conf"));
    write_bytes("base = /x\0y\n", 12);
    assert_int_equal(config_load(&c, path, &f), STATUS_INVALID_ARGUMENT);
    assert_string_equal(c.base, "");
}

void test_config_windows_line_ends_and_marks_are_harmless(void **state)
{
    (void)state;
    struct config c;
    expect_ok("\xef\xbb\xbf"
              "base = /x\r\n[gate]\r\njs_drift = 0.5\r\n",
              &c);
    assert_string_equal(c.base, "/x");
    assert_near(c.gate.at[GATE_CHECK_JS_DRIFT].limit, 0.5, 0);
}

/* ------------------------------------------------------------ completion and command line */

static void make_worker(char worker[320])
{
    (void)snprintf(worker, 320, "%s/worker", folder);
    FILE *file = fopen(worker, "w");
    assert_non_null(file);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(worker, 0755), 0);
}

void test_config_completion(void **state)
{
    (void)state;
    struct config c;
    struct fault f = {0};
    char worker[320];
    make_worker(worker);
    config_default(&c);
    assert_int_equal(config_complete(&c, &f), STATUS_INVALID_ARGUMENT);
    assert_string_equal(f.field, "base");
    assert_int_equal(config_set(&c, "", "base", "/x", &f), STATUS_OK);
    assert_int_equal(config_set(&c, "", "worker", worker, &f), STATUS_OK);
    assert_int_equal(config_complete(&c, &f), STATUS_OK);
    assert_string_equal(c.events_endpoint, "ipc:///run/lethe/lethe.sock.events");
    assert_true(c.threads >= 1 && c.threads <= 256);

    assert_int_equal(config_set(&c, "", "events_endpoint", c.endpoint, &f), STATUS_OK);
    assert_int_equal(config_complete(&c, &f), STATUS_INVALID_ARGUMENT);
    assert_string_equal(f.field, "events_endpoint");
    assert_int_equal(config_set(&c, "", "events_endpoint", "", &f), STATUS_OK);
    assert_int_equal(config_set(&c, "", "worker", "/no/such/worker", &f), STATUS_OK);
    assert_int_equal(config_complete(&c, &f), STATUS_NOT_FOUND);
    assert_string_equal(f.field, "worker");
}

void test_config_command_line_overrides_the_file(void **state)
{
    (void)state;
    struct config c;
    struct config_args args;
    struct fault f = {0};
    char worker[320], text[800];
    make_worker(worker);
    (void)snprintf(text, sizeof text,
                   "base = /file\nstore = /file/store\nworker = %s\nmax_attempts = 5\n", worker);
    write_bytes(text, strlen(text));
    char *argv[] = {(char[]){"lethed"},
                    (char[]){"--config"},
                    path,
                    (char[]){"--base"},
                    (char[]){"/given"},
                    (char[]){"--endpoint=ipc:///given.sock"},
                    (char[]){"--check-config"},
                    NULL};
    if (config_from_args(&c, &args, 7, argv, &f) != STATUS_OK)
        fail_msg("%s: %s", f.field, f.text);
    assert_string_equal(c.base, "/given");
    assert_string_equal(c.store, "/file/store");
    assert_string_equal(c.endpoint, "ipc:///given.sock");
    assert_string_equal(c.events_endpoint, "ipc:///given.sock.events");
    assert_int_equal(c.max_attempts, 5);
    assert_true(args.check_only);

    write_bytes("bases = /file\n", 14);
    assert_int_equal(config_from_args(&c, &args, 7, argv, &f), STATUS_NOT_FOUND);
    assert_string_equal(f.field, "bases");
}

void test_config_every_parameter_explains_itself(void **state)
{
    (void)state;
    struct config_param p;
    size_t n = 0;
    for (; config_param_get(n, &p) == 0; n++) {
        assert_true(strlen(p.name) > 0 && strlen(p.text) > 0);
        struct config c;
        struct fault f = {0};
        config_default(&c);
        /* What is printed as the default is accepted as a value. */
        if (config_set(&c, "", p.name, p.value, &f) != STATUS_OK)
            fail_msg("%s = %s: %s", p.name, p.value, f.text);
    }
    const size_t rows = 0
#define TEXT(...)   +1
#define COUNT(...)  +1
#define SIZE(...)   +1
#define REAL(...)   +1
#define CHOICE(...) +1
#include "daemon/config/params.def"
#undef TEXT
#undef COUNT
#undef SIZE
#undef REAL
#undef CHOICE
        ;
    assert_int_equal(n, rows);
}

/* Sets all pairs, then completes; "" or the field at fault. */
static const char *complete_with(struct config *c, const char *const *pairs, struct fault *f)
{
    char worker[320];
    make_worker(worker);
    *f = (struct fault){0};
    config_default(c);
    assert_int_equal(config_set(c, "", "base", "/x", f), STATUS_OK);
    assert_int_equal(config_set(c, "", "worker", worker, f), STATUS_OK);
    for (; pairs[0]; pairs += 2)
        assert_int_equal(config_set(c, "", pairs[0], pairs[1], f), STATUS_OK);
    return config_complete(c, f) == STATUS_OK ? "" : f->field;
}

#define WITH(...) complete_with(&c, (const char *const[]){__VA_ARGS__, NULL}, &f)

void test_config_doors(void **state)
{
    (void)state;
    struct config c;
    struct fault f;
    const char *tcp = "tcp://127.0.0.1:7001";
    assert_string_equal(WITH("endpoint", tcp), "endpoint");
    assert_non_null(strstr(f.text, "curve_key"));
    assert_string_equal(WITH("events_endpoint", tcp), "endpoint");
    assert_string_equal(WITH("endpoint", tcp, "curve_key", "/k"), "");
    assert_string_equal(c.events_endpoint, "tcp://127.0.0.1:7002");
    assert_string_equal(c.local_events_endpoint, "");
    assert_string_equal(WITH("endpoint", "tcp://[::1]:7001", "curve_key", "/k"), "");
    assert_string_equal(c.events_endpoint, "tcp://[::1]:7002");
    assert_string_equal(WITH("endpoint", tcp, "curve_key", "/k", "local_endpoint", "ipc:///run/l"),
                        "");
    assert_string_equal(c.local_events_endpoint, "ipc:///run/l.events");
    static const char *const bad[] = {"tcp://127.0.0.1", "tcp://127.0.0.1:", "tcp://h:0",
                                      "tcp://h:65535",   "tcp://h:*",        "tcp://h:12x"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_string_equal(WITH("endpoint", bad[i], "curve_key", "/k"), "endpoint");
    assert_string_equal(WITH("local_endpoint", "ipc:///run/l"), "local_endpoint");
    assert_string_equal(WITH("curve_key", "/k", "local_endpoint", "tcp://127.0.0.1:1"),
                        "local_endpoint");
    assert_string_equal(WITH("ipc_role", "owner=boss"), "ipc_role");
}

/* What --help-config prints is a file that says what holds without it. */
void test_config_help_is_a_file_of_the_defaults(void **state)
{
    (void)state;
    struct config c, defaults;
    struct gslora_options chosen, usual;
    struct fault f = {0};
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    config_help(file);
    assert_int_equal(fclose(file), 0);
    config_default(&defaults);
    config_default(&c);
    if (config_load(&c, path, &f) != STATUS_OK)
        fail_msg("%s: %s", f.field, f.text);
#define TEXT(name, max, value, text)             assert_string_equal(c.name, defaults.name);
#define COUNT(name, min, max, value, unit, text) assert_int_equal(c.name, defaults.name);
#define SIZE(name, min, max, value, text)        assert_int_equal(c.name, defaults.name);
#define REAL(name, min, max, value, unit, text)  assert_near(c.name, defaults.name, 0);
#define CHOICE(name, names, value, text)         assert_int_equal(c.name, defaults.name);
#include "daemon/config/params.def"
#undef TEXT
#undef COUNT
#undef SIZE
#undef REAL
#undef CHOICE
    for (size_t i = 0; i < GATE_CHECK_COUNT; i++) {
        assert_near(c.gate.at[i].limit, defaults.gate.at[i].limit, 0);
        assert_int_equal(c.gate.at[i].rule, defaults.gate.at[i].rule);
    }
    gslora_options_default(&usual);
    gslora_options_default(&chosen);
    for (size_t i = 0; i < c.n_gslora; i++)
        assert_int_equal(gslora_options_set(&chosen, c.gslora[i].name, c.gslora[i].value, &f),
                         STATUS_OK);
    assert_true(c.n_gslora > 20);
    assert_memory_equal(&chosen, &usual, sizeof usual);
}
