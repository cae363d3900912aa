/*
 * Fuzzing of what the client decodes: pictures, .npy arrays and .npz archives.  The ordinary build
 * mutates the parity fixtures deterministically; compiled with -DLETHE_LIBFUZZER -fsanitize=fuzzer,
 * the same entry point is driven by libFuzzer.  The first byte chooses the decoder.  For any bytes:
 * no read outside them, a refusal says why and leaves nothing, what is accepted is consistent.
 */
#include "tests/support/mutate.h"
#include "tests/support/test.h"

#include "client/dataset/npy_array.h"
#include "client/dataset/picture.h"
#include "client/dataset/zip.h"
#include "daemon/base/bytes.h"
#include "daemon/base/sysio.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FUZZ_PICTURE, FUZZ_NPY, FUZZ_ZIP, FUZZ_TARGETS };

#define FUZZ_MAX_MEMBER ((size_t)1 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int condition, const char *what)
{
    if (condition)
        return;
    (void)fprintf(stderr, "dataset fuzz: %s\n", what);
    abort();
}

static void fuzz_picture(const uint8_t *bytes, size_t n)
{
    struct picture p;
    struct fault f = {0};
    const enum status st = picture_decode(bytes, n, &p, &f);
    require((st == STATUS_OK) == (p.pixels != NULL), "a refused picture has pixels");
    require(st == STATUS_OK || f.text[0], "a refusal without a word");
    if (st == STATUS_OK)
        require((p.channels == 1 || p.channels == 3) && p.height > 0 && p.width > 0,
                "a picture without shape");
    picture_free(&p);
}

static void fuzz_npy(const uint8_t *bytes, size_t n)
{
    static const size_t sizes[] = {
        [NPY_BOOL] = 1, [NPY_U8] = 1, [NPY_I32] = 4, [NPY_I64] = 8, [NPY_F32] = 4};
    struct npy_array a;
    struct fault f = {0};
    if (npy_array_parse(bytes, n, "images", &a, &f) != STATUS_OK) {
        require(f.text[0] != '\0', "a refusal without a word");
        return;
    }
    require(a.data + a.count * sizes[a.type] == bytes + n, "the data do not end the file");
    size_t count = 1;
    for (uint32_t i = 0; i < a.dims; i++)
        count *= a.shape[i];
    require(count == a.count, "the shape is not the count");
}

static void fuzz_zip(const uint8_t *bytes, size_t n)
{
    uint8_t *member = NULL;
    size_t size = 0;
    struct fault f = {0};
    if (zip_extract(bytes, n, "images.npy", FUZZ_MAX_MEMBER, &member, &size, &f) != STATUS_OK) {
        require(!member && f.text[0], "a refusal left a member or no word");
        return;
    }
    require(size <= FUZZ_MAX_MEMBER, "a member beyond the limit");
    fuzz_npy(member, size);
    sysio_free(member);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    const size_t n = size - 1;
    uint8_t *copy = malloc(n > 0 ? n : 1); /* exactly, for the sanitizers */
    require(copy != NULL, "no memory");
    memcpy(copy, data + 1, n);
    switch (data[0] % FUZZ_TARGETS) {
    case FUZZ_PICTURE:
        fuzz_picture(copy, n);
        break;
    case FUZZ_NPY:
        fuzz_npy(copy, n);
        break;
    default:
        fuzz_zip(copy, n);
        break;
    }
    free(copy);
    return 0;
}

#ifndef LETHE_LIBFUZZER

/* The decoder's number stands before the file and stays. */
static void mutate_file(int target, const uint8_t *seed, size_t n, unsigned rounds, uint64_t index)
{
    static uint8_t input[1 << 14];
    const struct mutate_plan plan = {.stream = "dataset-fuzz",
                                     .index = index,
                                     .rounds = rounds,
                                     .room = sizeof input,
                                     .from = 1};
    assert_true(n + 64 < sizeof input);
    input[0] = (uint8_t)target;
    memcpy(input + 1, seed, n);
    mutate_rounds(input, n + 1, &plan, LLVMFuzzerTestOneInput);
}

void test_fuzz_pictures(void **state)
{
    (void)state;
    unsigned char *bytes = NULL;
    size_t n = 0;
    uint64_t index = 0;
    assert_int_equal(
        sysio_read_file("tests/parity/dataset/pictures.bin", 1 << 20, &bytes, &n, NULL), STATUS_OK);
    struct byte_reader r = byte_reader_make(bytes, n);
    while (r.used < n) {
        const uint32_t size = get_u32(&r);
        const size_t pixels = (size_t)get_u32(&r) * get_u32(&r) * get_u32(&r);
        mutate_file(FUZZ_PICTURE, bytes + r.used, size, 500, index++);
        r.used += size + pixels;
    }
    assert_int_equal(index, 11);
    sysio_free(bytes);
}

void test_fuzz_arrays_and_archives(void **state)
{
    (void)state;
    static const char *const names[] = {"grey.npy",    "rgb.npy",    "labels.npy",   "hot.npy",
                                        "fortran.npy", "stored.npz", "deflated.npz", "split.npz"};
    for (uint64_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[128];
        unsigned char *bytes = NULL;
        size_t n = 0;
        (void)snprintf(path, sizeof path, "tests/parity/dataset/numpy/%s", names[i]);
        assert_int_equal(sysio_read_file(path, 1 << 20, &bytes, &n, NULL), STATUS_OK);
        mutate_file(strstr(names[i], ".npz") ? FUZZ_ZIP : FUZZ_NPY, bytes, n, 2000, 100 + i);
        sysio_free(bytes);
    }
}

#endif
