/* Numbers as net(5) writes them. */
#ifndef NET_NUMBER_H
#define NET_NUMBER_H

#include <stddef.h>

/* The bytes of the longest number ("12", "0.5", "1e-3") that text begins with and that no
 * letter, digit or "_" follows; 0: none. */
size_t number_length(const char *text, size_t n);

/* All of the text as a number: 1; 0 if it is none. */
int number_read(const char *text, size_t n, double *);

/* For messages: whole numbers without a point, others by nine digits. */
const char *show_number(char buffer[32], double);

/* The fewest digits that read back as the same double; whole numbers without a point. */
const char *show_exact(char buffer[32], double);

#endif
