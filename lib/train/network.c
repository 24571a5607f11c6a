#include "train/network.h"

#include "base/fail.h"
#include "net/net_text.h"
#include "net/zoo.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int network_open(struct network *n, const char *name, const char *const *set, int sets)
{
	struct net_file file;

	*n = (struct network){ 0 };
	if (net_file_open(&file, name) < 0)
		return -1;
	n->name = strdup(name);
	n->text = malloc(file.bytes + 1);
	n->bytes = file.bytes;
	n->settings = json_array();
	if (n->text) {
		memcpy(n->text, file.text, file.bytes);
		n->text[file.bytes] = '\0';
	}
	for (int i = 0; i < file.sets; i++)
		json_array_append_new(n->settings, json_string(file.set[i]));
	for (int i = 0; i < sets; i++)
		json_array_append_new(n->settings, json_string(set[i]));
	int good = n->name && n->text &&
		   json_array_size(n->settings) == (size_t)file.sets + (size_t)sets;
	net_file_release(&file);
	if (good)
		return 0;
	network_release(n);
	return fail("%s: out of memory, or settings that are not UTF-8", name);
}

int network_from(struct network *n, const char *name, const char *text, const char *settings)
{
	*n = (struct network){ 0 };
	if (!name || !text || !settings)
		return fail("no network in its metadata: not a checkpoint of net-train");
	n->name = strdup(name);
	n->text = strdup(text);
	n->settings = json_loads(settings, 0, NULL);
	if (!n->name || !n->text || !json_is_array(n->settings)) {
		network_release(n);
		return fail("its metadata: network.settings: not a list");
	}
	n->bytes = strlen(text);
	return 0;
}

static int has_classes(const json_t *settings)
{
	size_t i;
	json_t *s;

	json_array_foreach(settings, i, s)
		if (json_is_string(s) && !strncmp(json_string_value(s), "classes=", 8))
			return 1;
	return 0;
}

static struct graph *expand(const struct network *n)
{
	size_t sets = json_array_size(n->settings);
	const char **set = calloc(sets + 1, sizeof(*set));
	struct graph *g = NULL;
	int bad = !set;

	for (size_t i = 0; i < sets && !bad; i++) {
		set[i] = json_string_value(json_array_get(n->settings, i));
		bad = !set[i];
	}
	if (bad)
		fail("%s: settings: not a list of texts", n->name);
	else
		g = net_read(n->name, n->text, n->bytes, set, (int)sets);
	free(set);
	return g;
}

int network_expand(struct network *n, int classes)
{
	if (classes > 0 && !has_classes(n->settings)) {
		char text[32];

		snprintf(text, sizeof(text), "classes=%d", classes);
		json_array_append_new(n->settings, json_string(text));
	}
	graph_free(n->graph);
	n->graph = expand(n);
	if (!n->graph)
		return -1;
	if (n->graph->classes < classes)
		return fail("%s: %d classes, the data has %d", n->name, n->graph->classes, classes);
	return 0;
}

void network_release(struct network *n)
{
	graph_free(n->graph);
	free(n->name);
	free(n->text);
	json_decref(n->settings);
	*n = (struct network){ 0 };
}
