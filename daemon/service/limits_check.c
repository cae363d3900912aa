#include "daemon/service/limits_check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>

#include "proto/limits.h"

#define GROUP_ROOT "/sys/fs/cgroup"
#define GROUP_OWN  "/proc/self/cgroup"
#define PATH_SIZE  4096

enum status limits_check_descriptors(uint64_t allowed, struct fault *f)
{
    if (allowed < LIMIT_DESCRIPTORS)
        FAIL(f, STATUS_RESOURCE_EXHAUSTED, "LimitNOFILE",
             "%llu open files are allowed, %u are wanted: connections beyond that are closed",
             (unsigned long long)allowed, LIMIT_DESCRIPTORS);
    return STATUS_OK;
}

enum status limits_check_memory(uint64_t job, uint64_t allowed, struct fault *f)
{
    if (allowed < job)
        FAIL(f, STATUS_RESOURCE_EXHAUSTED, "worker_memory_max",
             "a job may plan %llu bytes, the system allows %llu: it could be killed in its middle",
             (unsigned long long)job, (unsigned long long)allowed);
    return STATUS_OK;
}

/* ---------------------------------------------------------------- what the system says */

uint64_t limits_check_take_descriptors(void)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) != 0)
        return 0;
    struct rlimit more = files;
    more.rlim_cur = files.rlim_max < LIMIT_DESCRIPTORS ? files.rlim_max : LIMIT_DESCRIPTORS;
    if (more.rlim_cur > files.rlim_cur && setrlimit(RLIMIT_NOFILE, &more) == 0)
        return more.rlim_cur;
    return files.rlim_cur;
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* The beginning of a file of the kernel, whose size nobody knows beforehand; "" if there is none.
 */
static void read_text(const char *path, char *text, size_t size)
{
    FILE *file = fopen(path, "re");
    size_t n = 0;
    if (file) {
        n = fread(text, 1, size - 1, file);
        (void)fclose(file);
    }
    text[n] = '\0';
}

/* UINT64_MAX: no such file, or "max". */
static uint64_t read_number(const char *path)
{
    char text[64];
    char *end;
    read_text(path, text, sizeof text);
    const unsigned long long n = strtoull(text, &end, 10);
    return end == text ? UINT64_MAX : n;
}

uint64_t limits_check_group_memory(const char *root, const char *own)
{
    /* Version 2 has one line, "0::/system.slice/lethed.service". */
    const char *at = strncmp(own, "0::", 3) == 0 ? own : strstr(own, "\n0::");
    char group[PATH_SIZE], path[2 * PATH_SIZE];
    uint64_t allowed = UINT64_MAX;
    if (!at || strstr(own, ".."))
        return allowed;
    at = strchr(at, '/');
    (void)snprintf(group, sizeof group, "%.*s", at ? (int)strcspn(at, "\n") : 0, at ? at : "");
    for (char *slash = strrchr(group, '/'); slash; slash = strrchr(group, '/')) {
        (void)snprintf(path, sizeof path, "%.1000s%s/memory.max", root, group);
        allowed = least(allowed, read_number(path));
        *slash = '\0';
    }
    return allowed;
}

static uint64_t own_limit(__rlimit_resource_t resource)
{
    struct rlimit limit;
    if (getrlimit(resource, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
        return UINT64_MAX;
    return limit.rlim_cur;
}

uint64_t limits_check_allowed_memory(void)
{
    struct sysinfo machine;
    char own[PATH_SIZE];
    uint64_t allowed = least(own_limit(RLIMIT_AS), own_limit(RLIMIT_DATA));
    read_text(GROUP_OWN, own, sizeof own);
    allowed = least(allowed, limits_check_group_memory(GROUP_ROOT, own));
    if (sysinfo(&machine) == 0)
        allowed = least(allowed, (uint64_t)machine.totalram * machine.mem_unit);
    return allowed;
}

void limits_check_no_core(void)
{
    const struct rlimit none = {0, 0};
    (void)setrlimit(RLIMIT_CORE, &none);
#ifndef LETHE_DEBUG
    /* A pattern that pipes dumps to a program does not ask for the limit.  Sanitizers attach. */
    (void)prctl(PR_SET_DUMPABLE, 0);
#endif
}
