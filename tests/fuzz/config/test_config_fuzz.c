/*
 * Fuzzing of the configuration file: mutations of a file that uses every section.  What must hold
 * for any bytes: no crash, a refusal names the line, and leaves the configuration as it was.
 */
#include "tests/support/test.h"

#include "daemon/base/rng.h"
#include "daemon/config/config.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define ROUNDS 3000
#define ROOM   2048

static const char seed_text[] = "# a comment\n"
                                "base = /srv/models/vit ; inline\n"
                                "threads = 2\n"
                                "map_size_max = 1G\n"
                                "memory_fraction = 0.25\n"
                                "[gate]\n"
                                "retain_loss_macro = 0.01\n"
                                "mia_forget = 0.2 pass\n"
                                "[gslora]\n"
                                "depth = off\n"
                                "lr = 0.005\n"
                                "[lethed]\n"
                                "log_level = debug\n";

static const char *const pieces[] = {"\n",          "[",     "]",     "=",
                                     " ;",          "#",     "\r",    "\t",
                                     "[gate]\n",    "-1",    "1e308", "999999999999999999999",
                                     "K",           "nan",   "\xff",  "\xef\xbb\xbf",
                                     "base",        "lr = ", "    ",  "[gslora",
                                     "0.1 no-fail", "::"};

static size_t mutate(struct rng *r, char *text, size_t n)
{
    const size_t at = (size_t)rng_below(r, n + 1);
    if (rng_below(r, 3) == 0) {
        const size_t cut = (size_t)rng_below(r, n - at + 1);
        memmove(text + at, text + at + cut, n - at - cut);
        return n - cut;
    }
    const char *piece = pieces[rng_below(r, sizeof pieces / sizeof pieces[0])];
    const size_t size = strlen(piece);
    if (n + size > ROOM)
        return n;
    memmove(text + at + size, text + at, n - at);
    memcpy(text + at, piece, size);
    return n + size;
}

static void run(int fd, const char *path, const char *text, size_t n, size_t *accepted)
{
    static struct config c, before;
    struct fault f = {0};
    assert_int_equal(ftruncate(fd, 0), 0);
    assert_int_equal(pwrite(fd, text, n, 0), (ssize_t)n);
    config_default(&c);
    memcpy(&before, &c, sizeof c);
    if (config_load(&c, path, &f) == STATUS_OK) {
        ++*accepted;
        return;
    }
    assert_non_null(strstr(f.text, " line "));
    assert_memory_equal(&c, &before, sizeof c);
}

void test_fuzz_config_mutations(void **state)
{
    (void)state;
    const struct rng_root root = {.seed = 1};
    struct rng r;
    char path[64], text[ROOM + 64];
    size_t accepted = 0;
    const int fd = memfd_create("lethed.conf", MFD_CLOEXEC);
    assert_true(fd >= 0);
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    rng_init(&r, &root, "config-fuzz", 0);
    run(fd, path, seed_text, sizeof seed_text - 1, &accepted);
    assert_int_equal(accepted, 1);
    for (int round = 0; round < ROUNDS; round++) {
        size_t n = sizeof seed_text - 1;
        memcpy(text, seed_text, n);
        for (uint64_t changes = rng_below(&r, 8) + 1; changes > 0; changes--)
            n = mutate(&r, text, n);
        run(fd, path, text, n, &accepted);
    }
    /* Both outcomes are met often, or the mutations test nothing. */
    assert_true(accepted > ROUNDS / 50 && accepted < ROUNDS * 9 / 10);
    (void)close(fd);
}
