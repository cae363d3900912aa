/* export: the weights of a version as files for other tools, or one component as one file. */
#include "client/cli/bar.h"
#include "client/cli/command.h"
#include "client/cli/format.h"
#include "client/cli/json_out.h"
#include "client/cli/text_table.h"
#include "daemon/base/sysio.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct option_spec SPECS[] = {
    {"format", 'f', OPTION_VALUE, "FORMAT", "peft, merged or onnx-ready"},
    {"component", 'c', OPTION_VALUE, "NAME", "one component alone: lane:NAME or expert:NAME"},
    {"output", 'o', OPTION_VALUE, "DIR", "folder for the files; made if missing (component: file)"},
};

static const char *const FORMATS[] = {"peft", "merged", "onnx-ready", NULL};

struct writer {
    int fd;
    struct fault f; /* why writing stopped */
    struct bar bar;
    uint64_t done, total;
    const char *path;
};

/*
 * A relative path that stays below its folder: no empty, "." or ".." part.  The daemon is not
 * trusted with the place of our files.
 */
static bool path_is_safe(const char *path)
{
    if (path[0] == '\0' || path[0] == '/' || strlen(path) > NAME_MAX)
        return false;
    for (const char *part = path;;) {
        const size_t n = strcspn(part, "/");
        if (n == 0 || (n == 1 && part[0] == '.') || (n == 2 && strncmp(part, "..", 2) == 0))
            return false;
        if (part[n] == '\0')
            return true;
        part += n + 1;
    }
}

/* Makes every folder above `path`. */
static enum status make_folders(const char *path, struct fault *f)
{
    char part[PATH_MAX];
    for (const char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        (void)snprintf(part, sizeof part, "%.*s", (int)(slash - path), path);
        if (mkdir(part, 0777) != 0 && errno != EEXIST)
            FAIL(f, status_from_errno(errno), "output", "cannot make folder %.100s: %s", part,
                 strerror(errno));
    }
    return STATUS_OK;
}

static bool write_piece(void *context, const void *bytes, size_t size)
{
    struct writer *w = context;
    const unsigned char *at = bytes;
    for (size_t left = size; left > 0;) {
        const ssize_t n = sysio_write(w->fd, at, left);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            (void)fault_set(&w->f, status_from_errno(errno), __FILE__, __LINE__, "output",
                            "cannot write %.90s: %s", w->path, strerror(errno));
            return false;
        }
        at += n;
        left -= (size_t)n;
    }
    w->done += size;
    bar_transfer(&w->bar, "export", w->done, w->total);
    return true;
}

/* One file: beside its place first, then renamed, so that what is there is whole. */
static enum cli_exit
write_file(struct cli *c, struct writer *w, const struct lethe_file *file, const char *path)
{
    char part[PATH_MAX + 8];
    struct lethe_error e;
    (void)snprintf(part, sizeof part, "%s.part", path);
    w->path = path;
    w->fd = sysio_open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (w->fd < 0)
        return cli_usage(c, "cannot create %s: %s", part, strerror(errno));
    enum lethe_code code = lethe_blob(c->lethe, file, write_piece, w, &e);
    if (code == LETHE_OK && sysio_fsync(w->fd) != 0) {
        (void)fault_set(&w->f, STATUS_IO_ERROR, __FILE__, __LINE__, "output",
                        "cannot write %.90s: %s", path, strerror(errno));
        code = LETHE_CANCELLED;
    }
    (void)close(w->fd);
    if (code == LETHE_OK && sysio_rename(part, path) == 0)
        return CLI_DONE;
    bar_end(&w->bar);
    (void)unlink(part);
    if (code == LETHE_OK)
        return cli_usage(c, "cannot rename %s: %s", part, strerror(errno));
    return w->f.code != STATUS_OK ? cli_fail_fault(c, &w->f) : cli_fail(c, &e);
}

static enum cli_exit refuse_path(struct cli *c, const char *path)
{
    struct lethe_error e = {.code = LETHE_DATA_LOSS, .origin = LETHE_FROM_DAEMON, .field = "path"};
    (void)snprintf(e.text, sizeof e.text, "the daemon names a file outside the folder: \"%.100s\"",
                   path);
    return cli_fail(c, &e);
}

static enum cli_exit write_files(struct cli *c, const struct lethe_export *x, const char *folder)
{
    struct writer w = {.fd = -1};
    bar_init(&w.bar, c->err, c->progress && !c->quiet, c->unicode);
    for (size_t i = 0; i < x->n_files; i++)
        w.total += x->files[i].bytes;
    for (size_t i = 0; i < x->n_files; i++) {
        char path[PATH_MAX];
        struct fault f = {0};
        if (!path_is_safe(x->files[i].path))
            return refuse_path(c, x->files[i].path);
        const int n = snprintf(path, sizeof path, "%s/%s", folder, x->files[i].path);
        if (n < 0 || (size_t)n >= sizeof path)
            return cli_usage(c, "the path of the folder is too long");
        if (make_folders(path, &f) != STATUS_OK)
            return cli_fail_fault(c, &f);
        const enum cli_exit code = write_file(c, &w, &x->files[i], path);
        if (code != CLI_DONE)
            return code;
    }
    bar_end(&w.bar);
    return CLI_DONE;
}

static bool print_files(struct cli *c, const struct lethe_export *x, const char *folder)
{
    char a[FORMAT_SIZE];
    if (c->json)
        return json_out_export(c->out, x, folder);
    struct text_table *t = text_table_new("file|>bytes|digest");
    for (size_t i = 0; i < x->n_files; i++) {
        text_table_add(t, "%s%s%s", folder ? folder : "", folder ? "/" : "", x->files[i].path);
        text_table_add(t, "%s", format_bytes(x->files[i].bytes, a));
        text_table_add(t, "%s", format_short(x->files[i].digest, a));
    }
    text_table_print(t, c->out, 0);
    text_table_free(t);
    return true;
}

/* The one file of a component, at the path that was asked for. */
static enum cli_exit write_component(struct cli *c, const struct lethe_export *x, const char *path)
{
    struct writer w = {.fd = -1};
    if (x->n_files != 1)
        return cli_usage(c, "the daemon names %zu files for one component", x->n_files);
    bar_init(&w.bar, c->err, c->progress && !c->quiet, c->unicode);
    w.total = x->files[0].bytes;
    const enum cli_exit code = write_file(c, &w, &x->files[0], path);
    bar_end(&w.bar);
    if (code != CLI_DONE)
        return code;
    struct lethe_file file = x->files[0];
    file.path = path;
    struct lethe_export written = {.files = &file, .n_files = 1};
    memcpy(written.version, x->version, sizeof written.version);
    return cli_printed(c, print_files(c, &written, NULL));
}

static enum cli_exit
export_component(struct cli *c, const char *version, const char *component, const char *path)
{
    struct lethe_export *x;
    struct lethe_error e;
    const enum cli_exit connected = cli_connect(c);
    if (connected != CLI_DONE)
        return connected;
    if (strlen(path) >= PATH_MAX)
        return cli_usage(c, "the path of the file is too long");
    if (lethe_component_export(c->lethe, version, component, &x, &e) != LETHE_OK)
        return cli_fail(c, &e);
    const enum cli_exit code = write_component(c, x, path);
    lethe_free(x);
    return code;
}

static enum cli_exit run_export(struct cli *c, const struct options *o)
{
    struct fault f = {0};
    size_t format;
    const char *folder = options_text(o, "output", NULL);
    const char *component = options_text(o, "component", NULL);
    if (options_choice(o, "format", FORMATS, SIZE_MAX, &format, &f) != STATUS_OK)
        return cli_fail_fault(c, &f);
    if ((format == SIZE_MAX) == !component || !folder || folder[0] == '\0')
        return cli_usage(c, "lethe export needs --format peft|merged|onnx-ready and -o DIR, or "
                            "--component lane:NAME|expert:NAME and -o FILE");
    if (component)
        return export_component(c, o->operands[0], component, folder);
    struct lethe_export *x;
    struct lethe_error e;
    const enum cli_exit connected = cli_connect(c);
    if (connected != CLI_DONE)
        return connected;
    if (lethe_export(c->lethe, o->operands[0], FORMATS[format], &x, &e) != LETHE_OK)
        return cli_fail(c, &e);
    enum cli_exit code = write_files(c, x, folder);
    if (code == CLI_DONE)
        code = cli_printed(c, print_files(c, x, folder));
    lethe_free(x);
    return code;
}

const struct command cmd_export_table[] = {
    {"export", "VERSION", "Write a version's weights as files for other tools",
     "peft: one LoRA adapter folder an erasure; merged: a whole model folder; onnx-ready: a "
     "merged\n"
     "folder with plain linear layers.  A component is one safetensors file, which lethe import\n"
     "takes.  Files are checked against their digests.",
     SPECS, sizeof SPECS / sizeof SPECS[0], 1, 1, run_export},
    {.name = NULL},
};
