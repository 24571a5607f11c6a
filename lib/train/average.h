/*
 * The mean of checkpoints. Every number of a floating type is the weighted mean of those
 * of all files, summed exactly enough that the order of the files does not matter, and
 * rounded once; running statistics of batch norm and slots of the optimizer are averaged
 * like weights. Whole numbers are taken from the newest file: the one of the highest
 * step, of equal ones the last named. So is the metadata, with "averaged" added: a list
 * of steps and weights. The mean of one file is that file, byte for byte.
 *
 * Memory does not grow with the files but for a descriptor and a few bytes a tensor.
 */
#ifndef TRAIN_AVERAGE_H
#define TRAIN_AVERAGE_H

struct average {
	const char *const *path;
	const double *weight;           /* of each; NULL: all alike. > 0 */
	int count;
	const char *output;
	int weights_only;               /* leave out opt.* */
	void (*note)(const char *text); /* the same file twice; may be NULL */
};

/* 0; -1, and *status is the exit status that fits. Tensors that differ in name, type or
 * shape, numbers that are not finite, and an output that is an input are refused. */
int average_files(const struct average *, int *status);

#endif
