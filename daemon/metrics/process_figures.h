/*
 * Figures of this process as the kernel tells them; NaN where it does not.  Any thread.
 */
#ifndef LETHE_METRICS_PROCESS_FIGURES_H
#define LETHE_METRICS_PROCESS_FIGURES_H

struct process_figures {
    double resident; /* bytes */
    double cpu_seconds;
    double open_files;
    double max_files;
};

void process_figures(struct process_figures *ret_figures);

#endif
