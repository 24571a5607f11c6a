/*
 * Plug-ins: shared libraries millrace-NAME.so with one symbol each, found beside the
 * program or in PREFIX/lib/millrace and opened when first needed, so that programs start
 * fast and run where a plug-in's libraries are missing.
 */
#ifndef DEV_PLUGIN_H
#define DEV_PLUGIN_H

/* The address of a plug-in's symbol. NULL: the reason, with the remedy ("cuda: no plug-in
 * millrace-cuda.so in ..."). */
void *plugin_symbol(const char *name, const char *symbol);

#endif
