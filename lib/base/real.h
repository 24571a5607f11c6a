/*
 * exp, log, sin, cos, pow in double made of + - x / sqrt only: the same bits with
 * any compiler and C library, x86-64 or arm64. Error at most 2 units in the last
 * place for the arguments that training and augmentation use (real.c says which).
 * Special values as C's: NaN in gives NaN, exp(-inf) 0, log(0) -inf.
 */
#ifndef BASE_REAL_H
#define BASE_REAL_H

double real_exp(double);
double real_log(double);
double real_sin(double);        /* |x| <= 2^20; NaN beyond */
double real_cos(double);
double real_pow(double x, double y);    /* x >= 0 */

#endif
