/* What a file is that is no TFRecord file. */
#include "data/tfrecord.h"

#include "base/bytes.h"
#include "base/crc.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

struct mark {
	const char *bytes;
	size_t size;
	const char *what;
};

#define MARK(bytes, what) { bytes, sizeof bytes - 1, what }

static const struct mark marks[] = {
	MARK("version https://git-lfs", "a Git LFS pointer: 'git lfs pull' fetches the file"),
	MARK("\xff\xd8\xff", "a JPEG image: tfrec-pack makes shards of images"),
	MARK("\x89PNG\r\n\x1a\n", "a PNG image: tfrec-pack makes shards of images"),
	MARK("\x89MRB\r\n\x1a\n", "a batch stream: batch-cat and img-augment read it"),
	MARK("\x89HDF\r\n\x1a\n", "an HDF5 file"),
	MARK("PK\x03\x04", "a zip archive: unpack it first"),
	MARK("\x28\xb5\x2f\xfd", "compressed by zstd: 'zstd -dc FILE |' comes before"),
	MARK("\xfd" "7zXZ", "compressed by xz: 'xz -dc FILE |' comes before"),
	MARK("BZh", "compressed by bzip2: 'bzip2 -dc FILE |' comes before"),
	MARK("\x04\x22\x4d\x18", "compressed by lz4: 'lz4 -dc FILE |' comes before"),
	MARK("Obj\x01", "an Avro file"),
	MARK("PAR1", "a Parquet file"),
	MARK("\x0a\x23\xd7\xce", "an MXNet RecordIO file"),
};

/* Undoes a transfer in text mode over the header and looks whether it holds then. */
static int was_text_mode(const unsigned char *b, size_t n)
{
	unsigned char head[TFRECORD_HEAD];
	size_t have = 0, changed = 0, i;

	for (i = 0; i < n && have < sizeof head; i++) {
		if (b[i] == '\r' && i + 1 < n && b[i + 1] == '\n')
			changed = 1;
		else
			head[have++] = b[i];
	}
	return changed && have == sizeof head && crc32c_masked(head, 8) == get_u32(head + 8);
}

static const char *text_kind(const unsigned char *b, size_t n)
{
	size_t i, at = 0;

	for (i = 0; i < n; i++)
		if (b[i] < 32 && !isspace(b[i]))
			return NULL;
	if (n < 4)
		return NULL;
	while (at < n && isspace(b[at]))
		at++;
	if (n - at >= 5 && (!strncasecmp((const char *)b + at, "<!doc", 5) ||
			    !strncasecmp((const char *)b + at, "<html", 5) ||
			    !strncasecmp((const char *)b + at, "<head", 5)))
		return "an HTML page: the download failed";
	if (n - at >= 5 && !strncasecmp((const char *)b + at, "<?xml", 5))
		return "XML: the download failed";
	if (isdigit(b[0]) && memchr(b, ' ', n) && strspn((const char *)b, "0123456789 \n") >= n)
		return "an index of a shard: name the shards only";
	return b[at] == '{' ? "JSON text" : "text";
}

const char *tfrecord_mistaken(const unsigned char *b, size_t n)
{
	unsigned char text[513];
	size_t i;

	if (n >= TFRECORD_HEAD && was_text_mode(b, n))
		return "TFRecords changed by a transfer in text mode (LF became CR LF): "
		       "fetch them again in binary mode";
	for (i = 0; i < sizeof marks / sizeof *marks; i++)
		if (n >= marks[i].size && !memcmp(b, marks[i].bytes, marks[i].size))
			return marks[i].what;
	if (n >= 262 && !memcmp(b + 257, "ustar", 5))
		return "a tar archive: tfrec-pack --from-tar makes shards of it";
	if (n >= TFRECORD_HEAD) {
		static const unsigned char zeros[TFRECORD_HEAD];

		if (!memcmp(b, zeros, sizeof zeros))
			return "zeros: the file was allotted and never written";
	}
	if (n > sizeof text - 1)
		n = sizeof text - 1;
	memcpy(text, b, n);
	text[n] = 0;
	return text_kind(text, n);
}
