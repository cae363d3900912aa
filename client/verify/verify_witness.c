#include "client/verify/verify_witness.h"

#include "client/verify/verify_parts.h"
#include "daemon/base/clock.h"
#include "daemon/base/sysio.h"
#include "proto/seal/lines.h"
#include "proto/seal/sign_file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define PATH_MAX_SIZE 4096
#define US_PER_S      1000000

struct witness {
    int lock; /* descriptor; -1: none */
    int has_state;
    struct verify_checkpoint state;
    struct verify_checkpoint newer;
    struct sign_key *key; /* NULL: signs nothing */
    char text[NOTE_MAX];  /* what becomes of the state */
    size_t size;
};

/* ---------------------------------------------------------------- the state */

static enum status lock_state(const char *path, int *ret_fd, struct fault *f)
{
    char name[PATH_MAX_SIZE];
    const int n = snprintf(name, sizeof name, "%s.lock", path);
    if (n < 0 || (size_t)n >= sizeof name)
        FAIL(f, STATUS_INVALID_ARGUMENT, "state", "the path is too long");
    const int fd = sysio_open(name, O_RDWR | O_CREAT, 0600);
    if (fd < 0 || flock(fd, LOCK_EX) != 0) {
        const int errnum = errno;
        if (fd >= 0)
            (void)close(fd);
        FAIL(f, status_from_errno(errnum), "state", "%.90s: %s", name, strerror(errnum));
    }
    *ret_fd = fd;
    return STATUS_OK;
}

/* What is wrong with our own file says nothing about the checkpoint. */
static enum status as_unusable(enum status st, struct fault *f)
{
    if (st != STATUS_DATA_LOSS && st != STATUS_BAD_FORMAT)
        return st;
    f->code = STATUS_FAILED_PRECONDITION;
    fault_prefix(f, "the state is not one");
    return STATUS_FAILED_PRECONDITION;
}

static enum status read_state(const struct verify_args *a, struct witness *w, struct fault *f)
{
    struct signers signers = verify_args_signers(a);
    signers.need = 0;
    signers.ignore_unknown = 1; /* our own line among them */
    w->has_state = access(a->files[0], F_OK) == 0;
    if (w->has_state && a->first)
        FAIL(f, STATUS_INVALID_ARGUMENT, "--first", "%.90s is there already", a->files[0]);
    if (!w->has_state && !a->first)
        FAIL(f, STATUS_INVALID_ARGUMENT, "state",
             "%.60s is not there; --first takes the first "
             "checkpoint on trust",
             a->files[0]);
    return w->has_state
               ? as_unusable(verify_parts_checkpoint(a->files[0], &signers, &w->state, f), f)
               : STATUS_OK;
}

static enum status sync_folder(const char *path, struct fault *f)
{
    char folder[PATH_MAX_SIZE] = ".";
    const char *slash = strrchr(path, '/');
    if (slash)
        (void)snprintf(folder, sizeof folder, "%.*s", (int)(slash - path) + 1, path);
    const int fd = sysio_open(folder, O_RDONLY | O_DIRECTORY, 0);
    if (fd < 0 || sysio_fsync(fd) != 0) {
        const int errnum = errno;
        if (fd >= 0)
            (void)close(fd);
        FAIL(f, status_from_errno(errnum), "state", "%.90s: %s", folder, strerror(errnum));
    }
    (void)close(fd);
    return STATUS_OK;
}

static enum status save(const char *path, const struct witness *w, struct fault *f)
{
    TRY(sysio_write_file(path, w->text, w->size, f));
    return sync_folder(path, f);
}

/* ---------------------------------------------------------------- signing */

static enum status read_key(const struct verify_args *a, struct witness *w, struct fault *f)
{
    if (!a->sign)
        return STATUS_OK;
    TRY(sign_file_read(a->sign, &w->key, f));
    if (sign_key_public(w->key)->type != SIGN_WITNESS)
        FAIL(f, STATUS_INVALID_ARGUMENT, "--sign", "%.90s is not a key of a witness", a->sign);
    return STATUS_OK;
}

static int is_ours(const struct witness *w, const struct note_signature *s)
{
    const struct sign_vkey *v = w->key ? sign_key_public(w->key) : NULL;
    return v && lines_same(s->name, s->name_size, v->name) &&
           memcmp(s->id, v->id, SIGN_KEY_ID_SIZE) == 0;
}

/* The checkpoint as it came, without a line of ours that it may have from before. */
static void copy_note(const struct witness *w, struct byte_writer *to)
{
    const struct note *note = &w->newer.note;
    put_bytes(to, note->text, note->text_size);
    lines_put(to, "\n");
    for (size_t i = 0; i < note->n_signatures; i++) {
        const struct note_signature *s = &note->signatures[i];
        if (is_ours(w, s))
            continue;
        lines_put(to, "\xe2\x80\x94 ");
        put_bytes(to, s->name, s->name_size);
        lines_put(to, " ");
        put_bytes(to, s->base64, s->base64_size);
        lines_put(to, "\n");
    }
}

static enum status cosign(struct witness *w, struct fault *f)
{
    struct byte_writer to = byte_writer_make(w->text, sizeof w->text);
    int64_t last = 0;
    const int64_t now = clock_wall_us() / US_PER_S;
    if (w->key && w->has_state)
        (void)note_verify(&w->state.note, sign_key_public(w->key), &last);
    if (w->key && now < last)
        FAIL(f, STATUS_FAILED_PRECONDITION, "clock",
             "this machine's clock is %" PRId64 " s before the last cosignature", last - now);
    copy_note(w, &to);
    if (w->key)
        note_write_cosignature(&to, w->newer.note.text, w->newer.note.text_size, now, w->key);
    struct note again;
    if (to.failed || note_parse(w->text, to.used, &again, NULL) != STATUS_OK)
        FAIL(f, STATUS_RESOURCE_EXHAUSTED, "signatures",
             "no room for another signature, at most %d", NOTE_SIGNATURES_MAX);
    w->size = to.used;
    return STATUS_OK;
}

/* ---------------------------------------------------------------- the whole */

static void tell(const struct verify_args *a, const struct witness *w, struct verify_report *r)
{
    verify_parts_tell_checkpoint(r, &w->newer.note, &w->newer.seen);
    if (w->has_state)
        verify_report_fact(r, "begins with", "%" PRIu64 " entries of the checkpoint kept before",
                           w->state.note.checkpoint.size);
    else
        verify_report_note(r, "the log up to here: this is the first checkpoint");
    if (w->key)
        verify_report_fact(r, "cosigned", "%s", a->out);
}

static enum status
run(const struct verify_args *a, struct witness *w, struct verify_report *r, struct fault *f)
{
    const struct signers signers = verify_args_signers(a);
    TRY(read_key(a, w, f));
    TRY(lock_state(a->files[0], &w->lock, f));
    TRY(read_state(a, w, f));
    TRY(verify_parts_checkpoint(a->files[1], &signers, &w->newer, f));
    if (w->has_state)
        TRY(verify_parts_consistent(a->n_files == 3 ? a->files[2] : NULL, &w->state.note.checkpoint,
                                    &w->newer.note.checkpoint, f));
    TRY(cosign(w, f));
    TRY(save(a->files[0], w, f));
    if (w->key)
        TRY(save(a->out, w, f));
    tell(a, w, r);
    return STATUS_OK;
}

enum status
verify_witness_run(const struct verify_args *a, struct verify_report *r, struct fault *f)
{
    struct witness *w = sysio_alloc(1, sizeof *w);
    if (!w)
        FAIL(f, STATUS_NO_MEMORY, NULL, "no memory");
    w->lock = -1;
    const enum status st = run(a, w, r, f);
    verify_parts_free(&w->state);
    verify_parts_free(&w->newer);
    sign_key_free(w->key);
    if (w->lock >= 0)
        (void)close(w->lock);
    sysio_free(w);
    return st;
}
