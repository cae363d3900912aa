/*
 * Figures as text for people.  Every function writes into the caller's buffer and returns it, so
 * that it can stand in an argument list.  Programs read --json instead.
 */
#ifndef LETHE_CLI_FORMAT_H
#define LETHE_CLI_FORMAT_H

#include <stdint.h>

#define FORMAT_SIZE 48

/* 2026-11-23 12:00:00Z; "-" for 0. */
const char *format_time(int64_t us, char text[FORMAT_SIZE]);
/* 850 ms, 12.3 s, 4 min 05 s, 3 h 20 min, 2 d 4 h; "-" if negative or not a number. */
const char *format_duration(double seconds, char text[FORMAT_SIZE]);
/* 812 B, 1.5 KiB, 20.0 MiB. */
const char *format_bytes(uint64_t bytes, char text[FORMAT_SIZE]);
/* 93.4 %; "-" if negative or not a number. */
const char *format_percent(double share, char text[FORMAT_SIZE]);
/* First 12 digits of a digest, or "-". */
const char *format_short(const char *digest, char text[FORMAT_SIZE]);

/*
 * n values as a row of bars, largest = full height, exact zero = ".", at most `width` bars (values
 * that share a bar: their maximum).  `unicode`: eighth blocks, else 1 to 8.  `text` holds
 * 3 * width + 1 bytes.
 */
void format_bars(const float *values, uint32_t n, uint32_t width, int unicode, char *text);

#endif
