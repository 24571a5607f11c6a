/* Types of numbers in streams, checkpoints and values. The numbers are the wire's. */
#ifndef BASE_DTYPE_H
#define BASE_DTYPE_H

#include <stddef.h>

enum dtype { DTYPE_U8 = 1, DTYPE_I32, DTYPE_I64, DTYPE_F16, DTYPE_BF16, DTYPE_F32 };

static inline size_t dtype_bytes(enum dtype t)
{
	static const unsigned char size[] = { 0, 1, 4, 8, 2, 2, 4 };

	return t >= DTYPE_U8 && t <= DTYPE_F32 ? size[t] : 0;
}

static inline const char *dtype_name(enum dtype t)
{
	static const char *const name[] = { "?", "u8", "i32", "i64", "f16", "bf16", "f32" };

	return name[t >= DTYPE_U8 && t <= DTYPE_F32 ? t : 0];
}

#endif
