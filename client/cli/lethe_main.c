/*
 * lethe: the command line of lethed.  Only what belongs to the process is here; the commands are in
 * cmd_*.c, their table in command.c.
 */
#include "client/cli/command.h"

#include <langinfo.h>
#include <locale.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    /* Only the character set: numbers are written the same everywhere. */
    (void)setlocale(LC_CTYPE, "");
    (void)signal(SIGPIPE, SIG_IGN);
    struct cli c = {.out = stdout, .err = stderr};
    c.progress = isatty(STDERR_FILENO) == 1;
    c.unicode = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
    return command_main(&c, argc, (const char *const *)argv);
}
