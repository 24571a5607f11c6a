/* Curves of runs as SVG: what log-plot draws. */
#ifndef TRAIN_PLOT_H
#define TRAIN_PLOT_H

#include "base/text.h"
#include "train/runlog.h"

enum { PLOT_RUNS = 16 };

struct plot {
	const struct runlog_run *run;   /* the curves of these */
	const char *const *name;        /* of each run, for the legend */
	int runs;                       /* at most PLOT_RUNS */
	const char *title;              /* NULL: none */
	int by_step;                    /* the axis: steps; 0: epochs, where all lines say them */
	int width, height;              /* of the picture, in pixels */
};

/* Two panels, loss and top-1, over epochs or steps: thin lines for training, bold ones
 * with points for validation; a colour a run. Adds the SVG to the text. 0; -1: there is
 * nothing to draw. */
int plot_svg(const struct plot *, struct text *);

#endif
