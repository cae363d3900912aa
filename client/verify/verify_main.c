/*
 * lethe-verify: checks evidence of lethe offline.  Needs no daemon, no store, no network and no
 * configuration; links libsodium and the C library alone.  Exit status: 0 everything asked for was
 * verified, 1 the evidence is false, 2 no verdict.
 */
#include "client/verify/verify_run.h"

int main(int argc, char **argv)
{
    return verify_run(argc, argv, stdout);
}
