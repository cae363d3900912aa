/* Commands of learning: what they send, in which order, what they take back, what people see. */
#include "tests/unit/client/scripted_daemon.h"

#include "client/dataset/npz_file.h"

#include <fcntl.h>
#include <unistd.h>

static char folder[256];

static const char *path_of(const char *name)
{
    static char path[400];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void write_bytes(const char *name, const void *bytes, size_t n)
{
    FILE *f = fopen(path_of(name), "w");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

/* n images of 4 x 4 with value i, and labels i mod 3, as IDX files of a split. */
static void write_idx(const char *split, uint8_t n)
{
    unsigned char images[16 + 40 * 16] = {0, 0, 8, 3, 0, 0, 0, n, 0, 0, 0, 4, 0, 0, 0, 4};
    unsigned char labels[8 + 40] = {0, 0, 8, 1, 0, 0, 0, n};
    char name[64];
    for (uint8_t i = 0; i < n; i++) {
        memset(images + 16 + i * 16, i, 16);
        labels[8 + i] = i % 3;
    }
    (void)snprintf(name, sizeof name, "%s-images-idx3-ubyte", split);
    write_bytes(name, images, 16u + n * 16u);
    (void)snprintf(name, sizeof name, "%s-labels-idx1-ubyte", split);
    write_bytes(name, labels, 8u + n);
}

/* Three images with several of four classes each: {0,1}, {2}, {1,3}. */
static void write_scenes(const char *name)
{
    static const uint8_t hot[] = {1, 1, 0, 0, 0, 0, 1, 0, 0, 1, 0, 1};
    uint8_t pixels[3 * 16];
    for (size_t i = 0; i < sizeof pixels; i++)
        pixels[i] = (uint8_t)(i / 16);
    const struct npz_member members[] = {
        {"images", {.type = NPY_U8, .dims = 3, .shape = {3, 4, 4}, .count = 48, .data = pixels}},
        {"labels", {.type = NPY_U8, .dims = 2, .shape = {3, 4}, .count = 12, .data = hot}}};
    struct fault f = {0};
    if (npz_file_write(path_of(name), members, 2, &f) != STATUS_OK)
        fail_msg("%s: %s", f.field, f.text);
}

static int fresh_folder(void **state)
{
    (void)state;
    test_support_mkdir(folder);
    return 0;
}

/* ------------------------------------------------------------------ usage */

void test_command_learn_usage(void **state)
{
    (void)fresh_folder(state);
    static const struct {
        const char *words[9];
        const char *says;
    } CASES[] = {
        {{"learn"}, "--task NAME and --data PATH"},
        {{"learn", "--task", "a"}, "images are missing"},
        {{"learn", "--task", "a", "--data", "x", "--floor", "1.5"}, "--floor is a share"},
        {{"learn", "--task", "a", "--data", "x", "--floor", "nan"}, "--floor is a share"},
        {{"learn", "--task", "a", "--data", "x", "--floor", "0.5x"}, "--floor is a share"},
        {{"learn", "--task", "a", "--data", "x", "--method", "x"},
         "--method is one of lane, ridge"},
        {{"learn", "--task", "a", "--data", "x", "--set", "lr"}, "--set takes NAME=VALUE"},
        {{"stream", "open"}, "lethe stream open needs NAME"},
        {{"stream", "opne", "x"}, "did you mean \"stream open\"?"},
        {{"stream", "open", "x", "--expert", "vit"}, "--expert is one of adapter, conv"},
        {{"stream", "open", "x", "--run", "0"}, "--run is a number from 1"},
        {{"stream", "push", "x"}, "images are missing"},
        {{"stream", "push", "x", "--data", "y", "--batch", "0"}, "--batch is a number"},
        {{"import", "x", "--name", ""}, "--name is empty"},
        {{"import", "x", "--kind", "base", "--name", "y"}, "--kind is one of lane, ridge, expert"},
        {{"import", "/nonexistent", "--kind", "lane", "--name", "y"}, "/nonexistent"},
        {{"export", "3", "--component", "lane:x", "-f", "peft", "-o", "x"},
         "--component lane:NAME"},
        {{"export", "3", "--component", "lane:x"}, "-o FILE"},
        {{"forget", "--task", "a", "--class", "b"}, "one request forgets one of"},
        {{"forget", "--task", "a", "--subject", "b"}, "one request forgets one of"},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        int n = 0;
        while (n < 9 && CASES[i].words[n])
            n++;
        struct ran r = run(CASES[i].words, n);
        if (r.code != CLI_USAGE)
            fail_msg("%s: exit %d", CASES[i].says, r.code);
        assert_has(r.err, CASES[i].says);
        ran_free(&r);
    }
    test_support_rmdir(folder);
}

/* ------------------------------------------------------------------ learn */

void test_command_learn_sends_both_splits(void **state)
{
    (void)fresh_folder(state);
    write_idx("train", 9);
    write_idx("t10k", 6);
    struct script s = {.state = "committed"};
    struct fake_server server;
    struct ran r =
        WITH(s, server, "--json", "learn", "--task", "digits", "--data", folder, "--method",
             "ridge", "--floor", "0.75", "--seed", "5", "--set", "lambda=1", "--wait");
    assert_int_equal(r.code, CLI_DONE);
    assert_int_equal(s.n_sets, 2);
    assert_string_equal(s.sets[0], "digits train");
    assert_string_equal(s.sets[1], "digits test");
    assert_int_equal(s.upload_images, 6);
    assert_int_equal(s.n_classes, 3); /* as many as the model has, and still not the model's */
    assert_string_equal(s.class_names[2], "digits 2");
    assert_int_equal(s.kind, WIRE_KIND_LEARN);
    assert_string_equal(s.texts[0], "digits");
    assert_string_equal(s.texts[1], "digits");
    assert_string_equal(s.texts[2], "ridge");
    assert_string_equal(s.option, "lambda:1");
    assert_int_equal(s.seed, 5);
    assert_near(s.floor, 0.75, 1e-7);
    assert_int_equal(s.waits, 2);
    assert_has(r.out, "\"state\":\"committed\"");
    assert_has(r.out, "\"task\":\"digits\"}");
    assert_string_equal(s.removed, "");
    ran_free(&r);
    fake_stop(&server);
    test_support_rmdir(folder);
}

void test_command_learn_some_classes(void **state)
{
    (void)fresh_folder(state);
    write_idx("train", 9);
    struct script s = {0};
    struct fake_server server;
    struct ran r = WITH(s, server, "learn", "--task", "t1", "--data", path_of("train"), "--only",
                        "2", "1", "--range", "3:", "--class-names", "data");
    assert_int_equal(r.code, CLI_DONE);
    assert_int_equal(s.n_sets, 1);
    assert_int_equal(s.n_classes, 2); /* in the set's order */
    assert_string_equal(s.class_names[0], "1");
    assert_string_equal(s.class_names[1], "2");
    static const unsigned char images[] = {4, 5, 7, 8}, labels[] = {0, 1, 0, 1};
    assert_int_equal(s.upload_images, 4);
    assert_int_equal(s.uploaded, 4 * (16 + 4));
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(s.upload[16 * i], images[i]);
        assert_int_equal(s.upload[64 + 4 * i], labels[i]);
    }
    ran_free(&r);
    r = RUN("-e", server.endpoint, "learn", "--task", "t1", "--data", folder, "--only", "7");
    assert_int_equal(r.code, CLI_USAGE);
    assert_has(r.err, "has no class \"7\"");
    ran_free(&r);
    r = RUN("-e", server.endpoint, "learn", "--task", "t1", "--data", folder, "--only", "0",
            "--range", "1:3");
    assert_int_equal(r.code, CLI_USAGE);
    assert_has(r.err, "no images of these classes");
    ran_free(&r);
    fake_stop(&server);
    test_support_rmdir(folder);
}

void test_command_learn_several_labels(void **state)
{
    (void)fresh_folder(state);
    write_scenes("scenes.npz");
    write_idx("train", 9);
    struct script s = {0};
    struct fake_server server;
    struct ran r = WITH(s, server, "learn", "--task", "scenes", "--multi-label", "--data",
                        path_of("scenes.npz"));
    assert_int_equal(r.code, CLI_DONE);
    assert_true(s.upload_multi);
    assert_int_equal(s.uploaded, 3 * (16 + 4));
    static const uint8_t all[] = {1, 1, 0, 0, 0, 0, 1, 0, 0, 1, 0, 1};
    assert_memory_equal(s.upload + 48, all, sizeof all);
    assert_string_equal(s.class_names[3], "scenes 3");
    ran_free(&r);
    s = (struct script){0};
    r = RUN("-e", server.endpoint, "learn", "--task", "scenes", "--only", "1", "3", "--data",
            path_of("scenes.npz"));
    assert_int_equal(r.code, CLI_DONE);
    static const uint8_t some[] = {1, 0, 1, 1};
    assert_int_equal(s.upload_images, 2);
    assert_int_equal(s.uploaded, 2 * (16 + 2));
    assert_int_equal(s.upload[16], 2); /* the third image */
    assert_memory_equal(s.upload + 32, some, sizeof some);
    ran_free(&r);
    s = (struct script){0};
    r = RUN("-e", server.endpoint, "data", "import", "mixed", path_of("scenes.npz"));
    assert_int_equal(r.code, CLI_DONE);
    assert_true(s.upload_multi);
    assert_has(r.out, "several");
    ran_free(&r);
    r = RUN("-e", server.endpoint, "learn", "--task", "digits", "--multi-label", "--data", folder);
    assert_int_equal(r.code, CLI_USAGE);
    assert_has(r.err, "one label an image");
    ran_free(&r);
    fake_stop(&server);
    test_support_rmdir(folder);
}

void test_command_learn_uses_an_imported_set(void **state)
{
    (void)fresh_folder(state);
    write_idx("train", 9);
    struct script s = {0};
    struct fake_server server;
    struct ran r = WITH(s, server, "learn", "--task", "digits", "--data", "mine", "--dry-run");
    assert_int_equal(r.code, CLI_DONE);
    assert_int_equal(s.n_sets, 0);
    assert_string_equal(s.texts[0], "digits");
    assert_string_equal(s.texts[1], "mine");
    assert_has(r.err, "lethe wait 018b");
    ran_free(&r);
    r = RUN("-e", server.endpoint, "learn", "--task", "digits", "--data", "other");
    assert_int_equal(r.code, CLI_USAGE);
    assert_has(r.err, "neither a file or folder nor an imported data set");
    ran_free(&r);
    r = RUN("-e", server.endpoint, "learn", "--task", "digits", "--data", "mine", "--only", "1");
    assert_int_equal(r.code, CLI_USAGE);
    assert_has(r.err, "choose from files");
    ran_free(&r);
    r = RUN("-e", server.endpoint, "learn", "--task", "x", "--data", "mine", "--multi-label");
    assert_int_equal(r.code, CLI_USAGE);
    assert_has(r.err, "the images of mine have one label each");
    ran_free(&r);
    r = RUN("-e", server.endpoint, "learn", "--task", "mine", "--data", folder);
    assert_int_equal(r.code, CLI_USAGE);
    assert_has(r.err, "has a data set mine already: --data mine uses it");
    ran_free(&r);
    fake_stop(&server);
    test_support_rmdir(folder);
}

void test_command_learn_takes_its_data_back_if_refused(void **state)
{
    (void)fresh_folder(state);
    write_idx("train", 9);
    struct script s = {.refuse_learning = true};
    struct fake_server server;
    struct ran r = WITH(s, server, "learn", "--task", "digits", "--data", folder);
    assert_int_equal(r.code, CLI_REFUSED);
    assert_has(r.err, "there is a task of this name (task)");
    assert_has(r.err, "data set digits is removed again");
    assert_string_equal(s.removed, "digits");
    ran_free(&r);
    s = (struct script){.refuse_learning = true};
    r = RUN("-e", server.endpoint, "learn", "--task", "digits", "--data", "mine");
    assert_int_equal(r.code, CLI_REFUSED);
    assert_string_equal(s.removed, ""); /* it was there before */
    ran_free(&r);
    fake_stop(&server);
    test_support_rmdir(folder);
}

void test_command_data_remove(void **state)
{
    (void)state;
    struct script s = {0};
    struct fake_server server;
    struct ran r = WITH(s, server, "data", "remove", "mine");
    assert_int_equal(r.code, CLI_DONE);
    assert_string_equal(s.removed, "mine");
    assert_false(s.forced);
    ran_free(&r);
    r = RUN("-e", server.endpoint, "data", "remove", "--force", "mine");
    assert_int_equal(r.code, CLI_DONE);
    assert_true(s.forced);
    ran_free(&r);
    fake_stop(&server);
}

/* ------------------------------------------------------------------ streams */

static const char PUSHED[] =
    "{\"stream\":{\"events\":[{\"batch\":0,\"expert\":\"camera/0\",\"loss\":2.30259,"
    "\"threshold\":null,\"switched\":false,\"created\":true,\"held\":false,\"quarantined\":false},"
    "{\"batch\":31,\"expert\":1,\"loss\":1.5,\"threshold\":0.25,\"switched\":true,"
    "\"created\":false,\"held\":true,\"quarantined\":true}],\"experts\":2,\"switches\":1},"
    "\"gate\":{\"passed\":true,\"reasons\":[]}}";

void test_command_stream(void **state)
{
    (void)fresh_folder(state);
    write_idx("train", 9);
    write_idx("t10k", 6);
    struct script s = {.state = "committed", .report = PUSHED};
    struct fake_server server;
    struct ran r =
        WITH(s, server, "stream", "open", "camera", "--run", "30", "--expert", "conv", "-q");
    assert_int_equal(r.code, CLI_DONE);
    assert_int_equal(s.kind, WIRE_KIND_STREAM_OPEN);
    assert_string_equal(s.texts[0], "camera");
    assert_string_equal(s.texts[1], "conv");
    assert_int_equal(s.numbers[0], 30);
    ran_free(&r);
    r = RUN("-e", server.endpoint, "-q", "stream", "push", "camera", "--data", folder, "--probe",
            "--batch", "64");
    assert_int_equal(r.code, CLI_DONE);
    assert_int_equal(s.n_sets, 1); /* a test part is no part of a stream */
    assert_memory_equal(s.sets[0], "camera.", 7);
    assert_memory_equal(s.texts[1], "camera.", 7);
    assert_string_equal(s.class_names[1], "camera 1");
    assert_int_equal(s.numbers[0], 64);
    assert_true(s.flags[0]);
    assert_int_equal(s.waits, 2);
    assert_has(r.out, "stream         camera\n");
    assert_has(r.out, "batch  expert      loss  threshold  decision\n"
                      "    0  camera/0  2.3026          -  new expert\n"
                      "   31  1         1.5000     0.2500  switched, held back, put aside\n"
                      "2 experts, 1 switches\n");
    assert_has(r.out, "gate: passed");
    assert_null(strstr(r.out, "nothing was measured"));
    ran_free(&r);
    s.waits = 0;
    r = RUN("-e", server.endpoint, "-q", "--json", "stream", "push", "camera", "--data", "mine");
    assert_int_equal(r.code, CLI_DONE);
    assert_string_equal(s.texts[1], "mine");
    assert_has(r.out, "\"stream\":{\"events\":[{\"batch\":0,");
    ran_free(&r);
    r = RUN("-e", server.endpoint, "stream", "close", "camera");
    assert_int_equal(r.code, CLI_DONE);
    assert_int_equal(s.kind, WIRE_KIND_STREAM_CLOSE);
    assert_string_equal(s.texts[0], "camera");
    ran_free(&r);
    fake_stop(&server);
    test_support_rmdir(folder);
}

/* ------------------------------------------------------------------ components, erasure */

void test_command_component_out_and_in(void **state)
{
    (void)fresh_folder(state);
    struct script s = {.export_path = "../../anywhere"}; /* the file's place is ours alone */
    struct fake_server server;
    char file[300], text[16] = "";
    (void)snprintf(file, sizeof file, "%s/lane.safetensors", folder);
    struct ran r =
        WITH(s, server, "--json", "export", "3", "--component", "lane:digits", "-o", file);
    assert_int_equal(r.code, CLI_DONE);
    assert_string_equal(s.component, "lane:digits");
    assert_has(r.out, "\"folder\":null,\"files\":[{\"path\":\"");
    assert_has(r.out, "lane.safetensors\",\"bytes\":7");
    const int fd = open(file, O_RDONLY);
    assert_true(fd >= 0);
    assert_int_equal(read(fd, text, sizeof text), 7);
    assert_string_equal(text, "weights");
    close(fd);
    ran_free(&r);
    r = RUN("-e", server.endpoint, "import", file, "--kind", "expert", "--name", "digits");
    assert_int_equal(r.code, CLI_DONE);
    assert_int_equal(s.kind, WIRE_KIND_IMPORT);
    assert_string_equal(s.texts[0], "digits");
    assert_string_equal(s.texts[1], "expert");
    assert_int_equal(s.file_bytes, 7);
    ran_free(&r);
    r = RUN("-e", server.endpoint, "import", file);
    assert_int_equal(r.code, CLI_DONE);
    assert_string_equal(s.texts[0], "");
    assert_string_equal(s.texts[1], "");
    ran_free(&r);
    write_bytes("empty", "", 0);
    r = RUN("-e", server.endpoint, "import", path_of("empty"), "--kind", "lane", "--name", "x");
    assert_int_equal(r.code, CLI_USAGE);
    assert_has(r.err, "0 bytes");
    ran_free(&r);
    fake_stop(&server);
    test_support_rmdir(folder);
}

void test_command_forget_task_and_subject(void **state)
{
    (void)state;
    struct script s = {0};
    struct fake_server server;
    struct ran r =
        WITH(s, server, "forget", "--task", "digits", "--mode", "exact", "--set", "epochs=2");
    assert_int_equal(r.code, CLI_DONE);
    assert_string_equal(s.texts[0], "digits");
    assert_string_equal(s.texts[1], "");
    assert_string_equal(s.option, "epochs:2");
    ran_free(&r);
    r = RUN("-e", server.endpoint, "forget", "--subject", "user-4711");
    assert_int_equal(r.code, CLI_DONE);
    assert_string_equal(s.texts[0], "");
    assert_string_equal(s.texts[1], "user-4711");
    ran_free(&r);
    fake_stop(&server);
}
