#include "daemon/jobs/owner.h"

#include <string.h>

const char *owner_of(const struct queue_record *record)
{
    const char *slash = strchr(record->principal, '/');
    return slash ? slash + 1 : record->principal;
}

bool owner_is(const struct call *call, const struct queue_record *record)
{
    return strcmp(owner_of(record), call_principal(call)) == 0;
}

bool owner_sees_all(const struct call *call)
{
    return (call_roles(call) & (ROLE_PRIVACY | ROLE_AUDITOR)) != 0;
}

enum status
owner_check_see(const struct call *call, const struct queue_record *record, struct fault *f)
{
    if (!owner_sees_all(call) && !owner_is(call, record))
        FAIL(f, STATUS_PERMISSION_DENIED, "id", "the request is another client's");
    return STATUS_OK;
}

enum status owner_check_cancel(const struct call *call,
                               const struct queue_record *record,
                               const char *reason,
                               struct fault *f)
{
    if (owner_is(call, record))
        return STATUS_OK;
    if (!(call_roles(call) & ROLE_ADMIN))
        FAIL(f, STATUS_PERMISSION_DENIED, "id", "the request is another client's");
    if (reason[0] == '\0')
        FAIL(f, STATUS_INVALID_ARGUMENT, "reason",
             "to cancel another client's request needs a reason");
    return STATUS_OK;
}
