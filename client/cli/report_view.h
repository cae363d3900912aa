/*
 * The figures of a report document (JSON, see interface.md, `evaluation`) that tables show.  What
 * the document does not have, or has as null, is NaN or 0 here: reports grow, and older ones lack
 * parts.
 */
#ifndef LETHE_CLI_REPORT_VIEW_H
#define LETHE_CLI_REPORT_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define REPORT_TEXT_SIZE 128

struct report_class {
    char label[REPORT_TEXT_SIZE];
    char owner[REPORT_TEXT_SIZE];
    uint64_t n;
    double acc, acc_before, acc_raw;
    double ap, ap_before, ap_raw; /* where images have several labels */
};
struct report_relapse {
    char request[REPORT_TEXT_SIZE];
    double acc, limit;
};

/* One decision of a stream's detector. */
struct report_event {
    uint64_t batch;
    char expert[REPORT_TEXT_SIZE];
    double loss, threshold;
    bool switched, created, held, quarantined;
};

struct report_view {
    double acc_forget, acc_forget_before;
    double acc_retain, acc_retain_before, acc_retain_raw;
    double acc_new_task, acc_new_task_raw;
    double map, map_before, map_raw;
    double acc_old_forgotten;
    double h_mean;
    double mia_auc, mia_auc_before;
    double probe_ncm, probe_ridge, probe_reference;
    double seconds;
    uint64_t n_eval;
    bool has_gate, gate_passed;
    struct report_class *classes;
    size_t n_classes;
    struct report_relapse *relapse;
    size_t n_relapse;
    char (*reasons)[REPORT_TEXT_SIZE * 2];
    size_t n_reasons;
    bool has_stream; /* the report of a push */
    uint64_t experts, switches;
    struct report_event *events;
    size_t n_events;
};

/* False if `json` is no JSON object or memory is short; *ret_view holds nothing then. */
bool report_view_init(const char *json, size_t bytes, struct report_view *ret_view);
void report_view_fini(struct report_view *v);

#endif
