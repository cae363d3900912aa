#include "daemon/pretrain/pretrain_report.h"

#include "daemon/base/clock.h"
#include "daemon/base/sysio.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define REPORT_MAX_LOG    ((size_t)64 << 20)
#define REPORT_BAR        24
#define REPORT_BAR_PAUSE  200000 /* us */
#define REPORT_EPOCH_KEY  "{\"epoch\":"
#define REPORT_LINE_BYTES 512

/* Bytes of the log up to the first line that is not of an epoch 1..epochs_done. */
static size_t report_kept(const char *text, size_t size, uint64_t epochs_done)
{
    size_t kept = 0;
    while (kept < size) {
        const char *line = text + kept;
        const char *end = memchr(line, '\n', size - kept);
        if (!end || strncmp(line, REPORT_EPOCH_KEY, strlen(REPORT_EPOCH_KEY)) != 0 ||
            strtoull(line + strlen(REPORT_EPOCH_KEY), NULL, 10) > epochs_done)
            break;
        kept = (size_t)(end - text) + 1;
    }
    return kept;
}

enum status report_open(struct report *r,
                        const char *folder,
                        uint64_t epochs_done,
                        uint64_t start_step,
                        struct fault *f)
{
    unsigned char *text = NULL;
    size_t size = 0, kept = 0;
    memset(r, 0, sizeof *r);
    const int n = snprintf(r->path, sizeof r->path, "%s/training.log", folder);
    if (n < 0 || (size_t)n >= sizeof r->path)
        FAIL(f, STATUS_INVALID_ARGUMENT, "out", "path is longer than %zu bytes", sizeof r->path);
    r->terminal = isatty(STDERR_FILENO);
    r->start_us = clock_mono_us();
    r->start_step = start_step;
    if (epochs_done > 0 && access(r->path, F_OK) == 0) {
        TRY(sysio_read_file(r->path, REPORT_MAX_LOG, &text, &size, f));
        kept = report_kept((const char *)text, size, epochs_done);
    }
    const enum status st = sysio_write_file(r->path, text ? (const void *)text : "", kept, f);
    sysio_free(text);
    return st;
}

static enum status report_append(const struct report *r, const char *line, struct fault *f)
{
    const size_t size = strlen(line);
    const int fd = sysio_open(r->path, O_WRONLY | O_APPEND | O_CREAT, 0644);
    if (fd < 0)
        FAIL(f, status_from_errno(errno), "out", "cannot open %.100s: %s", r->path,
             strerror(errno));
    const ssize_t done = sysio_write(fd, line, size);
    const int failed = done < 0 || (size_t)done != size ? errno : 0;
    (void)close(fd);
    if (done < 0 || (size_t)done != size)
        FAIL(f, failed ? status_from_errno(failed) : STATUS_NO_SPACE, "out", "cannot write %.100s",
             r->path);
    return STATUS_OK;
}

void report_step(struct report *r,
                 uint64_t step,
                 uint64_t steps,
                 uint64_t steps_per_epoch,
                 double loss,
                 double accuracy)
{
    const int64_t now = clock_mono_us();
    if (!r->terminal || step <= r->start_step || now - r->last_us < REPORT_BAR_PAUSE)
        return;
    r->last_us = now;
    char bar[REPORT_BAR + 1];
    for (uint64_t i = 0; i < REPORT_BAR; i++)
        bar[i] = i * steps < step * REPORT_BAR ? '#' : '.';
    bar[REPORT_BAR] = '\0';
    const double per_step = (double)(now - r->start_us) * 1e-6 / (double)(step - r->start_step);
    const uint64_t left = (uint64_t)(per_step * (double)(steps - step));
    (void)fprintf(stderr, "\r[%s] epoch %llu  loss %.4f  acc %.4f  %llu:%02llu:%02llu left ", bar,
                  (unsigned long long)(step / steps_per_epoch + 1), loss, accuracy,
                  (unsigned long long)(left / 3600), (unsigned long long)(left / 60 % 60),
                  (unsigned long long)(left % 60));
    (void)fflush(stderr);
}

enum status report_epoch(struct report *r, const struct report_epoch *e, struct fault *f)
{
    char line[REPORT_LINE_BYTES];
    (void)snprintf(
        line, sizeof line,
        REPORT_EPOCH_KEY "%llu,\"lr\":%.6g,\"loss\":%.6f,\"train_acc\":%.6f,\"valid_loss\":%.6f,"
                         "\"valid_acc\":%.6f,\"ema_valid_loss\":%.6f,\"ema_valid_acc\":%.6f,"
                         "\"images_per_s\":%.1f,\"seconds\":%.1f}\n",
        (unsigned long long)e->epoch, e->lr, e->loss, e->accuracy, e->valid_loss, e->valid_accuracy,
        e->valid_ema_loss, e->valid_ema_accuracy, e->images_per_second, e->seconds);
    (void)fprintf(stderr,
                  "%sepoch %llu/%llu  loss %.4f  acc %.4f  validation %.4f  averaged weights %.4f  "
                  "%.0f images/s\n",
                  r->terminal ? "\r\033[K" : "", (unsigned long long)e->epoch,
                  (unsigned long long)e->epochs, e->loss, e->accuracy, e->valid_accuracy,
                  e->valid_ema_accuracy, e->images_per_second);
    return report_append(r, line, f);
}

enum status report_final(
    struct report *r, double test_accuracy, double test_loss, uint32_t n_test, struct fault *f)
{
    char line[REPORT_LINE_BYTES];
    (void)snprintf(line, sizeof line, "{\"test_acc\":%.6f,\"test_loss\":%.6f,\"n_test\":%u}\n",
                   test_accuracy, test_loss, n_test);
    (void)fprintf(stderr, "test accuracy %.4f, loss %.4f over %u images\n", test_accuracy,
                  test_loss, n_test);
    return report_append(r, line, f);
}
