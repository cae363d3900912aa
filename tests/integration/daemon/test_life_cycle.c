/*
 * b1 to b6: the life of the daemon itself, through the real programs: start, work, stop, kill,
 * start again on the same store, and what must not be started twice.
 */
#include "tests/support/daemon.h"
#include "tests/support/tiny_model.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define OUT_SIZE 65536

static char folder[256];
static char model[300];
static char train[600], test[600];
static char out[OUT_SIZE];

int group_setup(void **state);
int group_teardown(void **state);

int group_setup(void **state)
{
    (void)state;
    test_support_mkdir(folder);
    (void)snprintf(model, sizeof model, "%s/model", folder);
    tiny_model_write(model);
    tiny_idx_write(folder, "train", 200, 1);
    tiny_idx_write(folder, "t10k", 40, 2);
    (void)snprintf(train, sizeof train, "%s/train-images-idx3-ubyte", folder);
    (void)snprintf(test, sizeof test, "%s/t10k-images-idx3-ubyte", folder);
    return 0;
}

int group_teardown(void **state)
{
    (void)state;
    test_support_rmdir(folder);
    return 0;
}

#define lethe(d, ...) test_daemon_cli((d), out, sizeof out, __VA_ARGS__, (char *)NULL)

static void says(const char *text)
{
    if (!strstr(out, text))
        fail_msg("\"%s\" is not in: %s", text, out);
}

static void import(const struct test_daemon *d)
{
    assert_int_equal(lethe(d, "data", "import", "tiny", train, "--role", "train"), 0);
    assert_int_equal(lethe(d, "data", "import", "tiny", test, "--role", "test"), 0);
}

/* Value of "key":"..." in the last output. */
static void take(const char *key, char *value, size_t size)
{
    char pattern[64];
    (void)snprintf(pattern, sizeof pattern, "\"%s\":\"", key);
    const char *at = strstr(out, pattern);
    assert_non_null(at);
    at += strlen(pattern);
    const size_t n = strcspn(at, "\"");
    assert_true(n < size);
    memcpy(value, at, n);
    value[n] = '\0';
}

static void pause_ms(long ms)
{
    const struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    (void)nanosleep(&t, NULL);
}

void test_life_b1_forget_survives_stop_and_folderless_start(void **state)
{
    (void)state;
    struct test_daemon d;
    char version[80];
    test_daemon_new(&d, model, "");
    test_daemon_start(&d);
    import(&d);
    assert_int_equal(lethe(&d, "--json", "forget", "--class", "Cross", "--wait"), 0);
    says("\"state\":\"committed\"");
    take("version_after", version, sizeof version);
    test_daemon_stop(&d);
    assert_true(test_daemon_said(&d, "all is closed"));
    test_daemon_start(&d);
    assert_int_equal(lethe(&d, "--json", "status"), 0);
    says(version);
    says("\"classes_forgotten\":1");
    assert_int_equal(lethe(&d, "fsck"), 0);
    assert_int_equal(lethe(&d, "rollback", "1"), 3);
    says("would bring erased state back: Cross");
    test_daemon_free(&d);
}

/* The daemon is killed in the middle of a job: the request is found, runs again and commits. */
void test_life_b2_kill_in_the_middle_of_a_job(void **state)
{
    (void)state;
    struct test_daemon d;
    char id[40], seed[40], again[40];
    test_daemon_new(&d, model, "");
    test_daemon_start(&d);
    import(&d);
    assert_int_equal(lethe(&d, "--json", "forget", "--class", "Circle", "--option", "epochs=60"),
                     0);
    take("id", id, sizeof id);
    take("seed", seed, sizeof seed);
    pause_ms(300);
    test_daemon_kill(&d);
    test_daemon_start(&d);
    assert_int_equal(lethe(&d, "--json", "wait", id), 0);
    says("\"state\":\"committed\"");
    take("seed", again, sizeof again);
    assert_string_equal(seed, again);
    assert_int_equal(lethe(&d, "fsck"), 0);
    test_daemon_free(&d);
}

/* The worker is killed: the daemon keeps serving and the job runs again. */
void test_life_b3_worker_is_killed(void **state)
{
    (void)state;
    struct test_daemon d;
    char id[40];
    test_daemon_new(&d, model, "");
    test_daemon_start(&d);
    import(&d);
    assert_int_equal(lethe(&d, "--json", "forget", "--class", "Circle", "--option", "epochs=60"),
                     0);
    take("id", id, sizeof id);
    pid_t worker = 0;
    for (int i = 0; i < 200 && worker == 0; i++) {
        worker = test_daemon_worker(&d);
        pause_ms(10);
    }
    assert_true(worker > 0);
    (void)kill(worker, SIGKILL);
    assert_int_equal(lethe(&d, "predict", test), 0);
    assert_int_equal(lethe(&d, "--json", "wait", id), 0);
    says("\"state\":\"committed\"");
    test_daemon_free(&d);
}

void test_life_b4_stop_drops_a_running_job_and_keeps_the_request(void **state)
{
    (void)state;
    struct test_daemon d;
    char id[40];
    test_daemon_new(&d, model, "");
    test_daemon_start(&d);
    import(&d);
    assert_int_equal(lethe(&d, "--json", "forget", "--class", "Circle", "--option", "epochs=100000",
                           "--option", "settle_epochs=100000"),
                     0);
    take("id", id, sizeof id);
    pause_ms(300);
    test_daemon_stop(&d);
    test_daemon_start(&d);
    assert_int_equal(lethe(&d, "cancel", id, "--reason", "enough"), 0);
    assert_int_equal(lethe(&d, "--json", "request", id), 0);
    says("\"state\":\"cancelled\"");
    says("enough");
    test_daemon_free(&d);
}

void test_life_b5_second_daemon_is_refused(void **state)
{
    (void)state;
    struct test_daemon d, other;
    test_daemon_new(&d, model, "");
    test_daemon_start(&d);
    test_daemon_new(&other, model, "");
    /* The same store, another socket; then the same socket, another store. */
    FILE *file = fopen(other.config, "w");
    assert_non_null(file);
    (void)fprintf(file, "base = %s\nstore = %s\nendpoint = %s\n", model, d.store, other.endpoint);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(test_daemon_start_refused(&other), 1);
    assert_true(test_daemon_said(&other, "STORE_LOCKED"));
    file = fopen(other.config, "w");
    assert_non_null(file);
    (void)fprintf(file, "base = %s\nstore = %s\nendpoint = %s\n", model, other.store, d.endpoint);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(test_daemon_start_refused(&other), 1);
    assert_true(test_daemon_said(&other, "another daemon serves"));
    assert_int_equal(lethe(&d, "status"), 0);
    test_daemon_free(&other);
    test_daemon_free(&d);
}

void test_life_b6_bad_configuration_is_refused(void **state)
{
    (void)state;
    struct test_daemon d;
    test_daemon_new(&d, model, "no_such_key = 1\n");
    assert_int_equal(test_daemon_start_refused(&d), 2);
    assert_true(test_daemon_said(&d, "no_such_key"));
    test_daemon_free(&d);
    test_daemon_new(&d, "/nonexistent/model", "");
    assert_int_not_equal(test_daemon_start_refused(&d), 0);
    assert_true(test_daemon_said(&d, "/nonexistent/model"));
    test_daemon_free(&d);
}
