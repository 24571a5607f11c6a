#ifndef BASE_VERSION_H
#define BASE_VERSION_H

#define MILLRACE_VERSION "0.1"

#endif
