/* For any processor: vectors of what every one of them has. */
#define WIDTH 4
#define KERNELS kernels_plain
#define KERNELS_NAME "plain"
#define FMA(a, b, c) ((a) * (b) + (c))
#define STREAM(p, v) set(p, v)
#define STREAM_END() ((void)0)
#define ZIP_LOW(a, b) ((vec){ (a)[0], (b)[0], (a)[1], (b)[1] })
#define ZIP_HIGH(a, b) ((vec){ (a)[2], (b)[2], (a)[3], (b)[3] })
#define PERMUTE(v, i) ((vec){ (v)[(i)[0]], (v)[(i)[1]], (v)[(i)[2]], (v)[(i)[3]] })
#define WIDEN(p) __builtin_convertvector(*(const bytes *)(p), bits)
#define NARROW(p, v) (*(bytes *)(p) = __builtin_convertvector(v, bytes))

#include "dev/cpu/kernel_body.h"
