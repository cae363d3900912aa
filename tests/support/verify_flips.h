/* Every bit of every file of evidence flipped in turn, and what lethe-verify says to each. */
#ifndef LETHE_TESTS_SUPPORT_VERIFY_FLIPS_H
#define LETHE_TESTS_SUPPORT_VERIFY_FLIPS_H

#include "tests/support/evidence_files.h"
#include "tests/support/verify_call.h"

typedef int verify_flips_fn(struct verify_call *c);

/* One file; the folder is the present one.  Returns how many bits were flipped. */
static inline size_t verify_flips_of(const struct evidence_files *e,
                                     const struct evidence_flip *flip,
                                     verify_flips_fn *call)
{
    static struct verify_call c;
    static char bytes[EVIDENCE_ROOM];
    char command[EVIDENCE_COMMAND];
    FILE *in = fopen(flip->file, "r");
    assert_non_null(in);
    const size_t n = fread(bytes, 1, sizeof bytes, in);
    assert_int_equal(fclose(in), 0);
    evidence_files_save(e, "flipped", bytes, n);
    evidence_files_command(e, flip, command);
    verify_call_set(&c, command);
    verify_call_check(&c, call(&c), 0);
    const int fd = open("flipped", O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    for (size_t bit = 0; bit < 8 * n; bit++) {
        const char damaged = (char)(bytes[bit / 8] ^ (1 << bit % 8));
        assert_int_equal(pwrite(fd, &damaged, 1, (off_t)(bit / 8)), 1);
        const int exit_status = call(&c);
        if (exit_status != 1)
            print_message("%s: bit %zu of byte %zu\n", flip->file, bit % 8, bit / 8);
        verify_call_check(&c, exit_status, 1);
        assert_int_equal(pwrite(fd, &bytes[bit / 8], 1, (off_t)(bit / 8)), 1);
    }
    (void)close(fd);
    verify_call_check(&c, call(&c), 0);
    return 8 * n;
}

/* All files. */
static inline size_t verify_flips_all(verify_flips_fn *call)
{
    struct evidence_files e;
    char home[4096];
    size_t bits = 0;
    evidence_files_make(&e);
    assert_non_null(getcwd(home, sizeof home));
    assert_int_equal(chdir(e.folder), 0);
    for (size_t i = 0; i < EVIDENCE_FLIPS; i++)
        bits += verify_flips_of(&e, &evidence_flips[i], call);
    assert_int_equal(chdir(home), 0);
    evidence_files_free(&e);
    return bits;
}

#endif
