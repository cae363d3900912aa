/*
 * lethe-verify as a function: command line in, answer out.  main is nothing more, so tests can ask
 * about every damaged bit of a file without starting a program for each.
 */
#ifndef LETHE_VERIFY_RUN_H
#define LETHE_VERIFY_RUN_H

#include <stdio.h>

/* Prints the answer; returns the exit status: 0 verified, 1 false, 2 no verdict.  One thread. */
int verify_run(int argc, char **argv, FILE *to);

#endif
