/* The ground: the folder below which activities' folders are laid out (workspaces, scratch).
 *
 * It is the state folder, which is closed to other users. Where no root of its own can be made for an activity (a container
 * without the right to mount), and ff is root, an activity is another user who sees these folders by their paths on the host:
 * then the ground is a folder of ours in /var/tmp (or /tmp) that lets that user pass and nobody else. */
#ifndef FF_CLI_GROUND_H
#define FF_CLI_GROUND_H

#include "base/err.h"
#include "cli/app.h"

/* The spawner is open, if there is one. The caller frees *ret. */
int ground_dir(struct app *app, char **ret, struct err *err);
/* The folder of workspaces: the setting cache.dir where an activity can get to it. The caller frees *ret. */
int ground_cache_dir(struct app *app, char **ret, struct err *err);

#endif
