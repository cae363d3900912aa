/* The text of the metrics: strict format, every row, values as they were given, nothing unmeasured.
 */
#include "tests/support/prometheus.h"

#include "daemon/metrics/metrics.h"

static struct prometheus p;
static char *text;

/* A view in which nothing has been measured. */
static struct metrics_view empty(void)
{
    const double nothing = (double)NAN;
    struct metrics_view v = {.version = "1.2.3", .kernel = "Haswell", .now_us = 5000000};
    for (size_t i = 0; i < CORE_STATS_SETS; i++)
        v.core.accuracy[i] = nothing;
    v.core.mia_auc = v.core.relapse_max = v.core.step_seconds = v.core.gflops = nothing;
    v.core.store_max = 1000;
    return v;
}

static void render(const struct metrics_view *v)
{
    size_t size;
    free(text);
    assert_int_equal(metrics_text(v, &text, &size, NULL), STATUS_OK);
    assert_int_equal(strlen(text), size);
    prometheus_read(&p, text);
}

int group_teardown(void **state);

int group_teardown(void **state)
{
    (void)state;
    free(text);
    return 0;
}

static void is(const char *series, double value)
{
    if (prometheus_get(&p, series) != value)
        fail_msg("%s is %.17g, not %.17g", series, prometheus_get(&p, series), value);
}

void test_metrics_every_row_has_a_family(void **state)
{
    (void)state;
    static const char *const rows[] = {
#define SCALAR(name, type, help, value)         #name,
#define FAMILY(name, type, labels, help, write) #name,
#include "daemon/metrics/metrics.def"
#undef SCALAR
#undef FAMILY
    };
    const struct metrics_view v = empty();
    render(&v);
    assert_int_equal(p.n_families, sizeof rows / sizeof rows[0]);
    for (size_t i = 0; i < p.n_families; i++)
        assert_string_equal(p.family[i], rows[i]);
}

void test_metrics_leaves_out_what_was_not_measured(void **state)
{
    (void)state;
    static const char *const absent[] = {"lethe_accuracy{set=\"forget\"}",
                                         "lethe_mia_auc",
                                         "lethe_relapse_max",
                                         "lethe_step_seconds",
                                         "lethe_gflops",
                                         "lethe_deadline_seconds_left_min"};
    const struct metrics_view v = empty();
    render(&v);
    for (size_t i = 0; i < sizeof absent / sizeof absent[0]; i++)
        assert_false(prometheus_has(&p, absent[i]));
    is("lethe_build_info{version=\"1.2.3\",kernel=\"Haswell\"}", 1);
    is("lethe_requests_total{kind=\"forget\",outcome=\"committed\"}", 0);
    is("lethe_ready", 0);
}

void test_metrics_of_requests_and_reports(void **state)
{
    (void)state;
    struct metrics_view v = empty();
    v.ready = true;
    v.core.requests[CORE_STATS_FORGET][REQUEST_COMMITTED] = 3;
    v.core.requests[CORE_STATS_LEARN][REQUEST_NONE] = 4;
    v.core.open[REQUEST_QUEUED] = 5;
    v.core.open[REQUEST_RUNNING] = 1;
    v.core.due_us = v.now_us + 90500000;
    v.core.accuracy[CORE_STATS_SET_RETAIN] = 0.25;
    v.core.gate[GATE_CHECK_COUNT - 1][0] = 6;
    v.core.mia_auc = 0.5;
    render(&v);
    is("lethe_ready", 1);
    is("lethe_requests_total{kind=\"forget\",outcome=\"committed\"}", 3);
    is("lethe_requests_total{kind=\"learn\",outcome=\"refused\"}", 4);
    is("lethe_queue_depth", 5);
    is("lethe_requests_open{state=\"queued\"}", 5);
    is("lethe_requests_open{state=\"running\"}", 1);
    assert_false(prometheus_has(&p, "lethe_requests_open{state=\"committed\"}"));
    is("lethe_deadline_seconds_left_min", 90.5);
    is("lethe_accuracy{set=\"retain\"}", 0.25);
    is("lethe_mia_auc", 0.5);
    char series[160];
    (void)snprintf(series, sizeof series, "lethe_gate_total{check=\"%s\",verdict=\"%s\"}",
                   gate_check_name((enum gate_check_id)(GATE_CHECK_COUNT - 1)),
                   gate_check_verdict_name((enum gate_verdict)0));
    is(series, 6);
    v.core.due_us = v.now_us - 1000000; /* missed */
    render(&v);
    is("lethe_deadline_seconds_left_min", -1);
}

void test_metrics_of_predictions_and_store(void **state)
{
    (void)state;
    struct metrics_view v = empty();
    v.core.predict_bucket[0] = 2;
    v.core.predict_bucket[3] = 3;
    v.core.predict_bucket[CORE_STATS_BUCKETS - 1] = 1;
    v.core.predict_seconds = 4.5;
    v.core.predict_images = (uint64_t)1 << 52; /* counters stay exact */
    v.core.store_used = 250;
    v.core.predict_scratch_bytes = 4096;
    v.server.calls = 77;
    render(&v);
    is("lethe_predict_seconds_bucket{le=\"0.001\"}", 2);
    is("lethe_predict_seconds_bucket{le=\"0.005\"}", 2);
    is("lethe_predict_seconds_bucket{le=\"0.01\"}", 5);
    is("lethe_predict_seconds_bucket{le=\"+Inf\"}", 6);
    is("lethe_predict_seconds_sum", 4.5);
    is("lethe_predict_seconds_count", 6);
    assert_non_null(strstr(text, "\nlethe_predict_total 4503599627370496\n"));
    is("lethe_lmdb_used_ratio", 0.25);
    is("lethe_arena_high_water_bytes{pool=\"predict\"}", 4096);
    is("lethe_calls_total", 77);
}

void test_metrics_of_the_process(void **state)
{
    (void)state;
    struct process_figures a, b;
    process_figures(&a);
    assert_true(a.resident > 1e6 && a.resident < 1e12);
    assert_true(a.max_files >= a.open_files && a.open_files >= 3);
    FILE *one_more = fopen("/dev/null", "re");
    assert_non_null(one_more);
    double x = 1;
    for (int i = 0; i < 20000000; i++)
        x = x * 1.0000001 + (double)i;
    process_figures(&b);
    assert_int_equal(fclose(one_more), 0);
    assert_true(x > 0 && b.cpu_seconds > a.cpu_seconds);
    assert_true(b.open_files == a.open_files + 1);
}
