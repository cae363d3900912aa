/*
 * 16-bit floats: IEEE 754 binary16 (F16) and bfloat16 (BF16), to and from float.  Widening is
 * exact; narrowing rounds to nearest, ties to even, overflows to infinity; NaN stays NaN.
 */
#ifndef LETHE_LEARNERS_HALF_H
#define LETHE_LEARNERS_HALF_H

#include <stdint.h>

float half_to_float(uint16_t h);
uint16_t half_from_float(float x);
float bfloat_to_float(uint16_t b);
uint16_t bfloat_from_float(float x);

#endif
