#include "train/schedule.h"

#include "base/fail.h"
#include "base/real.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

int schedule_kind(const char *word, enum schedule_kind *kind)
{
	static const char *const words[] = { "constant", "step", "cosine", "linear" };

	for (int i = 0; i < 4; i++)
		if (!strcmp(word, words[i])) {
			*kind = (enum schedule_kind)i;
			return 0;
		}
	return fail("schedule '%s': not one of constant, step, cosine, linear", word);
}

int schedule_drops(struct schedule *s, const char *list, double steps_per_epoch)
{
	const char *at = list;

	s->drops = 0;
	s->every = 0;
	for (;;) {
		char *end;
		double epoch = strtod(at, &end);

		if (end == at || !(epoch > 0) || !isfinite(epoch) || (*end && *end != ','))
			return fail("'%s': not epochs separated by commas", list);
		if (s->drops == SCHEDULE_DROPS)
			return fail("'%s': more than %d epochs", list, SCHEDULE_DROPS);
		s->drop[s->drops] = epoch * steps_per_epoch;
		if (s->drops && s->drop[s->drops] <= s->drop[s->drops - 1])
			return fail("'%s': the epochs must ascend", list);
		s->drops++;
		if (!*end)
			break;
		at = end + 1;
	}
	if (s->drops == 1 && !strchr(list, ',')) {
		s->every = s->drop[0];
		s->drops = 0;
	}
	return 0;
}

static double lowered(const struct schedule *s, double step)
{
	double lr = s->lr;

	if (s->every > 0) {
		lr *= real_pow(s->factor, floor(step / s->every));
	} else {
		for (int i = 0; i < s->drops && step >= s->drop[i]; i++)
			lr *= s->factor;
	}
	return lr > s->final ? lr : s->final;
}

double schedule_lr(const struct schedule *s, int64_t step)
{
	const double pi = 3.14159265358979323846;
	double at = (double)step;

	if (at < s->warmup)
		return s->from + (s->lr - s->from) * (at / s->warmup);

	double t = s->total > s->warmup ? (at - s->warmup) / (s->total - s->warmup) : 0;

	t = t > 1 ? 1 : t;
	switch (s->kind) {
	case SCHEDULE_STEP:
		return lowered(s, at);
	case SCHEDULE_COSINE:
		return s->final + (s->lr - s->final) * ((1 + real_cos(pi * t)) / 2);
	case SCHEDULE_LINEAR:
		return s->lr + (s->final - s->lr) * t;
	case SCHEDULE_CONSTANT:
		break;
	}
	return s->lr;
}

int period_read(struct period *p, const char *text)
{
	char *end;
	double n = strtod(text, &end);

	*p = (struct period){ 0, 0 };
	if (end == text || !(n >= 0) || n > 1e15)
		return fail("'%s': neither epochs (2) nor steps (500s)", text);
	if (!strcmp(end, "s") || !strcmp(end, "steps")) {
		if (n != floor(n))
			return fail("'%s': not a whole number of steps", text);
		p->steps = (int64_t)n;
		return 0;
	}
	if (*end && strcmp(end, "epochs"))
		return fail("'%s': neither epochs (2) nor steps (500s)", text);
	p->epochs = n;
	return 0;
}

int period_due(const struct period *p, int64_t step, uint64_t before, uint64_t after,
	       uint64_t epoch)
{
	if (p->steps > 0)
		return step % p->steps == 0;
	if (!(p->epochs > 0) || !epoch)
		return 0;

	double size = p->epochs * (double)epoch;

	return floor((double)after / size) > floor((double)before / size);
}
