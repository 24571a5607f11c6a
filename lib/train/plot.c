#include "train/plot.h"

#include "base/fail.h"

#include <math.h>
#include <string.h>

/* Colours that stay apart for the colour-blind (Wong 2011), darker for white paper. */
static const char *const colours[] = {
	"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#a07800", "#56b4e9", "#5d5d5d", "#7b3fa0",
};

enum { LEFT = 62, RIGHT = 16, TOP = 34, GAP = 54, BOTTOM = 44, LEGEND = 18 };

struct range { double from, to; };

/* A panel and how numbers become places in it. */
struct panel {
	const struct plot *p;
	struct text *out;
	const char *metric, *title;
	double x, y, w, h;
	struct range across, up;
	int percent;
};

static double place_x(const struct panel *a, double v)
{
	return a->x + (v - a->across.from) / (a->across.to - a->across.from) * a->w;
}

static double place_y(const struct panel *a, double v)
{
	return a->y + a->h - (v - a->up.from) / (a->up.to - a->up.from) * a->h;
}

static double across_of(const struct plot *p, const struct runlog_point *point)
{
	return p->by_step ? (double)point->step : point->epoch;
}

static void widen(struct range *r, double v)
{
	if (!isfinite(v))
		return;
	r->from = v < r->from ? v : r->from;
	r->to = v > r->to ? v : r->to;
}

static void widen_curve(const struct plot *p, const struct runlog_curve *c, const char *metric,
			struct range *across, struct range *up)
{
	for (int i = 0; i < c->points; i++) {
		double v = runlog_metric(&c->point[i], metric);

		if (!isfinite(v))
			continue;
		widen(across, across_of(p, &c->point[i]));
		widen(up, v);
	}
}

/* A step of 1, 2 or 5 times a power of ten that cuts the range into about n. */
static double tick_step(double length, int n)
{
	double raw = length / n, power = pow(10, floor(log10(raw))), m = raw / power;

	return power * (m < 1.5 ? 1 : m < 3.5 ? 2 : m < 7.5 ? 5 : 10);
}

static void escaped(struct text *out, const char *s)
{
	for (; *s; s++) {
		if (*s == '<')
			text_add(out, "&lt;");
		else if (*s == '>')
			text_add(out, "&gt;");
		else if (*s == '&')
			text_add(out, "&amp;");
		else if (*s == '"')
			text_add(out, "&quot;");
		else if ((unsigned char)*s >= ' ')
			text_add_bytes(out, s, 1);
	}
}

static void label(struct text *out, double x, double y, const char *anchor, double v, double step)
{
	int digits = step >= 1 ? 0 : (int)ceil(-log10(step) - 1e-9);

	text_add(out, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">%.*f</text>\n", x, y, anchor,
		 digits > 9 ? 9 : digits, fabs(v) < step * 1e-6 ? 0.0 : v);
}

static void grid(const struct panel *a)
{
	double scale = a->percent ? 100 : 1;
	double step = tick_step((a->up.to - a->up.from) * scale, (int)(a->h / 36) + 1);
	struct text *out = a->out;

	text_add(out, "<g class=\"tick\">\n");
	for (double v = ceil(a->up.from * scale / step - 1e-9) * step;
	     v <= a->up.to * scale + step * 1e-9; v += step) {
		double y = place_y(a, v / scale);

		text_add(out, "<line x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/>\n", a->x,
			 a->x + a->w, y, y);
		label(out, a->x - 7, y + 4, "end", v, step);
	}
	step = tick_step(a->across.to - a->across.from, (int)(a->w / 80) + 1);
	for (double v = ceil(a->across.from / step - 1e-9) * step; v <= a->across.to + step * 1e-9;
	     v += step) {
		double x = place_x(a, v);

		text_add(out, "<line x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/>\n", x, x,
			 a->y, a->y + a->h);
		label(out, x, a->y + a->h + 17, "middle", v, step);
	}
	text_add(out, "</g>\n<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" "
		 "fill=\"none\" stroke=\"#888\"/>\n", a->x, a->y, a->w, a->h);
	text_add(out, "<text class=\"name\" x=\"%.1f\" y=\"%.1f\">%s</text>\n", a->x, a->y - 8,
		 a->title);
	text_add(out, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%s</text>\n",
		 a->x + a->w / 2, a->y + a->h + 34, a->p->by_step ? "steps" : "epochs");
}

static void curve(const struct panel *a, const struct runlog_curve *c, const char *colour, int bold)
{
	struct text *out = a->out;
	int down = 0;   /* the pen */

	text_add(out, "<path fill=\"none\" stroke=\"%s\" stroke-width=\"%s\"%s d=\"", colour,
		 bold ? "2" : "1", bold ? "" : " stroke-opacity=\"0.75\"");
	for (int i = 0; i < c->points; i++) {
		double v = runlog_metric(&c->point[i], a->metric);
		double at = across_of(a->p, &c->point[i]);

		if (!isfinite(v) || !isfinite(at)) {
			down = 0;
			continue;
		}
		text_add(out, "%s%.2f %.2f", down ? "L" : "M", place_x(a, at), place_y(a, v));
		down = 1;
	}
	text_add(out, "\"/>\n");
	for (int i = 0; bold && i < c->points && c->points <= 200; i++) {
		double v = runlog_metric(&c->point[i], a->metric);
		double at = across_of(a->p, &c->point[i]);

		if (isfinite(v) && isfinite(at))
			text_add(out, "<circle cx=\"%.2f\" cy=\"%.2f\" r=\"2.5\" fill=\"%s\"/>\n",
				 place_x(a, at), place_y(a, v), colour);
	}
}

static void settle(struct range *r, int percent)
{
	double gap;

	if (r->from > r->to)
		*r = (struct range){ 0, 1 };
	gap = (r->to - r->from) * 0.04;
	if (!(gap > 0))
		gap = r->to != 0 ? fabs(r->to) * 0.1 : 0.5;
	r->from -= gap;
	r->to += gap;
	if (percent) {
		r->from = r->from < 0 ? 0 : r->from;
		r->to = r->to > 1 ? 1 : r->to;
	}
}

static void draw(struct panel *a)
{
	const struct plot *p = a->p;

	grid(a);
	for (int i = 0; i < p->runs; i++) {
		curve(a, &p->run[i].train, colours[i % 8], 0);
		curve(a, &p->run[i].val, colours[i % 8], 1);
	}
}

/* A sample of a line and its word: where the next thing goes. */
static double legend_line(struct text *out, double x, double y, const char *colour, int bold,
			  const char *word)
{
	text_add(out, "<path d=\"M%.1f %.1fh22\" stroke=\"%s\" stroke-width=\"%d\"/>\n", x, y - 4,
		 colour, bold ? 2 : 1);
	if (bold)
		text_add(out, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"2.5\" fill=\"%s\"/>\n", x + 11,
			 y - 4, colour);
	text_add(out, "<text x=\"%.1f\" y=\"%.1f\">%s</text>\n", x + 28, y, word);
	return x + 40 + 7.0 * (double)strlen(word);
}

/* One line a run: what is thin, what is bold, its name. */
static void legend(const struct plot *p, struct text *out, double y)
{
	for (int i = 0; i < p->runs; i++, y += LEGEND) {
		const char *c = colours[i % 8];
		double x = LEFT;

		if (p->run[i].train.points)
			x = legend_line(out, x, y, c, 0, "training");
		if (p->run[i].val.points)
			x = legend_line(out, x, y, c, 1, "validation");
		text_add(out, "<text x=\"%.1f\" y=\"%.1f\">", x, y);
		escaped(out, p->name[i]);
		text_add(out, "</text>\n");
	}
}

static void head(const struct plot *p, struct text *out)
{
	text_add(out, "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" "
		 "viewBox=\"0 0 %d %d\">\n<style>text{font:12px sans-serif;fill:#333}"
		 ".name{font-weight:bold}.title{font:bold 15px sans-serif}"
		 ".tick line{stroke:#ddd}.tick text{fill:#555}</style>\n"
		 "<rect width=\"%d\" height=\"%d\" fill=\"#fff\"/>\n", p->width, p->height,
		 p->width,
		 p->height, p->width, p->height);
	if (!p->title)
		return;
	text_add(out, "<text class=\"title\" x=\"%d\" y=\"22\">", LEFT);
	escaped(out, p->title);
	text_add(out, "</text>\n");
}

int plot_svg(const struct plot *p, struct text *out)
{
	double top = TOP + (p->title ? 14 : 0);
	double h = (p->height - top - GAP - BOTTOM - LEGEND * p->runs) / 2;
	struct panel a = { .p = p, .out = out, .metric = "loss", .title = "loss", .x = LEFT,
			   .y = top,
			   .w = p->width - LEFT - RIGHT, .h = h,
			   .across = { (double)INFINITY, (double)-INFINITY },
			   .up = { (double)INFINITY, (double)-INFINITY } };
	struct panel b = a;

	b.metric = "top1";
	b.title = "top-1, %";
	b.percent = 1;
	b.y = top + h + GAP;
	for (int i = 0; i < p->runs; i++) {
		const struct runlog_curve *c[] = { &p->run[i].train, &p->run[i].val };

		for (int k = 0; k < 2; k++) {
			widen_curve(p, c[k], "loss", &a.across, &a.up);
			widen_curve(p, c[k], "top1", &a.across, &b.up);
		}
	}
	if (a.across.from > a.across.to)
		return fail("no line of the log has a loss or top-1 and %s",
			    p->by_step ? "a step" : "an epoch");
	if (!(a.across.from < a.across.to)) {
		a.across.from -= 0.5;
		a.across.to += 0.5;
	}
	b.across = a.across;
	settle(&a.up, 0);
	settle(&b.up, 1);
	head(p, out);
	draw(&a);
	draw(&b);
	legend(p, out, p->height - LEGEND * (p->runs - 1) - 8);
	text_add(out, "</svg>\n");
	return 0;
}
