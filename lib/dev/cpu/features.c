/* What the machine has and can, for people and for profiles. */
#include "dev/cpu/cpu.h"

#include "base/bytes.h"
#include "dev/cpu/dnn.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* ---- limits ---- */

enum {
	ROUNDS = 1 << 14,               /* of spinning: some 50 us a piece */
	COPY = 1 << 24,                 /* numbers copied: more than caches hold, 64 MiB */
	TIMES = 5,
};

struct trial {
	struct device *dev;
	struct forward_pass copy;
	size_t numbers;                 /* of a piece */
};

static void spin_piece(void *context, size_t i)
{
	const struct trial *t = context;
	volatile float keep = t->dev->k->spin(ROUNDS);

	(void)keep;
	(void)i;
}

static void copy_piece(void *context, size_t i)
{
	const struct trial *t = context;

	t->dev->k->forward(&t->copy, i * t->numbers, 0, t->numbers / (size_t)t->copy.block);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* The shortest of a few. */
static double shortest(struct device *dev, size_t pieces, each_work *work, struct trial *t)
{
	double best = 0;

	for (int i = 0; i < TIMES; i++) {
		double began = now(), took;

		each(dev, pieces, work, t);
		took = now() - began;
		if (!i || took < best)
			best = took;
	}
	return best;
}

void cpu_limits(struct device *dev, struct limits *l)
{
	size_t pieces = (size_t)dev->threads * 64, bytes = 4 * (size_t)COPY * sizeof(float);
	struct trial t = { .dev = dev, .numbers = 1 << 14 };
	float *from = aligned_alloc(64, bytes);
	double seconds = shortest(dev, pieces, spin_piece, &t);

	*l = (struct limits){ 0 };
	l->flops = 2.0 * KERNEL_SPIN * dev->k->width * ROUNDS * (double)pieces / seconds;
	if (!from)
		return;
	memset(from, 0, bytes);
	t.copy = (struct forward_pass){ .x = { from }, .xs = 1, .block = dev->k->width,
					.stream = 1, .y = from + 2 * (size_t)COPY };
	seconds = shortest(dev, 2 * (size_t)COPY / t.numbers, copy_piece, &t);
	l->bytes = (double)bytes / seconds;
	free(from);
}

/* ---- precision ---- */

/* Less does not make up for Winograd's kernels, which there are in fp32 only. */
#define GAIN 1.4

/* A bottleneck's 1x1 convolution, in one chunk of memory that holds it in either type. */
enum { PROBE_N = 4, PROBE_C = 256, PROBE_SIDE = 14, PROBE_TIMES = 20 };

static double conv_seconds(struct dnn *d)
{
	double best = 0;

	for (int i = 0; i < PROBE_TIMES; i++) {
		double began = now(), took;

		if (dnn_run(d))
			return 0;
		took = now() - began;
		if (!i || took < best)
			best = took;
	}
	return best;
}

/* Seconds of the probe; 0: the library cannot. */
static double probe(int bf16)
{
	struct dnn_conv c = { .n = PROBE_N, .groups = 1, .in_c = PROBE_C, .in_h = PROBE_SIDE,
			      .in_w = PROBE_SIDE, .in_block = 16, .out_c = PROBE_C,
			      .out_h = PROBE_SIDE, .out_w = PROBE_SIDE, .out_block = 16,
			      .k = { 1, 1 }, .stride = { 1, 1 }, .dilation = { 1, 1 },
			      .bf16 = bf16 };
	size_t image = (size_t)PROBE_N * PROBE_C * PROBE_SIDE * PROBE_SIDE * sizeof(float);
	size_t weights = (size_t)PROBE_C * PROBE_C * sizeof(float);
	struct dnn *d = dnn_conv(&c, DNN_FORWARD);
	size_t bytes = round_up(2 * image + weights + (d ? dnn_scratch(d) : 0), 64);
	char *at = d ? aligned_alloc(64, bytes) : NULL;
	double seconds = 0;

	if (at) {
		memset(at, 0, bytes);
		if (!dnn_place(d, at, at + 2 * image, NULL, at + image, at + 2 * image + weights))
			seconds = conv_seconds(d);
	}
	free(at);
	dnn_free(d);
	return seconds;
}

/* How many times as fast as fp32 convolutions are in bf16; 0: there are none. */
static double bf16_gain(struct device *dev)
{
	int threads;
	double wide, brief = 0;

	if (!dev->k16)
		return 0;
	threads = threads_set(dev->threads);
	wide = probe(0);
	if (wide > 0)
		brief = probe(1);
	threads_set(threads);
	return brief > 0 ? wide / brief : 0;
}

enum dtype cpu_fastest(struct device *dev)
{
	return bf16_gain(dev) > GAIN ? DTYPE_BF16 : DTYPE_F32;
}

/* ---- words ---- */

#ifdef __x86_64__
static void explain_processor(struct text *t)
{
	static const char *const has[] = { "no ", "" };

	__builtin_cpu_init();
	text_add(t, "processor: %ssse4.2, %savx2, %sfma, %savx512 (f bw dq vl), %savx512_bf16\n",
		 has[!!__builtin_cpu_supports("sse4.2")], has[!!__builtin_cpu_supports("avx2")],
		 has[!!__builtin_cpu_supports("fma")],
		 has[__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
		     __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")],
		 has[!!__builtin_cpu_supports("avx512bf16")]);
}
#else
static void explain_processor(struct text *t)
{
	text_add(t, "processor: not x86-64, whose instruction sets alone are told apart\n");
}
#endif

/* One word of a file of the kernel's; 0: it is not there. */
static int word_read(char word[32], int index, const char *name)
{
	char path[96];
	FILE *f;
	int n;

	snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu0/cache/index%d/%s", index, name);
	f = fopen(path, "re");
	if (!f)
		return 0;
	n = fscanf(f, "%31s", word);
	fclose(f);
	return n == 1;
}

static void explain_caches(struct text *t)
{
	char level[32], type[32], size[32];
	int i, found = 0;

	for (i = 0; i < 8; i++) {
		if (!word_read(level, i, "level") || !word_read(type, i, "type") ||
		    !word_read(size, i, "size") || !strcmp(type, "Instruction"))
			continue;
		text_add(t, "%s level %s %s", found++ ? "," : "caches:", level, size);
	}
	if (found)
		text_add(t, "\n");
}

static void explain_kernels(const struct device *dev, struct text *t)
{
	const struct kernels *best = kernels_find(NULL);

	text_add(t, "own kernels: %s, vectors of %d numbers: ", dev->k->name, dev->k->width);
	if (dev->k->width == best->width)
		text_add(t, "the widest that the processor has\n");
	else if (dev->asked)
		text_add(t, "asked for; the processor has %s too\n", best->name);
	else
		text_add(t, "as wide as the library's; the processor has %s too\n", best->name);
	text_add(t, "library: %s, %s; vectors of %d numbers\n", dnn_library(), dnn_isa(),
		 dnn_width());
	text_add(t, "channels: in blocks of %d, which is what both are fastest with\n", dev->block);
	text_add(t, "3x3 convolutions with stride 1: Winograd's F(4x4, 3x3) where it pays\n");
}

void cpu_explain(struct device *dev, struct text *t)
{
	const char *spins = getenv("GOMP_SPINCOUNT"), *policy = getenv("OMP_WAIT_POLICY");
	double gain = bf16_gain(dev);
	struct limits l;

	cpu_limits(dev, &l);
	text_add(t, "%s\n", dev->words);
	explain_processor(t);
	text_add(t, "cores: %ld online; threads: %d, %s\n", sysconf(_SC_NPROCESSORS_ONLN),
		 dev->threads, dev->threads_asked ? "asked for" :
		 "as many as OMP_NUM_THREADS or the system allows");
	if (policy)
		text_add(t, "threads wait as OMP_WAIT_POLICY says: %s\n", policy);
	else
		text_add(t, "threads spin %s times, then sleep: longer stalls where cores are "
			 "shared\n", spins ? spins : "very many");
	explain_caches(t);
	explain_kernels(dev, t);
	if (gain > 0)
		text_add(t, "bf16: a convolution takes 1/%.2f of its time in fp32: "
			 "--precision auto takes %s\n", gain, gain > GAIN ? "bf16" : "fp32");
	else
		text_add(t, "bf16: not here: --precision auto takes fp32\n");
	text_add(t, "measured now: %.0f GF/s of multiply-adds, %.1f GB/s of copying "
		 "(read and written)\n", l.flops / 1e9, l.bytes / 1e9);
}
