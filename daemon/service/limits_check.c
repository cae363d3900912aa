#include "daemon/service/limits_check.h"

#include <errno.h>
#include <string.h>
#include <sys/resource.h>

#include "proto/limits.h"

enum status limits_check_descriptors(uint64_t allowed, struct fault *f)
{
    if (allowed < LIMIT_DESCRIPTORS)
        FAIL(f, STATUS_RESOURCE_EXHAUSTED, "LimitNOFILE",
             "%llu open files are allowed, %u are wanted: connections beyond that stay unanswered",
             (unsigned long long)allowed, LIMIT_DESCRIPTORS);
    return STATUS_OK;
}

enum status limits_check_process(struct fault *f)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) != 0)
        FAIL(f, status_from_errno(errno), "LimitNOFILE", "getrlimit: %s", strerror(errno));
    return limits_check_descriptors(files.rlim_cur, f);
}

void limits_check_no_core(void)
{
    const struct rlimit none = {0, 0};
    (void)setrlimit(RLIMIT_CORE, &none);
}
