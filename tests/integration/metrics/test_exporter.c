/*
 * The figures of a real daemon over HTTP: they move with real requests, they name nobody, and
 * whoever speaks to the listener badly hurts neither it nor the daemon.
 */
#include "tests/support/http.h"
#include "tests/support/prometheus.h"
#include "tests/support/session.h"

#include "daemon/metrics/exporter.h"

#include <sys/stat.h>

#define MONTH_S (31 * 86400.0)

static const struct lethe_option endless[] = {
    {"epochs", "100000"}, {"settle_epochs", "100000"}, {"target_forget", "0"}};

static int port;
static struct http_answer answer;
static struct prometheus p;

/* A daemon with a listener, and the data of its model. */
static void daemon_new(struct session *s)
{
    char more[1024];
    port = http_free_port();
    (void)snprintf(more, sizeof more, "metrics = 127.0.0.1:%d\n%s%s", port, SESSION_GATE,
                   SESSION_FAST);
    session_new(s, more);
}

static void ask(const char *method, const char *path, int code)
{
    http_ask(http_dial(port), method, path, &answer);
    if (answer.code != code)
        fail_msg("%s %s: %d, not %d: %s", method, path, answer.code, code, answer.text);
}

static double figure(const char *series)
{
    return prometheus_get(&p, series);
}

/* Figures of the store are up to a second old, so they are waited for. */
static void scrape(void)
{
    ask("GET", "/metrics", 200);
    assert_non_null(strstr(answer.text, "Content-Type: text/plain; version=0.0.4"));
    prometheus_read(&p, answer.body);
}

static void until(const char *series, double value)
{
    const int64_t end = session_now_ms() + SESSION_WAIT_MS;
    for (scrape(); figure(series) != value; scrape()) {
        if (session_now_ms() > end)
            fail_msg("%s stays at %g, not %g", series, figure(series), value);
        session_sleep_ms(50);
    }
}

static void submit_endless(struct session *s, const char *label, char id[LETHE_ID_TEXT])
{
    const struct lethe_forget_args args = {
        .classes = &label, .n_classes = 1, .options = endless, .n_options = 3};
    session_forget(s, &args, id);
}

static void cancel(struct session *s, const char *id)
{
    struct lethe_error e = {0};
    struct lethe_request *r;
    session_ok(lethe_cancel(s->l, id, "enough", &r, &e), e);
    lethe_free(r);
}

static double gate_verdicts(void)
{
    double sum = 0;
    for (size_t i = 0; i < p.n; i++)
        if (strncmp(p.series[i], "lethe_gate_total{", 17) == 0)
            sum += p.value[i];
    return sum;
}

static void until_present(const char *series)
{
    const int64_t end = session_now_ms() + SESSION_WAIT_MS;
    for (scrape(); !prometheus_has(&p, series); scrape()) {
        if (session_now_ms() > end)
            fail_msg("%s does not appear", series);
        session_sleep_ms(50);
    }
}

/* ------------------------------------------------------------------ figures that move */

void test_exporter_figures_of_predictions(void **state)
{
    (void)state;
    struct session s;
    daemon_new(&s);
    until("lethe_ready", 1);
    assert_true(figure("lethe_predict_total") == 0);
    for (uint32_t i = 0; i < 5; i++)
        lethe_free(session_predict(&s, NULL, 0, i));
    scrape();
    assert_true(figure("lethe_predict_total") == 5);
    assert_true(figure("lethe_predict_seconds_count") == 5);
    assert_true(figure("lethe_predict_seconds_sum") > 0);
    assert_true(figure("lethe_arena_high_water_bytes{pool=\"predict\"}") > 1000);
    assert_true(figure("lethe_calls_total") >= 5);
    assert_true(figure("lethe_gflops") > 0);
    assert_true(figure("lethe_lmdb_used_ratio") > 0 && figure("lethe_lmdb_used_ratio") < 1);
    assert_true(figure("process_open_fds") > 5);
    session_free(&s);
}

void test_exporter_figures_of_an_erasure(void **state)
{
    (void)state;
    struct session s;
    struct lethe_error e;
    struct lethe_request *none;
    const char *nobody = "Nobody";
    const struct lethe_forget_args unknown = {.classes = &nobody, .n_classes = 1};
    daemon_new(&s);
    session_import(&s);
    scrape();
    assert_true(figure("lethe_requests_total{kind=\"forget\",outcome=\"committed\"}") == 0);
    assert_true(figure("lethe_job_attempts_total") == 0 && gate_verdicts() == 0);
    const double generation = figure("lethe_serving_generation");
    lethe_free(session_forget_class(&s, "Circle"));
    session_refused(lethe_forget(s.l, &unknown, &none, &e), LETHE_NOT_FOUND, "classes", e);
    until("lethe_serving_generation", generation + 1);
    assert_true(figure("lethe_requests_total{kind=\"forget\",outcome=\"committed\"}") == 1);
    assert_true(figure("lethe_requests_total{kind=\"forget\",outcome=\"refused\"}") == 1);
    assert_true(figure("lethe_requests_total{kind=\"learn\",outcome=\"refused\"}") == 0);
    assert_true(figure("lethe_job_attempts_total") == 1);
    assert_true(gate_verdicts() > 3);
    assert_true(figure("lethe_accuracy{set=\"forget\"}") <= 0.6);
    assert_true(figure("lethe_accuracy{set=\"retain\"}") >= 0.1);
    assert_true(figure("lethe_mia_auc") >= 0 && figure("lethe_mia_auc") <= 1);
    /* no name of a class is anywhere */
    static const char *const names[] = {"Circle", "Square", "Cross", "Nobody", "tiny"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        assert_null(strstr(answer.text, names[i]));
    session_free(&s);
}

void test_exporter_figures_of_the_queue_and_its_deadlines(void **state)
{
    (void)state;
    struct session s;
    char running[LETHE_ID_TEXT], queued[LETHE_ID_TEXT];
    daemon_new(&s);
    session_import(&s);
    scrape();
    assert_false(prometheus_has(&p, "lethe_deadline_seconds_left_min"));
    submit_endless(&s, "Circle", running);
    session_until(&s, running, "running");
    submit_endless(&s, "Square", queued);
    until("lethe_queue_depth", 1);
    assert_true(figure("lethe_requests_open{state=\"running\"}") == 1);
    until("lethe_worker_busy", 1);
    const double left = figure("lethe_deadline_seconds_left_min");
    assert_true(left > 27 * 86400.0 && left <= MONTH_S);
    until_present("lethe_step_seconds");
    assert_true(figure("lethe_step_seconds") > 0 && figure("lethe_step_seconds") < 10);
    cancel(&s, queued);
    cancel(&s, running);
    until("lethe_requests_open{state=\"running\"}", 0);
    assert_false(prometheus_has(&p, "lethe_deadline_seconds_left_min"));
    assert_true(figure("lethe_requests_total{kind=\"forget\",outcome=\"cancelled\"}") == 2);
    lethe_free(session_forget_class(&s, "Square")); /* cancelling killed the worker */
    until("lethe_worker_restarts_total", 1);
    session_free(&s);
}

/* ------------------------------------------------------------------ health */

void test_exporter_health_and_a_socket_file(void **state)
{
    (void)state;
    struct session s;
    struct stat info;
    char more[512], path[300];
    test_support_mkdir(path);
    (void)snprintf(path + strlen(path), 20, "/metrics");
    (void)snprintf(more, sizeof more, "metrics = %s\n", path);
    session_new(&s, more);
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0660);
    http_ask(http_dial_file(path), "GET", "/health", &answer);
    assert_int_equal(answer.code, 200);
    assert_string_equal(answer.body, "ok\n");
    http_ask(http_dial_file(path), "GET", "/metrics", &answer);
    assert_int_equal(answer.code, 200);
    prometheus_read(&p, answer.body);
    /* a daemon that was killed leaves the file, and the next one takes its place */
    test_daemon_kill(&s.d);
    test_daemon_start(&s.d);
    http_ask(http_dial_file(path), "GET", "/health", &answer);
    assert_int_equal(answer.code, 200);
    session_free(&s);
    *strrchr(path, '/') = '\0';
    test_support_rmdir(path);
}

void test_exporter_places_that_are_refused(void **state)
{
    (void)state;
    struct session s;
    struct test_daemon second;
    char more[256];
    daemon_new(&s);
    (void)snprintf(more, sizeof more, "metrics = 127.0.0.1:%d\n", port);
    test_daemon_new(&second, s.model, more);
    assert_int_equal(test_daemon_start_refused(&second), 1);
    assert_true(test_daemon_said(&second, "the port is taken"));
    test_daemon_free(&second);
    test_daemon_new(&second, s.model, "metrics = 0.0.0.0:9470\n");
    assert_int_equal(test_daemon_start_refused(&second), 2);
    assert_true(test_daemon_said(&second, "can be reached from outside"));
    test_daemon_free(&second);
    session_sound(&s);
    session_free(&s);
}

/* ------------------------------------------------------------------ hostile peers */

void test_exporter_get_only(void **state)
{
    (void)state;
    static const char *const methods[] = {"POST",    "PUT",   "DELETE", "HEAD",
                                          "OPTIONS", "PATCH", "TRACE",  "BREW"};
    struct session s;
    daemon_new(&s);
    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++) {
        ask(methods[i], "/metrics", 405);
        assert_non_null(strstr(answer.text, "\r\nAllow: GET\r\n"));
    }
    ask("GET", "/", 404);
    ask("GET", "/metrics/../../etc/passwd", 404);
    ask("GET", "/metrics", 200);
    ask("GET", "/metrics?name=value", 200);
    session_free(&s);
}

static void say(const char *bytes, size_t size, int limit_ms)
{
    const int fd = http_dial(port);
    http_say(fd, bytes, size);
    http_hear(fd, limit_ms, &answer);
}

void test_exporter_requests_that_are_none(void **state)
{
    (void)state;
    static char huge[300000];
    static const char body[] =
        "POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999999\r\n\r\n";
    struct session s;
    daemon_new(&s);
    /* a header beyond all limits */
    memset(huge, 'a', sizeof huge);
    const int n = snprintf(huge, sizeof huge, "GET /metrics HTTP/1.1\r\nHost: ");
    huge[n] = 'b';
    say(huge, sizeof huge, 10000);
    assert_true(answer.code == 0 || (answer.code >= 400 && answer.code < 500));
    memset(huge, '/', sizeof huge);
    memcpy(huge, "GET ", 4);
    say(huge, sizeof huge, 10000);
    assert_true(answer.code == 0 || (answer.code >= 400 && answer.code < 500));
    /* a body that would never end is not waited for */
    const int64_t start = session_now_ms();
    say(body, sizeof body - 1, 10000);
    assert_int_equal(answer.code, 405);
    assert_true(session_now_ms() - start < 1000 * (EXPORTER_IDLE_S - 1));
    /* no HTTP at all: bytes of every value, NULs, another protocol */
    for (size_t i = 0; i < sizeof huge; i++)
        huge[i] = (char)(i * 7 + i / 256);
    say(huge, sizeof huge, 10000);
    assert_int_not_equal(answer.code, 200);
    say("\0\0\0\0\r\n\r\n", 8, 10000);
    assert_int_not_equal(answer.code, 200);
    say("\xff\0\0\0\0\0\0\0\x01\x7f", 10, 10000); /* a ZMTP greeting */
    assert_int_not_equal(answer.code, 200);
    scrape();
    session_sound(&s);
    session_free(&s);
}

/* Silent connections fill the listener: the daemon serves, and the listener is free again soon. */
void test_exporter_many_silent_connections(void **state)
{
    (void)state;
    enum { SILENT = 3 * EXPORTER_CONNECTIONS };
    struct session s;
    int fds[SILENT];
    daemon_new(&s);
    scrape();
    const double before = figure("process_open_fds");
    for (size_t i = 0; i < SILENT; i++) {
        const struct sockaddr_in a = {.sin_family = AF_INET,
                                      .sin_port = htons((uint16_t)port),
                                      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        assert_true(fds[i] >= 0);
        (void)connect(fds[i], (const struct sockaddr *)&a, sizeof a);
    }
    for (size_t i = 0; i < SILENT; i += 2)
        http_say(fds[i], "GET /met", 8);
    for (uint32_t i = 0; i < 20; i++)
        lethe_free(session_predict(&s, NULL, 0, i));
    session_sound(&s);
    /* those that are still there are put out after EXPORTER_IDLE_S */
    const int64_t end = session_now_ms() + SESSION_WAIT_MS;
    do {
        assert_true(session_now_ms() < end);
        http_ask(http_dial(port), "GET", "/health", &answer);
    } while (answer.code != 200);
    for (size_t i = 0; i < SILENT; i++)
        (void)close(fds[i]);
    session_sleep_ms(200);
    scrape();
    assert_true(figure("process_open_fds") <= before + 1);
    session_free(&s);
}
