/* Images of records as files, FOLDER/CLASS/NAME, the bytes as they are. */
#ifndef DATA_SAVE_H
#define DATA_SAVE_H

#include "data/feed.h"
#include "data/manifest.h"

struct save;

/* Files go below folder, which is made if it is not there. The manifest, if not NULL, is
 * kept and names the classes; else the record does, or its label as stored. NULL: reason,
 * *status 3. */
struct save *save_open(const char *folder, const struct manifest *, int *status);

/* Writes the images of a checked load: 0, or -1 with save_status() 1 (a record that holds
 * no image, a name that leads out of the folder) or 3 (a file that is there already, or
 * cannot be written). */
int save_load(struct save *, const struct load *);

int save_status(const struct save *);
void save_close(struct save *);         /* NULL: nothing */

#endif
