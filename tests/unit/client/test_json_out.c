/* What --json prints, word for word: programs rely on these keys. */
#include "tests/support/test.h"

#include "client/cli/json_out.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static char *the_text;
static size_t the_size;

static FILE *begin(void)
{
    FILE *out = open_memstream(&the_text, &the_size);
    assert_non_null(out);
    return out;
}

static void check(FILE *out, bool good, const char *want)
{
    assert_int_equal(fclose(out), 0);
    assert_true(good);
    assert_string_equal(the_text, want);
    free(the_text);
}

static struct lethe_request a_request(void)
{
    return (struct lethe_request){.id = "018bcfe5-687b-7f01-bf03-040506070809",
                                  .kind = "forget",
                                  .state = "queued",
                                  .role = "",
                                  .ticket = "",
                                  .probe = "",
                                  .reason = "",
                                  .evaluation = ""};
}

void test_json_out_request_without_anything(void **state)
{
    (void)state;
    const struct lethe_request r = a_request();
    FILE *out = begin();
    check(out, json_out_request(out, &r),
          "{\"id\":\"018bcfe5-687b-7f01-bf03-040506070809\",\"kind\":\"forget\","
          "\"state\":\"queued\",\"submitted_at\":null,\"due_at\":null,\"finished_at\":null,"
          "\"role\":null,\"version_before\":null,\"version_after\":null,\"seed\":0,\"error\":null,"
          "\"evaluation\":null,\"started_at\":null,\"attempts\":0,\"ticket\":null,\"classes\":[],"
          "\"dry_run\":false,\"probe\":null,\"reason\":null,\"sequence\":0,\"progress\":null,"
          "\"task\":null}\n");
}

void test_json_out_request_with_everything(void **state)
{
    (void)state;
    static const char *const CLASSES[] = {"T-shirt/top", "Bag \"x\" \xc3\xbc\n"};
    static const char REPORT[] = "{\n \"acc_forget\": 0.92,\n \"gate\": {\"passed\": true}\n}";
    static const float NORMS[] = {0, 0.5f};
    static const struct lethe_progress PROGRESS = {.phase = "train",
                                                   .epoch = 1,
                                                   .epochs = 2,
                                                   .loss = 0.5f,
                                                   .acc_forget = -1,
                                                   .acc_retain = 0.25f,
                                                   .acc_valid = 0.5f,
                                                   .seconds_left = -1,
                                                   .group_norms = NORMS,
                                                   .n_group_norms = 2};
    struct lethe_request r = a_request();
    r.task = "digits";
    r.submitted_at = INT64_C(1795435200123456);
    r.seed = UINT64_MAX;
    r.classes = CLASSES;
    r.n_classes = 2;
    r.evaluation = REPORT;
    r.evaluation_bytes = sizeof REPORT - 1;
    r.progress = &PROGRESS;
    r.error = (struct lethe_error){.code = LETHE_DATA_LOSS, .text = "a \"bad\" blob"};
    strcpy(r.version_after, "ab");
    FILE *out = begin();
    check(out, json_out_request(out, &r),
          "{\"id\":\"018bcfe5-687b-7f01-bf03-040506070809\",\"kind\":\"forget\","
          "\"state\":\"queued\",\"submitted_at\":\"2026-11-23T12:00:00.123Z\",\"due_at\":null,"
          "\"finished_at\":null,\"role\":null,\"version_before\":null,\"version_after\":\"ab\","
          "\"seed\":\"18446744073709551615\",\"error\":{\"code\":\"DATA_LOSS\","
          "\"message\":\"a \\\"bad\\\" blob\",\"field\":null},"
          "\"evaluation\":{\"acc_forget\":0.92,\"gate\":{\"passed\":true}},\"started_at\":null,"
          "\"attempts\":0,\"ticket\":null,\"classes\":[\"T-shirt/top\","
          "\"Bag \\\"x\\\" \xc3\xbc\\n\"],\"dry_run\":false,\"probe\":null,\"reason\":null,"
          "\"sequence\":0,\"progress\":{\"phase\":\"train\",\"epoch\":1,\"epochs\":2,\"step\":0,"
          "\"steps\":0,\"attempt\":0,\"loss\":0.5,\"loss_retain\":0.0,\"loss_forget\":0.0,"
          "\"loss_depth\":0.0,\"acc_forget\":null,\"acc_retain\":0.25,\"group_norms\":[0.0,0.5],"
          "\"seconds_left\":null,\"acc_valid\":0.5},\"task\":\"digits\"}\n");
}

void test_json_out_request_with_a_damaged_report(void **state)
{
    (void)state;
    struct lethe_request r = a_request();
    r.evaluation = "{\"acc_forget\":";
    r.evaluation_bytes = strlen(r.evaluation);
    FILE *out = begin();
    const bool good = json_out_request(out, &r);
    assert_int_equal(fclose(out), 0);
    assert_true(good);
    assert_non_null(strstr(the_text, "\"evaluation\":null"));
    free(the_text);
}

void test_json_out_prediction(void **state)
{
    (void)state;
    static const struct lethe_scored_label LABELS[] = {{"Bag", "base", 0.1f}, {"Coat", "base", 0}};
    static const float LOGITS[] = {0.1f, -3.40282347e38f, 1e-45f};
    static const char *const NAMES[] = {"Bag", "Coat", "Dress"};
    struct lethe_prediction item = {.labels = LABELS, .n_labels = 2, .expert = ""};
    struct lethe_predictions p = {.version = "cd",
                                  .number = 4,
                                  .items = &item,
                                  .n = 1,
                                  .logit_labels = NAMES,
                                  .n_logit_labels = 3,
                                  .latency_ms = 1.5f};
    FILE *out = begin();
    check(out, json_out_prediction(out, &p, 0, "in.png", 17),
          "{\"version\":\"cd\",\"labels\":[{\"label\":\"Bag\",\"owner\":\"base\","
          "\"p\":0.100000001},{\"label\":\"Coat\",\"owner\":\"base\",\"p\":0.0}],\"expert\":null,"
          "\"latency_ms\":1.5,\"number\":4,\"input\":\"in.png\",\"index\":17}\n");
    item.logits = LOGITS;
    item.n_logits = 3;
    out = begin();
    const bool good = json_out_prediction(out, &p, 0, "in.png", 17);
    assert_int_equal(fclose(out), 0);
    assert_true(good);
    assert_non_null(strstr(the_text, "\"logits\":[0.100000001,-3.40282347e38,1.40129846e-45],"
                                     "\"logit_labels\":[\"Bag\",\"Coat\",\"Dress\"]}"));
    free(the_text);
}

void test_json_out_version(void **state)
{
    (void)state;
    static const char *const LINEAGE[] = {"base"};
    static const struct lethe_component PARTS[] = {{.kind = "erasure",
                                                    .name = "e1",
                                                    .bytes = 1024,
                                                    .digest = "ef",
                                                    .groups_total = 12,
                                                    .groups_zero = 7,
                                                    .seed = 5,
                                                    .lineage = LINEAGE,
                                                    .n_lineage = 1}};
    static const struct lethe_label LABELS[] = {{"Bag", "base", "forgotten", "id"}};
    const struct lethe_version v = {.id = "ab",
                                    .number = 2,
                                    .parent = "aa",
                                    .serving = true,
                                    .components = PARTS,
                                    .n_components = 1,
                                    .bytes = 1024,
                                    .labels = LABELS,
                                    .n_labels = 1,
                                    .evaluation = "",
                                    .kernel = "Haswell",
                                    .threads = 2};
    FILE *out = begin();
    check(out, json_out_version(out, &v),
          "{\"id\":\"ab\",\"number\":2,\"parent\":\"aa\",\"request\":null,\"created_at\":null,"
          "\"serving\":true,\"components\":[{\"kind\":\"erasure\",\"name\":\"e1\",\"bytes\":1024,"
          "\"digest\":\"ef\",\"groups_total\":12,\"groups_zero\":7,\"seed\":5,"
          "\"lineage\":[\"base\"]}],\"bytes\":1024,\"pinned\":false,\"labels\":[{"
          "\"label\":\"Bag\",\"owner\":\"base\",\"status\":\"forgotten\",\"forgotten_by\":\"id\"}],"
          "\"evaluation\":null,\"kernel\":\"Haswell\",\"threads\":2,\"served_from\":null,"
          "\"served_until\":null}\n");
}

void test_json_out_report_is_the_document(void **state)
{
    (void)state;
    static const char REPORT[] = "{\"version\": 1, \"acc_retain\": 0.5, \"per_class\": []}";
    const struct lethe_report r = {
        .version = "ab", .evaluation = REPORT, .evaluation_bytes = sizeof REPORT - 1};
    FILE *out = begin();
    check(out, json_out_report(out, &r),
          "{\"version\":\"ab\",\"acc_retain\":0.5,\"per_class\":[]}\n");
}

void test_json_out_small_objects(void **state)
{
    (void)state;
    static const char *const FINDINGS[] = {"blob ab is damaged"};
    const struct lethe_fsck fsck = {.blobs = 3, .findings = FINDINGS, .n_findings = 1};
    FILE *out = begin();
    check(out, json_out_fsck(out, &fsck),
          "{\"ok\":false,\"blobs\":3,\"versions\":0,\"requests\":0,"
          "\"findings\":[\"blob ab is damaged\"]}\n");
    const struct lethe_error e = {.code = LETHE_RESOURCE_EXHAUSTED,
                                  .text = "queue full",
                                  .field = "queue",
                                  .retry_after_s = 5};
    out = begin();
    check(out, json_out_error(out, &e),
          "{\"error\":{\"code\":\"RESOURCE_EXHAUSTED\",\"message\":\"queue full\","
          "\"field\":\"queue\",\"retry_after_s\":5}}\n");
    static const struct lethe_file FILES[] = {{"adapter_model.safetensors", "ab", 77}};
    const struct lethe_export x = {.version = "cd", .files = FILES, .n_files = 1};
    out = begin();
    check(out, json_out_export(out, &x, "out"),
          "{\"version\":\"cd\",\"folder\":\"out\",\"files\":[{"
          "\"path\":\"adapter_model.safetensors\",\"bytes\":77,\"digest\":\"ab\"}]}\n");
    out = begin();
    check(out, json_out_removed(out, "old"), "{\"name\":\"old\",\"removed\":true}\n");
    static const char *const CLASSES[] = {"0", "1"};
    const struct lethe_dataset d = {.name = "m",
                                    .role = "train",
                                    .images = 9,
                                    .height = 28,
                                    .width = 28,
                                    .channels = 1,
                                    .classes = CLASSES,
                                    .n_classes = 2,
                                    .bytes = 7092,
                                    .multi_label = true};
    out = begin();
    check(out, json_out_dataset(out, &d),
          "{\"name\":\"m\",\"role\":\"train\",\"images\":9,\"height\":28,\"width\":28,"
          "\"channels\":1,\"classes\":[\"0\",\"1\"],\"digest\":null,\"created_at\":null,"
          "\"bytes\":7092,\"multi_label\":true,\"subjects\":false}\n");
}

void test_json_out_reports_a_full_disk(void **state)
{
    (void)state;
    const struct lethe_request r = a_request();
    FILE *full = fopen("/dev/full", "w");
    assert_non_null(full);
    setbuf(full, NULL);
    assert_false(json_out_request(full, &r));
    (void)fclose(full);
}
