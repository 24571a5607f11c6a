/*
 * Reasons for failure. The library never prints and never exits: what fails
 * returns -1 or NULL after leaving one line of reason here, for this thread.
 * A reason goes from the outside in: thing, place, cause; no newline, no
 * capital, no program name.
 */
#ifndef BASE_FAIL_H
#define BASE_FAIL_H

#define FAIL_MAX 4096           /* bytes of a reason, its NUL included */

/* Keeps the reason for this thread, replacing the one there; always -1. */
int fail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* As fail(), and ends with ": " and what errno says. */
int fail_errno(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Puts "fmt: " before the reason there is; always -1. */
int fail_add(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* The reason; "" if there is none. Valid until this thread's next fail*(). */
const char *fail_why(void);

/* Forgets the reason. */
void fail_clear(void);

/* For acts within acts: hands the -1 on. */
#define TRY(x) do { if ((x) < 0) return -1; } while (0)

#endif
