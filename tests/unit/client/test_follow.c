/* What people see: the progress line, reports, requests, differences; and ranges and preparation.
 */
#include "tests/support/test.h"

#include "client/cli/follow.h"
#include "client/cli/prepare.h"
#include "client/cli/report_view.h"
#include "client/cli/show.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------------ progress */

void test_follow_line(void **state)
{
    (void)state;
    static const float NORMS[] = {0, 1, 0.5f};
    struct lethe_progress p = {.phase = "train",
                               .epoch = 3,
                               .epochs = 12,
                               .step = 30,
                               .steps = 120,
                               .loss = 0.5f,
                               .loss_retain = 0.1f,
                               .loss_forget = 0.25f,
                               .loss_depth = 0.15f,
                               .acc_forget = 0.1f,
                               .acc_retain = 0.9f,
                               .seconds_left = 75,
                               .group_norms = NORMS,
                               .n_group_norms = 3};
    struct lethe_event event = {.state = "running", .progress = &p};
    char text[512];
    follow_line(&event, false, text, sizeof text);
    assert_string_equal(text, "train [####............] epoch 3/12  1 min 15 s left  "
                              "loss 0.5 (keep 0.1 forget 0.25 depth 0.15)  forget 10.0 %  "
                              "keep 90.0 %  groups .84");
    p = (struct lethe_progress){.phase = "train",
                                .epoch = 1,
                                .epochs = 2,
                                .loss = 0.25f,
                                .acc_forget = -1,
                                .acc_retain = -1,
                                .acc_valid = 0.875f,
                                .seconds_left = -1};
    follow_line(&event, false, text, sizeof text);
    assert_string_equal(text, "train [########........] epoch 1/2  loss 0.25  learned 87.5 %");
    p = (struct lethe_progress){
        .phase = "evaluate", .acc_forget = -1, .acc_retain = -1, .seconds_left = -1};
    follow_line(&event, false, text, sizeof text);
    assert_string_equal(text, "evaluate [................]");
    event.progress = NULL;
    follow_line(&event, true, text, sizeof text);
    assert_string_equal(text, "running");
    char tiny[8];
    p.phase = "train";
    event.progress = &p;
    follow_line(&event, true, tiny, sizeof tiny);
    assert_int_equal(strlen(tiny), 7);
}

/* ------------------------------------------------------------------ reports */

static char *shown_report(const char *json)
{
    char *text;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    show_report(out, json, strlen(json));
    assert_int_equal(fclose(out), 0);
    return text;
}

void test_show_report_golden(void **state)
{
    (void)state;
    char *text = shown_report(
        "{\"acc_forget\":0.0005,\"acc_forget_before\":0.97,\"acc_retain\":0.925,"
        "\"acc_retain_before\":0.93,\"acc_retain_raw\":0.875,\"map\":0.6,"
        "\"map_before\":0.7,\"map_raw\":0.5,\"h_mean\":0.946,\"acc_old_forgotten\":null,"
        "\"per_class\":[{\"label\":\"Bag\",\"owner\":\"base\",\"n\":1000,\"acc\":0,"
        "\"acc_before\":0.97,\"acc_raw\":0.125},{\"label\":\"sea\",\"owner\":"
        "\"lane:w\",\"n\":7,\"acc\":0.5,\"acc_before\":null,\"acc_raw\":0.25,"
        "\"ap\":0.625,\"ap_before\":null,\"ap_raw\":0.75}],\"mia\":{\"auc\":0.51,\"auc_before\":0."
        "62},"
        "\"probe\":{\"ncm\":0.2,\"ridge\":0.3,\"reference\":{\"ncm\":0.25}},"
        "\"relapse\":[{\"request\":\"r1\",\"acc\":0.01,\"limit\":0.06}],"
        "\"gate\":{\"passed\":true,\"reasons\":[]},\"n_eval\":2000,\"seconds\":3.5}");
    assert_string_equal(text,
                        "measured                              before   after     raw\n"
                        "accuracy, classes to forget           97.0 %   0.1 %       -\n"
                        "accuracy, classes to keep             93.0 %  92.5 %  87.5 %\n"
                        "mAP, images with several labels       70.0 %  60.0 %  50.0 %\n"
                        "H-mean                                     -   0.946       -\n"
                        "membership attack, AUC (0.5 is best)   0.620   0.510       -\n"
                        "probe on the embedding, NCM                -   0.200       -\n"
                        "probe on the embedding, ridge              -   0.300       -\n"
                        "the same on classes never taught           -   0.250       -\n"
                        "\n"
                        "class  owner   images  before   after     raw  AP before      AP  AP raw\n"
                        "Bag    base      1000  97.0 %   0.0 %  12.5 %          -       -       -\n"
                        "sea    lane:w       7       -  50.0 %  25.0 %          -  62.5 %  75.0 %\n"
                        "\n"
                        "earlier erasure  accuracy now  limit\n"
                        "r1                      1.0 %  6.0 %\n"
                        "\n"
                        "gate: passed\n"
                        "2000 images, 3.5 s\n");
    free(text);
}

void test_show_report_of_odd_documents(void **state)
{
    (void)state;
    static const char *const BAD[] = {"", "[]", "{", "3", "{\"acc_forget\":1}x"};
    for (size_t i = 0; i < sizeof BAD / sizeof BAD[0]; i++) {
        char *text = shown_report(BAD[i]);
        assert_string_equal(text, "the report cannot be read\n");
        free(text);
    }
    char *text = shown_report("{\"acc_forget\":\"x\",\"per_class\":3,\"gate\":[],\"mia\":null,"
                              "\"relapse\":[1,{}],\"n_eval\":-5}");
    assert_memory_equal(text, "nothing was measured\n", 21);
    free(text);
}

void test_report_view_reads_or_leaves_nan(void **state)
{
    (void)state;
    static const char JSON[] = "{\"acc_forget\":0.25,\"probe\":{\"reference\":0.5}}";
    struct report_view v;
    assert_true(report_view_init(JSON, sizeof JSON - 1, &v));
    assert_near(v.acc_forget, 0.25, 0);
    assert_near(v.probe_reference, 0.5, 0);
    assert_true(isnan(v.acc_retain) && isnan(v.mia_auc) && isnan(v.probe_ncm));
    assert_int_equal(v.n_classes + v.n_relapse + v.n_reasons, 0);
    assert_false(v.has_gate);
    report_view_fini(&v);
}

void test_show_diff_golden(void **state)
{
    (void)state;
    static const struct lethe_component ADDED[] = {{.kind = "erasure",
                                                    .name = "e1",
                                                    .bytes = 2048,
                                                    .digest = "0123456789abcdef",
                                                    .groups_total = 12,
                                                    .groups_zero = 7}};
    static const struct lethe_label A[] = {{"Bag", "base", "active", ""}};
    static const struct lethe_label B[] = {{"Bag", "base", "forgotten", "r"},
                                           {"New", "lane", "active", ""}};
    const struct lethe_diff d = {.a = "aa",
                                 .b = "bb",
                                 .added = ADDED,
                                 .n_added = 1,
                                 .labels_a = A,
                                 .n_labels_a = 1,
                                 .labels_b = B,
                                 .n_labels_b = 2,
                                 .evaluation_a = "",
                                 .evaluation_b = ""};
    char *text;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    show_diff(out, &d);
    assert_int_equal(fclose(out), 0);
    assert_string_equal(text, "first          aa\n"
                              "second         bb\n"
                              "\n"
                              "only in the second:\n"
                              "  component  name    bytes  zero groups  digest\n"
                              "  erasure    e1    2.0 KiB      7 of 12  0123456789ab\n"
                              "\n"
                              "label  in the first   in the second\n"
                              "Bag    active (base)  forgotten (base)\n"
                              "New    -              active (lane)\n");
    free(text);
}

/* ------------------------------------------------------------------ preparation */

void test_prepare_ranges(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint32_t first, end;
    } GOOD[] = {{NULL, 0, 10}, {"2:5", 2, 5}, {"2:", 2, 10},
                {":5", 0, 5},  {":", 0, 10},  {"9", 9, 10}};
    static const char *const BAD[] = {"",    "5:2",   "5:5",  "0:11",       "10",   "a",
                                      "1:b", "1:2:3", "-1:3", "4294967296", "1 :2", "4294967295"};
    struct prepare_range r;
    struct fault f = {0};
    for (size_t i = 0; i < sizeof GOOD / sizeof GOOD[0]; i++) {
        assert_int_equal(prepare_parse_range(GOOD[i].text, 10, &r, &f), STATUS_OK);
        assert_int_equal(r.first, GOOD[i].first);
        assert_int_equal(r.end, GOOD[i].end);
    }
    for (size_t i = 0; i < sizeof BAD / sizeof BAD[0]; i++) {
        if (prepare_parse_range(BAD[i], 10, &r, &f) != STATUS_INVALID_ARGUMENT)
            fail_msg("\"%s\" was taken", BAD[i]);
        assert_string_equal(f.field, "range");
    }
}

void test_prepare_follows_the_model(void **state)
{
    (void)state;
    struct lethe_model m = {.image_size = 224, .channels = 3, .resample = "bicubic", .resize = 248};
    struct preparation p;
    struct fault f = {0};
    assert_int_equal(prepare_from_model(&m, &p, &f), STATUS_OK);
    assert_int_equal(p.size, 224);
    assert_int_equal(p.resize, 248);
    assert_int_equal(p.keep_aspect, 1);
    assert_int_equal(p.resample, RESAMPLE_BICUBIC);
    m.resize = 0;
    m.resample = "";
    assert_int_equal(prepare_from_model(&m, &p, &f), STATUS_OK);
    assert_int_equal(p.resize, 224);
    assert_int_equal(p.keep_aspect, 0);
    m.resample = "sinc";
    assert_int_equal(prepare_from_model(&m, &p, &f), STATUS_INVALID_ARGUMENT);
    m.resample = "box";
    m.channels = 2;
    assert_int_equal(prepare_from_model(&m, &p, &f), STATUS_INVALID_ARGUMENT);
    m.channels = 3;
    const struct dataset_shape shape = {1, 224, 225, 3};
    assert_int_equal(prepare_check_shape("x.png", &shape, &m, &f), STATUS_INVALID_ARGUMENT);
    assert_string_equal(f.text, "x.png: 224x225 pixels, 3 channels; the model takes 224x224, "
                                "3 channels");
}
