/* Commands that read or write files: predict, data import, export. */
#include "tests/unit/client/scripted_daemon.h"

#include <fcntl.h>
#include <unistd.h>

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
    assert_int_equal(s.top, 1);
    ran_free(&r);
    r = RUN("-e", server.endpoint, "predict", "--range", "1", "--top", "0", folder);
    assert_int_equal(r.code, CLI_DONE);
    assert_int_equal(s.top, 0); /* all that are present */
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
