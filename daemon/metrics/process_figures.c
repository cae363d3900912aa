#include "daemon/metrics/process_figures.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define NOTHING ((double)NAN)

/* The second number of /proc/self/statm, in pages. */
static double resident_bytes(void)
{
    unsigned long long all, resident;
    FILE *file = fopen("/proc/self/statm", "re");
    const int n = file ? fscanf(file, "%llu %llu", &all, &resident) : 0;
    if (file)
        (void)fclose(file);
    return n == 2 ? (double)resident * (double)sysconf(_SC_PAGESIZE) : NOTHING;
}

static double cpu_seconds(void)
{
    struct timespec t;
    if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t) != 0)
        return NOTHING;
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double open_files(void)
{
    DIR *folder = opendir("/proc/self/fd");
    double n = 0;
    if (!folder)
        return NOTHING;
    for (const struct dirent *e = readdir(folder); e; e = readdir(folder))
        n += e->d_name[0] != '.';
    (void)closedir(folder);
    return n - 1; /* the folder itself */
}

static double max_files(void)
{
    struct rlimit files;
    return getrlimit(RLIMIT_NOFILE, &files) == 0 ? (double)files.rlim_cur : NOTHING;
}

void process_figures(struct process_figures *ret_figures)
{
    *ret_figures = (struct process_figures){.resident = resident_bytes(),
                                            .cpu_seconds = cpu_seconds(),
                                            .open_files = open_files(),
                                            .max_files = max_files()};
}
