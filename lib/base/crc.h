/*
 * Checksums, by ISA-L: CRC-32C (Castagnoli, reflected 0x82f63b78) of TFRecord
 * and of TensorFlow's checkpoints, CRC-32 (zlib's) of the batch stream.
 */
#ifndef BASE_CRC_H
#define BASE_CRC_H

#include <stddef.h>
#include <stdint.h>

/* Of n bytes after those that gave crc (0 at the start). */
uint32_t crc32c(uint32_t crc, const void *, size_t n);
uint32_t crc32z(uint32_t crc, const void *, size_t n);

/* TFRecord's mask: rotate right by 15, add 0xa282ead8. */
uint32_t crc32c_masked(const void *, size_t n);

#endif
