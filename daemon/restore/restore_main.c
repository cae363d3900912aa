/*
 * lethe-restore: a store again from a backup, while no daemon runs on it.
 *   lethe-restore [--keys FOLDER] BACKUP STORE
 * Everything that was restored is opened and checked.  What was erased since the backup was made
 * stays unreadable: its keys are in no backup that can still be opened.
 * Exit status: 0 restored and sound, 1 not, 2 usage.
 */
#include <argp.h>
#include <stdio.h>
#include <stdlib.h>

#include "daemon/base/status.h"
#include "storage/store/backup.h"

struct arguments {
    const char *keys;
    const char *operands[2];
};

static error_t parse(int key, char *value, struct argp_state *state)
{
    struct arguments *a = state->input;
    if (key == 'k') {
        a->keys = value;
    } else if (key == ARGP_KEY_ARG && state->arg_num < 2) {
        a->operands[state->arg_num] = value;
    } else if (key == ARGP_KEY_END && state->arg_num == 2) {
        return 0;
    } else if (key == ARGP_KEY_ARG || key == ARGP_KEY_END) {
        argp_usage(state);
    } else {
        return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

int main(int argc, char **argv)
{
    static const struct argp_option options[] = {
        {"keys", 'k', "FOLDER", 0, "of the key-encryption keys; without: STORE.keys", 0},
        {0},
    };
    static const struct argp argp = {
        options, parse, "BACKUP STORE", "Makes a store of a backup of lethe.", NULL, NULL, NULL};
    struct arguments a = {NULL, {NULL, NULL}};
    struct fault f = {0};
    struct fsck_counts counts = {0};
    argp_err_exit_status = 2;
    (void)argp_parse(&argp, argc, argv, 0, NULL, &a);
    const enum status st = backup_restore(a.operands[0], a.operands[1], a.keys, &counts, &f);
    if (st != STATUS_OK) {
        (void)fprintf(stderr, "lethe-restore: %s%s%s (%s)\n", f.field, f.field[0] ? ": " : "",
                      f.text[0] ? f.text : status_text(st), status_name(st));
        return EXIT_FAILURE;
    }
    (void)printf("restored and checked: %llu blobs, %llu versions, %llu requests\n",
                 (unsigned long long)counts.blobs, (unsigned long long)counts.versions,
                 (unsigned long long)counts.requests);
    return EXIT_SUCCESS;
}
